/*
 * redis_commit.c
 *	  The last transaction, and what became of it when its answer is lost.
 */
#include "engines/redis_commit.h"

#include <stdio.h>
#include <string.h>

#include "engines/redis_marker.h"

typedef enum Verdict
{
	VERDICT_COMMITTED,
	VERDICT_UNTOUCHED,
	VERDICT_UNKNOWN
} Verdict;

static const char *
number_text(int number)
{
	static char texts[4][16];
	static int	next;
	char	   *text = texts[next++ % 4];

	snprintf(text, sizeof(texts[0]), "%d", number);
	return text;
}

/* Does this key of the selected database hold our mark? */
static bool
holds_mark(Resp *resp, const char *key, const RedisPlan *plan, bool *holds, Failure *failure)
{
	RespReply reply;
	bool	  passed = resp_ask(resp, &reply, failure, "GET", key, NULL);

	*holds = passed && reply.type == RESP_BULK && strcmp(reply.text, plan->marker) == 0;
	resp_reply_free(&reply);
	return passed;
}

void
redis_sweep_spares(Resp *resp, const RedisPlan *plan)
{
	Failure ignored = {0};

	for (size_t i = 0; plan->swaps && i < plan->pair_count; i++)
	{
		bool filling = false;
		bool replaced = false;

		if (!resp_do(resp, REASON_RESTORE, &ignored, "SELECT", number_text(plan->pairs[i].spare), NULL) ||
			!holds_mark(resp, REDIS_MARKER_FILLING, plan, &filling, &ignored) ||
			!holds_mark(resp, REDIS_MARKER_REPLACED, plan, &replaced, &ignored))
			return;
		if ((filling || replaced) && !resp_do(resp, REASON_RESTORE, &ignored, "FLUSHDB", "ASYNC", NULL))
			return;
	}
}

/* One that was empty may have become another restore's spare: its mark would be in the way of ours. */
static bool
watch_target(Resp *resp, int target, Failure *failure)
{
	RespReply reply;
	bool	  passed;

	if (!resp_do(resp, REASON_RESTORE, failure, "SELECT", number_text(target), NULL) ||
		!resp_do(resp, REASON_RESTORE, failure, "WATCH", REDIS_MARKER_FILLING, NULL))
		return false;
	passed = resp_ask(resp, &reply, failure, "GET", REDIS_MARKER_FILLING, NULL) &&
			 (reply.type == RESP_NIL ||
			  failure_set(failure, REASON_TARGET_BUSY,
						  "another restore has taken database %d of %s as a spare one meanwhile", target,
						  resp_name(resp)));
	resp_reply_free(&reply);
	return passed;
}

/* From here on a sweep of our spares, or anybody in them, makes EXEC void. */
static bool
watch_marks(const RedisCommit *commit, Failure *failure)
{
	Resp *resp = *commit->resp;

	for (size_t i = 0; i < commit->plan->pair_count; i++)
	{
		const RedisPair *pair = &commit->plan->pairs[i];
		bool			 holds;

		if (!resp_do(resp, REASON_RESTORE, failure, "SELECT", number_text(pair->spare), NULL) ||
			!resp_do(resp, REASON_RESTORE, failure, "WATCH", REDIS_MARKER_FILLING, NULL) ||
			!holds_mark(resp, REDIS_MARKER_FILLING, commit->plan, &holds, failure))
			return false;
		if (!holds)
			return failure_set(
				failure, REASON_TARGET_BUSY,
				"database %d of %s lost its mark while it was being filled: another restore has swept it",
				pair->spare, resp_name(resp));
		if (!watch_target(resp, pair->target, failure))
			return false;
	}
	return true;
}

/* ---- the transaction ---- */

static bool
queue_functions(const RedisCommit *commit, size_t *queued, Failure *failure)
{
	const RespArgument arguments[] = {
		{"FUNCTION", 8}, {"RESTORE", 7}, {commit->functions, commit->functions_length}, {"FLUSH", 5}};

	if (!commit->plan->restores_functions)
		return true;
	*queued += 1;
	return resp_queue_arguments(*commit->resp, arguments, 4, failure);
}

static bool
queue_pair(Resp *resp, const RedisPair *pair, size_t *queued, Failure *failure)
{
	*queued += 5;
	return resp_queue(resp, failure, "SELECT", number_text(pair->spare), NULL) &&
		   resp_queue(resp, failure, "MOVE", REDIS_MARKER_FILLING, number_text(pair->target), NULL) &&
		   resp_queue(resp, failure, "SELECT", number_text(pair->target), NULL) &&
		   resp_queue(resp, failure, "RENAME", REDIS_MARKER_FILLING, REDIS_MARKER_REPLACED, NULL) &&
		   resp_queue(resp, failure, "SWAPDB", number_text(pair->target), number_text(pair->spare), NULL);
}

static bool
queue_transaction(const RedisCommit *commit, size_t *queued, Failure *failure)
{
	const RedisPlan *plan = commit->plan;
	Resp			*resp = *commit->resp;

	*queued = 0;
	if (!resp_queue(resp, failure, "MULTI", NULL) || !queue_functions(commit, queued, failure))
		return false;
	for (size_t i = 0; i < plan->pair_count; i++)
		if (!queue_pair(resp, &plan->pairs[i], queued, failure))
			return false;
	for (size_t i = 0; i < plan->emptied_count; i++)
	{
		*queued += 2;
		if (!resp_queue(resp, failure, "SELECT", number_text(plan->emptied[i]), NULL) ||
			!resp_queue(resp, failure, "FLUSHDB", "ASYNC", NULL))
			return false;
	}
	return resp_flush(resp, failure);
}

/* The answers to MULTI and to each command: anything but QUEUED, and nothing will be done. */
static bool
receive_queued(const RedisCommit *commit, size_t queued, Failure *failure)
{
	bool passed = true;

	for (size_t i = 0; passed && i <= queued; i++)
	{
		RespReply reply;

		passed = resp_receive(*commit->resp, &reply, failure);
		if (passed && reply.type == RESP_ERROR)
			passed = resp_refused(*commit->resp, &reply, "the closing transaction", REASON_RESTORE, failure);
		resp_reply_free(&reply);
	}
	return passed;
}

/* A command that failed inside has not undone the others. */
static bool
judge_results(const RedisCommit *commit, const RespReply *results, Failure *failure)
{
	if (results->type == RESP_NIL)
		return failure_set(
			failure, REASON_TARGET_BUSY,
			"the closing transaction was void: somebody has changed the databases that it was to swap; "
			"nothing live was changed");
	if (results->type == RESP_ERROR)
		return resp_refused(*commit->resp, results, "EXEC", REASON_RESTORE, failure);
	commit->outcome->target_modified = true;
	for (size_t i = 0; i < results->count; i++)
	{
		const RespReply *result = &results->elements[i];

		if (result->type == RESP_ERROR)
			return resp_refused(*commit->resp, result, "a command of the closing transaction", REASON_RESTORE,
								failure);
	}
	return true;
}

/* ---- when the answer was lost ---- */

/*
 * A new connection's view.  Taking the "filling" mark away settles it: from then on
 * the transaction is void, however late it arrives; and a mark that is gone was swapped.
 */
static Verdict
find_out(const RedisCommit *commit)
{
	const RedisPlan *plan = commit->plan;
	Failure			 ignored = {0};
	RespReply		 reply = {.type = RESP_NIL};
	Verdict			 verdict = VERDICT_UNKNOWN;
	bool			 replaced;
	Resp			*resp;

	if (plan->pair_count == 0)
		return VERDICT_UNKNOWN;
	resp = resp_open(commit->url, commit->context->settings, REDIS_FINISHES, &ignored);
	if (resp == NULL)
		return VERDICT_UNKNOWN;
	resp_close(*commit->resp);
	*commit->resp = resp;
	if (!resp_do(resp, REASON_RESTORE, &ignored, "SELECT", number_text(plan->pairs[0].spare), NULL) ||
		!holds_mark(resp, REDIS_MARKER_REPLACED, plan, &replaced, &ignored))
		return VERDICT_UNKNOWN;
	if (replaced)
		return VERDICT_COMMITTED;
	if (resp_ask(resp, &reply, &ignored, "DEL", REDIS_MARKER_FILLING, NULL) && reply.type == RESP_INTEGER)
	{
		verdict = reply.integer == 1 ? VERDICT_UNTOUCHED : VERDICT_COMMITTED;
		/* Without its mark nobody else would find it. */
		if (reply.integer == 1)
			resp_do(resp, REASON_RESTORE, &ignored, "FLUSHDB", "ASYNC", NULL);
	}
	resp_reply_free(&reply);
	return verdict;
}

static bool
lost_answer(const RedisCommit *commit, const Failure *loss, Failure *failure)
{
	switch (find_out(commit))
	{
		case VERDICT_COMMITTED:
			commit->outcome->target_modified = true;
			return true;
		case VERDICT_UNTOUCHED:
			return failure_set(failure, loss->reason,
							   "the closing transaction did not arrive, nothing live was changed: %s",
							   loss->detail);
		case VERDICT_UNKNOWN:
			break;
	}
	commit->outcome->target_modified = true;
	return failure_set(
		failure, REASON_LOST_COMMIT,
		"the connection was lost while the closing transaction ran, and the server does not tell whether it "
		"did: %s",
		loss->detail);
}

static bool
execute(const RedisCommit *commit, Failure *failure)
{
	Failure	  loss = {0};
	RespReply results = {.type = RESP_NIL};
	bool	  passed;

	if (resp_ask(*commit->resp, &results, &loss, "EXEC", NULL))
		passed = judge_results(commit, &results, failure);
	else
		passed = lost_answer(commit, &loss, failure);
	resp_reply_free(&results);
	return passed;
}

/* What was live before goes; where that fails, the next restore sweeps it. */
static bool
drop_replaced(const RedisCommit *commit, Failure *failure)
{
	Failure			 ignored = {0};
	const RedisPlan *plan = commit->plan;

	for (size_t i = 0; i < plan->pair_count; i++)
		if (!resp_do(*commit->resp, REASON_RESTORE, &ignored, "SELECT", number_text(plan->pairs[i].spare),
					 NULL) ||
			!resp_do(*commit->resp, REASON_RESTORE, &ignored, "FLUSHDB", "ASYNC", NULL))
			return sentence_add(
				&commit->outcome->left_alone, failure,
				"database %d still holds what was in database %d before; the next restore removes it: %s",
				plan->pairs[i].spare, plan->pairs[i].target, ignored.detail);
	return true;
}

/* ---- in place ---- */

/* No transaction: there is nothing to be seen at once, and a full server refuses one. */
static bool
finish_in_place(const RedisCommit *commit, Failure *failure)
{
	Resp	 *resp = *commit->resp;
	RespReply reply = {.type = RESP_NIL};
	size_t	  queued = 0;
	bool	  passed = queue_functions(commit, &queued, failure) && resp_flush(resp, failure) &&
				  (queued == 0 || resp_receive(resp, &reply, failure));

	if (passed && reply.type == RESP_ERROR)
		passed = resp_refused(resp, &reply, "FUNCTION RESTORE", REASON_RESTORE, failure);
	resp_reply_free(&reply);
	/* The marks last: until then a backup says that this is not done. */
	for (size_t i = 0; passed && i < commit->plan->pair_count; i++)
		passed = resp_do(resp, REASON_RESTORE, failure, "SELECT", number_text(commit->plan->pairs[i].target),
						 NULL) &&
				 resp_do(resp, REASON_RESTORE, failure, "DEL", REDIS_MARKER_UNFINISHED, NULL);
	return passed;
}

/* Done twice it is the same, so a connection that was lost is simply opened again. */
static bool
commit_in_place(const RedisCommit *commit, Failure *failure)
{
	Failure loss = {0};
	Resp   *resp;

	if (finish_in_place(commit, &loss))
		return true;
	if (loss.reason != REASON_UNREACHABLE)
		return failure_set(failure, loss.reason, "%s", loss.detail);
	resp = resp_open(commit->url, commit->context->settings, REDIS_FINISHES, failure);
	if (resp == NULL)
		return false;
	resp_close(*commit->resp);
	*commit->resp = resp;
	return finish_in_place(commit, failure);
}

bool
redis_commit(RedisCommit *commit, Failure *failure)
{
	size_t queued;

	if (!commit->plan->swaps)
		return commit_in_place(commit, failure);
	return watch_marks(commit, failure) && queue_transaction(commit, &queued, failure) &&
		   receive_queued(commit, queued, failure) && execute(commit, failure) &&
		   drop_replaced(commit, failure);
}
