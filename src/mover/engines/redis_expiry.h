/*
 * redis_expiry.h
 *	  The target's clock, and what has expired by it.
 *
 * Keys that have expired since the backup are left out and counted.  Those that
 * expire while the restore runs may be missing when the databases are counted: so
 * each key's second is kept, for the coming hours.
 */
#ifndef REDIS_EXPIRY_H
#define REDIS_EXPIRY_H

#include <stdbool.h>
#include <stdint.h>

#include "engines/rdb.h"
#include "engines/resp.h"
#include "failure.h"

typedef struct RedisExpiry
{
	int64_t	  clock_ahead;	   /* the server's clock minus clock_milliseconds() */
	int64_t	  began_at;		   /* by the server's clock */
	uint32_t *expiring;		   /* a second's keys */
	uint64_t  volatile_hashes; /* whose fields may all expire, and the key with them */
	uint64_t  left_out;
} RedisExpiry;

/* Asks the server's clock; ours counts where the role may not ask. */
extern bool redis_expiry_open(RedisExpiry *expiry, Resp *resp, Failure *failure);

/* Has it expired? Then it is counted as left out, else as sent. */
extern bool redis_expiry_is_over(RedisExpiry *expiry, const RdbEntry *entry);

/* So many of the keys that were sent may have expired since. */
extern uint64_t redis_expiry_may_be_gone(const RedisExpiry *expiry);
extern void		redis_expiry_close(RedisExpiry *expiry);

#endif
