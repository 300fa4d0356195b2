/*
 * dump.h
 *	  A backup that has been fetched and whose sha256 matched: what a restore works from.
 *
 * The stored bytes stand behind one descriptor (the local store's file itself,
 * or an unnamed spool).  dump_open() gives the raw bytes from the beginning, as
 * often as an engine wants to look.  A stream counts what it gives and fails with
 * REASON_INTEGRITY when it would give more than raw_bytes or ends with fewer: that
 * is the answer to a gzip bomb and to an extra member.
 */
#ifndef DUMP_H
#define DUMP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "failure.h"

typedef struct Dump
{
	int		fd; /* owned by restore.c */
	int64_t stored_bytes;
	int64_t raw_bytes; /* -1: not recorded anywhere */
} Dump;

typedef struct DumpStream DumpStream;

extern DumpStream *dump_open(const Dump *dump, Failure *failure);

/* *length 0: the end, and all was there. */
extern bool dump_read(DumpStream *stream, void *buffer, size_t capacity, size_t *length, Failure *failure);
extern void dump_close(DumpStream *stream);

#endif
