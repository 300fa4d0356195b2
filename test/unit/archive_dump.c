/*
 * archive_dump.c
 *	  Prints what our reader finds in a custom archive, for comparison with pg_restore.
 *
 *	archive_dump list FILE      as pg_restore --list --verbose, without its head
 *	archive_dump header FILE    name=value lines
 *	archive_dump entries FILE   one JSON array an entry, everything that it holds
 *	archive_dump locks FILE     the locks to drop and to create what it holds
 *	archive_dump prove FILE     the counts as JSON, or exit 1 and what is wrong
 *
 * FILE may be - for stdin.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <jansson.h>

#include "engines/engine.h"
#include "engines/postgres_archive.h"

static bool
read_file(void *context, void *buffer, size_t capacity, size_t *length, Failure *failure)
{
	ssize_t got = read(*(int *) context, buffer, capacity);

	*length = got > 0 ? (size_t) got : 0;
	return got >= 0 || failure_set_errno(failure, REASON_INTERNAL, "could not read");
}

static void
print_list(const PostgresArchive *archive)
{
	Failure failure = {0};
	bool   *chosen = calloc(archive->entry_count + 1, sizeof *chosen);

	for (size_t i = 0; i < archive->entry_count; i++)
	{
		const TocEntry *entry = &archive->entries[i];

		chosen[i] = true;
		if (!postgres_archive_write_list(archive, chosen, stdout, &failure))
			exit(1);
		chosen[i] = false;
		for (size_t j = 0; j < entry->dependency_count; j++)
			printf("%s%d", j == 0 ? ";\tdepends on: " : " ", entry->dependencies[j]);
		if (entry->dependency_count > 0)
			printf("\n");
	}
	free(chosen);
}

static void
print_header(const PostgresArchive *archive)
{
	printf("version=1.%d\ncompression=%d\ncreated=%s\ndatabase=%s\nserver_version=%s\ndump_version=%s\n"
		   "encoding=%s\nstandard_conforming_strings=%d\nentries=%zu\nlarge_objects=%zu\n",
		   archive->version_minor, archive->compression, archive->created, archive->database,
		   archive->server_version, archive->dump_version, archive->encoding,
		   archive->standard_conforming_strings, archive->entry_count,
		   postgres_archive_large_objects(archive));
}

static void
print_entries(const PostgresArchive *archive)
{
	for (size_t i = 0; i < archive->entry_count; i++)
	{
		const TocEntry *entry = &archive->entries[i];
		json_t		   *array =
			json_pack("[i s i b s? s? s? s? s? s? s? s?]", entry->dump_id, toc_class_desc(entry->class),
					  (int) entry->section, entry->has_data, entry->tag, entry->namespace, entry->owner,
					  entry->tablespace, entry->table_access_method, entry->definition, entry->drop_statement,
					  entry->copy_statement);

		json_dumpf(array, stdout, JSON_COMPACT);
		printf("\n");
		json_decref(array);
	}
}

static bool
print_toc(const char *what, int fd, Failure *failure)
{
	PostgresArchive *archive;

	if (!postgres_archive_read_toc(read_file, &fd, REASON_INTEGRITY, &archive, failure))
		return false;
	if (strcmp(what, "list") == 0)
		print_list(archive);
	else if (strcmp(what, "header") == 0)
		print_header(archive);
	else if (strcmp(what, "entries") == 0)
		print_entries(archive);
	else
		printf("drop=%" PRIu64 "\ncreate=%" PRIu64 "\n", postgres_archive_drop_locks(archive, NULL),
			   postgres_archive_create_locks(archive, NULL));
	postgres_archive_free(archive);
	return true;
}

static bool
prove(int fd, Failure *failure)
{
	static char buffer[1 << 18];
	Inspector  *inspector = postgres_archive_inspector(REASON_DUMP, failure);
	json_t	   *counts = json_object();
	size_t		length = 1;
	bool		good = inspector != NULL;

	while (good && length > 0)
		good = read_file(&fd, buffer, sizeof buffer, &length, failure) &&
			   inspector->feed(inspector, buffer, length, failure);
	good = good && inspector->finish(inspector, counts, failure);
	if (good)
	{
		json_dumpf(counts, stdout, JSON_COMPACT | JSON_SORT_KEYS);
		printf("\n");
	}
	if (inspector)
		inspector->close(inspector);
	json_decref(counts);
	return good;
}

int
main(int argc, char **argv)
{
	Failure failure = {0};
	int		fd;
	bool	good;

	if (argc != 3)
	{
		fprintf(stderr, "usage: archive_dump list|header|entries|locks|prove FILE\n");
		return 2;
	}
	fd = strcmp(argv[2], "-") == 0 ? STDIN_FILENO : open(argv[2], O_RDONLY | O_CLOEXEC);
	if (fd < 0)
	{
		fprintf(stderr, "%s: %s\n", argv[2], strerror(errno));
		return 2;
	}
	good = strcmp(argv[1], "prove") == 0 ? prove(fd, &failure) : print_toc(argv[1], fd, &failure);
	if (!good)
		fprintf(stderr, "%s: %s\n", failure_reason_name(failure.reason), failure.detail);
	close(fd);
	return good ? 0 : 1;
}
