/*
 * bytes.c
 *	  Growing by doubling, so that appending costs the same however long it gets.
 */
#include "engines/bytes.h"

#include <ctype.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

bool
bytes_reserve(Bytes *bytes, size_t more, Failure *failure)
{
	size_t		   needed;
	size_t		   capacity = bytes->capacity > 0 ? bytes->capacity : 256;
	unsigned char *data;

	if (more > SIZE_MAX / 4 - bytes->length)
		return failure_no_memory(failure);
	needed = bytes->length + more;
	if (needed <= bytes->capacity)
		return true;
	while (capacity < needed)
		capacity += capacity / 2;
	data = realloc(bytes->data, capacity);
	if (data == NULL)
		return failure_no_memory(failure);
	bytes->data = data;
	bytes->capacity = capacity;
	return true;
}

bool
bytes_append(Bytes *bytes, const void *data, size_t length, Failure *failure)
{
	if (length == 0)
		return true;
	if (!bytes_reserve(bytes, length, failure))
		return false;
	memcpy(bytes->data + bytes->length, data, length);
	bytes->length += length;
	return true;
}

void
bytes_reset(Bytes *bytes, size_t keep)
{
	if (bytes->capacity > keep)
		bytes_free(bytes);
	bytes->length = 0;
}

void
bytes_free(Bytes *bytes)
{
	free(bytes->data);
	*bytes = (Bytes){0};
}

/* What one byte may become, and what says that there were more. */
#define SHOWN_BYTE 4
#define SHOWN_MORE 4

void
bytes_show(char *text, size_t capacity, const void *bytes, size_t length)
{
	const unsigned char *from = bytes;
	size_t				 at = 0;
	size_t				 i = 0;

	for (; i < length && at + SHOWN_BYTE + SHOWN_MORE <= capacity; i++)
		at += (size_t) snprintf(text + at, capacity - at, isprint(from[i]) ? "%c" : "\\x%02x", from[i]);
	snprintf(text + at, capacity - at, "%s", i < length ? "..." : "");
}
