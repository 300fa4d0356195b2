/*
 * postgres_rewind.c
 *	  The sink of a restore: exact and atomic, by an ordinary owner.
 *
 *	  open     look into the backup, ask the target, dump its schema, plan: nothing is changed
 *	  write    at the first bytes: BEGIN, drop what is there; then the archive through pg_restore and psql
 *	  commit   the stream's end, owners and grants, COMMIT, and the server's own word that it happened
 *
 * Until COMMIT is sent nothing is visible to anybody, and whatever ends us ends the
 * transaction.  A second connection, ours, holds an advisory lock that keeps two
 * restores apart, sees the backend work while no byte flows, and is asked for the
 * transaction's fate.
 */
#include "postgres.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "postgres_rewind.h"
#include "postgres_verdict.h"

#define DROP_TRIES 5

/* ---- psql's answers, and what it does meanwhile ---- */

static bool
answer_is(const PostgresRewind *rewind, const char *line, const char *word, const char **rest)
{
	size_t length = strlen(word);

	if (strncmp(line, word, length) != 0 || line[length] != ' ' ||
		strncmp(line + length + 1, rewind->key, strlen(rewind->key)) != 0)
		return false;
	*rest = line + length + 1 + strlen(rewind->key);
	return true;
}

static void
take_answer(void *context, const char *line)
{
	PostgresRewind *rewind = context;
	const char	   *rest;
	size_t			number;

	if (answer_is(rewind, line, POSTGRES_SAYS_BEGUN, &rest))
	{
		if (sscanf(rest, " %15[0-9] %23[0-9]", rewind->backend, rewind->transaction) != 2)
			rewind->backend[0] = '\0';
	}
	else if (answer_is(rewind, line, POSTGRES_SAYS_DROPPED, &rest))
	{
		rewind->remaining = strtol(rest, NULL, 10);
		rewind->dropped = true;
	}
	else if (answer_is(rewind, line, POSTGRES_SAYS_READY, &rest))
	{
		(void) sscanf(rest, " %23[0-9]", rewind->last_transaction);
		rewind->ready = true;
	}
	else if (answer_is(rewind, line, POSTGRES_SAYS_COMMITTED, &rest))
		rewind->said_committed = true;
	else if (sscanf(line, POSTGRES_SAYS_GRANTED " %zu", &number) == 1 && number < rewind->grants.count)
		rewind->grants.applied[number] = true;
}

/* Nothing has moved for a second: does the backend work, or does somebody hold it up? */
static bool
look_at_backend(void *context, Failure *failure)
{
	PostgresRewind *rewind = context;

	(void) failure;
	if (rewind->backend[0] != '\0')
		postgres_watch_backend(&rewind->session, rewind->backend, rewind->context.report, &rewind->blockers);
	return true;
}

/* ---- dropping ---- */

static bool
start_psql(PostgresRewind *rewind, Failure *failure)
{
	char  path[4200];
	char *argv[] = {"psql", "-X", "-q", "-A", "-t", "-w", "-v", "ON_ERROR_STOP=1", "-v", "VERBOSITY=verbose",
					NULL};
	ChildSpec spec;

	postgres_await_tools(&rewind->session);
	postgres_fill_spec(rewind, &spec, argv, path, sizeof(path));
	spec.stdin_pipe = true;
	return postgres_pump_start_psql(&rewind->pump, &spec, failure);
}

/* Why did psql end?  Its own failure is set, unless one is already. */
static bool
psql_failed(PostgresRewind *rewind, Failure *failure)
{
	if (failure->reason == REASON_NONE && postgres_pump_psql_ended(&rewind->pump) &&
		child_wait(&rewind->pump.psql, failure))
		postgres_judge_psql(&rewind->pump.psql, !rewind->dropped, failure);
	return false;
}

typedef void (*WriteScript)(FILE *script, const PostgresRewind *rewind);

static void
write_drop_script(FILE *script, const PostgresRewind *rewind)
{
	postgres_script_drop(script, &rewind->plan, rewind->session.version, rewind->key);
	if (rewind->uses_path)
		postgres_script_use_path(script);
}

static void
write_grants_script(FILE *script, const PostgresRewind *rewind)
{
	postgres_script_grants(script, &rewind->plan, &rewind->grants, rewind->key);
}

static void
write_commit_script(FILE *script, const PostgresRewind *rewind)
{
	fprintf(script, "COMMIT;\nSELECT '" POSTGRES_SAYS_COMMITTED " %s';\n", rewind->key);
}

/* Says a part of the script and waits for its answer. */
static bool
say_and_wait(PostgresRewind *rewind, WriteScript write_script, const bool *done, Failure *failure)
{
	char  *text = NULL;
	size_t length = 0;
	FILE  *script = open_memstream(&text, &length);
	bool   good;

	if (script == NULL)
		return failure_no_memory(failure);
	write_script(script, rewind);
	good = ferror(script) == 0;
	if (fclose(script) != 0 || !good)
	{
		free(text);
		return failure_no_memory(failure);
	}
	good = (postgres_pump_say(&rewind->pump, text, length, failure) &&
			postgres_pump_wait(&rewind->pump, done, failure)) ||
		   psql_failed(rewind, failure);
	free(text);
	return good;
}

static void
forget_answers(PostgresRewind *rewind)
{
	rewind->backend[0] = rewind->transaction[0] = rewind->last_transaction[0] = '\0';
	rewind->remaining = 0;
	rewind->dropped = rewind->ready = false;
}

/*
 * One try: true when everything of ours is gone, under locks.  Busy (a lock was not
 * to be had, or something was made since we looked) is for another try.
 */
static bool
try_to_drop(PostgresRewind *rewind, Failure *busy, Failure *failure)
{
	forget_answers(rewind);
	if (!postgres_script_key(rewind->key, failure) || !start_psql(rewind, failure))
		return false;
	if (!say_and_wait(rewind, write_drop_script, &rewind->dropped, busy))
		return false;
	if (rewind->remaining > 0)
		return failure_set(
			busy, REASON_TARGET_BUSY,
			"the application made %ld objects in the target while the restore began: stop it, then restore",
			rewind->remaining);
	return true;
}

static bool
drop_present(PostgresRewind *rewind, Failure *failure)
{
	Failure busy = {0};

	for (int attempt = 1; attempt <= DROP_TRIES; attempt++)
	{
		memset(&busy, 0, sizeof(busy));
		if (attempt > 1 && !postgres_look(rewind, failure))
			return false;
		if (try_to_drop(rewind, &busy, failure))
			return true;
		postgres_pump_stop(&rewind->pump);
		if (failure->reason != REASON_NONE || busy.reason != REASON_TARGET_BUSY)
			break;
		report_alive(rewind->context.report, "waiting for locks that the application holds");
	}
	if (busy.reason == REASON_TARGET_BUSY && rewind->blockers.text[0] != '\0')
		return failure_set(failure, REASON_TARGET_BUSY, "%s; in the way: %s", busy.detail,
						   rewind->blockers.text);
	return failure_set(failure, busy.reason, "%s", busy.detail);
}

static bool
start_pg_restore(PostgresRewind *rewind, Failure *failure)
{
	char  path[4200];
	char  list[64];
	char *argv[] = {"pg_restore", "--single-transaction", "--no-owner", "-L", list, "-f", "-", NULL, NULL};
	ChildSpec spec;

	snprintf(list, sizeof(list), "/proc/self/fd/%d", rewind->list_fd);
	if (rewind->plan.ignores_tablespaces)
		argv[7] = "--no-tablespaces";
	postgres_fill_spec(rewind, &spec, argv, path, sizeof(path));
	spec.stdin_pipe = true;
	/* It talks to no server: no password for it. */
	spec.kept_fds[0] = rewind->list_fd;
	spec.envp = NULL;
	return postgres_pump_start_restore(&rewind->pump, &spec, failure);
}

/* ---- the sink ---- */

static bool
begin_applying(PostgresRewind *rewind, Failure *failure)
{
	rewind->applying = drop_present(rewind, failure) && start_pg_restore(rewind, failure);
	return rewind->applying;
}

static bool
feed(PostgresRewind *rewind, const void *bytes, size_t length, Failure *failure)
{
	return postgres_pump_feed(&rewind->pump, bytes, length, failure) || psql_failed(rewind, failure);
}

/* What we have got of the archive, from its beginning. */
static bool
feed_again(PostgresRewind *rewind, Failure *failure)
{
	DumpStream *stream = dump_open(rewind->dump, failure);
	char		bytes[64 * 1024];
	bool		good = stream != NULL;

	for (int64_t left = rewind->given; good && left > 0;)
	{
		size_t length;

		report_alive(rewind->context.report, "applied once more, with the role's own search_path");
		good = dump_read(stream, bytes, left < (int64_t) sizeof(bytes) ? (size_t) left : sizeof(bytes),
						 &length, failure) &&
			   feed(rewind, bytes, length, failure);
		left -= (int64_t) length;
	}
	dump_close(stream);
	return good;
}

/*
 * Under the empty search_path of pg_dump's scripts a function that looks names up in it
 * fails: in a domain's check, an index, a materialized view.  Then, from the start, with
 * the path that it is used with.
 */
static bool
try_with_path(PostgresRewind *rewind, Failure *failure)
{
	if (rewind->uses_path || !postgres_pump_psql_ended(&rewind->pump) ||
		!postgres_psql_missed_name(&rewind->pump.psql))
		return false;
	memset(failure, 0, sizeof(*failure));
	postgres_pump_stop(&rewind->pump);
	rewind->uses_path = rewind->pump.keeps_path = true;
	return postgres_look(rewind, failure) && begin_applying(rewind, failure) && feed_again(rewind, failure);
}

static bool
rewind_write(Sink *sink, const void *bytes, size_t length, Failure *failure)
{
	PostgresRewind *rewind = (PostgresRewind *) sink;

	if (!rewind->applying && !begin_applying(rewind, failure))
		return false;
	rewind->given += (int64_t) length;
	return feed(rewind, bytes, length, failure) || try_with_path(rewind, failure);
}

/* Only a superuser grants in another's name; what follows was granted all the same, or is noted for itself. */
static bool
note_refused_grants(PostgresRewind *rewind, Failure *failure)
{
	static const char in_the_name_of[] = "SET SESSION AUTHORIZATION ";

	for (size_t i = 0; i < rewind->grants.count; i++)
	{
		const char *statement = rewind->grants.statements[i];
		bool		noted = true;

		if (rewind->grants.applied[i])
			continue;
		if (strncmp(statement, in_the_name_of, strlen(in_the_name_of)) == 0)
			noted =
				postgres_plan_note(&rewind->plan, failure, "what role %s had granted is granted by role %s",
								   statement + strlen(in_the_name_of), rewind->target.role);
		else
			noted = postgres_plan_note(&rewind->plan, failure, "could not be applied: %s", statement);
		if (!noted)
			return false;
	}
	return true;
}

/* The archive's end, owners and grants. */
static bool
end_stream(PostgresRewind *rewind, Failure *failure)
{
	if (!postgres_pump_finish_restore(&rewind->pump, failure))
		return psql_failed(rewind, failure);
	return say_and_wait(rewind, write_grants_script, &rewind->ready, failure);
}

/* psql may be behind: what it met in a small archive shows here.  Nothing is visible yet. */
static bool
finish_stream(PostgresRewind *rewind, Failure *failure)
{
	if (!end_stream(rewind, failure) && !(try_with_path(rewind, failure) && end_stream(rewind, failure)))
		return false;
	if (strcmp(rewind->transaction, rewind->last_transaction) != 0)
	{
		rewind->outcome->target_modified = true;
		return failure_set(
			failure, REASON_RESTORE,
			"a statement in the backup ended the restore's transaction: the target may hold a part of it");
	}
	return note_refused_grants(rewind, failure);
}

/*
 * From here on only the answer counts, not a cancellation: what was sent cannot be
 * called back.  What psql says is believed only when the server says the same.
 */
static bool
rewind_commit(Sink *sink, Failure *failure)
{
	PostgresRewind *rewind = (PostgresRewind *) sink;
	Failure			said = {0};
	PostgresFate	fate;

	if (!finish_stream(rewind, failure))
		return false;
	/* Another word: whatever the dump did in this session, it cannot have known it. */
	if (!postgres_script_key(rewind->key, failure))
		return false;
	rewind->outcome->target_modified = true;
	rewind->pump.uncancellable = true;
	rewind->session.uncancellable = true;
	(void) say_and_wait(rewind, write_commit_script, &rewind->said_committed, &said);
	fate = postgres_ask_fate(&rewind->session, &rewind->url, rewind->context.settings, rewind->transaction);
	if (fate == POSTGRES_FATE_COMMITTED || (fate == POSTGRES_FATE_UNKNOWN && rewind->said_committed))
	{
		rewind->committed = true;
		return true;
	}
	if (fate == POSTGRES_FATE_UNKNOWN)
		return failure_set(
			failure, REASON_LOST_COMMIT,
			"the connection was lost at COMMIT and the target cannot tell what became of transaction %s: %s",
			rewind->transaction, said.detail);
	rewind->outcome->target_modified = false;
	return failure_set(failure, said.reason != REASON_NONE ? said.reason : REASON_RESTORE, "%s",
					   said.reason != REASON_NONE ? said.detail
												  : "the target rolled the transaction back at COMMIT");
}

/* Without a commit, the backend is ended by its number too: it may be in the middle of an index, and hold locks. */
static void
rewind_close(Sink *sink)
{
	PostgresRewind *rewind = (PostgresRewind *) sink;

	rewind->session.uncancellable = true;
	postgres_pump_close(&rewind->pump);
	if (rewind->committed)
		postgres_analyze(&rewind->session);
	else if (rewind->backend[0] != '\0')
		postgres_end_backend(&rewind->session, rewind->backend);
	if (rewind->list_fd >= 0)
		close(rewind->list_fd);
	postgres_grants_free(&rewind->grants);
	postgres_plan_free(&rewind->plan);
	postgres_target_free(&rewind->target);
	postgres_archive_free(rewind->present);
	postgres_archive_free(rewind->backup);
	postgres_environment_free(&rewind->environment);
	postgres_disconnect(&rewind->session);
	postgres_url_free(&rewind->url);
	free(rewind);
}

Sink *
postgres_open_sink(const EngineContext *context, const Dump *dump, RestoreOutcome *outcome, Failure *failure)
{
	PostgresRewind *rewind = calloc(1, sizeof(PostgresRewind));

	if (rewind == NULL)
	{
		failure_no_memory(failure);
		return NULL;
	}
	rewind->sink = (Sink){rewind_write, rewind_commit, rewind_close};
	rewind->context = *context;
	rewind->dump = dump;
	rewind->outcome = outcome;
	rewind->list_fd = -1;
	rewind->environment.password_fd = -1;
	if (postgres_pump_open(&rewind->pump, failure) && postgres_look_first(rewind, dump, failure))
	{
		rewind->pump.server_version = rewind->session.version;
		rewind->pump.answer = take_answer;
		rewind->pump.idle = look_at_backend;
		rewind->pump.context = rewind;
		return &rewind->sink;
	}
	rewind_close(&rewind->sink);
	return NULL;
}
