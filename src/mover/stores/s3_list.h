/*
 * s3_list.h
 *	  What lies in a bucket that is ours.
 *
 * Only keys under the store's prefix that follow our own pattern (object_key.h)
 * are shown: other people's objects are never touched and never counted.
 */
#ifndef S3_LIST_H
#define S3_LIST_H

#include "stores/s3_client.h"
#include "stores/store.h"

/* As Store.list. */
extern bool s3_list(S3Client *client, const char *prefix, StoreVisitor visitor, void *context,
					Failure *failure);

/* Return false to stop. */
typedef bool (*S3UploadVisitor)(void *context, const char *key, const char *upload_id, int64_t begun,
								Failure *failure);

/*
 * Unfinished multipart uploads of ours.  Asked for without a prefix and filtered
 * here, because some stores take a prefix for an exact key.
 */
extern bool s3_list_uploads(S3Client *client, S3UploadVisitor visitor, void *context, Failure *failure);

/*
 * Aborts every unfinished upload of this key but `keep` (NULL: none is kept): what a
 * CreateMultipartUpload left whose answer was lost, so that nobody knows its id.
 */
extern bool s3_abort_uploads(S3Client *client, const char *key, const char *keep, Failure *failure);

#endif
