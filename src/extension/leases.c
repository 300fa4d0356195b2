/*
 * leases.c
 *	  An observer's notes about the leases of others.
 */
#include "postgres.h"

#include "fmgr.h"
#include "utils/fmgrprotos.h"
#include "utils/memutils.h"

#include "clock.h"
#include "leases.h"
#include "queue.h"
#include "settings.h"

typedef struct Observation
{
	Lease lease;
	int64 since; /* when its counter was first seen to stand there, by clock_ms() */
} Observation;

/* What the last look saw; in a context of its own. */
static Observation	*observed = NULL;
static int			 observed_count = 0;
static MemoryContext observed_context = NULL;

/* Since when it stands where it stands: now, if it has moved or is new. */
static int64
standing_since(const Lease *lease)
{
	for (int i = 0; i < observed_count; i++)
	{
		const Lease *before = &observed[i].lease;

		if (memcmp(&before->attempt, &lease->attempt, sizeof(pg_uuid_t)) == 0)
			return before->renewals == lease->renewals ? observed[i].since : clock_ms();
	}
	return clock_ms();
}

static void
note_all(const List *leases)
{
	MemoryContext context =
		AllocSetContextCreate(TopMemoryContext, "custbackup leases", ALLOCSET_SMALL_SIZES);
	Observation *notes = MemoryContextAlloc(context, Max(list_length(leases), 1) * sizeof(Observation));
	int			 count = 0;
	ListCell	*cell;

	foreach (cell, leases)
	{
		notes[count].lease = *(const Lease *) lfirst(cell);
		notes[count].since = standing_since(&notes[count].lease);
		count++;
	}
	if (observed_context)
		MemoryContextDelete(observed_context);
	observed_context = context;
	observed = notes;
	observed_count = count;
}

static TxnResult
give_back(const Lease *lease)
{
	bool	  given = false;
	TxnResult result = queue_give_back(lease, &given);

	if (given)
		ereport(LOG,
				(errmsg("custbackup: the lease of attempt %s has run out, its job goes back into the queue",
						DatumGetCString(DirectFunctionCall1(uuid_out, UUIDPGetDatum(&lease->attempt))))));
	return result;
}

TxnResult
leases_watch(int *others)
{
	List	 *leases;
	TxnResult result = queue_leases(&leases);

	*others = observed_count;
	if (result != TXN_COMMITTED)
		return result;

	note_all(leases);
	*others = observed_count;
	for (int i = 0; i < observed_count && result == TXN_COMMITTED; i++)
	{
		if (clock_ms() - observed[i].since >= setting_lease_timeout * INT64CONST(1000))
			result = give_back(&observed[i].lease);
	}
	return result;
}
