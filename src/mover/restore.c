/*
 * restore.c
 *	  One restore, from the store into the target.
 */
#include "restore.h"

#include <stdlib.h>
#include <unistd.h>

#include "dump.h"
#include "engines/engine.h"
#include "fetch.h"
#include "stores/store.h"

#define READ_SIZE (256 * 1024)

typedef struct Restore
{
	const Job	   *job;
	const Settings *settings;
	const Secret   *url;
	Report		   *report;
	RestoreOutcome *outcome;

	const Engine *engine;
	Store		 *store;
	int64_t		  fetched;
	Dump		  dump;

	DumpStream *stream;
	Inspector  *inspector;
	Sink	   *sink;
	char	   *buffer;
	int64_t		written;
} Restore;

static bool
open_store(Restore *restore, Failure *failure)
{
	const Job *job = restore->job;

	restore->engine = engine_find(job->engine, failure);
	if (!restore->engine)
		return false;
	restore->store = store_open(job->store_name, job->store_url, restore->settings, failure);
	return restore->store != NULL;
}

static bool
tell_fetched(void *context, int64_t fetched, Failure *failure)
{
	Restore *restore = context;

	restore->fetched = fetched;
	report_progress(restore->report, PHASE_DOWNLOADING, 0, fetched);
	return report_may_go_on(restore->report, failure);
}

/* Nothing else looks at the bytes before they are proven to be those that were stored. */
static bool
fetch_and_verify(Restore *restore, Failure *failure)
{
	const Job	*job = restore->job;
	StoredObject object = {.key = job->object_key,
						   .version = job->version,
						   .sha256 = job->sha256,
						   .stored_bytes = job->stored_bytes,
						   .raw_bytes = job->raw_bytes};

	report_started(restore->report, job->attempt_id, NULL, NULL);
	report_progress(restore->report, PHASE_DOWNLOADING, 0, 0);
	if (!fetch_verified(restore->store, &object, tell_fetched, restore, &restore->dump, failure))
		return false;
	report_progress(restore->report, PHASE_VERIFIED, 0, restore->fetched);
	return report_may_go_on(restore->report, failure);
}

/* The engine looks inside and asks the target; nothing is changed there yet. */
static bool
open_sink(Restore *restore, Failure *failure)
{
	EngineContext context = {
		.settings = restore->settings, .job = restore->job, .url = restore->url, .report = restore->report};

	restore->sink = restore->engine->open_sink(&context, &restore->dump, restore->outcome, failure);
	if (!restore->sink)
		return false;
	restore->inspector = restore->engine->open_inspector(REASON_INTEGRITY, failure);
	restore->stream = restore->inspector ? dump_open(&restore->dump, failure) : NULL;
	if (!restore->stream)
		return false;
	restore->buffer = malloc(READ_SIZE);
	return restore->buffer ? report_may_go_on(restore->report, failure) : failure_no_memory(failure);
}

static bool
pump_dump(Restore *restore, Failure *failure)
{
	size_t length;

	report_progress(restore->report, PHASE_APPLYING, 0, restore->fetched);
	do
	{
		if (!report_may_go_on(restore->report, failure) ||
			!dump_read(restore->stream, restore->buffer, READ_SIZE, &length, failure))
			return false;
		if (length > 0 && (!restore->inspector->feed(restore->inspector, restore->buffer, length, failure) ||
						   !restore->sink->write(restore->sink, restore->buffer, length, failure)))
			return false;
		restore->written += (int64_t) length;
		report_progress(restore->report, PHASE_APPLYING, restore->written, restore->fetched);
	} while (length > 0);
	return true;
}

static bool
commit(Restore *restore, Failure *failure)
{
	if (!restore->outcome->counts)
		restore->outcome->counts = json_object();
	if (!restore->outcome->counts)
		return failure_no_memory(failure);
	if (!restore->inspector->finish(restore->inspector, restore->outcome->counts, failure) ||
		!report_may_go_on(restore->report, failure) || !restore->sink->commit(restore->sink, failure))
		return false;
	report_progress(restore->report, PHASE_COMMITTED, restore->written, restore->fetched);
	return true;
}

/* The sink first: without a commit, closing it undoes. */
static void
close_all(Restore *restore)
{
	if (restore->sink)
		restore->sink->close(restore->sink);
	if (restore->inspector)
		restore->inspector->close(restore->inspector);
	dump_close(restore->stream);
	free(restore->buffer);
	if (restore->dump.fd >= 0)
		close(restore->dump.fd);
	if (restore->store)
		restore->store->close(restore->store);
}

bool
restore_run(const Job *job, const Settings *settings, const Secret *url, Report *report,
			RestoreOutcome *outcome, Failure *failure)
{
	Restore restore = {.job = job,
					   .settings = settings,
					   .url = url,
					   .report = report,
					   .outcome = outcome,
					   .dump = {.fd = -1}};
	bool	good;

	good = open_store(&restore, failure) && fetch_and_verify(&restore, failure) &&
		   open_sink(&restore, failure) && pump_dump(&restore, failure) && commit(&restore, failure);
	close_all(&restore);
	if (good)
		report_restore_done(report, outcome);
	return good;
}

void
restore_outcome_free(RestoreOutcome *outcome)
{
	json_decref(outcome->left_alone);
	json_decref(outcome->counts);
	*outcome = (RestoreOutcome){0};
}
