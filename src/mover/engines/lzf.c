/*
 * lzf.c
 *	  Decompression of LZF, with every length checked against both ends.
 */
#include "engines/lzf.h"

#include <string.h>

bool
lzf_decompress(const void *input, size_t input_length, void *output, size_t output_length)
{
	const unsigned char *in = input;
	const unsigned char *in_end = in + input_length;
	unsigned char		*begin = output;
	unsigned char		*out = output;
	unsigned char		*out_end = out + output_length;

	while (in < in_end)
	{
		size_t control = *in++;

		if (control < 32)
		{
			size_t length = control + 1;

			if (length > (size_t) (in_end - in) || length > (size_t) (out_end - out))
				return false;
			memcpy(out, in, length);
			in += length;
			out += length;
		}
		else
		{
			size_t length = control >> 5;
			size_t distance = (control & 31) << 8;

			if (length == 7)
			{
				if (in == in_end)
					return false;
				length += *in++;
			}
			if (in == in_end)
				return false;
			distance += (size_t) *in++ + 1;
			length += 2;
			if (distance > (size_t) (out - begin) || length > (size_t) (out_end - out))
				return false;
			/* Source and destination overlap by intent: byte by byte. */
			for (; length > 0; length--, out++)
				*out = out[-(ptrdiff_t) distance];
		}
	}
	return out == out_end;
}
