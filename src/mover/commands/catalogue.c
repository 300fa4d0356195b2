/*
 * catalogue.c
 *	  What lies in a store, told by its manifests.
 */
#include "catalogue.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cancel.h"
#include "catalogue_manifests.h"

#define MANIFEST_SUFFIX ".json"
#define OBJECT_SUFFIX	".dump.gz"
#define UUID_BYTES		36

typedef struct Listing
{
	Catalogue			  *catalogue;
	const CatalogueFilter *filter;
	ProgressBar			  *bar;
} Listing;

static CatalogueEntry *
add_entry(Catalogue *catalogue, const char *key, Failure *failure)
{
	CatalogueEntry *entry;

	if (catalogue->count == catalogue->capacity)
	{
		size_t			capacity = catalogue->capacity ? 2 * catalogue->capacity : 64;
		CatalogueEntry *entries = reallocarray(catalogue->entries, capacity, sizeof(*entries));

		if (!entries)
		{
			failure_no_memory(failure);
			return NULL;
		}
		catalogue->entries = entries;
		catalogue->capacity = capacity;
	}
	assert(catalogue->entries); /* there is capacity */
	entry = &catalogue->entries[catalogue->count];
	*entry = (CatalogueEntry){.key = strdup(key), .object_bytes = -1};
	if (!entry->key)
	{
		failure_no_memory(failure);
		return NULL;
	}
	catalogue->count++;
	return entry;
}

static bool
ends_with(const char *text, const char *suffix)
{
	size_t length = strlen(text);

	return length > strlen(suffix) && strcmp(text + length - strlen(suffix), suffix) == 0;
}

/* In most lists a manifest follows its object: 'x.dump.gz', 'x.json'. */
static bool
joins_last(const Catalogue *catalogue, const char *object_key)
{
	const CatalogueEntry *last = catalogue->count > 0 ? &catalogue->entries[catalogue->count - 1] : NULL;

	return last && !last->has_manifest && strcmp(last->key, object_key) == 0;
}

/* Each key becomes, or joins, an entry under the name of its object; pair_up() joins those that are left apart. */
static bool
take_key(void *context, const char *key, int64_t bytes, int64_t modified, Failure *failure)
{
	Listing		   *listing = context;
	Catalogue	   *catalogue = listing->catalogue;
	const char	   *id = listing->filter->id;
	const char	   *name = strchr(key, '/');
	bool			is_manifest = ends_with(key, MANIFEST_SUFFIX);
	char			object_key[OBJECT_KEY_SIZE + sizeof(OBJECT_SUFFIX)];
	CatalogueEntry *entry;

	if (cancel_requested())
		return cancel_failure(failure);
	if (!name || !object_key_is_safe(key) || (id && strncasecmp(name + 1, id, strlen(id)) != 0))
		return true;
	if (is_manifest)
		snprintf(object_key, sizeof(object_key), "%.*s" OBJECT_SUFFIX,
				 (int) (strlen(key) - strlen(MANIFEST_SUFFIX)), key);
	if (is_manifest && joins_last(catalogue, object_key))
		entry = &catalogue->entries[catalogue->count - 1];
	else
		entry = add_entry(catalogue, is_manifest ? object_key : key, failure);
	if (!entry)
		return false;
	if (is_manifest)
		entry->has_manifest = true;
	else
		entry->object_bytes = bytes;
	if (modified > entry->modified)
		entry->modified = modified;
	progress_bar_say(listing->bar, "listing backups: %zu", catalogue->count);
	return true;
}

static int
by_key(const void *left, const void *right)
{
	return strcmp(((const CatalogueEntry *) left)->key, ((const CatalogueEntry *) right)->key);
}

/*
 * Object and manifest of a backup become one entry, in whatever order the store named
 * them.  Drops what was written before the filter's time: it cannot have finished after it.
 */
static void
pair_up(Catalogue *catalogue, const CatalogueFilter *filter)
{
	CatalogueEntry *entries = catalogue->entries;
	size_t			count = 0;

	if (catalogue->count > 1)
		qsort(entries, catalogue->count, sizeof(CatalogueEntry), by_key);
	for (size_t next = 0; next < catalogue->count;)
	{
		CatalogueEntry pair = entries[next++];

		for (; next < catalogue->count && strcmp(pair.key, entries[next].key) == 0; next++)
		{
			pair.has_manifest |= entries[next].has_manifest;
			if (entries[next].object_bytes >= 0)
				pair.object_bytes = entries[next].object_bytes;
			if (entries[next].modified > pair.modified)
				pair.modified = entries[next].modified;
			catalogue_entry_free(&entries[next]);
		}
		if (pair.modified > 0 && pair.modified < filter->since - CATALOGUE_CLOCK_TOLERANCE)
			catalogue_entry_free(&pair);
		else
			entries[count++] = pair;
	}
	catalogue->count = count;
}

bool
catalogue_is_wanted(const CatalogueEntry *entry, const CatalogueFilter *filter)
{
	if (!entry->is_readable)
		return !entry->is_check;
	return (filter->since == 0 || entry->finished_at >= filter->since) &&
		   (filter->until == 0 || entry->finished_at <= filter->until);
}

static int
by_end(const void *left, const void *right)
{
	const CatalogueEntry *a = left;
	const CatalogueEntry *b = right;

	if (a->finished_at != b->finished_at)
		return a->finished_at < b->finished_at ? -1 : 1;
	return strcmp(a->key, b->key);
}

static void
keep_wanted(Catalogue *catalogue, const CatalogueFilter *filter)
{
	size_t kept = 0;

	for (size_t i = 0; i < catalogue->count; i++)
	{
		if (catalogue_is_wanted(&catalogue->entries[i], filter))
			catalogue->entries[kept++] = catalogue->entries[i];
		else
			catalogue_entry_free(&catalogue->entries[i]);
	}
	catalogue->count = kept;
}

bool
catalogue_load(Catalogue *catalogue, Store *store, const CatalogueFilter *filter, ProgressBar *bar,
			   Failure *failure)
{
	Listing listing = {.catalogue = catalogue, .filter = filter, .bar = bar};
	char	prefix[OBJECT_KEY_SIZE] = "";

	*catalogue = (Catalogue){0};
	if (filter->token)
		snprintf(prefix, sizeof(prefix), "%s/", filter->token);
	if (!store->list(store, prefix, take_key, &listing, failure))
		return false;
	pair_up(catalogue, filter);
	if (!catalogue_read_manifests(catalogue, store, filter, bar, failure))
		return false;
	progress_bar_clear(bar);
	keep_wanted(catalogue, filter);
	if (catalogue->count > 1)
		qsort(catalogue->entries, catalogue->count, sizeof(CatalogueEntry), by_end);
	return true;
}

void
catalogue_keep_latest(Catalogue *catalogue)
{
	CatalogueEntry latest = {0};

	while (catalogue->count > 0)
	{
		CatalogueEntry *entry = &catalogue->entries[--catalogue->count];

		if (!latest.key && !entry->problem)
			latest = *entry;
		else
			catalogue_entry_free(entry);
	}
	if (latest.key)
		catalogue->entries[catalogue->count++] = latest;
}

/* Of the backup, as the key tells it: a manifest may be unreadable. */
static const char *
id_of(const CatalogueEntry *entry)
{
	return strchr(entry->key, '/') + 1;
}

/* The one that is damaged may be the one that was meant: no other is taken in its place. */
static bool
means_one_backup(const Catalogue *catalogue, const char *id, Failure *failure)
{
	for (size_t i = 1; i < catalogue->count; i++)
		if (strncmp(id_of(&catalogue->entries[0]), id_of(&catalogue->entries[i]), UUID_BYTES) != 0)
			return failure_set(failure, REASON_CONFIG,
							   "\"%s\" begins the id of several backups: give more of it", id);
	return true;
}

const CatalogueEntry *
catalogue_only(const Catalogue *catalogue, const CatalogueFilter *filter, Failure *failure)
{
	const CatalogueEntry *found = NULL;

	if (filter->id && !means_one_backup(catalogue, filter->id, failure))
		return NULL;
	for (size_t i = 0; i < catalogue->count; i++)
		if (!catalogue->entries[i].problem)
			found = &catalogue->entries[i];
	if (!found && catalogue->count > 0)
		failure_set(failure, REASON_INTEGRITY, "%s is no good backup: %s",
					catalogue->entries[catalogue->count - 1].key,
					catalogue->entries[catalogue->count - 1].problem);
	else if (!found)
		failure_set(failure, REASON_CONFIG, "the store holds no such backup: see custbackup list");
	return found;
}

void
catalogue_entry_free(CatalogueEntry *entry)
{
	manifest_free(&entry->manifest);
	free(entry->key);
	free(entry->problem);
	free(entry->warning);
}

void
catalogue_free(Catalogue *catalogue)
{
	for (size_t i = 0; i < catalogue->count; i++)
		catalogue_entry_free(&catalogue->entries[i]);
	free(catalogue->entries);
	*catalogue = (Catalogue){0};
}
