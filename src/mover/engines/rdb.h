/*
 * rdb.h
 *	  A streaming reader of Redis' RDB files: versions 6 to 14, and Valkey's 80.
 *
 * Bytes are pushed in, in any chunking.  The reader proves the file whole (every
 * opcode to the end mark, the CRC64, nothing behind it) and tells a handler what
 * it meets.  It knows nothing of sockets, jobs or servers.
 *
 * Memory: where the handler wants values cut out, one key and one value; else a
 * key's first megabyte.  The values themselves are not looked into: they are the same
 * bytes that RESTORE takes, so whatever a server wrote goes back as it was.
 *
 * The format: https://github.com/redis/redis/blob/unstable/src/rdb.h; where each
 * value ends is told in rdb_layout.c.
 */
#ifndef RDB_H
#define RDB_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "failure.h"

#define RDB_VERSION_MIN	   6
#define RDB_VERSION_MAX	   14
#define RDB_VERSION_SHARED 11 /* the last one that Redis and Valkey have in common */
#define RDB_VERSION_VALKEY 80

/* A longer key is only counted where values are not cut out. */
#define RDB_KEY_COUNTED (1024 * 1024)

#define RDB_TYPE_STRING 0
#define RDB_TYPE_MODULE 7

#define RDB_OPCODE_KEY_META		   0xf3 /* Redis; Valkey's slot import */
#define RDB_OPCODE_FUNCTION		   0xf5
#define RDB_OPCODE_IDLE			   0xf8
#define RDB_OPCODE_FREQUENCY	   0xf9
#define RDB_OPCODE_AUX			   0xfa
#define RDB_OPCODE_EXPIRE_MS	   0xfc
#define RDB_OPCODE_SELECT_DATABASE 0xfe
#define RDB_OPCODE_END			   0xff

/* One key.  Borrowed: good until the callback returns. */
typedef struct RdbEntry
{
	uint64_t			 database;
	const unsigned char *key; /* NULL: longer than RDB_KEY_COUNTED, and values are not cut out */
	size_t				 key_length;
	unsigned			 type;
	int64_t				 expires_at; /* milliseconds since 1970; -1: never */
	int64_t				 idle;		 /* seconds since it was last used; -1: not recorded */
	int					 frequency;	 /* LFU's logarithmic counter; -1: not recorded */
	uint64_t			 payload_length;
	uint64_t			 unpacked_length; /* the same with its strings decompressed */
	uint64_t			 strings;		  /* that it consists of */
	/* What DUMP gives, without its footer: metadata of modules if there is any, type, value.  NULL: not cut out. */
	const unsigned char *payload;
} RdbEntry;

/* All may be NULL; each returns false, with the failure set, to stop. */
typedef struct RdbHandler
{
	bool cut_values;
	bool (*entry)(void *context, const RdbEntry *entry, Failure *failure);
	/* The file's own facts ("redis-ver", "used-mem"), as text; over-long ones are passed over. */
	bool (*aux)(void *context, const char *name, const char *value, Failure *failure);
	/* A library: opcode and string as FUNCTION RESTORE takes them, before the footer. */
	bool (*function)(void *context, const unsigned char *bytes, size_t length, Failure *failure);
	bool (*module_aux)(void *context, Failure *failure);
} RdbHandler;

typedef struct RdbReader RdbReader;

/* when: what a broken file is called, REASON_DUMP or REASON_INTEGRITY.  *handler is copied. */
extern RdbReader *rdb_reader_open(const RdbHandler *handler, void *context, FailureReason when,
								  Failure *failure);
extern bool		  rdb_reader_feed(RdbReader *reader, const void *bytes, size_t length, Failure *failure);

/* The stream has ended: was the file whole? */
extern bool rdb_reader_finish(RdbReader *reader, Failure *failure);
extern void rdb_reader_close(RdbReader *reader);

/* 0 until the first nine bytes are there. */
extern int rdb_reader_version(const RdbReader *reader);

#endif
