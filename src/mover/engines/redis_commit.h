/*
 * redis_commit.h
 *	  The last step of a restore into Redis.
 *
 *	WATCH each spare's marker
 *	MULTI
 *	  FUNCTION RESTORE ... FLUSH
 *	  for each pair: SELECT spare, MOVE marker live, SELECT live, RENAME marker, SWAPDB live spare
 *	  for each live database that the backup does not have: SELECT, FLUSHDB ASYNC
 *	EXEC
 *	for each pair: SELECT spare, FLUSHDB ASYNC (what was live before)
 *
 * The marker thus ends, renamed, with the old data: a sweep finds it, and when EXEC's
 * answer is lost, its name tells whether the swap took place.  Another restore's sweep
 * touches the watched marker, so that a forgotten one cannot commit.
 *
 * In place: FUNCTION RESTORE ... FLUSH, and each database's marker goes.
 */
#ifndef REDIS_COMMIT_H
#define REDIS_COMMIT_H

#include "engines/redis_plan.h"

typedef struct RedisCommit
{
	const EngineContext *context;
	const RedisUrl		*url;
	Resp			   **resp; /* replaced when the connection is lost */
	const RedisPlan		*plan;
	const void			*functions; /* a payload for FUNCTION RESTORE, an empty one too */
	size_t				 functions_length;
	RestoreOutcome		*outcome;
} RedisCommit;

extern bool redis_commit(RedisCommit *commit, Failure *failure);

/* Empties the spare databases that bear this plan's marker, as far as that can be done. */
extern void redis_sweep_spares(Resp *resp, const RedisPlan *plan);

#endif
