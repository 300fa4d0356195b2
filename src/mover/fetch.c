/*
 * fetch.c
 *	  Gets a stored object and proves that it is what was stored, before anybody looks inside.
 */
#include "fetch.h"

#include <strings.h>
#include <unistd.h>

#include "digest.h"
#include "gzip.h"

typedef struct Fetch
{
	const StoredObject *object;
	Digest			   *digest;
	int64_t				fetched;
	FetchProgress		progress;
	void			   *context;
} Fetch;

static bool
hash_fetched(void *context, const void *bytes, size_t length, Failure *failure)
{
	Fetch *fetch = context;

	fetch->fetched += (int64_t) length;
	/* Whatever took its place may be without end. */
	if (fetch->fetched > fetch->object->stored_bytes)
		return failure_set(failure, REASON_INTEGRITY,
						   "the object \"%s\" holds more than the %lld bytes that were stored",
						   fetch->object->key, (long long) fetch->object->stored_bytes);
	return fetch->progress(fetch->context, fetch->fetched, failure) &&
		   digest_add(fetch->digest, bytes, length, failure);
}

static bool
is_what_was_stored(const Fetch *fetch, const Dump *dump, Failure *failure)
{
	const StoredObject *object = fetch->object;
	char				sha256[DIGEST_TEXT_SIZE];

	/* A file may grow while it is read. */
	if (!object_has_length(object->key, fetch->fetched, object->stored_bytes, failure) ||
		!digest_finish(fetch->digest, sha256, failure))
		return false;
	if (strcasecmp(sha256, object->sha256) != 0)
		return failure_set(failure, REASON_INTEGRITY,
						   "the object \"%s\" is not what was stored: its sha256 is %s, %s was recorded",
						   object->key, sha256, object->sha256);
	return gzip_check_ends(dump->fd, dump->stored_bytes, object->raw_bytes, failure);
}

bool
fetch_verified(Store *store, const StoredObject *object, FetchProgress progress, void *context, Dump *dump,
			   Failure *failure)
{
	Fetch fetch = {
		.object = object, .digest = digest_open(failure), .progress = progress, .context = context};
	StoreAnswer answer;
	bool		good;

	*dump = (Dump){.fd = -1, .raw_bytes = object->raw_bytes, .stored_bytes = object->stored_bytes};
	if (!fetch.digest)
		return false;
	answer = store->fetch(store, object->key, object->version, hash_fetched, &fetch, &dump->fd,
						  &dump->stored_bytes, failure);
	/* A bucket that was copied numbers its versions anew; what is there now is compared with the sha256 anyway. */
	if (answer == STORE_MISSING && object->version)
		answer = store->fetch(store, object->key, NULL, hash_fetched, &fetch, &dump->fd, &dump->stored_bytes,
							  failure);
	if (answer == STORE_MISSING)
		failure_set(failure, REASON_INTEGRITY, "the backup's object \"%s\" is not in the store", object->key);
	good = answer == STORE_FOUND && is_what_was_stored(&fetch, dump, failure);
	digest_close(fetch.digest);
	if (answer == STORE_FOUND && !good)
	{
		close(dump->fd);
		dump->fd = -1;
	}
	return good;
}
