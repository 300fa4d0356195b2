/*
 * crc64.c
 *	  CRC-64/Jones: ISA-L's where it was built in, else eight tables, eight bytes a step.
 */
#include "engines/crc64.h"

#ifdef HAVE_ISAL

#include <isa-l/crc64.h>

uint64_t
crc64_update(uint64_t crc, const void *bytes, size_t length)
{
	/* ISA-L inverts at both ends, Redis at neither. */
	return ~crc64_jones_refl(~crc, bytes, length);
}

#else

#include <stdbool.h>

#include <endian.h>
#include <string.h>

#define JONES_REFLECTED 0x95ac9329ac4bc9b5ULL

static uint64_t tables[8][256];

static void
build_tables(void)
{
	for (unsigned value = 0; value < 256; value++)
	{
		uint64_t crc = value;

		for (int bit = 0; bit < 8; bit++)
			crc = (crc >> 1) ^ ((crc & 1) ? JONES_REFLECTED : 0);
		tables[0][value] = crc;
	}
	for (unsigned value = 0; value < 256; value++)
		for (int table = 1; table < 8; table++)
			tables[table][value] =
				(tables[table - 1][value] >> 8) ^ tables[0][tables[table - 1][value] & 0xff];
}

uint64_t
crc64_update(uint64_t crc, const void *bytes, size_t length)
{
	static bool			 built = false;
	const unsigned char *byte = bytes;

	if (!built)
	{
		build_tables();
		built = true;
	}
	for (; length >= 8; byte += 8, length -= 8)
	{
		uint64_t word;

		memcpy(&word, byte, sizeof(word));
		crc ^= le64toh(word);
		crc = tables[7][crc & 0xff] ^ tables[6][(crc >> 8) & 0xff] ^ tables[5][(crc >> 16) & 0xff] ^
			  tables[4][(crc >> 24) & 0xff] ^ tables[3][(crc >> 32) & 0xff] ^ tables[2][(crc >> 40) & 0xff] ^
			  tables[1][(crc >> 48) & 0xff] ^ tables[0][crc >> 56];
	}
	for (; length > 0; byte++, length--)
		crc = (crc >> 8) ^ tables[0][(crc ^ *byte) & 0xff];
	return crc;
}

#endif
