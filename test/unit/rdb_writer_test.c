/*
 * rdb_writer_test.c
 *	  What the writer puts together the reader takes apart again: lengths of every width,
 *	  what stands in front of a value, metadata before its type, values that pass beside.
 */
#include <inttypes.h>
#include <stdlib.h>

#include "engines/bytes.h"
#include "engines/rdb.h"
#include "engines/rdb_payload.h"
#include "engines/rdb_writer.h"
#include "tap.h"

/* A value of type 'string' without its type byte: "value", in six bytes. */
#define VALUE "\x05value"

static const char string_type[] = {RDB_TYPE_STRING};

/* One line a key or a fact, in the order in which they came. */
typedef struct Seen
{
	char   text[4096];
	size_t length;
	size_t key_lengths[16];
	int	   keys;
} Seen;

static void __attribute__((format(printf, 2, 3))) note(Seen *seen, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	seen->length +=
		(size_t) vsnprintf(seen->text + seen->length, sizeof(seen->text) - seen->length, format, args);
	va_end(args);
}

static bool
see_entry(void *context, const RdbEntry *entry, Failure *failure)
{
	Seen *seen = context;

	(void) failure;
	if (seen->keys < 16)
		seen->key_lengths[seen->keys++] = entry->key_length;
	note(seen, "%" PRIu64 " %.5s type %u expires %" PRId64 " idle %" PRId64 " freq %d payload %" PRIu64 "\n",
		 entry->database, entry->key_length > 0 ? (const char *) entry->key : "", entry->type,
		 entry->expires_at, entry->idle, entry->frequency, entry->payload_length);
	return true;
}

static bool
see_aux(void *context, const char *name, const char *value, Failure *failure)
{
	(void) failure;
	note(context, "%s=%s\n", name, value);
	return true;
}

static const RdbHandler seeing = {.cut_values = true, .entry = see_entry, .aux = see_aux};

static bool
read_back(const Bytes *file, Seen *seen, Failure *failure)
{
	RdbReader *reader = rdb_reader_open(&seeing, seen, REASON_INTEGRITY, failure);
	bool	   whole;

	whole = rdb_reader_feed(reader, file->data, file->length, failure) && rdb_reader_finish(reader, failure);
	rdb_reader_close(reader);
	return whole;
}

static bool
write_plain_key(RdbWriter *writer, const char *key, size_t length, Failure *failure)
{
	return rdb_write_key(writer, -1, -1, -1, string_type, 1, key, length, failure) &&
		   rdb_write_raw(writer, VALUE, 6, failure);
}

static void
check_what_stands_before_values(void)
{
	RdbWriter writer = {0};
	Failure	  failure = {0};
	Seen	 *seen = calloc(1, sizeof(*seen));
	/* Metadata of one module: a count, a class, a string of its own and the end of it; then the type. */
	static const unsigned char metadata[] = "\xf3\x01\x0a\x0b\x0c\x0d\x05\x03xyz\x00\x00\x05value";
	size_t					   prefix = 13;
	bool					   cut_is_none = true;

	bytes_reset(&writer.out, SIZE_MAX);
	ok(rdb_write_header(&writer, 12, &failure) && rdb_write_aux(&writer, "redis-ver", "8.0.1", &failure) &&
		   rdb_write_database(&writer, 0, &failure) && write_plain_key(&writer, "plain", 5, &failure) &&
		   rdb_write_key(&writer, 1900000000123, -1, -1, string_type, 1, "timed", 5, &failure) &&
		   rdb_write_raw(&writer, VALUE, 6, &failure) &&
		   rdb_write_key(&writer, 0, 70000, -1, string_type, 1, "idler", 5, &failure) &&
		   rdb_write_raw(&writer, VALUE, 6, &failure) && rdb_write_database(&writer, 70000, &failure) &&
		   rdb_write_key(&writer, -1, -1, 255, string_type, 1, "often", 5, &failure) &&
		   rdb_write_raw(&writer, VALUE, 6, &failure) && rdb_write_end(&writer, &failure),
	   "a file is put together");
	ok(read_back(&writer.out, seen, &failure), "and read as whole: %s", failure.detail);
	is_string(seen->text,
			  "redis-ver=8.0.1\n"
			  "0 plain type 0 expires -1 idle -1 freq -1 payload 7\n"
			  "0 timed type 0 expires 1900000000123 idle -1 freq -1 payload 7\n"
			  "0 idler type 0 expires 0 idle 70000 freq -1 payload 7\n"
			  "70000 often type 0 expires -1 idle -1 freq 255 payload 7\n",
			  "with all that was written");
	ok(rdb_payload_prefix((const unsigned char *) string_type, 1) == 1, "a type alone stands before a value");
	ok(rdb_payload_prefix(metadata, sizeof(metadata) - 1) == prefix, "with what modules know of the key");
	for (size_t cut = 0; cut < prefix; cut++)
		cut_is_none = cut_is_none && rdb_payload_prefix(metadata, cut) == 0;
	ok(cut_is_none, "which is none where it is cut");
	bytes_free(&writer.out);
	free(seen);
}

/* The last length of each width and the first of the next. */
static void
check_key_lengths(void)
{
	static const size_t lengths[] = {0, 1, 63, 64, 300, 16383, 16384, 70000};
	const int			count = sizeof(lengths) / sizeof(lengths[0]);
	RdbWriter			writer = {0};
	Failure				failure = {0};
	Seen			   *seen = calloc(1, sizeof(*seen));
	char			   *key = malloc(70000);
	bool				good;
	bool				same;

	memset(key, 'k', 70000);
	bytes_reset(&writer.out, SIZE_MAX);
	good = rdb_write_header(&writer, 10, &failure) && rdb_write_database(&writer, 3, &failure);
	for (int i = 0; i < count; i++)
		good = good && write_plain_key(&writer, key, lengths[i], &failure);
	good = good && rdb_write_end(&writer, &failure);
	ok(good && read_back(&writer.out, seen, &failure), "keys of every width of length: %s", failure.detail);
	same = seen->keys == count;
	for (int i = 0; i < count && same; i++)
		same = seen->key_lengths[i] == lengths[i];
	ok(same, "come back as long as they were");
	bytes_free(&writer.out);

	writer = (RdbWriter){0};
	bytes_reset(&writer.out, SIZE_MAX);
	ok(rdb_write_database(&writer, UINT32_MAX, &failure) &&
		   rdb_write_database(&writer, 0x123456789aULL, &failure) && writer.out.length == 6 + 10 &&
		   memcmp(writer.out.data, "\xfe\x80\xff\xff\xff\xff\xfe\x81\x00\x00\x00\x12\x34\x56\x78\x9a", 16) ==
			   0,
	   "what fits 32 bits has five bytes, what does not has nine");
	bytes_free(&writer.out);
	free(key);
	free(seen);
}

/* Too large to be held: the caller sends it by itself, and the checksum hears of it. */
static void
check_values_that_pass_beside(void)
{
	RdbWriter writer = {0};
	Failure	  failure = {0};
	Seen	 *seen = calloc(1, sizeof(*seen));
	Bytes	  file = {0};

	bytes_reset(&writer.out, SIZE_MAX);
	bytes_reset(&file, SIZE_MAX);
	rdb_write_header(&writer, RDB_VERSION_VALKEY, &failure);
	rdb_write_database(&writer, 0, &failure);
	rdb_write_key(&writer, -1, -1, -1, string_type, 1, "large", 5, &failure);
	bytes_append(&file, writer.out.data, writer.out.length, &failure);
	bytes_reset(&writer.out, SIZE_MAX);
	rdb_writer_sum(&writer, VALUE, 6);
	bytes_append(&file, VALUE, 6, &failure);
	rdb_write_end(&writer, &failure);
	bytes_append(&file, writer.out.data, writer.out.length, &failure);
	ok(read_back(&file, seen, &failure), "a value beside the buffer is in the checksum: %s", failure.detail);
	is_string(seen->text, "0 large type 0 expires -1 idle -1 freq -1 payload 7\n", "and in its place");

	file.data[file.length - 12] ^= 1;
	failure = (Failure){0};
	ok(!read_back(&file, seen, &failure) && strstr(failure.detail, "checksum") != NULL,
	   "which a changed byte of it does not fit");
	bytes_free(&writer.out);
	bytes_free(&file);
	free(seen);
}

int
main(void)
{
	check_what_stands_before_values();
	check_key_lengths();
	check_values_that_pass_beside();
	return done_testing();
}
