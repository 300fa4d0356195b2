/*
 * gzip.h
 *	  Plain gzip (RFC 1952), streaming, one member: ISA-L where it was built in,
 *	  zlib otherwise and for COMPRESSION_BEST.
 */
#ifndef GZIP_H
#define GZIP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "failure.h"
#include "settings.h"

typedef struct GzipWriter GzipWriter;
typedef struct GzipReader GzipReader;

/*
 * Where compressed bytes go: they are made right there, in room that is lent until it
 * is told how much of it was filled.  False stops the writer with the failure that was set.
 */
typedef struct GzipOutput
{
	bool (*room)(void *context, void **room, size_t *length, Failure *failure);
	bool (*filled)(void *context, size_t length, Failure *failure);
	void *context;
} GzipOutput;

/* *output is copied; its room() is asked when there is something to put there. */
extern GzipWriter *gzip_writer_open(Compression compression, const GzipOutput *output, Failure *failure);
extern bool		   gzip_write(GzipWriter *writer, const void *bytes, size_t length, Failure *failure);
extern bool		   gzip_writer_finish(GzipWriter *writer, Failure *failure); /* trailer written */
extern void		   gzip_writer_close(GzipWriter *writer);

/*
 * Reads stored bytes from a descriptor at its own offset (pread: several readers
 * may share one).  Gives raw bytes; refuses a second member, trailing bytes, a
 * truncated stream, a bad CRC (REASON_INTEGRITY).
 */
extern GzipReader *gzip_reader_open(int fd, int64_t stored_bytes, Failure *failure);
extern bool gzip_read(GzipReader *reader, void *buffer, size_t capacity, size_t *length, Failure *failure);
extern void gzip_reader_close(GzipReader *reader);

/*
 * Without decompressing: does it begin as gzip does, and does its trailer tell
 * raw_bytes (modulo 2^32; -1: not known)?  REASON_INTEGRITY where not.
 */
extern bool gzip_check_ends(int fd, int64_t stored_bytes, int64_t raw_bytes, Failure *failure);

/* "ISA-L 2.30.0", or "zlib 1.2.13" where ISA-L was not built in: for --version. */
extern const char *gzip_backend(void);

#endif
