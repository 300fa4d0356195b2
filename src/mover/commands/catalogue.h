/*
 * catalogue.h
 *	  What lies in a store, told by its manifests: what the operator's commands work
 *	  from when there is no control database.
 *
 * A manifest may have been written by anybody who may write to the bucket:
 * manifest.c judges it, and what is shown of it on a terminal is one clean line.
 */
#ifndef CATALOGUE_H
#define CATALOGUE_H

#include <stdbool.h>
#include <stdint.h>

#include "failure.h"
#include "human.h"
#include "manifest.h"
#include "object_key.h"
#include "stores/store.h"

/* Unset fields (NULL, 0) let everything pass. */
typedef struct CatalogueFilter
{
	const char *token;
	const char *id;	   /* beginning of a backup's id, at least CATALOGUE_ID_MIN digits of it */
	int64_t		since; /* seconds since 1970, by finished_at */
	int64_t		until;
	bool		details; /* counts and notes of the manifests are kept, too */
	bool		latest;	 /* only the newest good one is wanted, and what is wrong with newer ones */
} CatalogueFilter;

#define CATALOGUE_ID_MIN 8

/* What check-store writes under a manifest's name: where it could not remove it, it counts for nothing. */
#define CATALOGUE_CHECK_MARK "custbackup check-store wrote this and removes it at once\n"

typedef struct CatalogueEntry
{
	char	*key;		   /* of the object */
	int64_t	 object_bytes; /* as listed; -1: there is no object */
	int64_t	 modified;	   /* when the later of the two was written, by the store's clock; 0: unknown */
	bool	 has_manifest;
	bool	 is_check;	  /* the mark of a check-store */
	bool	 is_readable; /* the manifest is whole: manifest and finished_at are set */
	Manifest manifest;
	int64_t	 finished_at;
	char	*problem; /* why it is no good backup; NULL: it is one */
	char	*warning; /* what was done to a good one; NULL: nothing */
} CatalogueEntry;

typedef struct Catalogue
{
	CatalogueEntry *entries; /* in order of their end, oldest first; what is not readable comes first */
	size_t			count;
	size_t			capacity;
} Catalogue;

/*
 * False: the store could not be read.  Single objects that make no sense, or that the
 * store refuses to give, are entries with a problem.
 */
extern bool catalogue_load(Catalogue *catalogue, Store *store, const CatalogueFilter *filter,
						   ProgressBar *bar, Failure *failure);

/* Did it finish in the filter's time?  Of what is not readable nobody knows. */
extern bool catalogue_is_wanted(const CatalogueEntry *entry, const CatalogueFilter *filter);

/* Drops all but the newest good backup. */
extern void catalogue_keep_latest(Catalogue *catalogue);

/* The one backup that the filter's id means, or the only one that is left; NULL: failure. */
extern const CatalogueEntry *catalogue_only(const Catalogue *catalogue, const CatalogueFilter *filter,
											Failure *failure);
extern void					 catalogue_entry_free(CatalogueEntry *entry);
extern void					 catalogue_free(Catalogue *catalogue);

/*
 * A time on the command line: '2026-11-23', '2026-11-23 14:00' (also with 'T' and with
 * seconds; UTC unless an offset such as '+01:00' follows), or an age: '36h', '7d', '30m'.
 */
extern bool catalogue_parse_time(const char *text, int64_t *seconds, Failure *failure);

/* The whole text, by strptime()'s format; a day that its month has not is none. */
#define CATALOGUE_TIME_FORMAT "%Y-%m-%dT%H:%M:%SZ"
extern bool catalogue_parse_utc(const char *text, const char *format, int64_t *seconds);

#endif
