/*
 * restore.c
 *	  One restore, from the store into the target.
 */
#include "restore.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

#include "cancel.h"
#include "digest.h"
#include "dump.h"
#include "engines/engine.h"
#include "gzip.h"
#include "stores/store.h"

#define READ_SIZE (256 * 1024)

typedef struct Restore
{
	const Job *job;
	const Settings *settings;
	const Secret *url;
	Report *report;
	RestoreOutcome *outcome;

	const Engine *engine;
	Store *store;
	Digest *digest;
	int64_t fetched;
	Dump dump;

	DumpStream *stream;
	Inspector *inspector;
	Sink *sink;
	char *buffer;
	int64_t written;
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
may_go_on(const Restore *restore, Failure *failure)
{
	if (cancel_requested())
		return cancel_failure(failure);
	if (!report_is_heard(restore->report))
		return failure_set(failure, REASON_CANCELLED,
						   "the runner that started this job does not listen any more");
	return true;
}

static bool
hash_fetched(void *context, const void *bytes, size_t length, Failure *failure)
{
	Restore *restore = context;

	restore->fetched += (int64_t) length;
	report_progress(restore->report, PHASE_DOWNLOADING, 0, restore->fetched);
	return may_go_on(restore, failure) && digest_add(restore->digest, bytes, length, failure);
}

static bool
fetch(Restore *restore, Failure *failure)
{
	const Job *job = restore->job;
	StoreAnswer answer;

	report_started(restore->report, job->attempt_id, NULL, NULL);
	report_progress(restore->report, PHASE_DOWNLOADING, 0, 0);
	restore->digest = digest_open(failure);
	if (!restore->digest)
		return false;
	answer = restore->store->fetch(restore->store, job->object_key, job->version, hash_fetched, restore,
								   &restore->dump.fd, &restore->dump.stored_bytes, failure);
	if (answer == STORE_MISSING)
		return failure_set(failure, REASON_INTEGRITY, "the backup's object \"%s\" is not in the store",
						   job->object_key);
	return answer == STORE_FOUND;
}

/* Nothing else looks at the bytes before they are proven to be those that were stored. */
static bool
verify(Restore *restore, Failure *failure)
{
	const Job *job = restore->job;
	char sha256[DIGEST_TEXT_SIZE];

	if (!digest_finish(restore->digest, sha256, failure))
		return false;
	if (restore->dump.stored_bytes != job->stored_bytes || restore->fetched != job->stored_bytes)
		return failure_set(failure, REASON_INTEGRITY,
						   "the object \"%s\" holds %lld bytes where %lld were stored", job->object_key,
						   (long long) restore->fetched, (long long) job->stored_bytes);
	if (strcasecmp(sha256, job->sha256) != 0)
		return failure_set(failure, REASON_INTEGRITY,
						   "the object \"%s\" is not what was stored: its sha256 is %s, %s was recorded",
						   job->object_key, sha256, job->sha256);
	restore->dump.raw_bytes = job->raw_bytes;
	if (!gzip_check_ends(restore->dump.fd, restore->dump.stored_bytes, restore->dump.raw_bytes, failure))
		return false;
	report_progress(restore->report, PHASE_VERIFIED, 0, restore->fetched);
	return may_go_on(restore, failure);
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
	return restore->buffer ? may_go_on(restore, failure) : failure_no_memory(failure);
}

static bool
pump_dump(Restore *restore, Failure *failure)
{
	size_t length;

	report_progress(restore->report, PHASE_APPLYING, 0, restore->fetched);
	do
	{
		if (!may_go_on(restore, failure) ||
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
		!may_go_on(restore, failure) || !restore->sink->commit(restore->sink, failure))
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
	digest_close(restore->digest);
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
	bool good;

	good = open_store(&restore, failure) && fetch(&restore, failure) && verify(&restore, failure) &&
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
