/*
 * wake.c
 *	  custbackup.wake(): the background worker looks at the queue as soon as the
 *	  calling transaction has committed.
 *
 * A rollback wakes nobody.  A savepoint rolled back still wakes: the worker then
 * finds nothing, which costs less than keeping account of subtransactions.
 * PREPARE TRANSACTION wakes nobody either, as the rows are not visible before
 * COMMIT PREPARED, which runs no code of ours: the worker finds them at its next
 * look, a minute later at most.
 */
#include "postgres.h"

#include "access/xact.h"
#include "commands/dbcommands.h"
#include "commands/extension.h"
#include "fmgr.h"
#include "miscadmin.h"

#include "settings.h"
#include "shared.h"

PG_FUNCTION_INFO_V1(custbackup_wake);

static bool wake_wanted = false;
static bool callback_registered = false;

static void
at_end_of_transaction(XactEvent event, void *arg)
{
	(void) arg;
	switch (event)
	{
		case XACT_EVENT_COMMIT:
			if (wake_wanted)
				shared_wake();
			wake_wanted = false;
			break;
		case XACT_EVENT_ABORT:
		case XACT_EVENT_PREPARE:
			wake_wanted = false;
			break;
		default:
			break;
	}
}

static void
warn_not_preloaded(void)
{
	ereport(
		WARNING,
		(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
		 errmsg("custbackup is not in shared_preload_libraries: no background worker will look at the queue"),
		 errhint("Add custbackup to shared_preload_libraries in postgresql.conf and restart the server.")));
}

/* Would waking the worker be of any use here? */
static bool
is_database_of_worker(bool silent)
{
	char *here = get_database_name(MyDatabaseId);

	if (here && strcmp(here, setting_database) == 0)
		return true;
	if (!silent)
		ereport(
			WARNING,
			(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
			 errmsg("the background worker looks into database \"%s\", not into this one", setting_database),
			 errhint("Set custbackup.database to \"%s\" in postgresql.conf and reload.", here ? here : "")));
	return false;
}

Datum
custbackup_wake(PG_FUNCTION_ARGS)
{
	/* The extension's own script wakes the launcher; an upgrade has nobody to wake. */
	bool silent = creating_extension || IsBinaryUpgrade;

	(void) fcinfo;
	if (!shared_is_there())
	{
		if (!silent)
			warn_not_preloaded();
		PG_RETURN_VOID();
	}
	if (wake_wanted || !is_database_of_worker(silent))
		PG_RETURN_VOID();

	if (!callback_registered)
	{
		RegisterXactCallback(at_end_of_transaction, NULL);
		callback_registered = true;
	}
	wake_wanted = true;
	PG_RETURN_VOID();
}
