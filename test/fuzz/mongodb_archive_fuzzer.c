/*
 * mongodb_archive_fuzzer.c
 *	  Any bytes as a mongodump archive, in two chunkings: the reader neither reads past
 *	  them nor leaks, and says the same whether they come at once or in small pieces.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "engines/mongodb_archive.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* What was read, in one number; 0: broken. */
static uint64_t
read_all(const uint8_t *data, size_t size, size_t chunk)
{
	Failure			failure = {0};
	MongodbArchive *archive = mongodb_archive_open(REASON_INTEGRITY, &failure);
	uint64_t		digest = 1;
	bool			passed = true;

	for (size_t at = 0; passed && at < size; at += chunk)
	{
		size_t step = chunk < size - at ? chunk : size - at;
		void  *copy = malloc(step);

		memcpy(copy, data + at, step);
		passed = mongodb_archive_feed(archive, copy, step, &failure);
		free(copy);
	}
	passed = passed && mongodb_archive_finish(archive, &failure);
	if (!passed && failure.reason == REASON_NONE)
		abort();
	for (size_t i = 0; i < mongodb_archive_count(archive); i++)
	{
		const MongodbNamespace *each = mongodb_archive_namespace(archive, i);

		digest = digest * 31 + (uint64_t) each->documents + each->crc + strlen(each->collection) + each->kind;
	}
	mongodb_archive_close(archive);
	return passed ? digest | 1 : 0;
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	if (read_all(data, size, SIZE_MAX) != read_all(data, size, 1 + size % 23))
		abort();
	return 0;
}
