/*
 * rdb_summary.c
 *	  Counting what a reader meets in an RDB file.
 */
#include "engines/rdb_summary.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "engines/redis_marker.h"

/* More are surely no file of a server's. */
#define MAX_DATABASES 65536

/*
 * Measured with Redis 7.0 and jemalloc, beyond the bytes themselves: 73 for a key with a string, 115 with an
 * expiry, 92 for a member of a large sorted set, 52 of a set, 26 for a hash's field and as much for its value.
 */
#define KEY_COST	40
#define STRING_COST 95

static bool
add_database(RdbSummary *summary, size_t at, uint64_t number, Failure *failure)
{
	RdbDatabase *databases;

	if (summary->database_count >= MAX_DATABASES)
		return failure_set(failure, REASON_NOT_RESTORABLE, "the RDB file names more than %d databases",
						   MAX_DATABASES);
	databases = realloc(summary->databases, (summary->database_count + 1) * sizeof(*databases));
	if (databases == NULL)
		return failure_no_memory(failure);
	summary->databases = databases;
	memmove(databases + at + 1, databases + at, (summary->database_count - at) * sizeof(*databases));
	databases[at] = (RdbDatabase){.number = number};
	summary->database_count++;
	return true;
}

/* Where it is, or where it belongs. */
static size_t
find_database(const RdbSummary *summary, uint64_t number)
{
	size_t low = 0;
	size_t high = summary->database_count;

	while (low < high)
	{
		size_t middle = (low + high) / 2;

		if (summary->databases[middle].number < number)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

uint64_t
rdb_entry_memory(const RdbEntry *entry)
{
	return entry->key_length + entry->unpacked_length + KEY_COST + entry->strings * STRING_COST;
}

static bool
count_entry(void *context, const RdbEntry *entry, Failure *failure)
{
	RdbSummary	*summary = context;
	size_t		 at = find_database(summary, entry->database);
	RdbDatabase *database;

	if ((at == summary->database_count || summary->databases[at].number != entry->database) &&
		!add_database(summary, at, entry->database, failure))
		return false;
	database = &summary->databases[at];
	/* Restored into the live database itself: a marker, not the customer's key. */
	if (redis_marker_is(REDIS_MARKER_UNFINISHED, entry->key, entry->key_length))
		return true;
	if (redis_marker_spare(entry->key, entry->key_length))
		database->leftover = true;
	database->keys++;
	if (entry->expires_at >= 0)
		database->expires++;
	if (entry->type == RDB_TYPE_MODULE)
		summary->module_values++;
	summary->memory += rdb_entry_memory(entry);
	summary->unpacked += entry->key_length + entry->unpacked_length;
	if (entry->payload_length > summary->largest_payload)
		summary->largest_payload = entry->payload_length;
	if (entry->key_length > summary->largest_key)
		summary->largest_key = entry->key_length;
	return true;
}

static bool
note_aux(void *context, const char *name, const char *value, Failure *failure)
{
	RdbSummary *summary = context;

	(void) failure;
	if (strcmp(name, "used-mem") == 0)
		summary->used_memory = strtoull(value, NULL, 10);
	else if (strcmp(name, "redis-ver") == 0 || strcmp(name, "valkey-ver") == 0)
	{
		summary->valkey = name[0] == 'v';
		snprintf(summary->server_version, sizeof(summary->server_version), "%s", value);
	}
	return true;
}

static bool
count_function(void *context, const unsigned char *bytes, size_t length, Failure *failure)
{
	RdbSummary *summary = context;

	summary->functions++;
	return summary->libraries == NULL || bytes_append(summary->libraries, bytes, length, failure);
}

static bool
count_module_aux(void *context, Failure *failure)
{
	(void) failure;
	((RdbSummary *) context)->module_aux++;
	return true;
}

const RdbHandler rdb_summary_handler = {
	.entry = count_entry,
	.aux = note_aux,
	.function = count_function,
	.module_aux = count_module_aux,
};

void
rdb_summary_free(RdbSummary *summary)
{
	free(summary->databases);
	*summary = (RdbSummary){0};
}

uint64_t
rdb_summary_keys(const RdbSummary *summary)
{
	uint64_t keys = 0;

	for (size_t i = 0; i < summary->database_count; i++)
		if (!summary->databases[i].leftover)
			keys += summary->databases[i].keys;
	return keys;
}

size_t
rdb_summary_databases(const RdbSummary *summary)
{
	size_t count = 0;

	for (size_t i = 0; i < summary->database_count; i++)
		if (!summary->databases[i].leftover && summary->databases[i].keys > 0)
			count++;
	return count;
}

bool
rdb_summary_counts(const RdbSummary *summary, json_t *counts, Failure *failure)
{
	uint64_t expires = 0;
	bool	 stored;

	for (size_t i = 0; i < summary->database_count; i++)
		if (!summary->databases[i].leftover)
			expires += summary->databases[i].expires;
	stored = json_object_set_new(counts, "keys", json_integer((json_int_t) rdb_summary_keys(summary))) == 0 &&
			 json_object_set_new(counts, "expires", json_integer((json_int_t) expires)) == 0 &&
			 json_object_set_new(counts, "databases",
								 json_integer((json_int_t) rdb_summary_databases(summary))) == 0 &&
			 json_object_set_new(counts, "functions", json_integer((json_int_t) summary->functions)) == 0 &&
			 json_object_set_new(counts, "rdb_version", json_integer(summary->version)) == 0;
	if (stored && summary->module_aux > 0)
		stored =
			json_object_set_new(counts, "module_aux", json_integer((json_int_t) summary->module_aux)) == 0;
	if (stored && summary->module_values > 0)
		stored = json_object_set_new(counts, "module_values",
									 json_integer((json_int_t) summary->module_values)) == 0;
	return stored || failure_no_memory(failure);
}
