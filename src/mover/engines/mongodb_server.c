/*
 * mongodb_server.c
 *	  Asking a server for its databases and their sizes.
 */
#include "engines/mongodb_server.h"

#include <string.h>

/* A number of any of BSON's kinds; `otherwise` where there is none. */
static int64_t
number_of(const bson_t *document, const char *name, int64_t otherwise)
{
	bson_iter_t field;

	if (!bson_iter_init_find(&field, document, name) || !BSON_ITER_HOLDS_NUMBER(&field))
		return otherwise;
	return bson_iter_as_int64(&field);
}

/* Whom the right to ask lacks, him a backup does not fail for it. */
static bool
pass_over_rights(bool good, Failure *asked, Failure *failure)
{
	return good || asked->reason == REASON_AUTH || failure_set(failure, asked->reason, "%s", asked->detail);
}

/*
 * A size is for the progress alone: nor does it fail for one that the server does not
 * add up, as where a collection is dropped while it does.
 */
static bool
pass_over_refusal(bool good, Failure *asked, Failure *failure)
{
	return asked->reason == REASON_DUMP || pass_over_rights(good, asked, failure);
}

bool
mongodb_is_own(const char *collection)
{
	return strncmp(collection, "system.", strlen("system.")) == 0 &&
		   strcmp(collection, MONGODB_FUNCTIONS) != 0;
}

bool
mongodb_each_database(MongodbSession *session, MongodbSee see, void *context, FailureReason otherwise,
					  Failure *failure)
{
	bson_t		command = BSON_INITIALIZER;
	bson_t		answer;
	bson_iter_t field;
	bson_iter_t each;
	bson_iter_t name;
	bool		good;

	BSON_APPEND_INT32(&command, "listDatabases", 1);
	BSON_APPEND_BOOL(&command, "nameOnly", true);
	good = mongodb_ask(session, "admin", &command, &answer, otherwise, failure);
	if (good && bson_iter_init_find(&field, &answer, "databases") && BSON_ITER_HOLDS_ARRAY(&field) &&
		bson_iter_recurse(&field, &each))
		while (good && bson_iter_next(&each))
			if (BSON_ITER_HOLDS_DOCUMENT(&each) && bson_iter_recurse(&each, &name) &&
				bson_iter_find(&name, "name") && BSON_ITER_HOLDS_UTF8(&name))
				good = see(context, bson_iter_utf8(&name, NULL), "", failure);
	bson_destroy(&answer);
	bson_destroy(&command);
	return good;
}

bool
mongodb_each_collection(MongodbSession *session, const char *database, MongodbSee see, void *context,
						FailureReason otherwise, Failure *failure)
{
	mongoc_database_t *handle = mongoc_client_get_database(session->client, database);
	bson_t			   options = BSON_INITIALIZER;
	mongoc_cursor_t	  *cursor;
	const bson_t	  *document;
	bson_error_t	   error;
	bool			   good = true;

	/* A user with rights on single collections may list those. */
	BSON_APPEND_BOOL(&options, "authorizedCollections", true);
	BSON_APPEND_BOOL(&options, "nameOnly", true);
	cursor = mongoc_database_find_collections_with_opts(handle, &options);
	while (good && mongoc_cursor_next(cursor, &document))
	{
		bson_iter_t field;
		const char *name = NULL;
		const char *type = "collection";

		if (bson_iter_init_find(&field, document, "name") && BSON_ITER_HOLDS_UTF8(&field))
			name = bson_iter_utf8(&field, NULL);
		if (bson_iter_init_find(&field, document, "type") && BSON_ITER_HOLDS_UTF8(&field))
			type = bson_iter_utf8(&field, NULL);
		if (name != NULL)
			good = see(context, name, type, failure);
	}
	if (good && mongoc_cursor_error(cursor, &error))
		good = mongodb_fail(session, &error, otherwise, failure);
	mongoc_cursor_destroy(cursor);
	bson_destroy(&options);
	mongoc_database_destroy(handle);
	return good;
}

/* What is_listed() looks for. */
typedef struct Wanted
{
	const char *name;
	bool		found;
} Wanted;

static bool
compare_name(void *context, const char *name, const char *type, Failure *failure)
{
	Wanted *wanted = context;

	(void) type;
	(void) failure;
	wanted->found |= strcmp(name, wanted->name) == 0;
	return true;
}

static bool
is_listed(MongodbSession *session, const char *name, bool *listed, Failure *failure)
{
	Wanted	wanted = {.name = name};
	Failure asked = {0};
	bool	good = mongodb_each_database(session, compare_name, &wanted, REASON_DUMP, &asked);

	*listed = wanted.found;
	return pass_over_rights(good, &asked, failure);
}

static bool
count_collection(void *context, const char *name, const char *type, Failure *failure)
{
	(void) type;
	(void) failure;
	*(int64_t *) context += !mongodb_is_own(name);
	return true;
}

static bool
ask_size(MongodbSession *session, const char *name, int64_t *bytes, Failure *failure)
{
	bson_t	command = BSON_INITIALIZER;
	bson_t	answer;
	Failure asked = {0};
	bool	good;

	BSON_APPEND_INT32(&command, "dbStats", 1);
	good = mongodb_ask(session, name, &command, &answer, REASON_DUMP, &asked);
	*bytes = good ? number_of(&answer, "dataSize", -1) : -1;
	if (good && number_of(&answer, "objects", -1) == 0)
		*bytes = 0;
	bson_destroy(&answer);
	bson_destroy(&command);
	return pass_over_refusal(good, &asked, failure);
}

bool
mongodb_ask_database(MongodbSession *session, const char *name, MongodbDatabase *database, Failure *failure)
{
	bool listed;

	*database = (MongodbDatabase){.data_bytes = -1};
	if (!is_listed(session, name, &listed, failure) ||
		!mongodb_each_collection(session, name, count_collection, &database->collections, REASON_DUMP,
								 failure))
		return false;
	database->exists = listed || database->collections > 0;
	return !database->exists || ask_size(session, name, &database->data_bytes, failure);
}

bool
mongodb_ask_total(MongodbSession *session, int64_t *bytes, Failure *failure)
{
	bson_t	command = BSON_INITIALIZER;
	bson_t	answer;
	Failure asked = {0};
	bool	good;

	BSON_APPEND_INT32(&command, "listDatabases", 1);
	good = mongodb_ask(session, "admin", &command, &answer, REASON_DUMP, &asked);
	*bytes = good ? number_of(&answer, "totalSize", -1) : -1;
	bson_destroy(&answer);
	bson_destroy(&command);
	return pass_over_refusal(good, &asked, failure);
}
