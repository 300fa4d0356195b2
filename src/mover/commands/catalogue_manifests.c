/*
 * catalogue_manifests.c
 *	  What the manifests of a listing say.
 */
#include "catalogue_manifests.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cancel.h"
#include "text.h"

/* So many manifests that the store does not give, and none that it does: it gives none at all. */
#define REFUSALS_IN_A_ROW 5

/* Of a token's backups, when only the newest good one is wanted. */
#define LATEST_AT_ONCE 16

typedef struct Reading
{
	Catalogue			  *catalogue;
	const CatalogueFilter *filter;
	ProgressBar			  *bar;
	size_t				  *wanted; /* indices of the entries that are asked for */
	size_t				   count;
	size_t				   read;
	size_t				   given;	/* manifests that the store gave */
	size_t				   refused; /* that are there, and that it did not give */
	int64_t				   newest;	/* end of a good backup; 0: none yet */
} Reading;

/* A problem or a warning: one line. */
static bool __attribute__((format(printf, 3, 4)))
set_text(char **text, Failure *failure, const char *format, ...)
{
	va_list args;
	int		length;

	va_start(args, format);
	length = vasprintf(text, format, args);
	va_end(args);
	if (length < 0)
	{
		*text = NULL;
		return failure_no_memory(failure);
	}
	text_make_line(*text);
	return true;
}

/* Its manifest is one that the store refuses to give: its own trouble, or everybody's? */
static bool
is_alone(Reading *reading, const Failure *refusal)
{
	return refusal->reason == REASON_STORE && (++reading->refused < REFUSALS_IN_A_ROW || reading->given > 0);
}

/*
 * What lies there now is not what was stored.  Where the store keeps versions, its own may
 * still be there; or a marker hides all of them.
 */
static bool
look_behind(Store *store, const CatalogueEntry *entry, bool *is_there, bool *is_hidden, Failure *failure)
{
	const Manifest *manifest = &entry->manifest;
	ObjectStat		stat = {0};
	Failure			refusal = {0};
	StoreAnswer		found;

	*is_there = *is_hidden = false;
	if (!manifest->version_id && entry->object_bytes >= 0)
		return true;
	found = store->head(store, entry->key, manifest->version_id, &stat, &refusal);
	*is_there = found == STORE_FOUND && manifest->version_id && stat.bytes == manifest->stored_bytes;
	*is_hidden = found == STORE_MISSING && stat.is_hidden;
	object_stat_free(&stat);
	/* A missing right says nothing about the object. */
	return found != STORE_FAILED || refusal.reason == REASON_STORE ||
		   failure_set(failure, refusal.reason, "%s", refusal.detail);
}

static bool
explain_mismatch(Store *store, CatalogueEntry *entry, Failure *failure)
{
	bool is_there;
	bool is_hidden;

	if (!look_behind(store, entry, &is_there, &is_hidden, failure))
		return false;
	if (is_there)
		return set_text(
			&entry->warning, failure,
			"somebody has %s it since; its own version %s is still there, and is what is verified, "
			"fetched and restored",
			entry->object_bytes < 0 ? "deleted" : "overwritten", entry->manifest.version_id);
	if (is_hidden)
		return set_text(
			&entry->problem, failure,
			"there is a manifest, but somebody has deleted the object; the bucket keeps versions: "
			"removing the delete marker that lies over it brings it back");
	if (entry->object_bytes < 0)
		return set_text(&entry->problem, failure, "there is a manifest, but no object");
	return set_text(&entry->problem, failure, "the object holds %lld bytes where %lld were stored",
					(long long) entry->object_bytes, (long long) entry->manifest.stored_bytes);
}

/* The manifest is whole; is the object beside it what it says? */
static bool
judge(Reading *reading, Store *store, CatalogueEntry *entry, Failure *failure)
{
	if (!catalogue_parse_utc(entry->manifest.finished_at, CATALOGUE_TIME_FORMAT, &entry->finished_at))
		return set_text(&entry->problem, failure, "the manifest's \"finished_at\" is no time");
	if (entry->object_bytes != entry->manifest.stored_bytes && !explain_mismatch(store, entry, failure))
		return false;
	if (!entry->problem && entry->finished_at > reading->newest &&
		catalogue_is_wanted(entry, reading->filter))
		reading->newest = entry->finished_at;
	return true;
}

static bool
name_manifest(void *context, size_t index, char key[OBJECT_KEY_SIZE], Failure *failure)
{
	const Reading *reading = context;

	return object_manifest_key_of_job(reading->catalogue->entries[reading->wanted[index]].key, key, failure);
}

/* False only when the store cannot be read at all. */
static bool
take_manifest(void *context, size_t index, StoreAnswer answer, const char *text, size_t length,
			  const Failure *refusal, Failure *failure)
{
	Reading		   *reading = context;
	CatalogueEntry *entry = &reading->catalogue->entries[reading->wanted[index]];
	Failure			problem = *refusal;

	if (answer == STORE_FAILED && problem.reason != REASON_INTEGRITY && !is_alone(reading, &problem))
		return failure_set(failure, problem.reason, "%s", problem.detail);
	progress_bar_say(reading->bar, "reading manifests: %zu of %zu", ++reading->read, reading->count);
	reading->given += answer == STORE_FOUND;
	entry->is_check = answer == STORE_FOUND && strcmp(text, CATALOGUE_CHECK_MARK) == 0;
	if (entry->is_check)
		return true;
	if (answer == STORE_MISSING)
		failure_set(&problem, REASON_INTEGRITY, "the manifest went away while the store was listed");
	entry->is_readable =
		answer == STORE_FOUND && manifest_parse(&entry->manifest, entry->key, text, length, &problem);
	if (!reading->filter->details)
		manifest_drop_details(&entry->manifest);
	return entry->is_readable || set_text(&entry->problem, failure, "%s", problem.detail);
}

/* Reads the manifests of [first, end). */
static bool
read_run(Reading *reading, Store *store, size_t first, size_t end, Failure *failure)
{
	SmallReads reads = {
		.max = MANIFEST_MAX_BYTES, .context = reading, .name = name_manifest, .take = take_manifest};

	for (size_t i = first; i < end; i++)
	{
		CatalogueEntry *entry = &reading->catalogue->entries[i];

		if (entry->has_manifest)
			reading->wanted[reads.count++] = i;
		else if (!set_text(&entry->problem, failure,
						   "there is an object, but no manifest: its backup did not finish, or is under way"))
			return false;
	}
	if (!store->read_many(store, &reads, failure))
		return false;
	for (size_t i = first; i < end; i++)
	{
		CatalogueEntry *entry = &reading->catalogue->entries[i];

		if (cancel_requested())
			return cancel_failure(failure);
		if (entry->is_readable && !judge(reading, store, entry, failure))
			return false;
	}
	return true;
}

/* What the store tells no time of may be anything, and comes first. */
static int
by_age(const void *left, const void *right)
{
	const CatalogueEntry *a = left;
	const CatalogueEntry *b = right;

	if (a->modified == b->modified)
		return 0;
	return a->modified == 0 || (b->modified != 0 && a->modified > b->modified) ? -1 : 1;
}

static bool
is_older(const CatalogueEntry *entry, int64_t newest)
{
	return newest > 0 && entry->modified > 0 && entry->modified < newest - CATALOGUE_CLOCK_TOLERANCE;
}

static bool
read_newest(Reading *reading, Store *store, Failure *failure)
{
	Catalogue *catalogue = reading->catalogue;
	size_t	   end = 0;

	qsort(catalogue->entries, catalogue->count, sizeof(CatalogueEntry), by_age);
	while (end < catalogue->count && !is_older(&catalogue->entries[end], reading->newest))
	{
		size_t first = end;

		while (end < catalogue->count && end - first < LATEST_AT_ONCE)
			end++;
		if (!read_run(reading, store, first, end, failure))
			return false;
	}
	while (catalogue->count > end)
		catalogue_entry_free(&catalogue->entries[--catalogue->count]);
	return true;
}

/* A store that gave none of the manifests that were asked for. */
static bool
gave_something(const Reading *reading, Failure *failure)
{
	const Catalogue *catalogue = reading->catalogue;

	for (size_t i = 0; reading->refused > 0 && reading->given == 0 && i < catalogue->count; i++)
		if (catalogue->entries[i].has_manifest)
			return failure_set(failure, REASON_STORE, "%s", catalogue->entries[i].problem);
	return true;
}

bool
catalogue_read_manifests(Catalogue *catalogue, Store *store, const CatalogueFilter *filter, ProgressBar *bar,
						 Failure *failure)
{
	Reading reading = {.catalogue = catalogue, .filter = filter, .bar = bar, .count = catalogue->count};
	bool	good;

	if (catalogue->count == 0)
		return true;
	reading.wanted = calloc(catalogue->count, sizeof(*reading.wanted));
	if (!reading.wanted)
		return failure_no_memory(failure);
	good = filter->latest ? read_newest(&reading, store, failure)
						  : read_run(&reading, store, 0, catalogue->count, failure);
	free(reading.wanted);
	return good && gave_something(&reading, failure);
}
