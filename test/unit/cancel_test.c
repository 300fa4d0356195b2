/* cancel.c: the flag, the pipe, the second signal, the ten seconds, nohup. */
#include "cancel.h"

#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tap.h"

static bool
is_readable(void)
{
	struct pollfd fd = {.fd = cancel_fd(), .events = POLLIN};

	return poll(&fd, 1, 0) == 1 && (fd.revents & POLLIN) != 0;
}

/* The exit status of a child that runs `act`. */
static int
in_child(void (*act)(void))
{
	pid_t pid = fork();
	int	  status;

	if (pid == 0)
	{
		act();
		_exit(99);
	}
	waitpid(pid, &status, 0);
	return WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
}

static void
two_signals(void)
{
	raise(SIGTERM);
	raise(SIGINT);
}

static void
no_unwinding(void)
{
	raise(SIGTERM);
	/* Not ten seconds long for a test: what comes is what matters. */
	if (alarm(0) < 9)
		_exit(98);
	raise(SIGALRM);
}

static void
one_signal(void)
{
	raise(SIGHUP);
	if (cancel_requested() && is_readable())
		_exit(0);
}

static void
request_from_within(void)
{
	cancel_request();
	if (cancel_requested() && is_readable() && alarm(0) == 0)
		_exit(0);
}

static void
ignored_hangup(void)
{
	Failure failure = {0};

	signal(SIGHUP, SIG_IGN);
	cancel_install(&failure);
	raise(SIGHUP);
	_exit(cancel_requested() ? 1 : 0);
}

static void
blocked_before(void)
{
	Failure	 failure = {0};
	sigset_t all;

	sigfillset(&all);
	sigprocmask(SIG_SETMASK, &all, NULL);
	cancel_install(&failure);
	raise(SIGTERM);
	_exit(cancel_requested() ? 0 : 1);
}

int
main(void)
{
	Failure failure = {0};

	/* Whoever runs the tests may have said nohup. */
	signal(SIGHUP, SIG_DFL);
	is_int(cancel_fd(), -1, "no descriptor before it is installed");
	ok(!cancel_requested(), "nor a request");
	is_int(in_child(ignored_hangup), 0, "whoever said nohup means it");
	is_int(in_child(blocked_before), 0, "signals that were blocked before are not any more");
	ok(cancel_install(&failure), "installed");
	ok(cancel_fd() > 2 && !is_readable(), "quiet");
	is_int(in_child(one_signal), 0, "SIGHUP cancels");
	is_int(in_child(request_from_within), 0, "so does a request from within, without the ten seconds");
	is_int(in_child(two_signals), 1, "a second signal ends the process");
	is_int(in_child(no_unwinding), 1, "so do ten seconds without an end");
	ok(!cancel_requested(), "(this process has seen none yet)");
	raise(SIGTERM);
	alarm(0);
	ok(cancel_requested() && is_readable(), "SIGTERM sets the flag, and the descriptor is readable");
	ok(is_readable(), "for ever");
	ok(!cancel_failure(&failure) && failure.reason == REASON_CANCELLED, "the failure says cancelled");
	is_string(failure.detail, "cancelled by a signal", "in a sentence");
	return done_testing();
}
