/*
 * mongodb_metadata.h
 *	  The documents that mongodump itself writes into an archive: what its prelude says
 *	  of a collection, and the header of a block.
 */
#ifndef MONGODB_METADATA_H
#define MONGODB_METADATA_H

#include <stdbool.h>
#include <stdint.h>

#include <bson/bson.h>

#include "engines/mongodb_archive.h"

typedef struct MongodbMetadata
{
	char	   *database;
	char	   *collection;
	MongodbKind kind;
	int64_t		indexes;
	bool		validated;
} MongodbMetadata;

/* NULL: read, and the names are the caller's; else what is wrong, a literal. */
extern const char *mongodb_metadata_read(MongodbMetadata *metadata, const bson_t *document);
extern void		   mongodb_metadata_free(MongodbMetadata *metadata);

typedef struct MongodbBlockHeader
{
	const char *database; /* both borrowed from the document */
	const char *collection;
	bool		eof;
	uint64_t	crc;
} MongodbBlockHeader;

extern bool mongodb_block_header_read(MongodbBlockHeader *header, const bson_t *document);

#endif
