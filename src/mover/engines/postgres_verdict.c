/*
 * postgres_verdict.c
 *	  From psql's last words to a reason.
 */
#include "postgres_verdict.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>

typedef struct ServerError
{
	char sqlstate[6];
	char message[1024];
} ServerError;

static bool
is_sqlstate(const char *text)
{
	for (int i = 0; i < 5; i++)
	{
		if (!isdigit((unsigned char) text[i]) && !isupper((unsigned char) text[i]))
			return false;
	}
	/* 00, 01, 02: success, warning, no data. */
	return text[5] == ':' && text[6] == ' ' && !(text[0] == '0' && text[1] <= '2');
}

/*
 * Lines come joined by "; ", white space as one blank (child_stderr).  The labels
 * are psql's own, in our language.
 */
static bool
find_error(const char *said, ServerError *error)
{
	static const char *const ends[] = {"; LINE ",	  "; DETAIL:", "; HINT:",		 "; CONTEXT:",
									   "; LOCATION:", "; QUERY:",  "; SCHEMA NAME:", "; TABLE NAME:"};

	for (const char *at = strstr(said, ": "); at != NULL; at = strstr(at + 1, ": "))
	{
		if (!is_sqlstate(at + 2))
			continue;
		snprintf(error->sqlstate, sizeof(error->sqlstate), "%.5s", at + 2);
		snprintf(error->message, sizeof(error->message), "%s", at + 9);
		for (size_t i = 0; i < sizeof(ends) / sizeof(ends[0]); i++)
		{
			char *end = strstr(error->message, ends[i]);

			if (end != NULL)
				*end = '\0';
		}
		return true;
	}
	return false;
}

static bool
is_one_of(const char *state, const char *const *states, size_t count)
{
	for (size_t i = 0; i < count; i++)
	{
		if (strcmp(state, states[i]) == 0)
			return true;
	}
	return false;
}

/* What a DROP meets that we know to be there and to be free: something depends on it, or it is gone. */
static bool
tells_of_change(const char *state)
{
	static const char *const states[] = {"2BP01", "42P01", "42704", "42883", "3F000"};

	return is_one_of(state, states, sizeof(states) / sizeof(states[0]));
}

bool
postgres_psql_missed_name(Child *psql)
{
	static const char *const states[] = {"42P01", "42704", "42883", "3F000"};
	ServerError				 error = {0};

	return find_error(child_stderr(psql), &error) &&
		   is_one_of(error.sqlstate, states, sizeof(states) / sizeof(states[0]));
}

static bool
judge_error(const ServerError *error, bool dropping, Failure *failure)
{
	const char *state = error->sqlstate;

	if (dropping && tells_of_change(state))
		return failure_set(
			failure, REASON_TARGET_BUSY,
			"the application changed the target while the restore began: %s (%s): stop it, then restore",
			error->message, state);

	if (strcmp(state, "55P03") == 0 || strcmp(state, "40P01") == 0)
		return failure_set(failure, REASON_TARGET_BUSY, "the application holds locks in the target (%s)",
						   state);
	if (strncmp(state, "57P", 3) == 0 || strncmp(state, "08", 2) == 0)
		return failure_set(failure, REASON_UNREACHABLE, "the target ended the restore's connection: %s (%s)",
						   error->message, state);
	if (strcmp(state, "53100") == 0)
		return failure_set(failure, REASON_RESTORE, "the target's disk is full: %s (%s)", error->message,
						   state);
	if (strcmp(state, "53200") == 0)
		return failure_set(failure, REASON_RESTORE,
						   "the target is out of memory (max_locks_per_transaction?): %s (%s)",
						   error->message, state);
	return failure_set(failure, REASON_RESTORE, "the target refused what the backup holds: %s (%s)",
					   error->message, state);
}

bool
postgres_judge_psql(Child *psql, bool dropping, Failure *failure)
{
	ServerError error = {0};
	const char *said = child_stderr(psql);

	if (find_error(said, &error))
		return judge_error(&error, dropping, failure);
	/* psql's own status for a connection that was lost. */
	if (WIFEXITED(psql->status) && WEXITSTATUS(psql->status) == 2)
		return failure_set(failure, REASON_UNREACHABLE, "the connection to the target was lost: %s", said);
	return failure_set(failure, REASON_RESTORE, "psql %s%s%s", child_status_text(psql),
					   said[0] != '\0' ? ": " : "", said);
}
