/*
 * s3_sign.h
 *	  AWS Signature Version 4, in the Authorization header.
 *
 * Specification: "Authenticating Requests: Using the Authorization Header (AWS
 * Signature Version 4)", Amazon S3 API Reference.  S3's own rules: the path is
 * escaped once, never normalized, and x-amz-content-sha256 is always there.
 *
 * Pure: the clock is an argument.
 */
#ifndef S3_SIGN_H
#define S3_SIGN_H

#include <stddef.h>
#include <time.h>

#include "failure.h"

#define S3_TIMESTAMP_SIZE	17 /* 20130524T000000Z */
#define S3_UNSIGNED_PAYLOAD "UNSIGNED-PAYLOAD"

/* A header (its name in lower case) or a parameter of the query (not escaped yet). */
typedef struct S3Field
{
	const char *name;
	const char *value;
} S3Field;

typedef struct S3Signing
{
	const char	  *method;
	const char	  *path;	/* escaped, begins with '/' */
	const char	  *query;	/* escaped and sorted, as s3_query() makes it; "" for none */
	const S3Field *headers; /* every one is signed; host, x-amz-date and x-amz-content-sha256 among them */
	size_t		   header_count;
	const char	  *payload_sha256; /* hex, or S3_UNSIGNED_PAYLOAD: the value of x-amz-content-sha256 */
	const char	  *timestamp;	   /* the value of x-amz-date */
	const char	  *region;
	const char	  *service; /* "s3", "sts" */
	const char	  *access_key;
	const char	  *secret_key;
} S3Signing;

/* UTC, as S3 writes it. */
extern void s3_timestamp(time_t time, char timestamp[S3_TIMESTAMP_SIZE]);

/* "max-keys=2&prefix=J": escaped and sorted by name; malloc'ed; NULL: failure. */
extern char *s3_query(const S3Field *parameters, size_t count, Failure *failure);

/* The value of the Authorization header; malloc'ed; NULL: failure. */
extern char *s3_sign(const S3Signing *signing, Failure *failure);

#endif
