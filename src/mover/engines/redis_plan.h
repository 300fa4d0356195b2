/*
 * redis_plan.h
 *	  What a restore is going to do to a server, settled before anything is changed.
 *
 * By swapping, where it can be done: each database of the backup is put into a
 * spare one, and all change places in one transaction; whoever reads sees
 * the old or the new, and a restore that fails leaves no trace.  In place where it
 * cannot (no room beside the live data, no spare database, no right to
 * SWAPDB): then the databases are emptied first.
 */
#ifndef REDIS_PLAN_H
#define REDIS_PLAN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "engines/engine.h"
#include "engines/rdb_summary.h"
#include "engines/redis_server.h"
#include "engines/redis_url.h"
#include "engines/resp.h"

/* A database of the backup that has keys. */
typedef struct RedisPair
{
	uint64_t source;
	int		 target;
	int		 spare; /* where its keys are put: target itself when in place */
	uint64_t sent;
	uint64_t counted; /* by the server, at the end */
} RedisPair;

typedef struct RedisPlan
{
	bool	   swaps;
	RedisPair *pairs;
	size_t	   pair_count;
	int		  *spares; /* empty ones, in the order in which to take them: another restore may be quicker */
	size_t	   spare_count;
	int		  *emptied; /* live databases of the target that the backup does not have */
	size_t	   emptied_count;
	bool	   restores_functions;
	char	   marker[REDIS_MARKER_VALUE_SIZE];
	char	   why_in_place[256]; /* empty when swapping */
	int64_t	   evicted_at_start;
	int64_t	   maxmemory;
} RedisPlan;

/* Everything that planning may ask and say. */
typedef struct RedisPlanning
{
	const EngineContext *context;
	const RedisUrl		*url;
	Resp				*resp;
	const RdbSummary	*summary;
	RestoreOutcome		*outcome;
	RedisServer			 server;
	int					 server_rdb_version;
	const char			*swap_needs; /* a command that this role is refused; NULL: it may swap */
	char				*clients;	 /* CLIENT LIST's text; NULL: not allowed */
} RedisPlanning;

/*
 * Refuses what cannot be restored, sweeps what an earlier attempt of this
 * resource left, and fills the plan.  Live data is not touched.
 */
extern bool redis_plan(RedisPlanning *planning, RedisPlan *plan, Failure *failure);
extern void redis_plan_free(RedisPlan *plan);

/* Is any client other than ourselves in that database?  clients: CLIENT LIST's text. */
extern bool redis_database_is_in_use(const char *clients, int database);

#endif
