/*
 * rdb_string.c
 *	  Decoding one string of an RDB file.
 */
#include "engines/rdb_string.h"

#include <inttypes.h>
#include <stdio.h>

#include "engines/lzf.h"
#include "engines/rdb_layout.h"

bool
rdb_string_decode(const unsigned char *raw, size_t length, size_t *used, Bytes *text, Failure *failure)
{
	bool	 special;
	uint64_t value;
	uint64_t original;
	size_t	 head = rdb_decode_length(raw, length, &value, &special);
	int32_t	 number = 0;

	if (!special)
	{
		*used = head + (size_t) value;
		return bytes_append(text, raw + head, (size_t) value, failure);
	}
	if (value <= 2)
	{
		/* Little endian, signed, of 1, 2 or 4 bytes. */
		size_t	 width = (size_t) 1 << value;
		uint32_t bits = 0;
		char	 digits[16];

		for (size_t i = 0; i < width; i++)
			bits |= (uint32_t) raw[head + i] << (8 * i);
		number = width == 1 ? (int8_t) bits : width == 2 ? (int16_t) bits : (int32_t) bits;
		*used = head + width;
		return bytes_append(text, digits, (size_t) snprintf(digits, sizeof(digits), "%" PRId32, number),
							failure);
	}
	head += rdb_decode_length(raw + head, length - head, &value, &special);
	head += rdb_decode_length(raw + head, length - head, &original, &special);
	*used = head + (size_t) value;
	if (!bytes_reserve(text, (size_t) original, failure))
		return false;
	if (!lzf_decompress(raw + head, (size_t) value, text->data + text->length, (size_t) original))
		return false;
	text->length += (size_t) original;
	return true;
}

uint64_t
rdb_string_length(const unsigned char *raw, size_t length)
{
	bool	 special;
	uint64_t value;
	size_t	 head = rdb_decode_length(raw, length, &value, &special);

	if (!special)
		return value;
	head += rdb_decode_length(raw + head, length - head, &value, &special);
	rdb_decode_length(raw + head, length - head, &value, &special);
	return value;
}
