/*
 * expire.c
 *	  The end of a backup.
 */
#include "expire.h"

#include "object_key.h"
#include "stores/store.h"

bool
expire_run(const Job *job, const Settings *settings, Report *report, Failure *failure)
{
	char   manifest_key[OBJECT_KEY_SIZE];
	Store *store;
	bool   removed;

	report_started(report, job->attempt_id, NULL, NULL);
	if (!object_manifest_key(job->object_key, manifest_key, sizeof(manifest_key)))
		return failure_set(failure, REASON_CONFIG, "\"%s\" is no key of a backup", job->object_key);
	store = store_open(job->store_name, job->store_url, settings, failure);
	if (!store)
		return false;
	removed = store->remove(store, job->object_key, job->version, failure) &&
			  store->remove(store, manifest_key, NULL, failure);
	store->close(store);
	if (removed)
		report_expire_done(report);
	return removed;
}
