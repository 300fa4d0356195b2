/*
 * postgres_ask.c
 *	  One question to a server and its answer, without ever waiting for it alone.
 */
#include "postgres_connect.h"

#include <errno.h>
#include <poll.h>
#include <string.h>

#include "cancel.h"
#include "clock.h"

/* Waits for the socket; false: cancelled, or the time is over (then the failure is not set). */
bool
postgres_wait(const PostgresSession *session, short events, int64_t deadline, bool *in_time, Failure *failure)
{
	struct pollfd fds[2] = {{.fd = PQsocket(session->connection), .events = events},
							{.fd = session->uncancellable ? -1 : cancel_fd(), .events = POLLIN}};
	int64_t		  left;

	*in_time = true;
	do
	{
		left = deadline - clock_milliseconds();
		if (left <= 0)
		{
			*in_time = false;
			return true;
		}
		if (poll(fds, 2, (int) left) < 0 && errno != EINTR)
			return failure_set_errno(failure, REASON_INTERNAL, "could not wait for a server");
		if (!session->uncancellable && cancel_requested())
			return cancel_failure(failure);
	} while (fds[0].revents == 0);
	return true;
}

const char *
postgres_value(const PGresult *result, int row, int column)
{
	const char *value = PQgetvalue(result, row, column);

	return value != NULL ? value : "";
}

static PGresult *
question_failed(PGresult *result, PGconn *connection, FailureReason otherwise, Failure *failure)
{
	const char *sqlstate = result != NULL ? PQresultErrorField(result, PG_DIAG_SQLSTATE) : NULL;
	const char *message = result != NULL ? PQresultErrorField(result, PG_DIAG_MESSAGE_PRIMARY) : NULL;

	if (sqlstate == NULL || PQstatus(connection) == CONNECTION_BAD)
		failure_set(failure, REASON_UNREACHABLE, "the server was lost: %s",
					result != NULL ? PQresultErrorMessage(result) : PQerrorMessage(connection));
	else
		failure_set(failure, strcmp(sqlstate, "42501") == 0 ? REASON_AUTH : otherwise,
					"the server answered a question with an error: %s (%s)", message != NULL ? message : "",
					sqlstate);
	PQclear(result);
	return NULL;
}

/* libpq would give the same result for ever. */
static bool
is_copy(const PGresult *result)
{
	ExecStatusType status = PQresultStatus(result);

	return status == PGRES_COPY_IN || status == PGRES_COPY_OUT || status == PGRES_COPY_BOTH;
}

PGresult *
postgres_ask(PostgresSession *session, const char *sql, const char *const *values, int value_count,
			 FailureReason otherwise, Failure *failure)
{
	PGconn	 *connection = session->connection;
	int64_t	  deadline = clock_milliseconds() + (POSTGRES_ASK_SECONDS + 10) * 1000;
	PGresult *result = NULL;
	PGresult *next;
	bool	  in_time;

	if (connection == NULL || !PQsendQueryParams(connection, sql, value_count, NULL, values, NULL, NULL, 0))
	{
		failure_set(failure, REASON_UNREACHABLE, "the server was lost: %s", PQerrorMessage(connection));
		return NULL;
	}
	for (;;)
	{
		while (PQisBusy(connection))
		{
			if (!postgres_wait(session, POLLIN, deadline, &in_time, failure))
				goto given_up;
			if (!in_time)
			{
				failure_set(failure, REASON_UNREACHABLE, "the server did not answer a question within %d s",
							POSTGRES_ASK_SECONDS + 10);
				goto given_up;
			}
			if (!PQconsumeInput(connection))
				return question_failed(result, connection, otherwise, failure);
		}
		next = PQgetResult(connection);
		if (next == NULL)
			break;
		PQclear(result);
		result = next;
		if (is_copy(result) || clock_milliseconds() >= deadline)
		{
			failure_set(failure, REASON_UNREACHABLE,
						"the server answered a question with something that is no answer");
			goto given_up;
		}
	}
	if (PQresultStatus(result) == PGRES_TUPLES_OK || PQresultStatus(result) == PGRES_COMMAND_OK)
		return result;
	return question_failed(result, connection, otherwise, failure);

given_up:
	/* An answer may still come: nothing else can be asked on this connection. */
	PQclear(result);
	PQfinish(connection);
	session->connection = NULL;
	return NULL;
}
