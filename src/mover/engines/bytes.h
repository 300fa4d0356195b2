/*
 * bytes.h
 *	  A growing run of bytes with one owner.
 */
#ifndef BYTES_H
#define BYTES_H

#include <stdbool.h>
#include <stddef.h>

#include "failure.h"

typedef struct Bytes
{
	unsigned char *data; /* NULL: nothing yet */
	size_t		   length;
	size_t		   capacity;
} Bytes;

/* Makes room for `more` bytes behind the present ones. */
extern bool bytes_reserve(Bytes *bytes, size_t more, Failure *failure);
extern bool bytes_append(Bytes *bytes, const void *data, size_t length, Failure *failure);

/* Forgets the content; gives memory above `keep` bytes back. */
extern void bytes_reset(Bytes *bytes, size_t keep);
extern void bytes_free(Bytes *bytes);

/* A key as a person may read it: its first bytes, with what is not printable as \x00. */
extern void bytes_show(char *text, size_t capacity, const void *bytes, size_t length);

#endif
