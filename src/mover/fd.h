/*
 * fd.h
 *	  What is done with a file descriptor in more than one place.
 */
#ifndef FD_H
#define FD_H

#include <stdbool.h>
#include <stddef.h>

/* Closes what is open and leaves -1. */
extern void fd_close(int *fd);

/* All of it; waits where a pipe is full.  False, with errno set: who was to read is gone. */
extern bool fd_write_all(int fd, const char *bytes, size_t length);

#endif
