/*
 * redis_preflight.h
 *	  What makes a restore impossible, found out before anything is touched.
 */
#ifndef REDIS_PREFLIGHT_H
#define REDIS_PREFLIGHT_H

#include "engines/redis_plan.h"

/* Versions, sizes, kinds of server, rights, an emptiness that a clone wants.  Each refusal is a sentence. */
extern bool redis_preflight(RedisPlanning *planning, Failure *failure);

/* The database of the target that one of the file is restored to. */
extern int redis_target_of(const RedisPlanning *planning, uint64_t source);

/* Was this mark made by an earlier attempt for the same resource? */
extern bool redis_mark_is_ours(const RedisPlanning *planning, const RedisDatabase *database);

/* Does this database of the file have keys that are to be restored? */
extern bool redis_is_restored(const RdbDatabase *database);

#endif
