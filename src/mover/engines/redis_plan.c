/*
 * redis_plan.c
 *	  Choosing between spare databases and in place.
 */
#include "engines/redis_plan.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "engines/redis_marker.h"
#include "engines/redis_preflight.h"
#include "engines/redis_watch.h"

/* Looked for spare ones among these where CONFIG does not tell how many there are. */
#define USUAL_DATABASES 16
#define MORE_SPARES		8

/* What a server needs for itself meanwhile, at least. */
#define OVERHEAD	(1 << 20)
#define CLIENT_NAME "custbackup-restore:"

/* ---- who else is there ---- */

/* The value of " field=" in a line of CLIENT LIST, as a number; -1: none. */
static long long
client_number(const char *line, size_t length, const char *field)
{
	const char *found = memmem(line, length, field, strlen(field));

	return found != NULL ? strtoll(found + strlen(field), NULL, 10) : -1;
}

bool
redis_database_is_in_use(const char *clients, int database)
{
	for (const char *line = clients; *line != '\0';)
	{
		size_t length = strcspn(line, "\n");

		if (client_number(line, length, " db=") == database &&
			memmem(line, length, CLIENT_NAME, strlen(CLIENT_NAME)) == NULL)
			return true;
		line += length + (line[length] == '\n');
	}
	return false;
}

/* Another connection by our resource's name is another restore, of a mover that somebody thinks dead. */
static bool
check_other_restores(const RedisPlanning *planning, const char *name, Failure *failure)
{
	char field[128];
	int	 ours = 0;

	snprintf(field, sizeof(field), " name=%s ", name);
	for (const char *at = planning->clients; (at = strstr(at, field)) != NULL; at++)
		ours++;
	return ours <= 1 ||
		   failure_set(failure, REASON_TARGET_BUSY,
					   "another restore of this resource is connected to %s (CLIENT LIST names it %s)",
					   resp_name(planning->resp), name);
}

static bool
ask_clients(RedisPlanning *planning, Failure *failure)
{
	RespReply reply;
	char	  name[96];
	bool	  passed;

	snprintf(name, sizeof(name), CLIENT_NAME "%s", planning->context->job->resource.id);
	passed = resp_ask(planning->resp, &reply, failure, "CLIENT", "SETNAME", name, NULL);
	resp_reply_free(&reply);
	passed = passed && resp_ask(planning->resp, &reply, failure, "CLIENT", "LIST", NULL);
	if (passed && reply.type == RESP_BULK)
	{
		planning->clients = reply.text;
		reply.text = NULL;
		passed = check_other_restores(planning, name, failure);
	}
	resp_reply_free(&reply);
	return passed;
}

/* ---- leftovers ---- */

static bool
flush_database(Resp *resp, int number, Failure *failure)
{
	char text[16];

	snprintf(text, sizeof(text), "%d", number);
	return resp_do(resp, REASON_RESTORE, failure, "SELECT", text, NULL) &&
		   resp_do(resp, REASON_RESTORE, failure, "FLUSHDB", "ASYNC", NULL);
}

/* Spare databases that an earlier attempt marked go; the server is asked anew if there were any. */
static bool
sweep(RedisPlanning *planning, Failure *failure)
{
	bool swept = false;

	for (size_t i = 0; i < planning->server.database_count; i++)
	{
		const RedisDatabase *database = &planning->server.databases[i];

		if ((database->mark == REDIS_MARK_FILLING || database->mark == REDIS_MARK_REPLACED) &&
			redis_mark_is_ours(planning, database))
		{
			if (!flush_database(planning->resp, database->number, failure))
				return false;
			swept = true;
		}
	}
	if (!swept)
		return true;
	/* Until it is freed, it would look as if there were no room. */
	if (!redis_wait_for_freeing(planning->resp, planning->context->report, failure))
		return false;
	redis_server_free(&planning->server);
	return redis_server_ask(planning->resp, &planning->server, failure);
}

/* ---- where to ---- */

static bool
add_pairs(const RedisPlanning *planning, RedisPlan *plan, Failure *failure)
{
	const RdbSummary *summary = planning->summary;

	plan->pairs = calloc(summary->database_count + 1, sizeof(*plan->pairs));
	if (plan->pairs == NULL)
		return failure_no_memory(failure);
	for (size_t i = 0; i < summary->database_count; i++)
	{
		const RdbDatabase *database = &summary->databases[i];
		int				   target;

		if (database->leftover &&
			!sentence_add(&planning->outcome->left_alone, failure,
						  "database %" PRIu64 " of the backup: leftovers of a restore that "
						  "did not come to its end",
						  database->number))
			return false;
		if (!redis_is_restored(database))
			continue;
		target = redis_target_of(planning, database->number);
		plan->pairs[plan->pair_count++] =
			(RedisPair){.source = database->number, .target = target, .spare = target};
	}
	return true;
}

static bool
is_target(const RedisPlan *plan, int number)
{
	for (size_t i = 0; i < plan->pair_count; i++)
		if (plan->pairs[i].target == number)
			return true;
	return false;
}

static bool
add_emptied(const RedisPlanning *planning, RedisPlan *plan, Failure *failure)
{
	const RedisServer *server = &planning->server;

	plan->emptied = calloc(server->database_count + 1, sizeof(*plan->emptied));
	if (plan->emptied == NULL)
		return failure_no_memory(failure);
	for (size_t i = 0; i < server->database_count; i++)
	{
		const RedisDatabase *database = &server->databases[i];

		if (planning->url->database != REDIS_ALL_DATABASES && planning->url->database != database->number)
			continue;
		/* A marker alone, without keys beside it, goes too. */
		if (!is_target(plan, database->number) &&
			(redis_database_is_live(database) || database->mark == REDIS_MARK_UNFINISHED))
			plan->emptied[plan->emptied_count++] = database->number;
	}
	return true;
}

/* Exists, holds nothing, and no client has selected it. */
static bool
is_spare(RedisPlanning *planning, const RedisPlan *plan, int number, bool *spare, Failure *failure)
{
	RespReply reply;
	char	  text[16];
	bool	  passed;

	*spare = false;
	if (is_target(plan, number) || redis_server_database(&planning->server, number) != NULL ||
		(planning->clients != NULL && redis_database_is_in_use(planning->clients, number)))
		return true;
	snprintf(text, sizeof(text), "%d", number);
	passed = resp_ask(planning->resp, &reply, failure, "SELECT", text, NULL);
	*spare = passed && reply.type == RESP_STATUS;
	resp_reply_free(&reply);
	return passed;
}

/*
 * From the highest down: those that people hardly use.  A few more than are needed, as the
 * first may be gone when they are marked.  *found false: there are too few.
 */
static bool
find_spares(RedisPlanning *planning, RedisPlan *plan, bool *found, Failure *failure)
{
	int	   number = planning->server.database_limit >= 0 ? planning->server.database_limit : USUAL_DATABASES;
	size_t wanted = plan->pair_count + MORE_SPARES;

	plan->spares = calloc(wanted, sizeof(*plan->spares));
	if (plan->spares == NULL)
		return failure_no_memory(failure);
	while (plan->spare_count < wanted && --number >= 0)
	{
		bool spare;

		if (!is_spare(planning, plan, number, &spare, failure))
			return false;
		if (spare)
			plan->spares[plan->spare_count++] = number;
	}
	*found = plan->spare_count >= plan->pair_count;
	for (size_t i = 0; *found && i < plan->pair_count; i++)
		plan->pairs[i].spare = plan->spares[i];
	return true;
}

/* ---- is there room ---- */

/* What the backup's data will take: what the server that wrote it took, or an estimate. */
static int64_t
memory_needed(const RedisPlanning *planning)
{
	if (planning->summary->used_memory > 0)
		return (int64_t) planning->summary->used_memory;
	return (int64_t) planning->summary->memory;
}

static bool
has_room_beside(const RedisPlanning *planning, char *why, size_t capacity)
{
	const RedisServer *server = &planning->server;
	int64_t			   needed = memory_needed(planning) / 10 * 11 + server->backlog_growth;
	int64_t			   limit =
		   server->maxmemory > 0 ? server->maxmemory / 20 * 19 : server->total_system_memory / 10 * 9;

	if (limit == 0 || server->used_memory + needed <= limit)
		return true;
	snprintf(why, capacity,
			 "about %" PRId64 " MiB have no room beside the %" PRId64 " MiB in use (%s %" PRId64 " MiB)",
			 needed >> 20, server->used_memory >> 20, server->maxmemory > 0 ? "maxmemory" : "the machine has",
			 (server->maxmemory > 0 ? server->maxmemory : server->total_system_memory) >> 20);
	return false;
}

/*
 * Emptied first, it has to fit alone.  A cache that is always full is a little above its limit at most times,
 * and gets over it; any other server would refuse the last keys when the first are long gone.
 */
static bool
check_room_in_place(const RedisPlanning *planning, Failure *failure)
{
	int64_t maxmemory = planning->server.maxmemory;
	int64_t backlog = planning->server.backlog_growth;
	int64_t limit = redis_server_drops_any(&planning->server)
						? maxmemory / 20 * 21 - backlog
						: maxmemory / 100 * 99 - (backlog > OVERHEAD ? backlog : OVERHEAD);
	int64_t needed = (int64_t) planning->summary->used_memory;

	/* Where that is not recorded, the bytes alone have to fit at least. */
	if (needed == 0)
		needed = (int64_t) planning->summary->unpacked;
	if (maxmemory > 0 && needed > limit)
		return failure_set(
			failure, REASON_NOT_RESTORABLE,
			"the backup's data takes %" PRId64
			" MiB of memory, a server some for itself (its replication backlog will grow by %" PRId64
			" MiB), and the target's maxmemory is %" PRId64 " MiB: raise it",
			needed >> 20, backlog >> 20, maxmemory >> 20);
	return true;
}

static bool
choose_way(RedisPlanning *planning, RedisPlan *plan, Failure *failure)
{
	bool others = planning->url->database != REDIS_ALL_DATABASES &&
				  redis_server_has_others(&planning->server, planning->url->database);
	bool  found = false;
	char *why = plan->why_in_place;

	if (planning->swap_needs != NULL)
		snprintf(why, sizeof(plan->why_in_place), "the server refuses %s to this role", planning->swap_needs);
	else if (others && planning->clients == NULL)
		snprintf(
			why, sizeof(plan->why_in_place),
			"others share this server, and CLIENT LIST is refused, which would tell what databases they use");
	else if (has_room_beside(planning, why, sizeof(plan->why_in_place)))
	{
		if (!find_spares(planning, plan, &found, failure))
			return false;
		if (!found && plan->pair_count == 1)
			snprintf(why, sizeof(plan->why_in_place), "the server has no database to spare");
		else if (!found)
			snprintf(why, sizeof(plan->why_in_place), "the server has no %zu databases to spare",
					 plan->pair_count);
	}
	plan->swaps = found;
	if (found)
		return true;
	if (planning->summary->module_values > 0)
		return failure_set(
			failure, REASON_NOT_RESTORABLE,
			"the backup holds values of modules, of which nobody knows whether the target takes them, and "
			"they cannot be tried first: %s",
			why);
	return check_room_in_place(planning, failure);
}

bool
redis_plan(RedisPlanning *planning, RedisPlan *plan, Failure *failure)
{
	bool others = planning->url->database != REDIS_ALL_DATABASES;

	*plan = (RedisPlan){0};
	if (!redis_server_ask(planning->resp, &planning->server, failure) || !ask_clients(planning, failure) ||
		!redis_preflight(planning, failure) || !sweep(planning, failure))
		return false;
	snprintf(plan->marker, sizeof(plan->marker), "%s %s", planning->context->job->resource.id,
			 planning->context->job->attempt_id);
	plan->evicted_at_start = planning->server.evicted_keys;
	plan->maxmemory = planning->server.maxmemory;
	others = others && redis_server_has_others(&planning->server, planning->url->database);
	plan->restores_functions =
		!others && (planning->summary->functions > 0 || planning->server.functions > 0);
	if (others && planning->summary->functions > 0 &&
		!sentence_add(&planning->outcome->left_alone, failure,
					  "%" PRIu64
					  " libraries of functions: they belong to the whole server, which others share",
					  planning->summary->functions))
		return false;
	return add_pairs(planning, plan, failure) && add_emptied(planning, plan, failure) &&
		   choose_way(planning, plan, failure);
}

void
redis_plan_free(RedisPlan *plan)
{
	free(plan->pairs);
	free(plan->spares);
	free(plan->emptied);
	*plan = (RedisPlan){0};
}
