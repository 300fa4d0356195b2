/*
 * postgres_entry.h
 *	  Small questions about one entry of an archive's table of contents.
 */
#ifndef POSTGRES_ENTRY_H
#define POSTGRES_ENTRY_H

#include <stdbool.h>
#include <stddef.h>
#include <string.h>

#include "postgres_archive.h"

/* Texts of an archive may be NULL, which is as good as empty. */
static inline const char *
text_or_empty(const char *text)
{
	return text != NULL ? text : "";
}

static inline bool
same_text(const char *one, const char *other)
{
	return strcmp(text_or_empty(one), text_or_empty(other)) == 0;
}

/* Entries that are no objects of their own: they come and go with one, or carry its data. */
extern bool postgres_entry_is_attribute(const TocEntry *entry);

extern bool postgres_entry_is_public(const TocEntry *entry);

/* "table public.t", for people; returns buffer. */
extern const char *postgres_entry_text(const TocEntry *entry, char *buffer, size_t size);

#endif
