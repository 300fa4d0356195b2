/*
 * mongodb_restore.c
 *	  The sink of a restore: beside, then rename (mongodb_plan.h).
 *
 *	  open		the archive's table is read, the target asked and marked (mongodb_marker.h);
 *				what an unfinished restore has left beside is swept
 *	  write		mongorestore puts the collections beside: the target is as it was
 *	  commit	each takes its place, one by one (mongodb_commit.h)
 *
 * A restore that ends within its commit leaves some collections new and some old, each
 * of them whole; the next restore finishes, for it replaces all.
 */
#include "engines/mongodb.h"

#include <stdlib.h>

#include "engines/mongodb_collections.h"
#include "engines/mongodb_commit.h"
#include "engines/mongodb_connect.h"
#include "engines/mongodb_mongorestore.h"
#include "engines/mongodb_plan.h"
#include "engines/mongodb_tools.h"
#include "engines/mongodb_url.h"

typedef struct Restore
{
	Sink			sink;
	EngineContext	context;
	Dump			dump;
	RestoreOutcome *outcome;
	MongodbUrl		url;
	MongodbSession	session;
	MongodbPlan		plan;
	Mongorestore	mongorestore;
	MongodbArchive *given; /* reads the archive as it comes: how many documents are they? */
	MongodbCommit	commit;
	bool			begun;	/* mongorestore was started */
	bool			again;	/* it met a document twice: all goes beside once more, in the end */
	size_t			marked; /* so many of the plan's databases bear our mark */
} Restore;

static bool
sweep(Restore *restore, bool markers_too, Failure *failure)
{
	for (size_t i = 0; i < restore->plan.pair_count; i++)
	{
		const MongodbPair *pair = &restore->plan.pairs[i];

		if (!mongodb_sweep(&restore->session, pair->target, pair->mark.tag, markers_too, failure))
			return false;
	}
	return true;
}

/* The first pass reads the archive as it comes. */
static bool
start_first_pass(Restore *restore, Failure *failure)
{
	MongodbPass pass = restore->plan.why_in_place != NULL ? MONGODB_PASS_IN_PLACE : MONGODB_PASS_BESIDE;

	restore->begun = true;
	if (pass == MONGODB_PASS_IN_PLACE)
	{
		restore->plan.replacing = true;
		if (!mongodb_commit_renew(&restore->commit, failure) ||
			!mongodb_commit_drop_functions(&restore->commit, failure))
			return false;
		restore->outcome->target_modified = true;
	}
	return mongorestore_start(&restore->mongorestore, &restore->plan, pass, failure);
}

/* The first pass has failed: would another one that knows of duplicates do?  A validator must not be what it passes over. */
static bool
is_worth_another(Restore *restore, const Failure *attempt, Failure *failure)
{
	const MongodbPlan *plan = &restore->plan;

	restore->again = attempt->reason == REASON_RESTORE && plan->why_in_place == NULL &&
					 (!plan->validated || plan->bypasses) &&
					 mongorestore_met_duplicates(&restore->mongorestore);
	return restore->again || failure_set(failure, attempt->reason, "%s", attempt->detail);
}

static bool
restore_write(Sink *sink, const void *bytes, size_t length, Failure *failure)
{
	Restore *restore = (Restore *) sink;
	Failure	 attempt = {0};

	if (!mongodb_archive_feed(restore->given, bytes, length, failure))
		return false;
	/* In place is chosen only where there is something to rename. */
	if (restore->plan.beside == 0 || restore->again)
		return true;
	if (!restore->begun && !start_first_pass(restore, failure))
		return false;
	return mongorestore_write(&restore->mongorestore, bytes, length, &attempt) ||
		   is_worth_another(restore, &attempt, failure);
}

static bool
restore_commit(Sink *sink, Failure *failure)
{
	Restore *restore = (Restore *) sink;
	Failure	 ignored = {0};
	Failure	 attempt = {0};

	if (restore->begun && !restore->again)
	{
		mongorestore_expect(&restore->mongorestore, &restore->plan, restore->given);
		if (!mongorestore_finish(&restore->mongorestore, &attempt) &&
			!is_worth_another(restore, &attempt, failure))
			return false;
	}
	if (restore->again &&
		(!sweep(restore, false, failure) || !mongodb_commit_duplicates(&restore->commit, failure)))
		return false;
	/* From here on half of it would be worse than all, whatever is signalled. */
	restore->session.finishes = true;
	if (!mongodb_commit(&restore->commit, failure))
		return false;
	/* All is where it belongs: what the sweep cannot reach now, the next restore's will. */
	sweep(restore, true, &ignored);
	restore->marked = 0;
	return true;
}

/*
 * Nothing stays of a restore that has not come to its end, but for the marks of databases
 * that are half replaced.
 */
static void
undo_database(Restore *restore, const MongodbPair *pair)
{
	const char	*attempt = restore->context.job->attempt_id;
	MongodbPhase phase = restore->plan.replacing && restore->outcome->target_modified
							 ? MONGODB_PHASE_REPLACING
							 : pair->mark.phase;
	Failure		 ignored = {0};
	MongodbMark	 seen;
	bool		 is_ours = mongodb_marker_renew(&restore->session, pair->target, attempt, phase, &ignored);

	/* Another one may have taken over from us, who were thought dead, and our tag with it. */
	if (!is_ours && (!mongodb_marker_look(&restore->session, pair->target, &seen, REASON_RESTORE, &ignored) ||
					 seen.found))
		return;
	mongodb_sweep(&restore->session, pair->target, pair->mark.tag, !is_ours || phase == MONGODB_PHASE_BESIDE,
				  &ignored);
	if (is_ours && phase == MONGODB_PHASE_REPLACING)
		mongodb_marker_release(&restore->session, pair->target, attempt, &ignored);
}

static void
undo(Restore *restore)
{
	Failure ignored = {0};

	restore->session.finishes = true;
	if (restore->marked > 0 &&
		mongodb_reconnect(&restore->session, &restore->url, restore->context.settings, &ignored))
		for (size_t i = 0; i < restore->marked; i++)
			undo_database(restore, &restore->plan.pairs[i]);
}

static void
restore_close(Sink *sink)
{
	Restore *restore = (Restore *) sink;

	mongorestore_close(&restore->mongorestore);
	mongodb_archive_close(restore->given);
	undo(restore);
	mongodb_disconnect(&restore->session);
	mongodb_plan_free(&restore->plan);
	mongodb_url_free(&restore->url);
	free(restore);
}

static bool
renew(void *context, Failure *failure)
{
	return mongodb_commit_renew(context, failure);
}

/* Each database is marked as ours, then what an unfinished restore has left there goes. */
static bool
mark(Restore *restore, Failure *failure)
{
	for (size_t i = 0; i < restore->plan.pair_count; i++)
	{
		MongodbPair *pair = &restore->plan.pairs[i];

		if (!mongodb_marker_take(&restore->session, pair->target, restore->context.job->attempt_id,
								 &pair->mark, failure))
			return false;
		restore->marked++;
	}
	return sweep(restore, false, failure);
}

/* A backup's documents are put back as they are, whatever a younger validator says to some; where the user may. */
static bool
choose_validation(Restore *restore, Failure *failure)
{
	MongodbPlan *plan = &restore->plan;

	plan->bypasses = plan->validated;
	for (size_t i = 0; plan->bypasses && i < plan->pair_count; i++)
		if (!mongodb_marker_try_bypass(&restore->session, plan->pairs[i].target,
									   restore->context.job->attempt_id, &plan->pairs[i].mark,
									   &plan->bypasses, failure))
			return false;
	return true;
}

Sink *
mongodb_open_sink(const EngineContext *context, const Dump *dump, RestoreOutcome *outcome, Failure *failure)
{
	Restore *restore = calloc(1, sizeof(*restore));

	if (restore == NULL)
	{
		failure_no_memory(failure);
		return NULL;
	}
	restore->sink = (Sink){.write = restore_write, .commit = restore_commit, .close = restore_close};
	restore->context = *context;
	restore->dump = *dump;
	restore->outcome = outcome;
	restore->mongorestore = (Mongorestore){.settings = context->settings,
										   .url = &restore->url,
										   .session = &restore->session,
										   .report = context->report,
										   .renew = renew,
										   .renew_context = &restore->commit};
	restore->given = mongodb_archive_open(REASON_INTEGRITY, failure);
	restore->commit = (MongodbCommit){.context = &restore->context,
									  .dump = &restore->dump,
									  .outcome = outcome,
									  .session = &restore->session,
									  .plan = &restore->plan,
									  .given = restore->given,
									  .mongorestore = &restore->mongorestore};
	if (restore->given != NULL && mongodb_url_parse(&restore->url, context->url, failure) &&
		mongodb_tool_find(&restore->mongorestore.tool, "mongorestore", context->settings, failure) &&
		mongodb_connect(&restore->session, &restore->url, context->settings, MONGODB_FOR_WRITING, failure) &&
		mongodb_plan_make(&restore->plan, &restore->session, &restore->url, context, dump, outcome,
						  failure) &&
		mark(restore, failure) && choose_validation(restore, failure))
		return &restore->sink;
	restore_close(&restore->sink);
	return NULL;
}
