/*
 * redis_scan.c
 *	  Key by key, where the server gives no snapshot or not of one database alone.
 *
 * SCAN names the keys, and for each of them one small transaction asks for its
 * expiry and its DUMP, so that these two belong together.  What comes out is an
 * RDB file as a server would have written it.  Each key is as it was at some
 * moment of the backup: "per key".
 *
 * The server is not to feel it: so many keys are under way as make about a
 * megabyte of replies, and after each such batch a pause of a quarter of the
 * time that it took.  A value passes through in pieces, however large it is.
 */
#include <inttypes.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "cancel.h"
#include "clock.h"
#include "engines/crc64.h"
#include "engines/key_set.h"
#include "engines/rdb.h"
#include "engines/rdb_payload.h"
#include "engines/rdb_writer.h"
#include "engines/redis_marker.h"
#include "engines/redis_source.h"

#define SCAN_COUNT	  "500"
#define BATCH_BYTES	  (1024 * 1024)
#define BATCH_MAX	  256
#define BATCH_FIRST	  16
#define LONGEST_PAUSE 200 /* milliseconds */
/* Of a value, what is looked at before the rest streams through. */
#define VALUE_HEAD	   (64 * 1024)
#define KEY_SET_MEMORY (24 * 1024 * 1024)

typedef struct Scan
{
	Source		  source;
	Resp		 *resp;
	EngineContext context; /* a copy: what it points to lives as long as the job */
	int			  rdb_version;
	bool		  asks_expiretime; /* PEXPIRETIME is known; else TIME and PTTL */
	const char	 *object_question; /* FREQ, IDLETIME, or NULL: the server does not evict */

	int	   *databases;
	size_t	database_count;
	size_t	next_database;
	int		database; /* the one under way; -1: none */
	bool	database_is_written;
	KeySet *seen;
	char	cursor[32];
	bool	cursor_is_done;

	RespReply keys; /* of the last SCAN: those that are new, packed to the front */
	size_t	  key_count;
	size_t	  next_key;	 /* to be received */
	size_t	  batch_end; /* keys before this are under way */
	size_t	  batch_begin;
	size_t	  batch_limit;
	uint64_t  batch_bytes;
	int64_t	  batch_began; /* milliseconds */

	RdbWriter writer;
	size_t	  written_out; /* of the writer's buffer */
	uint64_t  value_left;  /* of a value that streams, without its footer */
	uint64_t  payload_crc;
	bool	  ended;
} Scan;

/* ---- asking for keys ---- */

static bool
refused(Scan *scan, const RespReply *reply, const char *command, Failure *failure)
{
	return resp_refused(scan->resp, reply, command, REASON_DUMP, failure);
}

static bool
queue_key(Scan *scan, const RespReply *key, Failure *failure)
{
	const RespArgument expire[] = {{"PEXPIRETIME", 11}, {key->text, key->length}};
	const RespArgument ttl[] = {{"PTTL", 4}, {key->text, key->length}};
	const RespArgument dump[] = {{"DUMP", 4}, {key->text, key->length}};

	if (!resp_queue(scan->resp, failure, "MULTI", NULL))
		return false;
	if (scan->asks_expiretime ? !resp_queue_arguments(scan->resp, expire, 2, failure)
							  : !resp_queue(scan->resp, failure, "TIME", NULL) ||
									!resp_queue_arguments(scan->resp, ttl, 2, failure))
		return false;
	if (scan->object_question != NULL)
	{
		const RespArgument object[] = {
			{"OBJECT", 6}, {scan->object_question, strlen(scan->object_question)}, {key->text, key->length}};

		if (!resp_queue_arguments(scan->resp, object, 3, failure))
			return false;
	}
	return resp_queue_arguments(scan->resp, dump, 2, failure) &&
		   resp_queue(scan->resp, failure, "EXEC", NULL);
}

static bool
pause_a_little(int64_t milliseconds, Failure *failure)
{
	struct pollfd fd = {.fd = cancel_fd(), .events = POLLIN};

	if (milliseconds > LONGEST_PAUSE)
		milliseconds = LONGEST_PAUSE;
	if (milliseconds > 0)
		poll(&fd, 1, (int) milliseconds);
	return !cancel_requested() || cancel_failure(failure);
}

/* The last batch has come in: was it of the right size, and how long did the server work at it? */
static bool
end_batch(Scan *scan, Failure *failure)
{
	size_t	 keys = scan->next_key - scan->batch_begin;
	uint64_t average;

	if (keys == 0)
		return true;
	average = scan->batch_bytes / keys + 1;
	scan->batch_limit = average > BATCH_BYTES ? 1 : (size_t) (BATCH_BYTES / average);
	if (scan->batch_limit > BATCH_MAX)
		scan->batch_limit = BATCH_MAX;
	return pause_a_little((clock_milliseconds() - scan->batch_began) / 4, failure);
}

static bool
begin_batch(Scan *scan, Failure *failure)
{
	size_t end = scan->next_key + scan->batch_limit;

	if (!end_batch(scan, failure))
		return false;
	if (end > scan->key_count)
		end = scan->key_count;
	scan->batch_begin = scan->next_key;
	scan->batch_bytes = 0;
	scan->batch_began = clock_milliseconds();
	for (scan->batch_end = scan->next_key; scan->batch_end < end; scan->batch_end++)
		if (!queue_key(scan, &scan->keys.elements[1].elements[scan->batch_end], failure))
			return false;
	return resp_flush(scan->resp, failure);
}

/* Keys that SCAN had given before, and our own markers, are dropped. */
static bool
sift_keys(Scan *scan, Failure *failure)
{
	RespReply *names = &scan->keys.elements[1];

	scan->key_count = 0;
	for (size_t i = 0; i < names->count; i++)
	{
		RespReply key = names->elements[i];
		bool	  is_new = false;

		if (key.type == RESP_BULK && !redis_marker_is(REDIS_MARKER_UNFINISHED, key.text, key.length) &&
			!redis_marker_spare(key.text, key.length) &&
			!key_set_add(scan->seen, key.text, key.length, &is_new, failure))
			return false;
		if (!is_new)
			continue;
		/* Swapped, so that each is freed once. */
		names->elements[i] = names->elements[scan->key_count];
		names->elements[scan->key_count++] = key;
	}
	return true;
}

static bool
scan_more(Scan *scan, Failure *failure)
{
	bool passed;

	if (!end_batch(scan, failure))
		return false;
	resp_reply_free(&scan->keys);
	scan->key_count = scan->next_key = scan->batch_begin = scan->batch_end = 0;
	if (!resp_ask(scan->resp, &scan->keys, failure, "SCAN", scan->cursor, "COUNT", SCAN_COUNT, NULL))
		return false;
	if (scan->keys.type == RESP_ERROR)
		return refused(scan, &scan->keys, "SCAN", failure);
	passed = scan->keys.type == RESP_ARRAY && scan->keys.count == 2 &&
			 scan->keys.elements[0].type == RESP_BULK && scan->keys.elements[1].type == RESP_ARRAY &&
			 scan->keys.elements[0].length < sizeof(scan->cursor);
	if (!passed)
		return failure_set(failure, REASON_DUMP, "Redis at %s gave SCAN an answer that is none",
						   resp_name(scan->resp));
	strcpy(scan->cursor, scan->keys.elements[0].text);
	scan->cursor_is_done = strcmp(scan->cursor, "0") == 0;
	return sift_keys(scan, failure);
}

/* ---- receiving one ---- */

typedef struct KeyFacts
{
	int64_t expires_at;
	int64_t idle;
	int		frequency;
} KeyFacts;

/* The replies to MULTI and to what it queued. */
static bool
receive_queued(Scan *scan, Failure *failure)
{
	const char *names[6] = {"MULTI"};
	size_t		count = 1;
	bool		passed = true;

	if (!scan->asks_expiretime)
		names[count++] = "TIME";
	names[count++] = scan->asks_expiretime ? "PEXPIRETIME" : "PTTL";
	if (scan->object_question != NULL)
		names[count++] = "OBJECT";
	names[count++] = "DUMP";
	for (size_t i = 0; passed && i < count; i++)
	{
		RespReply reply;

		passed = resp_receive(scan->resp, &reply, failure);
		if (passed && reply.type == RESP_ERROR)
			passed = refused(scan, &reply, names[i], failure);
		resp_reply_free(&reply);
	}
	return passed;
}

static bool
receive_number(Scan *scan, int64_t *number, Failure *failure)
{
	RespReply reply;
	bool	  passed = resp_receive(scan->resp, &reply, failure);

	*number = passed && reply.type == RESP_INTEGER ? reply.integer : -1;
	resp_reply_free(&reply);
	return passed;
}

/* TIME: seconds and microseconds. */
static bool
receive_time(Scan *scan, int64_t *milliseconds, Failure *failure)
{
	RespReply reply;
	bool	  passed = resp_receive(scan->resp, &reply, failure);

	*milliseconds = 0;
	if (passed && reply.type == RESP_ARRAY && reply.count == 2 && reply.elements[0].type == RESP_BULK &&
		reply.elements[1].type == RESP_BULK)
		*milliseconds = strtoll(reply.elements[0].text, NULL, 10) * 1000 +
						strtoll(reply.elements[1].text, NULL, 10) / 1000;
	resp_reply_free(&reply);
	return passed;
}

static bool
receive_facts(Scan *scan, KeyFacts *facts, Failure *failure)
{
	int64_t now = 0;
	int64_t number;

	*facts = (KeyFacts){.expires_at = -1, .idle = -1, .frequency = -1};
	if (!scan->asks_expiretime && !receive_time(scan, &now, failure))
		return false;
	if (!receive_number(scan, &number, failure))
		return false;
	if (number >= 0)
		facts->expires_at = now + number;
	if (scan->object_question == NULL)
		return true;
	if (!receive_number(scan, &number, failure))
		return false;
	if (strcmp(scan->object_question, "FREQ") == 0)
		facts->frequency = number > 255 ? 255 : (int) number;
	else
		facts->idle = number;
	return true;
}

static bool
no_payload(Scan *scan, Failure *failure)
{
	return failure_set(failure, REASON_DUMP, "Redis at %s gave DUMP an answer that is no payload",
					   resp_name(scan->resp));
}

/* The footer behind a value: the server's RDB version and the payload's checksum. */
static bool
receive_footer(Scan *scan, Failure *failure)
{
	unsigned char footer[RDB_FOOTER_SIZE];
	uint64_t	  crc = 0;
	int			  version;

	if (!resp_read_exactly(scan->resp, footer, sizeof(footer), failure) ||
		!resp_end_bulk(scan->resp, failure))
		return false;
	version = footer[0] | footer[1] << 8;
	for (int i = 0; i < 8; i++)
		crc |= (uint64_t) footer[2 + i] << (8 * i);
	if (crc != 0 && crc != crc64_update(scan->payload_crc, footer, 2))
		return failure_set(failure, REASON_DUMP,
						   "a value from Redis at %s does not have the checksum that it came with",
						   resp_name(scan->resp));
	if (version != scan->rdb_version)
		return failure_set(failure, REASON_DUMP,
						   "Redis at %s dumps values of RDB version %d where %d was expected",
						   resp_name(scan->resp), version, scan->rdb_version);
	return true;
}

static bool
begin_value(Scan *scan, const RespReply *key, const KeyFacts *facts, uint64_t length, Failure *failure)
{
	unsigned char *head;
	size_t		   head_length = length < VALUE_HEAD ? (size_t) length : VALUE_HEAD;
	size_t		   prefix;
	bool		   passed;

	if (length == 0)
		return no_payload(scan, failure);
	head = malloc(head_length);
	if (head == NULL)
		return failure_no_memory(failure);
	passed = resp_read_exactly(scan->resp, head, head_length, failure);
	prefix = passed ? rdb_payload_prefix(head, head_length) : 0;
	if (passed && prefix == 0)
		passed = no_payload(scan, failure);
	if (passed && !scan->database_is_written)
		passed = rdb_write_database(&scan->writer, (uint64_t) scan->database, failure);
	scan->database_is_written = true;
	passed = passed &&
			 rdb_write_key(&scan->writer, facts->expires_at, facts->idle, facts->frequency, head, prefix,
						   key->text, key->length, failure) &&
			 rdb_write_raw(&scan->writer, head + prefix, head_length - prefix, failure);
	scan->payload_crc = passed ? crc64_update(0, head, head_length) : 0;
	scan->value_left = length - head_length;
	free(head);
	return passed && (scan->value_left > 0 || receive_footer(scan, failure));
}

static bool
receive_key(Scan *scan, Failure *failure)
{
	const RespReply *key = &scan->keys.elements[1].elements[scan->next_key++];
	RespReply		 reply;
	KeyFacts		 facts;
	bool			 passed;

	if (!receive_queued(scan, failure) || !resp_receive_head(scan->resp, &reply, failure))
		return false;
	if (reply.type != RESP_ARRAY)
	{
		passed =
			reply.type == RESP_ERROR ? refused(scan, &reply, "EXEC", failure) : no_payload(scan, failure);
		resp_reply_free(&reply);
		return passed;
	}
	if (!receive_facts(scan, &facts, failure) || !resp_receive_head(scan->resp, &reply, failure))
		return false;
	if (reply.type == RESP_NIL)
		return true; /* gone since SCAN named it */
	if (reply.type == RESP_BULK && reply.integer >= RDB_FOOTER_SIZE)
	{
		scan->batch_bytes += (uint64_t) reply.integer;
		return begin_value(scan, key, &facts, (uint64_t) reply.integer - RDB_FOOTER_SIZE, failure);
	}
	passed = reply.type == RESP_ERROR ? refused(scan, &reply, "DUMP", failure) : no_payload(scan, failure);
	resp_reply_free(&reply);
	return passed;
}

/* ---- the way through the file ---- */

static bool
next_database(Scan *scan, Failure *failure)
{
	char number[16];

	key_set_close(scan->seen);
	scan->seen = NULL;
	scan->database = -1;
	if (scan->next_database == scan->database_count)
	{
		scan->ended = true;
		return rdb_write_end(&scan->writer, failure);
	}
	scan->database = scan->databases[scan->next_database++];
	scan->database_is_written = false;
	scan->cursor_is_done = false;
	strcpy(scan->cursor, "0");
	snprintf(number, sizeof(number), "%d", scan->database);
	scan->seen = key_set_open(KEY_SET_MEMORY, scan->context.settings->spool_dir, failure);
	return scan->seen != NULL && resp_do(scan->resp, REASON_DUMP, failure, "SELECT", number, NULL);
}

static bool
step(Scan *scan, Failure *failure)
{
	if (scan->next_key < scan->batch_end)
		return receive_key(scan, failure);
	if (scan->next_key < scan->key_count)
		return begin_batch(scan, failure);
	if (scan->database < 0 || scan->cursor_is_done)
		return next_database(scan, failure);
	report_alive(scan->context.report, "looking for keys");
	return scan_more(scan, failure);
}

static bool
read_value(Scan *scan, void *buffer, size_t capacity, size_t *length, Failure *failure)
{
	size_t wanted = capacity < scan->value_left ? capacity : (size_t) scan->value_left;

	if (!resp_read_exactly(scan->resp, buffer, wanted, failure))
		return false;
	scan->payload_crc = crc64_update(scan->payload_crc, buffer, wanted);
	rdb_writer_sum(&scan->writer, buffer, wanted);
	scan->value_left -= wanted;
	*length = wanted;
	return scan->value_left > 0 || receive_footer(scan, failure);
}

static bool
scan_read(Source *source, void *buffer, size_t capacity, size_t *length, Failure *failure)
{
	Scan  *scan = (Scan *) source;
	Bytes *out = &scan->writer.out;

	*length = 0;
	/* Small keys are gathered, so that what follows works on more than a few bytes. */
	while (!scan->ended && scan->value_left == 0 && out->length - scan->written_out < VALUE_HEAD)
		if (!step(scan, failure))
			return false;
	if (scan->written_out == out->length && scan->value_left > 0)
		return read_value(scan, buffer, capacity, length, failure);
	*length = out->length - scan->written_out < capacity ? out->length - scan->written_out : capacity;
	memcpy(buffer, out->data + scan->written_out, *length);
	scan->written_out += *length;
	if (scan->written_out == out->length)
	{
		bytes_reset(out, VALUE_HEAD * 4);
		scan->written_out = 0;
	}
	return true;
}

static bool
scan_finish(Source *source, Failure *failure)
{
	return ((Scan *) source)->ended || failure_set(failure, REASON_DUMP, "the scan was not read to its end");
}

static void
scan_close(Source *source)
{
	Scan *scan = (Scan *) source;

	resp_close(scan->resp);
	key_set_close(scan->seen);
	resp_reply_free(&scan->keys);
	bytes_free(&scan->writer.out);
	free(scan->databases);
	free(scan);
}

/* ---- the beginning ---- */

/* Header, facts, functions.  A payload of FUNCTION DUMP is what stands in a file, and a footer. */
static bool
write_beginning(Scan *scan, const RedisServer *server, bool with_functions, SourceFacts *facts,
				Failure *failure)
{
	RespReply functions;
	char	  number[32];
	bool	  passed = resp_ask(scan->resp, &functions, failure, "FUNCTION", "DUMP", NULL);
	bool	  dumped = passed && functions.type == RESP_BULK &&
				  rdb_footer_check(functions.text, functions.length, &scan->rdb_version);

	if (passed && !dumped)
	{
		scan->rdb_version = redis_server_rdb_version(server);
		if (server->functions > 0 && with_functions)
			passed =
				redis_note(facts, failure, "functions are missing: the server refused FUNCTION DUMP (%s)",
						   functions.type == RESP_ERROR ? functions.text : "no payload");
	}
	passed = passed && rdb_write_header(&scan->writer, scan->rdb_version, failure) &&
			 rdb_write_aux(&scan->writer, "redis-ver", server->version, failure);
	snprintf(number, sizeof(number), "%lld", (long long) time(NULL));
	passed = passed && rdb_write_aux(&scan->writer, "ctime", number, failure);
	/* A restore asks by this whether there is room: the neighbours' memory is none of it. */
	snprintf(number, sizeof(number), "%" PRId64, server->used_memory);
	if (with_functions)
		passed = passed && rdb_write_aux(&scan->writer, "used-mem", number, failure);
	if (dumped && with_functions)
		passed = passed &&
				 rdb_write_raw(&scan->writer, functions.text, functions.length - RDB_FOOTER_SIZE, failure);
	resp_reply_free(&functions);
	return passed;
}

static bool
learn_commands(Scan *scan, const RedisServer *server, Failure *failure)
{
	RespReply reply;
	bool	  passed = resp_ask(scan->resp, &reply, failure, "PEXPIRETIME", REDIS_MARKER_FILLING, NULL);

	scan->asks_expiretime = passed && reply.type == RESP_INTEGER;
	resp_reply_free(&reply);
	/* Reading is no use of a key; servers before 7.2 do not know how to be told. */
	passed = passed && resp_ask(scan->resp, &reply, failure, "CLIENT", "NO-TOUCH", "on", NULL);
	resp_reply_free(&reply);
	if (strstr(server->policy, "lfu") != NULL)
		scan->object_question = "FREQ";
	else if (strstr(server->policy, "lru") != NULL)
		scan->object_question = "IDLETIME";
	return passed;
}

static bool
list_databases(Scan *scan, const RedisServer *server, int database, Failure *failure)
{
	scan->databases = calloc(server->database_count + 1, sizeof(*scan->databases));
	if (scan->databases == NULL)
		return failure_no_memory(failure);
	if (database != REDIS_ALL_DATABASES)
		scan->databases[scan->database_count++] = database;
	for (size_t i = 0; database == REDIS_ALL_DATABASES && i < server->database_count; i++)
		if (redis_database_is_live(&server->databases[i]))
			scan->databases[scan->database_count++] = server->databases[i].number;
	return true;
}

Source *
redis_scan_open(const EngineContext *context, Resp *resp, const RedisServer *server, int database,
				SourceFacts *facts, Failure *failure)
{
	Scan *scan = calloc(1, sizeof(*scan));
	/* Functions are the server's: with neighbours nobody knows whose. */
	bool with_functions = database == REDIS_ALL_DATABASES || !redis_server_has_others(server, database);

	if (scan == NULL)
	{
		failure_no_memory(failure);
		resp_close(resp);
		return NULL;
	}
	scan->source = (Source){.read = scan_read, .finish = scan_finish, .close = scan_close};
	scan->resp = resp;
	scan->context = *context;
	scan->database = -1;
	scan->batch_limit = BATCH_FIRST;
	scan->keys.type = RESP_NIL;
	facts->consistency = "per key";
	snprintf(facts->tool_version, sizeof(facts->tool_version), "SCAN and DUMP");
	if (learn_commands(scan, server, failure) && list_databases(scan, server, database, failure) &&
		write_beginning(scan, server, with_functions, facts, failure) &&
		(with_functions || server->functions == 0 ||
		 redis_note(facts, failure, "functions are not in this backup: they belong to the whole server")))
		return &scan->source;
	scan_close(&scan->source);
	return NULL;
}
