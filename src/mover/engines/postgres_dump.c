/*
 * postgres_dump.c
 *	  The source of a backup: pg_dump's custom format, uncompressed.
 *
 * The pipeline owns compression.  Owners and grants stay in the archive: leaving
 * them out is a decision of the restore.
 *
 * pg_dump's exit status says that it failed; why, the server is asked again.  Its
 * messages come in the server's language and are only quoted.
 */
#include "postgres.h"

#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>

#include "postgres_backend.h"
#include "postgres_connect.h"
#include "postgres_rights.h"
#include "postgres_tools.h"
#include "postgres_url.h"
#include "process.h"

#define SAID_MAX	  1500 /* bytes of pg_dump's words in a detail */
#define QUIET_SECONDS 10   /* without a byte, after which the server is asked what pg_dump does */

/* A table that an ALTER holds for longer than this fails the dump with a sentence, rather than as stalled. */
#define LOCK_WAIT "--lock-wait-timeout=60s"

typedef struct DumpSource
{
	Source				source;
	EngineContext		context; /* a copy: what it points to is ours for the job's length */
	PostgresUrl			url;
	PostgresSession		session; /* kept open for questions while pg_dump works */
	PostgresGuess		guess;
	PostgresTools		tools;
	PostgresEnvironment environment;
	Child				pg_dump;
	int64_t				quiet_since; /* bytes that had been read when it became quiet */
	int					quiet_seconds;
} DumpSource;

static bool
dump_source_read(Source *source, void *buffer, size_t capacity, size_t *length, Failure *failure)
{
	DumpSource *dump = (DumpSource *) source;

	return child_read(&dump->pg_dump, buffer, capacity, length, failure);
}

/* The first cause that the server itself confirms; else pg_dump's own words. */
static bool
explain_dump_failure(DumpSource *dump, Failure *failure)
{
	char   said[SAID_MAX + 1];
	size_t length = strlen(child_stderr(&dump->pg_dump));

	/* The last words, where there are many: the cause is mostly there. */
	snprintf(said, sizeof(said), "%s",
			 child_stderr(&dump->pg_dump) + (length > SAID_MAX ? length - SAID_MAX : 0));
	if (WIFSIGNALED(dump->pg_dump.status))
		return failure_set(failure, REASON_DUMP, "pg_dump %s %s%s%s", dump->tools.version_text,
						   child_status_text(&dump->pg_dump), said[0] != '\0' ? ": " : "", said);
	if (!postgres_connect_beside(&dump->session, &dump->url, dump->context.settings, failure) ||
		!postgres_reconnect(&dump->session, &dump->url, dump->context.settings, failure) ||
		!postgres_may_dump(&dump->session, &dump->url, failure))
		return false;
	return failure_set(failure, REASON_DUMP, "pg_dump %s %s%s%s", dump->tools.version_text,
					   child_status_text(&dump->pg_dump), said[0] != '\0' ? ": " : "", said);
}

static bool
dump_source_finish(Source *source, Failure *failure)
{
	DumpSource *dump = (DumpSource *) source;

	if (!child_wait(&dump->pg_dump, failure))
		return false;
	if (dump->pg_dump.status != 0)
		return explain_dump_failure(dump, failure);
	return true;
}

static void
dump_source_close(Source *source)
{
	DumpSource *dump = (DumpSource *) source;

	child_close(&dump->pg_dump);
	postgres_tools_forget(&dump->guess);
	postgres_environment_free(&dump->environment);
	postgres_disconnect(&dump->session);
	postgres_url_free(&dump->url);
	free(dump);
}

/*
 * What would keep this backup from being restored into its own source is told a day
 * early, and what it lacks: pg_dump passes over unlogged rows on a standby by itself.
 */
static const char *const facts_sql =
	"SELECT pg_catalog.pg_database_size(pg_catalog.current_database()),"
	" (SELECT pg_catalog.string_agg(pg_catalog.quote_ident(subname), ', ') FROM pg_catalog.pg_subscription s"
	"  JOIN pg_catalog.pg_database d ON d.oid = s.subdbid WHERE d.datname = pg_catalog.current_database()),"
	" (SELECT pg_catalog.min(oid) FROM pg_catalog.pg_largeobject_metadata"
	"  WHERE NOT pg_catalog.pg_has_role(lomowner, 'USAGE')),"
	" (SELECT pg_catalog.string_agg(oid::pg_catalog.regclass::pg_catalog.text, ', ') FROM pg_catalog.pg_class"
	"  WHERE pg_catalog.pg_is_in_recovery() AND relpersistence = 'u' AND relkind = 'r')";

static const char *const notes[] = {
	"a rewind will be refused while this database has the subscription ",
	"a rewind will be refused while this database has another role's large object ",
	"without the rows of unlogged tables, which a standby does not have: ",
};

static bool
ask_facts(DumpSource *dump, SourceFacts *facts, Failure *failure)
{
	PGresult *result;
	bool	  good = true;

	if (!postgres_may_dump(&dump->session, &dump->url, failure))
		return false;
	result = postgres_ask(&dump->session, facts_sql, NULL, 0, REASON_DUMP, failure);
	if (result == NULL)
		return false;
	facts->expected_raw_bytes = strtoll(postgres_value(result, 0, 0), NULL, 10);
	facts->consistency = "snapshot";
	snprintf(facts->server_version, sizeof(facts->server_version), "PostgreSQL %s",
			 dump->session.server_version);
	snprintf(facts->tool_version, sizeof(facts->tool_version), "pg_dump %s", dump->tools.version_text);
	for (int i = 0; good && i < (int) (sizeof(notes) / sizeof(notes[0])); i++)
		good = PQgetisnull(result, 0, i + 1) ||
			   sentence_add(&facts->notes, failure, "%s%s", notes[i], postgres_value(result, 0, i + 1));
	PQclear(result);
	return good;
}

/* Once a second: a database of many tables, or a bloated one, gives no byte for minutes. */
static bool
look_at_pg_dump(void *context, Failure *failure)
{
	DumpSource *dump = context;

	if (dump->pg_dump.bytes_read != dump->quiet_since)
	{
		dump->quiet_since = dump->pg_dump.bytes_read;
		dump->quiet_seconds = 0;
	}
	else if (++dump->quiet_seconds % QUIET_SECONDS == 0)
		postgres_watch_dump(&dump->session, dump->context.report);
	return report_may_go_on(dump->context.report, failure);
}

static bool
start_pg_dump(DumpSource *dump, Failure *failure)
{
	char	  path[4200];
	char	 *argv[] = {"pg_dump", "--format=custom", "--compress=0", "--no-password", LOCK_WAIT, NULL};
	ChildSpec spec = {.path = postgres_tool_path(&dump->tools, "pg_dump", path, sizeof(path)),
					  .argv = argv,
					  .stdout_pipe = true};

	if (!postgres_environment_make(&dump->environment, &dump->url, &dump->session, dump->context.settings,
								   failure))
		return false;
	postgres_environment_buffer_stdout(&dump->environment);
	spec.idle = look_at_pg_dump;
	spec.idle_context = dump;
	spec.envp = dump->environment.variables;
	if (dump->environment.password_fd >= 0)
		spec.kept_fds[0] = dump->environment.password_fd;
	return child_start(&spec, &dump->pg_dump, failure);
}

/*
 * To connect and to ask takes as long as all that came before.  So where the answers
 * can be foreseen, pg_dump sets out first: there is one pg_dump, one address, and this
 * URL has given a backup before (one that is refused is not to be refused twice each time).
 */
static void
start_early(DumpSource *dump)
{
	Failure ignored = {0};

	if (!dump->guess.only || dump->session.address_count != 1 || dump->context.job->expected_bytes < 0)
		return;
	dump->tools = dump->guess.tools;
	(void) start_pg_dump(dump, &ignored);
}

/* The one that was sent off early is another one than the server's version asks for: it is called back. */
static bool
start_chosen(DumpSource *dump, const PostgresTools *chosen, Failure *failure)
{
	bool started = dump->pg_dump.pid != 0 && strcmp(dump->tools.directory, chosen->directory) == 0;

	dump->tools = *chosen;
	if (started)
		return true;
	child_close(&dump->pg_dump);
	postgres_environment_free(&dump->environment);
	return start_pg_dump(dump, failure);
}

static bool
connect_and_start(DumpSource *dump, Failure *failure)
{
	const Settings *settings = dump->context.settings;
	PostgresTools	chosen;

	if (!postgres_url_parse(&dump->url, dump->context.url, failure) ||
		!postgres_resolve(&dump->session, &dump->url, settings, failure))
		return false;
	postgres_tools_guess(&dump->guess, settings);
	start_early(dump);
	postgres_tools_ask(&dump->guess);
	return postgres_connect(&dump->session, &dump->url, settings, POSTGRES_FOR_READING, failure) &&
		   postgres_tools_find(&chosen, settings, dump->session.version / 10000, &dump->guess, failure) &&
		   start_chosen(dump, &chosen, failure);
}

/* pg_dump works already while the server is asked whether it can: the answers come sooner than its first byte. */
Source *
postgres_open_source(const EngineContext *context, SourceFacts *facts, Failure *failure)
{
	DumpSource *dump = calloc(1, sizeof(DumpSource));

	if (dump == NULL)
	{
		failure_no_memory(failure);
		return NULL;
	}
	dump->source = (Source){dump_source_read, dump_source_finish, dump_source_close};
	dump->context = *context;
	dump->environment.password_fd = -1;
	if (connect_and_start(dump, failure) && ask_facts(dump, facts, failure))
		return &dump->source;
	dump_source_close(&dump->source);
	return NULL;
}
