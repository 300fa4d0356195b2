/*
 * attempt.c
 *	  Watching one mover.
 */
#include "postgres.h"

#include <signal.h>
#include <sys/wait.h>

#include "fmgr.h"
#include "miscadmin.h"
#include "utils/fmgrprotos.h"
#include "utils/memutils.h"
#include "utils/uuid.h"

#include "attempt.h"
#include "clock.h"
#include "settings.h"

#define CANCEL_GRACE_MS	   5000
#define LAST_WORD_GRACE_MS 5000 /* from a mover's last word to its exit */
#define LINES_A_ROUND	   64	/* that nobody listens to, of one mover */

static const char *
id_text(const Attempt *attempt)
{
	return DatumGetCString(DirectFunctionCall1(uuid_out, UUIDPGetDatum(&attempt->id)));
}

static void give_up(Attempt *attempt, const char *reason, const char *format, ...)
	__attribute__((format(printf, 3, 4)));

/* Ends a mover that does not end itself.  The first decision stands. */
static void
give_up(Attempt *attempt, const char *reason, const char *format, ...)
{
	va_list arguments;

	if (attempt->state == ATTEMPT_ENDING || attempt->concluded)
		return;
	va_start(arguments, format);
	vsnprintf(attempt->detail, sizeof(attempt->detail), format, arguments);
	va_end(arguments);
	attempt->reason = reason;
	attempt->state = ATTEMPT_ENDING;
	attempt->kill_at = Min(attempt->kill_at, clock_ms() + CANCEL_GRACE_MS);
	child_signal(&attempt->child, SIGTERM);
	ereport(LOG, (errmsg("custbackup: ending attempt %s: %s", id_text(attempt), attempt->detail)));
}

/* What can be done about it, and whose matter it is. */
static void
start_failed(Attempt *attempt, const char *path, int error)
{
	const char *remedy = "";

	attempt->state = ATTEMPT_ENDING;
	attempt->reason = "internal";
	switch (error)
	{
		case ENOENT:
		case EACCES:
		case ENOTDIR:
		case ENOEXEC:
		case ELOOP:
			attempt->reason = "config";
			remedy = "; see custbackup.mover";
			break;
		case EMFILE:
			remedy = "; lower custbackup.max_jobs or raise max_files_per_process";
			break;
		case EAGAIN:
		case ENOMEM:
			remedy = "; lower custbackup.max_jobs";
			break;
	}
	snprintf(attempt->detail, sizeof(attempt->detail), "cannot start %s: %s%s", path, strerror(error),
			 remedy);
	ereport(LOG, (errmsg("custbackup: %s", attempt->detail)));
}

Attempt *
attempt_start(const ClaimedJob *job)
{
	Attempt		 *attempt = MemoryContextAllocZero(TopMemoryContext, sizeof(Attempt));
	MemoryContext old = MemoryContextSwitchTo(TopMemoryContext);
	char		 *path;
	char		 *settings;

	events_init(&attempt->events);
	MemoryContextSwitchTo(old);

	attempt->id = job->attempt;
	attempt->is_restore = job->is_restore;
	attempt->started_at = attempt->progress_at = clock_ms();
	attempt->kill_at = NEVER;

	path = settings_mover_path();
	settings = settings_for_mover(MyProcPid);
	if (!child_start(&attempt->child, path, job->job, settings))
		start_failed(attempt, path, errno);
	ereport(DEBUG1,
			(errmsg("custbackup: attempt %s is process %d", id_text(attempt), (int) attempt->child.pid)));
	pfree(path);
	pfree(settings);
	return attempt;
}

void
attempt_free(Attempt *attempt)
{
	child_close_events(&attempt->child);
	child_close_errors(&attempt->child);
	events_free(&attempt->events);
	pfree(attempt);
}

/* Do its words still move its row? */
static bool
is_heard(const Attempt *attempt)
{
	return attempt->state != ATTEMPT_ENDING && !attempt->concluded;
}

static bool
read_events(Attempt *attempt)
{
	bool more = attempt->child.events >= 0 && events_read(&attempt->events, attempt->child.events);

	/*
	 * Its words move nothing any more: read on, so that it does not block on a full
	 * pipe, and for what a restore that was ended leaves behind.
	 */
	for (int lines = 0; lines < LINES_A_ROUND && !is_heard(attempt) && events_line(&attempt->events); lines++)
	{
		if (attempt->is_restore && events_target_state(&attempt->events) != TARGET_UNKNOWN)
			attempt->target = events_target_state(&attempt->events);
		events_consume(&attempt->events);
		if (more)
			more = events_read(&attempt->events, attempt->child.events);
	}
	return more;
}

static void
read_mover(Attempt *attempt)
{
	bool more = read_events(attempt);

	if (attempt->events.illegal)
	{
		give_up(attempt, "protocol", "%s", attempt->events.illegal);
		more = false;
	}
	if (!more)
		child_close_events(&attempt->child);
	if (attempt->child.errors >= 0 && !error_tail_read(&attempt->errors, attempt->child.errors))
		child_close_errors(&attempt->child);
}

static int64
time_limit(const Attempt *attempt)
{
	return (attempt->is_restore ? setting_restore_timeout : setting_backup_timeout) * INT64CONST(1000);
}

static int64
stalled_at(const Attempt *attempt)
{
	/* While a line waits to be recorded it is not the mover that holds things up. */
	return attempt->events.line_length >= 0 ? NEVER
											: attempt->progress_at + setting_stall_timeout * INT64CONST(1000);
}

static void
enforce_limits(Attempt *attempt)
{
	int64 now = clock_ms();

	if (attempt->state == ATTEMPT_RUNNING && !attempt->concluded)
	{
		if (now >= attempt->started_at + time_limit(attempt))
			give_up(attempt, "timeout", "not done after %d s, which is the limit (custbackup.%s_timeout)",
					(int) (time_limit(attempt) / 1000), attempt->is_restore ? "restore" : "backup");
		else if (now >= stalled_at(attempt))
			give_up(attempt, "stalled", "no progress for %d s, which is the limit (custbackup.stall_timeout)",
					setting_stall_timeout);
	}
	if (now >= attempt->kill_at)
	{
		child_signal(&attempt->child, SIGKILL);
		attempt->kill_at = NEVER;
	}
}

/* What it left in its pipes counts; that a grandchild may hold them open does not. */
static void
judge_exit(Attempt *attempt)
{
	int status = attempt->child.status;

	if (attempt->events.line_length >= 0)
		return; /* more to be recorded first */
	child_close_events(&attempt->child);
	child_close_errors(&attempt->child);
	if (attempt->concluded || attempt->reason)
		return;

	attempt->reason = attempt->state == ATTEMPT_CANCELLING ? "cancelled" : "mover_lost";
	attempt->state = ATTEMPT_ENDING;
	if (WIFSIGNALED(status))
		snprintf(attempt->detail, sizeof(attempt->detail), "the mover was killed by signal %d (%s)",
				 WTERMSIG(status), pg_strsignal(WTERMSIG(status)));
	else
		snprintf(attempt->detail, sizeof(attempt->detail),
				 "the mover exited with status %d without a last word", WEXITSTATUS(status));
	ereport(LOG, (errmsg("custbackup: attempt %s: %s", id_text(attempt), attempt->detail)));
}

bool
attempt_watch(Attempt *attempt)
{
	bool gone = child_reap(&attempt->child);

	/* In this order: what it said before it went is all in the pipe by now. */
	read_mover(attempt);
	enforce_limits(attempt);
	if (gone)
		judge_exit(attempt);
	return gone && attempt->concluded;
}

static bool
has_line(const Attempt *attempt)
{
	return is_heard(attempt) && attempt->events.line_length >= 0;
}

/* Its process is gone, and we have to say why. */
static bool
needs_last_word(const Attempt *attempt)
{
	return !attempt->concluded && attempt->child.pid == 0 && attempt->reason;
}

const char *
attempt_next_event(Attempt *attempt)
{
	if (has_line(attempt))
		return events_line(&attempt->events);
	return events_failed(attempt->reason, attempt->detail, &attempt->errors, attempt->target);
}

static bool
has_event(const Attempt *attempt)
{
	return has_line(attempt) || needs_last_word(attempt);
}

bool
attempt_event_is_due(const Attempt *attempt)
{
	return has_event(attempt) && clock_ms() >= attempt->report_at;
}

static void
conclude(Attempt *attempt, int64 grace_ms)
{
	attempt->concluded = true;
	if (grace_ms == 0)
		child_signal(&attempt->child, SIGKILL);
	else
		attempt->kill_at = Min(attempt->kill_at, clock_ms() + grace_ms);
}

void
attempt_obey(Attempt *attempt, Verdict verdict)
{
	switch (verdict)
	{
		case VERDICT_CONTINUE:
			break;
		case VERDICT_ENDED:
			conclude(attempt, LAST_WORD_GRACE_MS);
			break;
		case VERDICT_KILL:
		case VERDICT_LOST:
			/* The resource may be another attempt's by now: no grace. */
			ereport(LOG, (errmsg("custbackup: killing attempt %s: the queue does not want it to go on",
								 id_text(attempt))));
			conclude(attempt, 0);
			break;
		case VERDICT_CANCEL:
			if (attempt->state != ATTEMPT_RUNNING)
				break;
			attempt->state = ATTEMPT_CANCELLING;
			attempt->kill_at = Min(attempt->kill_at, clock_ms() + CANCEL_GRACE_MS);
			child_signal(&attempt->child, SIGTERM);
			break;
	}
}

void
attempt_not_recorded(Attempt *attempt, bool in_company)
{
	attempt->report_failures++;
	attempt->report_at = clock_ms() + (in_company ? 0 : clock_pause_ms(attempt->report_failures));
}

void
attempt_recorded(Attempt *attempt, Verdict verdict)
{
	attempt->report_failures = 0;
	attempt->report_at = 0;
	if (has_line(attempt))
	{
		if (events_show_progress(&attempt->events))
			attempt->progress_at = clock_ms();
		events_consume(&attempt->events);
		attempt_obey(attempt, verdict);
		return;
	}
	/* It was our own last word about a process that is gone: whatever the answer, this is the end. */
	conclude(attempt, LAST_WORD_GRACE_MS);
}

int64
attempt_deadline(const Attempt *attempt)
{
	int64 deadline = has_event(attempt) ? Min(attempt->kill_at, attempt->report_at) : attempt->kill_at;

	if (attempt->state == ATTEMPT_RUNNING && !attempt->concluded)
	{
		deadline = Min(deadline, attempt->started_at + time_limit(attempt));
		deadline = Min(deadline, stalled_at(attempt));
	}
	return deadline;
}
