/*
 * postgres_archive_query.c
 *	  What a restore asks of a table of contents that has been read.
 */
#include "engines/postgres_archive.h"

#include <string.h>

/* Locks that a transaction holds once: the schema, roles, catalogues whose locks are not quick ones. */
#define LOCKS_ONCE 8

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

static bool
has_line(const char *text, const char *line)
{
	size_t length = strlen(line);

	while (text && *text)
	{
		if (strncmp(text, line, length) == 0 && (text[length] == '\n' || text[length] == '\0'))
			return true;
		text = strchr(text, '\n');
		text = text ? text + 1 : NULL;
	}
	return false;
}

bool
postgres_archive_has_large_object(const PostgresArchive *archive, const char *oid)
{
	for (size_t i = 0; i < archive->entry_count; i++)
	{
		const TocEntry *entry = &archive->entries[i];

		if (entry->class == TOC_BLOB ? entry->tag && strcmp(entry->tag, oid) == 0
									 : entry->class == TOC_BLOB_METADATA && has_line(entry->definition, oid))
			return true;
	}
	return false;
}

size_t
postgres_archive_large_objects(const PostgresArchive *archive)
{
	size_t count = 0;

	for (size_t i = 0; i < archive->entry_count; i++)
		count += large_objects_of(&archive->entries[i]);
	return count;
}

static int
occurrences(const char *text, const char *part)
{
	int count = 0;

	while (text && (text = strstr(text, part)) != NULL)
	{
		count++;
		text += strlen(part);
	}
	return count;
}

/*
 * Defaults, generated columns and checks inside a definition are objects of their
 * own, locked when dropped; from 18 on NOT NULL is one too.
 */
static uint64_t
drop_locks_of(const TocEntry *entry)
{
	const char *sql = entry->definition;
	uint64_t	locks = (uint64_t) toc_class_drop_locks(entry->class);

	switch (entry->class)
	{
		case TOC_TABLE:
		case TOC_FOREIGN_TABLE:
		case TOC_DOMAIN:
			return locks +
				   (uint64_t) (occurrences(sql, " DEFAULT ") + occurrences(sql, " NOT NULL") +
							   occurrences(sql, " GENERATED ALWAYS AS (") + occurrences(sql, "CONSTRAINT "));
		case TOC_TYPE: /* a range brings a multirange and their functions */
			return occurrences(sql, " AS RANGE ") ? 10 : locks;
		case TOC_BLOB_METADATA:
			return locks * large_objects_of(entry);
		default:
			return locks;
	}
}

static uint64_t
create_locks_of(const TocEntry *entry)
{
	uint64_t locks = (uint64_t) toc_class_create_locks(entry->class);

	if (entry->class == TOC_TYPE && occurrences(entry->definition, " AS RANGE "))
		return 4;
	return entry->class == TOC_BLOB_METADATA ? locks * large_objects_of(entry) : locks;
}

static uint64_t
sum_locks(const PostgresArchive *archive, const bool *chosen, uint64_t (*locks_of)(const TocEntry *))
{
	uint64_t sum = LOCKS_ONCE;

	for (size_t i = 0; i < archive->entry_count; i++)
	{
		if (!chosen || chosen[i])
			sum += locks_of(&archive->entries[i]);
	}
	return sum;
}

uint64_t
postgres_archive_drop_locks(const PostgresArchive *archive, const bool *chosen)
{
	return sum_locks(archive, chosen, drop_locks_of);
}

uint64_t
postgres_archive_create_locks(const PostgresArchive *archive, const bool *chosen)
{
	return sum_locks(archive, chosen, create_locks_of);
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
