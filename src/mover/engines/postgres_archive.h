/*
 * postgres_archive.h
 *	  What stands in an archive of pg_dump's custom format (1.14 to 1.16, which
 *	  is pg_dump 12 to 18): its header and its table of contents, held in memory,
 *	  and the proof that such a stream is whole, which holds next to nothing.
 *
 * An archive is a header, a table of contents (TOC), and then the data: one
 * block for each entry that has data.  The format is specified by PostgreSQL's
 * src/bin/pg_dump/pg_backup_archiver.c and pg_backup_custom.c and nowhere else;
 * postgres_archive_parser.h describes it.
 *
 * Nothing here knows of processes, stores or compression of the stream, and
 * nothing in an archive is believed: a length allocates only what has arrived.
 *
 * Texts are what the archive's encoding says (see encoding below), without NUL.
 * Where pg_dump wrote none, they are NULL.  All pointers live as long as the
 * PostgresArchive.
 */
#ifndef POSTGRES_ARCHIVE_H
#define POSTGRES_ARCHIVE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "engines/postgres_archive_class.h"
#include "failure.h"

struct Inspector; /* engine.h */

/*
 * How much of a table of contents postgres_archive_read_toc() will hold, texts
 * and entries together.  pg_restore holds the same in memory, without a limit.
 * 10,000 tables, each with a key, an index and a comment, take 12 MB (measured):
 * so this is 200,000 of them, whose 3 million locks no transaction would get.
 * The proof (postgres_archive_inspector) has no such limit.
 */
#define POSTGRES_ARCHIVE_TOC_LIMIT ((size_t) 256 << 20)

typedef enum TocSection
{
	TOC_SECTION_NONE = 1, /* comments, grants, ...: belongs to the section of the entry before */
	TOC_SECTION_PRE_DATA,
	TOC_SECTION_DATA,
	TOC_SECTION_POST_DATA
} TocSection;

/* One object, in the order in which pg_restore would create them. */
typedef struct TocEntry
{
	int32_t dump_id; /* positive, unique within the archive */
	TocClass class;
	TocSection	section;
	bool		has_data;  /* a data block follows the TOC (hadDumper) */
	char		relkind;   /* as in pg_class; 0: none, or an archive before 1.16 */
	uint32_t	catalog;   /* oid of the catalogue (1259: pg_class), 0: none */
	uint32_t	oid;	   /* the object's, in the dumped database; 0: none */
	const char *desc;	   /* the kind as pg_dump wrote it: "TABLE"; never NULL */
	const char *tag;	   /* the name; "f(integer)", "table column", "EXTENSION vector" (of a COMMENT) */
	const char *namespace; /* its schema, unquoted */
	const char *owner;	   /* role name, unquoted; "" or NULL: none */
	const char *tablespace;
	const char *table_access_method;
	const char *definition; /* SQL that creates it; may be "" */
	const char
		*drop_statement; /* SQL; "" or NULL: it goes with something else; a comment for BLOB METADATA */
	const char	  *copy_statement; /* "COPY ... FROM stdin;\n" of TABLE DATA, NULL with --inserts */
	const int32_t *dependencies;   /* dump ids, which need not be in the archive */
	size_t		   dependency_count;
} TocEntry;

typedef struct PostgresArchive
{
	int			version_minor; /* of the format: 14, 15 or 16 */
	int			compression;   /* 0 none, 1 gzip, 2 lz4, 3 zstd */
	char		created[32];   /* "2026-11-23 13:05:00" on the dumping machine's clock and zone */
	const char *database;	   /* that was dumped */
	const char *server_version;
	const char *dump_version; /* of pg_dump */
	const char *encoding;	  /* client_encoding of all texts and data, "UTF8"; NULL: not said */
	bool		standard_conforming_strings;

	const TocEntry *entries; /* in archive order */
	size_t			entry_count;
} PostgresArchive;

/*
 * Gives the archive's next bytes: at most capacity, *length 0 at the end.  A
 * few lines of the caller's around dump_read(), or around a pipe.
 */
typedef bool (*PostgresArchiveRead)(void *context, void *buffer, size_t capacity, size_t *length,
									Failure *failure);

/*
 * Reads header and table of contents and stops: what is read beyond them is at
 * most the rest of one buffer of 64 kB.  Proves nothing about the data.
 * `when` is what a broken archive is called (REASON_INTEGRITY, REASON_DUMP);
 * a TOC above POSTGRES_ARCHIVE_TOC_LIMIT is REASON_NOT_RESTORABLE.
 */
extern bool postgres_archive_read_toc(PostgresArchiveRead read, void *context, FailureReason when,
									  PostgresArchive **archive, Failure *failure);
extern void postgres_archive_free(PostgresArchive *archive);

/* NULL: no such entry. */
extern const TocEntry *postgres_archive_find(const PostgresArchive *archive, int32_t dump_id);

/* The EXTENSION entry of that name, or NULL. */
extern const TocEntry *postgres_archive_find_extension(const PostgresArchive *archive, const char *name);

/* The large objects that stand in the TOC, whichever way (one BLOB entry each, or BLOB METADATA lists). */
extern size_t postgres_archive_large_objects(const PostgresArchive *archive);
extern bool	  postgres_archive_has_large_object(const PostgresArchive *archive, const char *oid);

/*
 * Writes what `pg_restore -L FILE` reads: a line for each entry i with
 * chosen[i], in archive order, as pg_restore -l would print it (line breaks in
 * names become blanks, so that no name makes a line of its own).  chosen NULL:
 * all.  pg_restore looks only at the number in front.  The caller owns the
 * stream; it is flushed, and a write that fails is REASON_INTERNAL.
 */
extern bool postgres_archive_write_list(const PostgresArchive *archive, const bool *chosen, FILE *stream,
										Failure *failure);

/*
 * How many entries of the server's lock table one transaction fills that drops,
 * or creates, the entries i with chosen[i] (NULL: all): an estimate from above,
 * by class and definition (postgres_archive_class.h).  A rewind costs the drop
 * locks of what the target has now plus the create locks of the backup; compare
 * with half of max_locks_per_transaction *
 * (max_connections + max_prepared_transactions).
 */
extern uint64_t postgres_archive_drop_locks(const PostgresArchive *archive, const bool *chosen);
extern uint64_t postgres_archive_create_locks(const PostgresArchive *archive, const bool *chosen);

/*
 * The proof that a stream is a whole custom archive: every data entry of its TOC
 * met exactly once, to its last byte, nothing unknown, nothing after.  Memory:
 * a few kB and a byte for each dump id, at any size of data or of texts.
 *
 * Counts: entries (of the TOC), schemas, tables (foreign ones too), views
 * (materialized ones too), sequences, indexes, constraints, functions (procedures
 * and aggregates too), extensions, data_entries, large_objects; and rows, where
 * all data was dumped by COPY and nothing is compressed, which is how we dump.
 *
 * A backup's stream that ends before its header does is REASON_TOO_SMALL.
 */
extern struct Inspector *postgres_archive_inspector(FailureReason when, Failure *failure);

#endif
