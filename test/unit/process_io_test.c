/* process_io.c: what comes back from a child, what goes in, and every way that it ends. */
#include <fcntl.h>
#include <signal.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "cancel.h"
#include "process_running.h"
#include "secret.h"

static double
seconds(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (double) now.tv_sec + (double) now.tv_nsec / 1e9;
}

static void
test_writing(void)
{
	const ChildSpec both = {.stdin_pipe = true};
	ChildSpec		reads = {.stdin_pipe = true, .stdout_pipe = true};
	Failure			failure;
	Child			child;
	bool			broken;
	char		   *data = calloc(1, 3000000);

	/* The child writes far more to stderr than a pipe holds before it reads. */
	ok(start_shell("head -c 2000000 /dev/zero | tr '\\0' 'e' >&2; exec wc -c >&2", &both, &child, &failure),
	   "a noisy reader");
	ok(child_write(&child, data, 3000000, &broken, &failure) && !broken, "takes all (%s)", failure.detail);
	child_close_stdin(&child);
	ok(child_wait(&child, &failure) && child.status == 0, "and ends");
	ok(child.stderr_length == CHILD_STDERR_TAIL && child.stderr_cut, "its tail is capped");
	child_close(&child);

	ok(start_shell("exit 7", &both, &child, &failure), "one that does not read");
	ok(child_write(&child, data, 3000000, &broken, &failure) && broken, "a broken pipe is said, not failed");
	ok(child_wait(&child, &failure) && WEXITSTATUS(child.status) == 7, "the status tells why");
	ok(child_write(&child, data, 1, &broken, &failure) && broken, "afterwards it is still broken");
	child_close(&child);

	ok(start_shell("exec cat", &reads, &child, &failure) && child_write(&child, "echo", 4, &broken, &failure),
	   "both pipes");
	child_close_stdin(&child);
	ok(read_all(&child, &failure) && strcmp(output, "echo") == 0, "come and go");
	child_close(&child);
	free(data);
}

static void
test_reading(void)
{
	const ChildSpec reads = {.stdout_pipe = true};
	Failure			failure;
	Child			child;
	size_t			length;
	int				large_reads = 0;

	/* stderr is filled while we wait for stdout. */
	is_int(run_shell("head -c 1000000 /dev/zero >&2; echo late; head -c 1000000 /dev/zero >&2", &reads), 0,
		   "a flood on stderr");
	is_string(output, "late\n", "does not keep us from stdout");
	is_int(run_shell("head -c 3000000 /dev/zero", &reads), 0, "three megabytes");
	is_int((long long) output_length, 3000000, "arrive");

	/* pg_dump's way of writing: a read for each write would cost more than the dump. */
	ok(start_shell("exec dd if=/dev/zero bs=4096 count=4096 status=none", &reads, &child, &failure),
	   "16 megabytes by pages");
	while (child_read(&child, output, sizeof(output), &length, &failure) && length > 0)
		large_reads++;
	ok(child.bytes_read == 4096LL * 4096 && large_reads < 400, "take many fewer reads (%d)", large_reads);
	child_close(&child);

	/* A wait without a read must not hang on a full pipe. */
	ok(start_shell("head -c 3000000 /dev/zero; exit 5", &reads, &child, &failure) &&
		   child_wait(&child, &failure) && WEXITSTATUS(child.status) == 5,
	   "what nobody reads is thrown away by child_wait()");
	child_close(&child);

	ok(start_shell("exec >&- 2>&-; sleep 0.2; exit 4", &reads, &child, &failure) &&
		   child_read(&child, output, 10, &length, &failure) && length == 0 && child.stdout_fd == -1,
	   "stdout that ends before the process");
	ok(child_wait(&child, &failure) && WEXITSTATUS(child.status) == 4, "is not its end");
	ok(child_read(&child, output, 10, &length, &failure) && length == 0, "and stays ended");
	child_close(&child);

	/* In a session of its own, where killing the group does not reach it. */
	ok(start_shell("setsid sleep 66 & echo $!; exit 0", &reads, &child, &failure) &&
		   read_all(&child, &failure) && child.stdout_fd == -1,
	   "a stdout that somebody holds open ends with its tool (%s)", failure.detail);
	if (atoi(output) > 1)
		kill(atoi(output), SIGKILL);
	ok(child_wait(&child, &failure) && child.status == 0, "whose status is told");
	child_close(&child);
}

static void
stderr_is(const char *script, const char *expected, const char *what)
{
	const ChildSpec none = {0};
	Failure			failure;
	Child			child;

	if (!start_shell(script, &none, &child, &failure) || !child_wait(&child, &failure))
		abort();
	is_string(child_stderr(&child), expected, what);
	child_close(&child);
}

static void
test_stderr(void)
{
	const ChildSpec none = {0};
	Failure			failure;
	Child			child;
	const char	   *tail;

	secret_register("hunter2", 7);
	stderr_is("exit 0", "", "nothing");
	stderr_is("echo one >&2; echo two >&2", "one; two", "lines are joined");
	stderr_is("printf 'a\\0b\\001\\377' >&2", "a?b ?", "any bytes become text");
	stderr_is("echo password hunter2 >&2", "password ***", "secrets are scrubbed");
	stderr_is("(sleep 0.1; echo late >&2) & exit 0", "",
			  "a process that it left behind is killed with its group");

	/* The tail begins within a secret. */
	if (!start_shell("printf 'hunter2 and %4091s' x >&2", &none, &child, &failure) ||
		!child_wait(&child, &failure))
		abort();
	tail = child_stderr(&child);
	ok(child.stderr_cut && strstr(tail, "unter2") == NULL && strstr(tail, "ter2") == NULL &&
		   strstr(tail, "r2") == NULL,
	   "a cut secret leaves no part of itself");
	child_close(&child);
	if (!start_shell("printf 'hunter2 first\\nsecond %4077s' x >&2", &none, &child, &failure) ||
		!child_wait(&child, &failure))
		abort();
	ok(strncmp(child_stderr(&child), "second", 6) == 0,
	   "where there are lines, the first one that is whole comes first");
	child_close(&child);
	if (!start_shell("printf '%5000s\\n' x >&2", &none, &child, &failure) || !child_wait(&child, &failure))
		abort();
	is_string(child_stderr(&child), "x", "one line that is longer than the tail is told in part");
	child_close(&child);
	/* The tail begins with the second half of the secret. */
	secret_register("upper\nlower", 11);
	if (!start_shell("printf 'upper\\nlower %4090s' x >&2", &none, &child, &failure) ||
		!child_wait(&child, &failure))
		abort();
	ok(strstr(child_stderr(&child), "ower") == NULL, "nor does a secret of two lines: %.20s",
	   child_stderr(&child));
	child_close(&child);
	secret_forget_all();
}

static int idle_calls;

static bool
count_idle(void *context, Failure *failure)
{
	(void) failure;
	(*(int *) context)++;
	return true;
}

static bool
refuse_idle(void *context, Failure *failure)
{
	(void) context;
	return failure_set(failure, REASON_STALLED, "enough");
}

static void
test_idle(void)
{
	ChildSpec spec = {.stdout_pipe = true, .idle = count_idle, .idle_context = &idle_calls};
	Failure	  failure;
	Child	  child;

	ok(start_shell("sleep 2.5; echo x", &spec, &child, &failure) && read_all(&child, &failure),
	   "a child that is silent");
	ok(idle_calls >= 1 && idle_calls <= 3, "idle was called about once a second (%d)", idle_calls);
	child_close(&child);
	idle_calls = 0;
	ok(start_shell("sleep 2.5", &spec, &child, &failure) && child_wait(&child, &failure),
	   "one that is waited for");
	ok(idle_calls >= 1 && idle_calls <= 3, "as well (%d)", idle_calls);
	child_close(&child);
	spec.idle = refuse_idle;
	ok(start_shell("sleep 30", &spec, &child, &failure) && !read_all(&child, &failure) &&
		   failure.reason == REASON_STALLED,
	   "idle may end the waiting");
	child_close(&child);
}

/* A zombie that waits for its new parent is dead. */
static bool
is_alive(pid_t pid)
{
	char		path[64];
	char		line[512] = "";
	const char *state;
	FILE	   *file;

	snprintf(path, sizeof(path), "/proc/%d/stat", (int) pid);
	file = fopen(path, "r");
	if (file == NULL)
		return false;
	if (fgets(line, sizeof(line), file) == NULL)
		line[0] = '\0';
	fclose(file);
	state = strrchr(line, ')');
	return state != NULL && state[2] != 'Z' && state[2] != 'X';
}

static void
test_close(void)
{
	const ChildSpec reads = {.stdin_pipe = true, .stdout_pipe = true};
	Failure			failure;
	Child			child;
	double			begun = seconds();
	pid_t			grandchild;

	ok(start_shell("exec sleep 60", &reads, &child, &failure), "a child that sleeps");
	child_close(&child);
	ok(seconds() - begun < 1.9 && child.reaped && !is_alive(child.pid), "SIGTERM ends it at once");
	is_string(child_status_text(&child), "killed by signal 15 (Terminated)", "and is its status");

	begun = seconds();
	ok(start_shell("trap '' TERM; echo ready; while :; do sleep 60; done", &reads, &child, &failure),
	   "one that ignores SIGTERM");
	child_read(&child, output, 6, &output_length, &failure);
	child_close(&child);
	ok(seconds() - begun > 1.5 && seconds() - begun < 10 && WTERMSIG(child.status) == SIGKILL,
	   "is killed after two seconds");

	ok(start_shell("sleep 61 & echo $!; wait", &reads, &child, &failure) &&
		   child_read(&child, output, 20, &output_length, &failure),
	   "one with a child of its own");
	output[output_length] = '\0';
	grandchild = atoi(output);
	child_close(&child);
	for (int i = 0; i < 100 && is_alive(grandchild); i++)
		usleep(10000);
	ok(grandchild > 1 && !is_alive(grandchild), "which goes with it");

	/* An end of file on stdin must not look like the end of a script. */
	ok(start_shell("trap 'exit 9' TERM; read line; echo end of file >&2; exit 8", &reads, &child, &failure),
	   "a reader");
	usleep(100000);
	child_close(&child);
	ok(strstr(child_stderr(&child), "end of file") == NULL, "is ended before its stdin is");
}

/* Our own death is the child's: another process starts one and is killed. */
static void
test_parent_death(void)
{
	const ChildSpec none = {0};
	int				fds[2];
	int				status;
	pid_t			parent;
	pid_t			tool = 0;

	if (pipe(fds) < 0 || (parent = fork()) < 0)
		abort();
	if (parent == 0)
	{
		Failure failure;
		Child	child;

		if (!start_shell("exec sleep 62", &none, &child, &failure) ||
			write(fds[1], &child.pid, sizeof(pid_t)) < 0)
			_exit(1);
		pause();
	}
	if (read(fds[0], &tool, sizeof(pid_t)) != sizeof(pid_t))
		abort();
	ok(is_alive(tool), "a tool runs");
	kill(parent, SIGKILL);
	waitpid(parent, &status, 0);
	for (int i = 0; i < 100 && is_alive(tool); i++)
		usleep(10000);
	ok(!is_alive(tool), "within a second of its parent's kill -9 it is gone");
	close(fds[0]);
	close(fds[1]);
}

/* Last: the flag stays set. */
static void
test_cancel(void)
{
	const ChildSpec	 pipes = {.stdin_pipe = true, .stdout_pipe = true};
	Failure			 failure = {0};
	Child			 child;
	Child			 second;
	double			 begun;
	size_t			 length;
	bool			 broken;
	struct sigaction action;

	cancel_install(&failure);
	sigaction(SIGALRM, NULL, &action);
	ok(start_shell("exec sleep 63", &pipes, &child, &failure) &&
		   start_shell("exec sleep 64", &pipes, &second, &failure),
	   "children that sleep");
	if (fork() == 0)
	{
		usleep(200000);
		kill(getppid(), SIGTERM);
		_exit(0);
	}
	begun = seconds();
	ok(!child_read(&child, output, 10, &length, &failure) && failure.reason == REASON_CANCELLED &&
		   seconds() - begun < 10,
	   "SIGTERM ends the wait for bytes");
	alarm(0);
	failure = (Failure){0};
	ok(!child_read(&second, output, 10, &length, &failure) && failure.reason == REASON_CANCELLED,
	   "the next one at once");
	failure = (Failure){0};
	ok(!child_write(&second, "x", 1, &broken, &failure) && failure.reason == REASON_CANCELLED, "a write too");
	failure = (Failure){0};
	ok(!child_wait(&second, &failure) && failure.reason == REASON_CANCELLED && !second.reaped,
	   "and the wait for its end");
	begun = seconds();
	child_close(&child);
	child_close(&second);
	ok(child.reaped && second.reaped && seconds() - begun < 3, "closing does what is left to do");
	wait(NULL);
}

int
main(void)
{
	signal(SIGPIPE, SIG_IGN);
	test_writing();
	test_reading();
	test_stderr();
	test_idle();
	test_close();
	test_parent_death();
	test_cancel();
	return done_testing();
}
