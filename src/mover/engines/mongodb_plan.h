/*
 * mongodb_plan.h
 *	  What a restore will do, found out before anything is touched: from the prelude of
 *	  the archive and from what the target has.
 *
 * Beside, then rename: each collection is restored under a name of its own that begins
 * with MONGODB_BESIDE, and takes its place by a rename when all are whole.  Names that
 * begin so are ours in every database: a backup leaves them out, a restore sweeps those
 * that another one has left.
 *
 * Views, time series and system.* cannot be renamed: they come last, each replaced by
 * itself.  Where nothing can be renamed (rights, a sharded cluster, too long names) all
 * are replaced so, and the row says it.
 */
#ifndef MONGODB_PLAN_H
#define MONGODB_PLAN_H

#include <stdbool.h>
#include <stddef.h>

#include "engines/engine.h"
#include "engines/mongodb_archive.h"
#include "engines/mongodb_connect.h"
#include "engines/mongodb_url.h"

#define MONGODB_BESIDE "custbackup_restore_"

/* A database of the archive and where it goes. */
typedef struct MongodbPair
{
	const char *source; /* the archive's; NULL: it has none, and the target is to be emptied */
	const char *target;
} MongodbPair;

typedef struct MongodbPlan
{
	MongodbArchive *archive; /* its prelude alone was read */
	MongodbPair	   *pairs;
	size_t			pair_count;
	bool		   *last;		  /* for each collection of the archive: not beside, but at the end */
	size_t			beside;		  /* how many go beside */
	const char	   *why_in_place; /* NULL: beside */
	bool			knows_drop_target;
} MongodbPlan;

/* On failure there is nothing to free. */
extern bool mongodb_plan_make(MongodbPlan *plan, MongodbSession *session, const MongodbUrl *url,
							  const EngineContext *context, const Dump *dump, RestoreOutcome *outcome,
							  Failure *failure);
extern void mongodb_plan_free(MongodbPlan *plan);

/* Where a collection of the archive goes; NULL: it is left out. */
extern const MongodbPair *mongodb_plan_pair(const MongodbPlan *plan, const MongodbNamespace *namespace);

/* Is it left out of backups and of what is restored?  (What an unfinished restore has left.) */
extern bool mongodb_is_beside(const char *collection);

extern bool mongodb_left_alone(RestoreOutcome *outcome, Failure *failure, const char *format, ...)
	__attribute__((format(printf, 3, 4)));

#endif
