/*
 * rdb_string.h
 *	  A string of an RDB file as text: its own bytes, a number's digits, or what LZF packed.
 *
 * Keys and the file's facts are decoded; values never are.
 */
#ifndef RDB_STRING_H
#define RDB_STRING_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "engines/bytes.h"
#include "failure.h"

/*
 * Appends to *text.  raw: at least one whole string (the layout "S"); *used: its length there.
 * False without a failure: it does not decompress.
 */
extern bool rdb_string_decode(const unsigned char *raw, size_t length, size_t *used, Bytes *text,
							  Failure *failure);

/* How long such a text is, plain or packed, by the beginning of the string alone. */
extern uint64_t rdb_string_length(const unsigned char *raw, size_t length);

#endif
