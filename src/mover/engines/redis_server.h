/*
 * redis_server.h
 *	  What a server says of itself: INFO, CONFIG GET where the role may, and which of
 *	  its databases a restore has marked (redis_marker.h).
 */
#ifndef REDIS_SERVER_H
#define REDIS_SERVER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "engines/resp.h"
#include "failure.h"

#define REDIS_MARKER_VALUE_SIZE 128

typedef enum RedisMark
{
	REDIS_MARK_NONE,
	REDIS_MARK_FILLING,	  /* a spare that was being filled */
	REDIS_MARK_REPLACED,  /* what a restore has replaced */
	REDIS_MARK_UNFINISHED /* live, and a restore did not come to its end in it */
} RedisMark;

/* A database with keys in it. */
typedef struct RedisDatabase
{
	int		  number;
	int64_t	  keys; /* without the marker */
	RedisMark mark;
	char	  marker_value[REDIS_MARKER_VALUE_SIZE];
} RedisDatabase;

typedef struct RedisServer
{
	char	version[32];
	int		version_number; /* 70015: 7.0.15; Valkey: its own */
	bool	valkey;
	bool	sentinel; /* watches over servers, and holds nothing itself */
	bool	cluster;
	bool	replica;
	bool	master_link_up; /* of a replica */
	int64_t now;			/* seconds, by its own clock */
	int64_t uptime_seconds;
	int64_t used_memory;
	int64_t maxmemory;			 /* 0: unlimited */
	int64_t total_system_memory; /* 0: not told */
	char	policy[32];
	int64_t evicted_keys;
	int64_t replicas;
	int64_t backlog_growth; /* what its replication backlog will still take of the memory */
	int64_t functions;		/* libraries; 0 before 7.0 */
	int64_t last_save_at;
	bool	last_save_was_good;

	bool	config_is_known;	/* the role may CONFIG GET; else what follows is -1, false or a default */
	bool	sends_without_disk; /* repl-diskless-sync */
	bool	persists_rdb;		/* a save rule stands */
	int64_t max_bulk_length;	/* proto-max-bulk-len */
	int64_t max_query_length;	/* client-query-buffer-limit */
	int64_t output_limit; /* client-output-buffer-limit of usual clients, the hard one; 0: none, or unknown */
	int		database_limit; /* how many there may be; -1: unknown */

	RedisDatabase *databases;
	size_t		   database_count;
} RedisServer;

extern bool redis_server_ask(Resp *resp, RedisServer *server, Failure *failure);
extern void redis_server_free(RedisServer *server);

/* "Redis 7.0.15", "Valkey 8.1.1". */
extern void redis_server_describe(const RedisServer *server, char *text, size_t capacity);

/* NULL: no key in it. */
extern const RedisDatabase *redis_server_database(const RedisServer *server, int number);

/* Does the database hold keys that are the customer's? */
extern bool redis_database_is_live(const RedisDatabase *database);

/* Does it drop keys when memory runs short?  Any of them, so that it never refuses a new one? */
extern bool redis_server_evicts(const RedisServer *server);
extern bool redis_server_drops_any(const RedisServer *server);

/* Do other databases than this one hold keys that are somebody's? */
extern bool redis_server_has_others(const RedisServer *server, int number);

/* Are all other databases empty?  The leftovers of a restore may be another customer's. */
extern bool redis_server_is_empty_beside(const RedisServer *server, int number);

/* The RDB version that such a release writes, for a server that does not tell (FUNCTION DUMP does, from 7.0 on). */
extern int redis_server_rdb_version(const RedisServer *server);

/* One field of INFO's text; false: not there. */
extern bool	   redis_info_text(const char *info, const char *field, char *value, size_t capacity);
extern int64_t redis_info_number(const char *info, const char *field, int64_t otherwise);

#endif
