/*
 * redis_watch.c
 *	  Looking at the server while it is filled, and waiting where it needs that.
 */
#include "engines/redis_watch.h"

#include <inttypes.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cancel.h"
#include "engines/redis_server.h"

/* In bytes of its memory; more often where it has little. */
#define LOOK_EVERY		 (4 * 1024 * 1024)
#define LOOK_EVERY_LEAST (64 * 1024)
#define LOOK_AT_PERCENT	 1

/* Short of maxmemory, so that eviction never begins. */
#define FULL_PERCENT	97
#define REPLICA_LAG_MAX (64 * 1024 * 1024)
#define LAG_WAIT_MS		30000
#define FREEING_WAIT_MS 600000
#define WAIT_STEP_MS	50

void
redis_watch_begin(RedisWatch *watch, Resp *resp, Report *report, const RedisPlan *plan,
				  RestoreOutcome *outcome)
{
	*watch = (RedisWatch){.resp = resp,
						  .report = report,
						  .plan = plan,
						  .outcome = outcome,
						  .every = LOOK_EVERY,
						  .evicted_before = plan->swaps ? plan->evicted_at_start : -1};
	if (plan->maxmemory > 0 && plan->maxmemory / 100 * LOOK_AT_PERCENT < LOOK_EVERY)
		watch->every = (uint64_t) plan->maxmemory / 100 * LOOK_AT_PERCENT;
	if (watch->every < LOOK_EVERY_LEAST)
		watch->every = LOOK_EVERY_LEAST;
}

bool
redis_watch_is_due(const RedisWatch *watch, uint64_t coming)
{
	return watch->added + coming > watch->every;
}

static bool
wait_a_step(Report *report, const char *doing, Failure *failure)
{
	struct pollfd fd = {.fd = cancel_fd(), .events = POLLIN};

	report_alive(report, doing);
	poll(&fd, 1, WAIT_STEP_MS);
	return !cancel_requested() || cancel_failure(failure);
}

/* How many bytes the slowest replica is behind. */
static int64_t
replica_lag(const char *info)
{
	int64_t master = redis_info_number(info, "master_repl_offset", 0);
	int64_t worst = 0;
	char	line[256];

	for (int i = 0; i < 64; i++)
	{
		char		field[24];
		const char *offset;

		snprintf(field, sizeof(field), "slave%d", i);
		if (!redis_info_text(info, field, line, sizeof(line)))
			break;
		offset = strstr(line, "state=online") != NULL ? strstr(line, "offset=") : NULL;
		if (offset != NULL && master - strtoll(offset + 7, NULL, 10) > worst)
			worst = master - strtoll(offset + 7, NULL, 10);
	}
	return worst;
}

/* How many evicted keys are let pass. */
static int64_t
evictions_allowed(const RedisPlan *plan)
{
	uint64_t sent = 0;

	for (size_t i = 0; !plan->swaps && i < plan->pair_count; i++)
		sent += plan->pairs[i].sent;
	return (int64_t) sent / 20;
}

static bool
judge_memory(RedisWatch *watch, const char *info, uint64_t coming, Failure *failure)
{
	int64_t evicted = redis_info_number(info, "evicted_keys", 0);
	int64_t used = redis_info_number(info, "used_memory", 0);
	int64_t maxmemory = redis_info_number(info, "maxmemory", 0);

	if (watch->evicted_before < 0)
		watch->evicted_before = evicted;
	watch->evicted = evicted - watch->evicted_before;
	if (watch->evicted > evictions_allowed(watch->plan))
	{
		/* Whoever's keys they were, the server is not as it was. */
		watch->outcome->target_modified = true;
		return failure_set(failure, REASON_RESTORE,
						   "the target has begun to evict keys (%" PRId64
						   " so far): its maxmemory is too small",
						   watch->evicted);
	}
	if (watch->plan->swaps && maxmemory > 0 && used + (int64_t) coming > maxmemory / 100 * FULL_PERCENT)
		return failure_set(failure, REASON_NOT_RESTORABLE,
						   "the backup does not fit beside the target's live data: %" PRId64 " of %" PRId64
						   " MiB are in use; what was live is untouched",
						   used >> 20, maxmemory >> 20);
	return true;
}

static bool
look(RedisWatch *watch, uint64_t coming, int64_t *lag, Failure *failure)
{
	RespReply reply;
	bool	  passed = resp_ask(watch->resp, &reply, failure, "INFO", NULL);

	if (passed && reply.type == RESP_BULK)
	{
		*lag = replica_lag(reply.text);
		passed = judge_memory(watch, reply.text, coming, failure);
	}
	else if (passed)
		passed =
			reply.type == RESP_ERROR && resp_refused(watch->resp, &reply, "INFO", REASON_RESTORE, failure);
	resp_reply_free(&reply);
	return passed;
}

bool
redis_watch_look(RedisWatch *watch, uint64_t coming, Failure *failure)
{
	int64_t lag = 0;

	watch->added = 0;
	for (int waited = 0; waited < LAG_WAIT_MS; waited += WAIT_STEP_MS)
	{
		if (!look(watch, coming, &lag, failure))
			return false;
		if (lag <= REPLICA_LAG_MAX)
			return true;
		if (!wait_a_step(watch->report, "waiting for the target's replicas", failure))
			return false;
	}
	return true;
}

bool
redis_wait_for_freeing(Resp *resp, Report *report, Failure *failure)
{
	int64_t pending = 1;

	for (int waited = 0; pending > 0 && waited < FREEING_WAIT_MS; waited += WAIT_STEP_MS)
	{
		RespReply reply;

		if (!resp_ask(resp, &reply, failure, "INFO", "memory", NULL))
			return false;
		pending = reply.type == RESP_BULK ? redis_info_number(reply.text, "lazyfree_pending_objects", 0) : 0;
		resp_reply_free(&reply);
		if (pending > 0 && !wait_a_step(report, "waiting for the target to free its memory", failure))
			return false;
	}
	return true;
}
