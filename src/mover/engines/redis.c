/*
 * redis.c
 *	  The engine of Redis and Valkey: what engine.h asks for, and the inspector of its dumps.
 */
#include "engines/redis.h"

#include <malloc.h>
#include <stdlib.h>

#include "engines/rdb.h"
#include "engines/rdb_summary.h"
#include "engines/redis_restore.h"
#include "engines/redis_source.h"

#define LARGE_BLOCK (2 * 1024 * 1024)

typedef struct RdbInspector
{
	Inspector  inspector;
	RdbSummary summary;
	RdbReader *reader;
} RdbInspector;

static bool
inspector_feed(Inspector *inspector, const void *bytes, size_t length, Failure *failure)
{
	return rdb_reader_feed(((RdbInspector *) inspector)->reader, bytes, length, failure);
}

static bool
inspector_finish(Inspector *inspector, json_t *counts, Failure *failure)
{
	RdbInspector *rdb = (RdbInspector *) inspector;

	if (!rdb_reader_finish(rdb->reader, failure))
		return false;
	rdb->summary.version = rdb_reader_version(rdb->reader);
	return rdb_summary_counts(&rdb->summary, counts, failure);
}

static void
inspector_close(Inspector *inspector)
{
	RdbInspector *rdb = (RdbInspector *) inspector;

	rdb_reader_close(rdb->reader);
	rdb_summary_free(&rdb->summary);
	free(rdb);
}

static Inspector *
open_inspector(FailureReason when, Failure *failure)
{
	RdbInspector *rdb = calloc(1, sizeof(*rdb));

	if (rdb == NULL)
	{
		failure_no_memory(failure);
		return NULL;
	}
	rdb->inspector =
		(Inspector){.feed = inspector_feed, .finish = inspector_finish, .close = inspector_close};
	rdb->reader = rdb_reader_open(&rdb_summary_handler, &rdb->summary, when, failure);
	if (rdb->reader != NULL)
		return &rdb->inspector;
	free(rdb);
	return NULL;
}

/* What a large value took goes back at once; malloc would learn to keep twice the largest. */
static void
return_large_blocks(void)
{
#ifdef M_MMAP_THRESHOLD
	mallopt(M_MMAP_THRESHOLD, LARGE_BLOCK);
#endif
}

static Source *
open_source(const EngineContext *context, SourceFacts *facts, Failure *failure)
{
	return_large_blocks();
	return redis_backup_open(context, facts, failure);
}

static Sink *
open_sink(const EngineContext *context, const Dump *dump, RestoreOutcome *outcome, Failure *failure)
{
	return_large_blocks();
	return redis_restore_open(context, dump, outcome, failure);
}

const Engine redis_engine = {
	.name = "redis", .open_source = open_source, .open_inspector = open_inspector, .open_sink = open_sink};
