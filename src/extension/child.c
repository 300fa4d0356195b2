/*
 * child.c
 *	  posix_spawn of a mover, with nothing inherited by accident.
 *
 * A backend has some fifty descriptors open, files of the catalog among them,
 * ignores SIGPIPE, and blocks or handles signals that an ordinary program does
 * not expect to be blocked.  None of it reaches the child.  Job and settings lie
 * in anonymous memory files: they have no name, need no writer, and cannot block.
 */
#include "postgres.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "nodes/pg_list.h"
#include "storage/fd.h"

#include "child.h"

extern char **environ;

#define SETTINGS_FD	  3
#define FIRST_FREE_FD 4

/*
 * What the mover needs of the server's environment; a name that ends in '*' is a
 * prefix.  No proxy: that is a setting, custbackup.proxy.
 */
static const char *const passed_on[] = {"AWS_*", "SSL_CERT_*", "PATH", "TMPDIR", "TZ"};

static bool
is_passed_on(const char *variable)
{
	size_t name = strcspn(variable, "=");

	for (size_t i = 0; i < lengthof(passed_on); i++)
	{
		size_t length = strlen(passed_on[i]);

		if (passed_on[i][length - 1] == '*' ? strncmp(variable, passed_on[i], length - 1) == 0
											: name == length && strncmp(variable, passed_on[i], length) == 0)
			return true;
	}
	return false;
}

/* The strings are the server's own; only the array is new. */
static char **
environment_for_child(void)
{
	char **environment;
	int	   count = 0;
	bool   path = false;

	while (environ[count])
		count++;
	environment = palloc((count + 4) * sizeof(char *));
	count = 0;
	for (char **variable = environ; *variable; variable++)
	{
		if (!is_passed_on(*variable))
			continue;
		environment[count++] = *variable;
		path = path || strncmp(*variable, "PATH=", 5) == 0;
	}
	if (!path)
		environment[count++] = "PATH=/usr/local/bin:/usr/bin:/bin";
	/* libmongoc keeps its counters in a named shared memory file, which a killed mover would leave. */
	environment[count++] = "MONGOC_DISABLE_SHM=1";
	/* libpq brings GnuTLS along, by way of LDAP: who uses it sets it up then, not whoever merely loads it. */
	environment[count++] = "GNUTLS_NO_IMPLICIT_INIT=1";
	environment[count] = NULL;
	return environment;
}

/*
 * Where the server was started with closed descriptors, a new one may be one of
 * those that the child's own are copied to: keep clear of them.
 */
static int
above_childs_own(int fd)
{
	int above;

	if (fd < 0 || fd >= FIRST_FREE_FD)
		return fd;
	above = fcntl(fd, F_DUPFD_CLOEXEC, FIRST_FREE_FD);
	close(fd);
	return above;
}

static void
close_quietly(int fd)
{
	int saved_errno = errno;

	if (fd >= 0)
		close(fd);
	errno = saved_errno;
}

/* An anonymous file of this text, to be read from its start; -1 on failure. */
static int
memory_file(const char *name, const char *text)
{
	int	   fd = above_childs_own(memfd_create(name, MFD_CLOEXEC));
	size_t length = strlen(text);

	while (fd >= 0 && length > 0)
	{
		ssize_t written = write(fd, text, length);

		if (written < 0 && errno == EINTR)
			continue;
		if (written <= 0)
		{
			close_quietly(fd);
			return -1;
		}
		text += written;
		length -= written;
	}
	if (fd >= 0 && lseek(fd, 0, SEEK_SET) < 0)
	{
		close_quietly(fd);
		return -1;
	}
	return fd;
}

/* ends[0] is ours and never blocks, ends[1] is the child's; both -1 on failure. */
static bool
open_pipe(int ends[2])
{
	if (pipe2(ends, O_CLOEXEC) != 0)
	{
		ends[0] = ends[1] = -1;
		return false;
	}
	ends[0] = above_childs_own(ends[0]);
	ends[1] = above_childs_own(ends[1]);
	return ends[0] >= 0 && ends[1] >= 0 && fcntl(ends[0], F_SETFL, O_NONBLOCK) == 0;
}

static int
prepare_attributes(posix_spawnattr_t *attributes)
{
	sigset_t none;
	sigset_t all;
	int		 error;

	sigemptyset(&none);
	sigfillset(&all);
	if ((error = posix_spawnattr_setflags(attributes, POSIX_SPAWN_SETPGROUP | POSIX_SPAWN_SETSIGDEF |
														  POSIX_SPAWN_SETSIGMASK)) != 0 ||
		(error = posix_spawnattr_setpgroup(attributes, 0)) != 0 ||
		(error = posix_spawnattr_setsigdefault(attributes, &all)) != 0)
		return error;
	return posix_spawnattr_setsigmask(attributes, &none);
}

static int
prepare_actions(posix_spawn_file_actions_t *actions, int job, int events, int errors, int settings)
{
	int error;

	if ((error = posix_spawn_file_actions_adddup2(actions, job, STDIN_FILENO)) != 0 ||
		(error = posix_spawn_file_actions_adddup2(actions, events, STDOUT_FILENO)) != 0 ||
		(error = posix_spawn_file_actions_adddup2(actions, errors, STDERR_FILENO)) != 0 ||
		(error = posix_spawn_file_actions_adddup2(actions, settings, SETTINGS_FD)) != 0 ||
		(error = posix_spawn_file_actions_addclosefrom_np(actions, FIRST_FREE_FD)) != 0)
		return error;
	return posix_spawn_file_actions_addchdir_np(actions, "/");
}

/* 0, or the errno of whatever failed: exec's too. */
static int
spawn(pid_t *pid, const char *path, char **environment, int job, int events, int errors, int settings)
{
	char					  *arguments[] = {(char *) path, "run", "--settings-fd=3", NULL};
	posix_spawnattr_t		   attributes;
	posix_spawn_file_actions_t actions;
	int						   error;

	if ((error = posix_spawnattr_init(&attributes)) != 0)
		return error;
	if ((error = posix_spawn_file_actions_init(&actions)) == 0)
	{
		error = prepare_attributes(&attributes);
		if (error == 0)
			error = prepare_actions(&actions, job, events, errors, settings);
		if (error == 0)
			error = posix_spawn(pid, path, &actions, &attributes, arguments, environment);
		posix_spawn_file_actions_destroy(&actions);
	}
	posix_spawnattr_destroy(&attributes);
	return error;
}

/*
 * Two descriptors stay with us for as long as the child lives; the server counts
 * them.  A third must be left, for the worker to wait with.
 */
static bool
reserve_descriptors(void)
{
	int acquired = 0;

	while (acquired < 3 && AcquireExternalFD())
		acquired++;
	if (acquired == 3)
	{
		ReleaseExternalFD();
		return true;
	}
	while (acquired-- > 0)
		ReleaseExternalFD();
	return false;
}

static void
close_end(int *fd)
{
	if (*fd >= 0)
	{
		close(*fd);
		ReleaseExternalFD();
	}
	*fd = -1;
}

bool
child_start(Child *child, const char *path, const char *job, const char *settings)
{
	char **environment = environment_for_child(); /* first: nothing may raise an error behind a descriptor */
	int	   events[2] = {-1, -1};
	int	   errors[2] = {-1, -1};
	int	   job_fd = -1;
	int	   settings_fd = -1;
	int	   error;

	memset(child, 0, sizeof(*child));
	child->events = child->errors = -1;
	if (!reserve_descriptors())
	{
		errno = EMFILE;
		return false;
	}

	if (open_pipe(events) && open_pipe(errors) && (job_fd = memory_file("custbackup job", job)) >= 0 &&
		(settings_fd = memory_file("custbackup settings", settings)) >= 0)
		error = spawn(&child->pid, path, environment, job_fd, events[1], errors[1], settings_fd);
	else
		error = errno;

	close_quietly(events[1]);
	close_quietly(errors[1]);
	close_quietly(job_fd);
	close_quietly(settings_fd);
	pfree(environment);
	if (error == 0)
	{
		child->events = events[0];
		child->errors = errors[0];
		return true;
	}
	child->pid = 0;
	close_quietly(events[0]);
	close_quietly(errors[0]);
	ReleaseExternalFD();
	ReleaseExternalFD();
	errno = error;
	return false;
}

void
child_signal(const Child *child, int signal)
{
	if (child->pid <= 0)
		return;
	kill(-child->pid, signal);
	if (signal != SIGKILL)
		kill(-child->pid, SIGCONT);
}

/*
 * The group is killed while its leader is still a zombie: until it is reaped,
 * nobody else can get its number.
 */
bool
child_reap(Child *child)
{
	siginfo_t info = {0};

	if (child->pid == 0)
		return true;
	if (waitid(P_PID, child->pid, &info, WEXITED | WNOHANG | WNOWAIT) == 0 && info.si_pid == 0)
		return false;

	kill(-child->pid, SIGKILL);
	while (waitpid(child->pid, &child->status, WNOHANG) < 0 && errno == EINTR)
		;
	child->pid = 0;
	return true;
}

void
child_close_events(Child *child)
{
	close_end(&child->events);
}

void
child_close_errors(Child *child)
{
	close_end(&child->errors);
}
