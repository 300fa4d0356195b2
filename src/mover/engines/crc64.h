/*
 * crc64.h
 *	  The checksum at the end of an RDB file and of every DUMP payload.
 *
 * CRC-64/Jones: polynomial 0xad93d23594c935a9, reflected, initial value 0, no
 * final inversion.  The check value of "123456789" is 0xe9c6d914c4b8d9ca.
 */
#ifndef CRC64_H
#define CRC64_H

#include <stddef.h>
#include <stdint.h>

/* Continues from crc; begin with 0. */
extern uint64_t crc64_update(uint64_t crc, const void *bytes, size_t length);

#endif
