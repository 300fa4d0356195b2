/*
 * rdb_fuzzer.c
 *	  Any bytes, in two chunkings: the reader neither reads past them nor leaks, and
 *	  says the same whether they come at once or in small pieces.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "engines/crc64.h"
#include "engines/rdb.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static bool
digest_entry(void *context, const RdbEntry *entry, Failure *failure)
{
	uint64_t *digest = context;
	int64_t	  numbers[4] = {(int64_t) entry->database, entry->expires_at, entry->idle, entry->frequency};

	(void) failure;
	*digest = crc64_update(*digest, entry->key, entry->key_length);
	*digest = crc64_update(*digest, entry->payload, entry->payload_length);
	*digest = crc64_update(*digest, numbers, sizeof(numbers));
	return true;
}

static bool
digest_aux(void *context, const char *name, const char *value, Failure *failure)
{
	uint64_t *digest = context;

	(void) failure;
	*digest = crc64_update(crc64_update(*digest, name, strlen(name)), value, strlen(value));
	return true;
}

static bool
digest_function(void *context, const unsigned char *bytes, size_t length, Failure *failure)
{
	(void) failure;
	*(uint64_t *) context = crc64_update(*(uint64_t *) context, bytes, length);
	return true;
}

static bool
read_all(const uint8_t *data, size_t size, size_t chunk, uint64_t *digest)
{
	const RdbHandler handler = {
		.cut_values = true, .entry = digest_entry, .aux = digest_aux, .function = digest_function};
	Failure	   failure = {0};
	RdbReader *reader = rdb_reader_open(&handler, digest, REASON_INTEGRITY, &failure);
	bool	   passed = true;

	for (size_t at = 0; passed && at < size; at += chunk)
	{
		size_t step = chunk < size - at ? chunk : size - at;
		void  *copy = malloc(step);

		memcpy(copy, data + at, step);
		passed = rdb_reader_feed(reader, copy, step, &failure);
		free(copy);
	}
	passed = passed && rdb_reader_finish(reader, &failure);
	if (!passed && failure.reason == REASON_NONE)
		abort();
	rdb_reader_close(reader);
	return passed;
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	uint64_t whole = 0;
	uint64_t pieces = 0;

	if (read_all(data, size, SIZE_MAX, &whole) != read_all(data, size, 1 + size % 23, &pieces) ||
		whole != pieces)
		abort();
	return 0;
}
