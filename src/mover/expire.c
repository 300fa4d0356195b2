/*
 * expire.c
 *	  The end of a backup.
 */
#include "expire.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "leftovers.h"
#include "manifest.h"
#include "object_key.h"
#include "stores/store.h"
#include "utc.h"

/* What is to be removed besides the manifest. */
typedef struct Stored
{
	const char *key;
	const char *manifest_key;
	char	   *version; /* NULL: the only one */
	bool		is_gone;
} Stored;

/* *is_so: as long as the manifest beside it says.  Somebody else's object under our key is not for us to remove. */
static bool
is_as_its_manifest_says(Store *store, const Stored *stored, int64_t bytes, bool *is_so, Failure *failure)
{
	Manifest	manifest;
	Failure		problem = {0};
	StoreAnswer found = manifest_fetch(store, stored->key, &manifest, &problem);

	*is_so = found == STORE_FOUND && manifest.stored_bytes == bytes;
	if (found == STORE_FOUND)
		manifest_free(&manifest);
	/* One that makes no sense says nothing. */
	return found != STORE_FAILED || problem.reason == REASON_INTEGRITY ||
		   failure_set(failure, problem.reason, "%s", problem.detail);
}

/*
 * The version that was recorded.  Where there is none such, it was removed by an earlier try, or the
 * bucket was copied, which numbers versions anew: then what lies there now is the backup's object.
 */
static bool
find_stored(Store *store, const Job *job, Stored *stored, Failure *failure)
{
	ObjectStat	stat = {0};
	StoreAnswer found;
	bool		is_so = false;

	if (!job->version)
		return true;
	found = store->head(store, stored->key, job->version, &stat, failure);
	object_stat_free(&stat);
	if (found == STORE_FOUND)
		return (stored->version = strdup(job->version)) != NULL || failure_no_memory(failure);
	if (found == STORE_MISSING)
		found = store->head(store, stored->key, NULL, &stat, failure);
	if (found == STORE_FOUND && !is_as_its_manifest_says(store, stored, stat.bytes, &is_so, failure))
		found = STORE_FAILED;
	if (found == STORE_FOUND && !is_so)
		fprintf(stderr,
				"%s is gone from its store; what lies under its name now is another object, and stays\n",
				stored->key);
	stored->is_gone = !is_so;
	if (is_so)
	{
		stored->version = stat.version;
		stat.version = NULL;
	}
	object_stat_free(&stat);
	return found != STORE_FAILED;
}

/*
 * Asked before anything is removed, so that what is locked stays a whole backup: its
 * manifest may be locked for a little longer than its object.
 */
static bool
is_free(Store *store, const Stored *stored, Report *report, Failure *failure)
{
	char	text[UTC_TEXT_SIZE];
	int64_t until;

	if (!leftovers_locked_until(store, stored->key, stored->version, &until, failure))
		return false;
	if (until <= (int64_t) time(NULL))
		return true;
	report_locked_until(report, until);
	return failure_set(failure, REASON_LOCKED, "%s is locked in its store until %s; nothing was removed",
					   stored->key, utc_text(until, text));
}

static bool
remove_backup(Store *store, const Stored *stored, Report *report, Failure *failure)
{
	Failure ignored = {0};
	int64_t until;

	if (stored->is_gone || store->remove(store, stored->key, stored->version, failure))
		return store->remove(store, stored->manifest_key, NULL, failure);
	/* This host's clock is ahead of the store's: the lock holds still. */
	if (failure->reason == REASON_LOCKED &&
		leftovers_locked_until(store, stored->key, stored->version, &until, &ignored))
		report_locked_until(report, until);
	return false;
}

bool
expire_run(const Job *job, const Settings *settings, Report *report, Failure *failure)
{
	char   manifest_key[OBJECT_KEY_SIZE];
	Stored stored = {.key = job->object_key, .manifest_key = manifest_key};
	Store *store;
	bool   removed;

	report_started(report, job->attempt_id, NULL, NULL);
	if (!object_manifest_key_of_job(job->object_key, manifest_key, failure))
		return false;
	store = store_open(job->store_name, job->store_url, settings, failure);
	if (!store)
		return false;
	removed = find_stored(store, job, &stored, failure) && is_free(store, &stored, report, failure) &&
			  remove_backup(store, &stored, report, failure);
	free(stored.version);
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
