/*
 * postgres_archive_fuzzer.c
 *	  Any bytes as a custom archive: the proof, in pieces and in one, and the TOC.
 *
 * The first byte of an input decides how the rest is cut into pieces.  The
 * verdict must not depend on it; and what is proven whole must have a TOC that a
 * restore can read, of as many entries.
 *
 * The corpus has archives of pg_dump 15, 17 and 18 behind such a byte: of an
 * empty database, of a small one (written to a pipe, to a file, compressed, with
 * statistics), and the schema of test/lib/every_class.sql.
 */
#include <inttypes.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <jansson.h>

#include "engines/engine.h"
#include "engines/postgres_archive.h"

typedef struct Input
{
	const uint8_t *bytes;
	size_t		   length;
	size_t		   given;
	uint32_t	   cut; /* 0: all at once */
} Input;

static size_t
next_piece(Input *input, size_t capacity)
{
	size_t size = input->length - input->given;

	if (input->cut != 0)
	{
		input->cut = input->cut * 1103515245 + 12345;
		if (size > (input->cut >> 16) % 37 + 1)
			size = (input->cut >> 16) % 37 + 1;
	}
	if (size > capacity)
		size = capacity;
	input->given += size;
	return size;
}

static bool
read_input(void *context, void *buffer, size_t capacity, size_t *length, Failure *failure)
{
	Input		  *input = context;
	const uint8_t *from = input->bytes + input->given;

	(void) failure;
	*length = next_piece(input, capacity);
	if (*length > 0)
		memcpy(buffer, from, *length);
	return true;
}

static bool
prove(Input input, json_t *counts, Failure *failure)
{
	Inspector *inspector = postgres_archive_inspector(REASON_INTEGRITY, failure);
	bool	   good = inspector != NULL;

	while (good && input.given < input.length)
	{
		const uint8_t *from = input.bytes + input.given;
		size_t		   size = next_piece(&input, SIZE_MAX);
		uint8_t		  *copy = malloc(size); /* so that a byte too far is seen */

		memcpy(copy, from, size);
		good = inspector->feed(inspector, copy, size, failure);
		free(copy);
	}
	good = good && inspector->finish(inspector, counts, failure);
	if (inspector)
		inspector->close(inspector);
	return good;
}

static void
ask(const PostgresArchive *archive)
{
	static FILE *nowhere;
	Failure		 failure = {0};

	if (!nowhere)
		nowhere = fopen("/dev/null", "w");
	if (!postgres_archive_write_list(archive, NULL, nowhere, &failure))
		abort();
	for (size_t i = 0; i < archive->entry_count; i++)
	{
		const TocEntry *entry = &archive->entries[i];

		if (postgres_archive_find(archive, entry->dump_id) != entry)
			abort();
		if (entry->tag)
			postgres_archive_find_extension(archive, entry->tag);
	}
	postgres_archive_large_objects(archive);
	postgres_archive_drop_locks(archive, NULL);
	postgres_archive_create_locks(archive, NULL);
}

extern int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	Input			 whole = {0};
	Input			 pieces;
	Failure			 in_one = {0};
	Failure			 in_pieces = {0};
	Failure			 of_toc = {0};
	json_t			*counts;
	PostgresArchive *archive;
	bool			 good;

	if (size == 0)
		return 0;
	whole.bytes = data + 1;
	whole.length = size - 1;
	pieces = whole;
	counts = json_object();
	pieces.cut = data[0] + 1u;
	good = prove(whole, counts, &in_one);
	if (prove(pieces, counts, &in_pieces) != good || strcmp(in_one.detail, in_pieces.detail) != 0)
		abort();
	if (postgres_archive_read_toc(read_input, &pieces, REASON_INTEGRITY, &archive, &of_toc))
	{
		if (good &&
			json_integer_value(json_object_get(counts, "entries")) != (json_int_t) archive->entry_count)
			abort();
		ask(archive);
		postgres_archive_free(archive);
	}
	else if (good)
		abort();
	json_decref(counts);
	return 0;
}
