/*
 * resp_meaning.c
 *	  What a server's answers mean: a time, a refusal, a lack of room.
 */
#include <stdlib.h>
#include <string.h>

#include "engines/resp.h"

bool
resp_time(const RespReply *reply, int64_t *milliseconds)
{
	if (reply->type != RESP_ARRAY || reply->count != 2 || reply->elements[0].type != RESP_BULK ||
		reply->elements[1].type != RESP_BULK)
		return false;
	*milliseconds =
		strtoll(reply->elements[0].text, NULL, 10) * 1000 + strtoll(reply->elements[1].text, NULL, 10) / 1000;
	return true;
}

bool
resp_is_error(const RespReply *reply, const char *prefix)
{
	return reply->type == RESP_ERROR && strncmp(reply->text, prefix, strlen(prefix)) == 0;
}

static bool
says(const RespReply *reply, const char *words)
{
	return reply->type == RESP_ERROR && strcasestr(reply->text, words) != NULL;
}

bool
resp_is_turned_away(const RespReply *reply)
{
	return resp_is_error(reply, "DENIED") || says(reply, "max number of clients");
}

bool
resp_is_full(const RespReply *reply)
{
	return resp_is_error(reply, "OOM");
}

bool
resp_refused(const Resp *resp, const RespReply *reply, const char *command, FailureReason otherwise,
			 Failure *failure)
{
	FailureReason reason = otherwise;

	if (resp_is_error(reply, "NOAUTH") || resp_is_error(reply, "WRONGPASS") || says(reply, "NOPERM") ||
		resp_is_error(reply, "DENIED") || says(reply, "invalid password") ||
		says(reply, "without any password"))
		reason = REASON_AUTH;
	else if (resp_is_error(reply, "LOADING") || resp_is_error(reply, "MASTERDOWN") ||
			 resp_is_error(reply, "BUSY ") || resp_is_turned_away(reply))
		reason = REASON_UNREACHABLE;
	return failure_set(failure, reason, "Redis at %s refused %s: %s", resp_name(resp), command, reply->text);
}
