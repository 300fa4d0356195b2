/*
 * s3_client.h
 *	  One request to the store: signed, sent, judged, and sent again when that may help.
 *
 * An S3Request says what is wanted; an S3Call is such a request on its way, over
 * all its tries.  s3_perform() does the whole in the caller's thread; s3_transfer.c
 * drives several calls at once by the steps underneath it.
 */
#ifndef S3_CLIENT_H
#define S3_CLIENT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "failure.h"
#include "settings.h"
#include "stores/bandwidth.h"
#include "stores/http.h"
#include "stores/s3_credentials.h"
#include "stores/s3_encode.h"
#include "stores/s3_error.h"
#include "stores/s3_sign.h"
#include "stores/s3_url.h"

#define S3_MAX_PARAMETERS 8
#define S3_MAX_HEADERS	  20
#define S3_SMALL_ANSWER	  (64 * 1024)
#define S3_ETAG_SIZE	  128

/* What all requests to a store share.  Used by one thread at a time. */
typedef struct S3Client
{
	S3Url			   url;
	const Settings	  *settings; /* borrowed */
	S3CredentialChain *credentials;
	Bandwidth		  *bandwidth; /* NULL: no limit */
	HttpClient		  *http;
	char			  *host; /* the Host header */
	int64_t cleaned_until;	 /* monotonic nanoseconds; when a cancelled job gives up cleaning; 0: not yet */
} S3Client;

typedef struct S3Request
{
	const char	 *what; /* "read", "store part 3 of": as in 'could not read bucket/key: ...' */
	FailureReason when; /* what it is called when all tries were in vain */
	const char	 *method;
	const char	 *key; /* relative to the store; NULL: the bucket */
	S3Field		  parameters[S3_MAX_PARAMETERS];
	size_t		  parameter_count;
	S3Field		  headers[S3_MAX_HEADERS]; /* names in lower case */
	size_t		  header_count;
	HttpBody	  body;
	bool		  checksummed; /* the store is told a checksum of the body, and verifies it */
	/* Of the body, 32 bytes, where the caller knows it; NULL: it is hashed when it is signed. */
	const unsigned char *body_sha256;
	size_t				 max_answer; /* 0: S3_SMALL_ANSWER */
	/*
	 * Where the body goes instead of memory: the bytes of one range of the object, in
	 * order, with their offset in the object.  A try goes on where the last one broke,
	 * and does not count as one where that had brought something.
	 */
	bool (*receive)(void *context, int64_t offset, const void *bytes, size_t length);
	/*
	 * Of what must not be done twice: asked before a further try where an earlier one may
	 * have been carried out unheard.  False: nothing is sent again, and s3_perform() is false,
	 * with the failure set where nobody could tell, and without where it was carried out.
	 */
	bool (*is_undone)(void *context, Failure *failure);
	void	   *context; /* of both */
	int64_t		range_offset;
	int64_t		range_length; /* more than 0 */
	const char *expected; /* "|NoSuchKey|...|": error codes that are an answer and no failure; NULL: none */
	const char
		   *says; /* a word of each success; one without it may be an error that was cut off; NULL: none */
	int64_t patience; /* seconds of silence that are fine; 0: the URL's min_speed_time */
	int64_t tries;	  /* 0: the URL's */
	/* Cleaning up: a try has four seconds, and all of it together in a cancelled job. */
	bool even_cancelled;
} S3Request;

typedef struct S3Answer
{
	HttpAnswer http;
	int64_t	   tries;
	bool	   unheard; /* a try may have been carried out whose answer nobody heard; also where all failed */
	S3Error	   error;	/* error.code "": none, or a HEAD that cannot say */
} S3Answer;

typedef struct S3Call
{
	const S3Request *request; /* borrowed */
	S3Answer		 answer;
	int64_t			 tries;
	int64_t			 begun;		 /* monotonic nanoseconds; 0: not yet */
	int64_t			 not_before; /* when the next try is due */
	bool			 renew;		 /* the credentials were called expired */
	bool			 renewed;
	bool			 unheard;		  /* a try that counts as failed may have been carried out */
	int64_t			 received;		  /* of a range, by all tries */
	int64_t			 received_before; /* by the earlier ones */
	bool			 digested;
	char			 payload[S3_SHA256_HEX_SIZE];	  /* x-amz-content-sha256 */
	char			 checksum[S3_DIGEST_BASE64_SIZE]; /* of x-amz-checksum-sha256 or content-md5; "": none */

	/* One try */
	char		timestamp[S3_TIMESTAMP_SIZE];
	char	   *url;
	char	   *authorization;
	char		range[64];
	HttpHeader	headers[S3_MAX_HEADERS + 8];
	HttpRequest http;
} S3Call;

extern void s3_request_header(S3Request *request, const char *name, const char *value);
extern void s3_request_parameter(S3Request *request, const char *name, const char *value);

/* True: a success, or an error that the request expects (then answer->error.code says which). */
extern bool s3_perform(S3Client *client, const S3Request *request, S3Answer *answer, Failure *failure);
extern void s3_answer_free(S3Answer *answer);

/* The steps of s3_perform(), for whoever drives several calls. */

/* Signs a new try; call->http is what http_begin() takes. */
extern bool s3_call_sign(S3Client *client, S3Call *call, Failure *failure);

/*
 * Judges call->answer: S3_DONE; S3_AGAIN with not_before set; S3_FINAL with the
 * failure set (also when tries or time have run out).
 */
extern S3Verdict s3_call_judge(S3Client *client, S3Call *call, Failure *failure);

/* Forgets the last try; before another, and at the end. */
extern void s3_call_forget_try(S3Call *call);

/* Waits until then; false: cancelled. */
extern bool s3_wait_until(S3Client *client, int64_t monotonic, bool watch_cancel, Failure *failure);

#endif
