/*
 * fd.c
 *	  Closing once, and writing to the last byte.
 */
#include "fd.h"

#include <errno.h>
#include <poll.h>
#include <unistd.h>

void
fd_close(int *fd)
{
	if (*fd >= 0)
		close(*fd);
	*fd = -1;
}

bool
fd_write_all(int fd, const char *bytes, size_t length)
{
	while (length > 0)
	{
		struct pollfd writable = {.fd = fd, .events = POLLOUT};
		ssize_t		  written = write(fd, bytes, length);

		if (written >= 0)
		{
			bytes += written;
			length -= (size_t) written;
		}
		else if (errno == EAGAIN)
			(void) poll(&writable, 1, -1);
		else if (errno != EINTR)
			return false;
	}
	return true;
}
