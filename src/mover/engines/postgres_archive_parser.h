/*
 * postgres_archive_parser.h
 *	  Takes a custom archive apart as it flows, in pieces of any size.
 *
 * The format, as pg_backup_archiver.c and pg_backup_custom.c of PostgreSQL write
 * it (12 to 18; every byte is accounted for here):
 *
 *	archive    header, integer: number of entries, entry*, block*
 *	header     "PGDMP", bytes: major 1, minor 14..16, revision, size of an integer
 *			   (4), size of an offset (4 or 8), format (1: custom); compression (1.14
 *			   an integer, the level; from 1.15 a byte, the algorithm); 7 integers of
 *			   struct tm; texts: database, server's version, pg_dump's version
 *	integer    byte 1 if negative, else 0; the magnitude in 4 bytes, lowest first
 *	text       integer: length, or -1 for none at all; that many bytes
 *	entry      integers: dump id, 1 if it has data; texts: oid of its catalogue, its
 *			   oid, tag, desc; integer: section; texts: definition, drop statement,
 *			   copy statement, namespace, tablespace, table access method; integer
 *			   (from 1.16): relkind; texts: owner, "false" (WITH OIDS once);
 *			   texts: dump ids of its dependencies, until one that is none; offset
 *	offset     byte 1: data, position not known; 2: known; 3: no data; then the
 *			   position, lowest byte first
 *	block      byte 1, integer: dump id, chunk*, integer: 0
 *			   byte 3, integer: dump id, (integer: large object's oid, chunk*,
 *			   integer: 0)*, integer: 0
 *	chunk      integer: length, that many bytes, each chunk possibly compressed
 *
 * A dump into a pipe cannot go back to fill in positions, and a reader of a pipe
 * has no use for them: they are ignored.  pg_dump 17 and 18 whose stdout is a
 * regular file write their table of contents a second time, at the end, which is
 * refused like anything that follows: give them a pipe, or --file.
 *
 * The parser checks what one field can tell.  What only the whole can (an entry
 * without its data, data twice) is for the events' receiver to judge.
 */
#ifndef POSTGRES_ARCHIVE_PARSER_H
#define POSTGRES_ARCHIVE_PARSER_H

#include "engines/postgres_archive.h"

typedef enum ArchiveBlock
{
	ARCHIVE_BLOCK_DATA = 1,
	ARCHIVE_BLOCK_LARGE_OBJECTS = 3
} ArchiveBlock;

/*
 * What the receiver hears, in the archive's order.  Everything handed over is
 * borrowed for the call.  false: the failure has been set, parsing ends.  Without
 * block, whatever follows the TOC is taken and not looked at.
 */
typedef struct ArchiveEvents
{
	/* entries is NULL, entry_count what the archive announces and nobody has seen yet */
	bool (*header)(void *context, const PostgresArchive *header, Failure *failure);
	bool (*entry)(void *context, const TocEntry *entry, Failure *failure);
	bool (*toc_end)(void *context, Failure *failure);
	bool (*block)(void *context, ArchiveBlock type, int32_t dump_id, Failure *failure);
	void (*large_object)(void *context, uint32_t oid);
	void (*data)(void *context, const unsigned char *bytes, size_t length); /* part of a chunk */
	void (*block_end)(void *context);
} ArchiveEvents;

typedef enum ArchiveTexts
{
	ARCHIVE_TEXTS_WHOLE, /* up to POSTGRES_ARCHIVE_TOC_LIMIT for the whole TOC */
	ARCHIVE_TEXTS_BEGIN	 /* the first 64 bytes of each; no dependencies; any TOC passes */
} ArchiveTexts;

typedef struct ArchiveParser ArchiveParser;

/* when: what a broken archive is called.  Events and context are borrowed. */
extern ArchiveParser *archive_parser_open(FailureReason when, ArchiveTexts texts, const ArchiveEvents *events,
										  void *context, Failure *failure);
extern bool archive_parser_feed(ArchiveParser *parser, const void *bytes, size_t length, Failure *failure);

/* The stream has ended: at a place where an archive may end? */
extern bool archive_parser_finish(ArchiveParser *parser, Failure *failure);
extern void archive_parser_close(ArchiveParser *parser);

/* For a receiver's own findings: failure_set(when, what + at which byte); false. */
extern bool archive_parser_refuse(ArchiveParser *parser, Failure *failure, const char *format, ...)
	__attribute__((format(printf, 3, 4)));

#endif
