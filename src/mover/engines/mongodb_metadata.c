/*
 * mongodb_metadata.c
 *	  Reading the documents that mongodump writes beside the customer's.
 */
#include "engines/mongodb_metadata.h"

#include <stdlib.h>
#include <string.h>

#include <jansson.h>

/* A name that C can hold; NULL: none. */
static const char *
name_of(const bson_iter_t *field)
{
	uint32_t	length;
	const char *name;

	if (!BSON_ITER_HOLDS_UTF8(field))
		return NULL;
	name = bson_iter_utf8(field, &length);
	return strlen(name) == length ? name : NULL;
}

/* {"options": {..}, "indexes": [..], "type": ..} in extended JSON; what a view has of it depends on the release. */
static const char *
read_json(MongodbMetadata *metadata, const char *text, uint32_t length)
{
	json_t	   *root = json_loadb(text, length, JSON_ALLOW_NUL, NULL);
	json_t	   *options;
	const char *problem = NULL;

	if (!json_is_object(root))
		problem = "the options and indexes of a collection are no JSON";
	else
	{
		options = json_object_get(root, "options");
		metadata->indexes = (int64_t) json_array_size(json_object_get(root, "indexes"));
		if (json_object_get(options, "viewOn") != NULL)
			metadata->kind = MONGODB_VIEW;
		if (json_object_get(options, "timeseries") != NULL)
			metadata->kind = MONGODB_TIMESERIES;
		metadata->validated = json_object_get(options, "validator") != NULL;
	}
	json_decref(root);
	return problem;
}

static const char *
read_field(MongodbMetadata *metadata, const bson_iter_t *field)
{
	const char *key = bson_iter_key(field);
	const char *name;
	uint32_t	length;

	if (strcmp(key, "db") == 0 || strcmp(key, "collection") == 0)
	{
		char **target = *key == 'd' ? &metadata->database : &metadata->collection;

		name = name_of(field);
		if (name == NULL || *target != NULL)
			return "a collection's name is none";
		*target = strdup(name);
		return *target == NULL ? "a collection's name found no memory" : NULL;
	}
	if (strcmp(key, "metadata") == 0 && BSON_ITER_HOLDS_UTF8(field))
	{
		const char *text = bson_iter_utf8(field, &length);

		return length > 0 ? read_json(metadata, text, length) : NULL;
	}
	if (strcmp(key, "type") == 0 && (name = name_of(field)) != NULL)
	{
		if (strcmp(name, "view") == 0)
			metadata->kind = MONGODB_VIEW;
		else if (strcmp(name, "timeseries") == 0)
			metadata->kind = MONGODB_TIMESERIES;
		return NULL;
	}
	/* "size" is always 0; what later releases add does not change what a collection is. */
	return NULL;
}

const char *
mongodb_metadata_read(MongodbMetadata *metadata, const bson_t *document)
{
	const char *problem = NULL;
	bson_iter_t field;

	if (!bson_iter_init(&field, document))
		return "a document is no BSON";
	while (problem == NULL && bson_iter_next(&field))
		problem = read_field(metadata, &field);
	if (problem == NULL &&
		(metadata->database == NULL || metadata->collection == NULL || metadata->collection[0] == '\0'))
		problem = "a collection has no name";
	return problem;
}

void
mongodb_metadata_free(MongodbMetadata *metadata)
{
	free(metadata->database);
	free(metadata->collection);
	*metadata = (MongodbMetadata){0};
}

bool
mongodb_block_header_read(MongodbBlockHeader *header, const bson_t *document)
{
	bson_iter_t field;
	bool		has_eof = false;
	bool		has_crc = false;

	*header = (MongodbBlockHeader){0};
	if (!bson_iter_init(&field, document))
		return false;
	while (bson_iter_next(&field))
	{
		const char *key = bson_iter_key(&field);

		if (strcmp(key, "db") == 0)
			header->database = name_of(&field);
		else if (strcmp(key, "collection") == 0)
			header->collection = name_of(&field);
		else if (strcmp(key, "EOF") == 0 && BSON_ITER_HOLDS_BOOL(&field))
		{
			header->eof = bson_iter_bool(&field);
			has_eof = true;
		}
		else if (strcmp(key, "CRC") == 0 && BSON_ITER_HOLDS_INT64(&field))
		{
			header->crc = (uint64_t) bson_iter_int64(&field);
			has_crc = true;
		}
		else
			return false;
	}
	return header->database != NULL && header->collection != NULL && has_eof && has_crc;
}
