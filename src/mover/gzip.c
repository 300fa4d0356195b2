/*
 * gzip.c
 *	  The writer and the reader of plain gzip, over whichever codec was built in.
 */
#include "gzip.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <zlib.h>
#ifdef HAVE_ISAL
#include <isa-l.h>
#endif

#include "gzip_codec.h"

/* What is read from a store's descriptor at once: it stays in the second-level cache. */
#define BUFFER_SIZE (256 * 1024)

/* RFC 1952: ten bytes of header, an empty deflate block of two, CRC and length of four each. */
#define GZIP_SMALLEST		20
#define GZIP_HEADER_SIZE	10
#define GZIP_LENGTH_SIZE	4
#define GZIP_METHOD_DEFLATE 8
#define GZIP_RESERVED_FLAGS 0xe0

struct GzipWriter
{
	GzipEncoder *encoder;
	GzipOutput	 output;
	uint8_t		*room; /* lent by the output */
	size_t		 length;
	size_t		 used; /* less than the length, or both are 0 */
};

struct GzipReader
{
	GzipDecoder	  *decoder;
	int			   fd;
	int64_t		   offset; /* of the next byte to fetch from fd */
	int64_t		   stored_bytes;
	const uint8_t *next; /* fetched, not decoded */
	size_t		   left;
	bool		   ended;
	uint8_t		   buffer[BUFFER_SIZE];
};

static GzipEncoder *
open_encoder(Compression compression, Failure *failure)
{
#ifdef HAVE_ISAL
	if (compression != COMPRESSION_BEST)
		return gzip_isal_encoder(compression, failure);
#endif
	return gzip_zlib_encoder(compression, failure);
}

static GzipDecoder *
open_decoder(Failure *failure)
{
#ifdef HAVE_ISAL
	return gzip_isal_decoder(failure);
#else
	return gzip_zlib_decoder(failure);
#endif
}

GzipWriter *
gzip_writer_open(Compression compression, const GzipOutput *output, Failure *failure)
{
	GzipWriter *writer = malloc(sizeof(*writer));

	if (!writer)
	{
		failure_no_memory(failure);
		return NULL;
	}
	writer->encoder = open_encoder(compression, failure);
	if (!writer->encoder)
	{
		free(writer);
		return NULL;
	}
	writer->output = *output;
	writer->length = 0;
	writer->used = 0;
	return writer;
}

static bool
hand_over(GzipWriter *writer, Failure *failure)
{
	size_t filled = writer->used;

	writer->length = 0;
	writer->used = 0;
	return filled == 0 || writer->output.filled(writer->output.context, filled, failure);
}

static bool
want_room(GzipWriter *writer, Failure *failure)
{
	void *room;

	if (writer->used < writer->length)
		return true;
	if (!writer->output.room(writer->output.context, &room, &writer->length, failure))
		return false;
	writer->room = room;
	return true;
}

/* Room is given back when it is full, and at the end. */
static bool
encode(GzipWriter *writer, const void *bytes, size_t length, bool last, Failure *failure)
{
	CodecBuffers buffers = {.in = bytes, .in_length = length};
	bool		 ended = false;

	while (last ? !ended : buffers.in_length > 0)
	{
		if (!want_room(writer, failure))
			return false;
		buffers.out = writer->room + writer->used;
		buffers.out_length = writer->length - writer->used;
		if (!writer->encoder->encode(writer->encoder, &buffers, last, &ended, failure))
			return false;
		writer->used = writer->length - buffers.out_length;
		if (buffers.out_length == 0 && !hand_over(writer, failure))
			return false;
	}
	return true;
}

bool
gzip_write(GzipWriter *writer, const void *bytes, size_t length, Failure *failure)
{
	return encode(writer, bytes, length, false, failure);
}

bool
gzip_writer_finish(GzipWriter *writer, Failure *failure)
{
	return encode(writer, "", 0, true, failure) && hand_over(writer, failure);
}

void
gzip_writer_close(GzipWriter *writer)
{
	if (!writer)
		return;
	writer->encoder->close(writer->encoder);
	free(writer);
}

static bool
read_at(int fd, int64_t offset, void *buffer, size_t capacity, size_t *length, Failure *failure)
{
	ssize_t got;

	do
		got = pread(fd, buffer, capacity, offset);
	while (got < 0 && errno == EINTR);
	if (got < 0)
		return failure_set_errno(failure, REASON_DOWNLOAD, "could not read the stored object");
	*length = (size_t) got;
	return true;
}

GzipReader *
gzip_reader_open(int fd, int64_t stored_bytes, Failure *failure)
{
	GzipReader *reader = malloc(sizeof(*reader));

	if (!reader)
	{
		failure_no_memory(failure);
		return NULL;
	}
	reader->decoder = open_decoder(failure);
	if (!reader->decoder)
	{
		free(reader);
		return NULL;
	}
	reader->fd = fd;
	reader->offset = 0;
	reader->stored_bytes = stored_bytes;
	reader->left = 0;
	reader->ended = false;
	return reader;
}

static bool
refill(GzipReader *reader, Failure *failure)
{
	int64_t unread = reader->stored_bytes - reader->offset;
	size_t	capacity = unread < BUFFER_SIZE ? (size_t) unread : BUFFER_SIZE;

	reader->next = reader->buffer;
	if (capacity > 0 &&
		!read_at(reader->fd, reader->offset, reader->buffer, capacity, &reader->left, failure))
		return false;
	if (reader->left == 0)
		return failure_set(
			failure, REASON_INTEGRITY,
			"the stored object is damaged: it ends after %lld bytes, before its gzip stream does",
			(long long) reader->offset);
	reader->offset += (int64_t) reader->left;
	return true;
}

bool
gzip_read(GzipReader *reader, void *buffer, size_t capacity, size_t *length, Failure *failure)
{
	CodecBuffers buffers = {.out = buffer, .out_length = capacity};

	while (buffers.out_length > 0 && !reader->ended)
	{
		size_t room = buffers.out_length;
		size_t unused = reader->left;

		buffers.in = reader->next;
		buffers.in_length = reader->left;
		if (!reader->decoder->decode(reader->decoder, &buffers, &reader->ended, failure))
			return false;
		reader->next = buffers.in;
		reader->left = buffers.in_length;
		/* More input only when the decoder has nothing left to give: its own buffers may hold output. */
		if (reader->ended || buffers.out_length < room || reader->left < unused)
			continue;
		if (reader->left > 0)
			return failure_set(failure, REASON_INTEGRITY,
							   "the stored object is damaged: its compressed bytes make no sense");
		if (!refill(reader, failure))
			return false;
	}
	if (reader->ended && (reader->left > 0 || reader->offset < reader->stored_bytes))
		return failure_set(failure, REASON_INTEGRITY,
						   "the stored object is damaged: bytes follow the end of its gzip stream");
	*length = capacity - buffers.out_length;
	return true;
}

void
gzip_reader_close(GzipReader *reader)
{
	if (!reader)
		return;
	reader->decoder->close(reader->decoder);
	free(reader);
}

bool
gzip_check_ends(int fd, int64_t stored_bytes, int64_t raw_bytes, Failure *failure)
{
	uint8_t	 header[GZIP_HEADER_SIZE];
	uint8_t	 trailer[GZIP_LENGTH_SIZE];
	size_t	 header_length = 0;
	size_t	 trailer_length = 0;
	uint32_t recorded;

	if (stored_bytes < GZIP_SMALLEST)
		return failure_set(failure, REASON_INTEGRITY,
						   "the stored object is damaged: %lld bytes are no gzip stream",
						   (long long) stored_bytes);
	if (!read_at(fd, 0, header, sizeof(header), &header_length, failure) ||
		!read_at(fd, stored_bytes - GZIP_LENGTH_SIZE, trailer, sizeof(trailer), &trailer_length, failure))
		return false;
	if (header_length != sizeof(header) || header[0] != 0x1f || header[1] != 0x8b ||
		header[2] != GZIP_METHOD_DEFLATE || (header[3] & GZIP_RESERVED_FLAGS) != 0)
		return failure_set(failure, REASON_INTEGRITY, "the stored object is damaged: it is not gzip");
	recorded = (uint32_t) trailer[0] | (uint32_t) trailer[1] << 8 | (uint32_t) trailer[2] << 16 |
			   (uint32_t) trailer[3] << 24;
	if (trailer_length != sizeof(trailer) || (raw_bytes >= 0 && recorded != (uint32_t) raw_bytes))
		return failure_set(failure, REASON_INTEGRITY,
						   "the stored object is damaged: its gzip trailer does not tell the %lld raw bytes "
						   "that were recorded",
						   (long long) raw_bytes);
	return true;
}

const char *
gzip_backend(void)
{
	static char text[64];

#ifdef HAVE_ISAL
	snprintf(text, sizeof(text), "ISA-L %d.%d.%d", ISAL_MAJOR_VERSION, ISAL_MINOR_VERSION,
			 ISAL_PATCH_VERSION);
#else
	snprintf(text, sizeof(text), "zlib %s", zlibVersion());
#endif
	return text;
}
