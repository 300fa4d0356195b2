/*
 * rdb_reading.h
 *	  For the tests of the RDB reader: files put together by hand, and what a reading of one gave.
 */
#ifndef RDB_READING_H
#define RDB_READING_H

#include <inttypes.h>
#include <stdlib.h>

#include "engines/bytes.h"
#include "engines/crc64.h"
#include "engines/rdb.h"
#include "engines/rdb_summary.h"
#include "tap.h"

/* ---- what a reading gave ---- */

typedef struct Seen
{
	RdbSummary summary;
	char	   text[65536]; /* one line a key, as far as there is room */
	size_t	   text_length;
	uint64_t   digest; /* over every payload */
	Bytes	   last_payload;
	Bytes	   last_key;
	int		   same_keys; /* as the one before */
} Seen;

static inline bool
see_entry(void *context, const RdbEntry *entry, Failure *failure)
{
	Seen *seen = context;

	seen->digest = crc64_update(seen->digest, entry->payload, entry->payload_length);
	bytes_reset(&seen->last_payload, SIZE_MAX);
	bytes_append(&seen->last_payload, entry->payload, entry->payload_length, failure);
	seen->same_keys += entry->key_length == seen->last_key.length && entry->key_length > 0 &&
					   memcmp(entry->key, seen->last_key.data, entry->key_length) == 0;
	bytes_reset(&seen->last_key, SIZE_MAX);
	bytes_append(&seen->last_key, entry->key, entry->key_length, failure);
	if (seen->text_length + entry->key_length + 200 < sizeof(seen->text))
		seen->text_length +=
			(size_t) sprintf(seen->text + seen->text_length,
							 "%" PRIu64 " %.*s type %u expires %" PRId64 " idle %" PRId64 " freq %d\n",
							 entry->database, (int) entry->key_length, entry->key, entry->type,
							 entry->expires_at, entry->idle, entry->frequency);
	return rdb_summary_handler.entry(&seen->summary, entry, failure);
}

static inline bool
see_aux(void *context, const char *name, const char *value, Failure *failure)
{
	return rdb_summary_handler.aux(&((Seen *) context)->summary, name, value, failure);
}

static inline bool
see_function(void *context, const unsigned char *bytes, size_t length, Failure *failure)
{
	Seen *seen = context;

	seen->digest = crc64_update(seen->digest, bytes, length);
	return rdb_summary_handler.function(&seen->summary, bytes, length, failure);
}

static inline bool
see_module_aux(void *context, Failure *failure)
{
	return rdb_summary_handler.module_aux(&((Seen *) context)->summary, failure);
}

static const RdbHandler cutting = {.cut_values = true,
								   .entry = see_entry,
								   .aux = see_aux,
								   .function = see_function,
								   .module_aux = see_module_aux};

static inline void
seen_free(Seen *seen)
{
	rdb_summary_free(&seen->summary);
	bytes_free(&seen->last_payload);
	bytes_free(&seen->last_key);
	*seen = (Seen){0};
}

/* Reads in chunks of so many bytes, each in a heap block of exactly its size so that ASan sees every step too far. */
static inline bool
read_chunked(const void *bytes, size_t length, size_t chunk, Seen *seen, Failure *failure)
{
	RdbReader *reader;
	bool	   passed = true;

	*failure = (Failure){0};
	seen_free(seen);
	reader = rdb_reader_open(&cutting, seen, REASON_INTEGRITY, failure);
	for (size_t at = 0; passed && at < length; at += chunk)
	{
		size_t step = chunk < length - at ? chunk : length - at;
		void  *copy = malloc(step);

		memcpy(copy, (const char *) bytes + at, step);
		passed = rdb_reader_feed(reader, copy, step, failure);
		free(copy);
	}
	passed = passed && rdb_reader_finish(reader, failure);
	seen->summary.version = rdb_reader_version(reader);
	rdb_reader_close(reader);
	return passed;
}

/* ---- files by hand ---- */

static Bytes file;

static inline void
put(const void *bytes, size_t length)
{
	Failure failure = {0};

	bytes_append(&file, bytes, length, &failure);
}

static inline void
put_byte(unsigned byte)
{
	unsigned char one = (unsigned char) byte;

	put(&one, 1);
}

static inline void
put_length(uint64_t value)
{
	unsigned char wide[9] = {0x81};

	if (value < 64)
		put_byte((unsigned) value);
	else
	{
		for (int i = 0; i < 8; i++)
			wide[8 - i] = (unsigned char) (value >> (8 * i));
		put(wide, sizeof(wide));
	}
}

static inline void
put_string(const char *text)
{
	put_length(strlen(text));
	put(text, strlen(text));
}

static inline void
begin_file(const char *header)
{
	bytes_reset(&file, SIZE_MAX);
	put(header, 9);
}

/* Ends the file with its checksum. */
static inline void
end_file(void)
{
	uint64_t crc;

	put_byte(0xff);
	crc = crc64_update(0, file.data, file.length);
	for (int i = 0; i < 8; i++)
		put_byte((unsigned) (crc >> (8 * i)) & 0xff);
}

/* Values by a layout's own letters, with small contents: what rdb_layout.h promises, the other way round. */
static inline void
put_layout(const char *layout)
{
	for (; *layout != '\0'; layout++)
	{
		switch (*layout)
		{
			case 'L':
				put_length(1000 + (unsigned char) *layout);
				break;
			case 'S':
				put_string("text of a value");
				break;
			case '1':
			case '4':
			case '8':
				put("\xff\xfe\xfd\xfc\xfb\xfa\xf9\xf8", (size_t) (*layout - '0'));
				break;
			case 'I':
				put("\xff\xfe\xfd\xfc\xfb\xfa\xf9\xf8\xff\xfe\xfd\xfc\xfb\xfa\xf9\xf8", 16);
				break;
			case 'D':
				put("\x03"
					"2.5",
					4);
				break;
			default: /* a digit in a letter's clothes: how often what follows repeats */
				put_length((uint64_t) (*layout - 'a'));
				break;
		}
	}
}

#endif
