/*
 * dump.c
 *	  The raw bytes of a fetched backup, counted as they flow.
 */
#include "dump.h"

#include <stdlib.h>

#include "gzip.h"

struct DumpStream
{
	GzipReader *reader;
	int64_t		raw_bytes; /* -1: not recorded */
	int64_t		given;
};

DumpStream *
dump_open(const Dump *dump, Failure *failure)
{
	DumpStream *stream = malloc(sizeof(*stream));

	if (!stream)
	{
		failure_no_memory(failure);
		return NULL;
	}
	stream->raw_bytes = dump->raw_bytes;
	stream->given = 0;
	stream->reader = gzip_reader_open(dump->fd, dump->stored_bytes, failure);
	if (!stream->reader)
	{
		free(stream);
		return NULL;
	}
	return stream;
}

bool
dump_read(DumpStream *stream, void *buffer, size_t capacity, size_t *length, Failure *failure)
{
	if (!gzip_read(stream->reader, buffer, capacity, length, failure))
		return false;
	stream->given += (int64_t) *length;
	if (stream->raw_bytes < 0)
		return true;
	if (stream->given > stream->raw_bytes)
		return failure_set(failure, REASON_INTEGRITY,
						   "the stored object unpacks to more than the %lld raw bytes that were recorded",
						   (long long) stream->raw_bytes);
	if (*length == 0 && stream->given < stream->raw_bytes)
		return failure_set(failure, REASON_INTEGRITY,
						   "the stored object unpacks to %lld raw bytes instead of the recorded %lld",
						   (long long) stream->given, (long long) stream->raw_bytes);
	return true;
}

void
dump_close(DumpStream *stream)
{
	if (!stream)
		return;
	gzip_reader_close(stream->reader);
	free(stream);
}
