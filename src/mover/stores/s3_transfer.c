/*
 * s3_transfer.c
 *	  Several requests in flight, in one thread beside the caller's.
 */
#include "stores/s3_transfer.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <sys/eventfd.h>

#include "cancel.h"
#include "thread.h"

#define MILLISECOND INT64_C(1000000)

typedef struct TaskQueue
{
	S3Task	*first;
	S3Task **end;
} TaskQueue;

struct S3Transfer
{
	S3Client	   *client;
	int64_t			parallel;
	pthread_t		thread;
	int				news; /* an eventfd: something finished or failed */
	_Atomic int64_t stored;

	pthread_mutex_t lock; /* over what follows */
	TaskQueue		submitted;
	TaskQueue		finished;
	bool			stop;
	Failure			failure;

	/* The thread's own */
	S3Task *waiting; /* in the order of submission */
	S3Task *flying;
	int64_t flying_count;
	bool	unanswered; /* a body was sent, in part or whole, and what became of it is not known */
};

static void
append(TaskQueue *queue, S3Task *task)
{
	task->next = NULL;
	if (!queue->first)
		queue->end = &queue->first;
	*queue->end = task;
	queue->end = &task->next;
}

static void
unlink_task(S3Task **list, S3Task *task)
{
	while (*list && *list != task)
		list = &(*list)->next;
	if (*list)
		*list = task->next;
}

/* ---- the thread ------------------------------------------------------------------------------- */

static void
tell(S3Transfer *transfer)
{
	uint64_t one = 1;
	ssize_t	 written;

	/* Full means that the caller has much to read already. */
	written = write(transfer->news, &one, sizeof(one));
	(void) written;
}

void
s3_transfer_fail(S3Transfer *transfer, const Failure *failure)
{
	pthread_mutex_lock(&transfer->lock);
	if (transfer->failure.reason == REASON_NONE)
		transfer->failure = *failure;
	pthread_mutex_unlock(&transfer->lock);
	tell(transfer);
}

/* False: the thread is to end. */
static bool
take_submitted(S3Transfer *transfer)
{
	S3Task **end = &transfer->waiting;
	bool	 go_on;

	while (*end)
		end = &(*end)->next;
	pthread_mutex_lock(&transfer->lock);
	*end = transfer->submitted.first;
	transfer->submitted.first = NULL;
	go_on = !transfer->stop && transfer->failure.reason == REASON_NONE;
	pthread_mutex_unlock(&transfer->lock);
	return go_on;
}

static bool
launch(S3Transfer *transfer, S3Task *task, Failure *failure)
{
	s3_call_forget_try(&task->call);
	if (!s3_call_sign(transfer->client, &task->call, failure))
		return false;
	task->exchange =
		http_begin(transfer->client->http, &task->call.http, &task->call.answer.http, task, failure);
	return task->exchange != NULL;
}

/* Launches what is due; *wait becomes the milliseconds until something else will be. */
static bool
launch_due(S3Transfer *transfer, int *wait, Failure *failure)
{
	S3Task *task;
	S3Task *next;
	int64_t now = monotonic_nanoseconds();

	for (task = transfer->waiting; task && transfer->flying_count < transfer->parallel; task = next)
	{
		int64_t left = task->call.not_before - now;

		next = task->next;
		if (left > 0)
		{
			if (left / MILLISECOND + 1 < *wait)
				*wait = (int) (left / MILLISECOND) + 1;
			continue;
		}
		unlink_task(&transfer->waiting, task);
		task->next = transfer->flying;
		transfer->flying = task;
		transfer->flying_count++;
		if (!launch(transfer, task, failure))
			return false;
	}
	return true;
}

static bool
land(S3Transfer *transfer, S3Task *task, Failure *failure)
{
	S3Verdict verdict = s3_call_judge(transfer->client, &task->call, failure);

	unlink_task(&transfer->flying, task);
	transfer->flying_count--;
	task->exchange = NULL;
	if (task->request.body.length > 0 && task->call.answer.http.outcome != HTTP_ANSWERED)
		transfer->unanswered = true;
	if (verdict == S3_AGAIN)
	{
		task->next = transfer->waiting;
		transfer->waiting = task;
		return true;
	}
	/* A task that has failed never counts as finished: the transfer fails with it. */
	if (verdict != S3_DONE)
		return false;
	atomic_fetch_add(&transfer->stored, task->request.body.length);
	pthread_mutex_lock(&transfer->lock);
	append(&transfer->finished, task);
	pthread_mutex_unlock(&transfer->lock);
	tell(transfer);
	return true;
}

static void
cut(S3Transfer *transfer, bool whole_bodies_too)
{
	S3Task *next;

	for (S3Task *task = transfer->flying; task; task = next)
	{
		next = task->next;
		if (task->exchange && !whole_bodies_too && task->request.body.length > 0 &&
			http_body_is_sent(task->exchange))
			continue;
		if (task->exchange)
			http_end(task->exchange);
		task->exchange = NULL;
		transfer->unanswered |= task->request.body.length > 0;
		unlink_task(&transfer->flying, task);
	}
}

/*
 * Ends what is in flight.  A server that has a whole body acts on it although the
 * connection is gone, so the answer is waited for, a while.
 */
static void
end_flying(S3Transfer *transfer)
{
	int64_t deadline = monotonic_nanoseconds() + HTTP_LANDING_TIME;
	Failure ignored = {0};
	S3Task *task;

	cut(transfer, false);
	while (transfer->flying && monotonic_nanoseconds() < deadline &&
		   http_drive(transfer->client->http, 50, false, &ignored))
		while ((task = http_finished(transfer->client->http)) != NULL)
		{
			task->exchange = NULL;
			transfer->unanswered |= task->call.answer.http.outcome != HTTP_ANSWERED;
			unlink_task(&transfer->flying, task);
		}
	cut(transfer, true);
}

static void *
run(void *context)
{
	S3Transfer *transfer = context;
	Failure		failure = {0};
	S3Task	   *task;
	bool		fine = true;

	while (fine && take_submitted(transfer))
	{
		int wait = 1000;

		fine = launch_due(transfer, &wait, &failure) &&
			   http_drive(transfer->client->http, wait, false, &failure);
		while (fine && (task = http_finished(transfer->client->http)) != NULL)
			fine = land(transfer, task, &failure);
	}
	end_flying(transfer);
	if (!fine)
		s3_transfer_fail(transfer, &failure);
	return NULL;
}

/* ---- the caller's side ------------------------------------------------------------------------ */

S3Transfer *
s3_transfer_start(S3Client *client, int64_t parallel, Failure *failure)
{
	S3Transfer *transfer = calloc(1, sizeof(*transfer));

	if (!transfer)
	{
		failure_no_memory(failure);
		return NULL;
	}
	transfer->client = client;
	transfer->parallel = parallel;
	pthread_mutex_init(&transfer->lock, NULL);
	transfer->news = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (transfer->news < 0)
		failure_set_errno(failure, REASON_INTERNAL, "could not start the transfer thread");
	else if (thread_start(&transfer->thread, run, transfer, "the transfer thread", failure))
		return transfer;
	else
		close(transfer->news);
	pthread_mutex_destroy(&transfer->lock);
	free(transfer);
	return NULL;
}

void
s3_transfer_submit(S3Transfer *transfer, S3Task *task)
{
	task->call = (S3Call){.request = &task->request};
	task->exchange = NULL;
	pthread_mutex_lock(&transfer->lock);
	append(&transfer->submitted, task);
	pthread_mutex_unlock(&transfer->lock);
	http_wake(transfer->client->http);
}

static bool
take_finished(S3Transfer *transfer, S3Task **task, Failure *failure)
{
	bool fine;

	pthread_mutex_lock(&transfer->lock);
	fine = transfer->failure.reason == REASON_NONE;
	if (!fine)
		failure_set(failure, transfer->failure.reason, "%s", transfer->failure.detail);
	*task = fine ? transfer->finished.first : NULL;
	if (*task)
		transfer->finished.first = (*task)->next;
	pthread_mutex_unlock(&transfer->lock);
	return fine;
}

bool
s3_transfer_next(S3Transfer *transfer, bool wait, S3Task **task, Failure *failure)
{
	struct pollfd fds[] = {{.fd = transfer->news, .events = POLLIN}, {.fd = cancel_fd(), .events = POLLIN}};
	uint64_t	  count;
	ssize_t		  got;

	while (take_finished(transfer, task, failure))
	{
		if (cancel_requested())
			return cancel_failure(failure);
		if (*task || !wait)
			return true;
		if (poll(fds, 2, -1) < 0 && errno != EINTR)
			return failure_set_errno(failure, REASON_INTERNAL, "could not wait for the transfer");
		got = read(transfer->news, &count, sizeof(count));
		(void) got;
	}
	return false;
}

int64_t
s3_transfer_stored(const S3Transfer *transfer)
{
	return atomic_load(&transfer->stored);
}

bool
s3_transfer_stop(S3Transfer *transfer)
{
	bool all_answered;

	if (!transfer)
		return true;
	pthread_mutex_lock(&transfer->lock);
	transfer->stop = true;
	pthread_mutex_unlock(&transfer->lock);
	http_wake(transfer->client->http);
	pthread_join(transfer->thread, NULL);
	all_answered = !transfer->unanswered;
	close(transfer->news);
	pthread_mutex_destroy(&transfer->lock);
	free(transfer);
	return all_answered;
}
