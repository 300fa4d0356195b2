/*
 * mongodb_inspector.c
 *	  The proof that a mongodump archive is whole, and the counts of what is in it.
 */
#include "engines/mongodb.h"

#include <stdlib.h>

#include "engines/mongodb_archive.h"

typedef struct ArchiveInspector
{
	Inspector		inspector;
	MongodbArchive *archive;
} ArchiveInspector;

static bool
inspector_feed(Inspector *inspector, const void *bytes, size_t length, Failure *failure)
{
	return mongodb_archive_feed(((ArchiveInspector *) inspector)->archive, bytes, length, failure);
}

/* The prelude has the databases' collections in no order; -1: no memory. */
static int64_t
count_databases(const MongodbArchive *archive)
{
	json_t *names = json_object();
	int64_t count = -1;
	bool	good = names != NULL;

	for (size_t i = 0; good && i < mongodb_archive_count(archive); i++)
		good = json_object_set_new_nocheck(names, mongodb_archive_namespace(archive, i)->database,
										   json_true()) == 0;
	if (good)
		count = (int64_t) json_object_size(names);
	json_decref(names);
	return count;
}

static bool
inspector_finish(Inspector *inspector, json_t *counts, Failure *failure)
{
	const MongodbArchive *archive = ((ArchiveInspector *) inspector)->archive;
	int64_t				  kinds[] = {[MONGODB_COLLECTION] = 0, [MONGODB_VIEW] = 0, [MONGODB_TIMESERIES] = 0};
	int64_t				  databases;
	int64_t				  documents = 0;
	int64_t				  indexes = 0;

	if (!mongodb_archive_finish(((ArchiveInspector *) inspector)->archive, failure))
		return false;
	databases = count_databases(archive);
	for (size_t i = 0; i < mongodb_archive_count(archive); i++)
	{
		const MongodbNamespace *each = mongodb_archive_namespace(archive, i);

		kinds[each->kind]++;
		documents += each->documents;
		indexes += each->indexes;
	}
	if (databases < 0 || json_object_set_new(counts, "databases", json_integer(databases)) != 0 ||
		json_object_set_new(counts, "collections", json_integer(kinds[MONGODB_COLLECTION])) != 0 ||
		json_object_set_new(counts, "views", json_integer(kinds[MONGODB_VIEW])) != 0 ||
		json_object_set_new(counts, "time_series", json_integer(kinds[MONGODB_TIMESERIES])) != 0 ||
		json_object_set_new(counts, "documents", json_integer(documents)) != 0 ||
		json_object_set_new(counts, "indexes", json_integer(indexes)) != 0)
		return failure_no_memory(failure);
	return true;
}

static void
inspector_close(Inspector *inspector)
{
	mongodb_archive_close(((ArchiveInspector *) inspector)->archive);
	free(inspector);
}

Inspector *
mongodb_open_inspector(FailureReason when, Failure *failure)
{
	ArchiveInspector *inspector = calloc(1, sizeof(*inspector));

	if (inspector == NULL)
	{
		failure_no_memory(failure);
		return NULL;
	}
	inspector->inspector =
		(Inspector){.feed = inspector_feed, .finish = inspector_finish, .close = inspector_close};
	inspector->archive = mongodb_archive_open(when, failure);
	if (inspector->archive != NULL)
		return &inspector->inspector;
	free(inspector);
	return NULL;
}
