/*
 * run.c
 *	  custbackup run: one job in on standard input, its events out on standard output.
 *
 * Whatever happens, the last word is `done` or `failed`, said once, and the exit
 * status is 0 exactly when it was `done`.
 */
#include "command.h"

#include <fcntl.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "backup.h"
#include "cancel.h"
#include "expire.h"
#include "job.h"
#include "protect.h"
#include "report.h"
#include "restore.h"
#include "secret.h"

#define NAME "run"

/* Beside the budget for parts: far more than catalogue and archive of a large database take. */
#define MEMORY_LIMIT (INT64_C(2) << 30)

static const char help[] = "Usage: custbackup run [--settings-fd=N]\n"
						   "\n"
						   "Does one job: a JSON object on standard input; events, one JSON object a\n"
						   "line, on standard output (docs/protocol.md).  The background worker starts it;\n"
						   "so may any other runner.\n"
						   "Exit status 0: the job's last event is `done`.  SIGTERM cancels.\n"
						   "\n"
						   "  --settings-fd=N  read the settings, a JSON object, from descriptor N\n"
						   "                   (docs/settings.md); without it from the file that\n"
						   "                   CUSTBACKUP_SETTINGS names\n"
						   "\n"
						   "Example:\n"
						   "  custbackup run --settings-fd=3 3< settings.json < job.json\n";

/* A whole number that names a descriptor beyond the standard ones which is open; -1: none. */
static int
parse_fd(const char *text)
{
	char *end;
	long  number = strtol(text, &end, 10);

	if (*text == '\0' || *end != '\0' || number < 3 || number > 1000000 || fcntl((int) number, F_GETFD) < 0)
		return -1;
	return (int) number;
}

/* settings_fd: -1 for the environment's file.  Closed here: no tool may inherit it. */
static bool
read_settings(Settings *settings, int settings_fd, Failure *failure)
{
	bool read;

	if (settings_fd < 0)
		return command_read_settings(settings, failure);
	settings_defaults(settings);
	read = settings_read_fd(settings, settings_fd, failure);
	close(settings_fd);
	return read;
}

/* The plaintext, and nothing left of the keys when it returns. */
static bool
decrypt_url(const Settings *settings, const Job *job, Secret *url, Failure *failure)
{
	KeyRing *ring = key_ring_load(settings->key_file, failure);
	bool	 decrypted;

	if (ring == NULL)
		return false;
	decrypted = secret_decrypt(ring, job->resource.connection_url, url, failure);
	key_ring_free(ring);
	if (decrypted)
		secret_register(url->text, url->length);
	return decrypted;
}

static bool
do_job(const Job *job, const Settings *settings, Report *report, RestoreOutcome *outcome, Failure *failure)
{
	Secret url = {0};
	bool   done;

	if (job->kind == JOB_EXPIRE)
		return expire_run(job, settings, report, failure);
	if (job->kind == JOB_SWEEP)
		return sweep_run(job, settings, report, failure);
	done = decrypt_url(settings, job, &url, failure);
	if (done && job->kind == JOB_BACKUP)
		done = backup_run(job, settings, &url, report, failure);
	else if (done)
		done = restore_run(job, settings, &url, report, outcome, failure);
	secret_free(&url);
	return done;
}

static void
run_job(int settings_fd, Report *report)
{
	Failure		   failure = {0};
	Settings	   settings = {0};
	Job			   job = {0};
	RestoreOutcome outcome = {0};
	bool		   done;

	done = cancel_install(&failure) && read_settings(&settings, settings_fd, &failure) &&
		   protect_die_with(settings.parent_pid, &failure) &&
		   protect_limit_memory(MEMORY_LIMIT + settings.memory_budget, &failure) &&
		   job_read_fd(&job, STDIN_FILENO, &failure) && do_job(&job, &settings, report, &outcome, &failure);
	if (!done || !report_said_done(report))
		report_failed(report, &failure, job.kind == JOB_RESTORE ? &outcome : NULL);
	restore_outcome_free(&outcome);
	job_free(&job);
	settings_free(&settings);
	secret_forget_all();
}

int
command_run(int argc, char **argv)
{
	static const struct option options[] = {
		{"settings-fd", required_argument, NULL, 's'}, {"help", no_argument, NULL, 'h'}, {NULL, 0, NULL, 0}};
	int		settings_fd = -1;
	Report *report;
	int		code;
	int		status;

	while ((code = getopt_long(argc, argv, "h", options, NULL)) != -1)
	{
		if (code == 'h')
			return command_print(NAME, help);
		if (code != 's')
			return command_usage_error(NAME, "the options are --settings-fd=N and --help");
		settings_fd = parse_fd(optarg);
		if (settings_fd < 0)
			return command_usage_error(NAME, "--settings-fd=%s is no open descriptor from 3 on", optarg);
	}
	if (optind < argc)
		return command_usage_error(NAME, "it takes no argument: the job comes on standard input");

	protect_close_inherited(settings_fd);
	report = report_to_runner(STDOUT_FILENO);
	if (report == NULL)
	{
		fputs("custbackup run: out of memory\n", stderr);
		return EXIT_FAILURE;
	}
	run_job(settings_fd, report);
	status = report_said_done(report) ? EXIT_SUCCESS : EXIT_FAILURE;
	report_free(report);
	return status;
}
