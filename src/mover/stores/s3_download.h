/*
 * s3_download.h
 *	  An object on its way down: ranges, several in flight, into an unnamed spool.
 *
 * Every range asks for the ETag that HEAD saw, so an object that changes meanwhile
 * is noticed.  `seen` gets the bytes in order, in the caller's thread, while later
 * ranges are still arriving; it reads them back from the spool, out of the page cache.
 */
#ifndef S3_DOWNLOAD_H
#define S3_DOWNLOAD_H

#include "stores/s3_client.h"
#include "stores/store.h"

typedef bool (*S3Seen)(void *context, const void *bytes, size_t length, Failure *failure);

/* As Store.fetch.  seen may be NULL. */
extern StoreAnswer s3_download(S3Client *client, const char *key, const char *version, S3Seen seen,
							   void *context, int *fd, int64_t *bytes, Failure *failure);

#endif
