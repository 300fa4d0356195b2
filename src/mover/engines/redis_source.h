/*
 * redis_source.h
 *	  The two ways to read a Redis: a snapshot by replication (redis_sync.c), and key by
 *	  key (redis_scan.c).
 *
 * redis_backup.c chooses.  A backup never makes a server write a file that it
 * would not have written and never changes its configuration.
 */
#ifndef REDIS_SOURCE_H
#define REDIS_SOURCE_H

#include "engines/engine.h"
#include "engines/redis_server.h"
#include "engines/redis_url.h"
#include "engines/resp.h"

extern Source *redis_backup_open(const EngineContext *context, SourceFacts *facts, Failure *failure);

typedef enum RedisWay
{
	REDIS_WITHOUT_DISK, /* SYNC, sent straight from the server's memory */
	REDIS_OVER_DISK,	/* SYNC, over the server's own RDB file */
	REDIS_BY_SCAN
} RedisWay;

/*
 * By SYNC.  Takes the connection over, also on failure.  NULL without a failure:
 * the server refuses, and a note says what.
 * With a database, the stream fails when another one's keys are in it.
 */
extern Source *redis_sync_open(const EngineContext *context, Resp *resp, const RedisServer *server,
							   int database, RedisWay way, SourceFacts *facts, Failure *failure);

/*
 * By SCAN, DUMP and PTTL, as a valid RDB file.  Takes the connection over, also
 * on failure.  The URL's database alone, or all that are live.
 */
extern Source *redis_scan_open(const EngineContext *context, Resp *resp, const RedisServer *server,
							   int database, SourceFacts *facts, Failure *failure);

/* Adds a sentence to facts->notes. */
extern bool redis_note(SourceFacts *facts, Failure *failure, const char *format, ...)
	__attribute__((format(printf, 3, 4)));

#endif
