/*
 * gzip_test.c
 *	  gzip out and in: sizes around every buffer's edge, other people's gzip, and damage.
 */
#include <stdint.h>
#include <stdlib.h>
#include <unistd.h>

#include <zlib.h>

#include "dump.h"
#include "gzip.h"
#include "gzip_codec.h"
#include "tap.h"

#define KIB 1024

typedef struct Bytes
{
	uint8_t *data;
	size_t	 length;
	size_t	 capacity;
} Bytes;

/* Takes compressed bytes in rooms of this size. */
typedef struct Rooms
{
	Bytes  bytes;
	size_t size;
} Rooms;

static void
make_room(Bytes *bytes, size_t length)
{
	if (bytes->length + length <= bytes->capacity)
		return;
	bytes->capacity = 2 * (bytes->length + length);
	bytes->data = realloc(bytes->data, bytes->capacity);
}

static void
append(Bytes *bytes, const void *data, size_t length)
{
	make_room(bytes, length);
	if (length > 0)
		memcpy(bytes->data + bytes->length, data, length);
	bytes->length += length;
}

static void
release(Bytes *bytes)
{
	free(bytes->data);
	*bytes = (Bytes){0};
}

static bool
next_room(void *context, void **room, size_t *length, Failure *failure)
{
	Rooms *rooms = context;

	(void) failure;
	make_room(&rooms->bytes, rooms->size);
	*room = rooms->bytes.data + rooms->bytes.length;
	*length = rooms->size;
	return true;
}

static bool
filled(void *context, size_t length, Failure *failure)
{
	Rooms *rooms = context;

	(void) failure;
	if (length == 0 || length > rooms->size)
		abort();
	rooms->bytes.length += length;
	return true;
}

/* Half noise, half repetition: both kinds of deflate block appear. */
static Bytes
sample(size_t length)
{
	Bytes	 bytes = {.data = malloc(length + 1), .length = length, .capacity = length + 1};
	uint32_t state = 12345;

	for (size_t i = 0; i < length; i++)
	{
		state = state * 1664525 + 1013904223;
		bytes.data[i] =
			(i / 4096) % 2 ? (uint8_t) (state >> 24) : (uint8_t) ("1\tsome row of text\n"[i % 19]);
	}
	return bytes;
}

static Bytes
compress_pieces(Compression compression, const Bytes *raw, size_t piece, size_t room)
{
	Rooms		out = {.size = room};
	GzipOutput	output = {.room = next_room, .filled = filled, .context = &out};
	Failure		failure = {0};
	GzipWriter *writer = gzip_writer_open(compression, &output, &failure);
	bool		good = true;

	for (size_t at = 0; good && at < raw->length; at += piece)
		good =
			gzip_write(writer, raw->data + at, raw->length - at < piece ? raw->length - at : piece, &failure);
	if (!good || !gzip_writer_finish(writer, &failure))
		release(&out.bytes);
	gzip_writer_close(writer);
	return out.bytes;
}

static int
file_of(const Bytes *bytes)
{
	char name[] = "/tmp/gzip_test.XXXXXX";
	int	 fd = mkstemp(name);

	unlink(name);
	if (write(fd, bytes->data, bytes->length) != (ssize_t) bytes->length)
		abort();
	return fd;
}

/* The reason with which reading ends; REASON_NONE: all was there and is in *out. */
static FailureReason
read_back(const Bytes *stored, int64_t raw_bytes, size_t piece, Bytes *out)
{
	int			fd = file_of(stored);
	Failure		failure = {0};
	Dump		dump = {.fd = fd, .stored_bytes = (int64_t) stored->length, .raw_bytes = raw_bytes};
	DumpStream *stream = dump_open(&dump, &failure);
	char	   *buffer = malloc(piece);
	size_t		length;

	while (dump_read(stream, buffer, piece, &length, &failure) && length > 0)
		append(out, buffer, length);
	free(buffer);
	dump_close(stream);
	close(fd);
	return failure.reason;
}

/* zlib's own inflate, which knows nothing of our code. */
static bool
zlib_agrees(const Bytes *stored, const Bytes *raw)
{
	z_stream stream = {.next_in = stored->data, .avail_in = (uInt) stored->length};
	uint8_t *out = malloc(raw->length + 1);
	bool	 same;

	stream.next_out = out;
	stream.avail_out = (uInt) raw->length + 1;
	inflateInit2(&stream, 15 + 16);
	same = inflate(&stream, Z_FINISH) == Z_STREAM_END && stream.avail_in == 0 &&
		   stream.total_out == raw->length && memcmp(out, raw->data, raw->length) == 0;
	inflateEnd(&stream);
	free(out);
	return same;
}

/* The zlib decoder, which reads backups where ISA-L is missing. */
static bool
zlib_codec_agrees(const Bytes *stored, const Bytes *raw)
{
	Failure		 failure = {0};
	GzipDecoder *decoder = gzip_zlib_decoder(&failure);
	uint8_t		*out = malloc(raw->length + 1);
	CodecBuffers buffers = {
		.in = stored->data, .in_length = stored->length, .out = out, .out_length = raw->length + 1};
	bool ended = false;
	bool same;

	same = decoder->decode(decoder, &buffers, &ended, &failure) && ended && buffers.in_length == 0 &&
		   buffers.out_length == 1 && memcmp(out, raw->data, raw->length) == 0;
	decoder->close(decoder);
	free(out);
	return same;
}

static void
round_trip(Compression compression, size_t length, size_t write_piece, size_t room, size_t read_piece)
{
	Bytes		  raw = sample(length);
	Bytes		  stored = compress_pieces(compression, &raw, write_piece, room);
	Bytes		  back = {0};
	FailureReason reason = read_back(&stored, (int64_t) length, read_piece, &back);

	ok(stored.length > 0 && reason == REASON_NONE && back.length == length &&
		   (length == 0 || memcmp(back.data, raw.data, length) == 0) && zlib_agrees(&stored, &raw) &&
		   zlib_codec_agrees(&stored, &raw),
	   "compression %d: %zu bytes, written by %zu into rooms of %zu, read by %zu", compression, length,
	   write_piece, room, read_piece);
	release(&raw);
	release(&stored);
	release(&back);
}

static void
test_sizes(void)
{
	const size_t sizes[] = {
		0, 1, 2, 511, 4096, 65535, 65536, 65537, 256 * KIB - 1, 256 * KIB, 256 * KIB + 1, 3000 * KIB + 7};

	for (Compression compression = COMPRESSION_FAST; compression <= COMPRESSION_BEST; compression++)
	{
		for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++)
			round_trip(compression, sizes[i], 256 * KIB, 256 * KIB, 256 * KIB);
		round_trip(compression, 700 * KIB + 1, 1, 256 * KIB, 256 * KIB);
		round_trip(compression, 700 * KIB + 1, 4095, 256 * KIB, 1);
		round_trip(compression, 700 * KIB + 1, 1 << 20, 256 * KIB, 65537);
		/* What is left of a part may be a single byte. */
		for (size_t room = 1; room < 20; room++)
			round_trip(compression, 70 * KIB, 4096, room, 256 * KIB);
		round_trip(compression, 700 * KIB + 1, 256 * KIB, 8 << 20, 256 * KIB);
	}
}

static void
test_cuts(const Bytes *raw, const Bytes *stored)
{
	int accepted = 0;
	int cuts = 0;

	for (size_t length = 0; length < stored->length;
		 length += length < 64 || stored->length - length < 64 ? 1 : 997)
	{
		Bytes cut = {.data = stored->data, .length = length};
		Bytes back = {0};

		cuts++;
		if (read_back(&cut, (int64_t) raw->length, 64 * KIB, &back) != REASON_INTEGRITY)
			accepted++;
		release(&back);
	}
	ok(cuts > 128 && accepted == 0, "a stream cut at any of %d offsets is refused", cuts);
}

/* Bits that carry nothing: the header's time, flags for people, and operating system. */
static bool
means_nothing(size_t offset)
{
	return offset >= 4 && offset < 10;
}

static void
test_flipped_bits(const Bytes *raw, const Bytes *stored)
{
	int accepted = 0;
	int flips = 0;

	for (size_t offset = 0; offset < stored->length;
		 offset += offset < 64 || stored->length - offset < 64 ? 1 : 991)
	{
		Bytes		  back = {0};
		FailureReason reason;

		stored->data[offset] ^= (uint8_t) (1 << (offset % 8));
		reason = read_back(stored, (int64_t) raw->length, 64 * KIB, &back);
		stored->data[offset] ^= (uint8_t) (1 << (offset % 8));
		flips++;
		if (reason != REASON_INTEGRITY && !means_nothing(offset) &&
			(back.length != raw->length || memcmp(back.data, raw->data, raw->length) != 0))
			accepted++;
		release(&back);
	}
	ok(flips > 128 && accepted == 0, "no flipped bit at any of %d offsets gives other bytes", flips);
}

static void
test_what_follows(const Bytes *raw, const Bytes *stored)
{
	Bytes longer = {0};
	Bytes back = {0};

	append(&longer, stored->data, stored->length);
	append(&longer, "x", 1);
	is_int(read_back(&longer, -1, 64 * KIB, &back), REASON_INTEGRITY, "one byte after the end is refused");
	longer.length = stored->length;
	append(&longer, "\0\0\0\0\0\0\0\0", 8);
	is_int(read_back(&longer, -1, 64 * KIB, &back), REASON_INTEGRITY, "zeros after the end are refused");
	longer.length = stored->length;
	append(&longer, stored->data, stored->length);
	is_int(read_back(&longer, -1, 64 * KIB, &back), REASON_INTEGRITY, "a second member is refused");
	back.length = 0;
	is_int(read_back(&longer, (int64_t) raw->length * 2, 64 * KIB, &back), REASON_INTEGRITY,
		   "a second member is refused even where the raw size allows for it");
	release(&longer);
	release(&back);
}

static void
test_raw_size(const Bytes *raw, const Bytes *stored)
{
	Bytes back = {0};

	is_int(read_back(stored, (int64_t) raw->length - 1, 64 * KIB, &back), REASON_INTEGRITY,
		   "one raw byte more than recorded is refused");
	is_int(read_back(stored, (int64_t) raw->length + 1, 64 * KIB, &back), REASON_INTEGRITY,
		   "one raw byte fewer than recorded is refused");
	back.length = 0;
	is_int(read_back(stored, -1, 64 * KIB, &back), REASON_NONE, "an unrecorded raw size is no obstacle");
	is_int((long long) back.length, (long long) raw->length, "and all is there");
	release(&back);
}

static void
test_bomb(void)
{
	Bytes zeros = {.data = calloc(1, 64 * KIB * KIB), .length = 64 * KIB * KIB};
	Bytes stored = compress_pieces(COMPRESSION_FAST, &zeros, 1 << 20, 256 * KIB);
	Bytes back = {0};

	is_int(read_back(&stored, 1000, 64 * KIB, &back), REASON_INTEGRITY, "a bomb is refused");
	ok(back.length <= 1000, "before it gives more than was recorded (%zu bytes given)", back.length);
	release(&zeros);
	release(&stored);
	release(&back);
}

static void
test_ends(const Bytes *raw, const Bytes *stored)
{
	int		fd = file_of(stored);
	int64_t length = (int64_t) stored->length;
	Failure failure = {0};

	ok(gzip_check_ends(fd, length, (int64_t) raw->length, &failure), "both ends look well");
	ok(gzip_check_ends(fd, length, -1, &failure), "also without a recorded size");
	ok(gzip_check_ends(fd, length, (int64_t) raw->length + (1LL << 32), &failure),
	   "its length counts modulo 2^32");
	ok(!gzip_check_ends(fd, length, (int64_t) raw->length + 1, &failure), "another raw size is seen at once");
	is_int(failure.reason, REASON_INTEGRITY, "and called integrity");
	failure = (Failure){0};
	ok(!gzip_check_ends(fd, 19, -1, &failure), "19 bytes are no gzip");
	close(fd);

	failure = (Failure){0};
	fd = file_of(raw);
	ok(!gzip_check_ends(fd, (int64_t) raw->length, -1, &failure), "what is not gzip is seen at once");
	close(fd);
}

static bool
refuse_room(void *context, void **room, size_t *length, Failure *failure)
{
	(void) context;
	(void) room;
	(void) length;
	return failure_set(failure, REASON_UPLOAD, "no room");
}

static bool
refuse_filled(void *context, size_t length, Failure *failure)
{
	(void) context;
	(void) length;
	return failure_set(failure, REASON_STORE, "full");
}

static void
test_refused_output(void)
{
	Rooms			 rooms = {.size = 256 * KIB};
	const GzipOutput outputs[] = {{.room = refuse_room, .filled = filled, .context = &rooms},
								  {.room = next_room, .filled = refuse_filled, .context = &rooms}};
	Bytes			 raw = sample(4000 * KIB);

	for (size_t i = 0; i < 2; i++)
	{
		Failure		failure = {0};
		GzipWriter *writer = gzip_writer_open(COMPRESSION_FAST, &outputs[i], &failure);

		ok(!gzip_write(writer, raw.data, raw.length, &failure), "a failing output stops the writer");
		is_int(failure.reason, i == 0 ? REASON_UPLOAD : REASON_STORE, "with the output's own reason");
		gzip_writer_close(writer);
	}
	release(&rooms.bytes);
	release(&raw);
}

/* Other people's gzip: a name and a comment in the header. */
static void
test_header_with_fields(const Bytes *raw)
{
	gz_header header = {.name = (Bytef *) "dump", .comment = (Bytef *) "by hand", .hcrc = 1};
	Bytes	  stored = {.data = malloc(2 * raw->length), .length = 0};
	Bytes	  back = {0};
	z_stream  stream = {.next_in = raw->data, .avail_in = (uInt) raw->length};

	stream.next_out = stored.data;
	stream.avail_out = (uInt) (2 * raw->length);
	deflateInit2(&stream, 6, Z_DEFLATED, 15 + 16, 8, Z_DEFAULT_STRATEGY);
	deflateSetHeader(&stream, &header);
	deflate(&stream, Z_FINISH);
	stored.length = stream.total_out;
	deflateEnd(&stream);
	is_int(read_back(&stored, (int64_t) raw->length, 64 * KIB, &back), REASON_NONE,
		   "a header with name, comment and CRC is read");
	ok(back.length == raw->length && memcmp(back.data, raw->data, raw->length) == 0,
	   "and gives the same bytes");
	release(&stored);
	release(&back);
}

int
main(void)
{
	Bytes raw = sample(300 * KIB);
	Bytes stored = compress_pieces(COMPRESSION_FAST, &raw, 256 * KIB, 256 * KIB);

	ok(strstr(gzip_backend(), "zlib ") || strstr(gzip_backend(), "ISA-L "), "the backend names itself: %s",
	   gzip_backend());
	test_sizes();
	test_cuts(&raw, &stored);
	test_flipped_bits(&raw, &stored);
	test_what_follows(&raw, &stored);
	test_raw_size(&raw, &stored);
	test_bomb();
	test_ends(&raw, &stored);
	test_refused_output();
	test_header_with_fields(&raw);
	release(&raw);
	release(&stored);
	return done_testing();
}
