/*
 * resp.h
 *	  RESP2, the protocol of Redis: commands out, replies in, over one connection.
 *
 * Commands are queued and sent together by resp_flush(), so that a caller can keep
 * many under way.  Replies are small (held whole) but for a bulk that the caller
 * reads piece by piece (resp_receive_head), so that a value of gigabytes passes through.
 *
 * An error reply is a reply, not a failure: only the caller knows what it means.
 * resp_refused() makes the failure of it, naming the command.
 */
#ifndef RESP_H
#define RESP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "engines/redis_connection.h"
#include "engines/redis_url.h"
#include "failure.h"
#include "settings.h"

typedef enum RespType
{
	RESP_STATUS,  /* +OK */
	RESP_ERROR,	  /* -ERR ... */
	RESP_INTEGER, /* :1 */
	RESP_BULK,	  /* $3 */
	RESP_NIL,	  /* $-1, *-1 */
	RESP_ARRAY	  /* *2 */
} RespType;

typedef struct RespReply RespReply;
struct RespReply
{
	RespType   type;
	int64_t	   integer;
	char	  *text;   /* status, error, bulk: NUL-terminated behind its length */
	size_t	   length; /* of text */
	RespReply *elements;
	size_t	   count;
};

typedef struct RespArgument
{
	const void *bytes;
	size_t		length;
} RespArgument;

typedef struct Resp Resp;

/* Connects and authenticates (REASON_AUTH where that is refused). */
extern Resp		  *resp_open(const RedisUrl *url, const Settings *settings, RedisPatience patience,
							 Failure *failure);
extern void		   resp_close(Resp *resp);
extern const char *resp_name(const Resp *resp);

/* Behind "closed the connection": what it may mean.  A literal. */
extern void resp_explain_loss(Resp *resp, const char *explanation);

/* Queues a command of NUL-terminated words, the last one NULL. */
extern bool resp_queue(Resp *resp, Failure *failure, ...) __attribute__((sentinel));
extern bool resp_queue_arguments(Resp *resp, const RespArgument *arguments, size_t count, Failure *failure);

/* Pieces of a command that is too large to be put together first: RESP's own bytes, sent when it suits. */
extern bool resp_queue_raw(Resp *resp, const void *bytes, size_t length, Failure *failure);
extern bool resp_flush(Resp *resp, Failure *failure);

/* The next reply.  The caller frees it, also after a failure. */
extern bool resp_receive(Resp *resp, RespReply *reply, Failure *failure);
extern void resp_reply_free(RespReply *reply);

/* Queue, flush and receive in one. */
extern bool resp_ask(Resp *resp, RespReply *reply, Failure *failure, ...) __attribute__((sentinel));

/* Asks and expects anything but an error.  The reply is dropped. */
extern bool resp_do(Resp *resp, FailureReason reason, Failure *failure, ...) __attribute__((sentinel));

/*
 * The head of a reply alone.  A bulk: reply->integer bytes are then read with
 * resp_read_exactly() or resp_read_some(), and resp_end_bulk() ends it.  An array:
 * reply->integer replies follow.  Anything else is whole.
 */
extern bool resp_receive_head(Resp *resp, RespReply *reply, Failure *failure);
extern bool resp_read_exactly(Resp *resp, void *buffer, size_t length, Failure *failure);
extern bool resp_end_bulk(Resp *resp, Failure *failure);

/* Of a bulk whose head was received: the rest, held whole, or passed over. */
extern bool resp_receive_bulk(Resp *resp, RespReply *head, Failure *failure);
extern bool resp_skip_bulk(Resp *resp, const RespReply *head, Failure *failure);

/*
 * Bytes as they come, for what is not RESP (a replication stream).  *length 0: closed, or
 * nothing came within wait_ms (*timed_out).
 */
extern bool resp_read_some(Resp *resp, void *buffer, size_t capacity, size_t *length, int wait_ms,
						   bool *timed_out, Failure *failure);

/* ---- what an answer means: resp_meaning.c ---- */

/* Sets the failure for an error reply to `command` (REASON_AUTH for what looks like rights) and returns false. */
extern bool resp_refused(const Resp *resp, const RespReply *reply, const char *command,
						 FailureReason otherwise, Failure *failure);

/* What TIME answers, in milliseconds since 1970; false, and *milliseconds as it was: it is no such answer. */
extern bool resp_time(const RespReply *reply, int64_t *milliseconds);

/* Does the server say that it will not talk to us at all, and close: protected mode, too many clients? */
extern bool resp_is_turned_away(const RespReply *reply);

/* Above its maxmemory a server takes nothing that may add to it, and queues nothing in a transaction. */
extern bool resp_is_full(const RespReply *reply);

/* Is it an error that begins so ("NOPERM")? */
extern bool resp_is_error(const RespReply *reply, const char *prefix);

#endif
