/*
 * mongodb_collections.h
 *	  A target's collections: listed, renamed, dropped.
 */
#ifndef MONGODB_COLLECTIONS_H
#define MONGODB_COLLECTIONS_H

#include <stdbool.h>

#include <jansson.h>

#include "engines/mongodb_connect.h"
#include "failure.h"

typedef enum MongodbRename
{
	MONGODB_RENAME_OVER,   /* over one that is there, in one step */
	MONGODB_RENAME_BARE,   /* only to a name that is free: the server does not know dropTarget */
	MONGODB_RENAME_REFUSED /* not by this user, or not at all */
} MongodbRename;

/* {name: type}, without MongoDB's own; the caller's to json_decref.  NULL: failure. */
extern json_t *mongodb_list_collections(MongodbSession *session, const char *database, Failure *failure);

/* Changes nothing: it asks for a collection called by the attempt's id, which nobody has. */
extern bool mongodb_probe_rename(MongodbSession *session, const char *database, const char *attempt,
								 MongodbRename *answer, Failure *failure);

/* The session's code when the name is taken. */
#define MONGODB_NAMESPACE_EXISTS 48

/* over: takes the place of one that is there. */
extern bool mongodb_rename_collection(MongodbSession *session, const char *database, const char *from,
									  const char *to, bool over, Failure *failure);

/* One that is not there is dropped already; functions that a server does not let go are emptied. */
extern bool mongodb_drop_collection(MongodbSession *session, const char *database, const char *name,
									Failure *failure);

extern bool mongodb_drop_database(MongodbSession *session, const char *database, Failure *failure);

/* Drops what a restore has put beside by this tag, and its marker if that is to go. */
extern bool mongodb_sweep(MongodbSession *session, const char *database, const char *tag, bool marker_too,
						  Failure *failure);

#endif
