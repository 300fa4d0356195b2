/*
 * store.c
 *	  Which store a URL means, and what holds for every store.
 */
#include "stores/store.h"

#include <stdlib.h>
#include <string.h>

#include "stores/store_backends.h"

typedef struct Backend
{
	const char *prefix; /* of the URL */
	Store *(*open)(const char *name, const char *url, const Settings *settings, Failure *failure);
} Backend;

static const Backend backends[] = {
	{"file:", store_file_open},
	{"s3:", store_s3_open},
};

Store *
store_open(const char *name, const char *url, const Settings *settings, Failure *failure)
{
	for (size_t i = 0; i < sizeof(backends) / sizeof(backends[0]); i++)
	{
		if (strncmp(url, backends[i].prefix, strlen(backends[i].prefix)) == 0)
			return backends[i].open(name, url, settings, failure);
	}
	failure_set(failure, REASON_CONFIG,
				"the URL of store \"%s\" names no kind of store that is built in: it should begin with "
				"file:/// or s3://",
				name);
	return NULL;
}

bool
upload_write(Upload *upload, const void *bytes, size_t length, Failure *failure)
{
	const char *from = bytes;

	while (length > 0)
	{
		void  *room;
		size_t taken;

		if (!upload->room(upload, &room, &taken, failure))
			return false;
		if (taken > length)
			taken = length;
		memcpy(room, from, taken);
		if (!upload->filled(upload, taken, failure))
			return false;
		from += taken;
		length -= taken;
	}
	return true;
}

bool
object_has_length(const char *key, int64_t bytes, int64_t expected, Failure *failure)
{
	return expected < 0 || bytes == expected ||
		   failure_set(failure, REASON_INTEGRITY, "the object \"%s\" holds %lld bytes where %lld were stored",
					   key, (long long) bytes, (long long) expected);
}

void
object_stat_free(ObjectStat *stat)
{
	free(stat->version);
	free(stat->etag);
	free(stat->attempt_id);
	free(stat->encryption);
	*stat = (ObjectStat){0};
}
