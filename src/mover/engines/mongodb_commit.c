/*
 * mongodb_commit.c
 *	  Renames, drops, and the second pass over the archive.
 */
#include "engines/mongodb_commit.h"

#include <stdlib.h>
#include <string.h>

#include "clock.h"
#include "engines/mongodb_collections.h"
#include "engines/mongodb_server.h"

#define READ_SIZE (256 * 1024)
/* Of a rename to a name that somebody else takes again and again. */
#define RENAME_TRIES 20

/* A change of the target was asked for: was it, or may it have been made? */
static bool
changed(const MongodbCommit *commit, bool good)
{
	if (good || commit->session->code == 0)
		commit->outcome->target_modified = true;
	return good;
}

bool
mongodb_commit_renew(const MongodbCommit *commit, Failure *failure)
{
	for (size_t i = 0; i < commit->plan->pair_count; i++)
	{
		const MongodbPair *pair = &commit->plan->pairs[i];

		if (!mongodb_marker_renew(commit->session, pair->target, commit->context->job->attempt_id,
								  commit->plan->replacing ? MONGODB_PHASE_REPLACING : pair->mark.phase,
								  failure))
			return false;
	}
	return true;
}

/*
 * One collection takes its place.  Where a rename does not replace what is there,
 * that is dropped first, and once more if an application that goes on writing has
 * made it again.  A server that will not rename this one has it replaced at the end.
 */
static bool
put_in_place(const MongodbCommit *commit, size_t index, const MongodbPair *pair, const json_t *there,
			 Failure *failure)
{
	const MongodbNamespace *namespace = mongodb_archive_namespace(commit->plan->archive, index);
	const char *name = namespace->collection;
	const char *type = json_string_value(json_object_get(there, name));
	bool		over = commit->plan->knows_drop_target && (type == NULL || strcmp(type, "collection") == 0);
	char		beside[MONGODB_BESIDE_SIZE];
	Failure		asked;

	if (!mongodb_plan_beside(pair, namespace, beside, failure))
		return false;
	if (json_object_get(there, beside) == NULL)
		return failure_set(failure, REASON_RESTORE,
						   "mongorestore said that all was well, but \"%.200s\" is missing", beside);
	report_alive(commit->context->report, "collections take their places");
	if (!over && type != NULL &&
		!changed(commit, mongodb_drop_collection(commit->session, pair->target, name, failure)))
		return false;
	for (int tries = 1;; tries++)
	{
		asked = (Failure){0};
		if (changed(commit,
					mongodb_rename_collection(commit->session, pair->target, beside, name, over, &asked)))
			return true;
		if (commit->session->code != MONGODB_NAMESPACE_EXISTS || type == NULL || tries == RENAME_TRIES)
			break;
		if (!changed(commit, mongodb_drop_collection(commit->session, pair->target, name, failure)))
			return false;
	}
	if (commit->session->code == 0 || asked.reason != REASON_RESTORE)
		return failure_set(failure, asked.reason, "%s", asked.detail);
	commit->plan->last[index] = true;
	return sentence_add(&commit->outcome->left_alone, failure,
						"the collection \"%.200s\" was replaced in place: the server does not rename it",
						name);
}

static bool
swap_database(const MongodbCommit *commit, const MongodbPair *pair, Failure *failure)
{
	json_t *there = mongodb_list_collections(commit->session, pair->target, failure);
	int64_t renewed = clock_milliseconds();
	bool	good = there != NULL;

	for (size_t i = 0; good && i < mongodb_archive_count(commit->plan->archive); i++)
	{
		if (mongodb_plan_pair(commit->plan, mongodb_archive_namespace(commit->plan->archive, i)) != pair ||
			commit->plan->last[i])
			continue;
		good = put_in_place(commit, i, pair, there, failure);
		if (good && clock_milliseconds() - renewed > MONGODB_MARKER_EVERY * 1000)
		{
			good = mongodb_commit_renew(commit, failure);
			renewed = clock_milliseconds();
		}
	}
	json_decref(there);
	return good;
}

/* What the backup does not have goes; what was put beside and has not moved, too; the marker is still wanted. */
static bool
drop_others(const MongodbCommit *commit, const MongodbPair *pair, Failure *failure)
{
	json_t	   *there = mongodb_list_collections(commit->session, pair->target, failure);
	const char *name;
	json_t	   *type;
	bool		good = there != NULL;

	for (size_t i = 0; good && i < mongodb_archive_count(commit->plan->archive); i++)
	{
		const MongodbNamespace *namespace = mongodb_archive_namespace(commit->plan->archive, i);

		if (mongodb_plan_pair(commit->plan, namespace) == pair)
			json_object_del(there, namespace->collection);
	}
	json_object_foreach(there, name, type)
	{
		if (good && strcmp(name, MONGODB_BESIDE) != 0)
			good = changed(commit, mongodb_drop_collection(commit->session, pair->target, name, failure));
	}
	json_decref(there);
	return good;
}

/* Where the URL means the whole server: databases that the backup does not have. */
static bool
drop_other_databases(const MongodbCommit *commit, Failure *failure)
{
	for (size_t i = 0; i < commit->plan->other_count; i++)
	{
		const char *database = commit->plan->others[i];
		Failure		asked = {0};

		if (changed(commit, mongodb_drop_database(commit->session, database, &asked)))
			continue;
		if (asked.reason != REASON_AUTH)
			return failure_set(failure, asked.reason, "%s", asked.detail);
		if (!sentence_add(&commit->outcome->left_alone, failure,
						  "the database \"%s\", which the backup does not have: the user may not drop it",
						  database))
			return false;
	}
	return true;
}

static bool
has_last(const MongodbPlan *plan)
{
	for (size_t i = 0; i < mongodb_archive_count(plan->archive); i++)
		if (plan->last[i] && mongodb_plan_pair(plan, mongodb_archive_namespace(plan->archive, i)) != NULL)
			return true;
	return false;
}

bool
mongodb_commit_drop_functions(const MongodbCommit *commit, Failure *failure)
{
	for (size_t i = 0; i < mongodb_archive_count(commit->plan->archive); i++)
	{
		const MongodbNamespace *namespace = mongodb_archive_namespace(commit->plan->archive, i);
		const MongodbPair *pair = mongodb_plan_pair(commit->plan, namespace);

		if (pair != NULL && strcmp(namespace->collection, MONGODB_FUNCTIONS) == 0 &&
			!changed(commit,
					 mongodb_drop_collection(commit->session, pair->target, MONGODB_FUNCTIONS, failure)))
			return false;
	}
	return true;
}

/* The archive a second time, to a mongorestore that has been started. */
static bool
feed(const MongodbCommit *commit, const char *what, Failure *failure)
{
	DumpStream *stream = dump_open(commit->dump, failure);
	char	   *buffer = malloc(READ_SIZE);
	size_t		length = 1;
	bool		good = stream != NULL && (buffer != NULL || failure_no_memory(failure));

	while (good && length > 0)
	{
		good = dump_read(stream, buffer, READ_SIZE, &length, failure) &&
			   (length == 0 || mongorestore_write(commit->mongorestore, buffer, length, failure));
		report_alive(commit->context->report, what);
	}
	if (good)
		mongorestore_expect(commit->mongorestore, commit->plan, commit->given);
	good = good && mongorestore_finish(commit->mongorestore, failure);
	if (stream != NULL)
		dump_close(stream);
	free(buffer);
	return good;
}

/* What was not put beside. */
static bool
restore_last(const MongodbCommit *commit, Failure *failure)
{
	bool good = mongodb_commit_drop_functions(commit, failure);

	commit->outcome->target_modified |= good;
	return good && mongorestore_start(commit->mongorestore, commit->plan, MONGODB_PASS_LAST, failure) &&
		   feed(commit, "views, time series, functions", failure);
}

bool
mongodb_commit_duplicates(const MongodbCommit *commit, Failure *failure)
{
	Mongorestore *mongorestore = commit->mongorestore;
	bool		  good;

	mongorestore->has_duplicates = true;
	good = mongorestore_start(mongorestore, commit->plan, MONGODB_PASS_BESIDE, failure) &&
		   feed(commit, "all of it again, for documents that stand twice in the backup", failure);
	mongorestore->has_duplicates = false;
	return good &&
		   sentence_add(&commit->outcome->left_alone, failure,
						"documents that stand twice in the backup under one _id, for they were deleted and "
						"inserted again while it was made (%lld): of each two, one is back",
						(long long) mongorestore->passed_over);
}

bool
mongodb_commit(const MongodbCommit *commit, Failure *failure)
{
	MongodbPlan *plan = commit->plan;
	bool		 in_place = plan->why_in_place != NULL;

	plan->replacing = true;
	if (!mongodb_commit_renew(commit, failure))
		return false;
	for (size_t i = 0; !in_place && i < plan->pair_count; i++)
		if (!swap_database(commit, &plan->pairs[i], failure))
			return false;
	for (size_t i = 0; i < plan->pair_count; i++)
		if (!drop_others(commit, &plan->pairs[i], failure))
			return false;
	if (!drop_other_databases(commit, failure))
		return false;
	if (!in_place && has_last(plan) && !restore_last(commit, failure))
		return false;
	commit->outcome->target_modified = true;
	return true;
}
