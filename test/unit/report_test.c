/* report.c: the order of events, throttling, clean texts, a runner that is gone. */
#include "report.h"

#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include "cancel.h"
#include "secret.h"
#include "tap.h"
#include "utc.h"

#define ATTEMPT "11111111-2222-4333-8444-555555555555"
#define KEY		"t/0189f7c2-6d7e-7b3a-8c55-0123456789ab.dump.gz"

static int	reader;
static char said[256 * 1024];

static Report *
open_report(Report *(*open)(int fd))
{
	int fds[2];

	if (pipe2(fds, O_CLOEXEC) < 0 || fcntl(fds[0], F_SETFL, O_NONBLOCK) < 0 ||
		fcntl(fds[1], F_SETPIPE_SZ, 262144) < 0)
		abort();
	reader = fds[0];
	return open(fds[1]);
}

/* What was said since the last call. */
static const char *
heard(void)
{
	ssize_t got = read(reader, said, sizeof(said) - 1);

	said[got > 0 ? got : 0] = '\0';
	return said;
}

static void *
no_memory(size_t size)
{
	(void) size;
	return NULL;
}

/* The last word needs no memory. */
static void
test_without_memory(void)
{
	Report		  *report = open_report(report_to_runner);
	RestoreOutcome outcome = {.target_modified = true};
	Failure		   failure = {0};
	Failure		   why = {0};

	json_set_alloc_funcs(no_memory, free);
	report_started(report, ATTEMPT, NULL, NULL);
	ok(!report_may_go_on(report, &failure) && failure.reason == REASON_INTERNAL,
	   "what could not be said for want of memory ends the job as that (%s)", failure.detail);
	report_failed(report, &failure, NULL);
	is_string(heard(), "{\"event\":\"failed\",\"reason\":\"internal\",\"detail\":\"out of memory\"}\n",
			  "which can be said all the same");
	report_free(report);
	report = open_report(report_to_runner);
	failure_set(&why, REASON_RESTORE, "refused");
	report_failed(report, &why, &outcome);
	is_string(heard(),
			  "{\"event\":\"failed\",\"reason\":\"restore\",\"detail\":\"out of memory\","
			  "\"target_modified\":true,\"left_alone\":[]}\n",
			  "and what became of the target");
	json_set_alloc_funcs(malloc, free);
	report_free(report);
}

/* What report.c says on stderr when it drops a line. */
static void
quietly(void (*act)(Report *report), Report *report)
{
	int kept = dup(STDERR_FILENO);
	int null = open("/dev/null", O_WRONLY | O_CLOEXEC);

	dup2(null, STDERR_FILENO);
	act(report);
	dup2(kept, STDERR_FILENO);
	close(null);
	close(kept);
}

static const BackupResult result = {.key = KEY,
									.version = NULL,
									.raw_bytes = 10,
									.stored_bytes = 5,
									.sha256 = "00ff",
									.consistency = "snapshot",
									.server_version = "15",
									.tool_version = "17"};

static void
test_backup(void)
{
	Failure failure = {0};
	Report *report = open_report(report_to_runner);

	report_started(report, ATTEMPT, "pg_dump 17.2", NULL);
	is_string(heard(),
			  "{\"event\":\"started\",\"attempt_id\":\"" ATTEMPT
			  "\",\"tool\":\"pg_dump 17.2\",\"server\":null}\n",
			  "started");
	report_upload(report, KEY, NULL);
	is_string(heard(), "{\"event\":\"upload\",\"key\":\"" KEY "\",\"upload_id\":null}\n", "upload");
	report_upload(report, KEY, "u1");
	is_string(heard(), "{\"event\":\"upload\",\"key\":\"" KEY "\",\"upload_id\":\"u1\"}\n",
			  "and once more with the id");
	report_progress(report, PHASE_DUMPING, 1, 0);
	is_string(heard(), "{\"event\":\"progress\",\"phase\":\"dumping\",\"bytes_read\":1,\"bytes_stored\":0}\n",
			  "progress");
	report_progress(report, PHASE_DUMPING, 2, 1);
	is_string(heard(), "", "within a second nothing more");
	report_progress(report, PHASE_STORING, 2, 2);
	is_string(heard(), "{\"event\":\"progress\",\"phase\":\"storing\",\"bytes_read\":2,\"bytes_stored\":2}\n",
			  "but a new phase at once");
	ok(!report_said_done(report), "not done yet");
	report_backup_done(report, &result);
	is_string(heard(),
			  "{\"event\":\"done\",\"key\":\"" KEY "\",\"version\":null,\"raw_bytes\":10,\"stored_bytes\":5,"
			  "\"sha256\":\"00ff\",\"consistency\":\"snapshot\",\"server\":\"15\",\"tool\":\"17\",\"counts\":"
			  "{},\"notes\":[],"
			  "\"adopted\":false}\n",
			  "done");
	ok(report_said_done(report) && report_may_go_on(report, &failure), "was said and heard");
	report_free(report);
}

/* What object lock keeps, and what attempts left, is told with the last word. */
static void
test_locks(void)
{
	Report		*report = open_report(report_to_runner);
	BackupResult locked = result;
	Failure		 failure = {0};
	json_t		*left = json_pack("[{s:s, s:n}]", "attempt_id", ATTEMPT, "locked_until");

	locked.locked_until = 1700000000;
	report_started(report, ATTEMPT, NULL, NULL);
	report_upload(report, KEY, NULL);
	report_left(report, left);
	heard();
	report_backup_done(report, &locked);
	ok(strstr(heard(), "\"locked_until\":\"2023-11-14T22:13:20Z\",\"left\":[{\"attempt_id\":\"" ATTEMPT
					   "\",\"locked_until\":null}]}") != NULL,
	   "done tells of locks and leftovers");
	report_free(report);

	report = open_report(report_to_runner);
	report_started(report, ATTEMPT, NULL, NULL);
	report_left(report, left);
	heard();
	report_sweep_done(report);
	is_string(heard(),
			  "{\"event\":\"done\",\"left\":[{\"attempt_id\":\"" ATTEMPT "\",\"locked_until\":null}]}\n",
			  "so does a sweep's");
	report_free(report);

	report = open_report(report_to_runner);
	failure_set(&failure, REASON_LOCKED, "x");
	report_locked_until(report, UTC_FOR_EVER);
	report_failed(report, &failure, NULL);
	is_string(heard(),
			  "{\"event\":\"failed\",\"reason\":\"locked\",\"detail\":\"x\",\"locked_until\":\"infinity\"}\n",
			  "and an expiry that found a lock");
	report_free(report);
	json_decref(left);
}

static void
test_restore(void)
{
	Report		  *report = open_report(report_to_runner);
	RestoreOutcome outcome = {.target_modified = true,
							  .left_alone = json_pack("[s, s]", "a", "b"),
							  .counts = json_pack("{s:i}", "tables", 2)};

	report_started(report, ATTEMPT, NULL, NULL);
	report_progress(report, PHASE_DOWNLOADING, 0, 1);
	report_progress(report, PHASE_VERIFIED, 0, 2);
	report_progress(report, PHASE_APPLYING, 1, 2);
	report_progress(report, PHASE_COMMITTED, 3, 2);
	heard();
	report_restore_done(report, &outcome);
	is_string(heard(),
			  "{\"event\":\"done\",\"target_modified\":true,\"left_alone\":[\"a\",\"b\"],\"counts\":{"
			  "\"tables\":2}}\n",
			  "a restore's done");
	report_free(report);
	json_decref(outcome.left_alone);
	json_decref(outcome.counts);
}

static void
test_failed(void)
{
	Report		  *report = open_report(report_to_runner);
	Failure		   failure = {0};
	RestoreOutcome outcome = {0};

	failure_set(&failure, REASON_AUTH, "role \"x\"");
	report_failed(report, &failure, NULL);
	is_string(heard(), "{\"event\":\"failed\",\"reason\":\"auth\",\"detail\":\"role \\\"x\\\"\"}\n",
			  "failed, as the first word");
	ok(!report_said_done(report), "is not done");
	report_free(report);

	report = open_report(report_to_runner);
	report_failed(report, &failure, &outcome);
	ok(strstr(heard(), "\"target_modified\":false,\"left_alone\":[]}") != NULL,
	   "of a restore: what became of the target");
	report_free(report);

	report = open_report(report_to_runner);
	failure = (Failure){0};
	report_failed(report, &failure, NULL);
	ok(strstr(heard(), "\"reason\":\"internal\"") != NULL,
	   "a failure without a reason is a bug that is said");
	report_free(report);
}

static void
say_out_of_order(Report *report)
{
	RestoreOutcome outcome = {0};
	Failure		   failure = {0};

	report_progress(report, PHASE_DUMPING, 1, 1);
	report_upload(report, KEY, NULL);
	report_backup_done(report, &result);
	report_restore_done(report, &outcome);
	report_alive(report, "x");
	is_string(heard(), "", "before started: nothing is said");
	report_started(report, ATTEMPT, NULL, NULL);
	heard();
	report_started(report, ATTEMPT, NULL, NULL);
	is_string(heard(), "", "started twice");
	report_backup_done(report, &result);
	is_string(heard(), "", "done without upload");
	report_upload(report, KEY, NULL);
	heard();
	report_upload(report, KEY, NULL);
	is_string(heard(), "", "upload twice");
	report_progress(report, PHASE_STORING, 5, 5);
	heard();
	report_progress(report, PHASE_DUMPING, 6, 6);
	is_string(heard(), "", "a phase that goes back");
	report_restore_done(report, &outcome);
	is_string(heard(), "", "a restore's done without committed");
	report_backup_done(report, &result);
	ok(strstr(heard(), "\"done\"") != NULL && report_said_done(report), "in order: done");
	report_failed(report, &failure, NULL);
	report_backup_done(report, &result);
	report_progress(report, PHASE_STORING, 7, 7);
	usleep(1100000);
	report_progress(report, PHASE_STORING, 9, 9);
	report_alive(report, "still here");
	report_upload(report, KEY, NULL);
	is_string(heard(), "", "after the last word nothing");
	ok(report_said_done(report), "and it stays said");
}

static void
test_throttle(void)
{
	Report *report = open_report(report_to_runner);

	report_started(report, ATTEMPT, NULL, NULL);
	report_progress(report, PHASE_DUMPING, 100, 50);
	heard();
	report_alive(report, "too soon");
	is_string(heard(), "", "proof of life is throttled as well");
	usleep(1050000);
	report_progress(report, PHASE_DUMPING, 100, 50);
	is_string(heard(), "", "no bytes, no progress: a stalled job must look stalled");
	report_progress(report, PHASE_DUMPING, 90, 60);
	is_string(heard(),
			  "{\"event\":\"progress\",\"phase\":\"dumping\",\"bytes_read\":100,\"bytes_stored\":60}\n",
			  "after a second; counts never shrink");
	usleep(1050000);
	report_alive(report, "CREATE INDEX");
	is_string(heard(),
			  "{\"event\":\"progress\",\"phase\":\"dumping\",\"bytes_read\":100,\"bytes_stored\":60,"
			  "\"alive\":\"CREATE INDEX\"}\n",
			  "proof of life");
	report_free(report);
}

/* Everything that an engine hands over may come from a hostile server. */
static void
test_hostile_texts(void)
{
	Report		*report = open_report(report_to_runner);
	json_t		*notes = json_array();
	json_t		*counts = json_object();
	BackupResult large = result;
	char		 text[2000];
	char		 name[32];
	json_t		*event;

	secret_register("hunter2", 7);
	report_started(report, ATTEMPT, "tool\nwith\xFF", "server hunter2");
	is_string(heard(),
			  "{\"event\":\"started\",\"attempt_id\":\"" ATTEMPT
			  "\",\"tool\":\"tool with?\",\"server\":\"server ***\"}\n",
			  "versions are made clean");
	report_upload(report, KEY, "id");
	memset(text, 'n', sizeof(text) - 1);
	text[sizeof(text) - 1] = '\0';
	memcpy(text, "hunter2 ", 8);
	for (int i = 0; i < 5000; i++)
	{
		json_array_append_new(notes, json_string(text));
		snprintf(name, sizeof(name), "table-number-%d", i);
		json_object_set_new(counts, name, json_integer(i));
	}
	json_array_insert_new(notes, 0, json_integer(7));
	heard();
	large.notes = notes;
	large.counts = counts;
	report_backup_done(report, &large);
	heard();
	ok(report_said_done(report), "five thousand notes and counts: done is said");
	ok(strlen(said) <= 64 * 1024 && strchr(said, '\n') == said + strlen(said) - 1,
	   "in one line of at most 64 KiB");
	ok(strstr(said, "hunter2") == NULL && strstr(said, "*** nnn") != NULL, "the notes are scrubbed");
	event = json_loads(said, 0, NULL);
	is_int((long long) json_array_size(json_object_get(event, "notes")), 101, "a hundred of them");
	is_string(json_string_value(json_array_get(json_object_get(event, "notes"), 100)), "and 4901 more",
			  "and how many more there were");
	json_decref(event);
	json_decref(notes);
	json_decref(counts);
	secret_forget_all();
	report_free(report);
}

static void
test_lost_runner(void)
{
	Report *report = open_report(report_to_runner);
	Failure failure = {0};

	report_started(report, ATTEMPT, NULL, NULL);
	ok(report_may_go_on(report, &failure), "somebody listens");
	close(reader);
	ok(!report_may_go_on(report, &failure), "a closed pipe is noticed without a word");
	failure = (Failure){0};
	report_upload(report, KEY, NULL);
	ok(!report_may_go_on(report, &failure) && failure.reason == REASON_CANCELLED &&
		   strstr(failure.detail, "does not listen") != NULL,
	   "and with one (%s)", failure.detail);
	ok(cancel_requested(), "also where it waits for something else");
	report_backup_done(report, &result);
	ok(!report_said_done(report), "a done that nobody could read was not said");
	report_free(report);
}

static void
open_full_pipe(int fds[2])
{
	if (pipe2(fds, O_CLOEXEC | O_NONBLOCK) < 0 || fcntl(fds[1], F_SETPIPE_SZ, 4096) < 0)
		abort();
	while (write(fds[1], "\n", 1) == 1)
		;
}

/* A runner that reads late, on a descriptor that does not block. */
static void
test_slow_runner(void)
{
	int		fds[2];
	int		status;
	pid_t	pid;
	Failure failure = {0};
	Report *report;

	open_full_pipe(fds);
	pid = fork();
	if (pid == 0)
	{
		size_t	total = 0;
		ssize_t got;

		close(fds[1]);
		fcntl(fds[0], F_SETFL, 0);
		usleep(100000);
		while ((got = read(fds[0], said, sizeof(said))) > 0)
			total += (size_t) got;
		_exit(total > 4096 ? 0 : 1);
	}
	close(fds[0]);
	report = report_to_runner(fds[1]);
	report_started(report, ATTEMPT, NULL, NULL);
	ok(report_may_go_on(report, &failure), "a full pipe is waited for");
	report_free(report);
	close(fds[1]);
	waitpid(pid, &status, 0);
	is_int(status, 0, "and the line arrives");
}

/* A runner that has stopped reading, on a descriptor that blocks, when we are to end.  The flag stays set: in a child. */
static void
test_deaf_runner(void)
{
	int	  fds[2];
	int	  status;
	pid_t pid;

	open_full_pipe(fds);
	fcntl(fds[1], F_SETFL, 0);
	pid = fork();
	if (pid == 0)
	{
		Failure failure = {0};
		Report *report = report_to_runner(fds[1]);

		alarm(20);
		cancel_request();
		cancel_failure(&failure);
		report_failed(report, &failure, NULL);
		_exit(report_may_go_on(report, &failure) ? 1 : 0);
	}
	waitpid(pid, &status, 0);
	is_int(status, 0, "one that does not read at all is not waited for when all is to end");
	close(fds[0]);
	close(fds[1]);
}

static void
test_terminal(void)
{
	Report		  *report = open_report(report_to_terminal);
	RestoreOutcome outcome = {.target_modified = true,
							  .left_alone = json_pack("[s]", "extension postgis: another owner's")};
	Failure		   failure = {0};

	report_started(report, ATTEMPT, "pg_dump 17.2", "15.20");
	is_string(heard(), "server 15.20, pg_dump 17.2\n", "for people: who");
	report_upload(report, KEY, NULL);
	report_progress(report, PHASE_DUMPING, 5, 5);
	is_string(heard(), "", "no progress line into a file");
	report_backup_done(report, &result);
	is_string(heard(), "stored " KEY ": 10 bytes raw, 5 bytes stored, sha256 00ff\n", "what was stored");
	report_free(report);

	report = open_report(report_to_terminal);
	report_started(report, ATTEMPT, NULL, NULL);
	report_progress(report, PHASE_COMMITTED, 5, 5);
	report_restore_done(report, &outcome);
	is_string(heard(), "restored\nleft alone: extension postgis: another owner's\n", "what was left alone");
	ok(report_said_done(report), "done");
	report_free(report);
	json_decref(outcome.left_alone);

	outcome.left_alone = NULL;
	report = open_report(report_to_terminal);
	failure_set(&failure, REASON_RESTORE, "it broke");
	report_failed(report, &failure, &outcome);
	is_string(heard(), "failed (restore): it broke\nThe target was modified.\n",
			  "why it failed, and what became of the target");
	report_free(report);
}

int
main(void)
{
	Report *report;

	signal(SIGPIPE, SIG_IGN);
	test_backup();
	test_locks();
	test_restore();
	test_failed();
	report = open_report(report_to_runner);
	quietly(say_out_of_order, report);
	report_free(report);
	test_throttle();
	test_hostile_texts();
	test_without_memory();
	test_slow_runner();
	test_deaf_runner();
	test_terminal();
	/* Last: the flag stays set. */
	test_lost_runner();
	return done_testing();
}
