/*
 * redis_server.c
 *	  Reading INFO and CONFIG GET.
 */
#include "engines/redis_server.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "engines/rdb.h"
#include "engines/redis_marker.h"

#define DEFAULT_MAX_BULK  (INT64_C(512) << 20)
#define NORMAL_CLIENTS	  "normal "
#define DEFAULT_MAX_QUERY (INT64_C(1) << 30)

bool
redis_info_text(const char *info, const char *field, char *value, size_t capacity)
{
	size_t length = strlen(field);

	for (const char *line = info; line != NULL && *line != '\0'; line = strchr(line, '\n'))
	{
		if (*line == '\n')
			line++;
		if (strncmp(line, field, length) == 0 && line[length] == ':')
		{
			snprintf(value, capacity, "%.*s", (int) strcspn(line + length + 1, "\r\n"), line + length + 1);
			return true;
		}
	}
	return false;
}

int64_t
redis_info_number(const char *info, const char *field, int64_t otherwise)
{
	char value[32];

	return redis_info_text(info, field, value, sizeof(value)) ? strtoll(value, NULL, 10) : otherwise;
}

static bool
info_is(const char *info, const char *field, const char *expected)
{
	char value[64];

	return redis_info_text(info, field, value, sizeof(value)) && strcmp(value, expected) == 0;
}

static void
read_version(const char *info, RedisServer *server)
{
	char *at;

	server->valkey = redis_info_text(info, "valkey_version", server->version, sizeof(server->version));
	if (!server->valkey)
		redis_info_text(info, "redis_version", server->version, sizeof(server->version));
	at = server->version;
	/* Three numbers between dots; what is missing is 0. */
	for (int part = 0; part < 3; part++)
	{
		server->version_number = server->version_number * 100 + (int) strtol(at, &at, 10) % 100;
		at += *at == '.';
	}
}

static bool
add_database(RedisServer *server, int number, int64_t keys, Failure *failure)
{
	RedisDatabase *databases = realloc(server->databases, (server->database_count + 1) * sizeof(*databases));

	if (databases == NULL)
		return failure_no_memory(failure);
	server->databases = databases;
	databases[server->database_count++] = (RedisDatabase){.number = number, .keys = keys};
	return true;
}

/* "db3:keys=12,expires=1,..." */
static bool
read_keyspace(const char *info, RedisServer *server, Failure *failure)
{
	static const char keys[] = ":keys=";

	for (const char *line = strstr(info, "\ndb"); line != NULL; line = strstr(line + 1, "\ndb"))
	{
		char *end;
		long  number = strtol(line + 3, &end, 10);

		if (strncmp(end, keys, strlen(keys)) == 0 &&
			!add_database(server, (int) number, strtoll(end + strlen(keys), NULL, 10), failure))
			return false;
	}
	return true;
}

/* It exists from the first replica on, a snapshot's reader among them; since 7.0 it grows as it is written to. */
static int64_t
backlog_growth(const char *info)
{
	int64_t growth = redis_info_number(info, "repl_backlog_size", 0) -
					 redis_info_number(info, "mem_replication_backlog", 0);

	return redis_info_number(info, "repl_backlog_active", 0) != 0 && growth > 0 ? growth : 0;
}

static bool
ask_info(Resp *resp, RedisServer *server, Failure *failure)
{
	RespReply	reply;
	const char *info;
	bool		passed = resp_ask(resp, &reply, failure, "INFO", NULL);

	if (passed && reply.type == RESP_ERROR)
		passed = resp_refused(resp, &reply, "INFO", REASON_AUTH, failure);
	else if (passed && reply.type != RESP_BULK)
		passed = failure_set(failure, REASON_UNREACHABLE, "what answers at %s is no Redis", resp_name(resp));
	if (passed)
	{
		info = reply.text;
		read_version(info, server);
		if (redis_info_number(info, "loading", 0) != 0)
			passed = failure_set(failure, REASON_UNREACHABLE, "Redis at %s is still loading its data",
								 resp_name(resp));
		server->sentinel =
			info_is(info, "redis_mode", "sentinel") || info_is(info, "server_mode", "sentinel");
		server->cluster = redis_info_number(info, "cluster_enabled", 0) != 0;
		server->replica = info_is(info, "role", "slave");
		server->master_link_up = info_is(info, "master_link_status", "up");
		server->now = redis_info_number(info, "server_time_usec", (int64_t) time(NULL) * 1000000) / 1000000;
		server->uptime_seconds = redis_info_number(info, "uptime_in_seconds", 0);
		server->used_memory = redis_info_number(info, "used_memory", 0);
		server->maxmemory = redis_info_number(info, "maxmemory", 0);
		server->total_system_memory = redis_info_number(info, "total_system_memory", 0);
		redis_info_text(info, "maxmemory_policy", server->policy, sizeof(server->policy));
		server->evicted_keys = redis_info_number(info, "evicted_keys", 0);
		server->replicas = redis_info_number(info, "connected_slaves", 0);
		server->backlog_growth = backlog_growth(info);
		server->functions = redis_info_number(info, "number_of_libraries", 0);
		server->last_save_at = redis_info_number(info, "rdb_last_save_time", 0);
		server->last_save_was_good = info_is(info, "rdb_last_bgsave_status", "ok");
		passed = passed && read_keyspace(info, server, failure);
	}
	resp_reply_free(&reply);
	return passed;
}

/* *value is empty where the server does not tell. */
static bool
ask_config(Resp *resp, const char *name, char *value, size_t capacity, bool *known, Failure *failure)
{
	RespReply reply;
	bool	  passed = resp_ask(resp, &reply, failure, "CONFIG", "GET", name, NULL);

	value[0] = '\0';
	*known = passed && reply.type == RESP_ARRAY && reply.count == 2 && reply.elements[1].type == RESP_BULK;
	if (*known)
		snprintf(value, capacity, "%s", reply.elements[1].text);
	resp_reply_free(&reply);
	return passed;
}

static bool
ask_settings(Resp *resp, RedisServer *server, Failure *failure)
{
	char value[256];
	bool known;

	server->max_bulk_length = DEFAULT_MAX_BULK;
	server->max_query_length = DEFAULT_MAX_QUERY;
	server->database_limit = -1;
	if (!ask_config(resp, "repl-diskless-sync", value, sizeof(value), &known, failure))
		return false;
	server->sends_without_disk = strcmp(value, "yes") == 0;
	server->config_is_known = known;
	if (!known)
		return true;
	if (!ask_config(resp, "save", value, sizeof(value), &known, failure))
		return false;
	server->persists_rdb = value[0] != '\0';
	if (!ask_config(resp, "proto-max-bulk-len", value, sizeof(value), &known, failure))
		return false;
	if (known)
		server->max_bulk_length = strtoll(value, NULL, 10);
	if (!ask_config(resp, "client-query-buffer-limit", value, sizeof(value), &known, failure))
		return false;
	if (known)
		server->max_query_length = strtoll(value, NULL, 10);
	if (!ask_config(resp, "client-output-buffer-limit", value, sizeof(value), &known, failure))
		return false;
	if (known && strncmp(value, NORMAL_CLIENTS, strlen(NORMAL_CLIENTS)) == 0)
		server->output_limit = strtoll(value + strlen(NORMAL_CLIENTS), NULL, 10);
	if (!ask_config(resp, "databases", value, sizeof(value), &known, failure))
		return false;
	if (known)
		server->database_limit = (int) strtol(value, NULL, 10);
	return true;
}

/* Looks for one marker in the selected database. */
static bool
ask_marker(Resp *resp, RedisDatabase *database, const char *marker, RedisMark mark, Failure *failure)
{
	RespReply reply;
	bool	  passed = resp_ask(resp, &reply, failure, "GET", marker, NULL);

	if (passed && reply.type == RESP_BULK)
	{
		database->mark = mark;
		database->keys--;
		snprintf(database->marker_value, sizeof(database->marker_value), "%s", reply.text);
	}
	resp_reply_free(&reply);
	return passed;
}

/* A role that may not look sees no mark. */
static bool
ask_markers(Resp *resp, RedisServer *server, Failure *failure)
{
	for (size_t i = 0; i < server->database_count; i++)
	{
		RedisDatabase *database = &server->databases[i];
		char		   number[16];
		RespReply	   reply;
		bool		   selected;

		snprintf(number, sizeof(number), "%d", database->number);
		if (!resp_ask(resp, &reply, failure, "SELECT", number, NULL))
			return false;
		selected = reply.type == RESP_STATUS;
		resp_reply_free(&reply);
		if (!selected)
			continue;
		if (!ask_marker(resp, database, REDIS_MARKER_UNFINISHED, REDIS_MARK_UNFINISHED, failure) ||
			!ask_marker(resp, database, REDIS_MARKER_REPLACED, REDIS_MARK_REPLACED, failure) ||
			!ask_marker(resp, database, REDIS_MARKER_FILLING, REDIS_MARK_FILLING, failure))
			return false;
	}
	return true;
}

bool
redis_server_ask(Resp *resp, RedisServer *server, Failure *failure)
{
	*server = (RedisServer){0};
	if (ask_info(resp, server, failure) && ask_settings(resp, server, failure) &&
		ask_markers(resp, server, failure))
		return true;
	redis_server_free(server);
	return false;
}

void
redis_server_free(RedisServer *server)
{
	free(server->databases);
	*server = (RedisServer){0};
}

void
redis_server_describe(const RedisServer *server, char *text, size_t capacity)
{
	snprintf(text, capacity, "%s %s", server->valkey ? "Valkey" : "Redis", server->version);
}

const RedisDatabase *
redis_server_database(const RedisServer *server, int number)
{
	for (size_t i = 0; i < server->database_count; i++)
		if (server->databases[i].number == number)
			return &server->databases[i];
	return NULL;
}

bool
redis_database_is_live(const RedisDatabase *database)
{
	return database->keys > 0 && database->mark != REDIS_MARK_FILLING &&
		   database->mark != REDIS_MARK_REPLACED;
}

bool
redis_server_evicts(const RedisServer *server)
{
	return server->policy[0] != '\0' && strcmp(server->policy, "noeviction") != 0;
}

bool
redis_server_drops_any(const RedisServer *server)
{
	return strncmp(server->policy, "allkeys-", 8) == 0;
}

bool
redis_server_has_others(const RedisServer *server, int number)
{
	for (size_t i = 0; i < server->database_count; i++)
		if (server->databases[i].number != number && redis_database_is_live(&server->databases[i]))
			return true;
	return false;
}

bool
redis_server_is_empty_beside(const RedisServer *server, int number)
{
	for (size_t i = 0; i < server->database_count; i++)
		if (server->databases[i].number != number && server->databases[i].keys > 0)
			return false;
	return true;
}

int
redis_server_rdb_version(const RedisServer *server)
{
	static const struct
	{
		int release;
		int rdb_version;
	} releases[] = {{80800, 14}, {80600, 13}, {70400, 12}, {70200, 11}, {70000, 10}, {50000, 9}, {40000, 8}};

	if (server->valkey)
		return server->version_number >= 90000 ? RDB_VERSION_VALKEY : RDB_VERSION_SHARED;
	for (size_t i = 0; i < sizeof(releases) / sizeof(releases[0]); i++)
		if (server->version_number >= releases[i].release)
			return releases[i].rdb_version;
	return 7;
}
