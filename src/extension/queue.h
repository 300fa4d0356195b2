/*
 * queue.h
 *	  The runner's functions of schema custbackup (docs/protocol.md), called from C.
 *
 * Each function is one transaction.  What it returns is palloc'd in the context
 * it was called in.  A result of TXN_FAILED means that nothing happened and that
 * the reason is in the log.
 */
#ifndef QUEUE_H
#define QUEUE_H

#include "postgres.h"

#include "datatype/timestamp.h"
#include "nodes/pg_list.h"
#include "utils/uuid.h"

#include "txn.h"

/*
 * The one runner of this queue that lives in its server.  A constant: a session
 * lock keeps a second one out, and after a promotion the standby's worker frees
 * what the lost primary's had held.
 */
#define RUNNER_NAME "control-plane"

typedef struct ClaimedJob
{
	pg_uuid_t attempt;
	bool	  is_restore;
	char	 *job; /* the mover's input, UTF-8 */
} ClaimedJob;

typedef enum Verdict
{
	VERDICT_CONTINUE,
	VERDICT_ENDED,	/* that was the attempt's last word */
	VERDICT_KILL,	/* the attempt has failed, or is not ours */
	VERDICT_CANCEL, /* somebody asked for its end */
	VERDICT_LOST	/* not ours any more */
} Verdict;

/* One event of one attempt; verdict is filled in. */
typedef struct EventReport
{
	pg_uuid_t	attempt;
	const char *event; /* UTF-8 */
	Verdict		verdict;
} EventReport;

/* One attempt whose lease is renewed; VERDICT_LOST when renew() does not name it. */
typedef struct Renewal
{
	pg_uuid_t attempt;
	Verdict	  verdict;
} Renewal;

/* Another runner's attempt, and the counter that its runner moves on. */
typedef struct Lease
{
	pg_uuid_t attempt;
	int64	  renewals;
} Lease;

/* Claims at most `slots` jobs; what stands under our name and is not in `holding` goes back first. */
extern TxnResult queue_claim(int slots, const pg_uuid_t *holding, int holding_count, List **claimed);

extern TxnResult queue_report(EventReport *reports, int count);
extern TxnResult queue_renew(Renewal *renewals, int count);
extern TxnResult queue_schedule(int *enqueued);

/* Milliseconds until something is next to be done; at most `limit`. */
extern TxnResult queue_next_wake(int64 limit, int64 *milliseconds);

/* The leases of other runners: a List of Lease. */
extern TxnResult queue_leases(List **leases);

/* Takes the attempt from its runner, unless it has renewed the lease meanwhile. */
extern TxnResult queue_give_back(const Lease *lease, bool *given);

#endif
