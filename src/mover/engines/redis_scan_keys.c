#include "engines/redis_scan_keys.h"

#include <inttypes.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>

#include "cancel.h"
#include "clock.h"
#include "engines/bytes.h"
#include "engines/redis_marker.h"
#include "engines/redis_server.h"

#define SCAN_COUNT	   "500"
#define BATCH_BYTES	   (1024 * 1024)
#define BATCH_MAX	   256
#define LONGEST_PAUSE  200 /* milliseconds */
#define KEY_SET_MEMORY (24 * 1024 * 1024)

/* Where the server does not tell: few enough at a time, whatever they are. */
#define UNKNOWN_SIZE (64 * 1024)

/* A full cache has room for no value; below this one costs it what any reader's answer does. */
#define SMALL_VALUE (64 * 1024)

bool
scan_keys_begin(ScanKeys *keys, Failure *failure)
{
	key_set_close(keys->seen);
	keys->cursor_is_done = false;
	strcpy(keys->cursor, "0");
	keys->count = keys->next = 0;
	keys->seen = key_set_open(KEY_SET_MEMORY, keys->spool_dir, failure);
	return keys->seen != NULL;
}

void
scan_keys_close(ScanKeys *keys)
{
	key_set_close(keys->seen);
	resp_reply_free(&keys->reply);
	free(keys->sizes);
}

/* Keys that SCAN had given before, and our own markers, are dropped. */
static bool
sift(ScanKeys *keys, Failure *failure)
{
	RespReply *names = &keys->reply.elements[1];

	for (size_t i = 0; i < names->count; i++)
	{
		RespReply key = names->elements[i];
		bool	  is_new = false;

		if (key.type == RESP_BULK && !redis_marker_is(REDIS_MARKER_UNFINISHED, key.text, key.length) &&
			!redis_marker_spare(key.text, key.length) &&
			!key_set_add(keys->seen, key.text, key.length, &is_new, failure))
			return false;
		if (!is_new)
			continue;
		/* Swapped, so that each is freed once. */
		names->elements[i] = names->elements[keys->count];
		names->elements[keys->count++] = key;
	}
	return true;
}

static bool
ask_sizes(ScanKeys *keys, Failure *failure)
{
	const RespReply *names = keys->reply.elements[1].elements;

	free(keys->sizes);
	keys->sizes = malloc((keys->count + 1) * sizeof(*keys->sizes));
	if (keys->sizes == NULL)
		return failure_no_memory(failure);
	for (size_t i = 0; keys->tells_sizes && i < keys->count; i++)
	{
		const RespArgument usage[] = {{"MEMORY", 6}, {"USAGE", 5}, {names[i].text, names[i].length}};

		if (!resp_queue_arguments(keys->resp, usage, 3, failure))
			return false;
	}
	if (!resp_flush(keys->resp, failure))
		return false;
	for (size_t i = 0; i < keys->count; i++)
	{
		RespReply reply = {.type = RESP_NIL};
		bool	  passed = !keys->tells_sizes || resp_receive(keys->resp, &reply, failure);

		keys->sizes[i] = reply.type == RESP_INTEGER && reply.integer > 0  ? (uint64_t) reply.integer
						 : reply.type == RESP_ERROR || !keys->tells_sizes ? UNKNOWN_SIZE
																		  : 0;
		resp_reply_free(&reply);
		if (!passed)
			return false;
	}
	return true;
}

static bool
scan_more(ScanKeys *keys, Failure *failure)
{
	bool passed;

	resp_reply_free(&keys->reply);
	keys->count = keys->next = 0;
	if (!resp_ask(keys->resp, &keys->reply, failure, "SCAN", keys->cursor, "COUNT", SCAN_COUNT, NULL))
		return false;
	if (keys->reply.type == RESP_ERROR)
		return resp_refused(keys->resp, &keys->reply, "SCAN", REASON_DUMP, failure);
	passed = keys->reply.type == RESP_ARRAY && keys->reply.count == 2 &&
			 keys->reply.elements[0].type == RESP_BULK && keys->reply.elements[1].type == RESP_ARRAY &&
			 keys->reply.elements[0].length < sizeof(keys->cursor);
	if (!passed)
		return failure_set(failure, REASON_DUMP, "Redis at %s gave SCAN an answer that is none",
						   resp_name(keys->resp));
	strcpy(keys->cursor, keys->reply.elements[0].text);
	keys->cursor_is_done = strcmp(keys->cursor, "0") == 0;
	return sift(keys, failure) && ask_sizes(keys, failure);
}

/* The server works for its customers meanwhile. */
static bool
pause_a_little(ScanKeys *keys, Failure *failure)
{
	struct pollfd fd = {.fd = cancel_fd(), .events = POLLIN};
	int64_t		  milliseconds = keys->batch_began > 0 ? (clock_milliseconds() - keys->batch_began) / 4 : 0;

	keys->batch_began = 0;
	if (milliseconds > LONGEST_PAUSE)
		milliseconds = LONGEST_PAUSE;
	if (milliseconds > 0)
		poll(&fd, 1, (int) milliseconds);
	return !cancel_requested() || cancel_failure(failure);
}

/* How many bytes the server can hold for us before it drops its customer's keys for them. */
static bool
ask_room(ScanKeys *keys, uint64_t *room, Failure *failure)
{
	RespReply reply;
	int64_t	  maxmemory = 0;
	int64_t	  left = 0;

	*room = UINT64_MAX;
	if (!keys->evicts)
		return true;
	if (!resp_ask(keys->resp, &reply, failure, "INFO", "memory", NULL))
		return false;
	if (reply.type == RESP_BULK)
	{
		maxmemory = redis_info_number(reply.text, "maxmemory", 0);
		left = maxmemory - redis_info_number(reply.text, "used_memory", 0) +
			   redis_info_number(reply.text, "mem_not_counted_for_evict", 0);
	}
	resp_reply_free(&reply);
	if (maxmemory > 0)
		*room = left > 0 ? (uint64_t) left : 0;
	return true;
}

static bool
no_room(const ScanKeys *keys, uint64_t room, Failure *failure)
{
	const RespReply *key = &keys->reply.elements[1].elements[keys->next];
	char			 shown[128];

	bytes_show(shown, sizeof(shown), key->text, key->length);
	return failure_set(
		failure, REASON_DUMP,
		"key \"%s\" takes %" PRIu64 " bytes and Redis at %s has %" PRIu64
		" left below its maxmemory: to DUMP it would make the server evict keys; raise maxmemory, or "
		"let this role take a snapshot",
		shown, keys->sizes[keys->next], resp_name(keys->resp), room);
}

bool
scan_keys_next(ScanKeys *keys, const RespReply **batch, size_t *count, Failure *failure)
{
	uint64_t room;
	uint64_t limit;
	uint64_t bytes;

	*count = 0;
	if (!pause_a_little(keys, failure))
		return false;
	while (keys->next == keys->count)
	{
		if (keys->cursor_is_done)
			return true;
		if (!scan_more(keys, failure))
			return false;
	}
	if (!ask_room(keys, &room, failure))
		return false;
	bytes = keys->sizes[keys->next];
	if (bytes > room && bytes > SMALL_VALUE)
		return no_room(keys, room, failure);
	limit = room / 2 < BATCH_BYTES ? room / 2 : BATCH_BYTES;
	*batch = &keys->reply.elements[1].elements[keys->next];
	do
	{
		*count += 1;
		keys->next++;
		bytes += keys->next < keys->count ? keys->sizes[keys->next] : 0;
	} while (keys->next < keys->count && *count < BATCH_MAX && bytes <= limit);
	keys->batch_began = clock_milliseconds();
	return true;
}
