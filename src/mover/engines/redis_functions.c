/*
 * redis_functions.c
 *	  Libraries of functions, loaded on trial.
 */
#include "engines/redis_functions.h"

static bool
queue_restore(Resp *resp, const void *payload, size_t length, Failure *failure)
{
	const RespArgument arguments[] = {{"FUNCTION", 8}, {"RESTORE", 7}, {payload, length}, {"FLUSH", 5}};

	return resp_queue_arguments(resp, arguments, 4, failure);
}

/* The answers to MULTI and to both commands.  *full: the server has no room to queue them. */
static bool
receive_queued(Resp *resp, bool *full, Failure *failure)
{
	*full = false;
	for (int i = 0; i < 3; i++)
	{
		RespReply reply;
		bool	  passed = resp_receive(resp, &reply, failure);

		if (passed && resp_is_full(&reply))
			*full = true;
		else if (passed && reply.type == RESP_ERROR)
			passed = resp_refused(resp, &reply, "FUNCTION RESTORE", REASON_RESTORE, failure);
		resp_reply_free(&reply);
		if (!passed)
			return false;
	}
	return true;
}

static bool
judge(Resp *resp, const RespReply *results, RestoreOutcome *outcome, Failure *failure)
{
	if (results->type == RESP_ERROR)
		return resp_refused(resp, results, "EXEC", REASON_RESTORE, failure);
	for (size_t i = 0; i < results->count; i++)
	{
		if (results->elements[i].type != RESP_ERROR)
			continue;
		/* The backup's were loaded, the server's own not again. */
		outcome->target_modified = i > 0;
		return resp_refused(resp, &results->elements[i],
							i > 0 ? "FUNCTION RESTORE of the target's own functions, after those of the "
									"backup were tried"
								  : "FUNCTION RESTORE of the backup's functions",
							i > 0 ? REASON_RESTORE : REASON_NOT_RESTORABLE, failure);
	}
	return true;
}

static bool
try_between(Resp *resp, const Bytes *payload, const RespReply *own, RestoreOutcome *outcome, Failure *failure)
{
	RespReply results = {.type = RESP_NIL};
	bool	  full;
	bool	  passed = resp_queue(resp, failure, "MULTI", NULL) &&
				  queue_restore(resp, payload->data, payload->length, failure) &&
				  queue_restore(resp, own->text, own->length, failure) &&
				  resp_queue(resp, failure, "EXEC", NULL) && resp_flush(resp, failure) &&
				  receive_queued(resp, &full, failure) && resp_receive(resp, &results, failure) &&
				  (full || judge(resp, &results, outcome, failure));

	resp_reply_free(&results);
	return passed;
}

bool
redis_functions_try(Resp *resp, const Bytes *payload, RestoreOutcome *outcome, Failure *failure)
{
	RespReply own;
	bool	  passed = resp_ask(resp, &own, failure, "FUNCTION", "DUMP", NULL);

	if (passed && own.type == RESP_BULK)
		passed = try_between(resp, payload, &own, outcome, failure);
	resp_reply_free(&own);
	return passed;
}
