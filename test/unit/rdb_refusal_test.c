/*
 * rdb_refusal_test.c
 *	  The RDB reader at files that are none: each gets a sentence, and none costs memory.
 */
#include "engines/rdb_layout.h"
#include "rdb_reading.h"

static void
check_refused(const char *what, const char *expected)
{
	Seen   *seen = calloc(1, sizeof(*seen));
	Failure failure;
	bool	passed = read_chunked(file.data, file.length, 5, seen, &failure);

	if (!ok(!passed && failure.reason == REASON_INTEGRITY && strstr(failure.detail, expected) != NULL, "%s",
			what))
		printf("# %s\n", failure.detail);
	seen_free(seen);
	free(seen);
}

static void
check_refusals(void)
{
	begin_file("REDIS0005");
	check_refused("version 5", "RDB version 5 of Redis is not known");
	begin_file("REDIS0015");
	check_refused("version 15", "RDB version 15 of Redis");
	begin_file("VALKEY081");
	check_refused("Valkey's 81", "RDB version 81 of Valkey");
	begin_file("REDIS00x0");
	check_refused("no number", "version is no number");
	begin_file("PGDMP\1\2\3\4");
	check_refused("another format", "does not begin");

	begin_file("REDIS0010");
	put_byte(8);
	check_refused("a type that never was", "0x08 is no known opcode");
	begin_file("REDIS0010");
	put_byte(6);
	check_refused("modules before their release", "0x06");
	begin_file("REDIS0010");
	put_byte(0xf6);
	check_refused("functions of release candidates", "release candidates");
	begin_file("VALKEY080");
	put_byte(0xf3);
	check_refused("a cluster that moves slots", "moving slots");

	begin_file("REDIS0010");
	put_byte(0);
	put_length(UINT64_C(1) << 63);
	put("abc", 3);
	check_refused("a key of 2^63 bytes", "ends before");
	begin_file("REDIS0010");
	put_byte(4);
	put_string("k");
	put_length(UINT64_MAX);
	put_string("a");
	end_file();
	check_refused("a hash of 2^64 fields", "unknown encoding");
	begin_file("REDIS0010");
	put_byte(0xfe);
	put_length(UINT64_C(1) << 40);
	check_refused("database 2^40", "no database");
	begin_file("REDIS0010");
	put_byte(0);
	put_byte(0xc4);
	check_refused("an unknown encoding of a string", "unknown encoding");
	begin_file("REDIS0010");
	put_byte(0);
	put_byte(0x82);
	check_refused("an unknown width of a length", "unknown encoding");
	begin_file("REDIS0010");
	put_byte(1);
	put_string("k");
	put_byte(0xc0);
	check_refused("a count that is a string", "a string's encoding");
	begin_file("REDIS0010");
	put_byte(0);
	put("\xc3\x02\x7f\x00\x00", 5);
	check_refused("LZF that promises nothing", "lengths cannot be");
	begin_file("REDIS0010");
	put_byte(0);
	put("\xc3\x02\x7f\xff\x00\x00", 6);
	check_refused("LZF that promises too much a byte", "lengths cannot be");
	begin_file("REDIS0010");
	put_byte(0);
	put("\xc3\x02\x0a\x20\x05", 5);
	put_string("x");
	end_file();
	check_refused("LZF that copies from before its beginning", "does not decompress");
	begin_file("REDIS0010");
	put_byte(7);
	put_string("k");
	put_layout("Lg");
	check_refused("a module's part of an unknown kind", "unknown kind");
	begin_file("REDIS0014");
	put_byte(28);
	put_string("k");
	put_layout("baLe");
	check_refused("an array's element of an unknown kind", "array");
	bytes_reset(&file, SIZE_MAX);
	check_refused("nothing at all", "empty");
}

/* How many frames a layout needs at once: its own, one a group, one for the part of a module or of an array. */
static int
frames_of(const char *layout)
{
	int open = 1;
	int most = 1;

	for (; *layout != '\0'; layout++)
	{
		open += (*layout == '(') - (*layout == ')');
		if (open + (strchr("MOE", *layout) != NULL) > most)
			most = open + (strchr("MOE", *layout) != NULL);
	}
	return most;
}

/* Counts within counts are believed, and cost nothing; what goes on and on is passed, part after part. */
static void
check_nesting(void)
{
	Seen   *seen = calloc(1, sizeof(*seen));
	Failure failure;
	int		deepest = frames_of(RDB_LAYOUT_KEY_META);

	for (unsigned type = 0; type < 256; type++)
		for (int valkey = 0; valkey < 2; valkey++)
		{
			const char *layout = rdb_value_layout(type, valkey);

			if (layout != NULL && frames_of(layout) > deepest)
				deepest = frames_of(layout);
		}
	ok(deepest > 3 && deepest <= RDB_LAYOUT_DEPTH, "no value is nested deeper than there is room for: %d",
	   deepest);

	begin_file("REDIS0010");
	put_byte(19);
	put_string("stream");
	put_layout("aLLLLLLLL");
	put_length(UINT64_C(1) << 62); /* groups, of which the first has */
	put_layout("SLLLa");
	put_length(UINT64_C(1) << 62); /* consumers, of which the first has */
	put_layout("S8");
	put_length(UINT64_C(1) << 62); /* entries pending */
	put_layout("IIII");
	check_refused("2^62 groups of 2^62 consumers of 2^62 entries", "ends before");

	begin_file("REDIS0010");
	put_byte(7);
	put_string("module");
	put_layout("L");
	for (int i = 0; i < 100000; i++)
		put_layout("bL");
	put_layout("a");
	end_file();
	ok(read_chunked(file.data, file.length, 4096, seen, &failure) && rdb_summary_keys(&seen->summary) == 1,
	   "a module's value of 100,000 parts: %s", failure.detail);
	seen_free(seen);
	free(seen);
}

/* The reader remembers no names: whoever restores learns of each, and RESTORE tells. */
static void
check_duplicates(void)
{
	Seen   *seen = calloc(1, sizeof(*seen));
	Failure failure;

	begin_file("REDIS0010");
	for (int database = 0; database < 2; database++)
	{
		put_byte(0xfe);
		put_length((uint64_t) database);
		for (int i = database; i < 2; i++)
		{
			put_byte(0);
			put_string("twice");
			put_string(i == 0 ? "first" : "second");
		}
	}
	end_file();
	ok(read_chunked(file.data, file.length, 7, seen, &failure), "a key that stands twice: %s",
	   failure.detail);
	is_string(seen->text,
			  "0 twice type 0 expires -1 idle -1 freq -1\n"
			  "0 twice type 0 expires -1 idle -1 freq -1\n"
			  "1 twice type 0 expires -1 idle -1 freq -1\n",
			  "is told twice");
	is_int((long long) rdb_summary_keys(&seen->summary), 3, "and counted twice");
	seen_free(seen);
	free(seen);
}

int
main(void)
{
	check_refusals();
	check_nesting();
	check_duplicates();
	bytes_free(&file);
	return done_testing();
}
