/*
 * buffer.h
 *	  Text that grows.  An allocation that fails is remembered instead of reported at
 *	  every step: the appends after it do nothing, and buffer_take() says so once.
 */
#ifndef BUFFER_H
#define BUFFER_H

#include <stdbool.h>
#include <stddef.h>

#include "failure.h"

typedef struct Buffer
{
	char  *text; /* NUL-terminated once something was appended; NULL before */
	size_t length;
	size_t capacity;
	bool   no_memory;
} Buffer;

extern void buffer_append(Buffer *buffer, const void *bytes, size_t length);
extern void buffer_text(Buffer *buffer, const char *text);
extern void buffer_format(Buffer *buffer, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* The text is the caller's and the buffer empty again; NULL: failure (no memory). */
extern char *buffer_take(Buffer *buffer, Failure *failure);

/* Empty again, ready for use. */
extern void buffer_free(Buffer *buffer);

#endif
