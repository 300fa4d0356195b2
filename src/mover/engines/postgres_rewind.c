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

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "postgres_archive.h"
#include "postgres_backend.h"
#include "postgres_connect.h"
#include "postgres_plan.h"
#include "postgres_pump.h"
#include "postgres_rights.h"
#include "postgres_script.h"
#include "postgres_target.h"
#include "postgres_tools.h"
#include "postgres_verdict.h"

/* Any two numbers, as long as they stay the same: "custback" in ASCII. */
#define LOCK_SQL   "SELECT pg_catalog.pg_try_advisory_lock(1668641652, 1650549611)"
#define DROP_TRIES 5

typedef struct Rewind
{
	Sink				sink;
	EngineContext		context; /* a copy: what it points to is ours for the job's length */
	RestoreOutcome	   *outcome;
	PostgresUrl			url;
	PostgresSession		session;
	PostgresTools		tools;
	PostgresEnvironment environment;
	PostgresArchive	   *backup;
	PostgresArchive	   *present;
	PostgresTarget		target;
	PostgresPlan		plan;
	PostgresGrants		grants;
	PostgresPump		pump;
	PostgresBlockers	blockers;
	int					list_fd; /* pg_restore's LIST */

	/* what psql has answered */
	char key[POSTGRES_KEY_SIZE];
	char backend[16];		   /* process id of its backend; "": none yet */
	char transaction[24];	   /* its id */
	char last_transaction[24]; /* its id at the end: the same, or the dump ended it */
	long remaining;			   /* objects of ours that were left after the drops */
	bool dropped;
	bool ready;
	bool said_committed;

	bool applying; /* the drops are done, the stream flows */
	bool committed;
} Rewind;

/* ---- looking ---- */

static bool
read_dump_stream(void *context, void *buffer, size_t capacity, size_t *length, Failure *failure)
{
	return dump_read(context, buffer, capacity, length, failure);
}

static bool
read_backup_toc(Rewind *rewind, const Dump *dump, Failure *failure)
{
	DumpStream *stream = dump_open(dump, failure);
	bool		good = stream != NULL && postgres_archive_read_toc(read_dump_stream, stream, REASON_INTEGRITY,
																   &rewind->backup, failure);

	dump_close(stream);
	return good;
}

static bool
read_child(void *context, void *buffer, size_t capacity, size_t *length, Failure *failure)
{
	return child_read(context, buffer, capacity, length, failure);
}

static void
fill_spec(const Rewind *rewind, ChildSpec *spec, char **argv, char *path, size_t path_size)
{
	memset(spec, 0, sizeof(*spec));
	spec->path = postgres_tool_path(&rewind->tools, argv[0], path, path_size);
	spec->argv = argv;
	spec->envp = (char **) rewind->environment.variables;
	spec->stdout_pipe = true;
	if (rewind->environment.password_fd >= 0)
		spec->kept_fds[0] = rewind->environment.password_fd;
}

/* The target's schema as pg_dump sees it now, with its drop statements. */
static bool
dump_present_schema(Rewind *rewind, Failure *failure)
{
	char	  path[4200];
	char	 *argv[] = {"pg_dump",
						"--schema-only",
						"--format=custom",
						"--compress=0",
						"--no-password",
						"--lock-wait-timeout=10s",
						NULL};
	char	  rest[16 * 1024];
	size_t	  length = 1;
	ChildSpec spec;
	Child	  child;
	Failure	  broken = {0};
	bool	  good;

	postgres_archive_free(rewind->present);
	rewind->present = NULL;
	fill_spec(rewind, &spec, argv, path, sizeof(path));
	if (!child_start(&spec, &child, failure))
		return false;
	good = postgres_archive_read_toc(read_child, &child, REASON_RESTORE, &rewind->present, &broken);
	while (length > 0 && child_read(&child, rest, sizeof(rest), &length, &broken))
		;
	if (broken.reason == REASON_CANCELLED || !child_wait(&child, failure))
		failure_set(failure, REASON_CANCELLED, "%s", broken.detail);
	else if (child.status != 0 && postgres_find_lockers(&rewind->session, &rewind->blockers))
		failure_set(failure, REASON_TARGET_BUSY,
					"the target's schema could not be read while locks are held in it by: %s",
					rewind->blockers.text);
	else if (child.status != 0)
		failure_set(failure, REASON_RESTORE, "pg_dump of the target's schema %s: %s",
					child_status_text(&child), child_stderr(&child));
	else if (!good)
		failure_set(failure, broken.reason, "the target's schema: %s", broken.detail);
	child_close(&child);
	return failure->reason == REASON_NONE;
}

/* LIST for pg_restore, in a file without a name. */
static bool
write_list(Rewind *rewind, Failure *failure)
{
	FILE *list;
	bool  good;
	int	  copy;

	if (rewind->list_fd >= 0)
		close(rewind->list_fd);
	rewind->list_fd = memfd_create("custbackup-list", MFD_CLOEXEC);
	copy = rewind->list_fd >= 0 ? fcntl(rewind->list_fd, F_DUPFD_CLOEXEC, 3) : -1;
	list = copy >= 0 ? fdopen(copy, "w") : NULL;
	if (list == NULL)
	{
		if (copy >= 0)
			close(copy);
		return failure_set_errno(failure, REASON_INTERNAL, "no memory file for pg_restore's list");
	}
	good = postgres_archive_write_list(rewind->backup, rewind->plan.chosen, list, failure);
	fclose(list);
	return good;
}

/* Everything that can be known before anything is touched. */
static bool
look(Rewind *rewind, Failure *failure)
{
	postgres_grants_free(&rewind->grants);
	postgres_plan_free(&rewind->plan);
	postgres_target_free(&rewind->target);
	if (!postgres_target_ask(&rewind->target, &rewind->session, failure) ||
		!dump_present_schema(rewind, failure))
		return false;
	rewind->plan = (PostgresPlan){.present = rewind->present,
								  .backup = rewind->backup,
								  .target = &rewind->target,
								  .mode = rewind->context.job->mode};
	if (!postgres_plan_make(&rewind->plan, &rewind->session, failure) ||
		!postgres_grants_collect(&rewind->grants, &rewind->plan, failure) || !write_list(rewind, failure))
		return false;
	json_decref(rewind->outcome->left_alone);
	rewind->outcome->left_alone = json_incref(rewind->plan.left_alone);
	return true;
}

/* Formats 1.15 and 1.16 are read by pg_restore 16 and 17 or newer. */
static int
oldest_tools(const Rewind *rewind)
{
	int server = rewind->session.version / 10000;
	int archive = rewind->backup->version_minor >= 16 ? 17 : rewind->backup->version_minor == 15 ? 16 : 0;

	return server > archive ? server : archive;
}

static bool
lock_target(Rewind *rewind, Failure *failure)
{
	PGresult *result = postgres_ask(&rewind->session, LOCK_SQL, NULL, 0, REASON_RESTORE, failure);

	if (result == NULL)
		return false;
	if (PQgetvalue(result, 0, 0)[0] != 't')
		failure_set(failure, REASON_TARGET_BUSY, "another restore into this database is at work");
	PQclear(result);
	return failure->reason == REASON_NONE;
}

/* ---- psql's answers, and what it does meanwhile ---- */

static bool
answer_is(const Rewind *rewind, const char *line, const char *word, const char **rest)
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
	Rewind	   *rewind = context;
	const char *rest;
	size_t		number;

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
	Rewind *rewind = context;

	(void) failure;
	if (rewind->backend[0] != '\0')
		postgres_watch_backend(&rewind->session, rewind->backend, rewind->context.report, &rewind->blockers);
	return true;
}

/* ---- dropping ---- */

static bool
start_psql(Rewind *rewind, Failure *failure)
{
	char  path[4200];
	char *argv[] = {"psql", "-X", "-q", "-A", "-t", "-w", "-v", "ON_ERROR_STOP=1", "-v", "VERBOSITY=verbose",
					NULL};
	ChildSpec spec;

	fill_spec(rewind, &spec, argv, path, sizeof(path));
	spec.stdin_pipe = true;
	return postgres_pump_start_psql(&rewind->pump, &spec, failure);
}

/* Why did psql end?  Its own failure is set, unless one is already. */
static bool
psql_failed(Rewind *rewind, Failure *failure)
{
	if (failure->reason == REASON_NONE && postgres_pump_psql_ended(&rewind->pump) &&
		child_wait(&rewind->pump.psql, failure))
		postgres_judge_psql(&rewind->pump.psql, failure);
	return false;
}

typedef void (*WriteScript)(FILE *script, const Rewind *rewind);

static void
write_drop_script(FILE *script, const Rewind *rewind)
{
	postgres_script_drop(script, &rewind->plan, rewind->session.version, rewind->key);
}

static void
write_grants_script(FILE *script, const Rewind *rewind)
{
	postgres_script_grants(script, &rewind->plan, &rewind->grants, rewind->key);
}

static void
write_commit_script(FILE *script, const Rewind *rewind)
{
	fprintf(script, "COMMIT;\nSELECT '" POSTGRES_SAYS_COMMITTED " %s';\n", rewind->key);
}

/* Says a part of the script and waits for its answer. */
static bool
say_and_wait(Rewind *rewind, WriteScript write_script, const bool *done, Failure *failure)
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
forget_answers(Rewind *rewind)
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
try_to_drop(Rewind *rewind, Failure *busy, Failure *failure)
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
drop_present(Rewind *rewind, Failure *failure)
{
	Failure busy = {0};

	for (int attempt = 1; attempt <= DROP_TRIES; attempt++)
	{
		memset(&busy, 0, sizeof(busy));
		if (attempt > 1 && !look(rewind, failure))
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
start_pg_restore(Rewind *rewind, Failure *failure)
{
	char  path[4200];
	char  list[64];
	char *argv[] = {"pg_restore", "--single-transaction", "--no-owner", "-L", list, "-f", "-", NULL, NULL};
	ChildSpec spec;

	snprintf(list, sizeof(list), "/proc/self/fd/%d", rewind->list_fd);
	if (rewind->context.job->mode == RESTORE_CLONE)
		argv[7] = "--no-tablespaces";
	fill_spec(rewind, &spec, argv, path, sizeof(path));
	spec.stdin_pipe = true;
	/* It talks to no server: no password for it. */
	spec.kept_fds[0] = rewind->list_fd;
	spec.envp = NULL;
	return postgres_pump_start_restore(&rewind->pump, &spec, failure);
}

/* ---- the sink ---- */

static bool
rewind_write(Sink *sink, const void *bytes, size_t length, Failure *failure)
{
	Rewind *rewind = (Rewind *) sink;

	if (!rewind->applying)
	{
		if (!drop_present(rewind, failure) || !start_pg_restore(rewind, failure))
			return false;
		rewind->applying = true;
	}
	return postgres_pump_feed(&rewind->pump, bytes, length, failure) || psql_failed(rewind, failure);
}

static bool
note_refused_grants(Rewind *rewind, Failure *failure)
{
	for (size_t i = 0; i < rewind->grants.count; i++)
	{
		if (!rewind->grants.applied[i] &&
			!postgres_plan_note(&rewind->plan, failure, "could not be applied: %s",
								rewind->grants.statements[i]))
			return false;
	}
	return true;
}

/* The archive's end, owners and grants.  Nothing is visible yet. */
static bool
finish_stream(Rewind *rewind, Failure *failure)
{
	if (!postgres_pump_finish_restore(&rewind->pump, failure))
		return psql_failed(rewind, failure);
	if (!say_and_wait(rewind, write_grants_script, &rewind->ready, failure))
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
	Rewind		*rewind = (Rewind *) sink;
	Failure		 said = {0};
	PostgresFate fate;

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
	Rewind *rewind = (Rewind *) sink;

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

static bool
open_rewind(Rewind *rewind, const Dump *dump, Failure *failure)
{
	const Settings *settings = rewind->context.settings;

	return postgres_pump_open(&rewind->pump, failure) &&
		   postgres_url_parse(&rewind->url, rewind->context.url, failure) &&
		   read_backup_toc(rewind, dump, failure) &&
		   postgres_connect(&rewind->session, &rewind->url, settings, POSTGRES_FOR_WRITING, failure) &&
		   lock_target(rewind, failure) &&
		   postgres_tools_find(&rewind->tools, settings, oldest_tools(rewind), failure) &&
		   postgres_tools_guarded(&rewind->tools, failure) &&
		   postgres_environment_make(&rewind->environment, &rewind->url, &rewind->session, settings,
									 failure) &&
		   postgres_may_dump_schema(&rewind->session, &rewind->url, failure) && look(rewind, failure);
}

Sink *
postgres_open_sink(const EngineContext *context, const Dump *dump, RestoreOutcome *outcome, Failure *failure)
{
	Rewind *rewind = calloc(1, sizeof(Rewind));

	if (rewind == NULL)
	{
		failure_no_memory(failure);
		return NULL;
	}
	rewind->sink = (Sink){rewind_write, rewind_commit, rewind_close};
	rewind->context = *context;
	rewind->outcome = outcome;
	rewind->list_fd = -1;
	rewind->environment.password_fd = -1;
	if (open_rewind(rewind, dump, failure))
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
