/*
 * rdb.c
 *	  The file's level: header, sections (rdb_section.h), checksum, end.
 */
#include "engines/rdb.h"

#include <endian.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "engines/crc64.h"
#include "engines/rdb_section.h"

bool
rdb_broken(const RdbReader *reader, Failure *failure, const char *what)
{
	return failure_set(failure, reader->when, "the RDB stream is broken at byte %" PRIu64 ": %s",
					   reader->offset, what);
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
	rdb_forget_entry(reader);
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
		return rdb_broken(reader, failure, "it does not begin as an RDB file does");
	for (size_t i = magic; i < RDB_HEADER_SIZE; i++)
	{
		if (header[i] < '0' || header[i] > '9')
			return rdb_broken(reader, failure, "its version is no number");
		version = version * 10 + (header[i] - '0');
	}
	if (reader->valkey ? version != RDB_VERSION_VALKEY
					   : version < RDB_VERSION_MIN || version > RDB_VERSION_MAX)
		return failure_set(
			failure, reader->when,
			"RDB version %d of %s is not known here (known are %d to %d of Redis, and %d of Valkey)", version,
			reader->valkey ? "Valkey" : "Redis", RDB_VERSION_MIN, RDB_VERSION_MAX, RDB_VERSION_VALKEY);
	reader->version = version;
	reader->state = RDB_STATE_OPCODE;
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
		return rdb_broken(reader, failure, "the checksum at its end is not that of its bytes");
	reader->state = RDB_STATE_END;
	return true;
}

static bool
feed_section(RdbReader *reader, const unsigned char *bytes, size_t length, size_t *taken, Failure *failure)
{
	RdbStep step = rdb_walk(&reader->walk, bytes, length, taken);

	if (step == RDB_STEP_CORRUPT)
		return rdb_broken(reader, failure, reader->walk.error);
	if (!rdb_section_keep(reader, bytes, *taken, failure))
		return false;
	return step == RDB_STEP_MORE || rdb_section_finish(reader, failure);
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
	return reader->state == RDB_STATE_HEADER ? read_header(reader, failure) : check_checksum(reader, failure);
}

static bool
feed_some(RdbReader *reader, const unsigned char *bytes, size_t length, size_t *taken, Failure *failure)
{
	switch (reader->state)
	{
		case RDB_STATE_HEADER:
			return feed_fixed(reader, RDB_HEADER_SIZE, bytes, length, taken, failure);
		case RDB_STATE_CHECKSUM:
			return feed_fixed(reader, RDB_CHECKSUM_SIZE, bytes, length, taken, failure);
		case RDB_STATE_OPCODE:
			*taken = 1;
			reader->opcode = bytes[0];
			return rdb_section_begin(reader, failure);
		case RDB_STATE_END:
			return rdb_broken(reader, failure, "bytes follow behind its end");
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
		bool   covered = reader->state != RDB_STATE_CHECKSUM;

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
	if (reader->state != RDB_STATE_END)
		return rdb_broken(reader, failure, "it ends before the file's end");
	return true;
}
