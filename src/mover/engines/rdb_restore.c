/*
 * rdb_restore.c
 *	  RESTORE commands on their way, and the replies to them.
 */
#include "engines/rdb_restore.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "engines/bytes.h"
#include "engines/rdb_payload.h"

#define MAX_COMMANDS 8192
#define MAX_BYTES	 (8 * 1024 * 1024)
#define KEY_SHOWN	 48

/* What was sent and is not answered yet. */
typedef struct Pending
{
	size_t		  bytes;
	unsigned	  type;
	size_t		  key_length;
	unsigned char key[KEY_SHOWN];
} Pending;

struct RdbRestore
{
	Resp   *resp;
	int		rdb_version;
	Pending pending[MAX_COMMANDS]; /* a ring */
	size_t	first;
	size_t	count;
	size_t	bytes_under_way;
};

RdbRestore *
rdb_restore_open(Resp *resp, int rdb_version, Failure *failure)
{
	RdbRestore *restore = calloc(1, sizeof(*restore));

	if (restore == NULL)
	{
		failure_no_memory(failure);
		return NULL;
	}
	restore->resp = resp;
	restore->rdb_version = rdb_version;
	return restore;
}

void
rdb_restore_close(RdbRestore *restore)
{
	free(restore);
}

static bool
refused(RdbRestore *restore, const Pending *pending, const RespReply *reply, Failure *failure)
{
	bool cut = pending->key_length > KEY_SHOWN;
	char key[KEY_SHOWN * 4 + 8];
	char what[sizeof(key) + 64];

	bytes_show(key, sizeof(key), pending->key, cut ? KEY_SHOWN : pending->key_length);
	snprintf(what, sizeof(what), "RESTORE of key \"%s%s\" (type %u, %zu bytes)", key, cut ? "..." : "",
			 pending->type, pending->bytes);
	return resp_refused(restore->resp, reply, what, REASON_RESTORE, failure);
}

static bool
take_reply(RdbRestore *restore, Failure *failure)
{
	const Pending *pending = &restore->pending[restore->first];
	RespReply	   reply;
	bool		   passed = resp_receive(restore->resp, &reply, failure);

	if (passed && reply.type == RESP_ERROR)
		passed = refused(restore, pending, &reply, failure);
	resp_reply_free(&reply);
	restore->bytes_under_way -= pending->bytes;
	restore->first = (restore->first + 1) % MAX_COMMANDS;
	restore->count--;
	return passed;
}

/* Takes replies until at most so much is under way. */
static bool
reduce(RdbRestore *restore, size_t commands, size_t bytes, Failure *failure)
{
	if (!resp_flush(restore->resp, failure))
		return false;
	while (restore->count > commands || (restore->bytes_under_way > bytes && restore->count > 0))
		if (!take_reply(restore, failure))
			return false;
	return true;
}

bool
rdb_restore_drain(RdbRestore *restore, Failure *failure)
{
	return reduce(restore, 0, 0, failure);
}

static void
remember(RdbRestore *restore, const RdbEntry *entry)
{
	Pending *pending = &restore->pending[(restore->first + restore->count) % MAX_COMMANDS];

	pending->bytes = entry->payload_length;
	pending->type = entry->type;
	pending->key_length = entry->key_length;
	memcpy(pending->key, entry->key, entry->key_length < KEY_SHOWN ? entry->key_length : KEY_SHOWN);
	restore->count++;
	restore->bytes_under_way += pending->bytes;
}

/* "$4\r\n1234\r\n" */
static size_t
bulk_number(char *text, size_t capacity, int64_t number)
{
	char digits[24];
	int	 length = snprintf(digits, sizeof(digits), "%" PRId64, number);

	return (size_t) snprintf(text, capacity, "$%d\r\n%s\r\n", length, digits);
}

static bool
send_entry(RdbRestore *restore, const RdbEntry *entry, Failure *failure)
{
	bool		  has_age = entry->idle >= 0 || entry->frequency >= 0;
	char		  head[64];
	char		  middle[128];
	char		  tail[128];
	unsigned char footer[RDB_FOOTER_SIZE];
	size_t		  length;

	rdb_footer(footer, restore->rdb_version, entry->payload, entry->payload_length);
	length = (size_t) snprintf(head, sizeof(head), "*%d\r\n$7\r\nRESTORE\r\n$%zu\r\n", has_age ? 8 : 6,
							   entry->key_length);
	if (!resp_queue_raw(restore->resp, head, length, failure) ||
		!resp_queue_raw(restore->resp, entry->key, entry->key_length, failure))
		return false;
	/* 0 says never. */
	strcpy(middle, "\r\n");
	length = 2 + bulk_number(middle + 2, sizeof(middle) - 2, entry->expires_at > 0 ? entry->expires_at : 0);
	length += (size_t) snprintf(middle + length, sizeof(middle) - length, "$%" PRIu64 "\r\n",
								entry->payload_length + RDB_FOOTER_SIZE);
	if (!resp_queue_raw(restore->resp, middle, length, failure) ||
		!resp_queue_raw(restore->resp, entry->payload, entry->payload_length, failure) ||
		!resp_queue_raw(restore->resp, footer, sizeof(footer), failure))
		return false;
	strcpy(tail, "\r\n$7\r\nREPLACE\r\n$6\r\nABSTTL\r\n");
	length = strlen(tail);
	if (has_age)
	{
		strcpy(tail + length, entry->idle >= 0 ? "$8\r\nIDLETIME\r\n" : "$4\r\nFREQ\r\n");
		length += strlen(tail + length);
		length += bulk_number(tail + length, sizeof(tail) - length,
							  entry->idle >= 0 ? entry->idle : entry->frequency);
	}
	return resp_queue_raw(restore->resp, tail, length, failure);
}

bool
rdb_restore_entry(RdbRestore *restore, const RdbEntry *entry, Failure *failure)
{
	if ((restore->count == MAX_COMMANDS || restore->bytes_under_way >= MAX_BYTES) &&
		!reduce(restore, MAX_COMMANDS / 2, MAX_BYTES / 2, failure))
		return false;
	remember(restore, entry);
	return send_entry(restore, entry, failure);
}
