/*
 * expire.c
 *	  The end of a backup.
 */
#include "expire.h"

#include <time.h>

#include "leftovers.h"
#include "object_key.h"
#include "stores/store.h"
#include "utc.h"

/*
 * Asked before anything is removed, so that what is locked stays a whole backup: its
 * manifest may be locked for a little longer than its object.
 */
static bool
is_free(Store *store, const Job *job, Report *report, Failure *failure)
{
	char	text[UTC_TEXT_SIZE];
	int64_t until;

	if (!leftovers_locked_until(store, job->object_key, job->version, &until, failure))
		return false;
	if (until <= (int64_t) time(NULL))
		return true;
	report_locked_until(report, until);
	return failure_set(failure, REASON_LOCKED, "%s is locked in its store until %s; nothing was removed",
					   job->object_key, utc_text(until, text));
}

static bool
remove_backup(Store *store, const Job *job, const char *manifest_key, Report *report, Failure *failure)
{
	Failure ignored = {0};
	int64_t until;

	if (store->remove(store, job->object_key, job->version, failure))
		return store->remove(store, manifest_key, NULL, failure);
	/* This host's clock is ahead of the store's: the lock holds still. */
	if (failure->reason == REASON_LOCKED &&
		leftovers_locked_until(store, job->object_key, job->version, &until, &ignored))
		report_locked_until(report, until);
	return false;
}

bool
expire_run(const Job *job, const Settings *settings, Report *report, Failure *failure)
{
	char   manifest_key[OBJECT_KEY_SIZE];
	Store *store;
	bool   removed;

	report_started(report, job->attempt_id, NULL, NULL);
	if (!object_manifest_key_of_job(job->object_key, manifest_key, failure))
		return false;
	store = store_open(job->store_name, job->store_url, settings, failure);
	if (!store)
		return false;
	removed =
		is_free(store, job, report, failure) && remove_backup(store, job, manifest_key, report, failure);
	store->close(store);
	if (removed)
		report_expire_done(report);
	return removed;
}

bool
sweep_run(const Job *job, const Settings *settings, Report *report, Failure *failure)
{
	Store  *store;
	json_t *left;

	report_started(report, job->attempt_id, NULL, NULL);
	store = store_open(job->store_name, job->store_url, settings, failure);
	if (!store)
		return false;
	left = json_array();
	for (int i = 0; left && i < job->previous_count; i++)
		leftovers_remove(store, &job->previous[i], left);
	store->close(store);
	if (!left)
		return failure_no_memory(failure);
	report_left(report, left);
	json_decref(left);
	report_sweep_done(report);
	return true;
}
