/*
 * process_io.c
 *	  Living with a child: reading, writing, waiting, ending.
 *
 * Everything that waits does so in wait_for(), which drains stderr (a child that
 * blocks there would never be done with the pipe that we look at), watches for
 * cancellation, and calls the spec's idle function.  Reads and writes are tried
 * first and polled for only when they would block.
 */
#include "process.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/pidfd.h>
#include <sys/wait.h>
#include <unistd.h>

#include "cancel.h"
#include "clock.h"
#include "fd.h"
#include "secret.h"
#include "text.h"

#define IDLE_INTERVAL		   1000 /* milliseconds between two calls of idle */
#define TERMINATE_GRACE		   2000 /* from SIGTERM to SIGKILL */
#define WITHOUT_PIDFD_INTERVAL 20	/* kernels before 5.3: look again */
#define DISCARD_BYTES		   (64 * 1024)
#define FLOW_BYTES			   (1024 * 1024) /* after which a child is taken to be in full flow */
#define FLOW_ENOUGH			   (128 * 1024)	 /* in the pipe: read now */
#define FLOW_NAP			   1			 /* milliseconds in which the pipe may fill */
#define SILENCE_AFTER_END	   3000			 /* milliseconds, of a stdout that outlives its tool */
#define STATUS_LOST			   255

/* What one round of waiting found. */
typedef enum Waited
{
	WAITED_FAILED,
	WAITED_ROUND, /* stderr was drained, or time passed: look again */
	WAITED_READY
} Waited;

static void
remember_stderr(Child *child, const char *bytes, size_t length)
{
	size_t room = CHILD_STDERR_TAIL - child->stderr_length;

	if (length > CHILD_STDERR_TAIL)
	{
		bytes += length - CHILD_STDERR_TAIL;
		length = CHILD_STDERR_TAIL;
		child->stderr_cut = true;
	}
	if (length > room)
	{
		size_t out = length - room;

		memmove(child->stderr_tail, child->stderr_tail + out, child->stderr_length - out);
		child->stderr_length -= out;
		child->stderr_cut = true;
	}
	memcpy(child->stderr_tail + child->stderr_length, bytes, length);
	child->stderr_length += length;
}

/* One read at most: a flood must not keep us from stdout. */
void
child_drain_stderr(Child *child)
{
	char	buffer[16 * 1024];
	ssize_t got;

	if (child->stderr_fd < 0)
		return;
	got = read(child->stderr_fd, buffer, sizeof(buffer));
	if (got > 0)
		remember_stderr(child, buffer, (size_t) got);
	else if (got == 0 || (errno != EAGAIN && errno != EINTR))
		fd_close(&child->stderr_fd);
}

/* What a dead child left in the pipe; bounded, should a grandchild still write. */
static void
drain_stderr_rest(Child *child)
{
	for (int rounds = 0; rounds < 128 && child->stderr_fd >= 0; rounds++)
		child_drain_stderr(child);
	fd_close(&child->stderr_fd);
}

static bool
call_idle(Child *child, Failure *failure)
{
	int64_t now;

	if (child->idle == NULL)
		return true;
	now = clock_milliseconds();
	if (child->idle_at == 0)
		child->idle_at = now + IDLE_INTERVAL;
	if (now < child->idle_at)
		return true;
	child->idle_at = now + IDLE_INTERVAL;
	return child->idle(child->idle_context, failure);
}

static bool
has_ended(const Child *child)
{
	siginfo_t info = {0};

	return waitid(P_PID, (id_t) child->pid, &info, WEXITED | WNOHANG | WNOWAIT) < 0 || info.si_pid != 0;
}

/* Waits until fd has one of the events, at most `timeout` milliseconds, of which there are at most IDLE_INTERVAL. */
static Waited
wait_for(Child *child, int fd, short events, int timeout, Failure *failure)
{
	struct pollfd fds[3] = {{.fd = fd, .events = events},
							{.fd = child->stderr_fd, .events = POLLIN},
							{.fd = cancel_fd(), .events = POLLIN}};

	if (cancel_requested())
	{
		cancel_failure(failure);
		return WAITED_FAILED;
	}
	if (poll(fds, 3, timeout) < 0 && errno != EINTR)
	{
		failure_set_errno(failure, REASON_INTERNAL, "could not wait for \"%s\"", child->name);
		return WAITED_FAILED;
	}
	if (fds[1].revents != 0)
		child_drain_stderr(child);
	if (!call_idle(child, failure))
		return WAITED_FAILED;
	return fds[0].revents != 0 ? WAITED_READY : WAITED_ROUND;
}

/*
 * pg_dump writes a page at a time, and each would wake us, which costs both more
 * than the page itself: in full flow the pipe fills for a moment first.
 */
static bool
let_pipe_fill(Child *child, size_t capacity, Failure *failure)
{
	int waiting = 0;

	if (child->bytes_read < FLOW_BYTES || capacity < FLOW_ENOUGH ||
		ioctl(child->stdout_fd, FIONREAD, &waiting) < 0 || waiting >= FLOW_ENOUGH)
		return true;
	return wait_for(child, -1, 0, FLOW_NAP, failure) != WAITED_FAILED;
}

/*
 * A tool that went into the background, or left a process of its own, may leave its stdout
 * open for ever.  Once it has ended itself, silence is the end: whoever reads the bytes
 * says whether they are whole.
 */
static bool
is_left_open(Child *child)
{
	int64_t now = clock_milliseconds();

	if (!has_ended(child))
		return false;
	if (child->silent_since == 0)
		child->silent_since = now;
	return now - child->silent_since >= SILENCE_AFTER_END;
}

bool
child_read(Child *child, void *buffer, size_t capacity, size_t *length, Failure *failure)
{
	*length = 0;
	if (cancel_requested())
		return cancel_failure(failure);
	while (child->stdout_fd >= 0)
	{
		ssize_t got;

		if (!let_pipe_fill(child, capacity, failure))
			return false;
		got = read(child->stdout_fd, buffer, capacity);
		if (got > 0)
		{
			*length = (size_t) got;
			child->bytes_read += got;
			child->silent_since = 0;
			return true;
		}
		if (got == 0)
			fd_close(&child->stdout_fd);
		else if (errno == EAGAIN)
		{
			Waited waited = wait_for(child, child->stdout_fd, POLLIN, IDLE_INTERVAL, failure);

			if (waited == WAITED_FAILED)
				return false;
			if (waited == WAITED_ROUND && is_left_open(child))
				fd_close(&child->stdout_fd);
		}
		else if (errno != EINTR)
			return failure_set_errno(failure, REASON_INTERNAL, "could not read from \"%s\"", child->name);
	}
	return true;
}

bool
child_write(Child *child, const void *bytes, size_t length, bool *broken, Failure *failure)
{
	const char *from = bytes;

	*broken = child->stdin_fd < 0;
	if (cancel_requested())
		return cancel_failure(failure);
	while (length > 0 && !*broken)
	{
		ssize_t written = write(child->stdin_fd, from, length);

		if (written >= 0)
		{
			from += written;
			length -= (size_t) written;
		}
		else if (errno == EAGAIN)
		{
			if (wait_for(child, child->stdin_fd, POLLOUT, IDLE_INTERVAL, failure) == WAITED_FAILED)
				return false;
		}
		else if (errno == EPIPE)
			*broken = true;
		else if (errno != EINTR)
			return failure_set_errno(failure, REASON_INTERNAL, "could not write to \"%s\"", child->name);
	}
	return true;
}

void
child_close_stdin(Child *child)
{
	fd_close(&child->stdin_fd);
}

/*
 * Whoever is left of its group goes before the group's number can be given to
 * others.  A status that cannot be had (somebody else reaped it) is never taken
 * for success.
 */
static void
reap(Child *child)
{
	pid_t reaped;

	kill(-child->pid, SIGKILL);
	while ((reaped = waitpid(child->pid, &child->status, 0)) < 0 && errno == EINTR)
		;
	if (reaped < 0)
		child->status = W_EXITCODE(STATUS_LOST, 0);
	child->reaped = true;
}

static void
discard_stdout(Child *child)
{
	char buffer[DISCARD_BYTES];

	if (child->stdout_fd >= 0 && read(child->stdout_fd, buffer, sizeof(buffer)) == 0)
		fd_close(&child->stdout_fd);
}

/*
 * Waits for its end until `deadline` (0: none).  True: it has ended.  A child
 * that still writes to stdout is read, so that it can end.
 */
static bool
wait_for_end(Child *child, int pidfd, int64_t deadline, bool cancellable, Failure *failure)
{
	while (!has_ended(child))
	{
		struct pollfd fds[4] = {{.fd = pidfd, .events = POLLIN},
								{.fd = child->stderr_fd, .events = POLLIN},
								{.fd = child->stdout_fd, .events = POLLIN},
								{.fd = cancellable ? cancel_fd() : -1, .events = POLLIN}};
		int			  timeout = pidfd < 0 ? WITHOUT_PIDFD_INTERVAL : IDLE_INTERVAL;

		if (cancellable && cancel_requested())
			return cancel_failure(failure);
		if (deadline != 0)
		{
			int64_t left = deadline - clock_milliseconds();

			if (left <= 0)
				return false;
			if (left < timeout)
				timeout = (int) left;
		}
		if (poll(fds, 4, timeout) < 0 && errno != EINTR)
			return failure_set_errno(failure, REASON_INTERNAL, "could not wait for \"%s\"", child->name);
		child_drain_stderr(child);
		discard_stdout(child);
		if (cancellable && !call_idle(child, failure))
			return false;
	}
	return true;
}

bool
child_wait(Child *child, Failure *failure)
{
	int	 pidfd;
	bool ended;

	if (child->pid == 0 || child->reaped)
		return true;
	pidfd = pidfd_open(child->pid, 0);
	ended = wait_for_end(child, pidfd, 0, true, failure);
	fd_close(&pidfd);
	if (!ended)
		return false;
	reap(child);
	drain_stderr_rest(child);
	fd_close(&child->stdin_fd);
	fd_close(&child->stdout_fd);
	return true;
}

void
child_close(Child *child)
{
	if (child->pid != 0 && !child->reaped)
	{
		int pidfd = pidfd_open(child->pid, 0);

		/*
		 * Its stdin stays open meanwhile: an end of file there could look like the
		 * end of a script that is to be committed.
		 */
		kill(-child->pid, SIGTERM);
		(void) wait_for_end(child, pidfd, clock_milliseconds() + TERMINATE_GRACE, false, NULL);
		fd_close(&pidfd);
		reap(child);
		drain_stderr_rest(child);
	}
	if (child->pid == 0)
		return;
	fd_close(&child->stdin_fd);
	fd_close(&child->stdout_fd);
	fd_close(&child->stderr_fd);
}

const char *
child_status_text(const Child *child)
{
	static char text[96];

	if (!child->reaped)
		snprintf(text, sizeof(text), "still runs");
	else if (WIFSIGNALED(child->status))
		snprintf(text, sizeof(text), "killed by signal %d (%s)", WTERMSIG(child->status),
				 strsignal(WTERMSIG(child->status)));
	else
		snprintf(text, sizeof(text), "exited with %d", WEXITSTATUS(child->status));
	return text;
}

/*
 * A tail may begin within a secret, which would not be found: as much as the longest is left
 * out, and then the rest of that line, unless it is all that there is.
 */
static const char *
whole_tail(const Child *child)
{
	const char *end = child->stderr_tail + child->stderr_length;
	const char *from = child->stderr_tail;
	const char *newline;
	size_t		secret = secret_longest();

	if (!child->stderr_cut)
		return from;
	from += secret < child->stderr_length ? secret : child->stderr_length;
	newline = memchr(from, '\n', (size_t) (end - from));
	return newline != NULL && newline + 1 < end ? newline + 1 : from;
}

const char *
child_stderr(Child *child)
{
	static char text[2 * CHILD_STDERR_TAIL + 1];
	char		scrubbed[CHILD_STDERR_TAIL + 1];
	const char *tail = whole_tail(child);
	size_t		length = child->stderr_length - (size_t) (tail - child->stderr_tail);
	char	   *to = text;

	for (size_t i = 0; i < length; i++)
		scrubbed[i] = tail[i] != '\0' ? tail[i] : '?';
	scrubbed[length] = '\0';
	secret_scrub(scrubbed);

	/* Lines are joined by "; ", which is the only thing here that makes it longer. */
	for (const char *from = scrubbed; *from != '\0'; from++)
	{
		if (*from == '\n' && from[1] != '\0')
			*to++ = ';';
		*to++ = *from == '\n' ? ' ' : *from;
	}
	*to = '\0';
	text_make_line(text);
	return text;
}
