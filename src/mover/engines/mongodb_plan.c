/*
 * mongodb_plan.c
 *	  Making the plan of a restore: what goes where, and which way.
 */
#include "engines/mongodb_plan.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "digest.h"
#include "engines/mongodb_collections.h"
#include "engines/mongodb_server.h"

#define READ_SIZE (64 * 1024)

/* With the longest database's name within the 120 bytes that every release takes. */
#define PLAIN_NAME_MAX	27
#define SHORT_NAME_SIZE 28 /* hex digits of a digest instead, and a zero */

/* MongoDB's own databases: a customer's data does not stand there. */
static const char *const internal[] = {"admin", "config", "local", ""};

bool
mongodb_is_beside(const char *collection, const char *tag)
{
	const char *rest = collection + strlen(MONGODB_BESIDE);

	if (strncmp(collection, MONGODB_BESIDE, strlen(MONGODB_BESIDE)) != 0)
		return false;
	return *rest == '\0' ||
		   (*tag != '\0' && strncmp(rest, tag, strlen(tag)) == 0 && rest[strlen(tag)] == '_');
}

/* Of an archive: what an unfinished restore had put beside (by any tag, for nobody has read its marker), and MongoDB's own. */
static bool
is_left_out(const char *collection, bool marked)
{
	const char *rest = collection + strlen(MONGODB_BESIDE);
	char		tag[MONGODB_TAG_SIZE] = "";

	if (marked && strncmp(collection, MONGODB_BESIDE, strlen(MONGODB_BESIDE)) == 0 && mongodb_is_tag(rest))
		memcpy(tag, rest, MONGODB_TAG_SIZE - 1);
	return mongodb_is_own(collection) || mongodb_is_beside(collection, tag);
}

bool
mongodb_plan_stands_alone(const MongodbNamespace *namespace)
{
	const char *name = namespace->collection;

	if (strchr(name, '\n') != NULL)
		return true;
	/* mongorestore cannot be told of a '$'; MongoDB has no such names. */
	return strlen(name) > PLAIN_NAME_MAX && strchr(name, '$') == NULL;
}

bool
mongodb_plan_beside(const MongodbPair *pair, const MongodbNamespace *namespace,
					char name[MONGODB_BESIDE_SIZE], Failure *failure)
{
	char	digits[DIGEST_TEXT_SIZE];
	Digest *digest;
	bool	good;

	if (!mongodb_plan_stands_alone(namespace))
	{
		snprintf(name, MONGODB_BESIDE_SIZE, MONGODB_BESIDE "%s_%s", pair->mark.tag, namespace->collection);
		return true;
	}
	digest = digest_open(failure);
	good = digest != NULL &&
		   digest_add(digest, namespace->collection, strlen(namespace->collection), failure) &&
		   digest_finish(digest, digits, failure);
	digest_close(digest);
	if (good)
		snprintf(name, MONGODB_BESIDE_SIZE, MONGODB_BESIDE "%s_%.*s", pair->mark.tag, SHORT_NAME_SIZE - 1,
				 digits);
	return good;
}

bool
mongodb_is_internal(const char *database)
{
	for (size_t i = 0; i < sizeof(internal) / sizeof(internal[0]); i++)
		if (strcmp(database, internal[i]) == 0)
			return true;
	return false;
}

static bool
read_prelude(MongodbPlan *plan, const Dump *dump, Failure *failure)
{
	DumpStream *stream = dump_open(dump, failure);
	char	   *buffer = malloc(READ_SIZE);
	size_t		length = 1;
	bool		good = stream != NULL && (buffer != NULL || failure_no_memory(failure));

	while (good && length > 0 && !mongodb_archive_has_prelude(plan->archive))
		good = dump_read(stream, buffer, READ_SIZE, &length, failure) &&
			   mongodb_archive_feed(plan->archive, buffer, length, failure);
	if (good && !mongodb_archive_has_prelude(plan->archive))
		good = failure_set(failure, REASON_INTEGRITY,
						   "the mongodump archive ends within its table of collections");
	if (stream != NULL)
		dump_close(stream);
	free(buffer);
	return good;
}

static MongodbPair *
pair_of(const MongodbPlan *plan, const char *source)
{
	for (size_t i = 0; i < plan->pair_count; i++)
		if (plan->pairs[i].source != NULL && strcmp(plan->pairs[i].source, source) == 0)
			return &plan->pairs[i];
	return NULL;
}

const MongodbPair *
mongodb_plan_pair(const MongodbPlan *plan, const MongodbNamespace *namespace)
{
	const MongodbPair *pair = pair_of(plan, namespace->database);

	return pair != NULL && !is_left_out(namespace->collection, pair->marked) ? pair : NULL;
}

const MongodbPair *
mongodb_plan_leftover(const MongodbPlan *plan, const MongodbNamespace *namespace)
{
	const MongodbPair *pair = pair_of(plan, namespace->database);

	return pair != NULL && is_left_out(namespace->collection, pair->marked) ? pair : NULL;
}

/* An archive has the collections of its databases in no order.  MongoDB's own have no pair. */
static bool
is_known(const MongodbPlan *plan, size_t index, const char *source)
{
	if (pair_of(plan, source) != NULL)
		return true;
	for (size_t i = 0; i < index; i++)
		if (strcmp(source, mongodb_archive_namespace(plan->archive, i)->database) == 0)
			return true;
	return false;
}

static void
find_markers(MongodbPlan *plan)
{
	for (size_t i = 0; i < mongodb_archive_count(plan->archive); i++)
	{
		const MongodbNamespace *namespace = mongodb_archive_namespace(plan->archive, i);
		MongodbPair *pair = pair_of(plan, namespace->database);

		if (pair != NULL && strcmp(namespace->collection, MONGODB_BESIDE) == 0)
			pair->marked = true;
	}
}

/* One pair for each database of the archive, in which the first of its collections names it. */
static bool
pair_databases(MongodbPlan *plan, const MongodbUrl *url, RestoreOutcome *outcome, Failure *failure)
{
	size_t count = mongodb_archive_count(plan->archive);

	plan->pairs = calloc(count + 1, sizeof(*plan->pairs));
	if (plan->pairs == NULL)
		return failure_no_memory(failure);
	for (size_t i = 0; i < count; i++)
	{
		const char *source = mongodb_archive_namespace(plan->archive, i)->database;

		if (is_known(plan, i, source))
			continue;
		if (url->database == NULL && mongodb_is_internal(source))
		{
			if (!sentence_add(&outcome->left_alone, failure, "the database \"%s\": MongoDB's own", source))
				return false;
			continue;
		}
		if (strpbrk(source, "$*\\./") != NULL)
			return failure_set(failure, REASON_NOT_RESTORABLE,
							   "the backup holds a database whose name no MongoDB takes: \"%.80s\"", source);
		plan->pairs[plan->pair_count++] =
			(MongodbPair){.source = source, .target = url->database != NULL ? url->database : source};
	}
	if (url->database == NULL)
		return true;
	if (plan->pair_count > 1)
		return failure_set(
			failure, REASON_NOT_RESTORABLE,
			"the backup holds %zu databases, the target's URL names one: restore into a resource "
			"whose URL names none",
			plan->pair_count);
	if (plan->pair_count == 0)
		plan->pairs[plan->pair_count++] = (MongodbPair){.target = url->database};
	return true;
}

static bool
may_be_renamed(const MongodbNamespace *namespace)
{
	return namespace->kind == MONGODB_COLLECTION && strncmp(namespace->collection, "system.", 7) != 0;
}

/* Which go beside? */
static bool
choose_ways(MongodbPlan *plan, Failure *failure)
{
	size_t count = mongodb_archive_count(plan->archive);

	plan->last = calloc(count + 1, sizeof(*plan->last));
	if (plan->last == NULL)
		return failure_no_memory(failure);
	for (size_t i = 0; i < count; i++)
	{
		const MongodbNamespace *namespace = mongodb_archive_namespace(plan->archive, i);
		const MongodbPair *pair = mongodb_plan_pair(plan, namespace);

		if (pair == NULL)
			continue;
		plan->last[i] = !may_be_renamed(namespace);
		plan->beside += !plan->last[i];
		plan->validated |= namespace->validated;
		if (strchr(namespace->collection, '$') != NULL &&
			(plan->last[i] || mongodb_plan_stands_alone(namespace)))
			return failure_set(failure, REASON_NOT_RESTORABLE,
							   "mongorestore cannot be told of \"%.80s\": there is a '$' in its name",
							   namespace->collection);
		if (namespace->kind == MONGODB_TIMESERIES && mongodb_plan_stands_alone(namespace) &&
			strchr(namespace->collection, '\n') != NULL)
			return failure_set(
				failure, REASON_NOT_RESTORABLE,
				"mongorestore cannot be told of the time series \"%.80s\": there is a line break "
				"in its name",
				namespace->collection);
	}
	return true;
}

/* May collections be renamed there, and how?  Asked with one that does not exist. */
static bool
ask_about_renames(MongodbPlan *plan, MongodbSession *session, const char *attempt, Failure *failure)
{
	MongodbRename answer;

	if (plan->beside == 0)
		return true;
	if (session->is_router)
		plan->why_in_place = "the target is a sharded cluster";
	for (size_t i = 0; i < plan->pair_count && plan->why_in_place == NULL; i++)
	{
		if (!mongodb_probe_rename(session, plan->pairs[i].target, attempt, &answer, failure))
			return false;
		if (answer == MONGODB_RENAME_REFUSED)
			plan->why_in_place = "the user has no right to rename collections, or the server renames none";
		plan->knows_drop_target = answer == MONGODB_RENAME_OVER;
	}
	return true;
}

/* A clone's target has nothing of its own yet. */
static bool
check_empty(MongodbSession *session, const char *database, Failure *failure)
{
	json_t	   *there = mongodb_list_collections(session, database, failure);
	MongodbMark mark;
	const char *name;
	json_t	   *type;
	size_t		own = 0;

	if (there == NULL || !mongodb_marker_look(session, database, &mark, REASON_RESTORE, failure))
	{
		json_decref(there);
		return false;
	}
	json_object_foreach(there, name, type) own += !mongodb_is_beside(name, mark.tag);
	json_decref(there);
	return own == 0 || failure_set(failure, REASON_TARGET_NOT_EMPTY,
								   "the target's database \"%s\" on MongoDB at %s has %zu collections",
								   database, session->name, own);
}

static bool
add_other(void *context, const char *name, const char *type, Failure *failure)
{
	MongodbPlan *plan = context;
	char	   **more;

	(void) type;
	if (mongodb_is_internal(name))
		return true;
	for (size_t i = 0; i < plan->pair_count; i++)
		if (strcmp(plan->pairs[i].target, name) == 0)
			return true;
	more = reallocarray(plan->others, plan->other_count + 1, sizeof(*more));
	if (more == NULL)
		return failure_no_memory(failure);
	plan->others = more;
	plan->others[plan->other_count] = strdup(name);
	return plan->others[plan->other_count++] != NULL || failure_no_memory(failure);
}

static bool
look_at_target(MongodbPlan *plan, MongodbSession *session, const MongodbUrl *url, RestoreMode mode,
			   Failure *failure)
{
	if (url->database == NULL && !mongodb_each_database(session, add_other, plan, REASON_RESTORE, failure))
		return false;
	for (size_t i = 0; mode == RESTORE_CLONE && i < plan->pair_count; i++)
		if (!check_empty(session, plan->pairs[i].target, failure))
			return false;
	for (size_t i = 0; mode == RESTORE_CLONE && i < plan->other_count; i++)
		if (!check_empty(session, plan->others[i], failure))
			return false;
	return true;
}

/* Whoever may write but not drop would leave all that he puts beside: so a collection is dropped that nobody has. */
static bool
check_drops(const MongodbPlan *plan, MongodbSession *session, const char *attempt, Failure *failure)
{
	char name[sizeof(MONGODB_BESIDE) + 64];

	snprintf(name, sizeof(name), MONGODB_BESIDE "%s_", attempt);
	for (size_t i = 0; i < plan->pair_count; i++)
		if (!mongodb_drop_collection(session, plan->pairs[i].target, name, failure))
			return false;
	return true;
}

/*
 * MongoDB gives the rights on buckets apart from those on collections.  Found out only when a time series
 * has been dropped, it would be lost: so a collection is dropped there that nobody has.
 */
static bool
check_buckets(MongodbSession *session, const char *database, const char *attempt, Failure *failure)
{
	char	name[sizeof(MONGODB_BUCKETS MONGODB_BESIDE) + 64];
	Failure asked = {0};

	if (strverscmp(session->server_version, "8.3") >= 0)
		return true;
	snprintf(name, sizeof(name), MONGODB_BUCKETS MONGODB_BESIDE "%s", attempt);
	return mongodb_drop_collection(session, database, name, &asked) || asked.reason != REASON_AUTH ||
		   failure_set(failure, REASON_AUTH,
					   "the backup holds time series, and the user has no rights on what is behind them "
					   "(" MONGODB_BUCKETS "*): grant those that the role restore has.  %s",
					   asked.detail);
}

/* Beside is where their readers would not have seen them vanish and fill again. */
static bool
judge_time_series(const MongodbPlan *plan, MongodbSession *session, const char *attempt,
				  RestoreOutcome *outcome, Failure *failure)
{
	for (size_t i = 0; i < mongodb_archive_count(plan->archive); i++)
	{
		const MongodbNamespace *namespace = mongodb_archive_namespace(plan->archive, i);
		const MongodbPair *pair = mongodb_plan_pair(plan, namespace);

		if (namespace->kind != MONGODB_TIMESERIES || pair == NULL)
			continue;
		if (!check_buckets(session, pair->target, attempt, failure))
			return false;
		if (plan->why_in_place == NULL &&
			!sentence_add(&outcome->left_alone, failure,
						  "the time series \"%.200s\" was replaced in place: MongoDB renames none",
						  namespace->collection))
			return false;
	}
	return true;
}

static bool
make(MongodbPlan *plan, MongodbSession *session, const MongodbUrl *url, const EngineContext *context,
	 const Dump *dump, RestoreOutcome *outcome, Failure *failure)
{
	plan->archive = mongodb_archive_open(REASON_INTEGRITY, failure);
	if (plan->archive == NULL || !read_prelude(plan, dump, failure) ||
		!pair_databases(plan, url, outcome, failure))
		return false;
	find_markers(plan);
	if (!choose_ways(plan, failure) || !look_at_target(plan, session, url, context->job->mode, failure) ||
		!check_drops(plan, session, context->job->attempt_id, failure) ||
		!ask_about_renames(plan, session, context->job->attempt_id, failure) ||
		!judge_time_series(plan, session, context->job->attempt_id, outcome, failure))
		return false;
	return plan->why_in_place == NULL ||
		   sentence_add(&outcome->left_alone, failure,
						"restored in place, so that readers saw collections vanish and fill again: %s",
						plan->why_in_place);
}

bool
mongodb_plan_make(MongodbPlan *plan, MongodbSession *session, const MongodbUrl *url,
				  const EngineContext *context, const Dump *dump, RestoreOutcome *outcome, Failure *failure)
{
	*plan = (MongodbPlan){0};
	if (make(plan, session, url, context, dump, outcome, failure))
		return true;
	mongodb_plan_free(plan);
	return false;
}

void
mongodb_plan_free(MongodbPlan *plan)
{
	mongodb_archive_close(plan->archive);
	for (size_t i = 0; i < plan->other_count; i++)
		free(plan->others[i]);
	free(plan->others);
	free(plan->pairs);
	free(plan->last);
	*plan = (MongodbPlan){0};
}
