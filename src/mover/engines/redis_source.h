/*
 * redis_source.h
 *	  The two ways to read a Redis: a snapshot by replication, and key by key.
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
