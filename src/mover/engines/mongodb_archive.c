/*
 * mongodb_archive.c
 *	  Reading an archive of mongodump as it flows: the prelude, then blocks of documents.
 */
#include "engines/mongodb_archive.h"

#include <search.h>
#include <stdlib.h>
#include <string.h>

#include <bson/bson.h>
#include <endian.h>

#include "engines/bytes.h"
#include "engines/crc64.h"
#include "engines/mongodb_metadata.h"

#define MAGIC		  0x8199e26dU
#define TERMINATOR	  0xffffffffU
#define DOCUMENT_MIN  5 /* a length and a final zero */
#define BUFFER_KEEP	  (64 * 1024)
#define MAX_LOCATION  400
#define NAME_IN_WORDS 120

/* What the next four bytes are, or what the bytes belong to that are passing. */
typedef enum State
{
	AT_MAGIC,
	AT_HEADER,		   /* the prelude's first document */
	AT_METADATA,	   /* one of its others, or its end */
	AT_BLOCK,		   /* a block's header, or the end of the archive */
	AT_BODY,		   /* a document of the open block, or the block's end */
	AT_TERMINATOR,	   /* of a block with EOF */
	IN_SMALL_DOCUMENT, /* held until it is whole: prelude and headers */
	IN_LARGE_DOCUMENT, /* a customer's: passes */
} State;

struct MongodbArchive
{
	FailureReason	   when;
	State			   state;
	State			   document_state; /* IN_SMALL_DOCUMENT: what the document is */
	unsigned char	   word[4];		   /* a length, terminator or magic that came in pieces */
	size_t			   word_length;
	Bytes			   document;
	size_t			   left; /* bytes of the document that are still to come */
	int64_t			   offset;
	bool			   prelude_is_read;
	MongodbNamespace **namespaces;
	size_t			   count;
	size_t			   capacity;
	void			  *by_name; /* tsearch's tree over what namespaces holds */
	MongodbNamespace  *current; /* whose block is open */
};

static bool broken(const MongodbArchive *archive, Failure *failure, const char *format, ...)
	__attribute__((format(printf, 3, 4)));

static bool
broken(const MongodbArchive *archive, Failure *failure, const char *format, ...)
{
	char	what[MAX_LOCATION];
	va_list args;

	va_start(args, format);
	vsnprintf(what, sizeof(what), format, args);
	va_end(args);
	return failure_set(failure, archive->when, "the mongodump archive is broken near byte %lld: %s",
					   (long long) archive->offset, what);
}

/* ---- names ---- */

static int
compare_names(const void *a, const void *b)
{
	const MongodbNamespace *left = a;
	const MongodbNamespace *right = b;
	int						order = strcmp(left->database, right->database);

	return order != 0 ? order : strcmp(left->collection, right->collection);
}

static void
free_namespace(MongodbNamespace *namespace)
{
	if (namespace == NULL)
		return;
	free(namespace->database);
	free(namespace->collection);
	free(namespace);
}

static MongodbNamespace *
find_exactly(const MongodbArchive *archive, const char *database, const char *collection)
{
	const MongodbNamespace wanted = {.database = (char *) database, .collection = (char *) collection};
	MongodbNamespace	 **found = tfind(&wanted, &archive->by_name, compare_names);

	return found != NULL ? *found : NULL;
}

/* The documents of a time series stand under a name of their own, in most archives. */
static MongodbNamespace *
find_namespace(const MongodbArchive *archive, const char *database, const char *collection)
{
	MongodbNamespace *found = find_exactly(archive, database, collection);

	if (found == NULL && strncmp(collection, MONGODB_BUCKETS, strlen(MONGODB_BUCKETS)) == 0)
	{
		found = find_exactly(archive, database, collection + strlen(MONGODB_BUCKETS));
		if (found != NULL && found->kind != MONGODB_TIMESERIES)
			return NULL;
	}
	return found;
}

/* Takes the names of *metadata over. */
static bool
add_namespace(MongodbArchive *archive, MongodbMetadata *metadata, Failure *failure)
{
	MongodbNamespace *namespace;
	MongodbNamespace **found;

	if (archive->count == archive->capacity)
	{
		size_t			   capacity = archive->capacity > 0 ? archive->capacity * 2 : 64;
		MongodbNamespace **more = reallocarray(archive->namespaces, capacity, sizeof(*more));

		if (more == NULL)
			return failure_no_memory(failure);
		archive->namespaces = more;
		archive->capacity = capacity;
	}
	namespace = calloc(1, sizeof(*namespace));
	if (namespace == NULL)
		return failure_no_memory(failure);
	*namespace = (MongodbNamespace){.database = metadata->database,
									.collection = metadata->collection,
									.kind = metadata->kind,
									.indexes = metadata->indexes,
									.validated = metadata->validated};
	metadata->database = metadata->collection = NULL;
	found = tsearch(namespace, &archive->by_name, compare_names);
	if (found == NULL || *found != namespace)
	{
		if (found == NULL)
			failure_no_memory(failure);
		else
			broken(archive, failure, "its prelude names %.*s.%.*s twice", NAME_IN_WORDS, namespace->database,
				   NAME_IN_WORDS, namespace->collection);
		free_namespace(namespace);
		return false;
	}
	archive->namespaces[archive->count++] = namespace;
	return true;
}

/* ---- whole documents of the archive itself ---- */

static bool
read_header(MongodbArchive *archive, const bson_t *document, Failure *failure)
{
	bson_iter_t field;
	const char *version = NULL;

	if (bson_iter_init_find(&field, document, "version") && BSON_ITER_HOLDS_UTF8(&field))
		version = bson_iter_utf8(&field, NULL);
	if (version == NULL)
		return broken(archive, failure, "its header names no version of the format");
	if (strcmp(version, "0.1") != 0)
		return broken(archive, failure, "it is of version %.20s of the format, only 0.1 is known here",
					  version);
	archive->state = AT_METADATA;
	return true;
}

static bool
read_metadata(MongodbArchive *archive, const bson_t *document, Failure *failure)
{
	MongodbMetadata metadata = {0};
	const char	   *problem = mongodb_metadata_read(&metadata, document);
	bool			good = false;

	if (problem != NULL)
		broken(archive, failure, "in its prelude %s", problem);
	else
		good = add_namespace(archive, &metadata, failure);
	mongodb_metadata_free(&metadata);
	archive->state = AT_METADATA;
	return good;
}

static bool
close_namespace(MongodbArchive *archive, MongodbNamespace *namespace, uint64_t crc, Failure *failure)
{
	if (crc != namespace->crc)
		return broken(archive, failure, "the documents of %.*s.%.*s have another checksum than was written",
					  NAME_IN_WORDS, namespace->database, NAME_IN_WORDS, namespace->collection);
	namespace->closed = true;
	archive->state = AT_TERMINATOR;
	return true;
}

static bool
read_block_header(MongodbArchive *archive, const bson_t *document, Failure *failure)
{
	MongodbBlockHeader header;
	MongodbNamespace *namespace;

	if (!mongodb_block_header_read(&header, document))
		return broken(archive, failure, "a block's header is none");
	namespace = find_namespace(archive, header.database, header.collection);
	if (namespace == NULL)
		return broken(archive, failure, "a block belongs to %.*s.%.*s, which its prelude does not name",
					  NAME_IN_WORDS, header.database, NAME_IN_WORDS, header.collection);
	if (namespace->closed)
		return broken(archive, failure, "%.*s.%.*s goes on after its end", NAME_IN_WORDS, header.database,
					  NAME_IN_WORDS, header.collection);
	namespace->opened = true;
	if (header.eof)
		return close_namespace(archive, namespace, header.crc, failure);
	if (header.crc != 0)
		return broken(archive, failure, "a block has a checksum before its end");
	archive->current = namespace;
	archive->state = AT_BODY;
	return true;
}

static bool
take_small_document(MongodbArchive *archive, Failure *failure)
{
	bson_t document;
	size_t error_at;
	bool   good = false;

	if (!bson_init_static(&document, archive->document.data, archive->document.length) ||
		!bson_validate(&document, BSON_VALIDATE_NONE, &error_at))
		return broken(archive, failure, "a document of its own is no BSON");
	switch (archive->document_state)
	{
		case AT_HEADER:
			good = read_header(archive, &document, failure);
			break;
		case AT_METADATA:
			good = read_metadata(archive, &document, failure);
			break;
		default:
			good = read_block_header(archive, &document, failure);
	}
	bytes_reset(&archive->document, BUFFER_KEEP);
	return good;
}

/* ---- the stream ---- */

/* A document begins, of which four bytes have been seen. */
static bool
begin_document(MongodbArchive *archive, uint32_t length, Failure *failure)
{
	if (length < DOCUMENT_MIN || length > MONGODB_DOCUMENT_MAX)
		return broken(archive, failure, "%u is no length of a document", length);
	archive->left = length - sizeof(archive->word);
	if (archive->state == AT_BODY)
	{
		archive->current->crc = crc64_xz_update(archive->current->crc, archive->word, sizeof(archive->word));
		archive->current->documents++;
		archive->state = IN_LARGE_DOCUMENT;
		return true;
	}
	archive->document_state = archive->state;
	archive->state = IN_SMALL_DOCUMENT;
	return bytes_append(&archive->document, archive->word, sizeof(archive->word), failure);
}

static bool
take_word(MongodbArchive *archive, Failure *failure)
{
	uint32_t word;

	memcpy(&word, archive->word, sizeof(word));
	word = le32toh(word);
	archive->word_length = 0;
	if (archive->state == AT_MAGIC)
	{
		if (word != MAGIC)
			return broken(archive, failure, "it does not begin as a mongodump archive does");
		archive->state = AT_HEADER;
		return true;
	}
	if (word != TERMINATOR)
	{
		if (archive->state == AT_TERMINATOR)
			return broken(archive, failure, "documents follow in a block that ends its collection");
		return begin_document(archive, word, failure);
	}
	switch (archive->state)
	{
		case AT_METADATA:
			archive->prelude_is_read = true;
			break;
		case AT_BODY:
		case AT_TERMINATOR:
			archive->current = NULL;
			break;
		default:
			return broken(archive, failure, "a block ends that had not begun");
	}
	archive->state = AT_BLOCK;
	return true;
}

static bool
feed_word(MongodbArchive *archive, const unsigned char **bytes, size_t *length, Failure *failure)
{
	size_t taken = sizeof(archive->word) - archive->word_length;

	if (taken > *length)
		taken = *length;
	memcpy(archive->word + archive->word_length, *bytes, taken);
	archive->word_length += taken;
	archive->offset += (int64_t) taken;
	*bytes += taken;
	*length -= taken;
	return archive->word_length < sizeof(archive->word) || take_word(archive, failure);
}

/*
 * As many whole documents of a block as the bytes hold lie behind each other and are
 * summed in one go; that is most of every archive.
 */
static bool
feed_body(MongodbArchive *archive, const unsigned char **bytes, size_t *length, Failure *failure)
{
	const unsigned char *from = *bytes;
	const unsigned char *end = from + *length;
	const unsigned char *at = from;
	uint32_t			 size;

	while (archive->word_length == 0 && (size_t) (end - at) >= sizeof(size))
	{
		memcpy(&size, at, sizeof(size));
		size = le32toh(size);
		if (size < DOCUMENT_MIN || size > MONGODB_DOCUMENT_MAX || size > (size_t) (end - at))
			break;
		if (at[size - 1] != 0)
			return broken(archive, failure, "a document does not end as BSON does");
		archive->current->documents++;
		at += size;
	}
	if (at == from)
		return feed_word(archive, bytes, length, failure);
	archive->current->crc = crc64_xz_update(archive->current->crc, from, (size_t) (at - from));
	archive->offset += at - from;
	*bytes = at;
	*length = (size_t) (end - at);
	return true;
}

static bool
feed_document(MongodbArchive *archive, const unsigned char **bytes, size_t *length, Failure *failure)
{
	size_t taken = *length < archive->left ? *length : archive->left;
	bool   is_small = archive->state == IN_SMALL_DOCUMENT;

	archive->left -= taken;
	archive->offset += (int64_t) taken;
	if (archive->left == 0 && (*bytes)[taken - 1] != 0)
		return broken(archive, failure, "a document does not end as BSON does");
	if (!is_small)
		archive->current->crc = crc64_xz_update(archive->current->crc, *bytes, taken);
	else if (!bytes_append(&archive->document, *bytes, taken, failure))
		return false;
	*bytes += taken;
	*length -= taken;
	if (archive->left > 0)
		return true;
	if (is_small)
		return take_small_document(archive, failure);
	archive->state = AT_BODY;
	return true;
}

bool
mongodb_archive_feed(MongodbArchive *archive, const void *bytes, size_t length, Failure *failure)
{
	const unsigned char *at = bytes;
	bool				 good = true;

	while (good && length > 0)
	{
		if (archive->state == IN_SMALL_DOCUMENT || archive->state == IN_LARGE_DOCUMENT)
			good = feed_document(archive, &at, &length, failure);
		else if (archive->state == AT_BODY)
			good = feed_body(archive, &at, &length, failure);
		else
			good = feed_word(archive, &at, &length, failure);
	}
	return good;
}

bool
mongodb_archive_finish(MongodbArchive *archive, Failure *failure)
{
	if (!archive->prelude_is_read && archive->when == REASON_DUMP)
		return failure_set(failure, REASON_TOO_SMALL,
						   "mongodump gave %lld bytes and no whole table of collections",
						   (long long) archive->offset);
	if (!archive->prelude_is_read || archive->state != AT_BLOCK || archive->word_length > 0)
		return broken(archive, failure, "it is cut off");
	for (size_t i = 0; i < archive->count; i++)
		if (!archive->namespaces[i]->closed)
			return broken(archive, failure, "it is cut off: %.*s.%.*s %s", NAME_IN_WORDS,
						  archive->namespaces[i]->database, NAME_IN_WORDS, archive->namespaces[i]->collection,
						  archive->namespaces[i]->opened ? "does not come to its end" : "is missing");
	return true;
}

MongodbArchive *
mongodb_archive_open(FailureReason when, Failure *failure)
{
	MongodbArchive *archive = calloc(1, sizeof(*archive));

	if (archive == NULL)
	{
		failure_no_memory(failure);
		return NULL;
	}
	archive->when = when;
	archive->state = AT_MAGIC;
	return archive;
}

static void
keep(void *node)
{
	(void) node;
}

void
mongodb_archive_close(MongodbArchive *archive)
{
	if (archive == NULL)
		return;
	tdestroy(archive->by_name, keep);
	for (size_t i = 0; i < archive->count; i++)
		free_namespace(archive->namespaces[i]);
	free(archive->namespaces);
	bytes_free(&archive->document);
	free(archive);
}

bool
mongodb_archive_has_prelude(const MongodbArchive *archive)
{
	return archive->prelude_is_read;
}

size_t
mongodb_archive_count(const MongodbArchive *archive)
{
	return archive->count;
}

const MongodbNamespace *
mongodb_archive_namespace(const MongodbArchive *archive, size_t index)
{
	return archive->namespaces[index];
}
