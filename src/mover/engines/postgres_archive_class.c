/*
 * postgres_archive_class.c
 *	  The list of postgres_archive_class.h as tables.
 */
#include "engines/postgres_archive_class.h"

#include <stdlib.h>
#include <string.h>

typedef struct ClassFacts
{
	const char *desc;
	int			drop_locks;
	int			create_locks;
} ClassFacts;

/* What nobody knows is counted as an ordinary object. */
static const ClassFacts classes[] = {{"OTHER", 1, 1},
#define X(enumerator, desc, drop, create) {desc, drop, create},
									 TOC_CLASSES(X)
#undef X
};

static int
compare_desc(const void *desc, const void *facts)
{
	return strcmp(desc, ((const ClassFacts *) facts)->desc);
}

/* The list is in the order of its texts; a unit test sees to it. */
TocClass
toc_class_of(const char *desc)
{
	const ClassFacts *found = bsearch(desc, classes + 1, TOC_CLASS_COUNT - 1, sizeof *classes, compare_desc);

	return found ? (TocClass) (found - classes) : TOC_OTHER;
}

const char *
toc_class_desc(TocClass toc_class)
{
	return classes[toc_class].desc;
}

int
toc_class_drop_locks(TocClass toc_class)
{
	return classes[toc_class].drop_locks;
}

int
toc_class_create_locks(TocClass toc_class)
{
	return classes[toc_class].create_locks;
}
