/*
 * mongodb_collections.c
 *	  Listing, renaming and dropping a target's collections.
 */
#include "engines/mongodb_collections.h"

#include <stdio.h>
#include <string.h>

#include "engines/mongodb_plan.h"
#include "engines/mongodb_server.h"

/* The server's own codes, and those of services that are MongoDB to the eye. */
#define CODE_UNAUTHORIZED		 13
#define CODE_ILLEGAL_OPERATION	 20
#define CODE_NAMESPACE_NOT_FOUND 26
#define CODE_COMMAND_NOT_FOUND	 59
#define CODE_NOT_SUPPORTED		 115
#define CODE_NOT_IMPLEMENTED	 238
#define CODE_NO_FEATURE			 303
#define CODE_NOT_IN_ATLAS		 8000

/* "database.collection": each is short, or the server would not have it. */
#define NAMESPACE_SIZE 1024

static bool
add_to_list(void *context, const char *name, const char *type, Failure *failure)
{
	if (mongodb_is_own(name))
		return true;
	/* A server may name anything; these names are for comparing alone. */
	return json_object_set_new_nocheck(context, name, json_string_nocheck(type)) == 0 ||
		   failure_no_memory(failure);
}

json_t *
mongodb_list_collections(MongodbSession *session, const char *database, Failure *failure)
{
	json_t *list = json_object();

	if (list == NULL)
		failure_no_memory(failure);
	else if (mongodb_each_collection(session, database, add_to_list, list, REASON_RESTORE, failure))
		return list;
	json_decref(list);
	return NULL;
}

bool
mongodb_rename_collection(MongodbSession *session, const char *database, const char *from, const char *to,
						  bool over, Failure *failure)
{
	char   source[NAMESPACE_SIZE];
	char   target[NAMESPACE_SIZE];
	bson_t command = BSON_INITIALIZER;
	bson_t answer;
	bool   good;

	snprintf(source, sizeof(source), "%s.%s", database, from);
	snprintf(target, sizeof(target), "%s.%s", database, to);
	BSON_APPEND_UTF8(&command, "renameCollection", source);
	BSON_APPEND_UTF8(&command, "to", target);
	if (over)
		BSON_APPEND_BOOL(&command, "dropTarget", true);
	good = mongodb_ask(session, "admin", &command, &answer, REASON_RESTORE, failure);
	bson_destroy(&answer);
	bson_destroy(&command);
	return good;
}

/* Those that say no to whatever is to be renamed. */
static bool
refuses_renames(uint32_t code)
{
	static const uint32_t codes[] = {CODE_UNAUTHORIZED, CODE_COMMAND_NOT_FOUND, CODE_NOT_SUPPORTED,
									 CODE_NO_FEATURE, CODE_NOT_IN_ATLAS};

	for (size_t i = 0; i < sizeof(codes) / sizeof(codes[0]); i++)
		if (codes[i] == code)
			return true;
	return false;
}

bool
mongodb_probe_rename(MongodbSession *session, const char *database, const char *attempt,
					 MongodbRename *answer, Failure *failure)
{
	Failure asked = {0};
	char	nothing[64];
	char	nowhere[64];

	*answer = MONGODB_RENAME_OVER;
	snprintf(nothing, sizeof(nothing), MONGODB_BESIDE "%s", attempt);
	snprintf(nowhere, sizeof(nowhere), MONGODB_BESIDE "%s_", attempt);
	if (mongodb_rename_collection(session, database, nothing, nowhere, true, &asked))
		return true;
	if (session->code == CODE_NAMESPACE_NOT_FOUND)
		return true;
	if (session->code == CODE_NOT_IMPLEMENTED)
		*answer = MONGODB_RENAME_BARE;
	else if (refuses_renames(session->code))
		*answer = MONGODB_RENAME_REFUSED;
	else
		return failure_set(failure, asked.reason, "%s", asked.detail);
	return true;
}

/* Every document of it. */
static bool
empty_collection(MongodbSession *session, const char *database, const char *name, Failure *failure)
{
	bson_t *command = BCON_NEW("delete", BCON_UTF8(name), "deletes", "[", "{", "q", "{", "}", "limit",
							   BCON_INT32(0), "}", "]");
	bson_t	answer;
	bool	good = mongodb_ask(session, database, command, &answer, REASON_RESTORE, failure);

	bson_destroy(&answer);
	bson_destroy(command);
	return good;
}

bool
mongodb_drop_collection(MongodbSession *session, const char *database, const char *name, Failure *failure)
{
	Failure asked = {0};
	bson_t	command = BSON_INITIALIZER;
	bson_t	answer;
	bool	good;

	BSON_APPEND_UTF8(&command, "drop", name);
	good = mongodb_ask(session, database, &command, &answer, REASON_RESTORE, &asked) ||
		   session->code == CODE_NAMESPACE_NOT_FOUND;
	bson_destroy(&answer);
	bson_destroy(&command);
	/* Servers before 6.0 let nobody drop the functions. */
	if (!good && session->code == CODE_ILLEGAL_OPERATION && strcmp(name, MONGODB_FUNCTIONS) == 0)
		return empty_collection(session, database, name, failure);
	return good || failure_set(failure, asked.reason, "%s", asked.detail);
}

bool
mongodb_drop_database(MongodbSession *session, const char *database, Failure *failure)
{
	bson_t command = BSON_INITIALIZER;
	bson_t answer;
	bool   good;

	BSON_APPEND_INT32(&command, "dropDatabase", 1);
	good = mongodb_ask(session, database, &command, &answer, REASON_RESTORE, failure);
	bson_destroy(&answer);
	bson_destroy(&command);
	return good;
}

bool
mongodb_sweep(MongodbSession *session, const char *database, const char *tag, bool marker_too,
			  Failure *failure)
{
	json_t	   *there = mongodb_list_collections(session, database, failure);
	const char *name;
	json_t	   *type;
	bool		good = there != NULL;

	json_object_foreach(there, name, type)
	{
		if (good && mongodb_is_beside(name, tag) && strcmp(name, MONGODB_BESIDE) != 0)
			good = mongodb_drop_collection(session, database, name, failure);
	}
	/* The mark last: as long as anything stands beside, it says so. */
	if (good && marker_too && json_object_get(there, MONGODB_BESIDE) != NULL)
		good = mongodb_drop_collection(session, database, MONGODB_BESIDE, failure);
	json_decref(there);
	return good;
}
