/*
 * restore_from_store.c
 *	  custbackup restore: a backup from a store into a database, with no control database.
 */
#include "command.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <unistd.h>

#include "job.h"
#include "read_url.h"
#include "report.h"
#include "restore.h"
#include "secret.h"
#include "store_options.h"

#define NAME		   "restore"
#define UUID_TEXT_SIZE 37

static const char help[] =
	"Usage: custbackup restore --store=URL [OPTIONS] ID < FILE-WITH-URL\n"
	"       custbackup restore --store=URL [OPTIONS] --token=TOKEN --latest\n"
	"         < FILE-WITH-URL\n"
	"\n"
	"Puts one backup into the database whose connection URL stands on standard input\n"
	"(at a terminal it is asked for and not shown).  Size and sha256 are compared\n"
	"with the manifest before the target is touched.  The URL is never taken from\n"
	"the command line.\n"
	"\n"
	"  --rewind                 put back exactly what the backup holds: what the\n"
	"                           target has now goes; without it the target must be\n"
	"                           empty, and grants and owners stay behind\n"
	"  --json                   events, one JSON object a line, on standard output\n"
	"                           (docs/protocol.md)\n"
	"\n" STORE_OPTIONS_HELP "Examples:\n"
	"  custbackup restore --store=s3://backups/eu 0b9c71e2 < url.txt\n"
	"  custbackup restore --store=file:///var/backups/custbackup --token=acme-main \\\n"
	"    --latest --rewind < url.txt\n"
	"\n" COMMAND_SETTINGS_HELP;

typedef struct RestoreCommand
{
	StoreOptions options;
	bool		 rewind;
} RestoreCommand;

static bool
take_own(void *own, int code, const char *value, Failure *failure)
{
	(void) code;
	(void) value;
	(void) failure;
	((RestoreCommand *) own)->rewind = true;
	return true;
}

/* A version 4 uuid, for a job that no control database has numbered. */
static bool
new_uuid(char text[UUID_TEXT_SIZE], Failure *failure)
{
	unsigned char bytes[16];
	char		 *to = text;

	if (getrandom(bytes, sizeof(bytes), 0) != sizeof(bytes))
		return failure_set_errno(failure, REASON_INTERNAL, "could not draw a random id");
	bytes[6] = (unsigned char) ((bytes[6] & 0x0f) | 0x40);
	bytes[8] = (unsigned char) ((bytes[8] & 0x3f) | 0x80);
	for (int i = 0; i < 16; i++)
		to += sprintf(to, i == 4 || i == 6 || i == 8 || i == 10 ? "-%02x" : "%02x", bytes[i]);
	return true;
}

/* The job that SQL would have built; its texts are the manifest's and the caller's. */
static Job
job_from_manifest(const RestoreCommand *command, const Manifest *manifest, char *job_id, char *attempt_id)
{
	bool rewind = command->rewind;

	return (Job){.kind = JOB_RESTORE,
				 .job_id = job_id,
				 .attempt_id = attempt_id,
				 .attempt = 1,
				 .engine = manifest->engine,
				 .resource = {.id = rewind ? manifest->resource_id : job_id,
							  .token = manifest->token,
							  .team_id = manifest->team_id,
							  .tier = manifest->tier,
							  .type = manifest->type,
							  .connection_url = ""},
				 .store_name = (char *) command->options.store_name,
				 .store_url = (char *) command->options.store_url,
				 .object_key = manifest->key,
				 .expected_bytes = -1,
				 .mode = rewind ? RESTORE_REWIND : RESTORE_CLONE,
				 .version = manifest->version_id,
				 .backup_id = manifest->backup_id,
				 .sha256 = manifest->sha256,
				 .raw_bytes = manifest->raw_bytes,
				 .stored_bytes = manifest->stored_bytes,
				 .source_resource_id = manifest->resource_id,
				 .source_token = manifest->token};
}

static bool
run_restore(const RestoreCommand *command, const Manifest *manifest, Report *report, RestoreOutcome *outcome,
			Failure *failure)
{
	char   job_id[UUID_TEXT_SIZE];
	char   attempt_id[UUID_TEXT_SIZE];
	Secret url = {0};
	Job	   job;
	bool   good;

	if (!new_uuid(job_id, failure) || !new_uuid(attempt_id, failure) || !read_url(&url, failure))
		return false;
	job = job_from_manifest(command, manifest, job_id, attempt_id);
	if (url.length == 0)
		good = failure_set(failure, REASON_BAD_URL, "standard input holds no connection URL for the target");
	else
	{
		secret_register(url.text, url.length);
		good = restore_run(&job, &command->options.settings, &url, report, outcome, failure);
	}
	secret_free(&url);
	return good;
}

static int
restore_and_report(RestoreCommand *command)
{
	bool				  json = command->options.json;
	Report				 *report = json ? report_to_runner(STDOUT_FILENO) : report_to_terminal(STDERR_FILENO);
	RestoreOutcome		  outcome = {0};
	Failure				  failure = {0};
	const CatalogueEntry *entry = NULL;
	bool				  done;

	if (!report)
		failure_no_memory(&failure);
	else
		entry = catalogue_only(&command->options.catalogue, &command->options.filter, &failure);
	if (!entry)
	{
		report_free(report);
		return store_options_failed(&command->options, NAME, &failure);
	}
	report_expect(report, entry->manifest.raw_bytes, entry->manifest.stored_bytes);
	done = run_restore(command, &entry->manifest, report, &outcome, &failure);
	if (!done)
		report_failed(report, &failure, &outcome);
	if (!done && json)
		fprintf(stderr, "custbackup " NAME ": %s\n", failure.detail);
	restore_outcome_free(&outcome);
	report_free(report);
	secret_forget_all();
	return done ? EXIT_SUCCESS : EXIT_FAILURE;
}

int
command_restore(int argc, char **argv)
{
	static const struct option own_options[] = {
		STORE_OPTIONS, {"rewind", no_argument, NULL, 'r'}, {NULL, 0, NULL, 0}};
	RestoreCommand restore = {0};
	StoreCommand   command = {.name = NAME,
							  .help = help,
							  .options = own_options,
							  .take_own = take_own,
							  .own = &restore,
							  .wants_one = true,
							  .takes_json = true};
	int			   status = store_options_open(&restore.options, &command, argc, argv);

	if (status < 0)
		status = restore_and_report(&restore);
	store_options_close(&restore.options);
	return status;
}
