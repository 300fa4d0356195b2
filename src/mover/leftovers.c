/*
 * leftovers.c
 *	  What an attempt that failed left in its store.
 */
#include "leftovers.h"

#include <stdio.h>

#include "object_key.h"
#include "utc.h"

static bool
look(Store *store, const char *key, const char *version, int64_t *until, Failure *failure)
{
	ObjectStat	stat = {0};
	StoreAnswer found = store->head(store, key, version, &stat, failure);

	if (found == STORE_FOUND && stat.locked_until > *until)
		*until = stat.locked_until;
	object_stat_free(&stat);
	return found != STORE_FAILED;
}

bool
leftovers_locked_until(Store *store, const char *object_key, const char *version, int64_t *until,
					   Failure *failure)
{
	char manifest_key[OBJECT_KEY_SIZE];

	*until = 0;
	return object_manifest_key_of_job(object_key, manifest_key, failure) &&
		   look(store, object_key, version, until, failure) &&
		   look(store, manifest_key, NULL, until, failure);
}

void
leftovers_add(Store *store, const char *attempt_id, const char *object_key, const Failure *why, json_t *left)
{
	char	text[UTC_TEXT_SIZE];
	Failure ignored = {0};
	int64_t until = 0;

	fprintf(stderr, "left for a sweep: %s\n", why->detail);
	if (why->reason == REASON_LOCKED)
		leftovers_locked_until(store, object_key, NULL, &until, &ignored);
	json_array_append_new(left, json_pack("{s:s, s:s?}", "attempt_id", attempt_id, "locked_until",
										  until > 0 ? utc_text(until, text) : NULL));
}

bool
leftovers_remove(Store *store, const PreviousAttempt *attempt, json_t *left)
{
	char	manifest_key[OBJECT_KEY_SIZE];
	Failure kept = {0};

	if (object_manifest_key_of_job(attempt->key, manifest_key, &kept))
	{
		if (attempt->upload_id)
			store->abort_left(store, attempt->key, attempt->upload_id, &kept);
		/* Also what was begun and never named to us. */
		store->abort_left(store, attempt->key, NULL, &kept);
		store->abort_left(store, manifest_key, NULL, &kept);
		store->remove(store, manifest_key, NULL, &kept);
		store->remove(store, attempt->key, NULL, &kept);
	}
	if (kept.reason == REASON_NONE)
		return true;
	leftovers_add(store, attempt->attempt_id, attempt->key, &kept, left);
	return false;
}
