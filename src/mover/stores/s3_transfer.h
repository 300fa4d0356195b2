/*
 * s3_transfer.h
 *	  Several requests in flight, in one thread beside the caller's.
 *
 *	  caller ── submit ──▶ queue ──▶ in flight (at most `parallel`) ──▶ finished ── next ──▶ caller
 *	                         ▲              │ worth another try
 *	                         └── waiting ◀──┘
 *
 * The thread drives libcurl and nothing else; the caller fills and empties.  How
 * much is queued is bounded by the caller's own supply of tasks.  While a transfer
 * is alive its S3Client is the thread's: the caller sends nothing by itself.
 *
 * The first task that fails for good fails the transfer.
 */
#ifndef S3_TRANSFER_H
#define S3_TRANSFER_H

#include <stdbool.h>
#include <stdint.h>

#include "failure.h"
#include "stores/s3_client.h"

typedef struct S3Transfer S3Transfer;
typedef struct S3Task	  S3Task;

/* Embedded in whatever the caller keeps for each; the request is the caller's to fill. */
struct S3Task
{
	S3Request	  request;
	S3Call		  call; /* call.answer when it is finished; free it by s3_call_forget_try() */
	HttpExchange *exchange;
	S3Task		 *next;
};

extern S3Transfer *s3_transfer_start(S3Client *client, int64_t parallel, Failure *failure);

/* From any thread.  The task is the transfer's until s3_transfer_next() gives it back or s3_transfer_stop() has returned. */
extern void s3_transfer_submit(S3Transfer *transfer, S3Task *task);

/*
 * The next finished task, in whatever order they finish.  wait: until there is
 * one; otherwise *task may be NULL.  False: the transfer has failed, or the job
 * is cancelled.
 */
extern bool s3_transfer_next(S3Transfer *transfer, bool wait, S3Task **task, Failure *failure);

/* From any thread: as if a task had failed so. */
extern void s3_transfer_fail(S3Transfer *transfer, const Failure *failure);

/* Bytes of bodies that the store has taken; from any thread. */
extern int64_t s3_transfer_stored(const S3Transfer *transfer);

/*
 * Ends what is in flight, joins the thread, frees.  Bodies that were sent whole get
 * a second to be answered.  False: a body was sent of which nobody knows whether the
 * store took it, or still will.
 */
extern bool s3_transfer_stop(S3Transfer *transfer);

#endif
