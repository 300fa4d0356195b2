/*
 * gzip_zlib.c
 *	  gzip by zlib: for COMPRESSION_BEST, and for all where ISA-L is missing.
 */
#include "gzip_codec.h"

#include <stdlib.h>

#include <zlib.h>

/* zlib counts its buffers in unsigned int. */
#define LARGEST_RUN (1u << 30)

/* 32 KiB of window, and 16 more says gzip instead of zlib's own wrapper. */
#define GZIP_WINDOW_BITS (15 + 16)
#define MEMORY_LEVEL	 8

typedef struct ZlibEncoder
{
	GzipEncoder base;
	z_stream	stream;
} ZlibEncoder;

typedef struct ZlibDecoder
{
	GzipDecoder base;
	z_stream	stream;
} ZlibDecoder;

static void
lend_buffers(z_stream *stream, const CodecBuffers *buffers)
{
	stream->next_in = (Bytef *) buffers->in;
	stream->avail_in = buffers->in_length < LARGEST_RUN ? (uInt) buffers->in_length : LARGEST_RUN;
	stream->next_out = buffers->out;
	stream->avail_out = buffers->out_length < LARGEST_RUN ? (uInt) buffers->out_length : LARGEST_RUN;
}

static void
take_buffers_back(const z_stream *stream, CodecBuffers *buffers)
{
	buffers->in_length -= (size_t) (stream->next_in - buffers->in);
	buffers->in = stream->next_in;
	buffers->out_length -= (size_t) (stream->next_out - buffers->out);
	buffers->out = stream->next_out;
}

static bool
zlib_encode(GzipEncoder *encoder, CodecBuffers *buffers, bool last, bool *ended, Failure *failure)
{
	z_stream *stream = &((ZlibEncoder *) encoder)->stream;
	int		  code;

	lend_buffers(stream, buffers);
	code = deflate(stream, last && stream->avail_in == buffers->in_length ? Z_FINISH : Z_NO_FLUSH);
	take_buffers_back(stream, buffers);
	/* Z_BUF_ERROR: there was nothing to do. */
	if (code != Z_OK && code != Z_STREAM_END && code != Z_BUF_ERROR)
		return failure_set(failure, REASON_INTERNAL, "zlib refused to compress: %s", zError(code));
	*ended = code == Z_STREAM_END;
	return true;
}

static void
zlib_encoder_close(GzipEncoder *encoder)
{
	deflateEnd(&((ZlibEncoder *) encoder)->stream);
	free(encoder);
}

GzipEncoder *
gzip_zlib_encoder(Compression compression, Failure *failure)
{
	ZlibEncoder *zlib = calloc(1, sizeof(*zlib));
	int			 level = compression == COMPRESSION_FAST ? 1 : compression == COMPRESSION_BALANCED ? 4 : 9;

	if (!zlib || deflateInit2(&zlib->stream, level, Z_DEFLATED, GZIP_WINDOW_BITS, MEMORY_LEVEL,
							  Z_DEFAULT_STRATEGY) != Z_OK)
	{
		free(zlib);
		failure_no_memory(failure);
		return NULL;
	}
	zlib->base = (GzipEncoder){.encode = zlib_encode, .close = zlib_encoder_close};
	return &zlib->base;
}

static bool
zlib_decode(GzipDecoder *decoder, CodecBuffers *buffers, bool *ended, Failure *failure)
{
	z_stream *stream = &((ZlibDecoder *) decoder)->stream;
	int		  code;

	lend_buffers(stream, buffers);
	code = inflate(stream, Z_NO_FLUSH);
	take_buffers_back(stream, buffers);
	if (code == Z_MEM_ERROR)
		return failure_no_memory(failure);
	if (code != Z_OK && code != Z_STREAM_END && code != Z_BUF_ERROR)
		return failure_set(failure, REASON_INTEGRITY, "the stored object is damaged: %s",
						   stream->msg ? stream->msg : zError(code));
	*ended = code == Z_STREAM_END;
	return true;
}

static void
zlib_decoder_close(GzipDecoder *decoder)
{
	inflateEnd(&((ZlibDecoder *) decoder)->stream);
	free(decoder);
}

GzipDecoder *
gzip_zlib_decoder(Failure *failure)
{
	ZlibDecoder *zlib = calloc(1, sizeof(*zlib));

	if (!zlib || inflateInit2(&zlib->stream, GZIP_WINDOW_BITS) != Z_OK)
	{
		free(zlib);
		failure_no_memory(failure);
		return NULL;
	}
	zlib->base = (GzipDecoder){.decode = zlib_decode, .close = zlib_decoder_close};
	return &zlib->base;
}
