/*
 * catalogue_manifests.h
 *	  What the manifests of a listing say: read several at a time, and judged against the objects beside them.
 */
#ifndef CATALOGUE_MANIFESTS_H
#define CATALOGUE_MANIFESTS_H

#include "catalogue.h"

/* A manifest is written after its backup's end; this much may the store's clock be behind ours. */
#define CATALOGUE_CLOCK_TOLERANCE (24 * 60 * 60)

/*
 * Fills the entries.  With filter->latest those that were written last come first, and
 * what cannot be newer than a good one is dropped unread.
 */
extern bool catalogue_read_manifests(Catalogue *catalogue, Store *store, const CatalogueFilter *filter,
									 ProgressBar *bar, Failure *failure);

#endif
