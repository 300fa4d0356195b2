/*
 * crc64.c
 *	  CRC-64 of two polynomials: ISA-L's where it was built in, else eight tables, eight bytes a step.
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

uint64_t
crc64_xz_update(uint64_t crc, const void *bytes, size_t length)
{
	return crc64_ecma_refl(crc, bytes, length);
}

#else

#include <stdbool.h>

#include <endian.h>
#include <string.h>

#define JONES_REFLECTED 0x95ac9329ac4bc9b5ULL
#define ECMA_REFLECTED	0xc96c5795d7870f42ULL

typedef struct Crc64Tables
{
	bool	 built;
	uint64_t table[8][256];
} Crc64Tables;

static void
build_tables(Crc64Tables *tables, uint64_t polynomial)
{
	for (unsigned value = 0; value < 256; value++)
	{
		uint64_t crc = value;

		for (int bit = 0; bit < 8; bit++)
			crc = (crc >> 1) ^ ((crc & 1) ? polynomial : 0);
		tables->table[0][value] = crc;
	}
	for (unsigned value = 0; value < 256; value++)
		for (int table = 1; table < 8; table++)
			tables->table[table][value] = (tables->table[table - 1][value] >> 8) ^
										  tables->table[0][tables->table[table - 1][value] & 0xff];
	tables->built = true;
}

static uint64_t
update(Crc64Tables *tables, uint64_t polynomial, uint64_t crc, const unsigned char *byte, size_t length)
{
	uint64_t(*table)[256] = tables->table;

	if (!tables->built)
		build_tables(tables, polynomial);
	for (; length >= 8; byte += 8, length -= 8)
	{
		uint64_t word;

		memcpy(&word, byte, sizeof(word));
		crc ^= le64toh(word);
		crc = table[7][crc & 0xff] ^ table[6][(crc >> 8) & 0xff] ^ table[5][(crc >> 16) & 0xff] ^
			  table[4][(crc >> 24) & 0xff] ^ table[3][(crc >> 32) & 0xff] ^ table[2][(crc >> 40) & 0xff] ^
			  table[1][(crc >> 48) & 0xff] ^ table[0][crc >> 56];
	}
	for (; length > 0; byte++, length--)
		crc = (crc >> 8) ^ table[0][(crc ^ *byte) & 0xff];
	return crc;
}

uint64_t
crc64_update(uint64_t crc, const void *bytes, size_t length)
{
	static Crc64Tables tables;

	return update(&tables, JONES_REFLECTED, crc, bytes, length);
}

uint64_t
crc64_xz_update(uint64_t crc, const void *bytes, size_t length)
{
	static Crc64Tables tables;

	return ~update(&tables, ECMA_REFLECTED, ~crc, bytes, length);
}

#endif
