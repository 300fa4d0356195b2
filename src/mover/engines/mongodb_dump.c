/*
 * mongodb_dump.c
 *	  The source of a backup: mongodump's archive, uncompressed.
 *
 * The pipeline owns compression.  --oplog is refused by mongodump together with a
 * database, so each collection is dumped as it was at some moment of the dump, and a
 * document that moved meanwhile stands in it once or twice: "per collection".
 */
#include "engines/mongodb.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "engines/mongodb_connect.h"
#include "engines/mongodb_marker.h"
#include "engines/mongodb_plan.h"
#include "engines/mongodb_server.h"
#include "engines/mongodb_tools.h"
#include "engines/mongodb_url.h"
#include "process.h"

#define QUIET_SECONDS 10 /* without a byte, after which the server is asked */

typedef struct DumpSource
{
	Source			source;
	const Settings *settings;
	Report		   *report;
	MongodbUrl		url;
	MongodbSession	session;
	MongodbMark		mark; /* of a restore that has not come to its end */
	MongodbTool		tool;
	Child			mongodump;
	int64_t			quiet_since; /* bytes that had been read when it became quiet */
	int				quiet_seconds;
} DumpSource;

static bool
dump_source_read(Source *source, void *buffer, size_t capacity, size_t *length, Failure *failure)
{
	return child_read(&((DumpSource *) source)->mongodump, buffer, capacity, length, failure);
}

static bool
dump_source_finish(Source *source, Failure *failure)
{
	DumpSource *dump = (DumpSource *) source;

	if (!child_wait(&dump->mongodump, failure))
		return false;
	return dump->mongodump.status == 0 ||
		   mongodb_tool_failure(&dump->tool, &dump->mongodump, &dump->session, &dump->url, dump->settings,
								REASON_DUMP, failure);
}

static void
dump_source_close(Source *source)
{
	DumpSource *dump = (DumpSource *) source;

	child_close(&dump->mongodump);
	mongodb_disconnect(&dump->session);
	mongodb_url_free(&dump->url);
	free(dump);
}

/* A backup of a half replaced database is as good as the database; whoever restores it should know. */
static bool
note_mark(SourceFacts *facts, const char *database, const MongodbMark *mark, Failure *failure)
{
	if (mark->foreign)
		return sentence_add(&facts->notes, failure,
							"database \"%s\": the collection \"" MONGODB_BESIDE
							"\" is left out: custbackup marks there what it restores",
							database);
	return mark->phase != MONGODB_PHASE_REPLACING ||
		   sentence_add(&facts->notes, failure,
						"a restore of the database \"%s\" has not come to its end: some "
						"collections may be those of its backup, others as they were before "
						"(restore it again)",
						database);
}

/* Whom the right to look lacks, he has no restores. */
static bool
look_for_mark(DumpSource *dump, const char *database, MongodbMark *mark, SourceFacts *facts, Failure *failure)
{
	Failure asked = {0};

	if (!mongodb_marker_look(&dump->session, database, mark, REASON_DUMP, &asked) &&
		asked.reason != REASON_AUTH)
		return failure_set(failure, asked.reason, "%s", asked.detail);
	return note_mark(facts, database, mark, failure);
}

typedef struct WholeServer
{
	DumpSource	*dump;
	SourceFacts *facts;
} WholeServer;

/* mongodump leaves out collections of a single database alone. */
static bool
look_into_database(void *context, const char *name, const char *type, Failure *failure)
{
	WholeServer *server = context;
	MongodbMark	 mark;

	(void) type;
	if (mongodb_is_internal(name))
		return true;
	if (!look_for_mark(server->dump, name, &mark, server->facts, failure))
		return false;
	return mark.tag[0] == '\0' ||
		   sentence_add(&server->facts->notes, failure,
						"database \"%s\": what an unfinished restore has put beside (" MONGODB_BESIDE
						"%s_*) is in the backup; a restore of it leaves that out",
						name, mark.tag);
}

/* mongodump makes a whole archive of a database that does not exist, and exits with 0. */
static bool
ask_database(DumpSource *dump, SourceFacts *facts, Failure *failure)
{
	MongodbDatabase database;

	if (!mongodb_ask_database(&dump->session, dump->url.database, &database, failure))
		return false;
	if (!database.exists)
		return failure_set(
			failure, REASON_DUMP,
			"the database \"%s\" does not exist on MongoDB at %s (MongoDB makes one with its first "
			"collection), or the user may see nothing of it",
			dump->url.database, dump->session.name);
	facts->expected_raw_bytes = database.data_bytes;
	if (!look_for_mark(dump, dump->url.database, &dump->mark, facts, failure))
		return false;
	/* Many a URL has it for the log-in alone. */
	if (mongodb_is_internal(dump->url.database) &&
		!sentence_add(
			&facts->notes, failure,
			"the URL names the database \"%s\", MongoDB's own: no other one is in the backup, nor are the "
			"server's users and roles (for all that the user may read, name none and say authSource=%s)",
			dump->url.database, dump->url.database))
		return false;
	if (database.collections == 0)
		return sentence_add(&facts->notes, failure, "the database is empty: it has no collections");
	if (database.data_bytes == 0)
		return sentence_add(&facts->notes, failure,
							"the database is empty: no document in its %lld collections and views",
							(long long) database.collections);
	return true;
}

static bool
ask_facts(DumpSource *dump, SourceFacts *facts, Failure *failure)
{
	WholeServer server = {dump, facts};

	facts->consistency = "per collection";
	snprintf(facts->server_version, sizeof(facts->server_version), "MongoDB %s",
			 dump->session.server_version);
	snprintf(facts->tool_version, sizeof(facts->tool_version), "%s %s", dump->tool.name, dump->tool.version);
	if (dump->url.tls && dump->url.tls_insecure &&
		!sentence_add(&facts->notes, failure,
					  "the URL gives up verifying who answers: whoever is in between could read all of it"))
		return false;
	if (dump->url.database != NULL)
		return ask_database(dump, facts, failure);
	return mongodb_ask_total(&dump->session, &facts->expected_raw_bytes, failure) &&
		   mongodb_each_database(&dump->session, look_into_database, &server, REASON_DUMP, failure);
}

/* Once a second.  A mongodump whose server is gone may wait for ever: where no byte comes, the server is asked. */
static bool
look_at_server(void *context, Failure *failure)
{
	DumpSource *dump = context;

	if (dump->mongodump.bytes_read != dump->quiet_since)
	{
		dump->quiet_since = dump->mongodump.bytes_read;
		dump->quiet_seconds = 0;
	}
	return report_may_go_on(dump->report, failure) &&
		   (++dump->quiet_seconds % QUIET_SECONDS != 0 ||
			mongodb_reconnect(&dump->session, &dump->url, dump->settings, failure));
}

/* The configuration lives in the child from then on. */
static bool
start_mongodump(DumpSource *dump, Failure *failure)
{
	char config[64];
	/* What an unfinished restore has left beside is no part of the database; mongodump wants to be told of one for that. */
	char	  beside[sizeof("--excludeCollectionsWithPrefix=" MONGODB_BESIDE) + MONGODB_TAG_SIZE];
	char	 *argv[7] = {"mongodump", config, "--archive"};
	size_t	  count = 3;
	int		  fd = mongodb_tool_config(&dump->url, &dump->session, dump->settings, true, failure);
	ChildSpec spec = {.path = dump->tool.path, .argv = argv, .stdout_pipe = true, .kept_fds = {fd}};
	bool	  started;

	if (fd < 0)
		return false;
	if (dump->url.database != NULL)
		argv[count++] = "--excludeCollection=" MONGODB_BESIDE;
	if (dump->url.database != NULL && dump->mark.tag[0] != '\0')
	{
		snprintf(beside, sizeof(beside), "--excludeCollectionsWithPrefix=" MONGODB_BESIDE "%s_",
				 dump->mark.tag);
		argv[count++] = beside;
	}
	if (dump->url.database != NULL && mongodb_is_internal(dump->url.database))
		argv[count++] = "--excludeCollectionsWithPrefix=system.";
	snprintf(config, sizeof(config), "--config=/proc/self/fd/%d", fd);
	mongodb_disconnect(&dump->session);
	spec.idle = look_at_server;
	spec.idle_context = dump;
	started = child_start(&spec, &dump->mongodump, failure);
	close(fd);
	return started;
}

Source *
mongodb_open_source(const EngineContext *context, SourceFacts *facts, Failure *failure)
{
	DumpSource *dump = calloc(1, sizeof(*dump));

	if (dump == NULL)
	{
		failure_no_memory(failure);
		return NULL;
	}
	dump->source = (Source){dump_source_read, dump_source_finish, dump_source_close};
	dump->settings = context->settings;
	dump->report = context->report;
	if (mongodb_url_parse(&dump->url, context->url, failure) &&
		mongodb_tool_find(&dump->tool, "mongodump", context->settings, failure) &&
		mongodb_connect(&dump->session, &dump->url, context->settings, MONGODB_FOR_READING, failure) &&
		ask_facts(dump, facts, failure) && start_mongodump(dump, failure))
		return &dump->source;
	dump_source_close(&dump->source);
	return NULL;
}
