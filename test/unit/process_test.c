/* process.c: what a child gets, and what keeps one from starting. */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "process_running.h"
#include "protect.h"
#include "secret.h"

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
	return done_testing();
}
