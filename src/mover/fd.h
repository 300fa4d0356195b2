/*
 * fd.h
 *	  What is done with a file descriptor in more than one place.
 */
#ifndef FD_H
#define FD_H

#include <stdbool.h>
#include <stddef.h>

#include "failure.h"

/* Closes what is open and leaves -1. */
extern void fd_close(int *fd);

/* Of a pipe that we write: it tells its writer, who need not write for that. */
extern bool fd_reader_is_gone(int fd);

/*
 * Reads to the end, or until the buffer is full.  Watches cancel_fd().  what: "the job", for the
 * failure, REASON_CONFIG.
 */
extern bool fd_read_all(int fd, char *buffer, size_t capacity, size_t *length, const char *what,
						Failure *failure);

/*
 * All of it; waits where a pipe is full, once cancel_requested() for a second and no longer: whoever
 * wants us to end need not be the one who reads.  False, with errno set: it was not taken.
 */
extern bool fd_write_all(int fd, const char *bytes, size_t length);

#endif
