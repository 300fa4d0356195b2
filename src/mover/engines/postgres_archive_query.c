/*
 * postgres_archive_query.c
 *	  What a restore asks of a table of contents that has been read.
 */
#include "engines/postgres_archive.h"

#include <string.h>

size_t
postgres_archive_count(const PostgresArchive *archive, TocClass toc_class)
{
	size_t count = 0;

	for (size_t i = 0; i < archive->entry_count; i++)
		count += archive->entries[i].class == toc_class;
	return count;
}

const TocEntry *
postgres_archive_find_extension(const PostgresArchive *archive, const char *name)
{
	for (size_t i = 0; i < archive->entry_count; i++)
	{
		const TocEntry *entry = &archive->entries[i];

		if (entry->class == TOC_EXTENSION && entry->tag && strcmp(entry->tag, name) == 0)
			return entry;
	}
	return NULL;
}

/* BLOB METADATA's definition is one oid a line. */
static size_t
lines(const char *text)
{
	size_t count = 0;

	for (; text && *text; text++)
		count += *text == '\n';
	return count;
}

static size_t
large_objects_of(const TocEntry *entry)
{
	if (entry->class == TOC_BLOB)
		return 1;
	return entry->class == TOC_BLOB_METADATA ? lines(entry->definition) : 0;
}

size_t
postgres_archive_large_objects(const PostgresArchive *archive)
{
	size_t count = 0;

	for (size_t i = 0; i < archive->entry_count; i++)
		count += large_objects_of(&archive->entries[i]);
	return count;
}

static uint64_t
locks(const PostgresArchive *archive, const bool *chosen, int (*locks_of)(TocClass))
{
	uint64_t sum = 0;

	for (size_t i = 0; i < archive->entry_count; i++)
	{
		const TocEntry *entry = &archive->entries[i];
		size_t objects = entry->class == TOC_BLOB_METADATA ? large_objects_of(entry) : 1;

		if (!chosen || chosen[i])
			sum += objects * (uint64_t) locks_of(entry->class);
	}
	return sum;
}

uint64_t
postgres_archive_drop_locks(const PostgresArchive *archive, const bool *chosen)
{
	return locks(archive, chosen, toc_class_drop_locks);
}

uint64_t
postgres_archive_create_locks(const PostgresArchive *archive, const bool *chosen)
{
	return locks(archive, chosen, toc_class_create_locks);
}

/* A name with a line break must not begin a line of its own; pg_restore prints a blank too. */
static void
put_name(const char *name, const char *if_none, FILE *stream)
{
	for (const char *c = name && (*name || !*if_none) ? name : if_none; *c; c++)
		putc(*c == '\n' || *c == '\r' ? ' ' : *c, stream);
}

bool
postgres_archive_write_list(const PostgresArchive *archive, const bool *chosen, FILE *stream,
							Failure *failure)
{
	for (size_t i = 0; i < archive->entry_count; i++)
	{
		const TocEntry *entry = &archive->entries[i];

		if (chosen && !chosen[i])
			continue;
		fprintf(stream, "%d; %u %u ", entry->dump_id, entry->catalog, entry->oid);
		put_name(entry->desc, "", stream);
		putc(' ', stream);
		put_name(entry->namespace, "-", stream);
		putc(' ', stream);
		put_name(entry->tag, "", stream);
		putc(' ', stream);
		put_name(entry->owner, "", stream);
		putc('\n', stream);
	}
	if (fflush(stream) != 0 || ferror(stream))
		return failure_set_errno(failure, REASON_INTERNAL, "could not write the list for pg_restore");
	return true;
}
