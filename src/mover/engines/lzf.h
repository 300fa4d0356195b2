/*
 * lzf.h
 *	  Decompression of LZF, which Redis uses for strings of more than 20 bytes.
 *
 * A control byte below 32 is followed by that many literal bytes plus one; any
 * other is a copy of earlier output: three bits of length, thirteen of distance.
 */
#ifndef LZF_H
#define LZF_H

#include <stdbool.h>
#include <stddef.h>

/* True exactly when the input is well formed and gives output_length bytes. */
extern bool lzf_decompress(const void *input, size_t input_length, void *output, size_t output_length);

#endif
