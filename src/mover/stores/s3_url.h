/*
 * s3_url.h
 *	  A bucket's address: s3://bucket/prefix?option=value&...
 *
 * docs/stores.md lists every option.  Values are percent-decoded; an option that
 * is unknown, given twice or out of range is refused, as are credentials: those
 * come from s3_credentials.h alone.
 */
#ifndef S3_URL_H
#define S3_URL_H

#include <stdbool.h>
#include <stdint.h>

#include "failure.h"

#define S3_MIB				(INT64_C(1024) * 1024)
#define S3_MAX_OBJECT_BYTES (INT64_C(5) * 1024 * 1024 * S3_MIB)
#define S3_MAX_PART_BYTES	(INT64_C(5) * 1024 * S3_MIB)
#define S3_MIN_PART_BYTES	(5 * S3_MIB)
#define S3_MAX_PARTS		10000

typedef enum S3Checksum
{
	S3_CHECKSUM_SHA256, /* x-amz-checksum-sha256 */
	S3_CHECKSUM_MD5,	/* Content-MD5, where the store knows nothing newer */
	S3_CHECKSUM_NONE
} S3Checksum;

typedef struct S3Url
{
	char *bucket;
	char *prefix; /* "" or ends with '/' */

	/* Where */
	bool  https;
	char *authority; /* host and, when it is not the scheme's own, port; IPv6 in brackets */
	char *base_path; /* of the endpoint: "" or "/path", escaped */
	char *region;
	bool  virtual_host; /* https://bucket.host/key, else https://host/bucket/key */

	/* How */
	S3Checksum checksum;
	bool	   unsigned_payload; /* legal over https only */
	int64_t	   part_size;		 /* 0: from the expected size */
	bool	   part_growth;		 /* parts of one upload may differ in size */
	int64_t	   parallel;		 /* requests in flight */
	bool	   if_none_match;	 /* ask the store not to overwrite */

	/* What is asked for with each object; NULL: not sent */
	char   *sse; /* AES256, aws:kms, aws:kms:dsse */
	char   *sse_kms_key_id;
	char   *storage_class;
	char   *lock;	   /* GOVERNANCE, COMPLIANCE */
	int64_t lock_days; /* at least, whatever the tier's retention is */

	/* Patience */
	int64_t tries;			 /* of one request */
	int64_t retry_time;		 /* seconds for all its tries */
	int64_t connect_timeout; /* seconds */
	int64_t min_speed;		 /* bytes a second; below it for min_speed_time seconds: the try has failed */
	int64_t min_speed_time;
} S3Url;

/* REASON_CONFIG, and what to write instead.  allow_http: beyond loopback too. */
extern bool s3_url_parse(S3Url *parsed, const char *url, bool allow_http, Failure *failure);
extern void s3_url_free(S3Url *parsed);

/* The path of a key (NULL: the bucket itself) in a request: escaped, with the prefix; malloc'ed. */
extern char *s3_url_path(const S3Url *url, const char *key, Failure *failure);

/* The Host header's value; malloc'ed. */
extern char *s3_url_host(const S3Url *url, Failure *failure);

#endif
