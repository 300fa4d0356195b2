/*
 * lock.c
 *	  custbackup.try_lock() and share_lock(): advisory locks that nobody but us can take.
 *
 * Postgres' own functions for advisory locks are everybody's: whoever may connect
 * could hold the queue's for ever.  They make locks of the kinds 1 and 2; the
 * worker's own (worker.c) is of kind 3, these are of kind 4.
 */
#include "postgres.h"

#include "fmgr.h"
#include "miscadmin.h"
#include "storage/lock.h"

#define KIND_OF_QUEUE 4

PG_FUNCTION_INFO_V1(custbackup_try_lock);
PG_FUNCTION_INFO_V1(custbackup_share_lock);

static LOCKTAG
tag_of(Oid matter, int32 key)
{
	LOCKTAG tag;

	SET_LOCKTAG_ADVISORY(tag, MyDatabaseId, matter, (uint32) key, KIND_OF_QUEUE);
	return tag;
}

Datum
custbackup_try_lock(PG_FUNCTION_ARGS)
{
	LOCKTAG tag = tag_of(PG_GETARG_OID(0), PG_GETARG_INT32(1));

	PG_RETURN_BOOL(LockAcquire(&tag, ExclusiveLock, false, true) != LOCKACQUIRE_NOT_AVAIL);
}

Datum
custbackup_share_lock(PG_FUNCTION_ARGS)
{
	LOCKTAG tag = tag_of(PG_GETARG_OID(0), PG_GETARG_INT32(1));

	(void) LockAcquire(&tag, ShareLock, false, false);
	PG_RETURN_VOID();
}
