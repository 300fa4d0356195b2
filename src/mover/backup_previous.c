/*
 * backup_previous.c
 *	  Adopts what an earlier attempt finished, removes what it did not.
 */
#include "backup_previous.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "leftovers.h"
#include "object_key.h"

/* Nothing but '<token>/<this backup's id>...' is ever looked at, let alone removed. */
static bool
is_of_this_backup(const Job *job, const char *key)
{
	size_t token = strlen(job->resource.token);
	size_t id = strlen(job->job_id);

	return object_key_is_safe(key) && strncmp(key, job->resource.token, token) == 0 && key[token] == '/' &&
		   strncmp(key + token + 1, job->job_id, id) == 0 &&
		   (key[token + 1 + id] == '.' || key[token + 1 + id] == '-');
}

/* Manifest whole, of this backup, and the object as long as it says. */
static bool
try_to_adopt(const Job *job, Store *store, const char *key, AdoptedBackup *adopted, Failure *failure)
{
	Failure		problem = {0};
	StoreAnswer answer = manifest_fetch(store, key, &adopted->manifest, &problem);

	if (problem.reason == REASON_INTEGRITY)
	{
		fprintf(stderr, "%s is not adopted: %s\n", key, problem.detail);
		return true;
	}
	if (answer == STORE_FAILED)
		return failure_set(failure, problem.reason, "%s", problem.detail);
	if (answer == STORE_MISSING)
		return true;
	answer = strcmp(adopted->manifest.backup_id, job->job_id) == 0
				 ? store->head(store, key, NULL, &adopted->object, failure)
				 : STORE_MISSING;
	adopted->found = answer == STORE_FOUND && adopted->object.bytes == adopted->manifest.stored_bytes;
	if (!adopted->found)
		adopted_backup_free(adopted);
	return answer != STORE_FAILED;
}

bool
previous_attempts_settle(const Job *job, Store *store, AdoptedBackup *adopted, json_t *left, Failure *failure)
{
	for (int i = 0; i < job->previous_count && !adopted->found; i++)
	{
		const PreviousAttempt *attempt = &job->previous[i];

		if (!is_of_this_backup(job, attempt->key))
			return failure_set(failure, REASON_CONFIG, "\"%s\" is no object of backup %s of \"%s\"",
							   attempt->key, job->job_id, job->resource.token);
		if (!try_to_adopt(job, store, attempt->key, adopted, failure))
			return false;
		if (!adopted->found)
			leftovers_remove(store, attempt, left);
	}
	return true;
}

void
adopted_backup_free(AdoptedBackup *adopted)
{
	manifest_free(&adopted->manifest);
	object_stat_free(&adopted->object);
	*adopted = (AdoptedBackup){0};
}
