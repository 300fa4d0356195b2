/*
 * crc64.h
 *	  The checksums of 64 bits that dumps are sealed with.  Both are reflected.
 *
 * crc64_update(): CRC-64/Jones, at the end of an RDB file and of every DUMP
 * payload: polynomial 0xad93d23594c935a9, initial value 0, no final inversion.
 * The check value of "123456789" is 0xe9c6d914c4b8d9ca.
 *
 * crc64_xz_update(): CRC-64/XZ (ECMA-182's polynomial 0x42f0e1eba9ea3693, inverted
 * at both ends), for each namespace of a mongodump archive.  The check value of
 * "123456789" is 0x995dc9bbdf1939fa.
 */
#ifndef CRC64_H
#define CRC64_H

#include <stddef.h>
#include <stdint.h>

/* Each continues from crc; begin with 0. */
extern uint64_t crc64_update(uint64_t crc, const void *bytes, size_t length);
extern uint64_t crc64_xz_update(uint64_t crc, const void *bytes, size_t length);

#endif
