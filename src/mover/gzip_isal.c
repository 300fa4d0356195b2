/*
 * gzip_isal.c
 *	  gzip by ISA-L, which compresses and decompresses several times faster than
 *	  zlib: fast enough to stay ahead of pg_dump on the same core.
 */
#ifdef HAVE_ISAL

#include "gzip_codec.h"

#include <stdlib.h>

#include <isa-l/igzip_lib.h>

/* ISA-L counts in 32 bits; no caller comes near, but none has to know. */
#define LARGEST_RUN (1u << 30)
#define CACHE_LINE	64

typedef struct IsalEncoder
{
	GzipEncoder			 base;
	struct isal_zstream *stream;
	uint8_t				*level_buffer;
} IsalEncoder;

typedef struct IsalDecoder
{
	GzipDecoder			 base;
	struct inflate_state state;
} IsalDecoder;

static uint32_t
one_run(size_t length)
{
	return length < LARGEST_RUN ? (uint32_t) length : LARGEST_RUN;
}

static bool
isal_encode(GzipEncoder *encoder, CodecBuffers *buffers, bool last, bool *ended, Failure *failure)
{
	struct isal_zstream *stream = ((IsalEncoder *) encoder)->stream;
	uint32_t			 in = one_run(buffers->in_length);
	uint32_t			 out = one_run(buffers->out_length);

	stream->next_in = (uint8_t *) buffers->in;
	stream->avail_in = in;
	stream->next_out = buffers->out;
	stream->avail_out = out;
	stream->end_of_stream = last && in == buffers->in_length;
	if (isal_deflate(stream) != COMP_OK)
		return failure_set(failure, REASON_INTERNAL, "ISA-L refused to compress");
	in -= stream->avail_in;
	out -= stream->avail_out;
	buffers->in += in;
	buffers->in_length -= in;
	buffers->out += out;
	buffers->out_length -= out;
	*ended = stream->internal_state.state == ZSTATE_END;
	return true;
}

static void
isal_encoder_close(GzipEncoder *encoder)
{
	IsalEncoder *isal = (IsalEncoder *) encoder;

	free(isal->stream);
	free(isal->level_buffer);
	free(isal);
}

GzipEncoder *
gzip_isal_encoder(Compression compression, Failure *failure)
{
	IsalEncoder *isal = calloc(1, sizeof(*isal));
	int			 level = compression == COMPRESSION_FAST ? 1 : 3;
	uint32_t	 level_size = level == 1 ? ISAL_DEF_LVL1_DEFAULT : ISAL_DEF_LVL3_DEFAULT;
	size_t		 stream_size = (sizeof(struct isal_zstream) + CACHE_LINE - 1) / CACHE_LINE * CACHE_LINE;

	if (!isal || !(isal->stream = aligned_alloc(CACHE_LINE, stream_size)) ||
		!(isal->level_buffer = malloc(level_size)))
	{
		if (isal)
			isal_encoder_close(&isal->base);
		failure_no_memory(failure);
		return NULL;
	}
	isal->base = (GzipEncoder){.encode = isal_encode, .close = isal_encoder_close};
	isal_deflate_init(isal->stream);
	isal->stream->level = (uint32_t) level;
	isal->stream->level_buf = isal->level_buffer;
	isal->stream->level_buf_size = level_size;
	isal->stream->gzip_flag = IGZIP_GZIP;
	isal->stream->flush = NO_FLUSH;
	return &isal->base;
}

static const char *
decode_error_text(int code)
{
	switch (code)
	{
		case ISAL_INVALID_WRAPPER:
		case ISAL_UNSUPPORTED_METHOD:
			return "it is not gzip";
		case ISAL_INCORRECT_CHECKSUM:
			return "its checksum or length is not the one in its trailer";
		default:
			return "its compressed bytes make no sense";
	}
}

static bool
isal_decode(GzipDecoder *decoder, CodecBuffers *buffers, bool *ended, Failure *failure)
{
	struct inflate_state *state = &((IsalDecoder *) decoder)->state;
	uint32_t			  in = one_run(buffers->in_length);
	uint32_t			  out = one_run(buffers->out_length);
	int					  code;

	state->next_in = (uint8_t *) buffers->in;
	state->avail_in = in;
	state->next_out = buffers->out;
	state->avail_out = out;
	code = isal_inflate(state);
	if (code < 0 || code > ISAL_OUT_OVERFLOW)
		return failure_set(failure, REASON_INTEGRITY, "the stored object is damaged: %s",
						   decode_error_text(code));
	in -= state->avail_in;
	out -= state->avail_out;
	buffers->in += in;
	buffers->in_length -= in;
	buffers->out += out;
	buffers->out_length -= out;
	*ended = state->block_state == ISAL_BLOCK_FINISH;
	return true;
}

static void
isal_decoder_close(GzipDecoder *decoder)
{
	free(decoder);
}

GzipDecoder *
gzip_isal_decoder(Failure *failure)
{
	IsalDecoder *isal = malloc(sizeof(*isal));

	if (!isal)
	{
		failure_no_memory(failure);
		return NULL;
	}
	isal->base = (GzipDecoder){.decode = isal_decode, .close = isal_decoder_close};
	isal_inflate_init(&isal->state);
	isal->state.crc_flag = ISAL_GZIP;
	return &isal->base;
}

#else
/* ISO C wants something in every file. */
typedef int gzip_isal_is_not_built_in;
#endif
