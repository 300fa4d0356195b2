/*
 * http.h
 *	  HTTP by libcurl: one client keeps connections, several exchanges may be under way in it.
 *
 * What holds for every exchange: TLS 1.2 or newer and certificates verified; no
 * redirect is followed; a proxy only when set, never from the environment; the
 * answer's size is capped; a transfer that crawls is ended.
 *
 * An exchange ends with an HttpOutcome, which says how far it came, not whether
 * the server was content.  Nothing here knows S3, and nothing here tries again.
 *
 * A client belongs to one thread at a time.
 */
#ifndef HTTP_H
#define HTTP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "failure.h"
#include "settings.h"
#include "stores/bandwidth.h"

typedef struct HttpClient	HttpClient;
typedef struct HttpExchange HttpExchange;

typedef enum HttpOutcome
{
	HTTP_ANSWERED,		/* whole, whatever the status */
	HTTP_NOT_REACHED,	/* no such host, refused, no route: nothing was sent */
	HTTP_BROKEN,		/* reset, cut short, timed out: the server may have acted on it */
	HTTP_SLOW,			/* below the minimum speed, likewise */
	HTTP_UNTRUSTED,		/* the certificate */
	HTTP_NO_CA,			/* the file of certificates to trust is none: nothing was sent */
	HTTP_NO_TLS,		/* no version of TLS in common, or none is spoken there */
	HTTP_NO_HTTP,		/* whatever answered there speaks something else */
	HTTP_PROXY_REFUSED, /* the proxy does not let us through: nothing was sent */
	HTTP_TOO_LARGE,		/* the answer exceeds its cap */
	HTTP_STOPPED		/* receive() returned false */
} HttpOutcome;

typedef struct HttpHeader
{
	const char *name;
	const char *value; /* not empty */
} HttpHeader;

/* Where a request's body comes from: memory, or a file from an offset. */
typedef struct HttpBody
{
	const char *bytes; /* NULL: from fd */
	int			fd;
	int64_t		offset;
	int64_t		length;
} HttpBody;

/* Nanoseconds that a body that was sent whole is given to be answered when nobody wants it any more. */
#define HTTP_LANDING_TIME INT64_C(1000000000)

/* Everything is borrowed until http_end(). */
typedef struct HttpRequest
{
	const char		 *method;
	const char		 *url;
	const HttpHeader *headers;
	size_t			  header_count;
	HttpBody		  body;
	size_t			  max_answer; /* bytes of an answer that is kept in memory */
	/* Where the body of an answer with status receive_status goes instead of memory; NULL: memory. */
	bool (*receive)(void *context, const void *bytes, size_t length);
	void   *context;
	int		receive_status;
	int64_t connect_timeout; /* seconds */
	int64_t total_timeout;	 /* seconds; 0: only the minimum speed counts */
	int64_t min_speed;
	int64_t min_speed_time;
	bool	direct; /* never by the proxy: what is asked is this host's own surroundings */
	bool	once;	/* never sent again without the caller's knowledge: by a new connection */
} HttpRequest;

typedef struct HttpAnswer
{
	HttpOutcome outcome;
	int			status;	 /* 0: none came */
	char	   *headers; /* see http_header(); may be NULL */
	char	   *body;	 /* NUL-terminated; may be NULL */
	size_t		body_length;
	char		error[512]; /* libcurl's sentence, when the outcome is not HTTP_ANSWERED */
} HttpAnswer;

/* In the main thread, while no other is alive.  bandwidth is borrowed and may be NULL. */
extern HttpClient *http_client_open(const Settings *settings, Bandwidth *bandwidth, Failure *failure);
extern void		   http_client_close(HttpClient *client);

/* answer is the caller's, filled when the exchange is finished.  NULL: failure. */
extern HttpExchange *http_begin(HttpClient *client, const HttpRequest *request, HttpAnswer *answer,
								void *owner, Failure *failure);

/*
 * Moves all exchanges on and waits for at most `milliseconds`, less when something
 * happens, when http_wake() is called, or when the job is cancelled (and
 * watch_cancel is true: false with REASON_CANCELLED).
 */
extern bool http_drive(HttpClient *client, int milliseconds, bool watch_cancel, Failure *failure);

/* The owner of one exchange that has finished, which is ended thereby; NULL: none has. */
extern void *http_finished(HttpClient *client);

/* True: the whole body was handed over, so the server may act on it whether we hear of it or not. */
extern bool http_body_is_sent(const HttpExchange *exchange);

/* Ends an exchange that has not finished. */
extern void http_end(HttpExchange *exchange);

/*
 * Begin, drive, end: false only for a cancelled job and for want of memory.  Where a
 * cancelled job's body was sent whole its answer is waited for, a while, and is true; where
 * none comes, answer->outcome says whether the server may act on what was sent: HTTP_BROKEN.
 */
extern bool http_perform(HttpClient *client, const HttpRequest *request, HttpAnswer *answer,
						 bool watch_cancel, Failure *failure);

/* From any thread: http_drive() returns soon. */
extern void http_wake(HttpClient *client);

/* Copies a header's value into the buffer, cut to fit; false and "" when it is not there. */
extern bool http_header(const HttpAnswer *answer, const char *name, char *value, size_t capacity);
extern void http_answer_free(HttpAnswer *answer);

#endif
