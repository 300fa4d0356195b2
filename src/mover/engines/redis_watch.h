/*
 * redis_watch.h
 *	  An eye on a server that is being filled.
 *
 * Every few megabytes it is looked at: it must not begin to evict its customer's keys,
 * and its replicas must keep up.  A full cache that is restored in place fills up to its
 * limit again, and evicts a few of the keys that it is given, as it always does: up to a
 * twentieth of them is let pass and counted.
 */
#ifndef REDIS_WATCH_H
#define REDIS_WATCH_H

#include <stdbool.h>
#include <stdint.h>

#include "engines/engine.h"
#include "engines/redis_plan.h"
#include "engines/resp.h"
#include "failure.h"

typedef struct RedisWatch
{
	Resp			*resp;
	Report			*report;
	const RedisPlan *plan;
	RestoreOutcome	*outcome;
	uint64_t		 added;			 /* to its memory since it was last looked at */
	uint64_t		 every;			 /* bytes from one look to the next */
	int64_t			 evicted_before; /* -1: what the first look finds */
	int64_t			 evicted;		 /* since */
} RedisWatch;

extern void redis_watch_begin(RedisWatch *watch, Resp *resp, Report *report, const RedisPlan *plan,
							  RestoreOutcome *outcome);

/* Is it time for a look, before so many bytes more? */
extern bool redis_watch_is_due(const RedisWatch *watch, uint64_t coming);

/* Looks, with no reply under way; waits for replicas that lag. */
extern bool redis_watch_look(RedisWatch *watch, uint64_t coming, Failure *failure);

/* Waits, for ten minutes at most, until the server has freed what FLUSHDB ASYNC left to it. */
extern bool redis_wait_for_freeing(Resp *resp, Report *report, Failure *failure);

#endif
