/*
 * attempt.h
 *	  One attempt that this worker holds: a mover, from claim to last word.
 *
 * Its way:
 *
 *		 claimed ──▶ RUNNING ─────────── its own last word ───────────▶ concluded
 *						│ │ └──▶ CANCELLING: SIGTERM, its last word counts ──▶│
 *						│ └──▶ ENDING: SIGTERM, we say why, its words do not ▶│
 *						└──▶ died without a last word: we say mover_lost ────▶│
 *
 * `concluded` means that the table knows the end: report() has said `ended`, or
 * the attempt is not ours any more.  What the worker says itself it says after the
 * process has been reaped.
 */
#ifndef ATTEMPT_H
#define ATTEMPT_H

#include "postgres.h"

#include "lib/ilist.h"

#include "child.h"
#include "events.h"
#include "queue.h"

#define NEVER PG_INT64_MAX

typedef enum AttemptState
{
	ATTEMPT_RUNNING,
	ATTEMPT_CANCELLING, /* asked to end; what it says still counts */
	ATTEMPT_ENDING		/* given up; reason and detail say why */
} AttemptState;

typedef struct Attempt
{
	dlist_node	 node;
	pg_uuid_t	 id;
	bool		 is_restore;
	Child		 child;
	EventReader	 events;
	ErrorTail	 errors;
	AttemptState state;
	bool		 concluded;
	const char	*reason; /* what we say when it is over */
	char		 detail[256];
	TargetState	 target;	 /* as the mover that we end tells */
	int64		 started_at; /* by clock_ms() */
	int64		 progress_at;
	int64		 kill_at;		  /* SIGKILL; NEVER: not yet decided */
	int			 report_failures; /* in a row: its event could not be recorded */
	int64		 report_at;		  /* and is not tried again before */
} Attempt;

/* Starts the mover.  Where it cannot be started the attempt says so as its last word. */
extern Attempt *attempt_start(const ClaimedJob *job);

/* Closes what is open and frees it.  Its process has been reaped. */
extern void attempt_free(Attempt *attempt);

/*
 * Hears and judges: reads what the mover said, enforces the limits, sees whether it
 * has gone.  True when it has, and the table knows: the attempt can be freed.
 */
extern bool attempt_watch(Attempt *attempt);

/* The next thing that the table should know, in this round's memory. */
extern const char *attempt_next_event(Attempt *attempt);

/* Is there one, and is its time to be recorded? */
extern bool attempt_event_is_due(const Attempt *attempt);

/* That event has been recorded, and this was the answer. */
extern void attempt_recorded(Attempt *attempt, Verdict verdict);

/* It could not be.  In company: by no fault of its own, maybe, so that it is tried alone at once. */
extern void attempt_not_recorded(Attempt *attempt, bool in_company);

extern void attempt_obey(Attempt *attempt, Verdict verdict);

/* When attempt_watch() has something to decide, or its event is due, by clock_ms(). */
extern int64 attempt_deadline(const Attempt *attempt);

#endif
