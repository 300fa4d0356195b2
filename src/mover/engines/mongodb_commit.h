/*
 * mongodb_commit.h
 *	  The end of a restore: what stands beside takes its place, one by one; what the backup
 *	  does not have is dropped; views, time series and functions are replaced.
 *
 * outcome->target_modified is true from the first change on that the server did not
 * surely refuse.
 */
#ifndef MONGODB_COMMIT_H
#define MONGODB_COMMIT_H

#include "engines/engine.h"
#include "engines/mongodb_connect.h"
#include "engines/mongodb_mongorestore.h"
#include "engines/mongodb_plan.h"

/* All of it borrowed. */
typedef struct MongodbCommit
{
	const EngineContext	 *context;
	const Dump			 *dump;
	RestoreOutcome		 *outcome;
	MongodbSession		 *session;
	MongodbPlan			 *plan;
	const MongodbArchive *given;		/* has read all of the archive */
	Mongorestore		 *mongorestore; /* has ended; is started anew for what comes last */
} MongodbCommit;

extern bool mongodb_commit(const MongodbCommit *commit, Failure *failure);

/* Puts beside again what mongorestore met twice; the first try was swept. */
extern bool mongodb_commit_duplicates(const MongodbCommit *commit, Failure *failure);

/* mongorestore drops no collection of MongoDB's own before it fills it anew: the functions go first. */
extern bool mongodb_commit_drop_functions(const MongodbCommit *commit, Failure *failure);

/* Says of every database that this restore lives and how far it is. */
extern bool mongodb_commit_renew(const MongodbCommit *commit, Failure *failure);

#endif
