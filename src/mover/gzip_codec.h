/*
 * gzip_codec.h
 *	  What gzip.c needs of a compression library: one member (RFC 1952) in, one
 *	  member out, a buffer at a time.  gzip_isal.c and gzip_zlib.c give it.
 */
#ifndef GZIP_CODEC_H
#define GZIP_CODEC_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "failure.h"
#include "settings.h"

/* A codec takes from the one and gives to the other, and moves both along. */
typedef struct CodecBuffers
{
	const uint8_t *in;
	size_t		   in_length;
	uint8_t		  *out;
	size_t		   out_length;
} CodecBuffers;

typedef struct GzipEncoder GzipEncoder;
struct GzipEncoder
{
	/* Returns when the input is used up or the output full.  last: no more input will come; *ended: the trailer is out. */
	bool (*encode)(GzipEncoder *encoder, CodecBuffers *buffers, bool last, bool *ended, Failure *failure);
	void (*close)(GzipEncoder *encoder);
};

typedef struct GzipDecoder GzipDecoder;
struct GzipDecoder
{
	/* Returns when the input is used up, the output full, or the member at its end, its CRC and length checked. */
	bool (*decode)(GzipDecoder *decoder, CodecBuffers *buffers, bool *ended, Failure *failure);
	void (*close)(GzipDecoder *decoder);
};

#ifdef HAVE_ISAL
extern GzipEncoder *gzip_isal_encoder(Compression compression, Failure *failure);
extern GzipDecoder *gzip_isal_decoder(Failure *failure);
#endif
extern GzipEncoder *gzip_zlib_encoder(Compression compression, Failure *failure);
extern GzipDecoder *gzip_zlib_decoder(Failure *failure);

#endif
