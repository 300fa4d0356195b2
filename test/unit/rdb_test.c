/*
 * rdb_test.c
 *	  The RDB reader: files that real servers wrote, in any chunking, cut and changed
 *	  at every byte; and each layout that no server here can write, put together by hand.
 */
#include <libgen.h>

#include "engines/lzf.h"
#include "engines/rdb_layout.h"
#include "engines/rdb_payload.h"
#include "rdb_reading.h"

static void
check_type(const char *header, unsigned type, const char *layout, const char *what)
{
	Seen   *seen = calloc(1, sizeof(*seen));
	Failure failure;
	size_t	value_at;
	bool	same = true;

	for (size_t chunk = 1; chunk < 40; chunk++)
	{
		begin_file(header);
		put_byte(0xfe);
		put_length(2);
		put_byte(type);
		put_string("key");
		value_at = file.length;
		put_layout(layout);
		/* A second key tells that the first ended where it does. */
		put_byte(0);
		put_string("after");
		put_string("x");
		end_file();
		same = same && read_chunked(file.data, file.length, chunk, seen, &failure) &&
			   rdb_summary_keys(&seen->summary) == 2;
	}
	ok(same, "type %u, %s, in every chunking: %s", type, what, failure.detail);

	begin_file(header);
	put_byte(type);
	put_string("key");
	value_at = file.length;
	put_layout(layout);
	end_file();
	read_chunked(file.data, file.length, 3, seen, &failure);
	ok(seen->last_payload.length == file.length - 9 - value_at + 1 && seen->last_payload.data[0] == type &&
		   memcmp(seen->last_payload.data + 1, file.data + value_at, seen->last_payload.length - 1) == 0,
	   "type %u: the payload is the type and the value's very bytes", type);
	seen_free(seen);
	free(seen);
}

static void
check_layouts(void)
{
	/* Small letters are counts: a 0, b 1, c 2 ... */
	check_type("REDIS0006", 1, "cSS", "list");
	check_type("REDIS0006", 2, "cSS", "set");
	check_type("REDIS0006", 3, "cSDSD", "sorted set with scores as text");
	check_type("REDIS0006", 4, "cSSSS", "hash");
	check_type("REDIS0008", 5, "cS8S8", "sorted set");
	check_type("REDIS0006", 9, "S", "zipmap");
	check_type("REDIS0006", 10, "S", "list as a ziplist");
	check_type("REDIS0006", 11, "S", "intset");
	check_type("REDIS0006", 12, "S", "sorted set as a ziplist");
	check_type("REDIS0006", 13, "S", "hash as a ziplist");
	check_type("REDIS0007", 14, "cSS", "quicklist");
	check_type("REDIS0009", 15, "cSSSSLLLbSLLbI8LbS8bI", "stream");
	check_type("REDIS0010", 18, "cLSLS", "quicklist 2");
	check_type("REDIS0010", 19, "bSSLLLLLLLLbSLLLcI8LI8LbS8cII", "stream 2");
	check_type("REDIS0011", 21, "bSSLLLLLLLLcSLLLbI8LcS88bIS88aSLLLaa",
			   "stream 3, groups with and without consumers");
	check_type("REDIS0012", 22, "bLSS", "hash with expiring fields, early");
	check_type("REDIS0012", 23, "S", "the same as a listpack");
	check_type("REDIS0012", 24, "8cLSSLSS", "hash with expiring fields");
	check_type("REDIS0012", 25, "8S", "the same as a listpack");
	check_type("REDIS0013", 26, "bSSLLLLLLLLbSLLLaaLLcScSLLSLLSbSLLLL", "stream 4, with producers");
	check_type("REDIS0014", 27, "bSSLLLLLLLLbSLLLbI8LacIILLaLL", "stream 5, with refused entries");
	check_type("REDIS0014", 28, "eaLaSLb8Lc8LdS", "array");
	check_type("REDIS0014", 28, "bbLLaS", "array with an insert position");
	check_type("REDIS0010", 7, "LbLcLd4e8fSa", "module");
	check_type("VALKEY080", 22, "cSS8SS8", "Valkey's hash with expiring fields");
	check_type("REDIS0006", 1, "a", "list of nothing");
}

/* ---- what servers wrote ---- */

static Bytes
load(const char *name)
{
	char		source[] = __FILE__;
	char		path[4096];
	const char *root = getenv("SOURCE_DIR");
	Bytes		bytes = {0};
	Failure		failure = {0};
	char		buffer[8192];
	size_t		length;
	FILE	   *file;

	if (root != NULL)
		snprintf(path, sizeof(path), "%s/test/fuzz/corpus/rdb/%s", root, name);
	else
		snprintf(path, sizeof(path), "%s/../fuzz/corpus/rdb/%s", dirname(source), name);
	file = fopen(path, "rb");
	if (file == NULL)
	{
		printf("Bail out! cannot read %s\n", path);
		exit(1);
	}
	while ((length = fread(buffer, 1, sizeof(buffer), file)) > 0)
		bytes_append(&bytes, buffer, length, &failure);
	fclose(file);
	return bytes;
}

static void
check_cuts_and_flips(const char *name, const Bytes *whole, Seen *seen)
{
	Failure failure;
	/* Of the large files one is taken byte by byte. */
	size_t step = whole->length < 1000 || strstr(name, "8.0") != NULL ? 1 : 7;
	size_t accepted = 0;

	for (size_t length = 0; length < whole->length; length += step)
		accepted += read_chunked(whole->data, length, 512, seen, &failure);
	ok(accepted == 0, "%s: cut at any byte it is refused", name);
	accepted = 0;
	for (size_t at = 0; at < whole->length; at += step)
	{
		whole->data[at] ^= 0x10;
		accepted += read_chunked(whole->data, whole->length, 4096, seen, &failure);
		whole->data[at] ^= 0x10;
	}
	ok(accepted == 0, "%s: changed at any byte it is refused", name);
}

static void
check_file(const char *name, int version, uint64_t keys, size_t databases, uint64_t functions)
{
	static const size_t chunks[] = {1, 2, 3, 7, 64, 1000, SIZE_MAX};
	Bytes				whole = load(name);
	Seen			   *seen = calloc(1, sizeof(*seen));
	Failure				failure;
	uint64_t			digest = 0;
	bool				same = true;

	for (size_t i = 0; i < sizeof(chunks) / sizeof(chunks[0]); i++)
	{
		bool passed = read_chunked(whole.data, whole.length, chunks[i], seen, &failure);

		if (i == 0)
			digest = seen->digest;
		same = same && passed && seen->digest == digest && seen->summary.version == version &&
			   rdb_summary_keys(&seen->summary) == keys &&
			   rdb_summary_databases(&seen->summary) == databases && seen->summary.functions == functions &&
			   seen->summary.used_memory > 0;
	}
	if (!ok(same, "%s: version %d, %" PRIu64 " keys in %zu databases, in any chunking", name, version, keys,
			databases))
		printf("# version %d, %" PRIu64 " keys, %zu databases, %" PRIu64 " functions: %s\n",
			   seen->summary.version, rdb_summary_keys(&seen->summary), rdb_summary_databases(&seen->summary),
			   seen->summary.functions, failure.detail);
	check_cuts_and_flips(name, &whole, seen);
	bytes_append(&whole, "\n", 1, &failure);
	ok(!read_chunked(whole.data, whole.length, 100, seen, &failure) && failure.reason == REASON_INTEGRITY,
	   "%s: a byte behind its end is refused", name);
	bytes_free(&whole);
	seen_free(seen);
	free(seen);
}

static void
check_keys(void)
{
	Seen   *seen = calloc(1, sizeof(*seen));
	Failure failure;
	Bytes	whole = load("redis-7.0-all.rdb");
	char	repeated[200] = "0 ";

	read_chunked(whole.data, whole.length, 11, seen, &failure);
	ok(strstr(seen->text, "\n0 12345 type 0 expires -1 idle -1 freq -1\n") != NULL,
	   "a key stored as a number");
	for (int i = 0; i < 50; i++)
		strcat(repeated, "key");
	ok(strstr(seen->text, repeated) != NULL, "a key stored compressed");
	ok(strstr(seen->text, "\n0 expiring type 0 expires 1") != NULL, "a key with an expiry");
	ok(strstr(seen->text, "\n3 other type 0 expires -1") != NULL,
	   "a key of another database has no expiry left over");
	bytes_free(&whole);
	whole = load("redis-7.0-lru.rdb");
	read_chunked(whole.data, whole.length, 11, seen, &failure);
	ok(strstr(seen->text, "0 b type 18 expires -1 idle 0 freq -1\n") != NULL, "idle times");
	bytes_free(&whole);
	whole = load("redis-8.0-lfu.rdb");
	read_chunked(whole.data, whole.length, 11, seen, &failure);
	ok(strstr(seen->text, "0 a type 0 expires -1 idle -1 freq 0\n") != NULL, "frequencies");
	bytes_free(&whole);
	seen_free(seen);
	free(seen);
}

/* A key of so many bytes, plain, or as LZF of literals and copies. */
static void
put_large_key(size_t pieces, bool packed)
{
	static const char piece[] = "\x1f"
								"a key's name of thirty-two bytes"
								"\xe0\x17\x1f"; /* 32, and as many again */
	size_t			  length = sizeof(piece) - 1;

	put_byte(0);
	if (packed)
	{
		put_byte(0xc3);
		put_length(pieces * length);
	}
	put_length(pieces * 64);
	for (size_t i = 0; i < pieces; i++)
		for (size_t half = 0; half < (packed ? 1 : 2); half++)
			put(packed ? piece : piece + 1, packed ? length : 32);
	put_string("value");
}

static void
check_large_keys(void)
{
	const size_t pieces = 50000;
	Seen		*seen = calloc(1, sizeof(*seen));
	RdbSummary	 summary = {0};
	Failure		 failure;
	RdbReader	*reader;

	begin_file("REDIS0010");
	put_large_key(pieces, false);
	put_large_key(pieces, true);
	put_large_key(1, true);
	end_file();
	ok(read_chunked(file.data, file.length, 100000, seen, &failure), "keys of 3 MB, plain and packed: %s",
	   failure.detail);
	is_int((long long) seen->summary.largest_key, (long long) pieces * 64, "they are as long as they are");
	ok(seen->last_key.length == 64 && memcmp(seen->last_key.data, seen->last_key.data + 32, 32) == 0 &&
		   seen->same_keys == 1,
	   "and both the same");
	reader = rdb_reader_open(&rdb_summary_handler, &summary, REASON_DUMP, &failure);
	ok(rdb_reader_feed(reader, file.data, file.length, &failure) && rdb_reader_finish(reader, &failure),
	   "where they are only counted: %s", failure.detail);
	is_int((long long) summary.largest_key, (long long) pieces * 64, "as long");
	is_int((long long) rdb_summary_keys(&summary), 3, "and as many");
	rdb_reader_close(reader);
	rdb_summary_free(&summary);
	seen_free(seen);
	free(seen);
}

static void
check_odds_and_ends(void)
{
	Seen		 *seen = calloc(1, sizeof(*seen));
	Failure		  failure;
	unsigned char footer[RDB_FOOTER_SIZE];
	char		  payload[] = "\0\3abc..........";
	int			  version = 0;

	/* Slot hints, a module's own data, metadata of a key, expiry in seconds, no checksum. */
	begin_file("REDIS0013");
	put_byte(0xf4);
	put_layout("LLL");
	put_byte(0xf7);
	put_layout("LcLfSa");
	put_byte(0xfd);
	put("\x01\x00\x00\x00", 4);
	put_byte(0xf3);
	put_layout("b4fSa");
	put_byte(0);
	put_string("k");
	put_string("value");
	put_byte(0xff);
	put("\0\0\0\0\0\0\0\0", 8);
	ok(read_chunked(file.data, file.length, 2, seen, &failure),
	   "slots, module data, metadata, no checksum: %s", failure.detail);
	is_int((long long) seen->summary.module_aux, 1, "a module's own data is counted");
	is_string(seen->text, "0 k type 0 expires 1000 idle -1 freq -1\n", "an expiry in seconds");
	ok(seen->last_payload.length == 1 + 1 + 4 + 1 + 16 + 1 + 1 + 6 && seen->last_payload.data[0] == 0xf3,
	   "metadata stands in front of the payload");

	rdb_footer(footer, 10, payload, 5);
	memcpy(payload + 5, footer, sizeof(footer));
	ok(rdb_footer_check(payload, 15, &version) && version == 10, "a footer fits its payload");
	payload[3] ^= 1;
	ok(!rdb_footer_check(payload, 15, &version), "and no other");
	ok(!rdb_footer_check(payload, 9, &version), "nine bytes are no payload");
	seen_free(seen);
	free(seen);
}

/* A length in each of the widths that it may be written in: short, two bytes, five, nine. */
static void
check_length_widths(void)
{
	static const struct
	{
		size_t		length;
		const char *head;
		size_t		head_length;
	} widths[] = {
		{63, "\x3f", 1},
		{0x1234, "\x52\x34", 2},
		{0x00012345, "\x80\x00\x01\x23\x45", 5},
		{0x00012345, "\x81\x00\x00\x00\x00\x00\x01\x23\x45", 9},
	};
	char   *content = malloc(0x20000);
	Seen   *seen = calloc(1, sizeof(*seen));
	Failure failure;

	memset(content, 'x', 0x20000);
	for (size_t i = 0; i < sizeof(widths) / sizeof(widths[0]); i++)
	{
		begin_file("REDIS0012");
		put_byte(0);
		put_string("key");
		put(widths[i].head, widths[i].head_length);
		put(content, widths[i].length);
		end_file();
		ok(read_chunked(file.data, file.length, 1000, seen, &failure) &&
			   seen->last_payload.length == 1 + widths[i].head_length + widths[i].length,
		   "a string's length in %zu bytes: %s", widths[i].head_length, failure.detail);
	}
	seen_free(seen);
	free(seen);
	free(content);
}

static void
check_crc_and_lzf(void)
{
	const char *digits = "123456789";
	char		out[300];

	for (size_t cut = 0; cut <= 9; cut++)
		if (!ok(crc64_update(crc64_update(0, digits, cut), digits + cut, 9 - cut) == 0xe9c6d914c4b8d9caULL,
				"CRC64 in two parts, cut at %zu", cut))
			break;
	ok(lzf_decompress("\0a\xe0\xff\0", 5, out, 265) && out[264] == 'a',
	   "LZF: a byte and its longest repetition");
	ok(lzf_decompress("\2abc\x20\2", 6, out, 6) && memcmp(out, "abcabc", 6) == 0,
	   "LZF: literals, then a copy");
	ok(!lzf_decompress("\2abc\x20\2", 6, out, 5), "LZF: more than was promised");
	ok(!lzf_decompress("\2abc\x20\2", 6, out, 7), "LZF: less than was promised");
	ok(!lzf_decompress("\2abc\x20\3", 6, out, 6), "LZF: a copy from before the beginning");
	ok(!lzf_decompress("\2ab", 3, out, 3), "LZF: literals that are cut");
	ok(!lzf_decompress("\2abc\x20", 5, out, 6), "LZF: a distance that is cut");
	ok(!lzf_decompress("\2abc\xe0", 5, out, 20), "LZF: a length that is cut");
}

int
main(void)
{
	check_crc_and_lzf();
	check_length_widths();
	check_file("redis-7.0-all.rdb", 10, 25, 3, 1);
	check_file("redis-8.0-all.rdb", 12, 25, 3, 1);
	check_file("valkey-8.1-all.rdb", 11, 25, 3, 1);
	check_file("valkey-9.1-all.rdb", 80, 25, 3, 1);
	check_file("redis-7.0-empty.rdb", 10, 0, 0, 0);
	check_file("redis-7.0-plain.rdb", 10, 2, 1, 1);
	check_file("redis-8.0-lru.rdb", 12, 2, 1, 1);
	check_file("valkey-8.1-lfu.rdb", 11, 2, 1, 1);
	check_file("valkey-9.1-lru.rdb", 80, 2, 1, 1);
	check_keys();
	check_large_keys();
	check_layouts();
	check_odds_and_ends();
	bytes_free(&file);
	return done_testing();
}
