/*
 * buffer.c
 *	  Text that grows.
 */
#include "stores/buffer.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static bool
reserve(Buffer *buffer, size_t length)
{
	size_t capacity = buffer->capacity > 0 ? buffer->capacity : 128;
	char  *text;

	if (buffer->no_memory)
		return false;
	while (capacity < buffer->length + length + 1)
		capacity *= 2;
	if (capacity == buffer->capacity)
		return true;
	text = realloc(buffer->text, capacity);
	if (!text)
	{
		buffer->no_memory = true;
		return false;
	}
	buffer->text = text;
	buffer->capacity = capacity;
	return true;
}

void
buffer_append(Buffer *buffer, const void *bytes, size_t length)
{
	if (!reserve(buffer, length))
		return;
	if (length > 0)
		memcpy(buffer->text + buffer->length, bytes, length);
	buffer->length += length;
	buffer->text[buffer->length] = '\0';
}

void
buffer_text(Buffer *buffer, const char *text)
{
	buffer_append(buffer, text, strlen(text));
}

void
buffer_format(Buffer *buffer, const char *format, ...)
{
	va_list args;
	int		length;

	va_start(args, format);
	length = vsnprintf(NULL, 0, format, args);
	va_end(args);
	if (length < 0 || !reserve(buffer, (size_t) length))
	{
		buffer->no_memory = true;
		return;
	}
	va_start(args, format);
	vsnprintf(buffer->text + buffer->length, (size_t) length + 1, format, args);
	va_end(args);
	buffer->length += (size_t) length;
}

char *
buffer_take(Buffer *buffer, Failure *failure)
{
	char *text;

	buffer_append(buffer, "", 0);
	if (buffer->no_memory)
	{
		buffer_free(buffer);
		failure_no_memory(failure);
		return NULL;
	}
	text = buffer->text;
	*buffer = (Buffer){0};
	return text;
}

void
buffer_free(Buffer *buffer)
{
	free(buffer->text);
	*buffer = (Buffer){0};
}
