/*
 * mongodb_restore.c
 *	  The sink of a restore: beside, then rename (mongodb_plan.h).
 *
 *	  open		the archive's table is read, the target asked; what an unfinished restore
 *				has left beside is swept
 *	  write		mongorestore puts the collections beside: the target is as it was
 *	  commit	each takes its place, one by one (target_modified); what the backup does not
 *				have is dropped; views and time series are replaced
 *
 * A restore that ends within its commit leaves some collections new and some old, each
 * of them whole; the next restore finishes, for it replaces all.
 */
#include "engines/mongodb.h"

#include <stdlib.h>
#include <string.h>

#include "engines/mongodb_collections.h"
#include "engines/mongodb_connect.h"
#include "engines/mongodb_mongorestore.h"
#include "engines/mongodb_plan.h"
#include "engines/mongodb_tools.h"
#include "engines/mongodb_url.h"

#define READ_SIZE (256 * 1024)

typedef struct Restore
{
	Sink			sink;
	EngineContext	context;
	Dump			dump;
	RestoreOutcome *outcome;
	MongodbUrl		url;
	MongodbSession	session;
	MongodbPlan		plan;
	Mongorestore	mongorestore;
	bool			begun; /* something may stand beside */
} Restore;

static bool
has_last(const Restore *restore)
{
	for (size_t i = 0; i < mongodb_archive_count(restore->plan.archive); i++)
		if (restore->plan.last[i] &&
			mongodb_plan_pair(&restore->plan, mongodb_archive_namespace(restore->plan.archive, i)) != NULL)
			return true;
	return false;
}

/* Is there anything for the pass that reads the archive as it comes? */
static bool
has_first_pass(const Restore *restore)
{
	return restore->plan.beside > 0 || (restore->plan.why_in_place != NULL && has_last(restore));
}

static bool
restore_write(Sink *sink, const void *bytes, size_t length, Failure *failure)
{
	Restore *restore = (Restore *) sink;

	if (!has_first_pass(restore))
		return true;
	if (!restore->begun)
	{
		MongodbPass pass = restore->plan.why_in_place != NULL ? MONGODB_PASS_IN_PLACE : MONGODB_PASS_BESIDE;

		restore->begun = true;
		restore->outcome->target_modified |= pass == MONGODB_PASS_IN_PLACE;
		if (!mongorestore_start(&restore->mongorestore, &restore->plan, pass, failure))
			return false;
	}
	return mongorestore_write(&restore->mongorestore, bytes, length, failure);
}

/* ---- the end ---- */

/*
 * One collection takes its place.  A server that will not rename this one has it
 * replaced at the end.
 */
static bool
put_in_place(Restore *restore, size_t index, const char *database, const json_t *there, Failure *failure)
{
	const char *name = mongodb_archive_namespace(restore->plan.archive, index)->collection;
	const char *type = json_string_value(json_object_get(there, name));
	bool		over = restore->plan.knows_drop_target && (type == NULL || strcmp(type, "collection") == 0);
	char		beside[1024];
	Failure		asked = {0};

	snprintf(beside, sizeof(beside), "%s%s", MONGODB_BESIDE, name);
	if (json_object_get(there, beside) == NULL)
		return failure_set(failure, REASON_RESTORE,
						   "mongorestore said that all was well, but \"%.200s\" is missing", beside);
	report_alive(restore->context.report, "collections take their places");
	if (!over && type != NULL && !mongodb_drop_collection(&restore->session, database, name, failure))
		return false;
	if (mongodb_rename_collection(&restore->session, database, beside, name, over, &asked))
		return true;
	if (restore->session.code == 0 || asked.reason != REASON_RESTORE)
		return failure_set(failure, asked.reason, "%s", asked.detail);
	restore->plan.last[index] = true;
	return mongodb_left_alone(
		restore->outcome, failure,
		"the collection \"%.200s\" was replaced in place: the server does not rename it", name);
}

static bool
swap_database(Restore *restore, const MongodbPair *pair, Failure *failure)
{
	json_t *there = mongodb_list_collections(&restore->session, pair->target, failure);
	bool	good = there != NULL;

	for (size_t i = 0; good && i < mongodb_archive_count(restore->plan.archive); i++)
		if (mongodb_plan_pair(&restore->plan, mongodb_archive_namespace(restore->plan.archive, i)) == pair &&
			!restore->plan.last[i])
			good = put_in_place(restore, i, pair->target, there, failure);
	json_decref(there);
	return good;
}

/* What the backup does not have goes; what was put beside and has not moved, too. */
static bool
drop_others(Restore *restore, const MongodbPair *pair, Failure *failure)
{
	json_t	   *there = mongodb_list_collections(&restore->session, pair->target, failure);
	const char *name;
	json_t	   *type;
	bool		good = there != NULL;

	for (size_t i = 0; good && i < mongodb_archive_count(restore->plan.archive); i++)
	{
		const MongodbNamespace *namespace = mongodb_archive_namespace(restore->plan.archive, i);

		if (mongodb_plan_pair(&restore->plan, namespace) == pair)
			json_object_del(there, namespace->collection);
	}
	json_object_foreach(there, name, type)
	{
		if (good)
			good = mongodb_drop_collection(&restore->session, pair->target, name, failure);
	}
	json_decref(there);
	return good;
}

/* The archive a second time, for the views and time series in it. */
static bool
restore_last(Restore *restore, Failure *failure)
{
	DumpStream *stream = dump_open(&restore->dump, failure);
	char	   *buffer = malloc(READ_SIZE);
	size_t		length = 1;
	bool		good = stream != NULL && (buffer != NULL || failure_no_memory(failure)) &&
				mongorestore_start(&restore->mongorestore, &restore->plan, MONGODB_PASS_LAST, failure);

	while (good && length > 0)
	{
		good = dump_read(stream, buffer, READ_SIZE, &length, failure) &&
			   (length == 0 || mongorestore_write(&restore->mongorestore, buffer, length, failure));
		report_alive(restore->context.report, "views and time series");
	}
	good = good && mongorestore_finish(&restore->mongorestore, failure);
	if (stream != NULL)
		dump_close(stream);
	free(buffer);
	return good;
}

static bool
restore_commit(Sink *sink, Failure *failure)
{
	Restore *restore = (Restore *) sink;
	bool	 in_place = restore->plan.why_in_place != NULL;

	if (restore->begun && !mongorestore_finish(&restore->mongorestore, failure))
		return false;
	/* From here on half of it would be worse than all, whatever is signalled. */
	restore->session.finishes = true;
	restore->outcome->target_modified = true;
	for (size_t i = 0; !in_place && i < restore->plan.pair_count; i++)
		if (!swap_database(restore, &restore->plan.pairs[i], failure))
			return false;
	for (size_t i = 0; i < restore->plan.pair_count; i++)
		if (!drop_others(restore, &restore->plan.pairs[i], failure))
			return false;
	if (!in_place && has_last(restore) && !restore_last(restore, failure))
		return false;
	restore->begun = false;
	return true;
}

static bool
sweep(Restore *restore, Failure *failure)
{
	for (size_t i = 0; i < restore->plan.pair_count; i++)
		if (!mongodb_sweep(&restore->session, restore->plan.pairs[i].target, failure))
			return false;
	return true;
}

static void
restore_close(Sink *sink)
{
	Restore *restore = (Restore *) sink;
	Failure	 ignored = {0};

	mongorestore_close(&restore->mongorestore);
	restore->session.finishes = true;
	if (restore->begun &&
		(restore->session.client != NULL ||
		 mongodb_reconnect(&restore->session, &restore->url, restore->context.settings, &ignored)))
		sweep(restore, &ignored);
	mongodb_disconnect(&restore->session);
	mongodb_plan_free(&restore->plan);
	mongodb_url_free(&restore->url);
	free(restore);
}

Sink *
mongodb_open_sink(const EngineContext *context, const Dump *dump, RestoreOutcome *outcome, Failure *failure)
{
	Restore *restore = calloc(1, sizeof(*restore));

	if (restore == NULL)
	{
		failure_no_memory(failure);
		return NULL;
	}
	restore->sink = (Sink){.write = restore_write, .commit = restore_commit, .close = restore_close};
	restore->context = *context;
	restore->dump = *dump;
	restore->outcome = outcome;
	restore->mongorestore = (Mongorestore){.settings = context->settings,
										   .url = &restore->url,
										   .session = &restore->session,
										   .report = context->report};
	if (mongodb_url_parse(&restore->url, context->url, failure) &&
		mongodb_tool_find(&restore->mongorestore.tool, "mongorestore", context->settings, failure) &&
		mongodb_connect(&restore->session, &restore->url, context->settings, MONGODB_FOR_WRITING, failure) &&
		mongodb_plan_make(&restore->plan, &restore->session, &restore->url, context, dump, outcome,
						  failure) &&
		sweep(restore, failure))
		return &restore->sink;
	restore_close(&restore->sink);
	return NULL;
}
