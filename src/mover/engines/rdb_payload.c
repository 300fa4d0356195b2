/*
 * rdb_payload.c
 *	  The footer behind a DUMP's payload, and what stands in front of its value.
 */
#include "engines/rdb_payload.h"

#include <endian.h>
#include <stdint.h>
#include <string.h>

#include "engines/crc64.h"
#include "engines/rdb.h"
#include "engines/rdb_layout.h"

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

size_t
rdb_payload_prefix(const unsigned char *payload, size_t length)
{
	RdbWalk walk;
	size_t	taken;

	if (length == 0)
		return 0;
	if (payload[0] != RDB_OPCODE_KEY_META)
		return 1;
	rdb_walk_begin(&walk, RDB_LAYOUT_KEY_META);
	if (rdb_walk(&walk, payload + 1, length - 1, &taken) != RDB_STEP_DONE || taken + 2 > length)
		return 0;
	return taken + 2;
}
