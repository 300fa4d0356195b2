/*
 * rdb.c
 *	  The file's level: header, opcodes, keys, end.
 *
 * A file is a sequence of sections.  Each begins with one byte, an opcode or the
 * type of a value, which says what layout follows (rdb_layout.h) and whether its
 * bytes are kept to be decoded when it is complete (small ones, keys; values and
 * functions only where the handler wants them).  A key is two sections: the key, then the
 * value.
 */
#include "engines/rdb.h"

#include <endian.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "engines/bytes.h"
#include "engines/crc64.h"
#include "engines/lzf.h"
#include "engines/rdb_layout.h"

#define HEADER_SIZE	  9
#define CHECKSUM_SIZE 8

#define OPCODE_KEY_META		   0xf3 /* Redis; Valkey's slot import */
#define OPCODE_SLOT_INFO	   0xf4
#define OPCODE_FUNCTION_OLD	   0xf6 /* release candidates of 7.0 */
#define OPCODE_MODULE_AUX	   0xf7
#define OPCODE_RESIZE_DATABASE 0xfb
#define OPCODE_EXPIRE_SECONDS  0xfd

/* Facts longer than this are passed over: nobody writes them, and they would have to be held. */
#define AUX_MAX 4096

/* A buffer that one large value has blown up is given back. */
#define KEPT_BUFFER (1024 * 1024)

#define MAX_DATABASE (UINT64_C(1) << 31)

typedef enum State
{
	STATE_HEADER,
	STATE_OPCODE,
	STATE_SECTION, /* an opcode's own fields */
	STATE_KEY,
	STATE_VALUE,
	STATE_CHECKSUM,
	STATE_END
} State;

struct RdbReader
{
	RdbHandler	  handler;
	void		 *context;
	FailureReason when;
	State		  state;
	int			  version;
	bool		  valkey;
	uint64_t	  offset; /* of what has been taken, for messages */
	uint64_t	  crc;

	RdbWalk	 walk;
	unsigned opcode;
	Bytes	 section;	  /* the raw bytes of the present section, where they are kept */
	size_t	 section_max; /* more are not kept; SIZE_MAX: all */
	uint64_t section_length;

	RdbEntry	  entry; /* in the making */
	Bytes		  key;
	Bytes		  payload;
	uint64_t	  meta_length;		  /* of modules' metadata in front of the key, opcode included */
	unsigned char fixed[HEADER_SIZE]; /* header or checksum, coming together */
	size_t		  fixed_length;
};

static bool
broken(RdbReader *reader, Failure *failure, const char *what)
{
	return failure_set(failure, reader->when, "the RDB stream is broken at byte %" PRIu64 ": %s",
					   reader->offset, what);
}

static void
forget_entry(RdbReader *reader)
{
	uint64_t database = reader->entry.database;

	reader->entry = (RdbEntry){.database = database, .expires_at = -1, .idle = -1, .frequency = -1};
	reader->meta_length = 0;
	bytes_reset(&reader->key, KEPT_BUFFER);
	bytes_reset(&reader->payload, KEPT_BUFFER);
}

RdbReader *
rdb_reader_open(const RdbHandler *handler, void *context, FailureReason when, Failure *failure)
{
	RdbReader *reader = calloc(1, sizeof(*reader));

	if (reader == NULL)
	{
		failure_no_memory(failure);
		return NULL;
	}
	reader->handler = *handler;
	reader->context = context;
	reader->when = when;
	forget_entry(reader);
	return reader;
}

void
rdb_reader_close(RdbReader *reader)
{
	if (reader == NULL)
		return;
	bytes_free(&reader->section);
	bytes_free(&reader->key);
	bytes_free(&reader->payload);
	free(reader);
}

int
rdb_reader_version(const RdbReader *reader)
{
	return reader->version;
}

static bool
read_header(RdbReader *reader, Failure *failure)
{
	const char *header = (const char *) reader->fixed;
	size_t		magic = 5;
	int			version = 0;

	if (memcmp(header, "VALKEY", 6) == 0)
	{
		magic = 6;
		reader->valkey = true;
	}
	else if (memcmp(header, "REDIS", 5) != 0)
		return broken(reader, failure, "it does not begin as an RDB file does");
	for (size_t i = magic; i < HEADER_SIZE; i++)
	{
		if (header[i] < '0' || header[i] > '9')
			return broken(reader, failure, "its version is no number");
		version = version * 10 + (header[i] - '0');
	}
	if (reader->valkey ? version != RDB_VERSION_VALKEY
					   : version < RDB_VERSION_MIN || version > RDB_VERSION_MAX)
		return failure_set(
			failure, reader->when,
			"RDB version %d of %s is not known here (known are %d to %d of Redis, and %d of Valkey)", version,
			reader->valkey ? "Valkey" : "Redis", RDB_VERSION_MIN, RDB_VERSION_MAX, RDB_VERSION_VALKEY);
	reader->version = version;
	reader->state = STATE_OPCODE;
	return true;
}

/* CRC64 of 0 means that the server was told not to compute one. */
static bool
check_checksum(RdbReader *reader, Failure *failure)
{
	uint64_t recorded;

	memcpy(&recorded, reader->fixed, sizeof(recorded));
	recorded = le64toh(recorded);
	if (recorded != 0 && recorded != reader->crc)
		return broken(reader, failure, "the checksum at its end is not that of its bytes");
	reader->state = STATE_END;
	return true;
}

static void
begin_section(RdbReader *reader, State state, const char *layout, size_t section_max)
{
	reader->state = state;
	reader->section_max = section_max;
	reader->section_length = 0;
	bytes_reset(&reader->section, KEPT_BUFFER);
	rdb_walk_begin(&reader->walk, layout);
}

/* Keeps what a section wants kept. */
static bool
keep(RdbReader *reader, const unsigned char *bytes, size_t length, Failure *failure)
{
	reader->section_length += length;
	if (reader->state == STATE_VALUE)
		return !reader->handler.cut_values || bytes_append(&reader->payload, bytes, length, failure);
	if (reader->section_length > reader->section_max)
		return true;
	return bytes_append(&reader->section, bytes, length, failure);
}

/* Where the opcode is part of what a server wants back. */
static bool
keep_opcode(RdbReader *reader, Failure *failure)
{
	unsigned char opcode = (unsigned char) reader->opcode;

	return keep(reader, &opcode, 1, failure);
}

static bool
begin_key(RdbReader *reader, Failure *failure)
{
	char text[64];

	if (rdb_value_layout(reader->opcode, reader->valkey) == NULL)
	{
		snprintf(text, sizeof(text), "0x%02x is no known opcode or type of a value", reader->opcode);
		return broken(reader, failure, text);
	}
	reader->entry.type = reader->opcode;
	begin_section(reader, STATE_KEY, "S", SIZE_MAX);
	return true;
}

static bool
begin_opcode(RdbReader *reader, Failure *failure)
{
	const size_t all = SIZE_MAX;

	switch (reader->opcode)
	{
		case RDB_OPCODE_END:
			reader->state = STATE_CHECKSUM;
			reader->fixed_length = 0;
			return true;
		case RDB_OPCODE_SELECT_DATABASE:
		case RDB_OPCODE_IDLE:
			begin_section(reader, STATE_SECTION, "L", all);
			return true;
		case RDB_OPCODE_FREQUENCY:
			begin_section(reader, STATE_SECTION, "1", all);
			return true;
		case RDB_OPCODE_EXPIRE_MS:
			begin_section(reader, STATE_SECTION, "8", all);
			return true;
		case OPCODE_EXPIRE_SECONDS:
			begin_section(reader, STATE_SECTION, "4", all);
			return true;
		case OPCODE_RESIZE_DATABASE:
			begin_section(reader, STATE_SECTION, "LL", 0);
			return true;
		case OPCODE_SLOT_INFO:
			begin_section(reader, STATE_SECTION, "LLL", 0);
			return true;
		case RDB_OPCODE_AUX:
			begin_section(reader, STATE_SECTION, "SS", AUX_MAX);
			return true;
		case RDB_OPCODE_FUNCTION:
			begin_section(reader, STATE_SECTION, "S", reader->handler.function != NULL ? all : 0);
			return keep_opcode(reader, failure);
		case OPCODE_MODULE_AUX:
			begin_section(reader, STATE_SECTION, "LLLM", 0);
			return true;
		case OPCODE_KEY_META:
			if (reader->valkey)
				return broken(reader, failure,
							  "a cluster was moving slots: take the backup when that is done");
			begin_section(reader, STATE_SECTION, "N(4M)", reader->handler.cut_values ? all : 0);
			return keep_opcode(reader, failure);
		case OPCODE_FUNCTION_OLD:
			return broken(reader, failure,
						  "it holds functions as only release candidates of Redis 7.0 wrote them");
		default:
			return begin_key(reader, failure);
	}
}

/* A string's raw bytes, decoded.  The section is known to be whole. */
static bool
decode_string(RdbReader *reader, const unsigned char *raw, size_t length, size_t *used, Bytes *text,
			  Failure *failure)
{
	bool	 special;
	uint64_t value;
	uint64_t original;
	size_t	 head = rdb_decode_length(raw, length, &value, &special);
	int32_t	 number = 0;

	if (!special)
	{
		*used = head + (size_t) value;
		return bytes_append(text, raw + head, (size_t) value, failure);
	}
	if (value <= 2)
	{
		/* Little endian, signed, of 1, 2 or 4 bytes. */
		size_t	 width = (size_t) 1 << value;
		uint32_t bits = 0;
		char	 digits[16];

		for (size_t i = 0; i < width; i++)
			bits |= (uint32_t) raw[head + i] << (8 * i);
		number = width == 1 ? (int8_t) bits : width == 2 ? (int16_t) bits : (int32_t) bits;
		*used = head + width;
		return bytes_append(text, digits, (size_t) snprintf(digits, sizeof(digits), "%" PRId32, number),
							failure);
	}
	head += rdb_decode_length(raw + head, length - head, &value, &special);
	head += rdb_decode_length(raw + head, length - head, &original, &special);
	*used = head + (size_t) value;
	if (!bytes_reserve(text, (size_t) original, failure))
		return false;
	if (!lzf_decompress(raw + head, (size_t) value, text->data + text->length, (size_t) original))
		return broken(reader, failure, "a compressed string does not decompress");
	text->length += (size_t) original;
	return true;
}

static bool
finish_aux(RdbReader *reader, Failure *failure)
{
	Bytes  text = {0};
	size_t used;
	size_t name_length;
	bool   passed;

	if (reader->handler.aux == NULL || reader->section_length > AUX_MAX)
		return true;
	passed = decode_string(reader, reader->section.data, reader->section.length, &used, &text, failure) &&
			 bytes_append(&text, "", 1, failure);
	name_length = text.length;
	passed =
		passed &&
		decode_string(reader, reader->section.data + used, reader->section.length - used, &used, &text,
					  failure) &&
		bytes_append(&text, "", 1, failure) &&
		reader->handler.aux(reader->context, (char *) text.data, (char *) text.data + name_length, failure);
	bytes_free(&text);
	return passed;
}

static bool
finish_database(RdbReader *reader, Failure *failure)
{
	bool special;

	rdb_decode_length(reader->section.data, reader->section.length, &reader->entry.database, &special);
	if (reader->entry.database >= MAX_DATABASE)
		return broken(reader, failure, "no database has such a number");
	return true;
}

static bool
finish_function(RdbReader *reader, Failure *failure)
{
	return reader->handler.function == NULL ||
		   reader->handler.function(reader->context, reader->section.data, reader->section.length, failure);
}

static bool
finish_key_meta(RdbReader *reader, Failure *failure)
{
	reader->meta_length += reader->section_length;
	return !reader->handler.cut_values ||
		   bytes_append(&reader->payload, reader->section.data, reader->section.length, failure);
}

/* An opcode's fields are complete. */
static bool
finish_section(RdbReader *reader, Failure *failure)
{
	const unsigned char *raw = reader->section.data;
	uint64_t			 number;
	uint32_t			 seconds;
	bool				 special;

	reader->state = STATE_OPCODE;
	switch (reader->opcode)
	{
		case RDB_OPCODE_SELECT_DATABASE:
			return finish_database(reader, failure);
		case RDB_OPCODE_EXPIRE_MS:
			memcpy(&number, raw, sizeof(number));
			reader->entry.expires_at = (int64_t) le64toh(number);
			return true;
		case OPCODE_EXPIRE_SECONDS:
			memcpy(&seconds, raw, sizeof(seconds));
			reader->entry.expires_at = (int64_t) (int32_t) le32toh(seconds) * 1000;
			return true;
		case RDB_OPCODE_IDLE:
			rdb_decode_length(raw, reader->section.length, &number, &special);
			reader->entry.idle = number > INT32_MAX ? INT32_MAX : (int64_t) number;
			return true;
		case RDB_OPCODE_FREQUENCY:
			reader->entry.frequency = raw[0];
			return true;
		case RDB_OPCODE_AUX:
			return finish_aux(reader, failure);
		case RDB_OPCODE_FUNCTION:
			return finish_function(reader, failure);
		case OPCODE_KEY_META:
			return finish_key_meta(reader, failure);
		case OPCODE_MODULE_AUX:
			return reader->handler.module_aux == NULL || reader->handler.module_aux(reader->context, failure);
		default:
			return true;
	}
}

static bool
finish_key(RdbReader *reader, Failure *failure)
{
	size_t		  used;
	unsigned char type = (unsigned char) reader->entry.type;

	/* An empty key is a key, and points somewhere. */
	if (!bytes_reserve(&reader->key, 1, failure) ||
		!decode_string(reader, reader->section.data, reader->section.length, &used, &reader->key, failure))
		return false;
	if (reader->handler.cut_values && !bytes_append(&reader->payload, &type, 1, failure))
		return false;
	begin_section(reader, STATE_VALUE, rdb_value_layout(reader->entry.type, reader->valkey), 0);
	return true;
}

static bool
finish_value(RdbReader *reader, Failure *failure)
{
	RdbEntry *entry = &reader->entry;
	bool	  passed;

	entry->key = reader->key.data;
	entry->key_length = reader->key.length;
	entry->payload = reader->handler.cut_values ? reader->payload.data : NULL;
	entry->payload_length = reader->meta_length + 1 + reader->section_length;
	entry->unpacked_length = entry->payload_length + reader->walk.expanded;
	entry->strings = reader->walk.strings;
	passed = reader->handler.entry == NULL || reader->handler.entry(reader->context, entry, failure);
	forget_entry(reader);
	reader->state = STATE_OPCODE;
	return passed;
}

static bool
feed_section(RdbReader *reader, const unsigned char *bytes, size_t length, size_t *taken, Failure *failure)
{
	RdbStep step = rdb_walk(&reader->walk, bytes, length, taken);

	if (step == RDB_STEP_CORRUPT)
		return broken(reader, failure, reader->walk.error);
	if (!keep(reader, bytes, *taken, failure))
		return false;
	if (step == RDB_STEP_MORE)
		return true;
	switch (reader->state)
	{
		case STATE_KEY:
			return finish_key(reader, failure);
		case STATE_VALUE:
			return finish_value(reader, failure);
		default:
			return finish_section(reader, failure);
	}
}

/* Header and checksum: so many bytes, then what is made of them. */
static bool
feed_fixed(RdbReader *reader, size_t size, const unsigned char *bytes, size_t length, size_t *taken,
		   Failure *failure)
{
	size_t missing = size - reader->fixed_length;

	*taken = missing < length ? missing : length;
	memcpy(reader->fixed + reader->fixed_length, bytes, *taken);
	reader->fixed_length += *taken;
	if (reader->fixed_length < size)
		return true;
	return reader->state == STATE_HEADER ? read_header(reader, failure) : check_checksum(reader, failure);
}

static bool
feed_some(RdbReader *reader, const unsigned char *bytes, size_t length, size_t *taken, Failure *failure)
{
	switch (reader->state)
	{
		case STATE_HEADER:
			return feed_fixed(reader, HEADER_SIZE, bytes, length, taken, failure);
		case STATE_CHECKSUM:
			return feed_fixed(reader, CHECKSUM_SIZE, bytes, length, taken, failure);
		case STATE_OPCODE:
			*taken = 1;
			reader->opcode = bytes[0];
			return begin_opcode(reader, failure);
		case STATE_END:
			return broken(reader, failure, "bytes follow behind its end");
		default:
			return feed_section(reader, bytes, length, taken, failure);
	}
}

bool
rdb_reader_feed(RdbReader *reader, const void *bytes, size_t length, Failure *failure)
{
	const unsigned char *at = bytes;
	const unsigned char *end = at + length;
	const unsigned char *summed = at; /* the checksum has seen everything before this */

	while (at < end)
	{
		size_t taken = 0;
		bool   covered = reader->state != STATE_CHECKSUM;

		if (!covered && summed < at)
		{
			reader->crc = crc64_update(reader->crc, summed, (size_t) (at - summed));
			summed = at;
		}
		if (!feed_some(reader, at, (size_t) (end - at), &taken, failure))
			return false;
		at += taken;
		reader->offset += taken;
		if (!covered)
			summed = at;
	}
	reader->crc = crc64_update(reader->crc, summed, (size_t) (end - summed));
	return true;
}

bool
rdb_reader_finish(RdbReader *reader, Failure *failure)
{
	if (reader->offset == 0)
		return failure_set(failure, reader->when == REASON_DUMP ? REASON_TOO_SMALL : reader->when,
						   "the RDB stream is empty");
	if (reader->state != STATE_END)
		return broken(reader, failure, "it ends before the file's end");
	return true;
}

void
rdb_footer(unsigned char footer[RDB_FOOTER_SIZE], int version, const void *payload, size_t length)
{
	uint64_t crc;

	footer[0] = (unsigned char) (version & 0xff);
	footer[1] = (unsigned char) (version >> 8);
	crc = htole64(crc64_update(crc64_update(0, payload, length), footer, 2));
	memcpy(footer + 2, &crc, sizeof(crc));
}

bool
rdb_footer_check(const void *payload, size_t length, int *version)
{
	const unsigned char *footer = (const unsigned char *) payload + length - RDB_FOOTER_SIZE;
	unsigned char		 expected[RDB_FOOTER_SIZE];

	if (length < RDB_FOOTER_SIZE)
		return false;
	*version = footer[0] | footer[1] << 8;
	rdb_footer(expected, *version, payload, length - RDB_FOOTER_SIZE);
	return memcmp(footer, expected, RDB_FOOTER_SIZE) == 0;
}
