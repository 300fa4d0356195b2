/*
 * postgres_archive_toc.c
 *	  Reads an archive's table of contents into memory.
 *
 * Texts and dependency lists lie in an arena of blocks that are freed together;
 * entries are one array in archive order, beside it an index by dump id.
 */
#include "engines/postgres_archive.h"

#include <stdalign.h>
#include <stdlib.h>
#include <string.h>

#include "engines/postgres_archive_parser.h"

#define READ_SIZE	((size_t) 64 << 10)
#define ARENA_BLOCK ((size_t) 256 << 10)

typedef struct ArenaBlock
{
	struct ArenaBlock *before;
	size_t			   used;
	size_t			   capacity;
	alignas(max_align_t) char bytes[];
} ArenaBlock;

/* What stands around a PostgresArchive: it is the first member. */
typedef struct HeldArchive
{
	PostgresArchive	 archive;
	ArenaBlock		*arena;
	TocEntry		*entries;
	size_t			 capacity;
	const TocEntry **by_dump_id;
	bool			 complete;
	ArchiveParser	*parser; /* while reading */
} HeldArchive;

static void *
arena_copy(HeldArchive *held, const void *bytes, size_t size)
{
	size_t		aligned = (size + alignof(int32_t) - 1) & ~(alignof(int32_t) - 1);
	ArenaBlock *block = held->arena;
	void	   *copy;

	if (!block || block->capacity - block->used < aligned)
	{
		size_t capacity = aligned > ARENA_BLOCK ? aligned : ARENA_BLOCK;

		block = malloc(sizeof *block + capacity);
		if (!block)
			return NULL;
		block->before = held->arena;
		block->used = 0;
		block->capacity = capacity;
		held->arena = block;
	}
	copy = memcpy(block->bytes + block->used, bytes, size);
	block->used += aligned;
	return copy;
}

/* Replaces a borrowed text by one of ours. */
static bool
keep_text(HeldArchive *held, const char **text)
{
	return !*text || (*text = arena_copy(held, *text, strlen(*text) + 1)) != NULL;
}

/* Most entries have the schema, owner and access method of the one before. */
static bool
keep_repeated_text(HeldArchive *held, const char **text, const char *before)
{
	if (*text && before && strcmp(*text, before) == 0)
	{
		*text = before;
		return true;
	}
	return keep_text(held, text);
}

/* What stands between the first two quotes. */
static const char *
quoted_value(HeldArchive *held, const char *definition)
{
	const char *begin = definition ? strchr(definition, '\'') : NULL;
	const char *end = begin ? strchr(begin + 1, '\'') : NULL;
	char		value[64];

	if (!end || (size_t) (end - begin) > sizeof value)
		return NULL;
	memcpy(value, begin + 1, (size_t) (end - begin - 1));
	value[end - begin - 1] = '\0';
	return arena_copy(held, value, (size_t) (end - begin));
}

static bool
take_header(void *context, const PostgresArchive *header, Failure *failure)
{
	HeldArchive		*held = context;
	PostgresArchive *archive = &held->archive;

	*archive = *header;
	archive->entry_count = 0;
	return (keep_text(held, &archive->database) && keep_text(held, &archive->server_version) &&
			keep_text(held, &archive->dump_version)) ||
		   failure_no_memory(failure);
}

static bool
grow(HeldArchive *held)
{
	size_t	  capacity = held->capacity ? held->capacity * 2 : 256;
	TocEntry *grown;

	if (held->archive.entry_count < held->capacity)
		return true;
	grown = realloc(held->entries, capacity * sizeof *grown);
	if (!grown)
		return false;
	held->entries = grown;
	held->capacity = capacity;
	return true;
}

static bool
keep_entry(HeldArchive *held, TocEntry *entry, const TocEntry *before)
{
	size_t dependencies = entry->dependency_count * sizeof *entry->dependencies;

	if (entry->class != TOC_OTHER)
		entry->desc = toc_class_desc(entry->class);
	else if (!keep_text(held, &entry->desc))
		return false;
	entry->dependencies = dependencies > 0 ? arena_copy(held, entry->dependencies, dependencies) : NULL;
	return (dependencies == 0 || entry->dependencies) && keep_text(held, &entry->tag) &&
		   keep_text(held, &entry->definition) && keep_text(held, &entry->drop_statement) &&
		   keep_text(held, &entry->copy_statement) &&
		   keep_repeated_text(held, &entry->namespace, before->namespace) &&
		   keep_repeated_text(held, &entry->owner, before->owner) &&
		   keep_repeated_text(held, &entry->tablespace, before->tablespace) &&
		   keep_repeated_text(held, &entry->table_access_method, before->table_access_method);
}

static bool
take_entry(void *context, const TocEntry *parsed, Failure *failure)
{
	static const TocEntry nothing_before;
	HeldArchive			 *held = context;
	PostgresArchive		 *archive = &held->archive;
	TocEntry			 *entry;

	if (!grow(held))
		return failure_no_memory(failure);
	entry = &held->entries[archive->entry_count];
	*entry = *parsed;
	if (!keep_entry(held, entry, archive->entry_count > 0 ? entry - 1 : &nothing_before))
		return failure_no_memory(failure);
	archive->entry_count++;
	if (entry->class == TOC_ENCODING)
		archive->encoding = quoted_value(held, entry->definition);
	if (entry->class == TOC_STDSTRINGS)
		archive->standard_conforming_strings = !entry->definition || !strstr(entry->definition, "'off'");
	return true;
}

static int
compare_dump_ids(const void *left, const void *right)
{
	int32_t a = (*(const TocEntry *const *) left)->dump_id;
	int32_t b = (*(const TocEntry *const *) right)->dump_id;

	return (a > b) - (a < b);
}

static bool
take_toc_end(void *context, Failure *failure)
{
	HeldArchive *held = context;
	size_t		 count = held->archive.entry_count;

	held->by_dump_id = calloc(count + 1, sizeof *held->by_dump_id);
	if (!held->by_dump_id)
		return failure_no_memory(failure);
	for (size_t i = 0; i < count; i++)
		held->by_dump_id[i] = &held->entries[i];
	qsort(held->by_dump_id, count, sizeof *held->by_dump_id, compare_dump_ids);
	for (size_t i = 1; i < count; i++)
	{
		if (held->by_dump_id[i - 1]->dump_id == held->by_dump_id[i]->dump_id)
			return archive_parser_refuse(held->parser, failure, "two entries have the dump id %d",
										 held->by_dump_id[i]->dump_id);
	}
	held->archive.entries = held->entries;
	held->complete = true;
	return true;
}

static bool
feed_until_complete(HeldArchive *held, PostgresArchiveRead read, void *context, Failure *failure)
{
	unsigned char *buffer = malloc(READ_SIZE);
	bool		   good = buffer || failure_no_memory(failure);

	while (good && !held->complete)
	{
		size_t length;

		good = read(context, buffer, READ_SIZE, &length, failure);
		if (good)
			good = length > 0 ? archive_parser_feed(held->parser, buffer, length, failure)
							  : archive_parser_finish(held->parser, failure);
	}
	free(buffer);
	return good;
}

bool
postgres_archive_read_toc(PostgresArchiveRead read, void *context, FailureReason when,
						  PostgresArchive **archive, Failure *failure)
{
	static const ArchiveEvents events = {.header = take_header, .entry = take_entry, .toc_end = take_toc_end};
	HeldArchive				  *held = calloc(1, sizeof *held);
	bool					   good;

	*archive = NULL;
	if (!held)
		return failure_no_memory(failure);
	held->parser = archive_parser_open(when, ARCHIVE_TEXTS_WHOLE, &events, held, failure);
	good = held->parser && feed_until_complete(held, read, context, failure);
	archive_parser_close(held->parser);
	held->parser = NULL;
	if (good)
		*archive = &held->archive;
	else
		postgres_archive_free(&held->archive);
	return good;
}

void
postgres_archive_free(PostgresArchive *archive)
{
	HeldArchive *held = (HeldArchive *) archive;

	if (!held)
		return;
	while (held->arena)
	{
		ArenaBlock *before = held->arena->before;

		free(held->arena);
		held->arena = before;
	}
	free(held->entries);
	free(held->by_dump_id);
	free(held);
}

const TocEntry *
postgres_archive_find(const PostgresArchive *archive, int32_t dump_id)
{
	const HeldArchive	  *held = (const HeldArchive *) archive;
	const TocEntry		   wanted = {.dump_id = dump_id};
	const TocEntry		  *key = &wanted;
	const TocEntry *const *found =
		bsearch(&key, held->by_dump_id, archive->entry_count, sizeof *held->by_dump_id, compare_dump_ids);

	return found ? *found : NULL;
}
