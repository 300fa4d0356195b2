/*
 * redis_backup.c
 *	  A snapshot by the replication protocol, and the choice between that and a scan.
 *
 * A server that is asked to SYNC forks and sends an RDB file.  Asked with `capa
 * eof`, and allowed to (repl-diskless-sync), it sends straight from the fork
 * and marks the end with 40 random bytes that it announces first:
 *
 *	C: REPLCONF capa eof		S: +OK
 *	C: REPLCONF rdb-only 1		S: +OK (an older server: -ERR; then its stream of writes follows)
 *	C: SYNC						S: "\n" while it prepares, "$EOF:<40 bytes>\r\n", the file, the 40 bytes
 *
 * Otherwise it first writes the file over its own dump.rdb and then sends
 * "$<length>\r\n" and so many bytes.  That is only asked of a server that does
 * so by itself and lately could: an unwritable directory would make it refuse
 * its customer's writes, and a server that keeps no file would load the
 * stray one at its next start.
 */
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "engines/rdb.h"
#include "engines/redis_source.h"

#define MARK_SIZE 40
/* The server says a newline a second while it prepares. */
#define SILENCE_MS	 120000
#define WAIT_STEP_MS 1000

typedef struct Sync
{
	Source	 source;
	Resp	*resp;
	Report	*report;
	bool	 has_mark; /* else a length */
	bool	 header_is_read;
	bool	 ended;
	uint64_t left; /* of a length */
	char	 mark[MARK_SIZE];
	char	 held[MARK_SIZE]; /* what may be the mark's beginning */
	size_t	 held_length;
	char	 line[128]; /* the header as far as it came */
	size_t	 line_length;

	/* A URL that names a database: nobody else's keys may pass. */
	RdbReader  *guard;
	int			database;
	RedisServer server;
} Sync;

bool
redis_note(SourceFacts *facts, Failure *failure, const char *format, ...)
{
	char	text[512];
	va_list args;

	va_start(args, format);
	vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	if (facts->notes == NULL)
		facts->notes = json_array();
	return (facts->notes != NULL && json_array_append_new(facts->notes, json_string(text)) == 0) ||
		   failure_no_memory(failure);
}

/* ---- the stream ---- */

static bool
cut_off(Sync *sync, Failure *failure)
{
	return failure_set(
		failure, REASON_DUMP,
		"Redis at %s ended the connection before the end of its snapshot (its log tells why: often "
		"client-output-buffer-limit or repl-timeout)",
		resp_name(sync->resp));
}

static bool
parse_header(Sync *sync, Failure *failure)
{
	char *end;

	sync->header_is_read = true;
	if (strncmp(sync->line, "$EOF:", 5) == 0 && sync->line_length == 5 + MARK_SIZE)
	{
		sync->has_mark = true;
		memcpy(sync->mark, sync->line + 5, MARK_SIZE);
		return true;
	}
	if (sync->line[0] == '$' && sync->line_length > 1)
	{
		sync->left = strtoull(sync->line + 1, &end, 10);
		if (*end == '\0')
			return true;
	}
	return failure_set(failure, REASON_DUMP, "Redis at %s answered SYNC with: %s", resp_name(sync->resp),
					   sync->line);
}

/* One byte of what precedes the file.  Newlines are signs of life. */
static bool
take_header_byte(Sync *sync, char byte, Failure *failure)
{
	if (byte == '\n' && sync->line_length == 0)
		return true;
	if (byte != '\n')
	{
		if (sync->line_length + 1 >= sizeof(sync->line))
			return failure_set(failure, REASON_DUMP, "Redis at %s answered SYNC with a line without end",
							   resp_name(sync->resp));
		sync->line[sync->line_length++] = byte;
		sync->line[sync->line_length] = '\0';
		return true;
	}
	if (sync->line[sync->line_length - 1] == '\r')
		sync->line[--sync->line_length] = '\0';
	if (sync->line[0] == '-')
		return true;
	return parse_header(sync, failure);
}

/* Reads one byte of the header; waits at most until silence is no longer believable. */
static bool
read_header_byte(Sync *sync, char *byte, Failure *failure)
{
	bool   timed_out;
	size_t length;

	for (int waited = 0; waited < SILENCE_MS; waited += WAIT_STEP_MS)
	{
		if (!resp_read_some(sync->resp, byte, 1, &length, WAIT_STEP_MS, &timed_out, failure))
			return false;
		if (length == 1)
			return true;
		if (!timed_out)
			return cut_off(sync, failure);
		report_alive(sync->report, "the server prepares its snapshot");
	}
	return failure_set(failure, REASON_DUMP, "Redis at %s has not begun its snapshot: silence for %d s",
					   resp_name(sync->resp), SILENCE_MS / 1000);
}

static bool
read_header(Sync *sync, Failure *failure)
{
	while (!sync->header_is_read)
	{
		char byte;

		if (!read_header_byte(sync, &byte, failure) || !take_header_byte(sync, byte, failure))
			return false;
		report_alive(sync->report, "the server prepares its snapshot");
	}
	return true;
}

static bool
receive(Sync *sync, char *buffer, size_t capacity, size_t *length, Failure *failure)
{
	bool timed_out;

	if (!resp_read_some(sync->resp, buffer, capacity, length, SILENCE_MS, &timed_out, failure))
		return false;
	if (timed_out)
		return failure_set(failure, REASON_DUMP, "Redis at %s has sent nothing of its snapshot for %d s",
						   resp_name(sync->resp), SILENCE_MS / 1000);
	return *length > 0 || cut_off(sync, failure);
}

static bool
read_by_length(Sync *sync, char *buffer, size_t capacity, size_t *length, Failure *failure)
{
	if (capacity > sync->left)
		capacity = (size_t) sync->left;
	if (capacity > 0 && !receive(sync, buffer, capacity, length, failure))
		return false;
	sync->left -= *length;
	sync->ended = sync->left == 0;
	return true;
}

/* Looks for the mark; what may be its beginning is held back until more has come. */
static bool
read_to_mark(Sync *sync, char *buffer, size_t capacity, size_t *length, Failure *failure)
{
	while (*length == 0 && !sync->ended)
	{
		size_t		received;
		size_t		total = sync->held_length;
		const char *found;

		memcpy(buffer, sync->held, total);
		if (!receive(sync, buffer + total, capacity - total, &received, failure))
			return false;
		total += received;
		found = memmem(buffer, total, sync->mark, MARK_SIZE);
		sync->ended = found != NULL;
		sync->held_length = found != NULL ? 0 : total < MARK_SIZE - 1 ? total : MARK_SIZE - 1;
		*length = found != NULL ? (size_t) (found - buffer) : total - sync->held_length;
		memcpy(sync->held, buffer + *length, sync->held_length);
	}
	return true;
}

static bool
sync_read(Source *source, void *buffer, size_t capacity, size_t *length, Failure *failure)
{
	Sync *sync = (Sync *) source;

	*length = 0;
	if (sync->ended)
		return true;
	if (!read_header(sync, failure))
		return false;
	if (sync->has_mark ? !read_to_mark(sync, buffer, capacity, length, failure)
					   : !read_by_length(sync, buffer, capacity, length, failure))
		return false;
	return sync->guard == NULL || rdb_reader_feed(sync->guard, buffer, *length, failure);
}

static bool
sync_finish(Source *source, Failure *failure)
{
	Sync *sync = (Sync *) source;

	return sync->ended || cut_off(sync, failure);
}

static void
sync_close(Source *source)
{
	Sync *sync = (Sync *) source;

	resp_close(sync->resp);
	rdb_reader_close(sync->guard);
	redis_server_free(&sync->server);
	free(sync);
}

/* ---- whose keys ---- */

static bool
guard_entry(void *context, const RdbEntry *entry, Failure *failure)
{
	const Sync			*sync = context;
	const RedisDatabase *database;

	if (entry->database == (uint64_t) sync->database)
		return true;
	database = redis_server_database(&sync->server, (int) entry->database);
	if (database != NULL && !redis_database_is_live(database))
		return true;
	return failure_set(failure, REASON_DUMP,
					   "keys have appeared in database %" PRIu64
					   " while a snapshot of database %d was taken: the next "
					   "backup will read that database alone",
					   entry->database, sync->database);
}

static bool
note_marks(const RedisServer *server, SourceFacts *facts, Failure *failure)
{
	for (size_t i = 0; i < server->database_count; i++)
	{
		const RedisDatabase *database = &server->databases[i];
		bool				 noted = true;

		if (database->mark == REDIS_MARK_UNFINISHED)
			noted = redis_note(
				facts, failure,
				"a restore into database %d did not come to its end: this backup holds what it left",
				database->number);
		else if (database->mark != REDIS_MARK_NONE)
			noted =
				redis_note(facts, failure,
						   "database %d holds the leftovers of a restore: not counted, and never restored",
						   database->number);
		if (!noted)
			return false;
	}
	return true;
}

/* ---- the choice ---- */

typedef enum Way
{
	WAY_WITHOUT_DISK,
	WAY_OVER_DISK,
	WAY_SCAN
} Way;

/* Does the server write its own RDB file, and has it done so since its start? "ok" alone is also said by one that never tried. */
static bool
surely_persists(const RedisServer *server)
{
	int64_t started_at = (int64_t) time(NULL) - server->uptime_seconds;

	return server->persists_rdb && server->last_save_was_good && server->last_save_at > started_at + 1;
}

static bool
choose(const RedisServer *server, int database, Way *way, SourceFacts *facts, Failure *failure)
{
	*way = WAY_SCAN;
	if (database != REDIS_ALL_DATABASES && redis_server_has_others(server, database))
		return redis_note(facts, failure,
						  "read key by key: the URL names database %d, and others on this server hold keys",
						  database);
	if (server->config_is_known && server->sends_without_disk)
		*way = WAY_WITHOUT_DISK;
	else if (server->config_is_known && surely_persists(server))
		*way = WAY_OVER_DISK;
	else if (!server->config_is_known)
		return redis_note(
			facts, failure,
			"read key by key: the server does not let this role see by CONFIG GET whether a snapshot "
			"would touch its files");
	else
		return redis_note(
			facts, failure,
			"read key by key: repl-diskless-sync is off and the server has saved no RDB file of its own, "
			"so a snapshot would leave one");
	return true;
}

/* *refused: the server will not, and reply says so; the connection is of no more use. */
static bool
say(Sync *sync, bool must, bool *refused, SourceFacts *facts, const char *option, const char *value,
	Failure *failure)
{
	RespReply reply;
	bool	  passed = resp_ask(sync->resp, &reply, failure, "REPLCONF", option, value, NULL);

	*refused = passed && reply.type == RESP_ERROR && (must || resp_is_error(&reply, "NOPERM"));
	if (*refused)
		passed = redis_note(facts, failure, "read key by key: the server refused REPLCONF (%s)", reply.text);
	resp_reply_free(&reply);
	return passed;
}

/* Sends SYNC and waits for the first sign that it was accepted. */
static bool
begin_sync(Sync *sync, bool *refused, SourceFacts *facts, Failure *failure)
{
	char byte;

	if (!resp_queue(sync->resp, failure, "SYNC", NULL) || !resp_flush(sync->resp, failure))
		return false;
	if (!read_header_byte(sync, &byte, failure) || !take_header_byte(sync, byte, failure))
		return false;
	*refused = byte == '-';
	if (!*refused)
		return true;
	do
	{
		if (!read_header_byte(sync, &byte, failure) || !take_header_byte(sync, byte, failure))
			return false;
	} while (byte != '\n');
	if (strstr(sync->line, "NOMASTERLINK") != NULL)
		return failure_set(failure, REASON_UNREACHABLE, "Redis at %s refused SYNC: %s", resp_name(sync->resp),
						   sync->line + 1);
	return redis_note(facts, failure, "read key by key: the server refused SYNC (%s)", sync->line + 1);
}

/* NULL without a failure: the server refuses, notes say what. */
static Source *
sync_open(const EngineContext *context, Resp *resp, RedisServer *server, int database, Way way,
		  SourceFacts *facts, Failure *failure)
{
	const RdbHandler guard = {.entry = guard_entry};
	Sync			*sync = calloc(1, sizeof(*sync));
	bool			 refused = false;
	bool			 opened;

	if (sync == NULL)
	{
		failure_no_memory(failure);
		resp_close(resp);
		return NULL;
	}
	sync->source = (Source){.read = sync_read, .finish = sync_finish, .close = sync_close};
	sync->resp = resp;
	sync->report = context->report;
	sync->database = database;
	opened = (way != WAY_WITHOUT_DISK || say(sync, true, &refused, facts, "capa", "eof", failure)) &&
			 (refused || say(sync, false, &refused, facts, "rdb-only", "1", failure)) &&
			 (refused || begin_sync(sync, &refused, facts, failure));
	if (opened && !refused && database != REDIS_ALL_DATABASES)
	{
		sync->guard = rdb_reader_open(&guard, sync, REASON_DUMP, failure);
		opened = sync->guard != NULL;
	}
	if (!opened || refused)
	{
		sync_close(&sync->source);
		return NULL;
	}
	sync->server = *server;
	*server = (RedisServer){0};
	facts->consistency = "snapshot";
	snprintf(facts->tool_version, sizeof(facts->tool_version), "SYNC, %s",
			 way == WAY_WITHOUT_DISK ? "without the server's disk" : "over the server's RDB file");
	return &sync->source;
}

static Resp *
open_connection(const EngineContext *context, const RedisUrl *url, Failure *failure)
{
	Resp	 *resp = resp_open(url, context->settings, REDIS_HEEDS_CANCEL, failure);
	RespReply reply;

	if (resp == NULL)
		return NULL;
	/* So that the customer's CLIENT LIST tells who this is; a refusal does not matter. */
	if (!resp_ask(resp, &reply, failure, "CLIENT", "SETNAME", "custbackup", NULL))
	{
		resp_close(resp);
		resp = NULL;
	}
	resp_reply_free(&reply);
	return resp;
}

static Source *
open_by_url(const EngineContext *context, const RedisUrl *url, SourceFacts *facts, Failure *failure)
{
	Resp	   *resp = open_connection(context, url, failure);
	RedisServer server;
	Source	   *source = NULL;
	Way			way;

	if (resp == NULL)
		return NULL;
	if (!redis_server_ask(resp, &server, failure))
	{
		resp_close(resp);
		return NULL;
	}
	redis_server_describe(&server, facts->server_version, sizeof(facts->server_version));
	facts->expected_raw_bytes = -1;
	if (server.cluster)
		failure_set(
			failure, REASON_NOT_RESTORABLE,
			"Redis at %s is part of a cluster and holds only its own slots: clusters are not backed up",
			resp_name(resp));
	else if (note_marks(&server, facts, failure) && choose(&server, url->database, &way, facts, failure))
	{
		if (way != WAY_SCAN)
		{
			source = sync_open(context, resp, &server, url->database, way, facts, failure);
			resp = source == NULL && failure->reason == REASON_NONE ? open_connection(context, url, failure)
																	: NULL;
		}
		if (source == NULL && resp != NULL)
		{
			source = redis_scan_open(context, resp, &server, url->database, facts, failure);
			resp = NULL;
		}
	}
	resp_close(resp);
	redis_server_free(&server);
	return source;
}

Source *
redis_backup_open(const EngineContext *context, SourceFacts *facts, Failure *failure)
{
	RedisUrl url;
	Source	*source;

	if (!redis_url_parse(context->url->text, context->url->length, &url, failure))
		return NULL;
	source = open_by_url(context, &url, facts, failure);
	redis_url_free(&url);
	return source;
}
