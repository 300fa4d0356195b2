/*
 * redis_scan_values.c
 *	  Batches of DUMPs, written into an RDB file.
 */
#include "engines/redis_scan_values.h"

#include <stdlib.h>
#include <string.h>

#include "engines/crc64.h"
#include "engines/rdb_payload.h"

/* Of a value, what is looked at before the rest streams through. */
#define VALUE_HEAD (64 * 1024)

/* A name from here on is long. */
#define LONG_NAME (1024 * 1024)

static bool
refused(ScanValues *values, const RespReply *reply, const char *command, Failure *failure)
{
	return resp_refused(values->resp, reply, command, REASON_DUMP, failure);
}

static bool
queue_key(ScanValues *values, const ScanKey *key, Failure *failure)
{
	const RespArgument expire[] = {{"PEXPIRETIME", 11}, {key->text, key->length}};
	const RespArgument ttl[] = {{"PTTL", 4}, {key->text, key->length}};
	const RespArgument dump[] = {{"DUMP", 4}, {key->text, key->length}};

	if (values->asks_expiretime ? !resp_queue_arguments(values->resp, expire, 2, failure)
								: !resp_queue(values->resp, failure, "TIME", NULL) ||
									  !resp_queue_arguments(values->resp, ttl, 2, failure))
		return false;
	if (values->object_question != NULL)
	{
		const RespArgument object[] = {{"OBJECT", 6},
									   {values->object_question, strlen(values->object_question)},
									   {key->text, key->length}};

		if (!resp_queue_arguments(values->resp, object, 3, failure))
			return false;
	}
	return resp_queue_arguments(values->resp, dump, 2, failure);
}

bool
scan_values_queue(ScanValues *values, const ScanKey *batch, size_t count, Failure *failure)
{
	if (!values->apart && !resp_queue(values->resp, failure, "MULTI", NULL))
		return false;
	for (size_t i = 0; i < count; i++)
		if (!queue_key(values, &batch[i], failure))
			return false;
	return (values->apart || resp_queue(values->resp, failure, "EXEC", NULL)) &&
		   resp_flush(values->resp, failure);
}

typedef struct KeyFacts
{
	int64_t expires_at;
	int64_t idle;
	int		frequency;
} KeyFacts;

/* To MULTI, and to each command that it queued.  *full: the server takes none, as it is above its maxmemory. */
static bool
receive_queued(ScanValues *values, const char *command, bool *full, Failure *failure)
{
	RespReply reply;
	bool	  passed = resp_receive(values->resp, &reply, failure);

	if (passed && resp_is_full(&reply))
		*full = true;
	else if (passed && reply.type == RESP_ERROR)
		passed = refused(values, &reply, command, failure);
	resp_reply_free(&reply);
	return passed;
}

static bool
receive_queued_key(ScanValues *values, bool *full, Failure *failure)
{
	return (values->asks_expiretime || receive_queued(values, "TIME", full, failure)) &&
		   receive_queued(values, values->asks_expiretime ? "PEXPIRETIME" : "PTTL", full, failure) &&
		   (values->object_question == NULL || receive_queued(values, "OBJECT", full, failure)) &&
		   receive_queued(values, "DUMP", full, failure);
}

/* command: NULL where its error does not matter. */
static bool
receive_number(ScanValues *values, const char *command, int64_t *number, Failure *failure)
{
	RespReply reply;
	bool	  passed = resp_receive(values->resp, &reply, failure);

	*number = passed && reply.type == RESP_INTEGER ? reply.integer : -1;
	if (passed && command != NULL && reply.type == RESP_ERROR)
		passed = refused(values, &reply, command, failure);
	resp_reply_free(&reply);
	return passed;
}

/* TIME: seconds and microseconds. */
static bool
receive_time(ScanValues *values, int64_t *milliseconds, Failure *failure)
{
	RespReply reply;
	bool	  passed = resp_receive(values->resp, &reply, failure);

	*milliseconds = 0;
	if (passed)
		resp_time(&reply, milliseconds);
	resp_reply_free(&reply);
	return passed;
}

static bool
receive_facts(ScanValues *values, KeyFacts *facts, Failure *failure)
{
	int64_t now = 0;
	int64_t number;

	*facts = (KeyFacts){.expires_at = -1, .idle = -1, .frequency = -1};
	if (!values->asks_expiretime && !receive_time(values, &now, failure))
		return false;
	if (!receive_number(values, values->asks_expiretime ? "PEXPIRETIME" : "PTTL", &number, failure))
		return false;
	if (number >= 0)
		facts->expires_at = now + number;
	if (values->object_question == NULL)
		return true;
	if (!receive_number(values, NULL, &number, failure))
		return false;
	if (strcmp(values->object_question, "FREQ") == 0)
		facts->frequency = number > 255 ? 255 : (int) number;
	else
		facts->idle = number;
	return true;
}

static bool
no_payload(ScanValues *values, Failure *failure)
{
	return failure_set(failure, REASON_DUMP, "Redis at %s gave DUMP an answer that is no payload",
					   resp_name(values->resp));
}

/* The footer behind a value: the server's RDB version and the payload's checksum. */
static bool
receive_footer(ScanValues *values, Failure *failure)
{
	unsigned char footer[RDB_FOOTER_SIZE];
	uint64_t	  crc = 0;
	int			  version;

	if (!resp_read_exactly(values->resp, footer, sizeof(footer), failure) ||
		!resp_end_bulk(values->resp, failure))
		return false;
	version = footer[0] | footer[1] << 8;
	for (int i = 0; i < 8; i++)
		crc |= (uint64_t) footer[2 + i] << (8 * i);
	if (crc != 0 && crc != crc64_update(values->payload_crc, footer, 2))
		return failure_set(failure, REASON_DUMP,
						   "a value from Redis at %s does not have the checksum that it came with",
						   resp_name(values->resp));
	if (version != values->rdb_version)
		return failure_set(failure, REASON_DUMP,
						   "Redis at %s dumps values of RDB version %d where %d was expected",
						   resp_name(values->resp), version, values->rdb_version);
	return true;
}

static bool
write_name(ScanValues *values, const ScanKey *key, Failure *failure)
{
	if (key->length < LONG_NAME)
		return rdb_write_raw(&values->writer, key->text, key->length, failure);
	rdb_writer_sum(&values->writer, key->text, key->length);
	values->long_name = key;
	values->long_name_at = values->writer.out.length;
	return true;
}

static bool
begin_value(ScanValues *values, const ScanKey *key, const KeyFacts *facts, uint64_t length, Failure *failure)
{
	unsigned char *head;
	size_t		   head_length = length < VALUE_HEAD ? (size_t) length : VALUE_HEAD;
	size_t		   prefix;
	bool		   passed;

	if (length == 0)
		return no_payload(values, failure);
	head = malloc(head_length);
	if (head == NULL)
		return failure_no_memory(failure);
	passed = resp_read_exactly(values->resp, head, head_length, failure);
	prefix = passed ? rdb_payload_prefix(head, head_length) : 0;
	if (passed && prefix == 0)
		passed = no_payload(values, failure);
	if (passed && !values->database_is_written)
		passed = rdb_write_database(&values->writer, (uint64_t) values->database, failure);
	values->database_is_written = true;
	passed = passed &&
			 rdb_write_key_head(&values->writer, facts->expires_at, facts->idle, facts->frequency, head,
								prefix, key->length, failure) &&
			 write_name(values, key, failure) &&
			 rdb_write_raw(&values->writer, head + prefix, head_length - prefix, failure);
	values->payload_crc = passed ? crc64_update(0, head, head_length) : 0;
	values->left = length - head_length;
	free(head);
	return passed && (values->left > 0 || receive_footer(values, failure));
}

bool
scan_values_begin(ScanValues *values, const ScanKey *batch, size_t count, Failure *failure)
{
	RespReply reply;
	bool	  full = false;
	bool	  passed;

	if (values->apart)
		return true;
	passed = receive_queued(values, "MULTI", &full, failure);
	for (size_t i = 0; passed && i < count; i++)
		passed = receive_queued_key(values, &full, failure);
	if (!passed || !resp_receive_head(values->resp, &reply, failure))
		return false;
	if (!full && reply.type != RESP_ARRAY)
		passed =
			reply.type == RESP_ERROR ? refused(values, &reply, "EXEC", failure) : no_payload(values, failure);
	resp_reply_free(&reply);
	if (!full)
		return passed;
	/* It has become full: then without a transaction, which it has dropped. */
	values->apart = true;
	return scan_values_queue(values, batch, count, failure);
}

bool
scan_values_receive(ScanValues *values, const ScanKey *key, uint64_t *length, Failure *failure)
{
	RespReply reply;
	KeyFacts  facts;
	bool	  passed;

	*length = 0;
	if (!receive_facts(values, &facts, failure) || !resp_receive_head(values->resp, &reply, failure))
		return false;
	if (reply.type == RESP_NIL)
		return true; /* gone since SCAN named it */
	if (reply.type == RESP_BULK && reply.integer >= RDB_FOOTER_SIZE)
	{
		*length = (uint64_t) reply.integer - RDB_FOOTER_SIZE;
		return begin_value(values, key, &facts, *length, failure);
	}
	passed =
		reply.type == RESP_ERROR ? refused(values, &reply, "DUMP", failure) : no_payload(values, failure);
	resp_reply_free(&reply);
	return passed;
}

bool
scan_values_read(ScanValues *values, void *buffer, size_t capacity, size_t *length, Failure *failure)
{
	size_t wanted = capacity < values->left ? capacity : (size_t) values->left;

	if (!resp_read_exactly(values->resp, buffer, wanted, failure))
		return false;
	values->payload_crc = crc64_update(values->payload_crc, buffer, wanted);
	rdb_writer_sum(&values->writer, buffer, wanted);
	values->left -= wanted;
	*length = wanted;
	return values->left > 0 || receive_footer(values, failure);
}
