/*
 * resp.c
 *	  Commands into a buffer, replies out of another.
 */
#include "engines/resp.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "engines/bytes.h"

#define INPUT_SIZE		(64 * 1024)
#define LINE_MAX_LENGTH (64 * 1024)
#define SEND_AT			(256 * 1024)
#define REPLY_WAIT_MS	120000

/* What a reply that is held whole may be at most, all its parts together; nothing that we ask for comes near. */
#define REPLY_MAX (INT64_C(256) << 20)
#define DEPTH_MAX 4

struct Resp
{
	RedisConnection *connection;
	Bytes			 out;
	size_t			 at; /* of what is unread in input */
	size_t			 end;
	unsigned char	 input[INPUT_SIZE];
};

static bool
malformed(const Resp *resp, Failure *failure)
{
	return failure_set(failure, REASON_UNREACHABLE, "what answers at %s does not speak Redis' protocol",
					   resp_name(resp));
}

const char *
resp_name(const Resp *resp)
{
	return redis_connection_name(resp->connection);
}

void
resp_explain_loss(Resp *resp, const char *explanation)
{
	redis_connection_explain_loss(resp->connection, explanation);
}

/* ---- out ---- */

static bool
queue_number(Resp *resp, char kind, size_t number, Failure *failure)
{
	char text[32];

	return bytes_append(&resp->out, text, (size_t) snprintf(text, sizeof(text), "%c%zu\r\n", kind, number),
						failure);
}

bool
resp_queue_arguments(Resp *resp, const RespArgument *arguments, size_t count, Failure *failure)
{
	if (!queue_number(resp, '*', count, failure))
		return false;
	for (size_t i = 0; i < count; i++)
		if (!queue_number(resp, '$', arguments[i].length, failure) ||
			!resp_queue_raw(resp, arguments[i].bytes, arguments[i].length, failure) ||
			!resp_queue_raw(resp, "\r\n", 2, failure))
			return false;
	return true;
}

static bool
queue_words(Resp *resp, va_list words, Failure *failure)
{
	RespArgument arguments[16];
	size_t		 count = 0;
	const char	*word;

	while ((word = va_arg(words, const char *)) != NULL && count < sizeof(arguments) / sizeof(arguments[0]))
		arguments[count++] = (RespArgument){word, strlen(word)};
	return resp_queue_arguments(resp, arguments, count, failure);
}

bool
resp_queue(Resp *resp, Failure *failure, ...)
{
	va_list words;
	bool	queued;

	va_start(words, failure);
	queued = queue_words(resp, words, failure);
	va_end(words);
	return queued;
}

bool
resp_queue_raw(Resp *resp, const void *bytes, size_t length, Failure *failure)
{
	/* A large piece is sent from where it lies, not copied. */
	if (length >= SEND_AT)
		return resp_flush(resp, failure) && redis_connection_send(resp->connection, bytes, length, failure);
	return bytes_append(&resp->out, bytes, length, failure) &&
		   (resp->out.length < SEND_AT || resp_flush(resp, failure));
}

bool
resp_flush(Resp *resp, Failure *failure)
{
	bool sent = redis_connection_send(resp->connection, resp->out.data, resp->out.length, failure);

	resp->out.length = 0;
	return sent;
}

/* ---- in ---- */

static bool
fill(Resp *resp, Failure *failure)
{
	size_t length;

	if (resp->at < resp->end)
		return true;
	if (!redis_connection_receive(resp->connection, resp->input, INPUT_SIZE, &length, REPLY_WAIT_MS, NULL,
								  failure))
		return false;
	if (length == 0)
		return redis_connection_lost(resp->connection, failure);
	resp->at = 0;
	resp->end = length;
	return true;
}

bool
resp_read_some(Resp *resp, void *buffer, size_t capacity, size_t *length, int wait_ms, bool *timed_out,
			   Failure *failure)
{
	*timed_out = false;
	if (resp->at == resp->end)
		return redis_connection_receive(resp->connection, buffer, capacity, length, wait_ms, timed_out,
										failure);
	*length = resp->end - resp->at < capacity ? resp->end - resp->at : capacity;
	memcpy(buffer, resp->input + resp->at, *length);
	resp->at += *length;
	return true;
}

bool
resp_read_exactly(Resp *resp, void *buffer, size_t length, Failure *failure)
{
	char *at = buffer;

	while (length > 0)
	{
		size_t some;
		bool   timed_out;

		if (!resp_read_some(resp, at, length, &some, REPLY_WAIT_MS, &timed_out, failure))
			return false;
		if (timed_out)
			return failure_set(failure, REASON_UNREACHABLE,
							   "Redis at %s has stopped in the middle of an answer", resp_name(resp));
		if (some == 0)
			return redis_connection_lost(resp->connection, failure);
		at += some;
		length -= some;
	}
	return true;
}

/* A line without its CR LF; *line is malloc'ed. */
static bool
read_line(Resp *resp, Bytes *line, Failure *failure)
{
	for (;;)
	{
		unsigned char *newline;
		size_t		   length;

		if (!fill(resp, failure))
			return false;
		newline = memchr(resp->input + resp->at, '\n', resp->end - resp->at);
		length = (newline != NULL ? (size_t) (newline - resp->input) + 1 : resp->end) - resp->at;
		if (!bytes_append(line, resp->input + resp->at, length, failure))
			return false;
		resp->at += length;
		if (newline != NULL)
			break;
		if (line->length > LINE_MAX_LENGTH)
			return malformed(resp, failure);
	}
	if (line->length < 2 || line->data[line->length - 2] != '\r')
		return malformed(resp, failure);
	line->length -= 2;
	line->data[line->length] = '\0';
	return true;
}

static bool
parse_integer(const Resp *resp, const char *text, int64_t *integer, Failure *failure)
{
	char *end;

	*integer = strtoll(text, &end, 10);
	return (end != text && *end == '\0') || malformed(resp, failure);
}

/* The first line of a reply, without what follows it.  Takes the line's text over where it is the content. */
bool
resp_receive_head(Resp *resp, RespReply *reply, Failure *failure)
{
	Bytes line = {0};
	bool  passed = read_line(resp, &line, failure);

	*reply = (RespReply){.type = RESP_NIL};
	if (passed && line.length == 0)
		passed = malformed(resp, failure);
	if (!passed)
	{
		bytes_free(&line);
		return false;
	}
	switch (line.data[0])
	{
		case '+':
		case '-':
			reply->type = line.data[0] == '+' ? RESP_STATUS : RESP_ERROR;
			reply->length = line.length - 1;
			memmove(line.data, line.data + 1, line.length);
			reply->text = (char *) line.data;
			return true;
		case ':':
			reply->type = RESP_INTEGER;
			break;
		case '$':
			reply->type = RESP_BULK;
			break;
		case '*':
			reply->type = RESP_ARRAY;
			break;
		default:
			bytes_free(&line);
			return malformed(resp, failure);
	}
	passed = parse_integer(resp, (char *) line.data + 1, &reply->integer, failure);
	bytes_free(&line);
	if (reply->type != RESP_INTEGER && reply->integer < 0)
		reply->type = RESP_NIL;
	return passed;
}

bool
resp_end_bulk(Resp *resp, Failure *failure)
{
	char end[2];

	return resp_read_exactly(resp, end, 2, failure) &&
		   ((end[0] == '\r' && end[1] == '\n') || malformed(resp, failure));
}

/* Before anything is allocated: a server that lies, or a customer's that never ends, costs no more than this. */
static bool
spend(const Resp *resp, int64_t *budget, int64_t count, size_t size, Failure *failure)
{
	if (count > *budget / (int64_t) size)
		return failure_set(failure, REASON_UNREACHABLE,
						   "Redis at %s answers with more than %" PRId64 " MiB at once", resp_name(resp),
						   REPLY_MAX >> 20);
	*budget -= count * (int64_t) size;
	return true;
}

static bool
receive_bulk(Resp *resp, RespReply *reply, int64_t *budget, Failure *failure)
{
	if (!spend(resp, budget, reply->integer, 1, failure))
		return false;
	reply->length = (size_t) reply->integer;
	reply->text = malloc(reply->length + 1);
	if (reply->text == NULL)
		return failure_no_memory(failure);
	reply->text[reply->length] = '\0';
	return resp_read_exactly(resp, reply->text, reply->length, failure) && resp_end_bulk(resp, failure);
}

bool
resp_receive_bulk(Resp *resp, RespReply *head, Failure *failure)
{
	int64_t budget = REPLY_MAX;

	return receive_bulk(resp, head, &budget, failure);
}

bool
resp_skip_bulk(Resp *resp, const RespReply *head, Failure *failure)
{
	for (uint64_t left = (uint64_t) head->integer; left > 0;)
	{
		size_t some;

		if (!fill(resp, failure))
			return false;
		some = resp->end - resp->at < left ? resp->end - resp->at : (size_t) left;
		resp->at += some;
		left -= some;
	}
	return resp_end_bulk(resp, failure);
}

static bool receive(Resp *resp, RespReply *reply, int depth, int64_t *budget, Failure *failure);

static bool
receive_array(Resp *resp, RespReply *reply, int depth, int64_t *budget, Failure *failure)
{
	size_t count = (size_t) reply->integer;

	if (depth >= DEPTH_MAX)
		return malformed(resp, failure);
	if (!spend(resp, budget, reply->integer, sizeof(*reply->elements), failure))
		return false;
	reply->elements = calloc(count > 0 ? count : 1, sizeof(*reply->elements));
	if (reply->elements == NULL)
		return failure_no_memory(failure);
	for (; reply->count < count; reply->count++)
		if (!receive(resp, &reply->elements[reply->count], depth + 1, budget, failure))
		{
			reply->count++;
			return false;
		}
	return true;
}

static bool
receive(Resp *resp, RespReply *reply, int depth, int64_t *budget, Failure *failure)
{
	if (!resp_receive_head(resp, reply, failure))
		return false;
	if (reply->type == RESP_BULK)
		return receive_bulk(resp, reply, budget, failure);
	if (reply->type == RESP_ARRAY)
		return receive_array(resp, reply, depth, budget, failure);
	return true;
}

bool
resp_receive(Resp *resp, RespReply *reply, Failure *failure)
{
	int64_t budget = REPLY_MAX;

	return receive(resp, reply, 0, &budget, failure);
}

void
resp_reply_free(RespReply *reply)
{
	for (size_t i = 0; i < reply->count; i++)
		resp_reply_free(&reply->elements[i]);
	free(reply->elements);
	free(reply->text);
	*reply = (RespReply){.type = RESP_NIL};
}

/* ---- together ---- */

static bool
ask_words(Resp *resp, RespReply *reply, va_list words, Failure *failure)
{
	*reply = (RespReply){.type = RESP_NIL};
	return queue_words(resp, words, failure) && resp_flush(resp, failure) &&
		   resp_receive(resp, reply, failure);
}

bool
resp_ask(Resp *resp, RespReply *reply, Failure *failure, ...)
{
	va_list words;
	bool	passed;

	va_start(words, failure);
	passed = ask_words(resp, reply, words, failure);
	va_end(words);
	return passed;
}

bool
resp_do(Resp *resp, FailureReason reason, Failure *failure, ...)
{
	RespReply reply;
	va_list	  words;
	va_list	  again;
	bool	  passed;

	va_start(words, failure);
	va_copy(again, words);
	passed = ask_words(resp, &reply, words, failure);
	if (passed && reply.type == RESP_ERROR)
		passed = resp_refused(resp, &reply, va_arg(again, const char *), reason, failure);
	va_end(again);
	va_end(words);
	resp_reply_free(&reply);
	return passed;
}

static bool
authenticate(Resp *resp, const RedisUrl *url, Failure *failure)
{
	RespArgument arguments[3] = {{"AUTH", 4}};
	size_t		 count = 1;
	RespReply	 reply = {.type = RESP_NIL};
	bool		 passed;

	if (url->password.text == NULL)
		return true;
	/* Servers before 6 know no users: the default one is what they mean by a password. */
	if (url->user != NULL && strcmp(url->user, "default") != 0)
		arguments[count++] = (RespArgument){url->user, strlen(url->user)};
	arguments[count++] = (RespArgument){url->password.text, url->password.length};
	passed = resp_queue_arguments(resp, arguments, count, failure) && resp_flush(resp, failure);
	/* The password does not stay behind in the buffer. */
	if (resp->out.data != NULL)
		explicit_bzero(resp->out.data, resp->out.capacity);
	passed = passed && resp_receive(resp, &reply, failure);
	if (passed && reply.type == RESP_ERROR)
		passed = resp_refused(resp, &reply, "AUTH", REASON_AUTH, failure);
	resp_reply_free(&reply);
	return passed;
}

Resp *
resp_open(const RedisUrl *url, const Settings *settings, RedisPatience patience, Failure *failure)
{
	Resp *resp = calloc(1, sizeof(*resp));

	if (resp == NULL)
	{
		failure_no_memory(failure);
		return NULL;
	}
	resp->connection = redis_connection_open(url, settings, patience, failure);
	if (resp->connection != NULL && authenticate(resp, url, failure))
		return resp;
	resp_close(resp);
	return NULL;
}

void
resp_close(Resp *resp)
{
	if (resp == NULL)
		return;
	redis_connection_close(resp->connection);
	bytes_free(&resp->out);
	free(resp);
}
