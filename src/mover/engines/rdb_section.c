/*
 * rdb_section.c
 *	  Beginning, keeping and finishing the sections of an RDB file.
 */
#include "engines/rdb_section.h"

#include <endian.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "engines/rdb_string.h"

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

void
rdb_forget_entry(RdbReader *reader)
{
	uint64_t database = reader->entry.database;

	reader->entry = (RdbEntry){.database = database, .expires_at = -1, .idle = -1, .frequency = -1};
	reader->meta_length = 0;
	bytes_reset(&reader->key, KEPT_BUFFER);
	bytes_reset(&reader->payload, KEPT_BUFFER);
}

/* ---- beginning ---- */

static void
begin_section(RdbReader *reader, RdbState state, const char *layout, size_t section_max)
{
	reader->state = state;
	reader->section_max = section_max;
	reader->section_length = 0;
	bytes_reset(&reader->section, KEPT_BUFFER);
	rdb_walk_begin(&reader->walk, layout);
}

/* Keeps what a section wants kept: its beginning at least. */
bool
rdb_section_keep(RdbReader *reader, const unsigned char *bytes, size_t length, Failure *failure)
{
	reader->section_length += length;
	if (reader->state == RDB_STATE_VALUE)
		return !reader->handler.cut_values || bytes_append(&reader->payload, bytes, length, failure);
	if (length > reader->section_max - reader->section.length)
		length = reader->section_max - reader->section.length;
	return bytes_append(&reader->section, bytes, length, failure);
}

/* Where the opcode is part of what a server wants back. */
static bool
keep_opcode(RdbReader *reader, Failure *failure)
{
	unsigned char opcode = (unsigned char) reader->opcode;

	return rdb_section_keep(reader, &opcode, 1, failure);
}

static bool
begin_key(RdbReader *reader, Failure *failure)
{
	char text[64];

	if (rdb_value_layout(reader->opcode, reader->valkey) == NULL)
	{
		snprintf(text, sizeof(text), "0x%02x is no known opcode or type of a value", reader->opcode);
		return rdb_broken(reader, failure, text);
	}
	reader->entry.type = reader->opcode;
	begin_section(reader, RDB_STATE_KEY, "S", reader->handler.cut_values ? SIZE_MAX : RDB_KEY_COUNTED);
	return true;
}

bool
rdb_section_begin(RdbReader *reader, Failure *failure)
{
	const size_t all = SIZE_MAX;

	switch (reader->opcode)
	{
		case RDB_OPCODE_END:
			reader->state = RDB_STATE_CHECKSUM;
			reader->fixed_length = 0;
			return true;
		case RDB_OPCODE_SELECT_DATABASE:
		case RDB_OPCODE_IDLE:
			begin_section(reader, RDB_STATE_SECTION, "L", all);
			return true;
		case RDB_OPCODE_FREQUENCY:
			begin_section(reader, RDB_STATE_SECTION, "1", all);
			return true;
		case RDB_OPCODE_EXPIRE_MS:
			begin_section(reader, RDB_STATE_SECTION, "8", all);
			return true;
		case OPCODE_EXPIRE_SECONDS:
			begin_section(reader, RDB_STATE_SECTION, "4", all);
			return true;
		case OPCODE_RESIZE_DATABASE:
			begin_section(reader, RDB_STATE_SECTION, "LL", 0);
			return true;
		case OPCODE_SLOT_INFO:
			begin_section(reader, RDB_STATE_SECTION, "LLL", 0);
			return true;
		case RDB_OPCODE_AUX:
			begin_section(reader, RDB_STATE_SECTION, "SS", AUX_MAX);
			return true;
		case RDB_OPCODE_FUNCTION:
			begin_section(reader, RDB_STATE_SECTION, "S", reader->handler.function != NULL ? all : 0);
			return keep_opcode(reader, failure);
		case OPCODE_MODULE_AUX:
			begin_section(reader, RDB_STATE_SECTION, "LLLM", 0);
			return true;
		case RDB_OPCODE_KEY_META:
			if (reader->valkey)
				return rdb_broken(reader, failure,
								  "a cluster was moving slots: take the backup when that is done");
			begin_section(reader, RDB_STATE_SECTION, RDB_LAYOUT_KEY_META,
						  reader->handler.cut_values ? all : 0);
			return keep_opcode(reader, failure);
		case OPCODE_FUNCTION_OLD:
			return rdb_broken(reader, failure,
							  "it holds functions as only release candidates of Redis 7.0 wrote them");
		default:
			return begin_key(reader, failure);
	}
}

/* ---- finishing ---- */

/* A string of the section, which is known to be whole. */
static bool
decode(RdbReader *reader, const unsigned char *raw, size_t length, size_t *used, Bytes *text,
	   Failure *failure)
{
	if (rdb_string_decode(raw, length, used, text, failure))
		return true;
	return failure->reason != REASON_NONE
			   ? false
			   : rdb_broken(reader, failure, "a compressed string does not decompress");
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
	passed = decode(reader, reader->section.data, reader->section.length, &used, &text, failure) &&
			 bytes_append(&text, "", 1, failure);
	name_length = text.length;
	passed =
		passed &&
		decode(reader, reader->section.data + used, reader->section.length - used, &used, &text, failure) &&
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
		return rdb_broken(reader, failure, "no database has such a number");
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

/* Any time before 1970 is as long past; -1 alone says never, to servers as well. */
static void
note_expiry(RdbReader *reader, int64_t milliseconds)
{
	reader->entry.expires_at = milliseconds < -1 ? 0 : milliseconds;
}

/* An opcode's fields are complete. */
static bool
finish_opcode(RdbReader *reader, Failure *failure)
{
	const unsigned char *raw = reader->section.data;
	uint64_t			 number;
	uint32_t			 seconds;
	bool				 special;

	reader->state = RDB_STATE_OPCODE;
	switch (reader->opcode)
	{
		case RDB_OPCODE_SELECT_DATABASE:
			return finish_database(reader, failure);
		case RDB_OPCODE_EXPIRE_MS:
			memcpy(&number, raw, sizeof(number));
			note_expiry(reader, (int64_t) le64toh(number));
			return true;
		case OPCODE_EXPIRE_SECONDS:
			memcpy(&seconds, raw, sizeof(seconds));
			note_expiry(reader, (int64_t) (int32_t) le32toh(seconds) * 1000);
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
		case RDB_OPCODE_KEY_META:
			return finish_key_meta(reader, failure);
		case OPCODE_MODULE_AUX:
			return reader->handler.module_aux == NULL || reader->handler.module_aux(reader->context, failure);
		default:
			return true;
	}
}

/* A large plain string is not copied: the section's memory becomes the key's. */
static bool
take_key(RdbReader *reader, Failure *failure)
{
	Bytes	 section = reader->section;
	size_t	 used;
	uint64_t length;
	bool	 special;
	size_t	 head = rdb_decode_length(section.data, section.length, &length, &special);

	/* An empty key is a key, and points somewhere. */
	if (special || section.length <= KEPT_BUFFER)
		return bytes_reserve(&reader->key, 1, failure) &&
			   decode(reader, section.data, section.length, &used, &reader->key, failure);
	memmove(section.data, section.data + head, section.length - head);
	section.length -= head;
	reader->section = reader->key;
	reader->key = section;
	return true;
}

static bool
finish_key(RdbReader *reader, Failure *failure)
{
	unsigned char type = (unsigned char) reader->entry.type;

	if (reader->section_length > reader->section.length)
		reader->entry.key_length = rdb_string_length(reader->section.data, reader->section.length);
	else if (!take_key(reader, failure))
		return false;
	else
		reader->entry.key_length = reader->key.length;
	if (reader->handler.cut_values && !bytes_append(&reader->payload, &type, 1, failure))
		return false;
	begin_section(reader, RDB_STATE_VALUE, rdb_value_layout(reader->entry.type, reader->valkey), 0);
	return true;
}

static bool
finish_value(RdbReader *reader, Failure *failure)
{
	RdbEntry *entry = &reader->entry;
	bool	  passed;

	entry->key = entry->key_length == reader->key.length ? reader->key.data : NULL;
	entry->payload = reader->handler.cut_values ? reader->payload.data : NULL;
	entry->payload_length = reader->meta_length + 1 + reader->section_length;
	entry->unpacked_length = entry->payload_length + reader->walk.expanded;
	entry->strings = reader->walk.strings;
	passed = reader->handler.entry == NULL || reader->handler.entry(reader->context, entry, failure);
	rdb_forget_entry(reader);
	reader->state = RDB_STATE_OPCODE;
	return passed;
}

bool
rdb_section_finish(RdbReader *reader, Failure *failure)
{
	switch (reader->state)
	{
		case RDB_STATE_KEY:
			return finish_key(reader, failure);
		case RDB_STATE_VALUE:
			return finish_value(reader, failure);
		default:
			return finish_opcode(reader, failure);
	}
}
