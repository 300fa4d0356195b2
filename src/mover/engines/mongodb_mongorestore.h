/*
 * mongodb_mongorestore.h
 *	  mongorestore, which reads an archive from its stdin.
 */
#ifndef MONGODB_MONGORESTORE_H
#define MONGODB_MONGORESTORE_H

#include <stdbool.h>
#include <stddef.h>

#include "engines/mongodb_connect.h"
#include "engines/mongodb_plan.h"
#include "engines/mongodb_tools.h"
#include "engines/mongodb_url.h"
#include "process.h"
#include "report.h"

typedef enum MongodbPass
{
	MONGODB_PASS_BESIDE,   /* what can be renamed, under names beside */
	MONGODB_PASS_IN_PLACE, /* everything, each collection replaced */
	MONGODB_PASS_LAST	   /* what the plan says comes last, each replaced */
} MongodbPass;

typedef struct Mongorestore
{
	MongodbTool		tool;
	const Settings *settings;
	MongodbUrl	   *url;
	MongodbSession *session;
	Report		   *report;
	/* Called every few seconds on a connected session: the restore says that it lives. */
	bool (*renew)(void *context, Failure *failure);
	void *renew_context;
	/*
	 * A document may stand twice in the archive, under one _id: then one of the two is passed
	 * over, and nothing but these may fail.  Beside alone, where nobody else writes.
	 */
	bool		has_duplicates;
	int64_t		passed_over;
	MongodbPass pass;
	int64_t		expected; /* documents that it is to restore; -1: not known yet */
	Child		child;
	bool		fed;	 /* all of the archive was given */
	int64_t		renewed; /* milliseconds of our own clock */
} Mongorestore;

/* The session is disconnected, since a child is forked. */
extern bool mongorestore_start(Mongorestore *mongorestore, const MongodbPlan *plan, MongodbPass pass,
							   Failure *failure);
extern bool mongorestore_write(Mongorestore *mongorestore, const void *bytes, size_t length,
							   Failure *failure);

/* What it was given, read by *archive to the end, tells how many documents are to be restored. */
extern void mongorestore_expect(Mongorestore *mongorestore, const MongodbPlan *plan,
								const MongodbArchive *archive);

/* Waits for its end and believes it only if it has restored as many; the session is connected again. */
extern bool mongorestore_finish(Mongorestore *mongorestore, Failure *failure);

/* After a failure: was it for a document that stood there already? */
extern bool mongorestore_met_duplicates(const Mongorestore *mongorestore);
extern void mongorestore_close(Mongorestore *mongorestore);

#endif
