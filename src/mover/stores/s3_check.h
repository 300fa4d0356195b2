/*
 * s3_check.h
 *	  What an operator wants to know of a bucket beyond 'it takes and gives bytes'.
 *
 * Every question that the credentials may not ask is said to be so and left out.
 */
#ifndef S3_CHECK_H
#define S3_CHECK_H

#include "stores/s3_client.h"

typedef enum CheckState
{
	CHECK_GOOD, /* works */
	CHECK_NOTE, /* worth knowing, or not known */
	CHECK_BAD	/* a backup or a restore would fail */
} CheckState;

/* what: one or two words; sentence: the rest of the line. */
typedef void (*CheckSay)(void *context, CheckState state, const char *what, const char *sentence);

/*
 * Multipart upload (begun, listed, aborted) of `key`, If-None-Match, versioning, object lock,
 * replication, clock.  False: something that backups need does not work.
 */
extern bool s3_check(S3Client *client, const char *key, CheckSay say, void *context);

/* Does the store refuse a look at `key` for want of a right?  Where nothing lies there, it is that to list. */
extern bool s3_check_is_denied(S3Client *client, const char *key);

#endif
