/*
 * redis_sync.c
 *	  A snapshot by the replication protocol.
 *
 * A server that is asked to SYNC forks and sends an RDB file.  Asked with `capa
 * eof`, and allowed to (repl-diskless-sync), it sends straight from the fork
 * and marks the end with 40 random bytes that it announces first:
 *
 *	C: REPLCONF capa eof		S: +OK
 *	C: REPLCONF rdb-only 1		S: +OK (an older server: -ERR; then its stream of writes follows)
 *	C: REPLCONF version 9.0.0	S: +OK (of Valkey: else 9.0 writes as 7.2 did, and fails at what that had not)
 *	C: SYNC						S: "\n" while it prepares, "$EOF:<40 bytes>\r\n", the file, the 40 bytes
 *
 * Otherwise it first writes the file over its own dump.rdb and then sends
 * "$<length>\r\n" and so many bytes.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "engines/rdb.h"
#include "engines/redis_source.h"

#define MARK_SIZE 40
/* The first Valkey that writes RDB_VERSION_VALKEY; a newer one writes so for a replica that says that it is this one. */
#define VALKEY_RELEASE "9.0.0"
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
	RdbReader *guard;
	int		   database;
} Sync;

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
	free(sync);
}

static bool
guard_entry(void *context, const RdbEntry *entry, Failure *failure)
{
	const Sync *sync = context;

	return entry->database == (uint64_t) sync->database ||
		   failure_set(failure, REASON_DUMP,
					   "keys have appeared in database %" PRIu64
					   " while a snapshot of database %d was taken: the next "
					   "backup will read that database alone",
					   entry->database, sync->database);
}

/* ---- the beginning ---- */

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

/* Sends SYNC and waits for the answer: one that cannot fork says so behind its first newlines. */
static bool
begin_sync(Sync *sync, bool *refused, SourceFacts *facts, Failure *failure)
{
	char byte;

	if (!resp_queue(sync->resp, failure, "SYNC", NULL) || !resp_flush(sync->resp, failure))
		return false;
	do
	{
		if (!read_header_byte(sync, &byte, failure) || !take_header_byte(sync, byte, failure))
			return false;
		report_alive(sync->report, "the server prepares its snapshot");
	} while (sync->line_length == 0);
	*refused = sync->line[0] == '-';
	if (!*refused)
		return true;
	while (byte != '\n')
		if (!read_header_byte(sync, &byte, failure) || !take_header_byte(sync, byte, failure))
			return false;
	if (strstr(sync->line, "NOMASTERLINK") != NULL)
		return failure_set(failure, REASON_UNREACHABLE, "Redis at %s refused SYNC: %s", resp_name(sync->resp),
						   sync->line + 1);
	return redis_note(facts, failure, "read key by key: the server refused SYNC (%s)", sync->line + 1);
}

Source *
redis_sync_open(const EngineContext *context, Resp *resp, const RedisServer *server, int database,
				RedisWay way, SourceFacts *facts, Failure *failure)
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
	opened = (way != REDIS_WITHOUT_DISK || say(sync, true, &refused, facts, "capa", "eof", failure)) &&
			 (refused || say(sync, false, &refused, facts, "rdb-only", "1", failure)) &&
			 (refused || !server->valkey ||
			  say(sync, false, &refused, facts, "version", VALKEY_RELEASE, failure)) &&
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
	facts->consistency = "snapshot";
	snprintf(facts->tool_version, sizeof(facts->tool_version), "SYNC, %s",
			 way == REDIS_WITHOUT_DISK ? "without the server's disk" : "over the server's RDB file");
	return &sync->source;
}
