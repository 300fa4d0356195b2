/*
 * s3_stored_parts.h
 *	  What CompleteMultipartUpload has to name: each part's ETag and checksum, in the parts' order.
 */
#ifndef S3_STORED_PARTS_H
#define S3_STORED_PARTS_H

#include "stores/s3_upload_part.h"

typedef struct S3StoredPart S3StoredPart;

typedef struct S3StoredParts
{
	S3StoredPart *parts;
	int64_t		  capacity;
} S3StoredParts;

/* Of a part that the store has answered for; in any order. */
extern bool s3_stored_parts_keep(S3StoredParts *stored, const S3Part *part, Failure *failure);

/* The body of Complete for parts 1 to count; malloc'ed; NULL: failure. */
extern char *s3_stored_parts_document(const S3StoredParts *stored, int64_t count, S3Checksum checksum,
									  Failure *failure);
extern void	 s3_stored_parts_free(S3StoredParts *stored);

#endif
