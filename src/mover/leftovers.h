/*
 * leftovers.h
 *	  What an attempt that failed left in its store: removed, or told.
 *
 * What was told with the last word of a job as `left` is a JSON array, one entry
 * an attempt of which something stays: {"attempt_id": ..., "locked_until": ...},
 * the time null where no lock keeps it and it may go at the next try.
 */
#ifndef LEFTOVERS_H
#define LEFTOVERS_H

#include <stdbool.h>

#include <jansson.h>

#include "failure.h"
#include "job.h"
#include "stores/store.h"

/*
 * Removes upload, manifest and object of an attempt; false: something stays, and
 * stands in `left`.  What stays keeps nobody from going on under another key.
 */
extern bool leftovers_remove(Store *store, const PreviousAttempt *attempt, json_t *left);

/* Adds an entry; why: what kept it. */
extern void leftovers_add(Store *store, const char *attempt_id, const char *object_key, const Failure *why,
						  json_t *left);

/*
 * Until when object lock keeps what lies under the two keys of a backup (version: of
 * its object, NULL: the only one); 0: not at all.  False: the store could not be asked.
 */
extern bool leftovers_locked_until(Store *store, const char *object_key, const char *version, int64_t *until,
								   Failure *failure);

#endif
