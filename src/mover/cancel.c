/*
 * cancel.c
 *	  The flag, the pipe, and the handler that sets both.
 */
#include "cancel.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <unistd.h>

#define SECONDS_TO_UNWIND 10

static volatile sig_atomic_t requested;
static int					 pipe_fds[2] = {-1, -1};

void
cancel_request(void)
{
	requested = 1;
	if (write(pipe_fds[1], "", 1) < 0)
	{
		/* Never full with a byte or two in it; the flag is set in any case. */
	}
}

/*
 * Children that are alive when the process ends here are killed by the kernel
 * (PDEATHSIG).  alarm() is our second signal if unwinding hangs.
 */
static void
handle_signal(int signal_number)
{
	int saved_errno = errno;

	(void) signal_number;
	if (requested)
		_exit(1);
	cancel_request();
	alarm(SECONDS_TO_UNWIND);
	errno = saved_errno;
}

static bool
install_handler(int signal_number)
{
	struct sigaction action = {.sa_handler = handle_signal};

	sigfillset(&action.sa_mask);
	return sigaction(signal_number, &action, NULL) == 0;
}

bool
cancel_install(Failure *failure)
{
	struct sigaction hangup;
	sigset_t		 ours;

	if (pipe_fds[0] < 0 && pipe2(pipe_fds, O_CLOEXEC | O_NONBLOCK) < 0)
		return failure_set_errno(failure, REASON_INTERNAL, "could not make the pipe for signals");

	/* Whoever said nohup means it. */
	if (sigaction(SIGHUP, NULL, &hangup) < 0 || (hangup.sa_handler != SIG_IGN && !install_handler(SIGHUP)) ||
		!install_handler(SIGTERM) || !install_handler(SIGINT) || !install_handler(SIGALRM))
		return failure_set_errno(failure, REASON_INTERNAL, "could not install the signal handlers");

	/* Whoever started us may have had them blocked, which exec passes on. */
	sigemptyset(&ours);
	sigaddset(&ours, SIGHUP);
	sigaddset(&ours, SIGTERM);
	sigaddset(&ours, SIGINT);
	sigaddset(&ours, SIGALRM);
	pthread_sigmask(SIG_UNBLOCK, &ours, NULL);
	return true;
}

bool
cancel_requested(void)
{
	return requested != 0;
}

int
cancel_fd(void)
{
	return pipe_fds[0];
}

bool
cancel_failure(Failure *failure)
{
	return failure_set(failure, REASON_CANCELLED, "cancelled by a signal");
}
