/*
 * rdb_writer.h
 *	  An RDB file put together from DUMP payloads.
 *
 * Pieces are appended to a buffer that the caller empties as it likes; the
 * checksum runs over everything that went through the writer.  A value or a key that
 * is too large to be held (again) passes beside the buffer, told to rdb_writer_sum().
 */
#ifndef RDB_WRITER_H
#define RDB_WRITER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "engines/bytes.h"
#include "failure.h"

typedef struct RdbWriter
{
	Bytes	 out;
	uint64_t crc;
} RdbWriter;

extern bool rdb_write_header(RdbWriter *writer, int version, Failure *failure);
extern bool rdb_write_aux(RdbWriter *writer, const char *name, const char *value, Failure *failure);
extern bool rdb_write_raw(RdbWriter *writer, const void *bytes, size_t length, Failure *failure);
extern bool rdb_write_database(RdbWriter *writer, uint64_t number, Failure *failure);

/* What stands in front of a value: -1 for what is not known or does not apply.  prefix: a payload's metadata and type byte. */
extern bool rdb_write_key(RdbWriter *writer, int64_t expires_at, int64_t idle, int frequency,
						  const void *prefix, size_t prefix_length, const void *key, size_t key_length,
						  Failure *failure);

/* The same as far as the key's length: the key itself is to come next. */
extern bool rdb_write_key_head(RdbWriter *writer, int64_t expires_at, int64_t idle, int frequency,
							   const void *prefix, size_t prefix_length, size_t key_length, Failure *failure);
extern void rdb_writer_sum(RdbWriter *writer, const void *bytes, size_t length);
extern bool rdb_write_end(RdbWriter *writer, Failure *failure);

#endif
