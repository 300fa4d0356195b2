/*
 * s3_error.h
 *	  What an S3 error means: try again or not, whose fault, what to do.
 *
 * The error's code decides, not the HTTP status: BadDigest and RequestTimeout
 * come as 400 and are worth another try, ExpiredToken comes as 400 and wants new
 * credentials.  One table in s3_error.c holds all that is known.
 */
#ifndef S3_ERROR_H
#define S3_ERROR_H

#include <stdint.h>

#include "failure.h"
#include "stores/http.h"

typedef enum S3Verdict
{
	S3_DONE,			/* a success */
	S3_AGAIN,			/* may work the next time */
	S3_AGAIN_SLOWLY,	/* likewise, but the store asks for patience */
	S3_NEW_CREDENTIALS, /* again, with credentials fetched anew */
	S3_BAD_CREDENTIALS, /* final, and it is worth saying where they came from */
	S3_FINAL			/* will not work however often it is tried */
} S3Verdict;

typedef struct S3Error
{
	char code[64]; /* "" where the answer carried none */
	char message[512];
	char region[64]; /* where the bucket really is, when the store says so */
	char request_id[128];
	bool is_page; /* HTML: no store speaks it */
} S3Error;

typedef struct S3ErrorRule
{
	const char	 *code;
	S3Verdict	  verdict;
	FailureReason reason; /* REASON_NONE: as the operation says */
	const char	 *advice;
} S3ErrorRule;

/* Reads an answer's error, from its body and headers.  True: it is one, also under a status of 200. */
extern bool s3_error_read(const HttpAnswer *answer, S3Error *error);

/* Never NULL: what the table says, else what the status suggests. */
extern const S3ErrorRule *s3_error_rule(const HttpAnswer *answer, const S3Error *error);

/* Never NULL: of what never became an answer. */
extern const S3ErrorRule *s3_transport_rule(HttpOutcome outcome);

/* Seconds between this host's clock and the store's, by the answer's Date; 0: it has none. */
extern int64_t s3_clock_skew(const HttpAnswer *answer);

/*
 * How long to wait before try `tries + 1`, in nanoseconds: exponential with full
 * jitter; what Retry-After asks for is honoured up to a minute.
 */
extern int64_t s3_backoff(S3Verdict verdict, int64_t tries, const HttpAnswer *answer);

#endif
