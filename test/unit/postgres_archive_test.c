/*
 * postgres_archive_test.c
 *	  The reader of pg_dump's custom format, with archives made field by field
 *	  and with real ones of pg_dump 15, 17 and 18 (the fuzzer's corpus).
 */
#include <stdlib.h>
#include <string.h>

#include <jansson.h>

#include "archive_builder.h"
#include "archive_corpus.h"
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

static void
test_real(const unsigned char *bytes, size_t length, const char *name)
{
	Failure failure = {0};
	json_t *counts = json_object();

	ok(prove(bytes, length, 1000, counts, &failure) &&
		   json_integer_value(json_object_get(counts, "entries")) >= 4,
	   "%s is whole: %s", name, failure.detail);
	json_decref(counts);
	if (length < 16384)
		test_every_length(bytes, length, name);
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
	test_compressed();
	ok(each_real_archive(test_real) >= 6, "archives of real pg_dumps");
	return done_testing();
}
