/*
 * postgres_archive_fields.c
 *	  What each field of a custom archive means, what it may be, and which comes next.
 */
#include "engines/postgres_archive_parser_state.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

/* The format byte.  A dump in directory format says tar in its toc.dat. */
#define FORMAT_CUSTOM	 1
#define FORMAT_TAR		 3
#define FORMAT_DIRECTORY 5

/* Of the byte before an entry's position. */
#define POSITION_NONE_YET 1
#define POSITION_KNOWN	  2
#define POSITION_NO_DATA  3

static bool
next(ArchiveParser *parser, Field field)
{
	archive_parser_expect(parser, field);
	return true;
}

/* Something else that a backup of Postgres might be: say what it is. */
static bool
refuse_magic(ArchiveParser *parser, Failure *failure)
{
	static const struct
	{
		const char *begins;
		size_t		length;
		const char *is;
	} others[] = {
		{"--", 2, "this is an SQL script (pg_dump --format=plain)"},
		{"toc.d", 5, "this is a tar archive (pg_dump --format=tar)"},
		{"\x1f\x8b", 2, "this is compressed with gzip"},
		{"\x28\xb5\x2f\xfd", 4, "this is compressed with zstd"},
		{"\x04\x22\x4d\x18", 4, "this is compressed with lz4"},
		{"REDIS", 5, "this is a dump of Redis"},
	};
	const char *is = "it does not begin with PGDMP";

	for (size_t i = 0; i < sizeof others / sizeof *others; i++)
	{
		if (memcmp(parser->fixed, others[i].begins, others[i].length) == 0)
			is = others[i].is;
	}
	parser->broken = true;
	return failure_set(failure, parser->when, "not a pg_dump archive in custom format: %s", is);
}

static bool
take_version(ArchiveParser *parser, Failure *failure)
{
	int major = parser->fixed[0];
	int minor = parser->fixed[1];

	if (major == 1 && minor >= 14 && minor <= 16)
	{
		parser->header.version_minor = minor;
		return next(parser, FIELD_SIZES);
	}
	parser->broken = true;
	return failure_set(failure, parser->when,
					   "the archive has version %d.%d of pg_dump's format, this program reads 1.14 to 1.16 "
					   "(pg_dump 12 to 18): %s",
					   major, minor,
					   major < 1 || (major == 1 && minor < 14) ? "dump again with a newer pg_dump"
															   : "it needs a newer custbackup");
}

static bool
take_sizes(ArchiveParser *parser, Failure *failure)
{
	int integer_size = parser->fixed[0];
	int format = parser->fixed[2];

	parser->offset_size = parser->fixed[1];
	if (format == FORMAT_DIRECTORY || format == FORMAT_TAR)
	{
		parser->broken = true;
		return failure_set(
			failure, parser->when,
			"not a pg_dump archive in custom format: this is the toc.dat of a dump in directory "
			"or tar format");
	}
	if (format != FORMAT_CUSTOM)
		return archive_parser_refuse(parser, failure, "its header names an unknown format %d", format);
	if (integer_size != ARCHIVE_INTEGER_SIZE - 1)
		return archive_parser_refuse(parser, failure, "its header names integers of %d bytes", integer_size);
	if (parser->offset_size != 4 && parser->offset_size != 8)
		return archive_parser_refuse(parser, failure, "its header names offsets of %d bytes",
									 parser->offset_size);
	return next(parser,
				parser->header.version_minor >= 15 ? FIELD_COMPRESSION_ALGORITHM : FIELD_COMPRESSION_LEVEL);
}

static bool
take_compression(ArchiveParser *parser, int64_t value, Failure *failure)
{
	bool is_level = parser->field == FIELD_COMPRESSION_LEVEL;

	if (is_level ? value < -1 || value > 9 : value > 3)
		return archive_parser_refuse(parser, failure, "its header names an unknown compression %" PRId64,
									 value);
	parser->header.compression = is_level ? value != 0 : (int) value;
	return next(parser, FIELD_CREATED);
}

/* One of the seven numbers of struct tm: sec, min, hour, mday, mon, year, isdst. */
static bool
take_created(ArchiveParser *parser, int64_t value, Failure *failure)
{
	static const int least[] = {0, 0, 0, 1, 0, 0, -1};
	static const int most[] = {61, 59, 23, 31, 11, 8099, 1};
	int				*created = parser->created;
	int				 i = parser->created_count;
	struct tm		 time = {0};

	if (value < least[i] || value > most[i])
		return archive_parser_refuse(parser, failure, "its creation time is impossible");
	created[i] = (int) value;
	if (++parser->created_count < 7)
		return next(parser, FIELD_CREATED);
	time.tm_sec = created[0];
	time.tm_min = created[1];
	time.tm_hour = created[2];
	time.tm_mday = created[3];
	time.tm_mon = created[4];
	time.tm_year = created[5];
	strftime(parser->header.created, sizeof parser->header.created, "%Y-%m-%d %H:%M:%S", &time);
	return next(parser, FIELD_DATABASE);
}

/* The field's text stays until the entry, or the header, is complete. */
static bool
hold(ArchiveParser *parser, HeldText held, Field following)
{
	parser->held_at[held] = parser->field_text;
	return next(parser, following);
}

static const char *
held_text(const ArchiveParser *parser, HeldText held)
{
	return parser->held_at[held] == NO_TEXT ? NULL : parser->held + parser->held_at[held];
}

static bool
end_toc(ArchiveParser *parser, Failure *failure)
{
	archive_parser_expect(parser, FIELD_BLOCK_TYPE);
	return parser->events->toc_end(parser->context, failure);
}

static bool
take_entry_count(ArchiveParser *parser, int64_t value, Failure *failure)
{
	PostgresArchive *header = &parser->header;

	if (value < 0 || value > INT32_MAX)
		return archive_parser_refuse(parser, failure, "it announces %" PRId64 " entries", value);
	parser->entry_count = (int32_t) value;
	header->entry_count = (size_t) value;
	header->database = held_text(parser, HELD_DATABASE);
	header->server_version = held_text(parser, HELD_SERVER_VERSION);
	header->dump_version = held_text(parser, HELD_DUMP_VERSION);
	if (!parser->events->header(parser->context, header, failure))
		return false;
	parser->held_length = 0;
	return value == 0 ? end_toc(parser, failure) : next(parser, FIELD_DUMP_ID);
}

/* A number that pg_dump writes as text.  The text is not held any longer. */
static bool
text_number(ArchiveParser *parser, int64_t limit, int64_t *number, Failure *failure)
{
	const char *text = parser->field_text == NO_TEXT ? "" : parser->held + parser->field_text;
	size_t		digits = strspn(text, "0123456789");

	*number = digits > 0 && digits <= 10 && text[digits] == '\0' ? strtoll(text, NULL, 10) : -1;
	if (parser->field_text != NO_TEXT)
		parser->held_length = parser->field_text;
	if (*number < 0 || *number > limit)
		return archive_parser_refuse(parser, failure, "%s is no number", archive_field_name[parser->field]);
	return true;
}

static bool
add_dependency(ArchiveParser *parser, Failure *failure)
{
	TocEntry *entry = &parser->entry;
	int64_t	  number;

	if (!text_number(parser, INT32_MAX, &number, failure))
		return false;
	if (parser->texts == ARCHIVE_TEXTS_BEGIN)
		return next(parser, FIELD_DEPENDENCY);
	if (entry->dependency_count == parser->dependency_capacity)
	{
		size_t	 capacity = parser->dependency_capacity ? parser->dependency_capacity * 2 : 64;
		int32_t *grown = realloc(parser->dependencies, capacity * sizeof *grown);

		if (!grown)
		{
			parser->broken = true;
			return failure_no_memory(failure);
		}
		parser->dependencies = grown;
		parser->dependency_capacity = capacity;
	}
	parser->dependencies[entry->dependency_count++] = (int32_t) number;
	return next(parser, FIELD_DEPENDENCY);
}

/* The last field of an entry: hand it over. */
static bool
end_entry(ArchiveParser *parser, Failure *failure)
{
	TocEntry *entry = &parser->entry;
	int		  state = parser->fixed[0];

	if (state < POSITION_NONE_YET || state > POSITION_NO_DATA)
		return archive_parser_refuse(parser, failure, "%s has the mark %d", archive_field_name[parser->field],
									 state);
	if (entry->has_data != (state != POSITION_NO_DATA))
		return archive_parser_refuse(parser, failure, "entry %d contradicts itself about whether it has data",
									 entry->dump_id);
	entry->tag = held_text(parser, HELD_TAG);
	entry->desc = held_text(parser, HELD_DESC);
	entry->definition = held_text(parser, HELD_DEFINITION);
	entry->drop_statement = held_text(parser, HELD_DROP_STATEMENT);
	entry->copy_statement = held_text(parser, HELD_COPY_STATEMENT);
	entry->namespace = held_text(parser, HELD_NAMESPACE);
	entry->tablespace = held_text(parser, HELD_TABLESPACE);
	entry->table_access_method = held_text(parser, HELD_TABLE_ACCESS_METHOD);
	entry->owner = held_text(parser, HELD_OWNER);
	entry->dependencies = parser->dependencies;
	entry->class = toc_class_of(entry->desc);
	parser->toc_bytes += sizeof *entry;
	if (!parser->events->entry(parser->context, entry, failure))
		return false;
	parser->held_length = 0;
	parser->data_entries += entry->has_data;
	parser->entries_seen++;
	return parser->entries_seen == parser->entry_count ? end_toc(parser, failure)
													   : next(parser, FIELD_DUMP_ID);
}

static bool
take_dump_id(ArchiveParser *parser, int64_t value, Failure *failure)
{
	if (value < 1 || value > INT32_MAX)
		return archive_parser_refuse(parser, failure, "%s is %" PRId64, archive_field_name[parser->field],
									 value);
	memset(&parser->entry, 0, sizeof parser->entry);
	parser->entry.dump_id = (int32_t) value;
	return true;
}

static bool
take_entry_integer(ArchiveParser *parser, int64_t value, Failure *failure)
{
	TocEntry *entry = &parser->entry;

	switch (parser->field)
	{
		case FIELD_DUMP_ID:
			return take_dump_id(parser, value, failure) && next(parser, FIELD_HAS_DATA);
		case FIELD_HAS_DATA:
			entry->has_data = value == 1;
			if (value == 0 || value == 1)
				return next(parser, FIELD_CATALOG);
			break;
		case FIELD_SECTION:
			entry->section = (TocSection) value;
			if (value >= TOC_SECTION_NONE && value <= TOC_SECTION_POST_DATA)
				return next(parser, FIELD_DEFINITION);
			break;
		default: /* FIELD_RELKIND */
			entry->relkind = (char) value;
			if (value >= 0 && value < 128)
				return next(parser, FIELD_OWNER);
			break;
	}
	return archive_parser_refuse(parser, failure, "%s is %" PRId64, archive_field_name[parser->field], value);
}

static bool
take_entry_text(ArchiveParser *parser, Failure *failure)
{
	TocEntry *entry = &parser->entry;
	int64_t	  number;

	switch (parser->field)
	{
		case FIELD_CATALOG:
			if (!text_number(parser, UINT32_MAX, &number, failure))
				return false;
			entry->catalog = (uint32_t) number;
			return next(parser, FIELD_OID);
		case FIELD_OID:
			if (!text_number(parser, UINT32_MAX, &number, failure))
				return false;
			entry->oid = (uint32_t) number;
			return next(parser, FIELD_TAG);
		case FIELD_TAG:
			return hold(parser, HELD_TAG, FIELD_DESC);
		case FIELD_DESC:
			if (parser->field_text == NO_TEXT)
				return archive_parser_refuse(parser, failure, "entry %d has no kind", entry->dump_id);
			return hold(parser, HELD_DESC, FIELD_SECTION);
		case FIELD_DEFINITION:
			return hold(parser, HELD_DEFINITION, FIELD_DROP_STATEMENT);
		case FIELD_DROP_STATEMENT:
			return hold(parser, HELD_DROP_STATEMENT, FIELD_COPY_STATEMENT);
		case FIELD_COPY_STATEMENT:
			return hold(parser, HELD_COPY_STATEMENT, FIELD_NAMESPACE);
		case FIELD_NAMESPACE:
			return hold(parser, HELD_NAMESPACE, FIELD_TABLESPACE);
		case FIELD_TABLESPACE:
			return hold(parser, HELD_TABLESPACE, FIELD_TABLE_ACCESS_METHOD);
		case FIELD_TABLE_ACCESS_METHOD:
			return hold(parser, HELD_TABLE_ACCESS_METHOD,
						parser->header.version_minor >= 16 ? FIELD_RELKIND : FIELD_OWNER);
		case FIELD_OWNER:
			return hold(parser, HELD_OWNER, FIELD_WITH_OIDS);
		case FIELD_WITH_OIDS:
			return next(parser, FIELD_DEPENDENCY);
		default: /* FIELD_DEPENDENCY */
			return parser->field_text == NO_TEXT ? next(parser, FIELD_POSITION)
												 : add_dependency(parser, failure);
	}
}

static bool
take_block_type(ArchiveParser *parser, int type, Failure *failure)
{
	parser->block = (ArchiveBlock) type;
	if (type == ARCHIVE_BLOCK_DATA || type == ARCHIVE_BLOCK_LARGE_OBJECTS)
		return next(parser, FIELD_BLOCK_DUMP_ID);
	if (parser->blocks == parser->data_entries)
		return archive_parser_refuse(parser, failure, "something follows its end");
	return archive_parser_refuse(parser, failure, "a block of data has the unknown type %d", type);
}

/* Between a block's data. */
static bool
take_block_integer(ArchiveParser *parser, int64_t value, Failure *failure)
{
	bool large_objects = parser->block == ARCHIVE_BLOCK_LARGE_OBJECTS;

	switch (parser->field)
	{
		case FIELD_BLOCK_DUMP_ID:
			return take_dump_id(parser, value, failure) &&
				   parser->events->block(parser->context, parser->block, (int32_t) value, failure) &&
				   next(parser, large_objects ? FIELD_LARGE_OBJECT : FIELD_CHUNK_LENGTH);
		case FIELD_LARGE_OBJECT:
			/* An oid, written as if it had a sign. */
			if (value != 0)
			{
				parser->events->large_object(parser->context, (uint32_t) value);
				return next(parser, FIELD_CHUNK_LENGTH);
			}
			break;
		default: /* FIELD_CHUNK_LENGTH */
			if (value < 0 || value > INT32_MAX)
				return archive_parser_refuse(parser, failure,
											 "the data of dump id %d has a piece of %" PRId64 " bytes",
											 parser->entry.dump_id, value);
			parser->text_left = (size_t) value;
			if (value > 0)
				return next(parser, FIELD_DATA);
			if (large_objects)
				return next(parser, FIELD_LARGE_OBJECT);
			break;
	}
	parser->blocks++;
	parser->events->block_end(parser->context);
	return next(parser, FIELD_BLOCK_TYPE);
}

/* Every field has its case; those that are not named are an entry's texts. */
bool
archive_parser_take(ArchiveParser *parser, Failure *failure)
{
	bool good;

	switch (parser->field)
	{
		case FIELD_MAGIC:
			good = memcmp(parser->fixed, "PGDMP", 5) == 0 ? next(parser, FIELD_VERSION)
														  : refuse_magic(parser, failure);
			break;
		case FIELD_VERSION:
			good = take_version(parser, failure);
			break;
		case FIELD_SIZES:
			good = take_sizes(parser, failure);
			break;
		case FIELD_COMPRESSION_ALGORITHM:
			good = take_compression(parser, parser->fixed[0], failure);
			break;
		case FIELD_COMPRESSION_LEVEL:
			good = take_compression(parser, archive_integer(parser->fixed), failure);
			break;
		case FIELD_CREATED:
			good = take_created(parser, archive_integer(parser->fixed), failure);
			break;
		case FIELD_DATABASE:
			good = hold(parser, HELD_DATABASE, FIELD_SERVER_VERSION);
			break;
		case FIELD_SERVER_VERSION:
			good = hold(parser, HELD_SERVER_VERSION, FIELD_DUMP_VERSION);
			break;
		case FIELD_DUMP_VERSION:
			good = hold(parser, HELD_DUMP_VERSION, FIELD_ENTRY_COUNT);
			break;
		case FIELD_ENTRY_COUNT:
			good = take_entry_count(parser, archive_integer(parser->fixed), failure);
			break;
		case FIELD_DUMP_ID:
		case FIELD_HAS_DATA:
		case FIELD_SECTION:
		case FIELD_RELKIND:
			good = take_entry_integer(parser, archive_integer(parser->fixed), failure);
			break;
		case FIELD_POSITION:
			good = end_entry(parser, failure);
			break;
		case FIELD_BLOCK_TYPE:
			good = take_block_type(parser, parser->fixed[0], failure);
			break;
		case FIELD_BLOCK_DUMP_ID:
		case FIELD_LARGE_OBJECT:
		case FIELD_CHUNK_LENGTH:
			good = take_block_integer(parser, archive_integer(parser->fixed), failure);
			break;
		default:
			good = take_entry_text(parser, failure);
			break;
	}
	if (!good)
		parser->broken = true;
	return good;
}
