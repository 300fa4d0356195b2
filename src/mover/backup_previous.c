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
try_to_adopt(const Job *job, Store *store, const char *key, const char *manifest_key, AdoptedBackup *adopted,
			 Failure *failure)
{
	char	   *text = NULL;
	size_t		length = 0;
	Failure		unreadable = {0};
	StoreAnswer answer = store->read_small(store, manifest_key, MANIFEST_MAX_BYTES, &text, &length, failure);
	bool		whole;

	if (answer != STORE_FOUND)
		return answer == STORE_MISSING;
	whole = manifest_parse(&adopted->manifest, key, text, length, &unreadable);
	free(text);
	if (!whole)
	{
		fprintf(stderr, "%s is not adopted: %s\n", manifest_key, unreadable.detail);
		return true;
	}
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
		char				   manifest_key[OBJECT_KEY_SIZE];

		if (!is_of_this_backup(job, attempt->key) ||
			!object_manifest_key(attempt->key, manifest_key, sizeof(manifest_key)))
			return failure_set(failure, REASON_CONFIG, "\"%s\" is no object of backup %s of \"%s\"",
							   attempt->key, job->job_id, job->resource.token);
		if (!try_to_adopt(job, store, attempt->key, manifest_key, adopted, failure))
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
