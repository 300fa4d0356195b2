/*
 * rdb_summary.h
 *	  What is in an RDB file, counted: for the manifest, and for a restore's preflight.
 *
 * A database in which a restore has put its marker key (redis_marker.h) is the
 * leftover of a restore that did not finish: counted apart, never restored.
 */
#ifndef RDB_SUMMARY_H
#define RDB_SUMMARY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <jansson.h>

#include "engines/bytes.h"
#include "engines/rdb.h"
#include "failure.h"

typedef struct RdbDatabase
{
	uint64_t number;
	uint64_t keys;
	uint64_t expires; /* keys with an expiry */
	bool	 leftover;
} RdbDatabase;

typedef struct RdbSummary
{
	int			 version;
	RdbDatabase *databases; /* by number, those with a key in them */
	size_t		 database_count;
	uint64_t	 largest_payload;
	uint64_t	 memory;   /* an estimate, see rdb_entry_memory() */
	uint64_t	 unpacked; /* bytes of all keys and values, decompressed */
	uint64_t	 largest_key;
	uint64_t	 module_values;
	uint64_t	 module_aux;
	uint64_t	 functions;
	Bytes		*libraries;			 /* where the functions' bytes are gathered; NULL: nowhere */
	uint64_t	 used_memory;		 /* of the server that wrote it, when it did; 0: not recorded */
	char		 server_version[32]; /* of that server; empty: not recorded */
	bool		 valkey;			 /* what that server was */
} RdbSummary;

/* For rdb_reader_open() with an RdbSummary as context: counts, cuts nothing out. */
extern const RdbHandler rdb_summary_handler;

extern void rdb_summary_free(RdbSummary *summary);

/*
 * Roughly what a key will take of a server's memory: its bytes, and for itself and for each
 * string in it what a table's entry costs.  Rather too much than too little.
 */
extern uint64_t rdb_entry_memory(const RdbEntry *entry);

/* Keys and databases without leftovers. */
extern uint64_t rdb_summary_keys(const RdbSummary *summary);
extern size_t	rdb_summary_databases(const RdbSummary *summary);

/* {"keys": 12, "expires": 3, "databases": 2, ...} */
extern bool rdb_summary_counts(const RdbSummary *summary, json_t *counts, Failure *failure);

#endif
