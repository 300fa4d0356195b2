/*
 * fd.c
 *	  Closing once, and reading and writing to the last byte.
 */
#include "fd.h"

#include <errno.h>
#include <limits.h>
#include <poll.h>
#include <stdint.h>
#include <unistd.h>

#include "cancel.h"
#include "clock.h"

#define LAST_WORDS 1000 /* milliseconds for what is said after a cancellation */

void
fd_close(int *fd)
{
	if (*fd >= 0)
		close(*fd);
	*fd = -1;
}

bool
fd_reader_is_gone(int fd)
{
	struct pollfd pipe = {.fd = fd};

	return poll(&pipe, 1, 0) > 0 && (pipe.revents & POLLERR) != 0;
}

bool
fd_read_all(int fd, char *buffer, size_t capacity, size_t *length, const char *what, Failure *failure)
{
	*length = 0;
	while (*length < capacity)
	{
		struct pollfd fds[2] = {{.fd = fd, .events = POLLIN}, {.fd = cancel_fd(), .events = POLLIN}};
		ssize_t		  got = -1;

		if (cancel_requested())
			return cancel_failure(failure);
		if (poll(fds, 2, -1) > 0)
		{
			if (fds[0].revents == 0)
				continue;
			got = read(fd, buffer + *length, capacity - *length);
		}
		if (got == 0)
			break;
		if (got > 0)
			*length += (size_t) got;
		else if (errno != EINTR && errno != EAGAIN)
			return failure_set_errno(failure, REASON_CONFIG, "could not read %s", what);
	}
	return true;
}

/* Until it takes PIPE_BUF bytes.  False: it did not in time. */
static bool
wait_for_room(int fd, int64_t *deadline)
{
	int left;

	do
	{
		struct pollfd fds[2] = {{.fd = fd, .events = POLLOUT}, {.fd = cancel_fd(), .events = POLLIN}};

		left = -1;
		if (cancel_requested())
		{
			int64_t now = clock_milliseconds();

			if (*deadline == 0)
				*deadline = now + LAST_WORDS;
			left = *deadline > now ? (int) (*deadline - now) : 0;
			fds[1].fd = -1;
		}
		if (poll(fds, 2, left) > 0 && fds[0].revents != 0)
			return true;
	} while (left != 0);
	return false;
}

bool
fd_write_all(int fd, const char *bytes, size_t length)
{
	int64_t deadline = 0;

	while (length > 0)
	{
		ssize_t written;

		if (!wait_for_room(fd, &deadline))
		{
			errno = EAGAIN;
			return false;
		}
		/* A pipe that blocks takes this much at once where poll() says that it takes something. */
		written = write(fd, bytes, length < PIPE_BUF ? length : PIPE_BUF);
		if (written >= 0)
		{
			bytes += written;
			length -= (size_t) written;
		}
		else if (errno != EAGAIN && errno != EINTR)
			return false;
	}
	return true;
}
