/*
 * backup_previous.h
 *	  What earlier attempts of the same backup left in the store.
 *
 * An attempt that was lost after its manifest was stored had finished: its backup
 * is adopted.  Of one that was lost before, everything is removed, so that a
 * backup has one object.
 */
#ifndef BACKUP_PREVIOUS_H
#define BACKUP_PREVIOUS_H

#include <stdbool.h>

#include "failure.h"
#include "job.h"
#include "manifest.h"
#include "stores/store.h"

/* A finished backup of an earlier attempt; empty where there is none. */
typedef struct AdoptedBackup
{
	bool	   found;
	Manifest   manifest;
	ObjectStat object;
} AdoptedBackup;

/* left: what could not be removed (leftovers.h). */
extern bool previous_attempts_settle(const Job *job, Store *store, AdoptedBackup *adopted, json_t *left,
									 Failure *failure);
extern void adopted_backup_free(AdoptedBackup *adopted);

#endif
