/*
 * backup.c
 *	  One backup, from the resource to the store.
 */
#include "backup.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "backup_previous.h"
#include "engines/engine.h"
#include "gzip.h"
#include "leftovers.h"
#include "manifest.h"
#include "object_key.h"
#include "stores/store.h"
#include "text.h"

/* What is read at once: it passes inspector and compressor while it is still in the cache. */
#define READ_SIZE (256 * 1024)

typedef struct Backup
{
	const Job	   *job;
	const Settings *settings;
	const Secret   *url;
	Report		   *report;

	const Engine *engine;
	Store		 *store;
	AdoptedBackup adopted;
	json_t		 *left; /* what this attempt and earlier ones leave in the store; NULL: nobody has looked */

	Source	   *source;
	SourceFacts facts;
	Inspector  *inspector;
	json_t	   *counts;
	int64_t		raw_bytes;
	char	   *buffer;

	GzipWriter *gzip;
	Upload	   *upload;
	int64_t		stored_bytes;
	ObjectStat	object;
	char		manifest_key[OBJECT_KEY_SIZE];
	Failure		kept; /* why something of this attempt stays in the store */
	bool		object_is_stored;
	bool		manifest_is_begun;
	int64_t		started_at;
} Backup;

static bool
open_store(Backup *backup, Failure *failure)
{
	const Job *job = backup->job;

	if (!object_manifest_key_of_job(job->object_key, backup->manifest_key, failure))
		return false;
	backup->started_at = time(NULL);
	backup->engine = engine_find(job->engine, failure);
	if (!backup->engine)
		return false;
	backup->store = store_open(job->store_name, job->store_url, backup->settings, failure);
	if (!backup->store)
		return false;
	backup->left = json_array();
	return backup->left || failure_no_memory(failure);
}

/* The dump tool is forked here: no thread is alive before begin_upload(). */
static bool
open_source(Backup *backup, Failure *failure)
{
	EngineContext context = {
		.settings = backup->settings, .job = backup->job, .url = backup->url, .report = backup->report};

	backup->facts.expected_raw_bytes = -1;
	backup->source = backup->engine->open_source(&context, &backup->facts, failure);
	if (!backup->source)
		return false;
	/* A server may call itself anything: into JSON it goes as valid text. */
	text_make_line(backup->facts.server_version);
	text_make_line(backup->facts.tool_version);
	report_started(backup->report, backup->job->attempt_id, backup->facts.tool_version,
				   backup->facts.server_version);
	backup->inspector = backup->engine->open_inspector(REASON_DUMP, failure);
	return backup->inspector != NULL;
}

static void
announce_upload(void *context, const char *upload_id)
{
	Backup *backup = context;

	report_upload(backup->report, backup->job->object_key, upload_id);
}

static bool
room_for_compressed(void *context, void **room, size_t *length, Failure *failure)
{
	Backup *backup = context;

	return backup->upload->room(backup->upload, room, length, failure);
}

static bool
store_compressed(void *context, size_t length, Failure *failure)
{
	Backup *backup = context;

	backup->stored_bytes += (int64_t) length;
	return backup->upload->filled(backup->upload, length, failure);
}

/*
 * The last backup says best how large this one will be; but the database may have
 * grown since, and a dump is seldom smaller than a quarter of it.
 */
static int64_t
expected_stored_bytes(const Backup *backup)
{
	int64_t last = backup->job->expected_bytes;
	int64_t server = backup->facts.expected_raw_bytes;

	if (last < 0)
		return server;
	return last > server / 4 ? last : server / 4;
}

static bool
begin_upload(Backup *backup, Failure *failure)
{
	const Job *job = backup->job;
	ObjectInfo info = {.key = job->object_key,
					   .content_type = "application/gzip",
					   .attempt_id = job->attempt_id,
					   .backup_id = job->job_id,
					   .resource_type = job->resource.type,
					   .expected_bytes = expected_stored_bytes(backup),
					   .retain_until = job->retain_until,
					   .announce = announce_upload,
					   .announce_context = backup};
	GzipOutput output = {.room = room_for_compressed, .filled = store_compressed, .context = backup};

	backup->buffer = malloc(READ_SIZE);
	if (!backup->buffer)
		return failure_no_memory(failure);
	backup->gzip = gzip_writer_open(backup->settings->compression, &output, failure);
	backup->upload = backup->gzip ? backup->store->begin(backup->store, &info, failure) : NULL;
	return backup->upload != NULL;
}

static bool
pump_dump(Backup *backup, Failure *failure)
{
	size_t length;

	do
	{
		if (!report_may_go_on(backup->report, failure) ||
			!backup->source->read(backup->source, backup->buffer, READ_SIZE, &length, failure))
			return false;
		if (length > 0 && (!backup->inspector->feed(backup->inspector, backup->buffer, length, failure) ||
						   !gzip_write(backup->gzip, backup->buffer, length, failure)))
			return false;
		backup->raw_bytes += (int64_t) length;
		report_progress(backup->report, PHASE_DUMPING, backup->raw_bytes,
						backup->upload->stored(backup->upload));
	} while (length > 0);
	return true;
}

/* The tool's own word first: where both complain, it knows the cause. */
static bool
prove_whole(Backup *backup, Failure *failure)
{
	backup->counts = json_object();
	if (!backup->counts)
		return failure_no_memory(failure);
	return backup->source->finish(backup->source, failure) &&
		   backup->inspector->finish(backup->inspector, backup->counts, failure);
}

static bool
finish_object(Backup *backup, Failure *failure)
{
	if (!gzip_writer_finish(backup->gzip, failure))
		return false;
	report_progress(backup->report, PHASE_STORING, backup->raw_bytes, backup->upload->stored(backup->upload));
	if (!report_may_go_on(backup->report, failure) ||
		!backup->upload->finish(backup->upload, &backup->object, failure))
		return false;
	backup->upload = NULL;
	backup->object_is_stored = true;
	if (backup->object.bytes != backup->stored_bytes)
		return failure_set(failure, REASON_UPLOAD, "the store holds %lld bytes where %lld were sent",
						   (long long) backup->object.bytes, (long long) backup->stored_bytes);
	return report_may_go_on(backup->report, failure);
}

static BackupResult
result_of(const Backup *backup)
{
	return (BackupResult){.key = backup->job->object_key,
						  .version = backup->object.version,
						  .raw_bytes = backup->raw_bytes,
						  .stored_bytes = backup->stored_bytes,
						  .locked_until = backup->object.locked_until,
						  .sha256 = backup->object.sha256,
						  .consistency = backup->facts.consistency,
						  .server_version = backup->facts.server_version,
						  .tool_version = backup->facts.tool_version,
						  .counts = backup->counts,
						  .notes = backup->facts.notes};
}

/* With the manifest the backup exists. */
static bool
store_manifest(Backup *backup, Failure *failure)
{
	BackupResult result = result_of(backup);
	char		*text = manifest_write(backup->job, &result, backup->started_at, time(NULL), failure);
	ObjectInfo	 info = {.key = backup->manifest_key,
						 .content_type = "application/json",
						 .attempt_id = backup->job->attempt_id,
						 .backup_id = backup->job->job_id,
						 .resource_type = backup->job->resource.type,
						 .expected_bytes = text ? (int64_t) strlen(text) : -1,
						 .retain_until = backup->job->retain_until};
	ObjectStat	 stored = {0};
	Upload		*upload;
	bool		 good;

	if (!text)
		return false;
	backup->manifest_is_begun = true;
	upload = backup->store->begin(backup->store, &info, failure);
	good = upload && upload_write(upload, text, strlen(text), failure) &&
		   upload->finish(upload, &stored, failure);
	if (upload && !good)
		upload->abort(upload, &backup->kept);
	object_stat_free(&stored);
	free(text);
	return good;
}

/* Nothing of a failed attempt stays; what cannot be removed now is told, and swept later. */
static void
undo(Backup *backup)
{
	const Job *job = backup->job;

	if (backup->upload)
		backup->upload->abort(backup->upload, &backup->kept);
	backup->upload = NULL;
	if (backup->manifest_is_begun)
		backup->store->remove(backup->store, backup->manifest_key, NULL, &backup->kept);
	if (backup->object_is_stored)
		backup->store->remove(backup->store, job->object_key, backup->object.version, &backup->kept);
	if (backup->kept.reason != REASON_NONE && backup->left)
		leftovers_add(backup->store, job->attempt_id, job->object_key, &backup->kept, backup->left);
}

static void
say_done(const Backup *backup)
{
	BackupResult result = result_of(backup);

	if (backup->adopted.found)
	{
		const Manifest *manifest = &backup->adopted.manifest;

		report_started(backup->report, backup->job->attempt_id, manifest->tool_version,
					   manifest->server_version);
		result = (BackupResult){.key = manifest->key,
								.version = backup->adopted.object.version,
								.raw_bytes = manifest->raw_bytes,
								.stored_bytes = manifest->stored_bytes,
								.locked_until = backup->adopted.object.locked_until,
								.sha256 = manifest->sha256,
								.consistency = manifest->consistency,
								.server_version = manifest->server_version,
								.tool_version = manifest->tool_version,
								.counts = manifest->counts,
								.notes = manifest->notes,
								.adopted = true};
	}
	report_backup_done(backup->report, &result);
}

static void
close_all(Backup *backup)
{
	if (backup->source)
		backup->source->close(backup->source);
	if (backup->inspector)
		backup->inspector->close(backup->inspector);
	gzip_writer_close(backup->gzip);
	free(backup->buffer);
	json_decref(backup->counts);
	json_decref(backup->left);
	json_decref(backup->facts.notes);
	object_stat_free(&backup->object);
	adopted_backup_free(&backup->adopted);
	if (backup->store)
		backup->store->close(backup->store);
}

bool
backup_run(const Job *job, const Settings *settings, const Secret *url, Report *report, Failure *failure)
{
	Backup backup = {.job = job, .settings = settings, .url = url, .report = report};
	bool   settled;
	bool   good;

	good = open_store(&backup, failure) &&
		   previous_attempts_settle(job, backup.store, &backup.adopted, backup.left, failure);
	settled = good;
	if (good && !backup.adopted.found)
		good = open_source(&backup, failure) && begin_upload(&backup, failure) &&
			   pump_dump(&backup, failure) && prove_whole(&backup, failure) &&
			   finish_object(&backup, failure) && store_manifest(&backup, failure);
	if (!good)
		undo(&backup);
	if (settled)
		report_left(report, backup.left);
	if (good)
		say_done(&backup);
	close_all(&backup);
	return good;
}
