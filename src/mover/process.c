/*
 * process.c
 *	  Starting children.  What happens afterwards stands in process_io.c.
 *
 * Until exec the child runs in our memory, on a stack of its own, while we stand
 * still and every signal is blocked (as vfork does: copying the memory's map would
 * take longer than all the rest).  It calls nothing there that is not
 * async-signal-safe, changes nothing of ours, and everything that it needs was
 * computed before.  When a step fails it says which and why through a
 * close-on-exec pipe; when exec succeeds, that pipe just ends.
 */
#include "process.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <linux/close_range.h>

#include "fd.h"

#define PIPE_BYTES	(1024 * 1024)
#define STACK_BYTES ((size_t) 64 * 1024) /* of a child before its exec */

static char *default_environment[] = {"PATH=/usr/local/bin:/usr/bin:/bin", "LC_ALL=C", NULL};

/* Pipes of one child: the parent's end first. */
typedef struct Pipes
{
	int in[2];
	int out[2];
	int err[2];
	int status[2]; /* the child's step and errno, or nothing */
} Pipes;

typedef enum Step
{
	STEP_PREPARE,
	STEP_PARENT_GONE,
	STEP_EXEC
} Step;

typedef struct StepReport
{
	Step step;
	int	 error;
} StepReport;

/* What the child needs, all computed before the fork. */
typedef struct Launch
{
	const char *path;
	char	  **argv;
	char	  **envp;
	int			standard[3];
	int			status_fd;
	pid_t		parent;
	int			kept[CHILD_MAX_KEPT_FDS + 1]; /* with status_fd; ascending */
	int			kept_count;
} Launch;

/* A directory's link count: two, and one for each thread. */
static bool
check_single_thread(Failure *failure)
{
	struct stat st;

	if (stat("/proc/self/task", &st) < 0)
		return failure_set_errno(failure, REASON_CONFIG,
								 "could not look at /proc/self/task (is /proc mounted?)");
	if (st.st_nlink > 3)
		return failure_set(failure, REASON_INTERNAL,
						   "a bug: a child would be forked while %d threads are alive",
						   (int) st.st_nlink - 2);
	return true;
}

static void
close_pipes(Pipes *pipes)
{
	int *fds[] = {pipes->in, pipes->out, pipes->err, pipes->status};

	for (size_t i = 0; i < sizeof(fds) / sizeof(fds[0]); i++)
	{
		fd_close(&fds[i][0]);
		fd_close(&fds[i][1]);
	}
}

/* parents_end: 0 to read, 1 to write; it never blocks. */
static bool
open_pipe(int pair[2], int parents_end)
{
	int fds[2];

	if (pipe2(fds, O_CLOEXEC) < 0)
		return false;
	pair[0] = fds[parents_end];
	pair[1] = fds[1 - parents_end];
	/* Fewer and larger reads; refused to ordinary users who have many pipes, and that is fine. */
	(void) fcntl(pair[0], F_SETPIPE_SZ, PIPE_BYTES);
	return fcntl(pair[0], F_SETFL, O_NONBLOCK) == 0;
}

static bool
open_null(int pair[2], int flags)
{
	pair[1] = open("/dev/null", flags | O_CLOEXEC);
	return pair[1] >= 0;
}

static bool
open_pipes(const ChildSpec *spec, Pipes *pipes)
{
	if (spec->stdin_fd <= 0 && !(spec->stdin_pipe ? open_pipe(pipes->in, 1) : open_null(pipes->in, O_RDONLY)))
		return false;
	if (spec->stdout_fd <= 0 &&
		!(spec->stdout_pipe ? open_pipe(pipes->out, 0) : open_null(pipes->out, O_WRONLY)))
		return false;
	return open_pipe(pipes->err, 0) && pipe2(pipes->status, O_CLOEXEC) == 0;
}

static void
keep(Launch *launch, int fd)
{
	int at = launch->kept_count;

	while (at > 0 && launch->kept[at - 1] > fd)
	{
		launch->kept[at] = launch->kept[at - 1];
		at--;
	}
	launch->kept[at] = fd;
	launch->kept_count++;
}

static void
prepare_launch(const ChildSpec *spec, const Pipes *pipes, Launch *launch)
{
	*launch = (Launch){
		.path = spec->path,
		.argv = spec->argv,
		.envp = spec->envp != NULL ? spec->envp : default_environment,
		.standard = {spec->stdin_fd > 0 ? spec->stdin_fd : pipes->in[1],
					 spec->stdout_fd > 0 ? spec->stdout_fd : pipes->out[1], pipes->err[1]},
		.status_fd = pipes->status[1],
		.parent = getpid(),
	};
	keep(launch, launch->status_fd);
	for (int i = 0; i < CHILD_MAX_KEPT_FDS && spec->kept_fds[i] > 0; i++)
		keep(launch, spec->kept_fds[i]);
}

/* ---- in the child, before exec ---- */

static void __attribute__((noreturn)) give_up(const Launch *launch, Step step)
{
	StepReport report = {.step = step, .error = errno};

	while (write(launch->status_fd, &report, sizeof(report)) < 0 && errno == EINTR)
		;
	_exit(127);
}

/* Away from 0 to 2 first: a descriptor that is meant for one of them may be another of them. */
static bool
place_standard_fds(const Launch *launch)
{
	int moved[3];

	for (int i = 0; i < 3; i++)
		if ((moved[i] = fcntl(launch->standard[i], F_DUPFD_CLOEXEC, 3)) < 0)
			return false;
	for (int i = 0; i < 3; i++)
		if (dup2(moved[i], i) < 0)
			return false;
	return true;
}

static bool
close_gap(int first, int last)
{
	return first > last || close_range((unsigned) first, (unsigned) last, 0) == 0;
}

/* Everything from 3 on but what is kept, which survives exec (but for the status pipe). */
static bool
close_others(const Launch *launch)
{
	int next = 3;

	for (int i = 0; i < launch->kept_count; i++)
	{
		int fd = launch->kept[i];

		if (!close_gap(next, fd - 1) || (fd != launch->status_fd && fcntl(fd, F_SETFD, 0) < 0))
			return false;
		next = fd + 1;
	}
	return close_range((unsigned) next, ~0U, 0) == 0;
}

/*
 * By the system call: sigaction() refuses the two signals that glibc keeps for
 * itself, and glibc's own posix_spawn (make, the worker) leaves these ignored.
 * Zeroes are SIG_DFL without flags or mask, whatever the machine's layout.
 */
static void
reset_signals(void)
{
	static const unsigned long standard[8];
	sigset_t				   none;

	for (int i = 1; i < NSIG; i++)
		(void) syscall(SYS_rt_sigaction, i, standard, NULL, (size_t) NSIG / 8);
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
}

/* Ours (protect.h) is not the tool's, whose need grows with the database. */
static bool
lift_memory_limit(void)
{
	struct rlimit limit;

	if (getrlimit(RLIMIT_DATA, &limit) < 0)
		return false;
	limit.rlim_cur = limit.rlim_max;
	return setrlimit(RLIMIT_DATA, &limit) == 0;
}

/* Never returns; int is what clone() wants. */
static int
become_tool(void *context)
{
	const Launch	   *launch = context;
	const struct rlimit no_core = {0, 0};

	if (prctl(PR_SET_PDEATHSIG, SIGKILL) < 0)
		give_up(launch, STEP_PREPARE);
	/* If the parent died before that, nobody will tell us. */
	if (getppid() != launch->parent)
		give_up(launch, STEP_PARENT_GONE);
	if (setpgid(0, 0) < 0 || setrlimit(RLIMIT_CORE, &no_core) < 0 || !lift_memory_limit() || chdir("/") < 0 ||
		!place_standard_fds(launch) || !close_others(launch))
		give_up(launch, STEP_PREPARE);
	reset_signals();
	execve(launch->path, launch->argv, launch->envp);
	give_up(launch, STEP_EXEC);
}

/* ---- in the parent ---- */

/* True when exec succeeded: the pipe ends without a word. */
static bool
read_status(const ChildSpec *spec, int fd, Failure *failure)
{
	StepReport report;
	ssize_t	   got;

	while ((got = read(fd, &report, sizeof(report))) < 0 && errno == EINTR)
		;
	if (got == 0)
		return true;
	if (got != sizeof(report))
		return failure_set_errno(failure, REASON_INTERNAL, "could not learn how \"%s\" started", spec->path);
	errno = report.error;
	switch (report.step)
	{
		case STEP_EXEC:
			return failure_set_errno(failure, REASON_CONFIG, "could not run \"%s\"", spec->path);
		case STEP_PARENT_GONE:
			return failure_set(failure, REASON_INTERNAL, "could not run \"%s\": its parent is not ours",
							   spec->path);
		case STEP_PREPARE:
			break;
	}
	return failure_set_errno(failure, REASON_INTERNAL, "could not prepare the process for \"%s\"",
							 spec->path);
}

static pid_t
clone_tool(Launch *launch)
{
	sigset_t all;
	sigset_t before;
	pid_t	 pid = -1;
	char	*stack = malloc(STACK_BYTES);

	if (stack == NULL)
		return -1;
	/* No handler of ours may run in the child, which shares our pipes and memory. */
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	pid = clone(become_tool, stack + STACK_BYTES, CLONE_VM | CLONE_VFORK | SIGCHLD, launch);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	free(stack);
	return pid;
}

/* The parent's ends that the Child keeps; the others are closed by close_pipes(). */
static void
take_pipes(const ChildSpec *spec, Pipes *pipes, Child *child)
{
	if (spec->stdin_pipe && spec->stdin_fd <= 0)
	{
		child->stdin_fd = pipes->in[0];
		pipes->in[0] = -1;
	}
	if (spec->stdout_pipe && spec->stdout_fd <= 0)
	{
		child->stdout_fd = pipes->out[0];
		pipes->out[0] = -1;
	}
	child->stderr_fd = pipes->err[0];
	pipes->err[0] = -1;
}

static bool
start(const ChildSpec *spec, Pipes *pipes, Child *child, Failure *failure)
{
	Launch launch;
	pid_t  pid;

	if (!check_single_thread(failure))
		return false;
	if (!open_pipes(spec, pipes))
		return failure_set_errno(failure, REASON_INTERNAL, "could not make the pipes for \"%s\"", spec->path);
	prepare_launch(spec, pipes, &launch);
	pid = clone_tool(&launch);
	if (pid < 0)
		return failure_set_errno(failure, REASON_INTERNAL, "could not start a process for \"%s\"",
								 spec->path);

	/* Our copy must go, or the pipe would never end. */
	fd_close(&pipes->status[1]);
	if (!read_status(spec, pipes->status[0], failure))
	{
		kill(pid, SIGKILL);
		while (waitpid(pid, NULL, 0) < 0 && errno == EINTR)
			;
		return false;
	}
	child->pid = pid;
	child->name = spec->argv[0];
	child->idle = spec->idle;
	child->idle_context = spec->idle_context;
	take_pipes(spec, pipes, child);
	return true;
}

bool
child_start(const ChildSpec *spec, Child *child, Failure *failure)
{
	Pipes pipes = {{-1, -1}, {-1, -1}, {-1, -1}, {-1, -1}};
	bool  started;

	*child = (Child){.stdin_fd = -1, .stdout_fd = -1, .stderr_fd = -1};
	started = start(spec, &pipes, child, failure);
	close_pipes(&pipes);
	return started;
}
