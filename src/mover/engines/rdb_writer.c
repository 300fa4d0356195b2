/*
 * rdb_writer.c
 *	  Header, keys and end of an RDB file, into a buffer.
 */
#include "engines/rdb_writer.h"

#include <endian.h>
#include <stdio.h>
#include <string.h>

#include "engines/crc64.h"
#include "engines/rdb.h"

bool
rdb_write_raw(RdbWriter *writer, const void *bytes, size_t length, Failure *failure)
{
	rdb_writer_sum(writer, bytes, length);
	return bytes_append(&writer->out, bytes, length, failure);
}

void
rdb_writer_sum(RdbWriter *writer, const void *bytes, size_t length)
{
	writer->crc = crc64_update(writer->crc, bytes, length);
}

static bool
write_byte(RdbWriter *writer, unsigned byte, Failure *failure)
{
	unsigned char one = (unsigned char) byte;

	return rdb_write_raw(writer, &one, 1, failure);
}

static bool
write_length(RdbWriter *writer, uint64_t length, Failure *failure)
{
	unsigned char bytes[9];
	uint32_t	  narrow = htobe32((uint32_t) length);
	uint64_t	  wide = htobe64(length);

	if (length < 1 << 6)
		return write_byte(writer, (unsigned) length, failure);
	if (length < 1 << 14)
	{
		bytes[0] = (unsigned char) (0x40 | length >> 8);
		bytes[1] = (unsigned char) length;
		return rdb_write_raw(writer, bytes, 2, failure);
	}
	if (length <= UINT32_MAX)
	{
		bytes[0] = 0x80;
		memcpy(bytes + 1, &narrow, sizeof(narrow));
		return rdb_write_raw(writer, bytes, 5, failure);
	}
	bytes[0] = 0x81;
	memcpy(bytes + 1, &wide, sizeof(wide));
	return rdb_write_raw(writer, bytes, 9, failure);
}

static bool
write_string(RdbWriter *writer, const void *bytes, size_t length, Failure *failure)
{
	return write_length(writer, length, failure) && rdb_write_raw(writer, bytes, length, failure);
}

bool
rdb_write_header(RdbWriter *writer, int version, Failure *failure)
{
	char header[16];

	snprintf(header, sizeof(header), version >= RDB_VERSION_VALKEY ? "VALKEY%03d" : "REDIS%04d", version);
	return rdb_write_raw(writer, header, 9, failure);
}

bool
rdb_write_aux(RdbWriter *writer, const char *name, const char *value, Failure *failure)
{
	return write_byte(writer, RDB_OPCODE_AUX, failure) && write_string(writer, name, strlen(name), failure) &&
		   write_string(writer, value, strlen(value), failure);
}

bool
rdb_write_database(RdbWriter *writer, uint64_t number, Failure *failure)
{
	return write_byte(writer, RDB_OPCODE_SELECT_DATABASE, failure) && write_length(writer, number, failure);
}

bool
rdb_write_key_head(RdbWriter *writer, int64_t expires_at, int64_t idle, int frequency, const void *prefix,
				   size_t prefix_length, size_t key_length, Failure *failure)
{
	uint64_t milliseconds = htole64((uint64_t) expires_at);

	if (expires_at >= 0 && (!write_byte(writer, RDB_OPCODE_EXPIRE_MS, failure) ||
							!rdb_write_raw(writer, &milliseconds, sizeof(milliseconds), failure)))
		return false;
	if (idle >= 0 &&
		(!write_byte(writer, RDB_OPCODE_IDLE, failure) || !write_length(writer, (uint64_t) idle, failure)))
		return false;
	if (frequency >= 0 && (!write_byte(writer, RDB_OPCODE_FREQUENCY, failure) ||
						   !write_byte(writer, (unsigned) frequency, failure)))
		return false;
	return rdb_write_raw(writer, prefix, prefix_length, failure) && write_length(writer, key_length, failure);
}

bool
rdb_write_key(RdbWriter *writer, int64_t expires_at, int64_t idle, int frequency, const void *prefix,
			  size_t prefix_length, const void *key, size_t key_length, Failure *failure)
{
	return rdb_write_key_head(writer, expires_at, idle, frequency, prefix, prefix_length, key_length,
							  failure) &&
		   rdb_write_raw(writer, key, key_length, failure);
}

bool
rdb_write_end(RdbWriter *writer, Failure *failure)
{
	uint64_t crc;

	if (!write_byte(writer, RDB_OPCODE_END, failure))
		return false;
	crc = htole64(writer->crc);
	return bytes_append(&writer->out, &crc, sizeof(crc), failure);
}
