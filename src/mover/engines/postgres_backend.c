/*
 * postgres_backend.c
 *	  pg_stat_activity, pg_blocking_pids, txid_status.
 */
#include "postgres_backend.h"

#include <poll.h>
#include <stdio.h>
#include <string.h>

#include "clock.h"

#define FATE_SECONDS 60
#define LOOK_MS		 20
#define END_MS		 5000
#define TOOLS_MS	 2000

static PGresult *
ask_quietly(PostgresSession *session, const char *sql, const char *value)
{
	Failure ignored = {0};

	return session->connection != NULL ? postgres_ask(session, sql, &value, 1, REASON_INTERNAL, &ignored)
									   : NULL;
}

/* Those that hold locks have no process: pg_blocking_pids() says 0, pg_locks no pid at all. */
#define PREPARED_TRANSACTIONS                                                                                \
	"(SELECT pg_catalog.string_agg(pg_catalog.format('prepared transaction %L of role %s', gid, owner),"     \
	" ', ') FROM pg_catalog.pg_prepared_xacts WHERE database = pg_catalog.current_database())"

/* Of the statement only its command is told: the rest may be a customer's. */
static const char *const watch_sql =
	"SELECT a.state = 'active' AND COALESCE(a.wait_event_type, '') NOT IN ('Lock', 'Client'),"
	" pg_catalog.concat_ws(', ', COALESCE(pg_catalog.substring(a.query, '^[[:space:]]*([A-Z]+ [A-Z]+)'), "
	"'working'),"
	"  p.phase, CASE WHEN p.tuples_total > 0 THEN pg_catalog.format('%s of %s rows', p.tuples_done, "
	"p.tuples_total)"
	"  WHEN p.blocks_total > 0 THEN pg_catalog.format('%s of %s blocks', p.blocks_done, p.blocks_total) END),"
	" pg_catalog.concat_ws(', ',"
	"  (SELECT pg_catalog.string_agg(pg_catalog.format('pid %s (%s, %s)', b.pid, COALESCE(b.state, 'another "
	"role'),"
	"  COALESCE(NULLIF(b.application_name, ''), 'no application_name')), ', ')"
	"  FROM pg_catalog.pg_stat_activity b WHERE b.pid = ANY (pg_catalog.pg_blocking_pids(a.pid))),"
	"  CASE WHEN 0 = ANY (pg_catalog.pg_blocking_pids(a.pid)) THEN " PREPARED_TRANSACTIONS " END)"
	" FROM pg_catalog.pg_stat_activity a LEFT JOIN pg_catalog.pg_stat_progress_create_index p ON p.pid = "
	"a.pid"
	" WHERE a.pid = $1::pg_catalog.int4";

/* Servers before 12 show no progress of an index. */
static const char *const watch_before_12_sql =
	"SELECT a.state = 'active' AND COALESCE(a.wait_event_type, '') NOT IN ('Lock', 'Client'),"
	" COALESCE(pg_catalog.substring(a.query, '^[[:space:]]*([A-Z]+ [A-Z]+)'), 'working'),"
	" pg_catalog.array_to_string(pg_catalog.pg_blocking_pids(a.pid), ', ')"
	" FROM pg_catalog.pg_stat_activity a WHERE a.pid = $1::pg_catalog.int4";

void
postgres_watch_backend(PostgresSession *session, const char *pid, Report *report, PostgresBlockers *blockers)
{
	PGresult *result =
		ask_quietly(session, session->version >= 120000 ? watch_sql : watch_before_12_sql, pid);

	if (result != NULL && PQntuples(result) == 1)
	{
		if (postgres_value(result, 0, 0)[0] == 't')
			report_alive(report, postgres_value(result, 0, 1));
		if (postgres_value(result, 0, 2)[0] != '\0')
			snprintf(blockers->text, sizeof(blockers->text), "%s", postgres_value(result, 0, 2));
	}
	PQclear(result);
}

bool
postgres_find_lockers(PostgresSession *session, PostgresBlockers *blockers)
{
	PGresult *result = ask_quietly(
		session,
		"WITH l AS (SELECT pid FROM pg_catalog.pg_locks WHERE locktype = 'relation' AND granted"
		" AND mode = $1 AND database = (SELECT oid FROM pg_catalog.pg_database WHERE datname = "
		"pg_catalog.current_database()))"
		" SELECT NULLIF(pg_catalog.concat_ws(', ',"
		" (SELECT pg_catalog.string_agg(DISTINCT pg_catalog.format('pid %s (%s, %s)', a.pid,"
		" COALESCE(a.state, 'another role'), COALESCE(NULLIF(a.application_name, ''), 'no "
		"application_name')), ', ')"
		" FROM l JOIN pg_catalog.pg_stat_activity a ON a.pid = l.pid),"
		" CASE WHEN EXISTS (SELECT FROM l WHERE pid IS NULL) THEN " PREPARED_TRANSACTIONS " END), '')",
		"AccessExclusiveLock");
	bool found = result != NULL && PQntuples(result) == 1 && !PQgetisnull(result, 0, 0);

	if (found)
		snprintf(blockers->text, sizeof(blockers->text), "%s", postgres_value(result, 0, 0));
	PQclear(result);
	return found;
}

void
postgres_watch_dump(PostgresSession *session, Report *report)
{
	PGresult *result = ask_quietly(
		session,
		"SELECT 'pg_dump works: ' || COALESCE(wait_event, 'reading') FROM pg_catalog.pg_stat_activity"
		" WHERE application_name = $1 AND usename = SESSION_USER AND datname = pg_catalog.current_database()"
		" AND pid <> pg_catalog.pg_backend_pid() AND state = 'active'"
		" AND COALESCE(wait_event_type, '') NOT IN ('Lock', 'Client') LIMIT 1",
		POSTGRES_APPLICATION_NAME);

	if (result != NULL && PQntuples(result) == 1)
		report_alive(report, postgres_value(result, 0, 0));
	PQclear(result);
}

/* NULL: the server does not say. */
static const char *
ask_status(PostgresSession *session, const char *transaction, char *buffer, size_t size)
{
	PGresult *result =
		ask_quietly(session, "SELECT pg_catalog.txid_status($1::pg_catalog.int8)", transaction);
	bool told = result != NULL && PQntuples(result) == 1 && !PQgetisnull(result, 0, 0);

	if (told)
		snprintf(buffer, size, "%s", postgres_value(result, 0, 0));
	PQclear(result);
	return told ? buffer : NULL;
}

PostgresFate
postgres_ask_fate(PostgresSession *session, const PostgresUrl *url, const Settings *settings,
				  const char *transaction)
{
	int64_t deadline = clock_milliseconds() + FATE_SECONDS * 1000;
	char	buffer[32];

	for (;;)
	{
		const char *status = ask_status(session, transaction, buffer, sizeof(buffer));
		Failure		ignored = {0};

		if (status != NULL && strcmp(status, "committed") == 0)
			return POSTGRES_FATE_COMMITTED;
		if (status != NULL && strcmp(status, "aborted") == 0)
			return POSTGRES_FATE_ABORTED;
		if (clock_milliseconds() >= deadline)
			return POSTGRES_FATE_UNKNOWN;
		(void) poll(NULL, 0, 200);
		/* Its backend may still be at it ("in progress"), or the server may be coming back. */
		if (status == NULL)
			(void) postgres_reconnect(session, url, settings, &ignored);
	}
}

/* Until the query has no row, or the time is over. */
static void
wait_for_none(PostgresSession *session, const char *sql, const char *value, int64_t milliseconds)
{
	int64_t deadline = clock_milliseconds() + milliseconds;
	bool	gone = false;

	while (!gone && clock_milliseconds() < deadline)
	{
		PGresult *left = ask_quietly(session, sql, value);

		gone = left == NULL || PQntuples(left) == 0;
		PQclear(left);
		if (!gone)
			(void) poll(NULL, 0, LOOK_MS);
	}
}

void
postgres_end_backend(PostgresSession *session, const char *pid)
{
	PGresult *result =
		ask_quietly(session,
					"SELECT pg_catalog.pg_terminate_backend(pid) FROM pg_catalog.pg_stat_activity"
					" WHERE pid = $1::pg_catalog.int4 AND application_name = '" POSTGRES_APPLICATION_NAME "'",
					pid);
	bool asked = result != NULL;

	PQclear(result);
	if (asked)
		wait_for_none(session, "SELECT FROM pg_catalog.pg_stat_activity WHERE pid = $1::pg_catalog.int4", pid,
					  END_MS);
}

void
postgres_await_tools(PostgresSession *session)
{
	wait_for_none(session,
				  "SELECT FROM pg_catalog.pg_stat_activity WHERE application_name = $1"
				  " AND usename = SESSION_USER AND datname = pg_catalog.current_database()"
				  " AND pid <> pg_catalog.pg_backend_pid()",
				  POSTGRES_APPLICATION_NAME, TOOLS_MS);
}

/*
 * Sent, and not waited for: the backend finishes it without us.  Tables that are
 * not ours would be answered by warnings, and one that cannot be delivered ends it.
 * The restore is over: the next one does not wait for it.
 */
void
postgres_analyze(PostgresSession *session)
{
	PGresult *result = ask_quietly(session,
								   "SELECT pg_catalog.set_config('client_min_messages', 'error', false),"
								   " pg_catalog.set_config('statement_timeout', $1, false),"
								   " pg_catalog.pg_advisory_unlock_all()",
								   "0");

	if (result != NULL && PQsendQuery(session->connection, "ANALYZE"))
		(void) PQflush(session->connection);
	PQclear(result);
}
