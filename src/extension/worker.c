/*
 * worker.c
 *	  The worker's loop: hear the movers, look at the queue, sleep until the next thing.
 *
 * Every call of SQL is a short transaction that may fail without harm (txn.c):
 * it is tried again with growing pauses while the movers go on.  Jobs are
 * committed as `running` before their processes start, and forgotten only after
 * their end is committed, so that whenever this process dies the table knows
 * more than it did, and claim() puts right what is left.
 */
#include "postgres.h"

#include <signal.h>

#include "miscadmin.h"
#include "pgstat.h"
#include "postmaster/interrupt.h"
#include "storage/ipc.h"
#include "storage/latch.h"
#include "storage/lock.h"
#include "tcop/tcopprot.h"
#include "utils/guc.h"
#include "utils/memutils.h"

#include "attempts.h"
#include "clock.h"
#include "compat.h"
#include "leases.h"
#include "queue.h"
#include "settings.h"
#include "shared.h"
#include "txn.h"
#include "worker.h"

/* What nobody wakes us for is seen after this: a changed clock, COMMIT PREPARED. */
#define LONGEST_SLEEP_MS	 60000
#define RENEW_INTERVAL_MS	 10000
#define SCHEDULE_INTERVAL_MS 60000
#define SHUTDOWN_GRACE_MS	 2000
#define SECOND_WORKER_MS	 5000
#define REPORTS_A_ROUND		 64
#define LOOKS_A_LEASE		 6

/* When something is to be done next, and how often it has failed in a row. */
typedef struct Pace
{
	int64 due; /* by clock_ms() */
	int	  failures;
} Pace;

static Pace	  claiming;
static Pace	  renewing;
static Pace	  scheduling;
static Pace	  observing;
static uint32 requests_seen;
static int	  fruitless_looks; /* in a row, although something seemed due */

static char			*database_at_start;
static char			*role_at_start;
static uint32		 wait_event;
static WaitEventSet *wait_set = NULL;

static void
sigchld(SIGNAL_ARGS)
{
	int saved_errno = errno;

	(void) postgres_signal_arg;
	SetLatch(MyLatch);
	errno = saved_errno;
}

/* Before the lock and the connection go: whoever gets the lock next finds nothing of ours alive. */
static void
end_attempts_at_exit(int code, Datum argument)
{
	(void) code;
	(void) argument;
	attempts_end_all(SHUTDOWN_GRACE_MS);
}

static void
leave(const char *why)
{
	ereport(LOG, (errmsg("custbackup worker leaves: %s", why)));
	proc_exit(0);
}

/* The launcher waits for what is missing, and says so. */
static void
leave_if_missing(TxnResult result)
{
	if (result == TXN_NO_EXTENSION)
		leave("the extension has been dropped");
	if (result == TXN_NO_ROLE)
		leave("its role has been dropped");
}

/* Plans the next time after success or failure. */
static bool
paced(Pace *pace, TxnResult result, int64 interval_ms)
{
	leave_if_missing(result);
	if (result == TXN_COMMITTED)
	{
		pace->failures = 0;
		pace->due = clock_ms() + interval_ms;
		return true;
	}
	pace->due = clock_ms() + clock_pause_ms(++pace->failures);
	return false;
}

static bool
is_due(const Pace *pace)
{
	return clock_ms() >= pace->due;
}

/* A request makes it due at once, unless it has just failed. */
static void
hasten(Pace *pace)
{
	if (pace->failures == 0)
		pace->due = 0;
}

/* Hear what the movers say until there is nothing more to record. */
static void
hear_movers(void)
{
	int held = attempts_count();

	attempts_watch();
	for (int i = 0; i < REPORTS_A_ROUND && attempts_have_events(); i++)
	{
		TxnResult result = attempts_report();

		leave_if_missing(result);
		attempts_watch();
		if (result != TXN_COMMITTED)
			break; /* it may have waited for a lock: the leases come first */
	}
	if (attempts_count() < held)
		hasten(&claiming); /* a slot is free */
}

static void
renew_leases(void)
{
	if (attempts_count() > 0 && is_due(&renewing))
		paced(&renewing, attempts_renew(), RENEW_INTERVAL_MS);
}

/* Claims and starts; returns false when there was nothing to claim. */
static bool
claim_jobs(void)
{
	int		   held;
	pg_uuid_t *holding = attempts_held(&held);
	List	  *claimed;
	ListCell  *cell;

	if (!paced(&claiming, queue_claim(Max(setting_max_jobs - held, 0), holding, held, &claimed),
			   LONGEST_SLEEP_MS))
		return false;
	foreach (cell, claimed)
		attempts_start(lfirst(cell));
	return claimed != NIL;
}

/*
 * When to look again.  What seems due although nothing could be claimed (it is
 * locked, or schedule() has yet to enqueue it) is looked for with growing pauses.
 */
static void
plan_next_look(bool fruitful)
{
	int64 wait;

	fruitless_looks = fruitful ? 0 : fruitless_looks;
	if (attempts_count() >= setting_max_jobs)
		return; /* the next end of a job makes us look */
	if (queue_next_wake(LONGEST_SLEEP_MS, &wait) != TXN_COMMITTED)
		return;
	if (wait <= 0)
	{
		wait = Min(INT64CONST(250) << fruitless_looks, LONGEST_SLEEP_MS);
		fruitless_looks = Min(fruitless_looks + 1, 8);
	}
	claiming.due = clock_ms() + wait;
}

static void
look_at_queue(void)
{
	uint32 requests = shared_requests();
	bool   fruitful;
	int	   enqueued;

	/* A request may be to cancel: the leases tell. */
	if (requests != requests_seen)
	{
		hasten(&renewing);
		hasten(&claiming);
		fruitless_looks = 0;
	}
	requests_seen = requests;

	renew_leases();
	if (!is_due(&claiming) && !is_due(&scheduling))
		return;

	fruitful = is_due(&claiming) && claim_jobs();
	if (is_due(&scheduling) && paced(&scheduling, queue_schedule(&enqueued), SCHEDULE_INTERVAL_MS) &&
		enqueued > 0)
		fruitful = claim_jobs() || fruitful;
	if (claiming.failures == 0)
		plan_next_look(fruitful);
}

/* Runners on other hosts: looked at often only while there are any. */
static void
watch_others(void)
{
	int others;

	if (is_due(&observing) && paced(&observing, leases_watch(&others), LONGEST_SLEEP_MS) && others > 0)
		observing.due = clock_ms() + setting_lease_timeout * INT64CONST(1000) / LOOKS_A_LEASE;
}

static int64
time_to_sleep(void)
{
	int64 now = clock_ms();
	int64 until = Min(Min(claiming.due, scheduling.due), observing.due);

	if (attempts_count() > 0)
		until = Min(until, renewing.due);
	return attempts_next_deadline(Min(Max(until - now, 0), LONGEST_SLEEP_MS));
}

/* On the latch (requests, SIGCHLD, SIGHUP), on every mover's pipes, and on the postmaster's death. */
static void
sleep_until_needed(void)
{
	int64	  milliseconds = time_to_sleep();
	int		 *descriptors = palloc(Max(2 * attempts_count(), 1) * sizeof(int));
	int		  count = attempts_descriptors(descriptors);
	WaitEvent event;

	/* One that an error left behind */
	if (wait_set)
		FreeWaitEventSet(wait_set);
	wait_set = NULL;
	wait_set = CREATE_WAIT_EVENT_SET(count + 2);
	AddWaitEventToSet(wait_set, WL_LATCH_SET, PGINVALID_SOCKET, MyLatch, NULL);
	AddWaitEventToSet(wait_set, WL_EXIT_ON_PM_DEATH, PGINVALID_SOCKET, NULL, NULL);
	for (int i = 0; i < count; i++)
		AddWaitEventToSet(wait_set, WL_SOCKET_READABLE, descriptors[i], NULL, NULL);
	WaitEventSetWait(wait_set, (long) milliseconds, &event, 1, wait_event);
	FreeWaitEventSet(wait_set);
	wait_set = NULL;
}

/* An administrator has changed something: all is looked at anew, and what failed is tried at once. */
static void
reload_settings(void)
{
	static const Pace now = {0};

	if (!ConfigReloadPending)
		return;
	ConfigReloadPending = false;
	ProcessConfigFile(PGC_SIGHUP);
	if (strcmp(setting_database, database_at_start) != 0 || strcmp(setting_role, role_at_start) != 0)
		leave("custbackup.database or custbackup.role has changed");
	claiming = renewing = scheduling = observing = now;
	attempts_retry_now();
}

static void
serve(void *argument)
{
	(void) argument;
	ResetLatch(MyLatch);
	CHECK_FOR_INTERRUPTS();
	reload_settings();
	hear_movers();
	look_at_queue();
	watch_others();
	sleep_until_needed();
}

/*
 * One worker a database.  An advisory lock of a kind that no SQL function can
 * take, so that nobody can lock us out; held until the very end.
 */
static void
become_the_only_one(void)
{
	LOCKTAG tag;
	bool	said = false;

	SET_LOCKTAG_ADVISORY(tag, MyDatabaseId, 0x63757374, 0x62616b70, 3);
	while (LockAcquire(&tag, ExclusiveLock, true, true) == LOCKACQUIRE_NOT_AVAIL)
	{
		if (!said)
			ereport(LOG, (errmsg("custbackup worker waits: another one serves this database")));
		said = true;
		(void) WaitLatch(MyLatch, WL_LATCH_SET | WL_TIMEOUT | WL_EXIT_ON_PM_DEATH, SECOND_WORKER_MS,
						 wait_event);
		ResetLatch(MyLatch);
		CHECK_FOR_INTERRUPTS();
		reload_settings();
	}
}

static void
start_up(Oid database)
{
	Oid role;

	memcpy(&role, MyBgworkerEntry->bgw_extra, sizeof(role));
	pqsignal(SIGHUP, SignalHandlerForConfigReload);
	pqsignal(SIGCHLD, sigchld);
	/* SIGTERM stays die(): an interrupt anywhere, even in a statement, ends us by way of the exit callback. */
	pqsignal(SIGTERM, die);
	BackgroundWorkerUnblockSignals();
	ConfigReloadPending = true; /* a SIGHUP before this was ignored */

	BackgroundWorkerInitializeConnectionByOid(database, role, CONNECTION_FLAGS);
	before_shmem_exit(end_attempts_at_exit, (Datum) 0);
	wait_event = NEW_WAIT_EVENT("CustbackupWorker");
	database_at_start = MemoryContextStrdup(TopMemoryContext, setting_database);
	role_at_start = MemoryContextStrdup(TopMemoryContext, setting_role);
	txn_pin_settings();
	become_the_only_one();
	shared_publish(SHARED_WORKER);
	pgstat_report_activity(STATE_IDLE, NULL);
}

void
custbackup_worker_main(Datum database)
{
	MemoryContext round;

	start_up(DatumGetObjectId(database));
	round = AllocSetContextCreate(TopMemoryContext, "custbackup round", ALLOCSET_DEFAULT_SIZES);
	MemoryContextSwitchTo(round);
	ereport(LOG, (errmsg("custbackup worker started for database \"%s\"", database_at_start)));

	for (;;)
	{
		if (!txn_survive(serve, NULL))
			(void) WaitLatch(MyLatch, WL_TIMEOUT | WL_EXIT_ON_PM_DEATH, 1000, wait_event);
		MemoryContextSwitchTo(round);
		MemoryContextReset(round);
	}
}
