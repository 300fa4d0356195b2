/*
 * redis_restore.c
 *	  An RDB file into a server, from outside and exactly.
 *
 * Opening reads the whole file once, counting (rdb_summary.h), and settles what is to be
 * done (redis_plan.h).  Then the bytes pass a second time and become pipelined
 * RESTOREs (rdb_restore.h) into the spare databases, each of which was marked first.
 * The commit is one transaction (redis_commit.h).  On the way the server is looked at
 * (redis_watch.h), and keys that have expired meanwhile are left out (redis_expiry.h).
 */
#include "engines/redis_restore.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cancel.h"
#include "engines/bytes.h"
#include "engines/rdb_payload.h"
#include "engines/rdb_restore.h"
#include "engines/redis_commit.h"
#include "engines/redis_expiry.h"
#include "engines/redis_functions.h"
#include "engines/redis_marker.h"
#include "engines/redis_plan.h"
#include "engines/redis_watch.h"

#define READ_SIZE (256 * 1024)

typedef struct Restore
{
	Sink			sink;
	EngineContext	context; /* a copy: what it points to lives as long as the job */
	RestoreOutcome *outcome;
	RedisUrl		url;
	Resp		   *resp;
	RdbSummary		summary;
	RedisPlan		plan;
	RdbReader	   *reader;
	RdbRestore	   *feed;
	Bytes			functions; /* a payload for FUNCTION RESTORE, an empty one too */
	bool			begun;
	bool			committed;
	int				selected; /* database; -1: none yet */
	size_t			pair;	  /* the one whose keys come now */
	RedisExpiry		expiry;
	RedisWatch		watch;
} Restore;

static bool
select_database(Restore *restore, int number, Failure *failure)
{
	char text[16];

	if (restore->selected == number)
		return true;
	restore->selected = number;
	snprintf(text, sizeof(text), "%d", number);
	return resp_do(restore->resp, REASON_RESTORE, failure, "SELECT", text, NULL);
}

/* coming: what the next key will take. */
static bool
look_at_server(Restore *restore, uint64_t coming, Failure *failure)
{
	return rdb_restore_drain(restore->feed, failure) && redis_watch_look(&restore->watch, coming, failure);
}

/* ---- keys ---- */

/* False: not to be restored.  *pair is where it goes. */
static bool
find_pair(Restore *restore, const RdbEntry *entry)
{
	RedisPlan *plan = &restore->plan;

	if (restore->pair < plan->pair_count && plan->pairs[restore->pair].source == entry->database)
		return true;
	for (restore->pair = 0; restore->pair < plan->pair_count; restore->pair++)
		if (plan->pairs[restore->pair].source == entry->database)
			return true;
	return false;
}

static bool
restore_entry(void *context, const RdbEntry *entry, Failure *failure)
{
	Restore	  *restore = context;
	RedisPair *pair;
	uint64_t   memory = rdb_entry_memory(entry);

	if (!find_pair(restore, entry) || redis_marker_is(REDIS_MARKER_UNFINISHED, entry->key, entry->key_length))
		return true;
	if (redis_expiry_is_over(&restore->expiry, entry))
		return true;
	if (redis_watch_is_due(&restore->watch, memory) && !look_at_server(restore, memory, failure))
		return false;
	restore->watch.added += memory;
	pair = &restore->plan.pairs[restore->pair];
	if (restore->selected != pair->spare &&
		(!rdb_restore_drain(restore->feed, failure) || !select_database(restore, pair->spare, failure)))
		return false;
	pair->sent++;
	return rdb_restore_entry(restore->feed, entry, failure);
}

/* ---- the beginning ---- */

/* *counted: the keys of the selected database. */
static bool
count_keys(Restore *restore, uint64_t *counted, Failure *failure)
{
	RespReply reply;
	bool	  passed = resp_ask(restore->resp, &reply, failure, "DBSIZE", NULL);

	if (passed && reply.type == RESP_INTEGER && reply.integer >= 0)
		*counted = (uint64_t) reply.integer;
	resp_reply_free(&reply);
	return passed;
}

/* A spare is empty and unmarked when it is taken: SET NX and a count of one say so. */
static bool
mark_spare(Restore *restore, int number, bool *marked, Failure *failure)
{
	Resp	 *resp = restore->resp;
	uint64_t  counted = 0;
	RespReply reply;
	bool	  passed;

	if (!select_database(restore, number, failure))
		return false;
	passed = resp_ask(resp, &reply, failure, "SET", REDIS_MARKER_FILLING, restore->plan.marker, "NX", NULL);
	if (passed && reply.type == RESP_ERROR)
		passed = resp_refused(resp, &reply, "SET", REASON_RESTORE, failure);
	*marked = passed && reply.type == RESP_STATUS;
	resp_reply_free(&reply);
	if (!passed || !*marked)
		return passed;
	if (!count_keys(restore, &counted, failure))
		return false;
	*marked = counted == 1;
	return *marked || resp_do(resp, REASON_RESTORE, failure, "DEL", REDIS_MARKER_FILLING, NULL);
}

/* Of those that the plan has found; one that somebody else has taken meanwhile is passed over. */
static bool
mark_spares(Restore *restore, Failure *failure)
{
	RedisPlan *plan = &restore->plan;
	size_t	   next = 0;

	for (size_t i = 0; i < plan->pair_count; i++)
	{
		bool marked = false;

		while (!marked)
		{
			if (next == plan->spare_count)
				return failure_set(failure, REASON_TARGET_BUSY,
								   "others have just taken the databases of %s that were to spare",
								   resp_name(restore->resp));
			plan->pairs[i].spare = plan->spares[next++];
			if (!mark_spare(restore, plan->pairs[i].spare, &marked, failure))
				return false;
		}
	}
	return true;
}

/* A server that was full takes the mark when it has freed what was dropped. */
static bool
receive_mark(Restore *restore, Failure *failure)
{
	RespReply reply;
	bool	  passed = resp_receive(restore->resp, &reply, failure);

	if (passed && resp_is_full(&reply))
		passed = redis_wait_for_freeing(restore->resp, restore->context.report, failure) &&
				 resp_do(restore->resp, REASON_RESTORE, failure, "SET", REDIS_MARKER_UNFINISHED,
						 restore->plan.marker, NULL);
	else if (passed && reply.type == RESP_ERROR)
		passed = resp_refused(restore->resp, &reply, "SET", REASON_RESTORE, failure);
	resp_reply_free(&reply);
	return passed;
}

/* Both commands leave together: whatever becomes of us, the database is not left empty without a mark. */
static bool
empty_in_place(Restore *restore, int number, bool will_be_filled, Failure *failure)
{
	Resp	 *resp = restore->resp;
	bool	  was_modified = restore->outcome->target_modified;
	RespReply reply;
	bool	  passed = select_database(restore, number, failure) &&
				  resp_queue(resp, failure, "FLUSHDB", "ASYNC", NULL) &&
				  (!will_be_filled ||
				   resp_queue(resp, failure, "SET", REDIS_MARKER_UNFINISHED, restore->plan.marker, NULL));

	if (!passed)
		return false;
	restore->outcome->target_modified = true;
	if (!resp_flush(resp, failure) || !resp_receive(resp, &reply, failure))
		return false;
	if (reply.type == RESP_ERROR)
	{
		restore->outcome->target_modified = was_modified;
		passed = resp_refused(resp, &reply, "FLUSHDB", REASON_RESTORE, failure);
	}
	resp_reply_free(&reply);
	return passed && (!will_be_filled || receive_mark(restore, failure));
}

static bool
begin(Restore *restore, Failure *failure)
{
	const RedisPlan *plan = &restore->plan;

	restore->begun = true;
	redis_watch_begin(&restore->watch, restore->resp, restore->context.report, plan, restore->outcome);
	if (plan->swaps)
		return mark_spares(restore, failure);
	if (!sentence_add(&restore->outcome->left_alone, failure,
					  "restored in place, so that readers saw the databases empty and filling: %s",
					  plan->why_in_place))
		return false;
	for (size_t i = 0; i < plan->emptied_count; i++)
		if (!empty_in_place(restore, plan->emptied[i], false, failure))
			return false;
	for (size_t i = 0; i < plan->pair_count; i++)
		if (!empty_in_place(restore, plan->pairs[i].target, true, failure))
			return false;
	/* What is being freed still counts against maxmemory: the server would evict what comes. */
	return redis_wait_for_freeing(restore->resp, restore->context.report, failure) &&
		   redis_watch_look(&restore->watch, 0, failure);
}

static bool
restore_write(Sink *sink, const void *bytes, size_t length, Failure *failure)
{
	Restore *restore = (Restore *) sink;

	if (!restore->begun && !begin(restore, failure))
		return false;
	return rdb_reader_feed(restore->reader, bytes, length, failure);
}

/* ---- the end ---- */

static bool
ask_count(Restore *restore, RedisPair *pair, Failure *failure)
{
	uint64_t counted = 0;

	if (!select_database(restore, pair->spare, failure) || !count_keys(restore, &counted, failure))
		return false;
	if (counted > 0)
		pair->counted = counted - 1; /* the marker */
	return true;
}

/* In place clients may have written meanwhile: each key was taken, and what they did to it is their own. */
static bool
say_difference(Restore *restore, const RedisPair *pair, uint64_t gone, Failure *failure)
{
	if (pair->counted > pair->sent)
		return sentence_add(&restore->outcome->left_alone, failure,
							"database %d holds %" PRIu64
							" keys that are not in the backup: clients wrote to it meanwhile",
							pair->target, pair->counted - pair->sent);
	return sentence_add(&restore->outcome->left_alone, failure,
						"database %d lacks %" PRIu64
						" of the keys that it was given: clients deleted them meanwhile, or the backup has "
						"keys twice",
						pair->target, pair->sent - pair->counted - gone);
}

static bool
check_count(Restore *restore, const RedisPair *pair, Failure *failure)
{
	uint64_t gone = redis_expiry_may_be_gone(&restore->expiry) + (uint64_t) restore->watch.evicted;

	if (pair->counted <= pair->sent && pair->counted + gone >= pair->sent)
		return true;
	if (!restore->plan.swaps)
		return say_difference(restore, pair, gone, failure);
	return failure_set(failure, REASON_RESTORE,
					   "%" PRIu64 " keys of database %" PRIu64
					   " were restored, and the target counts %" PRIu64 " (at most %" PRIu64
					   " can have expired)",
					   pair->sent, pair->source, pair->counted, gone);
}

/* All answers are in, and the server holds what it was sent. */
static bool
check_counts(Restore *restore, Failure *failure)
{
	RedisPlan *plan = &restore->plan;

	if (!rdb_restore_drain(restore->feed, failure))
		return false;
	for (size_t i = 0; i < plan->pair_count; i++)
		if (!ask_count(restore, &plan->pairs[i], failure))
			return false;
	/* What was evicted is looked for behind the counts, where it may have made them smaller. */
	if (!redis_watch_look(&restore->watch, 0, failure))
		return false;
	for (size_t i = 0; i < plan->pair_count; i++)
		if (!check_count(restore, &plan->pairs[i], failure))
			return false;
	return restore->watch.evicted == 0 ||
		   sentence_add(&restore->outcome->left_alone, failure,
						"%" PRId64 " keys that the target evicted while it was filled: its maxmemory is "
						"full with what the backup holds",
						restore->watch.evicted);
}

static bool
add_counts(Restore *restore, Failure *failure)
{
	json_t *counts = restore->outcome->counts;

	if (counts == NULL)
		return true;
	return json_object_set_new(counts, "expired", json_integer((json_int_t) restore->expiry.left_out)) == 0 ||
		   failure_no_memory(failure);
}

static bool
restore_commit(Sink *sink, Failure *failure)
{
	Restore	   *restore = (Restore *) sink;
	RedisCommit commit = {.context = &restore->context,
						  .url = &restore->url,
						  .resp = &restore->resp,
						  .plan = &restore->plan,
						  .functions = restore->functions.data,
						  .functions_length = restore->functions.length,
						  .outcome = restore->outcome};

	/* An empty file has brought no bytes that would have begun it; it was begun by its header. */
	if (!rdb_reader_finish(restore->reader, failure) || !check_counts(restore, failure))
		return false;
	if (!redis_commit(&commit, failure))
		return false;
	restore->committed = true;
	return add_counts(restore, failure);
}

/* What was put into spare databases goes; a connection in the middle of a reply is of no more use. */
static void
undo(Restore *restore)
{
	Failure ignored = {0};
	Resp   *resp = resp_open(&restore->url, restore->context.settings, REDIS_FINISHES, &ignored);

	if (resp == NULL)
		return;
	redis_sweep_spares(resp, &restore->plan);
	resp_close(resp);
}

static void
restore_close(Sink *sink)
{
	Restore *restore = (Restore *) sink;

	resp_close(restore->resp);
	if (restore->begun && !restore->committed && restore->plan.swaps)
		undo(restore);
	rdb_reader_close(restore->reader);
	rdb_restore_close(restore->feed);
	rdb_summary_free(&restore->summary);
	redis_plan_free(&restore->plan);
	redis_url_free(&restore->url);
	bytes_free(&restore->functions);
	redis_expiry_close(&restore->expiry);
	free(restore);
}

/* ---- opening ---- */

/* What is in the file, and its functions. */
static bool
look_inside(Restore *restore, const Dump *dump, Failure *failure)
{
	DumpStream *stream = dump_open(dump, failure);
	RdbReader  *reader = rdb_reader_open(&rdb_summary_handler, &restore->summary, REASON_INTEGRITY, failure);
	char	   *buffer = malloc(READ_SIZE);
	size_t		length = 1;
	bool		passed = stream != NULL && reader != NULL && (buffer != NULL || failure_no_memory(failure));

	restore->summary.libraries = &restore->functions;
	while (passed && length > 0)
	{
		passed = dump_read(stream, buffer, READ_SIZE, &length, failure) &&
				 rdb_reader_feed(reader, buffer, length, failure);
		report_alive(restore->context.report, "looking into the backup");
		if (passed && cancel_requested())
			passed = cancel_failure(failure);
	}
	passed = passed && rdb_reader_finish(reader, failure);
	if (passed)
		restore->summary.version = rdb_reader_version(reader);
	rdb_reader_close(reader);
	if (stream != NULL)
		dump_close(stream);
	free(buffer);
	return passed;
}

/* A payload has the footer of a value. */
static bool
finish_functions(Restore *restore, Failure *failure)
{
	unsigned char footer[RDB_FOOTER_SIZE];

	rdb_footer(footer, restore->summary.version, restore->functions.data, restore->functions.length);
	return bytes_append(&restore->functions, footer, sizeof(footer), failure);
}

static bool
settle(Restore *restore, Failure *failure)
{
	RedisPlanning planning = {.context = &restore->context,
							  .url = &restore->url,
							  .resp = restore->resp,
							  .summary = &restore->summary,
							  .outcome = restore->outcome};
	bool		  settled = redis_plan(&planning, &restore->plan, failure);

	redis_server_free(&planning.server);
	free(planning.clients);
	return settled && (!restore->plan.restores_functions || restore->summary.functions == 0 ||
					   redis_functions_try(restore->resp, &restore->functions, restore->outcome, failure));
}

Sink *
redis_restore_open(const EngineContext *context, const Dump *dump, RestoreOutcome *outcome, Failure *failure)
{
	const RdbHandler handler = {.cut_values = true, .entry = restore_entry};
	Restore			*restore = calloc(1, sizeof(*restore));

	if (restore == NULL)
	{
		failure_no_memory(failure);
		return NULL;
	}
	restore->sink = (Sink){.write = restore_write, .commit = restore_commit, .close = restore_close};
	restore->context = *context;
	restore->outcome = outcome;
	restore->selected = -1;
	if (redis_url_parse(context->url->text, context->url->length, &restore->url, failure) &&
		look_inside(restore, dump, failure) && finish_functions(restore, failure) &&
		(restore->resp = resp_open(&restore->url, context->settings, REDIS_HEEDS_CANCEL, failure)) != NULL &&
		settle(restore, failure) && redis_expiry_open(&restore->expiry, restore->resp, failure) &&
		(restore->reader = rdb_reader_open(&handler, restore, REASON_INTEGRITY, failure)) != NULL &&
		(restore->feed = rdb_restore_open(restore->resp, restore->summary.version, failure)) != NULL)
		return &restore->sink;
	restore_close(&restore->sink);
	return NULL;
}
