/*
 * redis_scan.c
 *	  Key by key, where the server gives no snapshot or not of one database alone.
 *
 * SCAN names the keys (redis_scan_keys.h), and for each of them DUMP gives what a
 * file would hold (redis_scan_values.h). What comes out is an RDB file as a server
 * would have written it.  Each key is as it was at some moment of the backup: "per
 * key".
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "engines/rdb_payload.h"
#include "engines/redis_marker.h"
#include "engines/redis_scan_keys.h"
#include "engines/redis_scan_values.h"
#include "engines/redis_source.h"

/* Small keys are gathered, so that what follows works on more than a few bytes. */
#define GATHERED	(64 * 1024)
#define KEPT_BUFFER (4 * GATHERED)

typedef struct Scan
{
	Source		   source;
	Resp		  *resp;
	Report		  *report;
	SourceFacts	  *facts;
	ScanKeys	   keys;
	ScanValues	   values;
	int			  *databases;
	size_t		   database_count;
	size_t		   next_database;
	const ScanKey *batch; /* keys that are under way */
	size_t		   batch_count;
	size_t		   batch_next;	/* to be received */
	size_t		   written_out; /* of the writer's buffer */
	size_t		   name_out;	/* of a long name */
	bool		   ended;
} Scan;

/* ---- the way through the file ---- */

static bool
next_database(Scan *scan, Failure *failure)
{
	char number[16];

	scan->values.database = -1;
	if (scan->next_database == scan->database_count)
	{
		scan->ended = true;
		return rdb_write_end(&scan->values.writer, failure);
	}
	scan->values.database = scan->databases[scan->next_database++];
	scan->values.database_is_written = false;
	snprintf(number, sizeof(number), "%d", scan->values.database);
	return resp_do(scan->resp, REASON_DUMP, failure, "SELECT", number, NULL) &&
		   scan_keys_begin(&scan->keys, failure);
}

static bool
note_apart(SourceFacts *facts, Failure *failure)
{
	return redis_note(facts, failure,
					  "each key's expiry and value were asked for one behind the other, not in one "
					  "transaction: the server is too close to its maxmemory");
}

static bool
next_batch(Scan *scan, Failure *failure)
{
	bool was_apart = scan->values.apart;

	report_alive(scan->report, "looking for keys");
	scan->batch_next = 0;
	if (!scan_keys_next(&scan->keys, &scan->batch, &scan->batch_count, failure))
		return false;
	if (scan->batch_count == 0)
		return next_database(scan, failure);
	return scan_values_queue(&scan->values, scan->batch, scan->batch_count, failure) &&
		   scan_values_begin(&scan->values, scan->batch, scan->batch_count, failure) &&
		   (scan->values.apart == was_apart || note_apart(scan->facts, failure));
}

static bool
step(Scan *scan, Failure *failure)
{
	uint64_t length;

	if (scan->batch_next < scan->batch_count)
	{
		if (!scan_values_receive(&scan->values, &scan->batch[scan->batch_next++], &length, failure))
			return false;
		scan_keys_learn(&scan->keys, length);
		return true;
	}
	return scan->values.database < 0 ? next_database(scan, failure) : next_batch(scan, failure);
}

/* A piece of the long name, which comes when the buffer has gone out as far as to its place. */
static size_t
read_long_name(Scan *scan, void *buffer, size_t capacity)
{
	const ScanKey *name = scan->values.long_name;
	size_t		   left = name->length - scan->name_out;
	size_t		   length = left < capacity ? left : capacity;

	memcpy(buffer, name->text + scan->name_out, length);
	scan->name_out += length;
	if (scan->name_out == name->length)
	{
		scan->values.long_name = NULL;
		scan->name_out = 0;
	}
	return length;
}

/* A piece of the writer's buffer, at most as far as to a long name. */
static size_t
read_written(Scan *scan, void *buffer, size_t capacity)
{
	Bytes *out = &scan->values.writer.out;
	size_t end = scan->values.long_name != NULL ? scan->values.long_name_at : out->length;
	size_t length = end - scan->written_out < capacity ? end - scan->written_out : capacity;

	memcpy(buffer, out->data + scan->written_out, length);
	scan->written_out += length;
	if (scan->written_out == out->length)
	{
		bytes_reset(out, KEPT_BUFFER);
		scan->written_out = 0;
	}
	return length;
}

static bool
scan_read(Source *source, void *buffer, size_t capacity, size_t *length, Failure *failure)
{
	Scan	   *scan = (Scan *) source;
	ScanValues *values = &scan->values;

	*length = 0;
	while (!scan->ended && values->left == 0 && values->long_name == NULL &&
		   values->writer.out.length - scan->written_out < GATHERED)
		if (!step(scan, failure))
			return false;
	if (values->long_name != NULL && scan->written_out == values->long_name_at)
		*length = read_long_name(scan, buffer, capacity);
	else if (scan->written_out < values->writer.out.length || values->left == 0)
		*length = read_written(scan, buffer, capacity);
	else
		return scan_values_read(values, buffer, capacity, length, failure);
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
	scan_keys_close(&scan->keys);
	bytes_free(&scan->values.writer.out);
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
				  rdb_footer_check(functions.text, functions.length, &scan->values.rdb_version);

	if (passed && !dumped)
	{
		scan->values.rdb_version = redis_server_rdb_version(server);
		if (server->functions > 0 && with_functions)
			passed =
				redis_note(facts, failure, "functions are missing: the server refused FUNCTION DUMP (%s)",
						   functions.type == RESP_ERROR ? functions.text : "no payload");
	}
	passed = passed && rdb_write_header(&scan->values.writer, scan->values.rdb_version, failure) &&
			 rdb_write_aux(&scan->values.writer, server->valkey ? "valkey-ver" : "redis-ver", server->version,
						   failure);
	snprintf(number, sizeof(number), "%lld", (long long) time(NULL));
	passed = passed && rdb_write_aux(&scan->values.writer, "ctime", number, failure);
	/* A restore asks by this whether there is room: the neighbours' memory is none of it. */
	snprintf(number, sizeof(number), "%" PRId64, server->used_memory);
	if (with_functions)
		passed = passed && rdb_write_aux(&scan->values.writer, "used-mem", number, failure);
	if (dumped && with_functions)
		passed = passed && rdb_write_raw(&scan->values.writer, functions.text,
										 functions.length - RDB_FOOTER_SIZE, failure);
	resp_reply_free(&functions);
	return passed;
}

/* MEMORY USAGE tells how much a key's DUMP may take of the server's memory. */
static bool
ask_for_sizes(Scan *scan, SourceFacts *facts, Failure *failure)
{
	RespReply reply;
	bool	  passed = resp_ask(scan->resp, &reply, failure, "MEMORY", "USAGE", REDIS_MARKER_FILLING, NULL);

	scan->keys.tells_sizes = passed && reply.type != RESP_ERROR;
	if (passed && reply.type == RESP_ERROR)
		passed =
			redis_note(facts, failure,
					   "values are read a few at a time: the server refused MEMORY USAGE (%s)", reply.text);
	resp_reply_free(&reply);
	return passed;
}

static bool
learn_commands(Scan *scan, const RedisServer *server, Failure *failure)
{
	RespReply reply;
	bool	  passed = resp_ask(scan->resp, &reply, failure, "PEXPIRETIME", REDIS_MARKER_FILLING, NULL);

	scan->values.asks_expiretime = passed && reply.type == RESP_INTEGER;
	resp_reply_free(&reply);
	/* Reading is no use of a key; servers before 7.2 do not know how to be told. */
	passed = passed && resp_ask(scan->resp, &reply, failure, "CLIENT", "NO-TOUCH", "on", NULL);
	resp_reply_free(&reply);
	scan->keys.evicts = redis_server_evicts(server);
	if (strstr(server->policy, "lfu") != NULL)
		scan->values.object_question = "FREQ";
	else if (strstr(server->policy, "lru") != NULL)
		scan->values.object_question = "IDLETIME";
	return passed;
}

/* A server that is above its maxmemory, and has nothing that it may drop, queues no command in a transaction. */
static bool
avoid_transactions(Scan *scan, const RedisServer *server, SourceFacts *facts, Failure *failure)
{
	scan->values.apart = server->maxmemory > 0 && !redis_server_drops_any(server) &&
						 server->used_memory > server->maxmemory / 10 * 9;
	return !scan->values.apart || note_apart(facts, failure);
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
	scan->resp = scan->keys.resp = scan->values.resp = resp;
	scan->report = context->report;
	scan->facts = facts;
	scan->keys.spool_dir = context->settings->spool_dir;
	scan_keys_limit(&scan->keys, server->output_limit);
	if (server->output_limit > 0)
		resp_explain_loss(resp,
						  "; whoever is to be sent more than its client-output-buffer-limit is cut off, so "
						  "every value has to fit in");
	scan->values.database = -1;
	facts->consistency = "per key";
	snprintf(facts->tool_version, sizeof(facts->tool_version), "SCAN and DUMP");
	if (learn_commands(scan, server, failure) && ask_for_sizes(scan, facts, failure) &&
		avoid_transactions(scan, server, facts, failure) && list_databases(scan, server, database, failure) &&
		write_beginning(scan, server, with_functions, facts, failure) &&
		(with_functions || server->functions == 0 ||
		 redis_note(facts, failure, "functions are not in this backup: they belong to the whole server")))
		return &scan->source;
	scan_close(&scan->source);
	return NULL;
}
