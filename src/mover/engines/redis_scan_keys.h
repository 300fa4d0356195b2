/*
 * redis_scan_keys.h
 *	  The keys of a database, by SCAN: each once, and so many at a time as do not hurt.
 *
 * What DUMP answers waits in the server's memory until we have read it.  So each key is
 * asked for its size first (MEMORY USAGE), and a batch is about a megabyte of values. A
 * server at its maxmemory pays for that memory with its customer's keys: there a batch
 * is no more than half of what is free, and a large value that has no room
 * ends the backup with a sentence.  After each batch comes a pause of a quarter of the time
 * that it took.
 *
 * Names may be large themselves.  SCAN is asked for so many as give an answer of some
 * hundred kilobytes, and of an answer that has become too large only a part is taken: SCAN
 * gives the rest again, when it is asked once more from where that answer began.
 */
#ifndef REDIS_SCAN_KEYS_H
#define REDIS_SCAN_KEYS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "engines/key_set.h"
#include "engines/resp.h"
#include "failure.h"

typedef struct ScanKey
{
	char	*text;
	size_t	 length;
	uint64_t size; /* what its value may take, in the server's memory */
} ScanKey;

typedef struct ScanKeys
{
	Resp	   *resp;
	const char *spool_dir;
	bool		tells_sizes; /* MEMORY USAGE is known and allowed */
	bool		evicts;		 /* the server drops keys when memory runs short */
	uint64_t	at_once;	 /* bytes that an answer may have; a value may be larger */

	KeySet	*seen;
	char	 cursor[32];
	bool	 cursor_is_done;
	unsigned asked_for; /* names at once */
	ScanKey *found;		/* new ones, of the last answer */
	size_t	 capacity;
	size_t	 count;
	size_t	 next;
	uint64_t largest_value; /* of late, where MEMORY USAGE is not told */
	int64_t	 batch_began;	/* milliseconds; 0: none is under way */
} ScanKeys;

/* limit: what the server holds for a client before it cuts it off; 0: anything. */
extern void scan_keys_limit(ScanKeys *keys, int64_t limit);

/* Begins the selected database. */
extern bool scan_keys_begin(ScanKeys *keys, Failure *failure);

/* The next batch, good until the next call.  *count 0: there are no more. */
extern bool scan_keys_next(ScanKeys *keys, const ScanKey **batch, size_t *count, Failure *failure);

/* A value was so large. */
extern void scan_keys_learn(ScanKeys *keys, uint64_t value_length);
extern void scan_keys_close(ScanKeys *keys);

#endif
