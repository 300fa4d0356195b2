/*
 * s3_object.h
 *	  The small requests about one object: is it there, read it, remove it, abort its upload.
 */
#ifndef S3_OBJECT_H
#define S3_OBJECT_H

#include "stores/s3_client.h"
#include "stores/store.h"

/* Metadata of every object that we store. */
#define S3_META_FORMAT	"x-amz-meta-custbackup-format"
#define S3_META_TYPE	"x-amz-meta-custbackup-type"
#define S3_META_BACKUP	"x-amz-meta-custbackup-backup"
#define S3_META_ATTEMPT "x-amz-meta-custbackup-attempt"

/* Adds the headers of encryption and storage class that the store's URL asks for; manifests have no class. */
extern void s3_object_add_options(const S3Url *url, bool is_manifest, S3Request *request);

/*
 * HEAD; where it refuses, a GET of one byte asks why, because an answer to HEAD
 * has no body to say it in.  version may be NULL.  even_cancelled: for cleaning up.
 */
extern StoreAnswer s3_object_head(S3Client *client, const char *key, const char *version, bool even_cancelled,
								  ObjectStat *stat, Failure *failure);

/*
 * Is there an object under this key?  One request, which also tells a missing
 * bucket, wrong credentials and missing rights apart.
 */
extern StoreAnswer s3_object_probe(S3Client *client, const char *key, FailureReason when, Failure *failure);
extern StoreAnswer s3_object_read(S3Client *client, const char *key, size_t max, char **bytes, size_t *length,
								  Failure *failure);

/* Its two halves, for whoever reads several at a time: the request, which borrows the key, and what its answer holds. */
extern S3Request   s3_object_read_request(const char *key, size_t max);
extern StoreAnswer s3_object_take_read(const S3Client *client, const S3Request *request, size_t max,
									   S3Answer *answer, char **bytes, size_t *length, Failure *failure);

/* REASON_LOCKED: object lock keeps it. */
extern bool s3_object_remove(S3Client *client, const char *key, const char *version, bool even_cancelled,
							 Failure *failure);
extern bool s3_object_abort(S3Client *client, const char *key, const char *upload_id, bool even_cancelled,
							Failure *failure);

#endif
