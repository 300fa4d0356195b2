/*
 * mongodb_plan.h
 *	  What a restore will do, found out before anything is touched: from the prelude of
 *	  the archive and from what the target has.
 *
 * Beside, then rename: each collection is restored under a name of its own that begins
 * with MONGODB_BESIDE and the tag of the database's marker, and takes its place by a
 * rename when all are whole.  A backup leaves out what the marker of an unfinished restore
 * tells of, the next restore sweeps it; the marker's own name is ours in every database.
 *
 * Views, time series and system.js cannot be renamed: they come last, each replaced by
 * itself.  Where nothing can be renamed (rights, a sharded cluster) all are replaced so,
 * and the row says it.
 *
 * A URL without a database means all that its user sees: what the backup does not have of
 * that is dropped, whole databases too.
 */
#ifndef MONGODB_PLAN_H
#define MONGODB_PLAN_H

#include <stdbool.h>
#include <stddef.h>

#include "engines/engine.h"
#include "engines/mongodb_archive.h"
#include "engines/mongodb_connect.h"
#include "engines/mongodb_marker.h"
#include "engines/mongodb_url.h"

#define MONGODB_BESIDE		"custbackup_restore_"
#define MONGODB_BESIDE_SIZE 320 /* room for the longest name beside */

/* A database of the archive and where it goes. */
typedef struct MongodbPair
{
	const char *source; /* the archive's; NULL: it has none, and the target is to be emptied */
	const char *target;
	bool		marked; /* the archive holds the marker of an unfinished restore, and what was beside */
	MongodbMark mark;	/* the target's, when that became ours */
} MongodbPair;

typedef struct MongodbPlan
{
	MongodbArchive *archive; /* its prelude alone was read */
	MongodbPair	   *pairs;
	size_t			pair_count;
	bool		   *last;		  /* for each collection of the archive: not beside, but at the end */
	size_t			beside;		  /* how many go beside */
	const char	   *why_in_place; /* NULL: beside; never where nothing could go there */
	bool			knows_drop_target;
	bool			validated; /* some collections have validators */
	bool			bypasses;  /* these are not asked, nor were they when the documents came */
	bool			replacing; /* nothing is as it was, from now on */
	char		  **others;	   /* the target's databases that the backup does not have */
	size_t			other_count;
} MongodbPlan;

/* On failure there is nothing to free. */
extern bool mongodb_plan_make(MongodbPlan *plan, MongodbSession *session, const MongodbUrl *url,
							  const EngineContext *context, const Dump *dump, RestoreOutcome *outcome,
							  Failure *failure);
extern void mongodb_plan_free(MongodbPlan *plan);

/* Where a collection of the archive goes; NULL: it is left out. */
extern const MongodbPair *mongodb_plan_pair(const MongodbPlan *plan, const MongodbNamespace *namespace);

/* The pair of one that is left out: an unfinished restore had put it beside, or it is MongoDB's own; NULL: no such thing. */
extern const MongodbPair *mongodb_plan_leftover(const MongodbPlan *plan, const MongodbNamespace *namespace);

/*
 * Does mongorestore have to be told of it by name?  Its patterns match within one line
 * alone, and the name beside has to be shorter than the collection's own would make it.
 */
extern bool mongodb_plan_stands_alone(const MongodbNamespace *namespace);

/* The name under which it is put beside. */
extern bool mongodb_plan_beside(const MongodbPair *pair, const MongodbNamespace *namespace,
								char name[MONGODB_BESIDE_SIZE], Failure *failure);

/* The marker's collection, or one beside by this tag? */
extern bool mongodb_is_beside(const char *collection, const char *tag);

/* One of MongoDB's own databases? */
extern bool mongodb_is_internal(const char *database);

#endif
