/*
 * rdb_payload.h
 *	  What DUMP gives and RESTORE takes: a key's type and value as they stand in a file,
 *	  and behind them a footer, the RDB version (2 bytes) and a CRC64 (8), both little
 *	  endian.
 *
 * Modules' metadata of a key, where there is any, stands before the type.
 */
#ifndef RDB_PAYLOAD_H
#define RDB_PAYLOAD_H

#include <stdbool.h>
#include <stddef.h>

#define RDB_FOOTER_SIZE 10

/* Version and checksum for a payload whose first `length` bytes are given. */
extern void rdb_footer(unsigned char footer[RDB_FOOTER_SIZE], int version, const void *payload,
					   size_t length);

/* Is this a whole payload, footer included? Says the version in it. */
extern bool rdb_footer_check(const void *payload, size_t length, int *version);

/* How many bytes stand before the value.  0: not all of them are in these, or they are none. */
extern size_t rdb_payload_prefix(const unsigned char *payload, size_t length);

#endif
