/*
 * redis_watch.h
 *	  An eye on a server that is being filled.
 *
 * Every few megabytes it is looked at: it must not begin to evict its customer's keys,
 * and its replicas must keep up.
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
	uint64_t		 added; /* to its memory since it was last looked at */
	uint64_t		 every; /* bytes from one look to the next */
} RedisWatch;

extern void redis_watch_begin(RedisWatch *watch, Resp *resp, Report *report, const RedisPlan *plan,
							  RestoreOutcome *outcome);

/* Is it time for a look, before so many bytes more? */
extern bool redis_watch_is_due(const RedisWatch *watch, uint64_t coming);

/* Looks, with no reply under way; waits for replicas that lag. */
extern bool redis_watch_look(RedisWatch *watch, uint64_t coming, Failure *failure);

/* Waits, for half a minute at most, until the server has freed what FLUSHDB ASYNC left to it. */
extern bool redis_wait_for_freeing(Resp *resp, Report *report, Failure *failure);

#endif
