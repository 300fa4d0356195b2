/*
 * postgres_archive_test.c
 *	  The reader of pg_dump's custom format, with archives made field by field
 *	  and with real ones of pg_dump 15, 17 and 18 (the fuzzer's corpus).
 */
#include <dirent.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <jansson.h>

#include "archive_builder.h"
#include "engines/engine.h"
#include "engines/postgres_archive.h"
#include "tap.h"

/* Feeds the inspector in pieces of `piece` bytes (0: sizes that change). */
static bool
prove(const unsigned char *bytes, size_t length, size_t piece, json_t *counts, Failure *failure)
{
	Inspector	*inspector = postgres_archive_inspector(REASON_DUMP, failure);
	unsigned int seed = 1;
	size_t		 at = 0;
	bool		 good = inspector != NULL;

	while (good && at < length)
	{
		size_t		   size = piece ? piece : (seed = seed * 1103515245 + 12345) >> 16 & 63;
		unsigned char *copy;

		/* A copy of its own, so that the sanitizer sees any byte read too far. */
		if (size > length - at)
			size = length - at;
		copy = malloc(size);
		memcpy(copy, bytes + at, size);
		good = inspector->feed(inspector, copy, size, failure);
		free(copy);
		at += size;
	}
	good = good && inspector->finish(inspector, counts, failure);
	if (inspector)
		inspector->close(inspector);
	return good;
}

/* Proof fails, with this reason and a detail that holds this text. */
static void
refused(const Bytes *bytes, FailureReason reason, const char *detail)
{
	Failure failure = {0};
	json_t *counts = json_object();
	bool	good = prove(bytes->at, bytes->length, 0, counts, &failure);

	if (!ok(!good && failure.reason == reason && strstr(failure.detail, detail) &&
				json_object_size(counts) == 0,
			"refused: %s", detail))
		printf("# got: %s: %s\n", good ? "whole" : failure_reason_name(failure.reason), failure.detail);
	json_decref(counts);
}

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
test_whole(int minor)
{
	static const size_t pieces[] = {1, 2, 3, 5, 7, 64, 4096, 0};
	Bytes				bytes = {.length = 0};

	put_sample(&bytes, minor);
	for (size_t i = 0; i < sizeof pieces / sizeof *pieces; i++)
	{
		Failure failure = {0};
		json_t *counts = json_object();
		bool	good = prove(bytes.at, bytes.length, pieces[i], counts, &failure);

		ok(good && json_integer_value(json_object_get(counts, "entries")) == 7 &&
			   json_integer_value(json_object_get(counts, "data_entries")) == 2 &&
			   json_integer_value(json_object_get(counts, "tables")) == 1 &&
			   json_integer_value(json_object_get(counts, "extensions")) == 1 &&
			   json_integer_value(json_object_get(counts, "large_objects")) == 2 &&
			   json_integer_value(json_object_get(counts, "rows")) == 3,
		   "1.%d is whole in pieces of %zu, and counted: %s", minor, pieces[i], failure.detail);
		json_decref(counts);
	}
}

/* Each cut and each byte more: refused, and never because of what it is not. */
static void
test_every_length(const unsigned char *whole, size_t length, const char *name)
{
	size_t		   cut;
	int			   more = 0;
	json_t		  *counts = json_object();
	unsigned char *longer = malloc(length + 1);

	for (cut = 0; cut < length; cut++)
	{
		Failure failure = {0};

		if (prove(whole, cut, 0, counts, &failure) ||
			(failure.reason != REASON_DUMP && failure.reason != REASON_TOO_SMALL) ||
			!strstr(failure.detail, cut == 0 ? "empty" : "it ends"))
			break;
	}
	ok(cut == length, "%s: every one of %zu cuts is refused", name, length);
	memcpy(longer, whole, length);
	for (; more < 256; more++)
	{
		Failure failure = {0};

		longer[length] = (unsigned char) more;
		if (prove(longer, length + 1, 4096, counts, &failure) || !strstr(failure.detail, "follows its end"))
			break;
	}
	ok(more == 256, "%s: any byte more is refused", name);
	ok(json_object_size(counts) == 0, "%s: no counts of what was refused", name);
	free(longer);
	json_decref(counts);
}

static Bytes
begun(int entries)
{
	Bytes bytes = {.length = 0};

	put_header(&bytes, 15, 0);
	put_integer(&bytes, entries);
	return bytes;
}

static void
test_contradictions(void)
{
	Bytes	two = begun(2);
	Bytes	bytes;
	json_t *counts;

	put_entry(&two, 15, TABLE_DATA_ENTRY(5));
	put_entry(&two, 15, TABLE_DATA_ENTRY(6));

	bytes = two;
	put_table_data(&bytes, 5);
	refused(&bytes, REASON_DUMP, "it ends after 1 of 2 data entries");
	put_table_data(&bytes, 5);
	refused(&bytes, REASON_DUMP, "the data of dump id 5 is there twice");

	bytes = two;
	put_table_data(&bytes, 5);
	put_table_data(&bytes, 6);
	put_table_data(&bytes, 6);
	refused(&bytes, REASON_DUMP, "the data of dump id 6 is there twice");

	bytes = two;
	put_table_data(&bytes, 99);
	refused(&bytes, REASON_DUMP, "dump id 99, which its table of contents does not know");
	bytes = two;
	put_table_data(&bytes, 2000000000);
	refused(&bytes, REASON_DUMP, "dump id 2000000000, which its table of contents does not know");
	bytes = two;
	put_large_objects(&bytes, 5);
	refused(&bytes, REASON_DUMP, "the data of dump id 5 is of the wrong type");
	bytes = two;
	put_byte(&bytes, 2);
	refused(&bytes, REASON_DUMP, "a block of data has the unknown type 2");
	bytes = two;
	put_byte(&bytes, 1);
	put_integer(&bytes, -5);
	refused(&bytes, REASON_DUMP, "a block's dump id is -5");

	bytes = begun(1);
	put_entry(&bytes, 15, PLAIN_ENTRY(5, "TABLE"));
	put_table_data(&bytes, 5);
	refused(&bytes, REASON_DUMP, "dump id 5, which should have none");

	bytes = begun(2);
	put_entry(&bytes, 15, PLAIN_ENTRY(5, "TABLE"));
	put_entry(&bytes, 15, PLAIN_ENTRY(5, "VIEW"));
	refused(&bytes, REASON_DUMP, "two entries have the dump id 5");
	ok(!read_toc(bytes.at, bytes.length, 100, &(Failure){0}), "... by the reader of the TOC too");

	bytes = begun(1);
	put_entry(&bytes, 15, TABLE_DATA_ENTRY(5));
	bytes.at[bytes.length - 9] = 3;
	refused(&bytes, REASON_DUMP, "entry 5 contradicts itself about whether it has data");
	bytes.at[bytes.length - 9] = 4;
	refused(&bytes, REASON_DUMP, "an entry's data position has the mark 4");
	bytes.at[bytes.length - 9] = 2;
	put_table_data(&bytes, 5);
	counts = json_object();
	ok(prove(bytes.at, bytes.length, 0, counts, &(Failure){0}), "a position that is known is good");
	json_decref(counts);
}

static void
test_lengths(void)
{
	static const struct
	{
		int64_t		length;
		const char *detail;
	} texts[] = {
		{-2, "an entry's name has a length of -2"},
		{-2147483648LL, "an entry's name has a length of -2147483648"},
		{2147483648LL, "an entry's name has a length of 2147483648"},
		{4294967295LL, "an entry's name has a length of 4294967295"},
		{2147483647, "it ends in its table of contents, entry 1 of 1, in an entry's name"},
	};
	static const int64_t chunks[] = {-1, -2147483648LL, 2147483648LL, 4294967295LL};
	Bytes				 bytes;

	for (size_t i = 0; i < sizeof texts / sizeof *texts; i++)
	{
		bytes = begun(1);
		put_integer(&bytes, 5);
		put_integer(&bytes, 0);
		put_text(&bytes, "1259");
		put_text(&bytes, "16384");
		put_integer(&bytes, texts[i].length);
		put_bytes(&bytes, "name", 4);
		refused(&bytes, REASON_DUMP, texts[i].detail);
	}
	for (size_t i = 0; i < sizeof chunks / sizeof *chunks; i++)
	{
		bytes = begun(1);
		put_entry(&bytes, 15, TABLE_DATA_ENTRY(5));
		put_byte(&bytes, 1);
		put_integer(&bytes, 5);
		put_chunk(&bytes, "a row\n");
		put_integer(&bytes, chunks[i]);
		put_bytes(&bytes, "more", 4);
		refused(&bytes, REASON_DUMP, "the data of dump id 5 has a piece of");
	}
	bytes = begun(1);
	put_entry(&bytes, 15, TABLE_DATA_ENTRY(5));
	put_byte(&bytes, 1);
	put_integer(&bytes, 5);
	put_integer(&bytes, 2147483647);
	put_bytes(&bytes, "more", 4);
	refused(&bytes, REASON_DUMP,
			"it ends in the data of dump id 5, 2147483643 bytes before the end of a piece");
}

static void
test_fields(void)
{
	static const struct
	{
		int			entries;
		int			dump_id;
		int			has_data;
		const char *detail;
	} entries[] = {
		{-1, 1, 0, "it announces -1 entries"},
		{1, 0, 0, "an entry's dump id is 0"},
		{1, -7, 0, "an entry's dump id is -7"},
		{1, 2147483647, 0, "an entry's dump id is 2147483647, pg_dump counts from 1"},
		{1, 1, 2, "an entry's mark for data is 2"},
		{1, 1, -1, "an entry's mark for data is -1"},
	};
	Bytes bytes;

	for (size_t i = 0; i < sizeof entries / sizeof *entries; i++)
	{
		bytes = begun(entries[i].entries);
		put_entry(
			&bytes, 15,
			(BuiltEntry){.dump_id = entries[i].dump_id, .has_data = entries[i].has_data, .desc = "TABLE"});
		refused(&bytes, REASON_DUMP, entries[i].detail);
	}
	bytes = begun(1);
	put_entry(&bytes, 15, PLAIN_ENTRY(1, NULL));
	refused(&bytes, REASON_DUMP, "entry 1 has no kind");
	bytes = begun(1);
	bytes.at[bytes.length - 5] = 2;
	refused(&bytes, REASON_DUMP, "the number of entries has the sign 2");
	for (int wrong = 0; wrong < 4; wrong++)
	{
		static const char *const numbers[] = {"", "-1", "4294967296", "12a"};

		bytes = begun(1);
		put_integer(&bytes, 1);
		put_integer(&bytes, 0);
		put_text(&bytes, numbers[wrong]);
		refused(&bytes, REASON_DUMP, "an entry's catalogue oid is no number");
	}
	bytes = begun(1);
	put_integer(&bytes, 1);
	put_integer(&bytes, 0);
	put_text(&bytes, "1259");
	put_text(&bytes, "1");
	put_integer(&bytes, 4);
	put_bytes(&bytes, "n\0me", 4);
	refused(&bytes, REASON_DUMP, "an entry's name has a zero byte");
}

static void
test_headers(void)
{
	static const struct
	{
		size_t		  at;
		int			  byte;
		FailureReason reason;
		const char	 *detail;
	} headers[] = {
		{0, 'p', REASON_DUMP, "it does not begin with PGDMP"},
		{5, 2, REASON_DUMP, "version 2.15 of pg_dump's format"},
		{6, 13, REASON_DUMP,
		 "version 1.13 of pg_dump's format, this program reads 1.14 to 1.16 (pg_dump 12 to 18): "
		 "dump again with a newer pg_dump"},
		{6, 17, REASON_DUMP, "it needs a newer custbackup"},
		{8, 8, REASON_DUMP, "integers of 8 bytes"},
		{9, 0, REASON_DUMP, "offsets of 0 bytes"},
		{9, 16, REASON_DUMP, "offsets of 16 bytes"},
		{10, 3, REASON_DUMP, "this is the toc.dat of a dump in directory or tar format"},
		{10, 5, REASON_DUMP, "this is the toc.dat of a dump in directory or tar format"},
		{10, 2, REASON_DUMP, "an unknown format 2"},
		{11, 4, REASON_DUMP, "an unknown compression 4"},
		{13, 200, REASON_DUMP, "its creation time is impossible"},
	};
	static const struct
	{
		const char *begins;
		const char *detail;
	} others[] = {
		{"--\n-- PostgreSQL database dump\n--\n", "this is an SQL script"},
		{"toc.dat\0\0\0\0\0\0", "this is a tar archive"},
		{"\x1f\x8b\x08\0\0\0\0", "this is compressed with gzip"},
		{"\x28\xb5\x2f\xfd\0\0\0\0", "this is compressed with zstd"},
		{"REDIS0011", "this is a dump of Redis"},
	};

	for (size_t i = 0; i < sizeof headers / sizeof *headers; i++)
	{
		Bytes bytes = {.length = 0};

		put_sample(&bytes, 15);
		bytes.at[headers[i].at] = (unsigned char) headers[i].byte;
		refused(&bytes, headers[i].reason, headers[i].detail);
	}
	for (size_t i = 0; i < sizeof others / sizeof *others; i++)
	{
		Bytes bytes = {.length = 0};

		put_bytes(&bytes, others[i].begins, 7);
		refused(&bytes, REASON_DUMP, others[i].detail);
	}
	refused(&(Bytes){.length = 0}, REASON_TOO_SMALL, "the stream is empty");
	refused(&(Bytes){.at = "PGD", .length = 3}, REASON_TOO_SMALL, "it ends in its header, in the magic");
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
		is_int((long long) postgres_archive_count(archive, TOC_TABLE_DATA), 1, "entries of a class");
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
		   failure.reason == REASON_NOT_RESTORABLE && strstr(failure.detail, "larger than 512 MiB"),
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
test_compressed(void)
{
	Bytes	bytes = {.length = 0};
	Failure failure = {0};
	json_t *counts = json_object();

	put_header(&bytes, 16, 3);
	put_integer(&bytes, 1);
	put_entry(&bytes, 16, TABLE_DATA_ENTRY(5));
	put_table_data(&bytes, 5);
	ok(prove(bytes.at, bytes.length, 0, counts, &failure), "compressed data is proven whole");
	ok(!json_object_get(counts, "rows"), "... and its rows are not guessed at");
	json_decref(counts);

	bytes.length = 0;
	counts = json_object();
	put_header(&bytes, 14, -1);
	put_integer(&bytes, 0);
	ok(prove(bytes.at, bytes.length, 0, counts, &failure),
	   "an archive of nothing, level -1 (pg_dump 15's default)");
	json_decref(counts);
}

/* The real archives: a byte for the fuzzer, then the archive. */
static void
test_real(const char *path, const char *name)
{
	static unsigned char bytes[1 << 18];
	FILE				*file = fopen(path, "rb");
	size_t				 length = file ? fread(bytes, 1, sizeof bytes, file) : 0;
	Failure				 failure = {0};
	json_t				*counts = json_object();
	PostgresArchive		*archive;
	size_t				 other = 0;

	if (file)
		fclose(file);
	ok(length > 1 && prove(bytes + 1, length - 1, 1000, counts, &failure), "%s is whole: %s", name,
	   failure.detail);
	archive = read_toc(bytes + 1, length - 1, 1000, &failure);
	for (size_t i = 0; archive && i < archive->entry_count; i++)
		other += archive->entries[i].class == TOC_OTHER;
	ok(archive && other == 0 && archive->encoding && strcmp(archive->encoding, "UTF8") == 0,
	   "%s: its TOC has no class that we do not know", name);
	is_int(json_integer_value(json_object_get(counts, "entries")),
		   archive ? (long long) archive->entry_count : -1, "as many entries in the proof as in the TOC");
	json_decref(counts);
	if (length > 1 && length < 16384)
		test_every_length(bytes + 1, length - 1, name);
	postgres_archive_free(archive);
}

static void
test_all_real(void)
{
	char directory[512];
	char path[1024];
	int	 seen = 0;
	DIR *corpus;

	snprintf(directory, sizeof directory, "%s/test/fuzz/corpus/postgres_archive",
			 getenv("SOURCE_DIR") ? getenv("SOURCE_DIR") : ".");
	corpus = opendir(directory);
	for (struct dirent *file; corpus && (file = readdir(corpus)) != NULL;)
	{
		if (strncmp(file->d_name, "pg_dump-", 8) != 0)
			continue;
		snprintf(path, sizeof path, "%s/%s", directory, file->d_name);
		test_real(path, file->d_name);
		seen++;
	}
	if (corpus)
		closedir(corpus);
	ok(seen >= 6, "%d archives of real pg_dumps in %s", seen, directory);
}

int
main(void)
{
	Bytes bytes = {.length = 0};

	for (int minor = 14; minor <= 16; minor++)
	{
		test_whole(minor);
		bytes.length = 0;
		put_sample(&bytes, minor);
		test_every_length(bytes.at, bytes.length, minor == 14 ? "1.14" : minor == 15 ? "1.15" : "1.16");
	}
	test_contradictions();
	test_lengths();
	test_fields();
	test_headers();
	test_toc();
	test_toc_end();
	test_limits();
	test_classes();
	test_compressed();
	test_all_real();
	return done_testing();
}
