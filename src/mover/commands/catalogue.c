/*
 * catalogue.c
 *	  What lies in a store, told by its manifests.
 */
#include "catalogue.h"

#include <stdarg.h>
#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "cancel.h"
#include "text.h"

#define MANIFEST_SUFFIX ".json"
#define OBJECT_SUFFIX	".dump.gz"

/* So many manifests that the store does not give, and none that it does: it gives none at all. */
#define REFUSALS_IN_A_ROW 5

/* A manifest is written after its backup's end; this much may the store's clock be behind ours. */
#define CLOCK_TOLERANCE (24 * 60 * 60)

typedef struct Listing
{
	Catalogue			  *catalogue;
	const CatalogueFilter *filter;
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

/* The first problem of an entry is the one that is told. */
static bool __attribute__((format(printf, 3, 4)))
set_problem(CatalogueEntry *entry, Failure *failure, const char *format, ...)
{
	va_list args;
	int		length;

	va_start(args, format);
	length = vasprintf(&entry->problem, format, args);
	va_end(args);
	if (length < 0)
	{
		entry->problem = NULL;
		return failure_no_memory(failure);
	}
	text_make_line(entry->problem);
	return true;
}

static bool
ends_with(const char *text, const char *suffix)
{
	size_t length = strlen(text);

	return length > strlen(suffix) && strcmp(text + length - strlen(suffix), suffix) == 0;
}

/* Object and manifest of a backup follow each other in a listing: 'x.dump.gz', 'x.json'. */
static bool
is_object_of(const CatalogueEntry *entry, const char *manifest_key)
{
	char expected[OBJECT_KEY_SIZE];

	return object_manifest_key(entry->key, expected, sizeof(expected)) && strcmp(expected, manifest_key) == 0;
}

static bool
take_key(void *context, const char *key, int64_t bytes, int64_t modified, Failure *failure)
{
	Listing				  *listing = context;
	Catalogue			  *catalogue = listing->catalogue;
	const CatalogueFilter *filter = listing->filter;
	const char			  *name = strchr(key, '/');
	CatalogueEntry		  *last = catalogue->count > 0 ? &catalogue->entries[catalogue->count - 1] : NULL;
	char				   object_key[OBJECT_KEY_SIZE + sizeof(OBJECT_SUFFIX)];

	if (cancel_requested())
		return cancel_failure(failure);
	if (!name || !object_key_is_safe(key) ||
		(filter->id && strncasecmp(name + 1, filter->id, strlen(filter->id)) != 0) ||
		(filter->since > 0 && modified > 0 && modified < filter->since - CLOCK_TOLERANCE))
		return true;
	if (!ends_with(key, MANIFEST_SUFFIX))
	{
		last = add_entry(catalogue, key, failure);
		if (last)
			last->object_bytes = bytes;
		return last != NULL;
	}
	if (!last || !is_object_of(last, key))
	{
		snprintf(object_key, sizeof(object_key), "%.*s" OBJECT_SUFFIX,
				 (int) (strlen(key) - strlen(MANIFEST_SUFFIX)), key);
		last = add_entry(catalogue, object_key, failure);
	}
	if (last)
		last->has_manifest = true;
	return last != NULL;
}

static bool
parse_utc(const char *text, const char *format, int64_t *seconds)
{
	struct tm	parts = {.tm_mday = 1};
	struct tm	real;
	const char *end = strptime(text, format, &parts);

	if (!end || *end != '\0')
		return false;
	/* The 31st of February would be the 3rd of March. */
	real = parts;
	*seconds = timegm(&real);
	return real.tm_mday == parts.tm_mday;
}

static bool
parse_age(const char *text, int64_t *seconds)
{
	char *end;
	long  number = strtol(text, &end, 10);
	long  unit = *end == 'm' ? 60 : *end == 'h' ? 3600 : *end == 'd' ? 86400 : 0;

	if (end == text || unit == 0 || end[1] != '\0' || number < 0 || number > 1000000)
		return false;
	*seconds = time(NULL) - (int64_t) number * unit;
	return true;
}

bool
catalogue_parse_time(const char *text, int64_t *seconds, Failure *failure)
{
	static const char *const formats[] = {"%Y-%m-%d",		   "%Y-%m-%dT%H:%M",	"%Y-%m-%d %H:%M",
										  "%Y-%m-%dT%H:%M:%S", "%Y-%m-%d %H:%M:%S", "%Y-%m-%dT%H:%M:%SZ"};

	if (parse_age(text, seconds))
		return true;
	for (size_t i = 0; i < sizeof(formats) / sizeof(formats[0]); i++)
	{
		if (parse_utc(text, formats[i], seconds))
			return true;
	}
	return failure_set(
		failure, REASON_CONFIG,
		"\"%s\" is no time: write 2026-11-23, 2026-11-23T14:00 (UTC), or an age such as 36h or 7d", text);
}

/* Its manifest is one that the store refuses to give: its own trouble, or everybody's? */
static bool
is_alone(Catalogue *catalogue, const Failure *refusal)
{
	return refusal->reason == REASON_STORE &&
		   (++catalogue->refused < REFUSALS_IN_A_ROW || catalogue->read > 0);
}

/* False only when the store cannot be read at all. */
static bool
load_manifest(Catalogue *catalogue, CatalogueEntry *entry, Store *store, Failure *failure)
{
	char		manifest_key[OBJECT_KEY_SIZE];
	char	   *text = NULL;
	size_t		length = 0;
	Failure		problem = {0};
	StoreAnswer answer;

	if (!object_manifest_key(entry->key, manifest_key, sizeof(manifest_key)))
		return failure_set(failure, REASON_INTERNAL, "\"%s\" is no key of a backup", entry->key);
	answer = store->read_small(store, manifest_key, MANIFEST_MAX_BYTES, &text, &length, &problem);
	if (answer == STORE_FAILED && problem.reason != REASON_INTEGRITY && !is_alone(catalogue, &problem))
		return failure_set(failure, problem.reason, "%s", problem.detail);
	catalogue->read += answer == STORE_FOUND;
	if (answer == STORE_MISSING)
		failure_set(&problem, REASON_INTEGRITY, "the manifest went away while the store was listed");
	entry->is_readable =
		answer == STORE_FOUND && manifest_parse(&entry->manifest, entry->key, text, length, &problem);
	free(text);
	if (!entry->is_readable)
		return set_problem(entry, failure, "%s", problem.detail);
	if (!parse_utc(entry->manifest.finished_at, "%Y-%m-%dT%H:%M:%SZ", &entry->finished_at))
		return set_problem(entry, failure, "the manifest's \"finished_at\" is no time");
	if (entry->object_bytes < 0)
		return set_problem(entry, failure, "there is a manifest, but no object");
	if (entry->object_bytes != entry->manifest.stored_bytes)
		return set_problem(entry, failure, "the object holds %lld bytes where %lld were stored",
						   (long long) entry->object_bytes, (long long) entry->manifest.stored_bytes);
	return true;
}

static bool
is_wanted(const CatalogueEntry *entry, const CatalogueFilter *filter)
{
	if (!entry->is_readable)
		return true;
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
free_entry(CatalogueEntry *entry)
{
	manifest_free(&entry->manifest);
	free(entry->key);
	free(entry->problem);
}

/* A store that gave none of the manifests that were asked for. */
static bool
gave_something(const Catalogue *catalogue, Failure *failure)
{
	for (size_t i = 0; catalogue->refused > 0 && catalogue->read == 0 && i < catalogue->count; i++)
		if (catalogue->entries[i].has_manifest)
			return failure_set(failure, REASON_STORE, "%s", catalogue->entries[i].problem);
	return true;
}

static bool
load_manifests(Catalogue *catalogue, Store *store, ProgressBar *bar, Failure *failure)
{
	for (size_t i = 0; i < catalogue->count; i++)
	{
		CatalogueEntry *entry = &catalogue->entries[i];

		if (cancel_requested())
			return cancel_failure(failure);
		if (entry->has_manifest
				? !load_manifest(catalogue, entry, store, failure)
				: !set_problem(
					  entry, failure,
					  "there is an object, but no manifest: its backup did not finish, or is under way"))
			return false;
		progress_bar_say(bar, "reading manifests: %zu of %zu", i + 1, catalogue->count);
	}
	return gave_something(catalogue, failure);
}

static void
keep_wanted(Catalogue *catalogue, const CatalogueFilter *filter)
{
	size_t kept = 0;

	for (size_t i = 0; i < catalogue->count; i++)
	{
		if (is_wanted(&catalogue->entries[i], filter))
			catalogue->entries[kept++] = catalogue->entries[i];
		else
			free_entry(&catalogue->entries[i]);
	}
	catalogue->count = kept;
}

bool
catalogue_load(Catalogue *catalogue, Store *store, const CatalogueFilter *filter, ProgressBar *bar,
			   Failure *failure)
{
	Listing listing = {.catalogue = catalogue, .filter = filter};
	char	prefix[OBJECT_KEY_SIZE] = "";

	*catalogue = (Catalogue){0};
	if (filter->token)
		snprintf(prefix, sizeof(prefix), "%s/", filter->token);
	if (!store->list(store, prefix, take_key, &listing, failure) ||
		!load_manifests(catalogue, store, bar, failure))
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
			free_entry(entry);
	}
	if (latest.key)
		catalogue->entries[catalogue->count++] = latest;
}

const CatalogueEntry *
catalogue_only(const Catalogue *catalogue, const CatalogueFilter *filter, Failure *failure)
{
	const CatalogueEntry *found = NULL;

	for (size_t i = 0; i < catalogue->count; i++)
	{
		const CatalogueEntry *entry = &catalogue->entries[i];

		if (entry->problem)
			continue;
		if (found && filter->id && strcmp(found->manifest.backup_id, entry->manifest.backup_id) != 0)
		{
			failure_set(failure, REASON_CONFIG, "\"%s\" begins the id of several backups: give more of it",
						filter->id);
			return NULL;
		}
		found = entry;
	}
	if (!found && catalogue->count > 0)
		failure_set(failure, REASON_INTEGRITY, "%s is no good backup: %s",
					catalogue->entries[catalogue->count - 1].key,
					catalogue->entries[catalogue->count - 1].problem);
	else if (!found)
		failure_set(failure, REASON_CONFIG, "the store holds no such backup: see custbackup list");
	return found;
}

void
catalogue_free(Catalogue *catalogue)
{
	for (size_t i = 0; i < catalogue->count; i++)
		free_entry(&catalogue->entries[i]);
	free(catalogue->entries);
	*catalogue = (Catalogue){0};
}
