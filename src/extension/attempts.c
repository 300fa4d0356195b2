/*
 * attempts.c
 *	  The attempts that this worker holds, as a list.
 */
#include "postgres.h"

#include <signal.h>

#include "lib/ilist.h"
#include "miscadmin.h"

#include "attempt.h"
#include "attempts.h"
#include "clock.h"

static dlist_head attempts = DLIST_STATIC_INIT(attempts);
static int		  count = 0;

int
attempts_count(void)
{
	return count;
}

pg_uuid_t *
attempts_held(int *held)
{
	pg_uuid_t *ids = palloc(Max(count, 1) * sizeof(pg_uuid_t));
	dlist_iter iter;

	*held = 0;
	dlist_foreach(iter, &attempts)
	{
		ids[(*held)++] = dlist_container(Attempt, node, iter.cur)->id;
	}
	return ids;
}

void
attempts_start(const ClaimedJob *job)
{
	dlist_push_tail(&attempts, &attempt_start(job)->node);
	count++;
}

void
attempts_watch(void)
{
	dlist_mutable_iter iter;

	dlist_foreach_modify(iter, &attempts)
	{
		Attempt *attempt = dlist_container(Attempt, node, iter.cur);

		if (!attempt_watch(attempt))
			continue;
		dlist_delete(&attempt->node);
		count--;
		attempt_free(attempt);
	}
}

bool
attempts_have_events(void)
{
	dlist_iter iter;

	dlist_foreach(iter, &attempts)
	{
		if (attempt_event_is_due(dlist_container(Attempt, node, iter.cur)))
			return true;
	}
	return false;
}

/* All whose events can go together; or the one that could not be recorded and has waited longest. */
static int
collect(Attempt **from, bool troubled)
{
	dlist_iter iter;
	int		   collected = 0;

	dlist_foreach(iter, &attempts)
	{
		Attempt *attempt = dlist_container(Attempt, node, iter.cur);

		if (!attempt_event_is_due(attempt) || (attempt->report_failures > 0) != troubled)
			continue;
		if (!troubled || collected == 0)
			from[collected++] = attempt;
		else if (attempt->report_at < from[0]->report_at)
			from[0] = attempt;
	}
	return collected;
}

static TxnResult
record(Attempt **from, int collected)
{
	EventReport *reports = palloc(Max(collected, 1) * sizeof(EventReport));
	TxnResult	 result;

	if (collected == 0)
		return TXN_COMMITTED;
	for (int i = 0; i < collected; i++)
	{
		reports[i].attempt = from[i]->id;
		reports[i].event = attempt_next_event(from[i]);
	}
	result = queue_report(reports, collected);
	for (int i = 0; i < collected; i++)
	{
		if (result == TXN_COMMITTED)
			attempt_recorded(from[i], reports[i].verdict);
		else
			attempt_not_recorded(from[i], collected > 1);
	}
	return result;
}

/*
 * One event of each attempt that has one goes in one transaction; when it fails they
 * go one by one, with pauses of their own, so that an attempt whose event cannot be
 * recorded (its row is locked) holds up no other's.
 */
TxnResult
attempts_report(void)
{
	Attempt **from = palloc(Max(count, 1) * sizeof(Attempt *));
	TxnResult result = record(from, collect(from, false));

	return result == TXN_COMMITTED ? record(from, collect(from, true)) : result;
}

void
attempts_retry_now(void)
{
	dlist_iter iter;

	dlist_foreach(iter, &attempts)
	{
		dlist_container(Attempt, node, iter.cur)->report_at = 0;
	}
}

TxnResult
attempts_renew(void)
{
	Attempt	 **from = palloc(Max(count, 1) * sizeof(Attempt *));
	Renewal	  *renewals = palloc(Max(count, 1) * sizeof(Renewal));
	int		   held = 0;
	dlist_iter iter;
	TxnResult  result;

	dlist_foreach(iter, &attempts)
	{
		Attempt *attempt = dlist_container(Attempt, node, iter.cur);

		if (attempt->concluded)
			continue;
		from[held] = attempt;
		renewals[held++].attempt = attempt->id;
	}
	if (held == 0)
		return TXN_COMMITTED;

	result = queue_renew(renewals, held);
	for (int i = 0; i < held && result == TXN_COMMITTED; i++)
		attempt_obey(from[i], renewals[i].verdict);
	return result;
}

int64
attempts_next_deadline(int64 limit)
{
	int64	   deadline = clock_ms() + limit;
	dlist_iter iter;

	dlist_foreach(iter, &attempts)
	{
		deadline = Min(deadline, attempt_deadline(dlist_container(Attempt, node, iter.cur)));
	}
	return Max(deadline - clock_ms(), 0);
}

int
attempts_descriptors(int *descriptors)
{
	int		   written = 0;
	dlist_iter iter;

	dlist_foreach(iter, &attempts)
	{
		Attempt *attempt = dlist_container(Attempt, node, iter.cur);

		/* A line that waits to be recorded holds the mover back: nothing is read behind it. */
		if (attempt->child.events >= 0 && attempt->events.line_length < 0)
			descriptors[written++] = attempt->child.events;
		if (attempt->child.errors >= 0)
			descriptors[written++] = attempt->child.errors;
	}
	return written;
}

static bool
all_reaped(void)
{
	bool	   reaped = true;
	dlist_iter iter;

	dlist_foreach(iter, &attempts)
	{
		reaped = child_reap(&dlist_container(Attempt, node, iter.cur)->child) && reaped;
	}
	return reaped;
}

static void
signal_all(int signal)
{
	dlist_iter iter;

	dlist_foreach(iter, &attempts)
	{
		child_signal(&dlist_container(Attempt, node, iter.cur)->child, signal);
	}
}

/* Called while the process exits, where a latch is of no use any more. */
void
attempts_end_all(int64 grace_ms)
{
	int64 kill_at = clock_ms() + grace_ms;

	signal_all(SIGTERM);
	while (!all_reaped() && clock_ms() < kill_at)
		pg_usleep(10000);
	signal_all(SIGKILL);

	/* The kernel ends them now; but a process in an uninterruptible sleep must not hold up the server's stop. */
	kill_at = clock_ms() + grace_ms;
	while (!all_reaped() && clock_ms() < kill_at)
		pg_usleep(10000);
}
