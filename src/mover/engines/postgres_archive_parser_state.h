/*
 * postgres_archive_parser_state.h
 *	  The parser's inside, shared by its two files: postgres_archive_parser.c
 *	  collects fields out of the stream, postgres_archive_fields.c knows what each
 *	  one means and which comes next.
 */
#ifndef POSTGRES_ARCHIVE_PARSER_STATE_H
#define POSTGRES_ARCHIVE_PARSER_STATE_H

#include "engines/postgres_archive_parser.h"

/* An integer in the stream: sign and 4 bytes. */
#define ARCHIVE_INTEGER_SIZE 5

typedef enum FieldKind
{
	KIND_BYTES, /* as many as the table says */
	KIND_INTEGER,
	KIND_TEXT,	 /* an integer, then its bytes */
	KIND_OFFSET, /* a byte and the header's offset size */
	KIND_DATA	 /* passed on, never held */
} FieldKind;

/* X(field, kind, bytes, what it is called in an error) */
#define ARCHIVE_FIELDS(X)                                                                                    \
	X(FIELD_MAGIC, KIND_BYTES, 5, "the magic")                                                               \
	X(FIELD_VERSION, KIND_BYTES, 3, "the format's version")                                                  \
	X(FIELD_SIZES, KIND_BYTES, 3, "the header")                                                              \
	X(FIELD_COMPRESSION_LEVEL, KIND_INTEGER, 0, "the compression level")                                     \
	X(FIELD_COMPRESSION_ALGORITHM, KIND_BYTES, 1, "the compression algorithm")                               \
	X(FIELD_CREATED, KIND_INTEGER, 0, "the creation time")                                                   \
	X(FIELD_DATABASE, KIND_TEXT, 0, "the database's name")                                                   \
	X(FIELD_SERVER_VERSION, KIND_TEXT, 0, "the server's version")                                            \
	X(FIELD_DUMP_VERSION, KIND_TEXT, 0, "pg_dump's version")                                                 \
	X(FIELD_ENTRY_COUNT, KIND_INTEGER, 0, "the number of entries")                                           \
	X(FIELD_DUMP_ID, KIND_INTEGER, 0, "an entry's dump id")                                                  \
	X(FIELD_HAS_DATA, KIND_INTEGER, 0, "an entry's mark for data")                                           \
	X(FIELD_CATALOG, KIND_TEXT, 0, "an entry's catalogue oid")                                               \
	X(FIELD_OID, KIND_TEXT, 0, "an entry's oid")                                                             \
	X(FIELD_TAG, KIND_TEXT, 0, "an entry's name")                                                            \
	X(FIELD_DESC, KIND_TEXT, 0, "an entry's kind")                                                           \
	X(FIELD_SECTION, KIND_INTEGER, 0, "an entry's section")                                                  \
	X(FIELD_DEFINITION, KIND_TEXT, 0, "an entry's definition")                                               \
	X(FIELD_DROP_STATEMENT, KIND_TEXT, 0, "an entry's drop statement")                                       \
	X(FIELD_COPY_STATEMENT, KIND_TEXT, 0, "an entry's copy statement")                                       \
	X(FIELD_NAMESPACE, KIND_TEXT, 0, "an entry's schema")                                                    \
	X(FIELD_TABLESPACE, KIND_TEXT, 0, "an entry's tablespace")                                               \
	X(FIELD_TABLE_ACCESS_METHOD, KIND_TEXT, 0, "an entry's table access method")                             \
	X(FIELD_RELKIND, KIND_INTEGER, 0, "an entry's relkind")                                                  \
	X(FIELD_OWNER, KIND_TEXT, 0, "an entry's owner")                                                         \
	X(FIELD_WITH_OIDS, KIND_TEXT, 0, "an entry's WITH OIDS")                                                 \
	X(FIELD_DEPENDENCY, KIND_TEXT, 0, "an entry's dependencies")                                             \
	X(FIELD_POSITION, KIND_OFFSET, 0, "an entry's data position")                                            \
	X(FIELD_BLOCK_TYPE, KIND_BYTES, 1, "a block's type")                                                     \
	X(FIELD_BLOCK_DUMP_ID, KIND_INTEGER, 0, "a block's dump id")                                             \
	X(FIELD_LARGE_OBJECT, KIND_INTEGER, 0, "a large object's oid")                                           \
	X(FIELD_CHUNK_LENGTH, KIND_INTEGER, 0, "the length of a piece of data")                                  \
	X(FIELD_DATA, KIND_DATA, 0, "data")

typedef enum Field
{
#define X(field, kind, bytes, name) field,
	ARCHIVE_FIELDS(X)
#undef X
	FIELD_COUNT
} Field;

/* Texts that last until their entry (or the header) is complete. */
typedef enum HeldText
{
	HELD_TAG,
	HELD_DESC,
	HELD_DEFINITION,
	HELD_DROP_STATEMENT,
	HELD_COPY_STATEMENT,
	HELD_NAMESPACE,
	HELD_TABLESPACE,
	HELD_TABLE_ACCESS_METHOD,
	HELD_OWNER,
	HELD_DATABASE,
	HELD_SERVER_VERSION,
	HELD_DUMP_VERSION,
	HELD_COUNT
} HeldText;

#define NO_TEXT SIZE_MAX

struct ArchiveParser
{
	const ArchiveEvents *events;
	void				*context;
	FailureReason		 when;
	ArchiveTexts		 texts;
	bool				 broken;
	int64_t position; /* of the byte after the last complete field, or of the next byte of data */

	/* the field that is being collected */
	Field		  field;
	size_t		  need; /* of its fixed bytes */
	size_t		  filled;
	unsigned char fixed[16];
	bool		  in_text;
	size_t		  text_left; /* bytes of the text, or of the chunk, still to come */
	size_t		  text_room; /* how many of those are kept */

	/* texts kept: one after the other in one buffer, each with a NUL */
	char  *held;
	size_t held_length;
	size_t held_capacity;
	size_t field_text; /* where the current field's begins; NO_TEXT */
	size_t held_at[HELD_COUNT];

	PostgresArchive header;
	int				offset_size;
	int				created[7];
	int				created_count;

	int32_t	 entry_count;
	int32_t	 entries_seen;
	TocEntry entry;
	int32_t *dependencies;
	size_t	 dependency_capacity;
	size_t	 toc_bytes; /* what holding the TOC so far takes */

	int32_t		 data_entries; /* that the TOC announced */
	int32_t		 blocks;	   /* that are complete */
	ArchiveBlock block;
};

extern const FieldKind	 archive_field_kind[];
extern const char *const archive_field_name[];

/* Begins to collect a field. */
extern void archive_parser_expect(ArchiveParser *parser, Field field);

/* A field is complete: fixed[] holds its bytes, or held[field_text] its text. */
extern bool archive_parser_take(ArchiveParser *parser, Failure *failure);

/* An integer's value; any sign byte but 0 and 1 is refused when it was collected. */
extern int64_t archive_integer(const unsigned char *bytes);

#endif
