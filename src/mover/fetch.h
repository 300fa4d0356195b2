/*
 * fetch.h
 *	  Gets a stored object and proves that it is what was stored.
 */
#ifndef FETCH_H
#define FETCH_H

#include <stdbool.h>
#include <stdint.h>

#include "dump.h"
#include "failure.h"
#include "stores/store.h"

/* What catalogue or manifest say about it; borrowed. */
typedef struct StoredObject
{
	const char *key;
	const char *version; /* NULL: the store has none */
	const char *sha256;	 /* 64 hex digits */
	int64_t		stored_bytes;
	int64_t		raw_bytes;
} StoredObject;

/* Bytes so far.  False, with the failure set, stops it. */
typedef bool (*FetchProgress)(void *context, int64_t fetched, Failure *failure);

/*
 * REASON_INTEGRITY where the object is missing, has another size (a larger one is not
 * read beyond that) or another sha256, or does not begin and end as gzip of raw_bytes does.  On success
 * dump->fd is the caller's to close; on failure it is -1.
 */
extern bool fetch_verified(Store *store, const StoredObject *object, FetchProgress progress, void *context,
						   Dump *dump, Failure *failure);

#endif
