/*
 * postgres_archive_toc_test.c
 *	  The table of contents of custom archives, and what a restore asks of it.
 */
#include <stdlib.h>
#include <string.h>

#include "archive_builder.h"
#include "archive_corpus.h"
#include "engines/postgres_archive.h"
#include "tap.h"

typedef struct MemoryReader
{
	const unsigned char *bytes;
	size_t				 length;
	size_t				 piece;
	size_t				 given;
} MemoryReader;

static bool
read_memory(void *context, void *buffer, size_t capacity, size_t *length, Failure *failure)
{
	MemoryReader *reader = context;

	(void) failure;
	*length = reader->length - reader->given;
	if (*length > reader->piece)
		*length = reader->piece;
	if (*length > capacity)
		*length = capacity;
	if (*length > 0)
		memcpy(buffer, reader->bytes + reader->given, *length);
	reader->given += *length;
	return true;
}

static PostgresArchive *
read_toc(const unsigned char *bytes, size_t length, size_t piece, Failure *failure)
{
	MemoryReader	 reader = {bytes, length, piece, 0};
	PostgresArchive *archive;

	postgres_archive_read_toc(read_memory, &reader, REASON_INTEGRITY, &archive, failure);
	return archive;
}

static void
test_toc(void)
{
	static const size_t pieces[] = {1, 13, 100000};
	Bytes				bytes = {.length = 0};

	put_sample(&bytes, 16);
	for (size_t i = 0; i < sizeof pieces / sizeof *pieces; i++)
	{
		Failure			 failure = {0};
		PostgresArchive *archive = read_toc(bytes.at, bytes.length, pieces[i], &failure);
		const TocEntry	*table;
		bool			 chosen[7] = {[3] = true, [6] = true};
		char			*list = NULL;
		size_t			 size;
		FILE			*stream = open_memstream(&list, &size);

		if (!ok(archive && archive->entry_count == 7, "the TOC is read in pieces of %zu: %s", pieces[i],
				failure.detail))
			exit(1);
		is_string(archive->created, "2026-11-23 13:04:05", "when it was dumped");
		is_string(archive->database, "shop", "the database");
		is_string(archive->server_version, "15.20", "the server's version");
		is_string(archive->dump_version, "17.11", "pg_dump's version");
		is_string(archive->encoding, "LATIN1", "the encoding");
		ok(!archive->standard_conforming_strings && archive->version_minor == 16, "settings and version");
		table = postgres_archive_find(archive, 12);
		ok(table == &archive->entries[3], "an entry is found by its dump id");
		ok(!postgres_archive_find(archive, 13) && !postgres_archive_find(archive, 0),
		   "what is not there is not");
		ok(table->class == TOC_TABLE && table->relkind == 'r' && table->dependency_count == 1 &&
			   table->dependencies[0] == 3 && !table->copy_statement &&
			   table->section == TOC_SECTION_PRE_DATA,
		   "what it says of itself");
		is_string(table->tag, "line\nbreak", "its name");
		is_int((long long) postgres_archive_large_objects(archive), 2, "large objects by their metadata");
		ok(postgres_archive_find_extension(archive, "vector") == &archive->entries[2] &&
			   !postgres_archive_find_extension(archive, "vecto"),
		   "an extension is found by name");
		ok(postgres_archive_write_list(archive, chosen, stream, &failure), "a list is written");
		fclose(stream);
		is_string(list,
				  "12; 1259 16384 TABLE public line break app\n"
				  "7; 1259 16384 BLOBS public name app\n",
				  "... of the chosen entries, a line each");
		free(list);
		postgres_archive_free(archive);
	}
}

static void
test_toc_end(void)
{
	Bytes			 bytes = {.length = 0};
	MemoryReader	 reader = {bytes.at, 0, 50, 0};
	Failure			 failure = {0};
	PostgresArchive *archive;
	FILE			*full = fopen("/dev/full", "w");

	put_sample(&bytes, 14);
	memset(bytes.at + bytes.length - 60, 0xff, 60); /* the data is somebody else's to judge */
	reader.length = bytes.length;
	ok(postgres_archive_read_toc(read_memory, &reader, REASON_INTEGRITY, &archive, &failure),
	   "data is not read");
	ok(reader.given < reader.length - 60, "... not even asked for");
	ok(!postgres_archive_write_list(archive, NULL, full, &failure) && failure.reason == REASON_INTERNAL,
	   "a list that cannot be written is a failure: %s", failure.detail);
	fclose(full);
	postgres_archive_free(archive);
	postgres_archive_free(NULL);

	for (size_t cut = 0; cut < 400; cut++)
	{
		failure.reason = REASON_NONE;
		if (read_toc(bytes.at, cut, 7, &failure) || failure.reason != REASON_INTEGRITY)
			ok(false, "a TOC of %zu bytes is refused", cut);
	}
	ok(true, "a TOC cut anywhere is refused");
}

/* Gives a text of a length that only an attacker would announce, and counts what was taken of it. */
static bool
read_endless(void *context, void *buffer, size_t capacity, size_t *length, Failure *failure)
{
	size_t		*given = context;
	static Bytes head;

	(void) failure;
	if (*given == 0)
	{
		head = begun(1);
		put_integer(&head, 1);
		put_integer(&head, 0);
		put_text(&head, "1");
		put_text(&head, "1");
		put_integer(&head, 2147483647);
		memcpy(buffer, head.at, head.length);
		*length = head.length;
	}
	else
	{
		memset(buffer, 'x', capacity);
		*length = capacity;
	}
	*given += *length;
	return true;
}

static void
test_limits(void)
{
	size_t			 given = 0;
	Failure			 failure = {0};
	PostgresArchive *archive;

	ok(!postgres_archive_read_toc(read_endless, &given, REASON_INTEGRITY, &archive, &failure) && !archive &&
		   failure.reason == REASON_NOT_RESTORABLE && strstr(failure.detail, "larger than 256 MiB"),
	   "a TOC above the limit: %s", failure.detail);
	ok(given < 1000, "... is refused by what it announces");
}

static void
test_classes(void)
{
	const char *before = "";
	bool		sorted = true;
	bool		found = true;

	for (int class = TOC_OTHER + 1; class < TOC_CLASS_COUNT; class ++)
	{
		const char *desc = toc_class_desc((TocClass) class);

		sorted = sorted && strcmp(before, desc) < 0;
		found = found && toc_class_of(desc) == (TocClass) class;
		before = desc;
	}
	ok(sorted, "the list of classes is sorted");
	ok(found, "each is found by its text");
	ok(toc_class_of("TABLES") == TOC_OTHER && toc_class_of("") == TOC_OTHER, "what is not in it is other");
}

static void
test_duplicates(void)
{
	Bytes	bytes = begun(2);
	Failure failure = {0};

	put_entry(&bytes, 15, PLAIN_ENTRY(5, "TABLE"));
	put_entry(&bytes, 15, PLAIN_ENTRY(5, "VIEW"));
	ok(!read_toc(bytes.at, bytes.length, 100, &failure) && failure.reason == REASON_INTEGRITY &&
		   strstr(failure.detail, "two entries have the dump id 5"),
	   "two entries of one dump id are refused: %s", failure.detail);
}

static uint64_t
locks(const char *desc, const char *definition, bool create)
{
	static const bool none[1];
	Bytes			  bytes = begun(1);
	Failure			  failure = {0};
	PostgresArchive	 *archive;
	uint64_t		  count;

	put_entry(&bytes, 15, (BuiltEntry){.dump_id = 5, .desc = desc, .definition = definition});
	archive = read_toc(bytes.at, bytes.length, 100, &failure);
	if (create)
		count = postgres_archive_create_locks(archive, NULL) - postgres_archive_create_locks(archive, none);
	else
		count = postgres_archive_drop_locks(archive, NULL) - postgres_archive_drop_locks(archive, none);
	postgres_archive_free(archive);
	return count;
}

/* The numbers themselves are compared with a server's in test/t/031_archive_locks.t. */
static void
test_locks(void)
{
	is_int((long long) locks("TABLE", "CREATE TABLE t (a integer);", false), 5, "to drop a table");
	is_int((long long) locks("TABLE", "CREATE TABLE t (a integer);", true), 4, "to create a table");
	is_int((long long) locks(
			   "TABLE",
			   "CREATE TABLE t (a integer DEFAULT 1 NOT NULL, b integer GENERATED ALWAYS AS (a) STORED,\n"
			   "    CONSTRAINT c CHECK (a > 0));",
			   false),
		   9, "... with a default, NOT NULL, a generated column and a check");
	is_int((long long) locks("TYPE", "CREATE TYPE t AS RANGE (\n", false), 10, "to drop a range");
	is_int((long long) locks("TYPE", "CREATE TYPE t AS RANGE (\n", true), 4, "to create a range");
	is_int((long long) locks("BLOB METADATA", "1\n2\n3\n", true), 3, "to create three large objects");
	is_int((long long) locks("BLOB METADATA", "1\n2\n3\n", false), 3, "... and to drop them");
	is_int((long long) locks("TABLE DATA", "", false), 0, "data is no object");
	is_int((long long) locks("SOMETHING NEW", "", true), 1, "what nobody knows is an object");
}

static void
test_real(const unsigned char *bytes, size_t length, const char *name)
{
	Failure			 failure = {0};
	PostgresArchive *archive = read_toc(bytes, length, 1000, &failure);
	bool			 known = archive != NULL;

	for (size_t i = 0; known && i < archive->entry_count; i++)
		known = archive->entries[i].class != TOC_OTHER;
	ok(known, "%s: its TOC has no class that we do not know: %s", name, failure.detail);
	is_string(archive ? archive->encoding : NULL, "UTF8", "its encoding");
	postgres_archive_free(archive);
}

int
main(void)
{
	test_toc();
	test_toc_end();
	test_limits();
	test_classes();
	test_duplicates();
	test_locks();
	ok(each_real_archive(test_real) >= 6, "archives of real pg_dumps");
	return done_testing();
}
