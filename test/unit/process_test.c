/* process.c, process_io.c: what a child gets, what comes back, and every way that it ends. */
#include "process.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "cancel.h"
#include "protect.h"
#include "secret.h"
#include "tap.h"

static char	  output[4 * 1024 * 1024];
static size_t output_length;

static double
seconds(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (double) now.tv_sec + (double) now.tv_nsec / 1e9;
}

static int
count_fds(void)
{
	DIR *dir = opendir("/proc/self/fd");
	int	 count = 0;

	while (readdir(dir) != NULL)
		count++;
	closedir(dir);
	return count;
}

static bool
start_shell(const char *script, const ChildSpec *base, Child *child, Failure *failure)
{
	char	 *argv[] = {"sh", "-c", (char *) script, NULL};
	ChildSpec spec = *base;

	spec.path = "/bin/sh";
	spec.argv = argv;
	*failure = (Failure){0};
	/* argv[0] outlives the array: it is a literal. */
	return child_start(&spec, child, failure);
}

static bool
read_all(Child *child, Failure *failure)
{
	size_t length;

	output_length = 0;
	do
	{
		if (!child_read(child, output + output_length, sizeof(output) - 1 - output_length, &length, failure))
			return false;
		output_length += length;
	} while (length > 0);
	output[output_length] = '\0';
	return true;
}

/* Runs a script to its end; its stdout is in `output`. */
static int
run_shell(const char *script, const ChildSpec *base)
{
	Failure failure;
	Child	child;
	int		status = -1;

	if (start_shell(script, base, &child, &failure) && read_all(&child, &failure) &&
		child_wait(&child, &failure))
		status = child.status;
	child_close(&child);
	return status;
}

static void
test_start(void)
{
	const ChildSpec reads = {.stdout_pipe = true};
	Failure			failure;
	Child			child;
	int				before = count_fds();

	ok(start_shell("echo out; echo err >&2; exit 3", &reads, &child, &failure), "starts (%s)",
	   failure.detail);
	ok(child.pid > 0 && child.stdin_fd == -1 && child.stdout_fd > 2, "with the pipes that were asked for");
	is_string(child_status_text(&child), "still runs", "it runs");
	ok(read_all(&child, &failure), "is read to its end");
	is_string(output, "out\n", "what it wrote");
	is_int(child.bytes_read, 4, "counted");
	ok(child_wait(&child, &failure) && child.reaped, "is waited for");
	is_string(child_status_text(&child), "exited with 3", "its status");
	is_string(child_stderr(&child), "err", "its stderr");
	ok(child_wait(&child, &failure), "waiting again is nothing");
	child_close(&child);
	child_close(&child);
	is_int(count_fds(), before, "no descriptor stays");

	ok(start_shell("kill -9 $$", &reads, &child, &failure) && child_wait(&child, &failure),
	   "one that is killed");
	is_string(child_status_text(&child), "killed by signal 9 (Killed)", "says so");
	child_close(&child);
}

/* Somebody who ignores SIGCHLD has the kernel throw statuses away. */
static void
test_lost_status(void)
{
	const ChildSpec none = {0};
	Failure			failure;
	Child			child;

	signal(SIGCHLD, SIG_IGN);
	ok(start_shell("exit 0", &none, &child, &failure) && child_wait(&child, &failure) && child.reaped &&
		   child.status != 0,
	   "a status that was lost is no success");
	child_close(&child);
	signal(SIGCHLD, SIG_DFL);
}

static void
test_surroundings(void)
{
	char	 *environment[] = {"ONE=1", "LC_ALL=C", NULL};
	ChildSpec spec = {.stdout_pipe = true};
	int		  leak = open("/dev/null", O_RDONLY); /* inheritable, on purpose */
	sigset_t  block;

	setenv("CUSTBACKUP_SECRET", "in our environment", 1);
	signal(SIGPIPE, SIG_IGN);
	signal(SIGUSR2, SIG_IGN);
	sigemptyset(&block);
	sigaddset(&block, SIGUSR1);
	sigprocmask(SIG_BLOCK, &block, NULL);

	run_shell("env | grep -v '^PWD=\\|^_=\\|^SHLVL=\\|^OLDPWD=' | sort; pwd", &spec);
	is_string(output, "LC_ALL=C\nPATH=/usr/local/bin:/usr/bin:/bin\n/\n",
			  "environment and directory are made, not inherited");
	spec.envp = environment;
	run_shell("/usr/bin/env | grep -v '^PWD=\\|^_=\\|^SHLVL=\\|^OLDPWD=' | sort", &spec);
	is_string(output, "LC_ALL=C\nONE=1\n", "or what the caller gives");
	spec.envp = NULL;
	run_shell("for f in /proc/self/fd/*; do readlink $f; done | grep -v '^/proc/\\|^$' | grep -vc "
			  "'pipe:\\|/dev/null'",
			  &spec);
	is_string(output, "0\n", "no descriptor of ours");
	run_shell("i=3; while [ $i -lt 300 ]; do [ -e /proc/$$/fd/$i ] && echo $i; i=$((i + 1)); done; echo end",
			  &spec);
	is_string(output, "end\n", "nothing but the three standard ones");
	run_shell("readlink /proc/$$/fd/0", &spec);
	is_string(output, "/dev/null\n", "stdin is /dev/null unless asked for");
	run_shell("ulimit -Sc; ulimit -Hc", &spec);
	is_string(output, "0\n0\n", "no core file, and no way to want one");
	/* Of itself: a shell may block signals for as long as it starts something. */
	run_shell("exec grep -E 'Sig(Blk|Ign)' /proc/self/status", &spec);
	is_string(output, "SigBlk:\t0000000000000000\nSigIgn:\t0000000000000000\n",
			  "no signal blocked, none ignored");
	run_shell("ps -o pgid= -p $$ | tr -d ' '; echo $$", &spec);
	ok(output_length > 0 && strncmp(output, strchr(output, '\n') + 1, strcspn(output, "\n")) == 0,
	   "a process group of its own");
	sigprocmask(SIG_UNBLOCK, &block, NULL);
	unsetenv("CUSTBACKUP_SECRET");
	close(leak);
}

static void
test_kept_fds(void)
{
	Failure	  failure = {0};
	int		  fds[CHILD_MAX_KEPT_FDS];
	ChildSpec spec = {.stdout_pipe = true};
	char	  script[256];
	size_t	  length = 0;

	for (int i = 0; i < CHILD_MAX_KEPT_FDS; i++)
	{
		char text[16];
		int	 made =
			secret_memfd("kept", text, (size_t) snprintf(text, sizeof(text), "number %d\n", i), &failure);

		/* High, low, with gaps between, in an order of their own. */
		fds[i] = fcntl(made, F_DUPFD_CLOEXEC, i % 2 == 0 ? 200 - 10 * i : 20 + 5 * i);
		close(made);
		spec.kept_fds[i] = fds[i];
		length +=
			(size_t) snprintf(script + length, sizeof(script) - length, "cat /proc/self/fd/%d; ", fds[i]);
	}
	run_shell(script, &spec);
	is_string(output, "number 0\nnumber 1\nnumber 2\nnumber 3\n", "kept descriptors have the same numbers");
	for (int i = 0; i < CHILD_MAX_KEPT_FDS; i++)
	{
		is_int(fcntl(fds[i], F_GETFD) & FD_CLOEXEC, FD_CLOEXEC, "and are still close-on-exec here");
		close(fds[i]);
	}
}

/* One child writes, another reads, and nothing passes through us. */
static void
test_joined(void)
{
	ChildSpec writes = {0};
	ChildSpec reads = {.stdout_pipe = true};
	Failure	  failure;
	Child	  writer;
	Child	  counter;
	int		  fds[2];

	if (pipe2(fds, O_CLOEXEC) < 0)
		abort();
	writes.stdout_fd = fds[1];
	reads.stdin_fd = fds[0];
	ok(start_shell("head -c 3000000 /dev/zero", &writes, &writer, &failure) &&
		   start_shell("wc -c", &reads, &counter, &failure),
	   "two children, joined (%s)", failure.detail);
	close(fds[0]);
	close(fds[1]);
	ok(read_all(&counter, &failure) && child_wait(&counter, &failure) && child_wait(&writer, &failure),
	   "run to their end");
	is_string(output, "3000000\n", "every byte arrives");
	child_close(&writer);
	child_close(&counter);
}

static void
test_exec_failures(void)
{
	char *argv[] = {"tool", NULL};
	static const struct
	{
		const char *path;
		const char *expected;
	} cases[] = {
		{"/nonexistent/pg_dump", "could not run \"/nonexistent/pg_dump\": No such file or directory"},
		{"/etc/passwd", "Permission denied"},
		{"/", "Permission denied"}};
	int before = count_fds();

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
	{
		ChildSpec spec = {.path = cases[i].path, .argv = argv, .stdin_pipe = true, .stdout_pipe = true};
		Failure	  failure = {0};
		Child	  child;

		ok(!child_start(&spec, &child, &failure) && failure.reason == REASON_CONFIG &&
			   strstr(failure.detail, cases[i].expected) != NULL,
		   "%s: %s", cases[i].path, failure.detail);
		ok(child.pid == 0 && child.stdin_fd == -1 && child.stdout_fd == -1 && child.stderr_fd == -1,
		   "the child is empty");
		child_close(&child);
	}
	is_int(count_fds(), before, "no descriptor stays");
	ok(waitpid(-1, NULL, WNOHANG) < 0 && errno == ECHILD, "no process either");
}

static void
test_limits(void)
{
	const ChildSpec reads = {.stdin_pipe = true, .stdout_pipe = true};
	struct rlimit	files;
	struct rlimit	few;
	Failure			failure;
	Child			child;
	int				before = count_fds();

	getrlimit(RLIMIT_NOFILE, &files);
	for (rlim_t limit = 3; limit < 11; limit++)
	{
		few = files;
		few.rlim_cur = limit;
		setrlimit(RLIMIT_NOFILE, &few);
		if (start_shell("exit 0", &reads, &child, &failure))
			break;
		child_close(&child);
		if (failure.reason != REASON_INTERNAL || strstr(failure.detail, "Too many open files") == NULL)
			break;
	}
	setrlimit(RLIMIT_NOFILE, &files);
	ok(failure.reason == REASON_INTERNAL && strstr(failure.detail, "Too many open files") != NULL,
	   "too few descriptors, by any number: internal (%s)", failure.detail);
	is_int(count_fds(), before, "and none stays");
}

static void
test_memory(void)
{
	const ChildSpec writes = {.stdout_pipe = true};
	struct rlimit	before;
	struct rlimit	limited;
	void *volatile block;
	Failure failure = {0};

	getrlimit(RLIMIT_DATA, &before);
	ok(protect_limit_memory(256 << 20, &failure) && protect_limit_memory(512 << 20, &failure),
	   "we limit our memory; a higher limit changes nothing");
	getrlimit(RLIMIT_DATA, &limited);
	if (limited.rlim_cur == before.rlim_cur)
		ok(true, "an allocation beyond it # SKIP not under a sanitizer, which needs the memory");
	else
	{
		ok((block = malloc(300 << 20)) == NULL, "an allocation beyond it fails");
		free(block);
	}
	is_int(run_shell("ulimit -S -d", &writes), 0, "a tool is started");
	is_string(output, "unlimited\n", "without that limit");
	setrlimit(RLIMIT_DATA, &before);
}

static void *
sleep_long(void *pipe_end)
{
	char byte;

	return read(*(int *) pipe_end, &byte, 1) < 0 ? NULL : pipe_end;
}

static void
test_threads(void)
{
	const ChildSpec none = {0};
	Failure			failure;
	Child			child;
	pthread_t		thread;
	int				fds[2];

	if (pipe2(fds, O_CLOEXEC) < 0)
		abort();
	pthread_create(&thread, NULL, sleep_long, &fds[0]);
	ok(!start_shell("exit 0", &none, &child, &failure) && failure.reason == REASON_INTERNAL &&
		   strstr(failure.detail, "while 2 threads are alive") != NULL,
	   "no fork while a thread is alive (%s)", failure.detail);
	child_close(&child);
	close(fds[1]);
	pthread_join(thread, NULL);
	close(fds[0]);
	/* The kernel takes a moment to forget a joined thread. */
	for (int i = 0; i < 100 && !start_shell("exit 0", &none, &child, &failure); i++)
		usleep(1000);
	ok(child.pid > 0 && child_wait(&child, &failure), "after it was joined");
	child_close(&child);
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
	ok(start_shell("echo all; setsid sleep 5 & exit 0", &reads, &child, &failure) &&
		   read_all(&child, &failure) && strcmp(output, "all\n") == 0,
	   "a stdout that somebody holds open ends with its tool (%s)", failure.detail);
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
	test_start();
	test_lost_status();
	test_surroundings();
	test_kept_fds();
	test_joined();
	test_exec_failures();
	test_limits();
	test_memory();
	test_threads();
	test_writing();
	test_reading();
	test_stderr();
	test_idle();
	test_close();
	test_parent_death();
	test_cancel();
	return done_testing();
}
