/*
 * rdb_restore.h
 *	  Entries of an RDB file into a server, by pipelined RESTORE.
 *
 * So many commands and bytes are under way as keep the server busy; replies are
 * taken as they come.  The first refusal stops it, naming the key.
 */
#ifndef RDB_RESTORE_H
#define RDB_RESTORE_H

#include <stdbool.h>
#include <stdint.h>

#include "engines/rdb.h"
#include "engines/resp.h"
#include "failure.h"

typedef struct RdbRestore RdbRestore;

/* resp is borrowed; between rdb_restore_drain() and the next entry the caller may use it. */
extern RdbRestore *rdb_restore_open(Resp *resp, int rdb_version, Failure *failure);
extern bool		   rdb_restore_entry(RdbRestore *restore, const RdbEntry *entry, Failure *failure);

/* Waits for every reply. */
extern bool rdb_restore_drain(RdbRestore *restore, Failure *failure);

extern void rdb_restore_close(RdbRestore *restore);

#endif
