/*
 * postgres_archive_inspector.c
 *	  Proves that a stream is a whole custom archive, and counts what is in it.
 *
 * Of the table of contents only one byte a dump id is held: known, has data,
 * data met.  pg_dump numbers from 1 without gaps worth speaking of, so that is an
 * array.  Of the data nothing is held, and nothing looked at but line ends: COPY's
 * text format has one for each row.
 */
#include <stdlib.h>
#include <string.h>

#include <jansson.h>

#include "engines/engine.h"
#include "engines/postgres_archive.h"
#include "engines/postgres_archive_parser.h"

/* More objects than pg_dump itself could number in memory; bounds what a hostile archive may cost. */
#define DUMP_ID_LIMIT (1 << 26)

/* What pg_dump writes after the rows of COPY. */
#define COPY_END	   "\\.\n\n\n"
#define COPY_END_SIZE  (sizeof COPY_END - 1)
#define COPY_END_LINES 3

/* Bits of a dump id's state. */
#define ENTRY_KNOWN			   1
#define ENTRY_HAS_DATA		   2
#define ENTRY_IS_LARGE_OBJECTS 4
#define ENTRY_IS_COPY		   8
#define ENTRY_MET			   16

typedef struct ArchiveInspector
{
	Inspector	   inspector; /* first, so that the two are one pointer */
	ArchiveParser *parser;
	unsigned char *states; /* by dump id */
	size_t		   states_size;
	size_t		   count_of[TOC_CLASS_COUNT];
	size_t		   entries;
	size_t		   data_entries;
	uint64_t	   large_objects;
	bool		   compressed;
	bool		   all_rows_counted; /* no data but COPY's so far */

	/* the block that is passing */
	bool	 counts_rows;
	uint64_t lines;
	uint64_t rows;
	char	 tail[COPY_END_SIZE];
} ArchiveInspector;

static bool
take_header(void *context, const PostgresArchive *header, Failure *failure)
{
	ArchiveInspector *self = context;

	(void) failure;
	self->compressed = header->compression != 0;
	self->all_rows_counted = !self->compressed;
	return true;
}

static bool
grow_states(ArchiveInspector *self, int32_t dump_id, Failure *failure)
{
	size_t		   size = self->states_size ? self->states_size : 4096;
	unsigned char *grown;

	if ((size_t) dump_id < self->states_size)
		return true;
	if (dump_id >= DUMP_ID_LIMIT)
		return archive_parser_refuse(self->parser, failure, "an entry's dump id is %d, pg_dump counts from 1",
									 dump_id);
	while (size <= (size_t) dump_id)
		size *= 2;
	grown = realloc(self->states, size);
	if (!grown)
		return failure_no_memory(failure);
	memset(grown + self->states_size, 0, size - self->states_size);
	self->states = grown;
	self->states_size = size;
	return true;
}

static bool
take_entry(void *context, const TocEntry *entry, Failure *failure)
{
	ArchiveInspector *self = context;
	unsigned char	 *state;

	if (!grow_states(self, entry->dump_id, failure))
		return false;
	state = &self->states[entry->dump_id];
	if (*state & ENTRY_KNOWN)
		return archive_parser_refuse(self->parser, failure, "two entries have the dump id %d",
									 entry->dump_id);
	*state = ENTRY_KNOWN;
	if (entry->has_data)
		*state |= ENTRY_HAS_DATA;
	if (entry->class == TOC_BLOBS)
		*state |= ENTRY_IS_LARGE_OBJECTS;
	if (entry->copy_statement && *entry->copy_statement)
		*state |= ENTRY_IS_COPY;
	self->count_of[entry->class]++;
	self->entries++;
	self->data_entries += entry->has_data;
	return true;
}

static bool
take_toc_end(void *context, Failure *failure)
{
	(void) context;
	(void) failure;
	return true;
}

static bool
take_block(void *context, ArchiveBlock type, int32_t dump_id, Failure *failure)
{
	ArchiveInspector *self = context;
	unsigned char	 *state = (size_t) dump_id < self->states_size ? &self->states[dump_id] : NULL;

	if (!state || !(*state & ENTRY_KNOWN))
		return archive_parser_refuse(self->parser, failure,
									 "there is data of dump id %d, which its table of contents does not know",
									 dump_id);
	if (!(*state & ENTRY_HAS_DATA))
		return archive_parser_refuse(self->parser, failure,
									 "there is data of dump id %d, which should have none", dump_id);
	if (*state & ENTRY_MET)
		return archive_parser_refuse(self->parser, failure, "the data of dump id %d is there twice", dump_id);
	if ((type == ARCHIVE_BLOCK_LARGE_OBJECTS) != ((*state & ENTRY_IS_LARGE_OBJECTS) != 0))
		return archive_parser_refuse(self->parser, failure, "the data of dump id %d is of the wrong type",
									 dump_id);
	*state |= ENTRY_MET;
	self->counts_rows = !self->compressed && (*state & ENTRY_IS_COPY);
	if (type == ARCHIVE_BLOCK_DATA && !self->counts_rows)
		self->all_rows_counted = false;
	self->lines = 0;
	memset(self->tail, 0, sizeof self->tail);
	return true;
}

static void
take_large_object(void *context, uint32_t oid)
{
	ArchiveInspector *self = context;

	(void) oid;
	self->large_objects++;
}

static void
keep_tail(ArchiveInspector *self, const unsigned char *bytes, size_t length)
{
	if (length >= COPY_END_SIZE)
	{
		memcpy(self->tail, bytes + length - COPY_END_SIZE, COPY_END_SIZE);
		return;
	}
	memmove(self->tail, self->tail + length, COPY_END_SIZE - length);
	memcpy(self->tail + COPY_END_SIZE - length, bytes, length);
}

/* pg_dump makes a piece of each row: mostly memchr() finds its one line end at the last byte. */
static void
take_data(void *context, const unsigned char *bytes, size_t length)
{
	ArchiveInspector	*self = context;
	const unsigned char *end = bytes + length;

	if (!self->counts_rows)
		return;
	keep_tail(self, bytes, length);
	while (bytes < end && (bytes = memchr(bytes, '\n', (size_t) (end - bytes))) != NULL)
	{
		self->lines++;
		bytes++;
	}
}

static void
take_block_end(void *context)
{
	ArchiveInspector *self = context;
	bool			  ended = memcmp(self->tail, COPY_END, COPY_END_SIZE) == 0;

	self->rows += self->lines - (self->counts_rows && ended ? COPY_END_LINES : 0);
	self->lines = 0;
}

static bool
inspector_feed(Inspector *inspector, const void *bytes, size_t length, Failure *failure)
{
	ArchiveInspector *self = (ArchiveInspector *) inspector;

	return archive_parser_feed(self->parser, bytes, length, failure);
}

static bool
inspector_finish(Inspector *inspector, json_t *counts, Failure *failure)
{
	ArchiveInspector *self = (ArchiveInspector *) inspector;
	const size_t	 *of = self->count_of;
	const struct
	{
		const char *name;
		uint64_t	count;
	} all[] = {
		{"entries", self->entries},
		{"schemas", of[TOC_SCHEMA]},
		{"tables", of[TOC_TABLE] + of[TOC_FOREIGN_TABLE]},
		{"views", of[TOC_VIEW] + of[TOC_MATERIALIZED_VIEW]},
		{"sequences", of[TOC_SEQUENCE]},
		{"indexes", of[TOC_INDEX]},
		{"constraints", of[TOC_CONSTRAINT] + of[TOC_CHECK_CONSTRAINT] + of[TOC_FK_CONSTRAINT]},
		{"functions", of[TOC_FUNCTION] + of[TOC_PROCEDURE] + of[TOC_AGGREGATE]},
		{"extensions", of[TOC_EXTENSION]},
		{"data_entries", self->data_entries},
		{"large_objects", self->large_objects},
		{"rows", self->rows},
	};
	size_t listed = sizeof all / sizeof *all - (self->all_rows_counted ? 0 : 1);

	if (!archive_parser_finish(self->parser, failure))
		return false;
	for (size_t i = 0; i < listed; i++)
	{
		if (json_object_set_new(counts, all[i].name, json_integer((json_int_t) all[i].count)) != 0)
			return failure_no_memory(failure);
	}
	return true;
}

static void
inspector_close(Inspector *inspector)
{
	ArchiveInspector *self = (ArchiveInspector *) inspector;

	archive_parser_close(self->parser);
	free(self->states);
	free(self);
}

Inspector *
postgres_archive_inspector(FailureReason when, Failure *failure)
{
	static const ArchiveEvents events = {
		.header = take_header,
		.entry = take_entry,
		.toc_end = take_toc_end,
		.block = take_block,
		.large_object = take_large_object,
		.data = take_data,
		.block_end = take_block_end,
	};
	ArchiveInspector *self = calloc(1, sizeof *self);

	if (!self)
	{
		failure_no_memory(failure);
		return NULL;
	}
	self->inspector = (Inspector){inspector_feed, inspector_finish, inspector_close};
	self->parser = archive_parser_open(when, ARCHIVE_TEXTS_BEGIN, &events, self, failure);
	if (!self->parser)
	{
		free(self);
		return NULL;
	}
	return &self->inspector;
}
