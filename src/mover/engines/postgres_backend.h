/*
 * postgres_backend.h
 *	  The restore's backend, seen from our second connection.
 *
 * Nothing here fails a restore: what cannot be learned is not said.
 */
#ifndef POSTGRES_BACKEND_H
#define POSTGRES_BACKEND_H

#include "postgres_connect.h"
#include "report.h"

/* Who was last seen in the way: "pid 4711 (idle in transaction, psql)"; "": nobody. */
typedef struct PostgresBlockers
{
	char text[512];
} PostgresBlockers;

/*
 * One look: says report_alive() when the backend works (an index build moves not one
 * byte for minutes), and remembers who blocks it.
 */
extern void postgres_watch_backend(PostgresSession *session, const char *pid, Report *report,
								   PostgresBlockers *blockers);

/* Who holds a lock that keeps even pg_dump out?  False: nobody. */
extern bool postgres_find_lockers(PostgresSession *session, PostgresBlockers *blockers);

/* A look at pg_dump, whose backend is known by role and application_name. */
extern void postgres_watch_dump(PostgresSession *session, Report *report);

typedef enum PostgresFate
{
	POSTGRES_FATE_UNKNOWN, /* nobody can tell */
	POSTGRES_FATE_COMMITTED,
	POSTGRES_FATE_ABORTED
} PostgresFate;

/* What became of a transaction; connects anew where that is needed, for up to a minute. */
extern PostgresFate postgres_ask_fate(PostgresSession *session, const PostgresUrl *url,
									  const Settings *settings, const char *transaction);

/* Ends a backend that may still work on what will be rolled back, and waits until it is gone (5 s). */
extern void postgres_end_backend(PostgresSession *session, const char *pid);

/*
 * A tool that has ended is counted until its backend has, too: waits for that (2 s), so that
 * the next one finds its place where the role may connect twice.  Not while one is at work.
 */
extern void postgres_await_tools(PostgresSession *session);

/* Statistics for the planner, after the commit. */
extern void postgres_analyze(PostgresSession *session);

#endif
