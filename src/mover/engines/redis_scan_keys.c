/*
 * redis_scan_keys.c
 *	  SCAN, and the batches of keys that come of it.
 */
#include "engines/redis_scan_keys.h"

#include <inttypes.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cancel.h"
#include "clock.h"
#include "engines/bytes.h"
#include "engines/redis_marker.h"
#include "engines/redis_server.h"

/* Names at once: few at first, then as many as give an answer of about this part of what may come at once. */
#define FIRST_COUNT 4
#define COUNT_MAX	1000
#define ANSWER_PART 4

/* What is held of an answer; one name more may go beyond it. */
#define NAMES_BYTES (1024 * 1024)

#define BATCH_BYTES	   (1024 * 1024)
#define BATCH_MAX	   512
#define LONGEST_PAUSE  200 /* milliseconds */
#define KEY_SET_MEMORY (24 * 1024 * 1024)

/* Of a key's commands in a transaction, and how often they name the key. */
#define COMMANDS_COST  768
#define COMMANDS_NAMES 3

/* Where the server does not tell: few enough at a time, and fewer where values are larger. */
#define UNKNOWN_SIZE (64 * 1024)

/* A full cache has room for no value; below this one costs it what any reader's answer does. */
#define SMALL_VALUE (64 * 1024)

static void
forget_found(ScanKeys *keys)
{
	for (size_t i = 0; i < keys->count; i++)
		free(keys->found[i].text);
	keys->count = keys->next = 0;
}

void
scan_keys_limit(ScanKeys *keys, int64_t limit)
{
	/* Half of it, as sizes are estimates. */
	keys->at_once = limit > 0 && limit / 2 < BATCH_BYTES ? (uint64_t) limit / 2 : BATCH_BYTES;
}

bool
scan_keys_begin(ScanKeys *keys, Failure *failure)
{
	key_set_close(keys->seen);
	forget_found(keys);
	keys->cursor_is_done = false;
	strcpy(keys->cursor, "0");
	keys->asked_for = FIRST_COUNT;
	keys->largest_value = 0;
	keys->seen = key_set_open(KEY_SET_MEMORY, keys->spool_dir, failure);
	return keys->seen != NULL;
}

void
scan_keys_close(ScanKeys *keys)
{
	key_set_close(keys->seen);
	forget_found(keys);
	free(keys->found);
}

/* ---- names ---- */

static bool
no_answer(const ScanKeys *keys, Failure *failure)
{
	return failure_set(failure, REASON_DUMP, "Redis at %s gave SCAN an answer that is none",
					   resp_name(keys->resp));
}

/* Takes the text over, also on failure. */
static bool
add_found(ScanKeys *keys, char *text, size_t length, Failure *failure)
{
	if (keys->count == keys->capacity)
	{
		size_t	 capacity = keys->capacity * 2 + COUNT_MAX;
		ScanKey *found = realloc(keys->found, capacity * sizeof(*found));

		if (found == NULL)
		{
			free(text);
			return failure_no_memory(failure);
		}
		keys->found = found;
		keys->capacity = capacity;
	}
	keys->found[keys->count++] = (ScanKey){.text = text, .length = length};
	return true;
}

/* What of an answer is held, of what it had, and whether that is not all. */
typedef struct Answer
{
	uint64_t held;
	uint64_t bytes;
	bool	 is_cut;
} Answer;

/* Those that may have been given before, and were not. */
static bool
settle_doubts(ScanKeys *keys, Answer *answer, Failure *failure)
{
	char  *text;
	size_t length;

	if (!key_set_settle(keys->seen, failure))
		return false;
	while (key_set_next_new(keys->seen, &text, &length))
	{
		answer->held += length;
		if (!add_found(keys, text, length, failure))
			return false;
	}
	return true;
}

/* Our own markers are passed over, and what SCAN has given before.  Takes the text over. */
static bool
judge_name(ScanKeys *keys, Answer *answer, char *text, size_t length, Failure *failure)
{
	KeyVerdict verdict = KEY_IS_KNOWN;
	bool	   is_marker =
		redis_marker_is(REDIS_MARKER_UNFINISHED, text, length) || redis_marker_spare(text, length);
	bool passed = is_marker || key_set_add(keys->seen, text, length, &verdict, failure);

	/* What is held is new: asked for once more, it is known, and others have their turn. */
	if (passed && verdict == KEY_IS_NEW)
	{
		answer->held += length;
		return add_found(keys, text, length, failure);
	}
	if (verdict == KEY_IN_DOUBT)
		return passed && (!key_set_should_settle(keys->seen) || settle_doubts(keys, answer, failure));
	free(text);
	return passed;
}

static bool
receive_name(ScanKeys *keys, Answer *answer, Failure *failure)
{
	RespReply name;

	if (!resp_receive_head(keys->resp, &name, failure))
		return false;
	if (name.type != RESP_BULK)
	{
		resp_reply_free(&name);
		return no_answer(keys, failure);
	}
	answer->bytes += (uint64_t) name.integer;
	if (answer->held >= NAMES_BYTES)
	{
		answer->is_cut = true;
		return resp_skip_bulk(keys->resp, &name, failure);
	}
	if (!resp_receive_bulk(keys->resp, &name, failure))
	{
		resp_reply_free(&name);
		return false;
	}
	return judge_name(keys, answer, name.text, name.length, failure);
}

/* The head of an answer: where to go on, and how many names follow. */
static bool
receive_cursor(ScanKeys *keys, char *cursor, size_t capacity, int64_t *count, Failure *failure)
{
	RespReply reply;
	bool	  passed;

	if (!resp_receive_head(keys->resp, &reply, failure))
		return false;
	if (reply.type == RESP_ERROR)
		passed = resp_refused(keys->resp, &reply, "SCAN", REASON_DUMP, failure);
	else
		passed = (reply.type == RESP_ARRAY && reply.integer == 2) || no_answer(keys, failure);
	resp_reply_free(&reply);
	if (!passed)
		return false;
	passed = resp_receive(keys->resp, &reply, failure);
	if (passed && (reply.type != RESP_BULK || reply.length >= capacity))
		passed = no_answer(keys, failure);
	if (passed)
		strcpy(cursor, reply.text);
	resp_reply_free(&reply);
	if (!passed || !resp_receive_head(keys->resp, &reply, failure))
		return false;
	*count = reply.integer;
	passed = reply.type == RESP_ARRAY || no_answer(keys, failure);
	resp_reply_free(&reply);
	return passed;
}

/* How many names to ask for next, so that the answer is neither large nor tiny. */
static unsigned
next_count(const ScanKeys *keys, uint64_t bytes)
{
	unsigned asked_for = keys->asked_for;
	unsigned most = asked_for * 2 < COUNT_MAX ? asked_for * 2 : COUNT_MAX;
	uint64_t fits = bytes > 0 ? asked_for * keys->at_once / ANSWER_PART / bytes : most;

	return fits < 1 ? 1 : fits < most ? (unsigned) fits : most;
}

static bool
receive_names(ScanKeys *keys, Failure *failure)
{
	Answer	answer = {0};
	char	cursor[sizeof(keys->cursor)];
	int64_t count;

	if (!receive_cursor(keys, cursor, sizeof(cursor), &count, failure))
		return false;
	for (int64_t i = 0; i < count; i++)
		if (!receive_name(keys, &answer, failure))
			return false;
	keys->asked_for = next_count(keys, answer.bytes);
	if (answer.is_cut)
		return true;
	strcpy(keys->cursor, cursor);
	keys->cursor_is_done = strcmp(cursor, "0") == 0;
	return !keys->cursor_is_done || settle_doubts(keys, &answer, failure);
}

/* ---- sizes ---- */

static uint64_t
unknown_size(const ScanKeys *keys)
{
	return keys->largest_value > UNKNOWN_SIZE ? keys->largest_value : UNKNOWN_SIZE;
}

void
scan_keys_learn(ScanKeys *keys, uint64_t value_length)
{
	if (value_length > keys->largest_value)
		keys->largest_value = value_length;
}

static bool
ask_sizes(ScanKeys *keys, Failure *failure)
{
	if (!keys->tells_sizes)
		return true;
	for (size_t i = 0; i < keys->count; i++)
	{
		const RespArgument usage[] = {
			{"MEMORY", 6}, {"USAGE", 5}, {keys->found[i].text, keys->found[i].length}};

		if (!resp_queue_arguments(keys->resp, usage, 3, failure))
			return false;
	}
	if (!resp_flush(keys->resp, failure))
		return false;
	for (size_t i = 0; i < keys->count; i++)
	{
		RespReply reply;
		bool	  passed = resp_receive(keys->resp, &reply, failure);

		if (passed && reply.type == RESP_INTEGER && reply.integer > 0)
			keys->found[i].size = (uint64_t) reply.integer;
		else if (passed && reply.type == RESP_ERROR)
			keys->found[i].size = UNKNOWN_SIZE;
		resp_reply_free(&reply);
		if (!passed)
			return false;
	}
	return true;
}

/* The next answer of SCAN: keys, and what they take. */
static bool
scan_more(ScanKeys *keys, Failure *failure)
{
	char count[16];

	forget_found(keys);
	snprintf(count, sizeof(count), "%u", keys->asked_for);
	return resp_queue(keys->resp, failure, "SCAN", keys->cursor, "COUNT", count, NULL) &&
		   resp_flush(keys->resp, failure) && receive_names(keys, failure) && ask_sizes(keys, failure);
}

/* ---- batches ---- */

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
	const ScanKey *key = &keys->found[keys->next];
	char		   shown[128];

	bytes_show(shown, sizeof(shown), key->text, key->length);
	return failure_set(
		failure, REASON_DUMP,
		"key \"%s\" takes %" PRIu64 " bytes and Redis at %s has %" PRIu64
		" left below its maxmemory: to DUMP it would make the server evict keys; raise maxmemory, or "
		"let this role take a snapshot",
		shown, key->size, resp_name(keys->resp), room);
}

/* What the next key costs the server until we have read it: its value, and the commands that wait in a transaction. */
static uint64_t
cost_of_next(const ScanKeys *keys)
{
	const ScanKey *key = &keys->found[keys->next];

	return (keys->tells_sizes ? key->size : unknown_size(keys)) + COMMANDS_COST +
		   COMMANDS_NAMES * key->length;
}

bool
scan_keys_next(ScanKeys *keys, const ScanKey **batch, size_t *count, Failure *failure)
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
	bytes = cost_of_next(keys);
	if (keys->tells_sizes && bytes > room && bytes > SMALL_VALUE)
		return no_room(keys, room, failure);
	limit = room / 2 < keys->at_once ? room / 2 : keys->at_once;
	*batch = &keys->found[keys->next];
	do
	{
		*count += 1;
		keys->next++;
		bytes += keys->next < keys->count ? cost_of_next(keys) : 0;
	} while (keys->next < keys->count && *count < BATCH_MAX && bytes <= limit);
	/* Large values come rarely, or they come again. */
	keys->largest_value /= 2;
	keys->batch_began = clock_milliseconds();
	return true;
}
