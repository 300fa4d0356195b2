/*
 * pipeline_test.c
 *	  The ways of a backup and a restore, with an engine made of faults: whatever
 *	  breaks, nothing half-finished stays in the store and no target is committed.
 */
#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "backup.h"
#include "digest.h"
#include "engines/engine.h"
#include "restore.h"
#include "tap.h"

#define BACKUP		"11111111-2222-4333-8444-555555555555"
#define ATTEMPT		"aaaaaaaa-bbbb-4ccc-8ddd-eeeeeeeeeeee"
#define OLD_ATTEMPT "aaaaaaaa-bbbb-4ccc-8ddd-dddddddddddd"
#define RESOURCE	"99999999-2222-4333-8444-555555555555"
#define KEY			"acme/" BACKUP ".dump.gz"
#define SECOND_KEY	"acme/" BACKUP "-2.dump.gz"
#define MANIFEST	"acme/" BACKUP ".json"
#define PARTIAL		"." BACKUP ".dump.gz." OLD_ATTEMPT ".partial"

typedef enum Fault
{
	FAULT_NONE,
	FAULT_OPEN_SOURCE,
	FAULT_OPEN_INSPECTOR,
	FAULT_READ,
	FAULT_FEED,
	FAULT_SOURCE_FINISH,
	FAULT_INSPECTOR_FINISH,
	FAULT_OPEN_SINK,
	FAULT_WRITE,
	FAULT_COMMIT
} Fault;

/* What the engine is told, and what it saw. */
static struct
{
	Fault	 fault;
	int64_t	 size;
	int64_t	 given;
	int64_t	 fed;
	int64_t	 written;
	uint64_t sum; /* of the bytes written, by place */
	bool	 committed;
	int		 open;
} scene;

static char directory[] = "/tmp/pipeline_test.XXXXXX";
static char url_text[128];
static char done_line[4096]; /* the last event of the last run */
static char all_events[65536];

static uint8_t
byte_at(int64_t position)
{
	return (uint8_t) ((position / 61) ^ (position * 7) ^ (position >> 17));
}

static bool
source_read(Source *source, void *buffer, size_t capacity, size_t *length, Failure *failure)
{
	int64_t	 left = scene.size - scene.given;
	uint8_t *bytes = buffer;

	(void) source;
	if (scene.fault == FAULT_READ && scene.given > scene.size / 2)
		return failure_set(failure, REASON_DUMP, "the source broke");
	*length = left < (int64_t) capacity ? (size_t) left : capacity;
	for (size_t i = 0; i < *length; i++)
		bytes[i] = byte_at(scene.given + (int64_t) i);
	scene.given += (int64_t) *length;
	return true;
}

static bool
source_finish(Source *source, Failure *failure)
{
	(void) source;
	return scene.fault != FAULT_SOURCE_FINISH || failure_set(failure, REASON_DUMP, "the tool exited with 1");
}

static void
source_close(Source *source)
{
	scene.open--;
	free(source);
}

static Source *
open_source(const EngineContext *context, SourceFacts *facts, Failure *failure)
{
	Source *source;

	(void) context;
	if (scene.fault == FAULT_OPEN_SOURCE)
	{
		failure_set(failure, REASON_AUTH, "no");
		return NULL;
	}
	source = malloc(sizeof(*source));
	*source = (Source){.read = source_read, .finish = source_finish, .close = source_close};
	snprintf(facts->server_version, sizeof(facts->server_version), "1.0");
	snprintf(facts->tool_version, sizeof(facts->tool_version), "test 1.0");
	facts->consistency = "snapshot";
	scene.open++;
	return source;
}

static bool
inspector_feed(Inspector *inspector, const void *bytes, size_t length, Failure *failure)
{
	(void) inspector;
	(void) bytes;
	scene.fed += (int64_t) length;
	return scene.fault != FAULT_FEED || scene.fed < scene.size / 2 ||
		   failure_set(failure, REASON_DUMP, "makes no sense");
}

static bool
inspector_finish(Inspector *inspector, json_t *counts, Failure *failure)
{
	(void) inspector;
	json_object_set_new(counts, "things", json_integer(3));
	return scene.fault != FAULT_INSPECTOR_FINISH || failure_set(failure, REASON_TOO_SMALL, "not whole");
}

static void
inspector_close(Inspector *inspector)
{
	scene.open--;
	free(inspector);
}

static Inspector *
open_inspector(FailureReason when, Failure *failure)
{
	Inspector *inspector;

	(void) when;
	if (scene.fault == FAULT_OPEN_INSPECTOR)
	{
		failure_no_memory(failure);
		return NULL;
	}
	inspector = malloc(sizeof(*inspector));
	*inspector = (Inspector){.feed = inspector_feed, .finish = inspector_finish, .close = inspector_close};
	scene.open++;
	return inspector;
}

static bool
sink_write(Sink *sink, const void *bytes, size_t length, Failure *failure)
{
	const uint8_t *byte = bytes;

	(void) sink;
	for (size_t i = 0; i < length; i++, scene.written++)
		scene.sum += byte[i] == byte_at(scene.written);
	return scene.fault != FAULT_WRITE || scene.written < scene.size / 2 ||
		   failure_set(failure, REASON_RESTORE, "refused");
}

static bool
sink_commit(Sink *sink, Failure *failure)
{
	(void) sink;
	if (scene.fault == FAULT_COMMIT)
		return failure_set(failure, REASON_LOST_COMMIT, "gone");
	scene.committed = true;
	return true;
}

static void
sink_close(Sink *sink)
{
	scene.open--;
	free(sink);
}

static Sink *
open_sink(const EngineContext *context, const Dump *dump, RestoreOutcome *outcome, Failure *failure)
{
	Sink *sink;

	(void) context;
	(void) outcome;
	if (scene.fault == FAULT_OPEN_SINK || dump->raw_bytes < 0)
	{
		failure_set(failure, REASON_NOT_RESTORABLE, "no");
		return NULL;
	}
	sink = malloc(sizeof(*sink));
	*sink = (Sink){.write = sink_write, .commit = sink_commit, .close = sink_close};
	scene.open++;
	return sink;
}

const Engine *
engine_find(const char *name, Failure *failure)
{
	static const Engine engine = {
		.name = "test", .open_source = open_source, .open_inspector = open_inspector, .open_sink = open_sink};

	if (strcmp(name, "test") == 0)
		return &engine;
	failure_set(failure, REASON_CONFIG, "no engine \"%s\"", name);
	return NULL;
}

/* ---- running a job -------------------------------------------------------- */

static const char *
path_of(const char *name)
{
	static char path[512];

	snprintf(path, sizeof(path), "%s/store/%s", directory, name);
	return path;
}

static bool
exists(const char *name)
{
	return access(path_of(name), F_OK) == 0;
}

static int
files_in_store(void)
{
	DIR			  *entries = opendir(path_of("acme"));
	struct dirent *entry;
	int			   count = 0;

	while (entries && (entry = readdir(entries)))
		count += strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0;
	if (entries)
		closedir(entries);
	return count;
}

static void
new_store(void)
{
	char command[256];

	snprintf(command, sizeof(command), "rm -rf '%s/store'; mkdir -m 700 '%s/store'", directory, directory);
	if (system(command) != 0)
		abort();
}

static void
put_file(const char *name, const char *text)
{
	FILE *file;

	mkdir(path_of("acme"), 0700);
	file = fopen(path_of(name), "w");
	fputs(text, file);
	fclose(file);
}

static Job
job_of(JobKind kind)
{
	return (Job){
		.kind = kind,
		.job_id = BACKUP,
		.attempt_id = ATTEMPT,
		.attempt = 1,
		.engine = "test",
		.resource = {.id = RESOURCE, .token = "acme", .tier = "pro", .type = "test", .connection_url = ""},
		.store_name = "default",
		.store_url = url_text,
		.object_key = KEY,
		.expected_bytes = -1,
		.raw_bytes = -1};
}

/* Runs it with a clean scene; the events stand in all_events and done_line. */
static bool
run(const Job *job, Fault fault, int64_t size, Failure *failure)
{
	Settings	   settings;
	Secret		   url = {.text = "test://", .length = 7};
	RestoreOutcome outcome = {0};
	FILE		  *events = tmpfile();
	Report		  *report = report_to_runner(fileno(events));
	bool		   good;

	settings_defaults(&settings);
	memset(&scene, 0, sizeof(scene));
	scene.fault = fault;
	scene.size = size;
	*failure = (Failure){0};
	good = job->kind == JOB_BACKUP ? backup_run(job, &settings, &url, report, failure)
								   : restore_run(job, &settings, &url, report, &outcome, failure);
	if (good != report_said_done(report) || scene.open != 0)
		ok(false, "done is said exactly on success, and all is closed (%d open)", scene.open);
	rewind(events);
	all_events[fread(all_events, 1, sizeof(all_events) - 1, events)] = '\0';
	rewind(events);
	done_line[0] = '\0';
	while (fgets(done_line, sizeof(done_line), events))
		;
	fclose(events);
	report_free(report);
	restore_outcome_free(&outcome);
	settings_free(&settings);
	return good;
}

/* The restore of what the last backup said that it had stored. */
static Job
restore_of_last(char sha256[DIGEST_TEXT_SIZE])
{
	Job		job = job_of(JOB_RESTORE);
	json_t *done = json_loads(done_line, 0, NULL);

	job.mode = RESTORE_REWIND;
	job.backup_id = BACKUP;
	job.raw_bytes = json_integer_value(json_object_get(done, "raw_bytes"));
	job.stored_bytes = json_integer_value(json_object_get(done, "stored_bytes"));
	snprintf(sha256, DIGEST_TEXT_SIZE, "%s", json_string_value(json_object_get(done, "sha256")));
	job.sha256 = sha256;
	json_decref(done);
	return job;
}

/* ---- the tests ------------------------------------------------------------ */

static void
test_round_trips(void)
{
	const int64_t sizes[] = {0, 1, 262143, 262144, 262145, 20000003};

	for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++)
	{
		Job		backup = job_of(JOB_BACKUP);
		Job		restore;
		Failure failure;
		char	sha256[DIGEST_TEXT_SIZE];

		new_store();
		ok(run(&backup, FAULT_NONE, sizes[i], &failure), "a backup of %lld bytes", (long long) sizes[i]);
		ok(exists(KEY) && exists(MANIFEST) && files_in_store() == 2, "leaves object and manifest");
		restore = restore_of_last(sha256);
		is_int(restore.raw_bytes, sizes[i], "and says its raw size");
		ok(run(&restore, FAULT_NONE, sizes[i], &failure) && scene.committed, "its restore is committed");
		ok(scene.written == sizes[i] && scene.sum == (uint64_t) sizes[i] && scene.fed == sizes[i],
		   "with every byte in its place, each seen by the inspector");
	}
	ok(strstr(all_events, "\"downloading\"") && strstr(all_events, "\"verified\"") &&
		   strstr(all_events, "\"applying\"") && strstr(all_events, "\"committed\""),
	   "all phases are told");
}

static void
test_backup_faults(void)
{
	const struct
	{
		Fault		  fault;
		FailureReason reason;
		const char	 *what;
	} cases[] = {
		{FAULT_OPEN_SOURCE, REASON_AUTH, "a source that does not open"},
		{FAULT_OPEN_INSPECTOR, REASON_INTERNAL, "an inspector that does not open"},
		{FAULT_READ, REASON_DUMP, "a source that breaks"},
		{FAULT_FEED, REASON_DUMP, "a stream that makes no sense"},
		{FAULT_SOURCE_FINISH, REASON_DUMP, "a tool that fails at its end"},
		{FAULT_INSPECTOR_FINISH, REASON_TOO_SMALL, "a stream that is not whole"},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
	{
		Job		job = job_of(JOB_BACKUP);
		Failure failure;

		new_store();
		ok(!run(&job, cases[i].fault, 5000000, &failure), "%s fails the backup", cases[i].what);
		is_int(failure.reason, cases[i].reason, "with its reason");
		is_int(files_in_store(), 0, "and leaves nothing");
	}
}

static void
test_store_faults(void)
{
	Job		job = job_of(JOB_BACKUP);
	Failure failure;

	new_store();
	put_file(KEY, "somebody's");
	ok(!run(&job, FAULT_NONE, 1000, &failure) && failure.reason == REASON_UPLOAD,
	   "an object that is there is not overwritten");
	ok(exists(KEY) && files_in_store() == 1, "and stays alone");
	new_store();
	put_file(MANIFEST, "somebody's");
	ok(!run(&job, FAULT_NONE, 1000, &failure) && failure.reason == REASON_UPLOAD,
	   "without a manifest there is no backup");
	ok(!exists(KEY), "and no object");
	job.engine = "none";
	ok(!run(&job, FAULT_NONE, 1000, &failure) && failure.reason == REASON_CONFIG,
	   "an engine that is not there: config");
}

static void
test_previous(void)
{
	PreviousAttempt previous = {.attempt_id = OLD_ATTEMPT, .key = KEY, .upload_id = PARTIAL};
	Job				first = job_of(JOB_BACKUP);
	Job				second = job_of(JOB_BACKUP);
	Failure			failure;

	second.attempt = 2;
	second.object_key = SECOND_KEY;
	second.previous = &previous;
	second.previous_count = 1;

	new_store();
	run(&first, FAULT_NONE, 300000, &failure);
	ok(run(&second, FAULT_NONE, 999, &failure), "after an attempt that finished, the next succeeds");
	ok(strstr(done_line, "\"adopted\":true") && strstr(done_line, KEY) && scene.given == 0, "by adopting it");
	is_int(files_in_store(), 2, "one object remains");

	new_store();
	run(&first, FAULT_NONE, 300000, &failure);
	unlink(path_of(MANIFEST));
	put_file("acme/" PARTIAL, "half");
	put_file("acme/." BACKUP ".json." OLD_ATTEMPT ".partial", "{");
	ok(run(&second, FAULT_NONE, 1234, &failure), "after one lost before its manifest, the next succeeds");
	ok(exists(SECOND_KEY) && !exists(KEY) && files_in_store() == 2 && strstr(done_line, "\"adopted\":false"),
	   "by itself, and what was left is gone");

	new_store();
	run(&first, FAULT_NONE, 300000, &failure);
	ok(truncate(path_of(KEY), 100) == 0, "(the object is cut)");
	ok(run(&second, FAULT_NONE, 1234, &failure) && !exists(KEY) && !exists(MANIFEST),
	   "a manifest whose object is cut is not adopted");

	new_store();
	run(&first, FAULT_NONE, 300000, &failure);
	put_file(MANIFEST, "{\"format\": 1}");
	ok(run(&second, FAULT_NONE, 1234, &failure) && !exists(KEY) && !exists(MANIFEST) && files_in_store() == 2,
	   "nor one whose manifest is broken");

	new_store();
	run(&first, FAULT_NONE, 300000, &failure);
	ok(truncate(path_of(MANIFEST), 2000000) == 0, "(the manifest is far too long)");
	ok(run(&second, FAULT_NONE, 1234, &failure) && !exists(KEY) && !exists(MANIFEST) && files_in_store() == 2,
	   "or larger than any");

	new_store();
	previous.key = "other/" BACKUP ".dump.gz";
	ok(!run(&second, FAULT_NONE, 1234, &failure) && failure.reason == REASON_CONFIG,
	   "another token's object is not touched");
	previous.key = "acme/22222222-2222-4333-8444-555555555555.dump.gz";
	ok(!run(&second, FAULT_NONE, 1234, &failure) && failure.reason == REASON_CONFIG, "nor another backup's");
}

static void
test_restore_faults(void)
{
	const struct
	{
		Fault		  fault;
		FailureReason reason;
		const char	 *what;
	} cases[] = {
		{FAULT_OPEN_SINK, REASON_NOT_RESTORABLE, "a target that cannot take it"},
		{FAULT_OPEN_INSPECTOR, REASON_INTERNAL, "an inspector that does not open"},
		{FAULT_FEED, REASON_DUMP, "a stream that makes no sense"},
		{FAULT_WRITE, REASON_RESTORE, "a target that refuses"},
		{FAULT_INSPECTOR_FINISH, REASON_TOO_SMALL, "a stream that is not whole"},
		{FAULT_COMMIT, REASON_LOST_COMMIT, "a lost commit"},
	};
	Job		backup = job_of(JOB_BACKUP);
	Job		restore;
	Failure failure;
	char	sha256[DIGEST_TEXT_SIZE];

	new_store();
	run(&backup, FAULT_NONE, 3000000, &failure);
	restore = restore_of_last(sha256);
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
	{
		ok(!run(&restore, cases[i].fault, 3000000, &failure) && !scene.committed, "%s fails the restore",
		   cases[i].what);
		is_int(failure.reason, cases[i].reason, "with its reason");
	}
}

/* Damage is found before the engine is asked for anything. */
static void
expect_untouched(const Job *job, FailureReason reason, const char *what)
{
	Failure failure;

	ok(!run(job, FAULT_NONE, 0, &failure) && !scene.committed && scene.written == 0, "%s: refused", what);
	is_int(failure.reason, reason, failure.detail);
	ok(!strstr(all_events, "verified") && !strstr(all_events, "applying"), "and the target is not touched");
}

static void
test_damage(void)
{
	Job		backup = job_of(JOB_BACKUP);
	Job		restore;
	Failure failure;
	char	sha256[DIGEST_TEXT_SIZE];
	char	byte;
	int		fd;

	new_store();
	run(&backup, FAULT_NONE, 3000000, &failure);
	restore = restore_of_last(sha256);
	fd = open(path_of(KEY), O_RDWR);
	for (int64_t offset = 0; offset < restore.stored_bytes; offset += restore.stored_bytes / 5)
	{
		ok(pread(fd, &byte, 1, offset) == 1, "(byte %lld)", (long long) offset);
		byte ^= 0x10;
		ok(pwrite(fd, &byte, 1, offset) == 1, "(one bit flipped)");
		expect_untouched(&restore, REASON_INTEGRITY, "a flipped bit");
		byte ^= 0x10;
		ok(pwrite(fd, &byte, 1, offset) == 1, "(flipped back)");
	}
	ok(pwrite(fd, "x", 1, restore.stored_bytes) == 1, "(trailing garbage)");
	expect_untouched(&restore, REASON_INTEGRITY, "a byte more");
	ok(ftruncate(fd, INT64_C(1) << 40) == 0, "(a terabyte of zeros, which nobody could read to their end)");
	expect_untouched(&restore, REASON_INTEGRITY, "a hole without end");
	ok(ftruncate(fd, restore.stored_bytes - 1) == 0, "(cut by one byte)");
	expect_untouched(&restore, REASON_INTEGRITY, "a byte less");
	ok(ftruncate(fd, 0) == 0, "(emptied)");
	expect_untouched(&restore, REASON_INTEGRITY, "nothing at all");
	close(fd);
	unlink(path_of(KEY));
	expect_untouched(&restore, REASON_INTEGRITY, "a missing object");
	new_store();
	rmdir(path_of(""));
	expect_untouched(&restore, REASON_STORE, "a missing store");
}

/* The sha256 is right, but the catalogue says another raw size: a bomb, as far as anybody can tell. */
static void
test_raw_size(void)
{
	Job		backup = job_of(JOB_BACKUP);
	Job		restore;
	Failure failure;
	char	sha256[DIGEST_TEXT_SIZE];

	new_store();
	run(&backup, FAULT_NONE, 3000000, &failure);
	restore = restore_of_last(sha256);
	restore.raw_bytes -= 1;
	expect_untouched(&restore, REASON_INTEGRITY, "a raw size that its trailer denies");
	restore.raw_bytes += 1 - (1LL << 32);
	restore.raw_bytes += 2 * (1LL << 32);
	ok(!run(&restore, FAULT_NONE, 3000000, &failure) && !scene.committed &&
		   failure.reason == REASON_INTEGRITY,
	   "a raw size that only counting can deny is not committed: %s", failure.detail);
}

int
main(void)
{
	char command[256];

	if (!mkdtemp(directory))
		return 1;
	snprintf(url_text, sizeof(url_text), "file://%s/store", directory);
	test_round_trips();
	test_backup_faults();
	test_store_faults();
	test_previous();
	test_restore_faults();
	test_damage();
	test_raw_size();
	snprintf(command, sizeof(command), "rm -rf '%s'", directory);
	return system(command) != 0 || done_testing();
}
