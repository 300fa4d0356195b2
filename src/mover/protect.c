/*
 * protect.c
 *	  What the process does to itself.
 */
#include "protect.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

/* In line before all others when the kernel needs memory; and no page of memory in a core file. */
#define OOM_SCORE_ADJ	"800"
#define COREDUMP_FILTER "0"

#ifdef __has_feature
#if __has_feature(address_sanitizer)
#define LEAKS_ARE_LOOKED_FOR
#endif
#endif
#ifdef __SANITIZE_ADDRESS__
#define LEAKS_ARE_LOOKED_FOR
#endif

/*
 * A pipe or file that is opened later must not get the number of a standard descriptor.
 * Not for writing: what goes to a standard output that was closed fails, and is not lost unseen.
 */
static bool
open_standard_fds(void)
{
	int fd;

	do
		fd = open("/dev/null", O_RDONLY);
	while (fd >= 0 && fd <= STDERR_FILENO);
	if (fd < 0)
		return false;
	close(fd);
	return true;
}

/* Where it is refused (a container without its own /proc), the kernel does as it likes. */
static void
tell_kernel(const char *file, const char *value)
{
	int fd = open(file, O_WRONLY | O_CLOEXEC);

	if (fd < 0)
		return;
	if (write(fd, value, strlen(value)) < 0)
		errno = 0;
	close(fd);
}

static bool
forbid_core_files(void)
{
	const struct rlimit no_core = {0, 0};

	if (setrlimit(RLIMIT_CORE, &no_core) < 0)
		return false;
#ifndef LEAKS_ARE_LOOKED_FOR
	/* The leak sanitizer is a tracer of its own process. */
	if (prctl(PR_SET_DUMPABLE, 0) < 0)
		return false;
#endif
	return true;
}

bool
protect_process(Failure *failure)
{
	struct sigaction ignore = {.sa_handler = SIG_IGN};
	struct sigaction standard = {.sa_handler = SIG_DFL};

	/*
	 * Before we are undumpable, when the files of /proc/self become root's.  Both go on to our tools: those
	 * are dumpable again, and a core_pattern that is a program gets a core file whatever the limit is.
	 */
	tell_kernel("/proc/self/oom_score_adj", OOM_SCORE_ADJ);
	tell_kernel("/proc/self/coredump_filter", COREDUMP_FILTER);
	umask(077);
	/*
	 * SIGXFSZ: at a limit on the size of files a write fails, as on a full disk.  SIGCHLD: whoever
	 * ignored it and started us would have the kernel throw our tools' statuses away.
	 */
	if (!forbid_core_files() || sigaction(SIGPIPE, &ignore, NULL) < 0 ||
		sigaction(SIGXFSZ, &ignore, NULL) < 0 || sigaction(SIGCHLD, &standard, NULL) < 0 ||
		!open_standard_fds())
		return failure_set_errno(failure, REASON_INTERNAL, "could not protect the process");
	return true;
}

bool
protect_limit_memory(int64_t bytes, Failure *failure)
{
	struct rlimit limit;

	if (getrlimit(RLIMIT_DATA, &limit) < 0)
		return failure_set_errno(failure, REASON_INTERNAL, "could not learn the limit of memory");
	/* One that somebody else has set lower stands. */
	if (limit.rlim_cur != RLIM_INFINITY && limit.rlim_cur <= (rlim_t) bytes)
		return true;
#ifndef LEAKS_ARE_LOOKED_FOR
	/* The address sanitizer's shadow counts as memory. */
	limit.rlim_cur = (rlim_t) bytes;
	if (setrlimit(RLIMIT_DATA, &limit) < 0)
		return failure_set_errno(failure, REASON_INTERNAL, "could not limit the memory");
#endif
	return true;
}

void
protect_close_inherited(int kept)
{
	if (kept > 3)
		(void) close_range(3, (unsigned) kept - 1, 0);
	(void) close_range(kept >= 3 ? (unsigned) kept + 1 : 3, ~0U, 0);
}

bool
protect_die_with(pid_t parent, Failure *failure)
{
	if (parent == 0)
		return true;
	if (prctl(PR_SET_PDEATHSIG, SIGKILL) < 0)
		return failure_set_errno(failure, REASON_INTERNAL, "could not bind our life to process %d",
								 (int) parent);
	/* If it died before that, nobody will tell us. */
	if (getppid() != parent)
		return failure_set(failure, REASON_INTERNAL,
						   "process %d, which was to start this one, is not its parent", (int) parent);
	return true;
}
