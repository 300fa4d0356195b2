/*
 * postgres_entry.c
 *	  Small questions about one entry of an archive's table of contents.
 */
#include "postgres_entry.h"

#include <stdio.h>

bool
postgres_entry_is_attribute(const TocEntry *entry)
{
	switch (entry->class)
	{
		case TOC_ACL:
		case TOC_DEFAULT_ACL:
		case TOC_COMMENT:
		case TOC_SECURITY_LABEL:
		case TOC_ENCODING:
		case TOC_STDSTRINGS:
		case TOC_SEARCHPATH:
		case TOC_DATABASE:
		case TOC_DATABASE_PROPERTIES:
		case TOC_TABLE_DATA:
		case TOC_SEQUENCE_SET:
		case TOC_BLOBS:
		case TOC_STATISTICS_DATA:
		case TOC_MATERIALIZED_VIEW_DATA:
			return true;
		default:
			return false;
	}
}

bool
postgres_entry_is_public(const TocEntry *entry)
{
	return entry->class == TOC_SCHEMA && same_text(entry->tag, "public");
}

const char *
postgres_entry_text(const TocEntry *entry, char *buffer, size_t size)
{
	bool in_schema = text_or_empty(entry->namespace)[0] != '\0';

	snprintf(buffer, size, "%s %s%s%s", entry->desc, text_or_empty(entry->namespace), in_schema ? "." : "",
			 text_or_empty(entry->tag));
	for (char *at = buffer; *at != '\0' && at < buffer + strlen(entry->desc); at++)
		*at = (char) (*at >= 'A' && *at <= 'Z' ? *at + 32 : *at);
	return buffer;
}
