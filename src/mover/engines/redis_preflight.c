/*
 * redis_preflight.c
 *	  The checks before a restore, one function each.
 */
#include "engines/redis_preflight.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "engines/rdb_payload.h"
#include "engines/redis_marker.h"

/* RESTORE ABSTTL. */
#define OLDEST_SERVER 50000

bool
redis_is_restored(const RdbDatabase *database)
{
	return database->keys > 0 && !database->leftover;
}

int
redis_target_of(const RedisPlanning *planning, uint64_t source)
{
	return planning->url->database != REDIS_ALL_DATABASES ? planning->url->database : (int) source;
}

static bool refuse(Failure *failure, const char *format, ...) __attribute__((format(printf, 2, 3)));

static bool
refuse(Failure *failure, const char *format, ...)
{
	char	text[1024];
	va_list args;

	va_start(args, format);
	vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	return failure_set(failure, REASON_NOT_RESTORABLE, "%s", text);
}

static bool
check_server(const RedisPlanning *planning, Failure *failure)
{
	const RedisServer *server = &planning->server;
	char			   name[64];

	redis_server_describe(server, name, sizeof(name));
	if (server->sentinel)
		return failure_set(failure, REASON_BAD_URL,
						   "the target %s is a Sentinel, which holds no data: the URL has to name the server "
						   "that it watches",
						   resp_name(planning->resp));
	if (server->cluster)
		return refuse(
			failure,
			"the target %s (%s) is part of a cluster, which has no databases to swap and holds only "
			"its own slots: restore into a server that stands alone",
			resp_name(planning->resp), name);
	if (server->replica)
		return refuse(failure, "the target %s (%s) is a replica: restore into its master",
					  resp_name(planning->resp), name);
	if (!server->valkey && server->version_number < OLDEST_SERVER)
		return refuse(failure, "the target %s is %s: restoring needs 5.0 at least", resp_name(planning->resp),
					  name);
	return true;
}

/* The server's own word: an empty FUNCTION DUMP is ten bytes, two of them its RDB version. */
static bool
ask_rdb_version(RedisPlanning *planning, Failure *failure)
{
	RespReply reply;
	bool	  passed = resp_ask(planning->resp, &reply, failure, "FUNCTION", "DUMP", NULL);

	if (passed && (reply.type != RESP_BULK ||
				   !rdb_footer_check(reply.text, reply.length, &planning->server_rdb_version)))
		planning->server_rdb_version = redis_server_rdb_version(&planning->server);
	resp_reply_free(&reply);
	return passed;
}

static bool
check_version(RedisPlanning *planning, Failure *failure)
{
	const RdbSummary *summary = planning->summary;
	bool			  foreign;
	int				  most;
	char			  name[64];

	if (!ask_rdb_version(planning, failure))
		return false;
	/* Valkey kept Redis' 11 and went on at 80; what Redis made of 12 to 79 it does not take. */
	foreign = planning->server_rdb_version >= RDB_VERSION_VALKEY && summary->version < RDB_VERSION_VALKEY;
	most = foreign ? RDB_VERSION_SHARED : planning->server_rdb_version;
	if (summary->version <= most)
		return true;
	redis_server_describe(&planning->server, name, sizeof(name));
	return refuse(
		failure,
		"the backup is of RDB version %d (%s %s), and the target, %s, takes RDB version %d at most%s: "
		"restore it into a server of the version that it came from",
		summary->version, summary->valkey ? "Valkey" : "Redis",
		summary->server_version[0] != '\0' ? summary->server_version : "of unknown version", name, most,
		foreign ? " of those that Redis writes" : "");
}

/* Beside a value stand its key and a few words of the command. */
#define COMMAND_SIZE 256

static bool
check_sizes(const RedisPlanning *planning, Failure *failure)
{
	const RdbSummary  *summary = planning->summary;
	const RedisServer *server = &planning->server;
	uint64_t		   bulk = summary->largest_payload + RDB_FOOTER_SIZE;
	uint64_t		   query = bulk + summary->largest_key + COMMAND_SIZE;
	bool			   fits = bulk <= (uint64_t) server->max_bulk_length &&
				summary->largest_key <= (uint64_t) server->max_bulk_length;

	if (fits && query <= (uint64_t) server->max_query_length)
		return true;
	return refuse(failure,
				  "the backup holds a value of %" PRIu64 " bytes, and the target takes %" PRId64
				  " at most at once (%s)",
				  summary->largest_payload, fits ? server->max_query_length : server->max_bulk_length,
				  fits ? "client-query-buffer-limit" : "proto-max-bulk-len");
}

/* Where CONFIG does not tell how many there are, the server's word for the highest one is asked for. */
static bool
try_highest_database(const RedisPlanning *planning, Failure *failure)
{
	const RdbSummary *summary = planning->summary;
	int				  highest = 0;
	char			  number[16];
	char			  what[64];
	RespReply		  reply;
	bool			  passed;

	if (planning->server.database_limit >= 0)
		return true;
	for (size_t i = 0; i < summary->database_count; i++)
	{
		int target = redis_target_of(planning, summary->databases[i].number);

		if (redis_is_restored(&summary->databases[i]) && target > highest)
			highest = target;
	}
	snprintf(number, sizeof(number), "%d", highest);
	snprintf(what, sizeof(what), "SELECT %s, where the backup has keys", number);
	passed = resp_ask(planning->resp, &reply, failure, "SELECT", number, NULL);
	if (passed && reply.type == RESP_ERROR)
		passed = resp_refused(planning->resp, &reply, what, REASON_NOT_RESTORABLE, failure);
	resp_reply_free(&reply);
	return passed;
}

/* A URL with a database takes one, whichever it was; else each goes where it came from. */
static bool
check_databases(const RedisPlanning *planning, Failure *failure)
{
	const RdbSummary *summary = planning->summary;

	if (planning->url->database != REDIS_ALL_DATABASES)
	{
		if (rdb_summary_databases(summary) > 1)
			return refuse(failure,
						  "the backup holds %zu databases, and the target's URL names database %d alone: "
						  "restore it by a "
						  "URL without a database",
						  rdb_summary_databases(summary), planning->url->database);
		if (planning->server.database_limit >= 0 &&
			planning->url->database >= planning->server.database_limit)
			return refuse(failure, "the target's URL names database %d, and the server has %d",
						  planning->url->database, planning->server.database_limit);
		return true;
	}
	for (size_t i = 0; i < summary->database_count; i++)
		if (redis_is_restored(&summary->databases[i]) && planning->server.database_limit >= 0 &&
			summary->databases[i].number >= (uint64_t) planning->server.database_limit)
			return refuse(failure,
						  "the backup holds keys in database %" PRIu64
						  ", and the target has only %d databases",
						  summary->databases[i].number, planning->server.database_limit);
	return true;
}

bool
redis_mark_is_ours(const RedisPlanning *planning, const RedisDatabase *database)
{
	const char *id = planning->context->job->resource.id;

	return strncmp(database->marker_value, id, strlen(id)) == 0 && database->marker_value[strlen(id)] == ' ';
}

/* Another restore fills it, or has left it: neither is ours to empty, and its mark would stay in what goes live. */
static bool
check_marks(const RedisPlanning *planning, Failure *failure)
{
	const RdbSummary *summary = planning->summary;

	for (size_t i = 0; i < summary->database_count; i++)
	{
		int					 target = redis_target_of(planning, summary->databases[i].number);
		const RedisDatabase *database = redis_server_database(&planning->server, target);

		if (redis_is_restored(&summary->databases[i]) && database != NULL &&
			(database->mark == REDIS_MARK_FILLING || database->mark == REDIS_MARK_REPLACED) &&
			!redis_mark_is_ours(planning, database))
			return failure_set(
				failure, REASON_TARGET_BUSY,
				"database %d of %s is marked by the restore of another resource (key %s): if none "
				"runs any more, SELECT %d and FLUSHDB",
				target, resp_name(planning->resp),
				database->mark == REDIS_MARK_FILLING ? REDIS_MARKER_FILLING : REDIS_MARKER_REPLACED, target);
	}
	return true;
}

/* What an earlier attempt in place has left half filled is no customer's data. */
static bool
check_emptiness(const RedisPlanning *planning, Failure *failure)
{
	const RedisServer *server = &planning->server;

	if (planning->context->job->mode != RESTORE_CLONE)
		return true;
	for (size_t i = 0; i < server->database_count; i++)
	{
		const RedisDatabase *database = &server->databases[i];

		if (redis_database_is_live(database) &&
			!(database->mark == REDIS_MARK_UNFINISHED && redis_mark_is_ours(planning, database)) &&
			(planning->url->database == REDIS_ALL_DATABASES || planning->url->database == database->number))
			return failure_set(failure, REASON_TARGET_NOT_EMPTY,
							   "database %d of the target holds %" PRId64 " keys: a clone wants an empty one",
							   database->number, database->keys);
	}
	if (planning->url->database == REDIS_ALL_DATABASES && server->functions > 0)
		return failure_set(failure, REASON_TARGET_NOT_EMPTY,
						   "the target holds %" PRId64 " libraries of functions: a clone wants an empty one",
						   server->functions);
	return true;
}

/* ---- rights: each command is queued in a transaction that is then dropped ---- */

static bool
may_queue(RedisPlanning *planning, bool *allowed, const char *command, const RespArgument *arguments,
		  size_t count, FailureReason needed_for, Failure *failure)
{
	RespReply reply = {.type = RESP_NIL};
	bool	  passed = resp_queue_arguments(planning->resp, arguments, count, failure) &&
				  resp_flush(planning->resp, failure) && resp_receive(planning->resp, &reply, failure);

	/* The right was asked for before the room. */
	*allowed = passed && (reply.type == RESP_STATUS || resp_is_full(&reply));
	if (passed && !*allowed && needed_for != REASON_NONE)
		passed = resp_refused(planning->resp, &reply, command, needed_for, failure);
	resp_reply_free(&reply);
	return passed;
}

#define WORD(text)                                                                                           \
	{                                                                                                        \
		text, sizeof(text) - 1                                                                               \
	}
#define MAY(allowed, reason, command, ...)                                                                   \
	may_queue(planning, allowed, command, (const RespArgument[]){__VA_ARGS__},                               \
			  sizeof((const RespArgument[]){__VA_ARGS__}) / sizeof(RespArgument), reason, failure)

static bool
queue_everything(RedisPlanning *planning, Failure *failure)
{
	bool allowed;
	bool moves;
	bool renames;
	bool swaps;
	bool needs_functions = (planning->summary->functions > 0 || planning->server.functions > 0) &&
						   (planning->url->database == REDIS_ALL_DATABASES ||
							!redis_server_has_others(&planning->server, planning->url->database));

	if (!MAY(&allowed, REASON_RESTORE, "SELECT", WORD("SELECT"), WORD("0")) ||
		!MAY(&allowed, REASON_RESTORE, "RESTORE", WORD("RESTORE"), WORD(REDIS_MARKER_FILLING), WORD("0"),
			 WORD("x"), WORD("REPLACE"), WORD("ABSTTL")) ||
		!MAY(&allowed, REASON_RESTORE, "FLUSHDB", WORD("FLUSHDB"), WORD("ASYNC")) ||
		!MAY(&allowed, REASON_RESTORE, "DBSIZE", WORD("DBSIZE")) ||
		!MAY(&allowed, REASON_RESTORE, "GET", WORD("GET"), WORD(REDIS_MARKER_FILLING)) ||
		!MAY(&allowed, REASON_RESTORE, "SET", WORD("SET"), WORD(REDIS_MARKER_FILLING), WORD("x")) ||
		!MAY(&allowed, REASON_RESTORE, "DEL", WORD("DEL"), WORD(REDIS_MARKER_UNFINISHED)))
		return false;
	if (needs_functions && !MAY(&allowed, REASON_RESTORE, "FUNCTION RESTORE", WORD("FUNCTION"),
								WORD("RESTORE"), WORD("x"), WORD("FLUSH")))
		return false;
	if (!MAY(&moves, REASON_NONE, "MOVE", WORD("MOVE"), WORD(REDIS_MARKER_FILLING), WORD("0")) ||
		!MAY(&renames, REASON_NONE, "RENAME", WORD("RENAME"), WORD(REDIS_MARKER_FILLING),
			 WORD(REDIS_MARKER_REPLACED)) ||
		!MAY(&swaps, REASON_NONE, "SWAPDB", WORD("SWAPDB"), WORD("0"), WORD("1")))
		return false;
	planning->swap_needs = !swaps ? "SWAPDB" : !moves ? "MOVE" : !renames ? "RENAME" : NULL;
	return true;
}

/* An empty transaction, for the right to EXEC; then one that is dropped. */
static bool
check_rights(RedisPlanning *planning, Failure *failure)
{
	Resp *resp = planning->resp;

	/* WATCH first: inside a transaction it is an error. */
	return resp_do(resp, REASON_RESTORE, failure, "MULTI", NULL) &&
		   resp_do(resp, REASON_RESTORE, failure, "EXEC", NULL) &&
		   resp_do(resp, REASON_RESTORE, failure, "WATCH", REDIS_MARKER_FILLING, NULL) &&
		   resp_do(resp, REASON_RESTORE, failure, "MULTI", NULL) && queue_everything(planning, failure) &&
		   resp_do(resp, REASON_RESTORE, failure, "DISCARD", NULL);
}

bool
redis_preflight(RedisPlanning *planning, Failure *failure)
{
	if (!check_server(planning, failure) || !check_version(planning, failure) ||
		!check_sizes(planning, failure) || !check_databases(planning, failure) ||
		!try_highest_database(planning, failure) || !check_marks(planning, failure) ||
		!check_emptiness(planning, failure) || !check_rights(planning, failure))
		return false;
	if (planning->summary->module_aux > 0 &&
		!sentence_add(&planning->outcome->left_alone, failure,
					  "%" PRIu64 " pieces of modules' own data (MODULE_AUX), which no command restores",
					  planning->summary->module_aux))
		return false;
	return true;
}
