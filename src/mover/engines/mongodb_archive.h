/*
 * mongodb_archive.h
 *	  A streaming reader of mongodump's archives.
 *
 * The format, all of it little endian and made of BSON documents:
 *
 *	  archive:	magic 0x8199e26d, prelude, block*
 *	  prelude:	{concurrent_collections, version, server_version, tool_version},
 *				{db, collection, metadata, size, type}*, 0xffffffff
 *	  block:	{db, collection, EOF: false, CRC: 0}, document*, 0xffffffff
 *			or	{db, collection, EOF: true, CRC: n}, 0xffffffff
 *
 * Blocks of several collections alternate.  Each collection of the prelude has one
 * block with EOF, views too, and its CRC is CRC-64/XZ over all of its documents.
 * Nothing marks the end of the archive: it is whole when all are closed.
 *
 * Bytes are pushed in, in any chunking.  Memory: the names of the collections, and
 * one document of the prelude.  Customers' documents are never held: their bytes
 * are counted and summed as they pass.
 *
 * Specified in mongodb/mongo-tools, common/archive/spec.md.
 */
#ifndef MONGODB_ARCHIVE_H
#define MONGODB_ARCHIVE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "failure.h"

/* mongorestore takes no larger one. */
#define MONGODB_DOCUMENT_MAX (16 * 1024 * 1024)

/* Before a time series' name: the collection that holds its documents, in servers before 8.3. */
#define MONGODB_BUCKETS "system.buckets."

typedef enum MongodbKind
{
	MONGODB_COLLECTION,
	MONGODB_VIEW,
	MONGODB_TIMESERIES /* its documents stand under system.buckets.NAME in archives of servers before 8.3 */
} MongodbKind;

/* One collection of the prelude. */
typedef struct MongodbNamespace
{
	char	   *database; /* "" for the oplog of a whole server's dump */
	char	   *collection;
	MongodbKind kind;
	int64_t		indexes;
	bool		validated; /* it has a validator: some documents may be older than that */
	int64_t		documents; /* met so far */
	bool		opened;	   /* a block of it was met */
	bool		closed;	   /* its EOF was met and its CRC right */
	uint64_t	crc;
} MongodbNamespace;

typedef struct MongodbArchive MongodbArchive;

/* when: what a broken archive is called, REASON_DUMP or REASON_INTEGRITY. */
extern MongodbArchive *mongodb_archive_open(FailureReason when, Failure *failure);
extern bool mongodb_archive_feed(MongodbArchive *archive, const void *bytes, size_t length, Failure *failure);

/* The stream has ended: was the archive whole? */
extern bool mongodb_archive_finish(MongodbArchive *archive, Failure *failure);
extern void mongodb_archive_close(MongodbArchive *archive);

/* Is all of the prelude there?  What follows may be asked from then on. */
extern bool mongodb_archive_has_prelude(const MongodbArchive *archive);

/* In the prelude's order, which is none: databases alternate.  The archive owns them. */
extern size_t				   mongodb_archive_count(const MongodbArchive *archive);
extern const MongodbNamespace *mongodb_archive_namespace(const MongodbArchive *archive, size_t index);

#endif
