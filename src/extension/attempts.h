/*
 * attempts.h
 *	  The attempts that this worker holds: a mover each, from claim to last word.
 *
 * An attempt leaves the list when its process has been reaped and its end stands
 * in the table, never before: its row is `running` for as long as anything of it
 * may be alive, so that nothing else touches the same resource.
 */
#ifndef ATTEMPTS_H
#define ATTEMPTS_H

#include "postgres.h"

#include "queue.h"

extern int attempts_count(void);

/* Their ids, palloc'd; *count of them. */
extern pg_uuid_t *attempts_held(int *count);

extern void attempts_start(const ClaimedJob *job);

/* Read what movers said, reap those that ended, end those whose time is over. */
extern void attempts_watch(void);

/* Is there something to be recorded now? */
extern bool attempts_have_events(void);

/* Record one event of each attempt that has one.  After TXN_FAILED what is left is kept, for another try. */
extern TxnResult attempts_report(void);

/* What could not be recorded is tried again at once. */
extern void attempts_retry_now(void);

/* Renew the leases of those that run, and obey the verdicts. */
extern TxnResult attempts_renew(void);

/* Milliseconds until attempts_watch() or attempts_report() has something to do; at most limit. */
extern int64 attempts_next_deadline(int64 limit);

/* Descriptors to wait on, at most two an attempt; returns how many were written. */
extern int attempts_descriptors(int *descriptors);

/* SIGTERM to all, SIGKILL after a grace; returns when all are reaped. Raises no error. */
extern void attempts_end_all(int64 grace_ms);

#endif
