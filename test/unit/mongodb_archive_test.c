/*
 * mongodb_archive_test.c
 *	  The reader of mongodump's archives: those of a real mongodump, in any chunking, cut
 *	  and changed at every byte; and what no server here can write, put together by hand.
 */
#include <stdlib.h>

#include <bson/bson.h>
#include <jansson.h>

#include "engines/bytes.h"
#include "engines/crc64.h"
#include "engines/engine.h"
#include "engines/mongodb.h"
#include "engines/mongodb_archive.h"
#include "tap.h"

static Failure failure;

/* ---- reading ---- */

static bool
reads(const unsigned char *bytes, size_t length, size_t chunk, json_t *counts)
{
	Inspector *inspector;
	bool	   good = true;

	failure = (Failure){0};
	inspector = mongodb_open_inspector(REASON_INTEGRITY, &failure);
	for (size_t at = 0; good && at < length; at += chunk)
	{
		size_t step = length - at < chunk ? length - at : chunk;
		/* A block of its own, so that valgrind and ASan see a byte too far. */
		unsigned char *copy = malloc(step);

		memcpy(copy, bytes + at, step);
		good = inspector->feed(inspector, copy, step, &failure);
		free(copy);
	}
	good = good && inspector->finish(inspector, counts, &failure);
	inspector->close(inspector);
	return good;
}

static int64_t
counted(const unsigned char *bytes, size_t length, const char *what)
{
	json_t *counts = json_object();
	int64_t value =
		reads(bytes, length, SIZE_MAX, counts) ? json_integer_value(json_object_get(counts, what)) : -1;

	json_decref(counts);
	return value;
}

static bool
is_refused(const Bytes *archive, const char *with, const char *what)
{
	json_t *counts = json_object();
	bool	refused = !reads(archive->data, archive->length, SIZE_MAX, counts) &&
				   failure.reason == REASON_INTEGRITY && strstr(failure.detail, with) != NULL;

	json_decref(counts);
	if (!ok(refused, "%s", what))
		printf("# %s\n", failure.detail);
	return refused;
}

/* ---- real archives ---- */

static Bytes
read_corpus(const char *name)
{
	static unsigned char buffer[1 << 16];
	char				 path[1024];
	FILE				*stream;
	Bytes				 file = {0};

	snprintf(path, sizeof(path), "%s/test/fuzz/corpus/mongodb_archive/%s",
			 getenv("SOURCE_DIR") ? getenv("SOURCE_DIR") : ".", name);
	stream = fopen(path, "rb");
	if (stream == NULL)
		return file;
	bytes_append(&file, buffer, fread(buffer, 1, sizeof(buffer), stream), &failure);
	fclose(stream);
	return file;
}

/* Where the prelude ends: the first terminator. */
static size_t
prelude_length(const Bytes *file)
{
	for (size_t at = 4; at + 4 <= file->length;)
	{
		uint32_t size;

		memcpy(&size, file->data + at, sizeof(size));
		if (size == 0xffffffff)
			return at + 4;
		at += size;
	}
	return 0;
}

static void
test_chunks_and_cuts(const Bytes *file, const char *name)
{
	json_t *counts = json_object();
	size_t	passed = 0;
	size_t	reasoned = 0;

	for (size_t chunk = 1; chunk <= 64; chunk++)
		passed += reads(file->data, file->length, chunk, counts);
	is_int((long long) passed, 64, name);
	passed = 0;
	for (size_t cut = 0; cut < file->length; cut++)
	{
		passed += reads(file->data, cut, SIZE_MAX, counts);
		reasoned += failure.reason == REASON_INTEGRITY;
	}
	is_int((long long) passed, 0, "cut off anywhere, it is refused");
	is_int((long long) reasoned, (long long) file->length, "with a reason");
	json_decref(counts);
}

static void
test_changes(Bytes *file)
{
	json_t *counts = json_object();
	size_t	begin = prelude_length(file);
	size_t	passed = 0;

	ok(begin > 4 && begin < file->length, "it has a prelude and blocks");
	for (size_t at = begin; at < file->length; at++)
		for (int bit = 0; bit < 8; bit++)
		{
			file->data[at] ^= (unsigned char) (1 << bit);
			passed += reads(file->data, file->length, SIZE_MAX, counts);
			file->data[at] ^= (unsigned char) (1 << bit);
		}
	is_int((long long) passed, 0, "each single bit of its blocks that changes is noticed");
	/* The prelude has no checksum of its own: no crash, and it stays a matter of the object's sha256. */
	for (size_t at = 0; at < begin; at++)
		for (int bit = 0; bit < 8; bit++)
		{
			file->data[at] ^= (unsigned char) (1 << bit);
			passed += reads(file->data, file->length, SIZE_MAX, counts) && at < 4;
			file->data[at] ^= (unsigned char) (1 << bit);
		}
	is_int((long long) passed, 0, "a changed prelude is read without harm, a changed magic refused");
	json_decref(counts);
}

static void
test_real(void)
{
	Bytes file = read_corpus("mongodump-100.6.1-types");
	Bytes nothing = read_corpus("mongodump-100.6.1-nothing");

	ok(file.length > 0 && nothing.length > 0, "the corpus is there");
	is_int(counted(file.data, file.length, "databases"), 1, "databases are counted");
	is_int(counted(file.data, file.length, "collections"), 3, "collections are counted");
	is_int(counted(file.data, file.length, "documents"), 2, "documents are counted");
	is_int(counted(file.data, file.length, "indexes"), 5, "indexes are counted");
	is_int(counted(nothing.data, nothing.length, "collections"), 0, "an archive of nothing is whole");
	test_chunks_and_cuts(&file, "an archive is whole in pieces of 1 to 64 bytes");
	test_chunks_and_cuts(&nothing, "so is one of nothing");
	test_changes(&file);
	for (size_t count = 1; count <= 8; count++)
	{
		bytes_append(&file, "\0", 1, &failure);
		if (reads(file.data, file.length, SIZE_MAX, NULL))
			ok(false, "%zu bytes behind the end are refused", count);
	}
	is_refused(&file, "broken near byte", "bytes behind the end are refused");
	bytes_free(&file);
	bytes_free(&nothing);
}

/* ---- archives put together by hand ---- */

static void
put_word(Bytes *to, uint32_t word)
{
	bytes_append(to, &word, sizeof(word), &failure);
}

/* Takes the document. */
static void
put(Bytes *to, bson_t *document)
{
	bytes_append(to, bson_get_data(document), document->len, &failure);
	bson_destroy(document);
}

static void
put_header(Bytes *to, const char *version)
{
	put_word(to, 0x8199e26d);
	put(to, BCON_NEW("concurrent_collections", BCON_INT32(4), "version", BCON_UTF8(version), "server_version",
					 BCON_UTF8("7.0.1"), "tool_version", BCON_UTF8("100.6.1")));
}

static void
put_collection(Bytes *to, const char *name, const char *metadata, const char *type)
{
	put(to, BCON_NEW("db", BCON_UTF8("shop"), "collection", BCON_UTF8(name), "metadata", BCON_UTF8(metadata),
					 "size", BCON_INT32(0), "type", BCON_UTF8(type)));
}

static void
put_block(Bytes *to, const char *name, bool eof, uint64_t crc)
{
	put(to, BCON_NEW("db", BCON_UTF8("shop"), "collection", BCON_UTF8(name), "EOF", BCON_BOOL(eof), "CRC",
					 BCON_INT64((int64_t) crc)));
}

/* A document of `size` bytes of text; says the CRC so far. */
static uint64_t
put_document(Bytes *to, uint64_t crc, int size)
{
	char  *text = calloc(1, (size_t) size + 1);
	size_t from = to->length;

	memset(text, 'x', (size_t) size);
	put(to, BCON_NEW("_id", BCON_INT32(size), "text", BCON_UTF8(text)));
	free(text);
	return crc64_xz_update(crc, to->data + from, to->length - from);
}

static void
test_kinds(void)
{
	Bytes	 archive = {0};
	uint64_t a = 0;
	uint64_t b = 0;

	put_header(&archive, "0.1");
	put_collection(&archive, "a", "{\"options\":{},\"indexes\":[{},{}]}", "collection");
	put_collection(&archive, "weather", "{\"options\":{\"timeseries\":{\"timeField\":\"t\"}},\"indexes\":[]}",
				   "timeseries");
	put_collection(&archive, "old_view", "{\"options\":{\"viewOn\":\"a\",\"pipeline\":[]}}", "");
	put_collection(&archive, "view", "", "view");
	put_word(&archive, 0xffffffff);
	for (int turn = 0; turn < 50; turn++)
	{
		put_block(&archive, "a", false, 0);
		a = put_document(&archive, a, 7 + turn * 5000);
		a = put_document(&archive, a, turn);
		put_word(&archive, 0xffffffff);
		put_block(&archive, "system.buckets.weather", false, 0);
		b = put_document(&archive, b, 70 + turn);
		put_word(&archive, 0xffffffff);
	}
	put_block(&archive, "view", true, 0);
	put_word(&archive, 0xffffffff);
	put_block(&archive, "system.buckets.weather", true, b);
	put_word(&archive, 0xffffffff);
	put_block(&archive, "old_view", true, 0);
	put_word(&archive, 0xffffffff);
	put_block(&archive, "a", true, a);
	is_refused(&archive, "cut off", "the last terminator is missed");
	put_word(&archive, 0xffffffff);
	is_int(counted(archive.data, archive.length, "documents"), 150, "blocks of two collections alternate");
	is_int(counted(archive.data, archive.length, "views"), 2, "views are told apart, by type or option");
	is_int(counted(archive.data, archive.length, "time_series"), 1, "a time series' buckets belong to it");
	is_int(counted(archive.data, archive.length, "collections"), 1, "and are no collection of their own");
	is_int(counted(archive.data, archive.length, "indexes"), 2, "indexes come from the metadata");
	put_block(&archive, "a", false, 0);
	is_refused(&archive, "goes on after its end", "a collection that goes on after its end is refused");
	bytes_free(&archive);
}

/* As mongodump writes it: in no order. */
static void
test_databases(void)
{
	static const char *const names[][2] = {{"shop", "a"}, {"other", "a"}, {"shop", "b"}, {"other", "b"}};
	Bytes					 archive = {0};

	put_header(&archive, "0.1");
	for (size_t i = 0; i < 4; i++)
		put(&archive, BCON_NEW("db", BCON_UTF8(names[i][0]), "collection", BCON_UTF8(names[i][1]), "metadata",
							   BCON_UTF8(""), "size", BCON_INT32(0), "type", BCON_UTF8("")));
	put_word(&archive, 0xffffffff);
	for (size_t i = 0; i < 4; i++)
	{
		put(&archive, BCON_NEW("db", BCON_UTF8(names[i][0]), "collection", BCON_UTF8(names[i][1]), "EOF",
							   BCON_BOOL(true), "CRC", BCON_INT64(0)));
		put_word(&archive, 0xffffffff);
	}
	is_int(counted(archive.data, archive.length, "databases"), 2, "databases that alternate are two");
	is_int(counted(archive.data, archive.length, "collections"), 4, "of four collections");
	bytes_free(&archive);
}

/* An archive of one empty collection, with something wrong. */
static void
test_wrong(void)
{
	Bytes archive = {0};

	put_header(&archive, "0.2");
	is_refused(&archive, "version 0.2", "another version of the format is refused by its name");
	archive.length = 0;
	put_header(&archive, "0.1");
	put_collection(&archive, "a", "", "");
	put_collection(&archive, "a", "", "");
	is_refused(&archive, "twice", "a collection named twice is refused");
	archive.length = 0;
	put_header(&archive, "0.1");
	put_collection(&archive, "a", "{\"indexes\":", "");
	is_refused(&archive, "no JSON", "metadata that are no JSON are refused");
	archive.length = 0;
	put_header(&archive, "0.1");
	put_collection(&archive, "a", "", "");
	put_word(&archive, 0xffffffff);
	is_refused(&archive, "is missing", "a collection without a block is missed");
	put_block(&archive, "b", true, 0);
	is_refused(&archive, "does not name", "a block of an unknown collection is refused");
	archive.length = 0;
	put_header(&archive, "0.1");
	put_collection(&archive, "a", "", "");
	put_word(&archive, 0xffffffff);
	put_block(&archive, "a", true, 1);
	is_refused(&archive, "another checksum", "a wrong checksum is refused");
	archive.length = 0;
	put_header(&archive, "0.1");
	put_word(&archive, 0xffffffff);
	put_word(&archive, 0xffffffff);
	is_refused(&archive, "had not begun", "two terminators are refused");
	archive.length = 0;
	put_word(&archive, 0x8199e26d);
	put_word(&archive, 0x7fffffff);
	is_refused(&archive, "no length", "a document of 2 GB is refused before it is waited for");
	bytes_free(&archive);
}

static void
test_too_small(void)
{
	Inspector *inspector;

	failure = (Failure){0};
	inspector = mongodb_open_inspector(REASON_DUMP, &failure);
	ok(!inspector->finish(inspector, NULL, &failure) && failure.reason == REASON_TOO_SMALL,
	   "a backup without a byte is too small");
	inspector->close(inspector);
}

static void
test_checksum(void)
{
	const char *digits = "123456789";

	for (size_t cut = 0; cut <= 9; cut++)
		if (crc64_xz_update(crc64_xz_update(0, digits, cut), digits + cut, 9 - cut) != 0x995dc9bbdf1939faULL)
			ok(false, "the checksum in two steps, cut at %zu", cut);
	ok(crc64_xz_update(0, digits, 9) == 0x995dc9bbdf1939faULL, "the checksum's check value is right");
}

int
main(void)
{
	test_checksum();
	test_real();
	test_kinds();
	test_databases();
	test_wrong();
	test_too_small();
	return done_testing();
}
