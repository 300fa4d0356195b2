/*
 * store_s3.c
 *	  Buckets behind store.h.
 */
#include "stores/store_s3.h"

#include <stdlib.h>
#include <string.h>

#include "cancel.h"
#include "spool.h"
#include "stores/s3_download.h"
#include "stores/s3_list.h"
#include "stores/s3_object.h"
#include "stores/s3_read_many.h"
#include "stores/s3_upload.h"
#include "stores/store_backends.h"

typedef struct S3Store
{
	Store	 store; /* first */
	char	*name;
	S3Client client;
} S3Store;

S3Client *
store_s3_client(Store *store)
{
	return &((S3Store *) store)->client;
}

static Upload *
begin(Store *store, const ObjectInfo *info, Failure *failure)
{
	return s3_upload_begin(store_s3_client(store), info, failure);
}

static StoreAnswer
head(Store *store, const char *key, const char *version, ObjectStat *stat, Failure *failure)
{
	return s3_object_head(store_s3_client(store), key, version, false, stat, failure);
}

static StoreAnswer
fetch(Store *store, const char *key, const char *version, S3Seen seen, void *context, int *fd, int64_t *bytes,
	  Failure *failure)
{
	return s3_download(store_s3_client(store), key, version, seen, context, fd, bytes, failure);
}

static StoreAnswer
read_small(Store *store, const char *key, size_t max, char **bytes, size_t *length, Failure *failure)
{
	return s3_object_read(store_s3_client(store), key, max, bytes, length, failure);
}

static bool
read_many(Store *store, const SmallReads *reads, Failure *failure)
{
	return s3_read_many(store_s3_client(store), reads, failure);
}

static bool
list(Store *store, const char *prefix, StoreVisitor visitor, void *context, Failure *failure)
{
	return s3_list(store_s3_client(store), prefix, visitor, context, failure);
}

/*
 * In a versioned bucket a DELETE without a version only hides the object: so the
 * version is asked for first.
 */
static bool
remove_object(Store *store, const char *key, const char *version, Failure *failure)
{
	S3Client   *client = store_s3_client(store);
	ObjectStat	stat;
	StoreAnswer found;
	bool		removed;
	/* A cancelled job cleans up after itself, quickly. */
	bool even_cancelled = cancel_requested();

	if (version)
		return s3_object_remove(client, key, version, even_cancelled, failure);
	found = s3_object_head(client, key, NULL, even_cancelled, &stat, failure);
	if (found != STORE_FOUND)
		return found == STORE_MISSING;
	removed = s3_object_remove(client, key, stat.version, even_cancelled, failure);
	object_stat_free(&stat);
	return removed;
}

static bool
abort_left(Store *store, const char *key, const char *upload_id, Failure *failure)
{
	const char *end = strrchr(key, '.');

	if (upload_id)
		return s3_object_abort(store_s3_client(store), key, upload_id, cancel_requested(), failure);
	/* A manifest never goes up in parts. */
	return (end && strcmp(end, ".json") == 0) || s3_abort_uploads(store_s3_client(store), key, NULL, failure);
}

static void
close_store(Store *store)
{
	S3Store *opened = (S3Store *) store;

	http_client_close(opened->client.http);
	s3_credentials_close(opened->client.credentials);
	bandwidth_close(opened->client.bandwidth);
	s3_url_free(&opened->client.url);
	free(opened->client.host);
	free(opened->name);
	free(opened);
}

static bool
open_client(S3Store *opened, const char *url, const Settings *settings, Failure *failure)
{
	S3Client *client = &opened->client;

	client->settings = settings;
	if (!s3_url_parse(&client->url, url, settings->allow_http, failure))
		return false;
	client->host = s3_url_host(&client->url, failure);
	return client->host &&
		   bandwidth_open(&client->bandwidth, settings->max_bandwidth, spool_directory(settings->spool_dir),
						  failure) &&
		   (client->credentials = s3_credentials_open(opened->name, client->url.region, settings, failure)) !=
			   NULL &&
		   (client->http = http_client_open(settings, client->bandwidth, failure)) != NULL;
}

Store *
store_s3_open(const char *name, const char *url, const Settings *settings, Failure *failure)
{
	S3Store *opened = calloc(1, sizeof(*opened));

	if (opened)
		opened->name = strdup(name);
	if (!opened || !opened->name)
	{
		free(opened);
		failure_no_memory(failure);
		return NULL;
	}
	opened->store = (Store){.scheme = "s3",
							.begin = begin,
							.head = head,
							.fetch = fetch,
							.read_small = read_small,
							.read_many = read_many,
							.list = list,
							.remove = remove_object,
							.abort_left = abort_left,
							.close = close_store};
	if (open_client(opened, url, settings, failure))
		return &opened->store;
	close_store(&opened->store);
	return NULL;
}
