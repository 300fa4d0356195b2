/*
 * mongodb_server.h
 *	  What a server says of its databases.
 */
#ifndef MONGODB_SERVER_H
#define MONGODB_SERVER_H

#include <stdbool.h>
#include <stdint.h>

#include "engines/mongodb_connect.h"

typedef struct MongodbDatabase
{
	bool	exists;
	int64_t collections; /* views too, without MongoDB's own */
	int64_t data_bytes;	 /* of its documents, uncompressed; -1: not told */
} MongodbDatabase;

/* The customer's own functions: the one collection of MongoDB's own names that a dump holds. */
#define MONGODB_FUNCTIONS "system.js"

/* MongoDB's own: no dump of a customer's database holds it. */
extern bool mongodb_is_own(const char *collection);

extern bool mongodb_ask_database(MongodbSession *session, const char *name, MongodbDatabase *database,
								 Failure *failure);

/* The size on disk of all databases that the user may see; -1: not told. */
extern bool mongodb_ask_total(MongodbSession *session, int64_t *bytes, Failure *failure);

/* Gets a collection's name and its type: "collection", "view", "timeseries". */
typedef bool (*MongodbSee)(void *context, const char *name, const char *type, Failure *failure);

/* Those that the user may see; their type is "". */
extern bool mongodb_each_database(MongodbSession *session, MongodbSee see, void *context,
								  FailureReason otherwise, Failure *failure);

extern bool mongodb_each_collection(MongodbSession *session, const char *database, MongodbSee see,
									void *context, FailureReason otherwise, Failure *failure);

#endif
