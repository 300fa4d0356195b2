/*
 * redis_expiry.c
 *	  Keeping account of keys that expire.
 */
#include "engines/redis_expiry.h"

#include <stdlib.h>
#include <time.h>

#include "clock.h"

#define EXPIRY_SECONDS (6 * 3600)

/* Hashes whose fields expire are of these types, of Redis and of Valkey. */
#define FIRST_VOLATILE_HASH 22
#define LAST_VOLATILE_HASH	25

/* Our own clock may step while we run; the one that is added to does not. */
static int64_t
server_now(const RedisExpiry *expiry)
{
	return clock_milliseconds() + expiry->clock_ahead;
}

bool
redis_expiry_open(RedisExpiry *expiry, Resp *resp, Failure *failure)
{
	RespReply reply;
	int64_t	  now = (int64_t) time(NULL) * 1000;
	bool	  passed;

	*expiry = (RedisExpiry){.expiring = calloc(EXPIRY_SECONDS, sizeof(*expiry->expiring))};
	if (expiry->expiring == NULL)
		return failure_no_memory(failure);
	passed = resp_ask(resp, &reply, failure, "TIME", NULL);
	if (passed)
		resp_time(&reply, &now);
	resp_reply_free(&reply);
	expiry->clock_ahead = now - clock_milliseconds();
	expiry->began_at = now;
	return passed;
}

void
redis_expiry_close(RedisExpiry *expiry)
{
	free(expiry->expiring);
	*expiry = (RedisExpiry){0};
}

bool
redis_expiry_is_over(RedisExpiry *expiry, const RdbEntry *entry)
{
	int64_t second = (entry->expires_at - expiry->began_at) / 1000;

	if (entry->expires_at >= 0 && entry->expires_at <= server_now(expiry))
	{
		expiry->left_out++;
		return true;
	}
	/* Its fields may be over long before itself. */
	if (entry->type >= FIRST_VOLATILE_HASH && entry->type <= LAST_VOLATILE_HASH)
		expiry->volatile_hashes++;
	else if (entry->expires_at >= 0)
		expiry->expiring[second < 0 ? 0 : second >= EXPIRY_SECONDS ? EXPIRY_SECONDS - 1 : second]++;
	return false;
}

uint64_t
redis_expiry_may_be_gone(const RedisExpiry *expiry)
{
	int64_t	 seconds = (server_now(expiry) - expiry->began_at) / 1000 + 2;
	uint64_t gone = expiry->volatile_hashes;

	for (int64_t i = 0; i < seconds && i < EXPIRY_SECONDS; i++)
		gone += expiry->expiring[i];
	return gone;
}
