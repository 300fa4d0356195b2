/*
 * postgres_archive_parser.c
 *	  Collects the fields of a custom archive out of a stream cut anywhere.
 *
 * A field has a fixed part (some bytes, an integer, a text's length) that is
 * collected in fixed[], and perhaps a variable one: a text, of which as much is
 * kept as was asked for and has arrived, or data, which is only passed on.
 */
#include "engines/postgres_archive_parser.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "engines/postgres_archive_parser_state.h"

/* Enough for every desc, oid and version. */
#define TEXT_BEGIN 64

const FieldKind archive_field_kind[] = {
#define X(field, kind, bytes, name) kind,
	ARCHIVE_FIELDS(X)
#undef X
};

const char *const archive_field_name[] = {
#define X(field, kind, bytes, name) name,
	ARCHIVE_FIELDS(X)
#undef X
};

static const unsigned char field_bytes[] = {
#define X(field, kind, bytes, name) bytes,
	ARCHIVE_FIELDS(X)
#undef X
};

ArchiveParser *
archive_parser_open(FailureReason when, ArchiveTexts texts, const ArchiveEvents *events, void *context,
					Failure *failure)
{
	ArchiveParser *parser = calloc(1, sizeof *parser);

	if (!parser)
	{
		failure_no_memory(failure);
		return NULL;
	}
	parser->when = when;
	parser->texts = texts;
	parser->events = events;
	parser->context = context;
	parser->header.standard_conforming_strings = true;
	archive_parser_expect(parser, FIELD_MAGIC);
	return parser;
}

void
archive_parser_close(ArchiveParser *parser)
{
	if (!parser)
		return;
	free(parser->held);
	free(parser->dependencies);
	free(parser);
}

bool
archive_parser_refuse(ArchiveParser *parser, Failure *failure, const char *format, ...)
{
	char	what[512];
	va_list args;

	va_start(args, format);
	vsnprintf(what, sizeof what, format, args);
	va_end(args);
	parser->broken = true;
	return failure_set(failure, parser->when, "not a whole pg_dump archive: %s (at byte %" PRId64 ")", what,
					   parser->position);
}

void
archive_parser_expect(ArchiveParser *parser, Field field)
{
	parser->field = field;
	parser->filled = 0;
	switch (archive_field_kind[field])
	{
		case KIND_BYTES:
			parser->need = field_bytes[field];
			break;
		case KIND_INTEGER:
		case KIND_TEXT:
			parser->need = ARCHIVE_INTEGER_SIZE;
			break;
		case KIND_OFFSET:
			parser->need = (size_t) 1 + parser->offset_size;
			break;
		case KIND_DATA:
			parser->need = 0;
			break;
	}
}

int64_t
archive_integer(const unsigned char *bytes)
{
	uint32_t magnitude =
		bytes[1] | (uint32_t) bytes[2] << 8 | (uint32_t) bytes[3] << 16 | (uint32_t) bytes[4] << 24;

	return bytes[0] ? -(int64_t) magnitude : (int64_t) magnitude;
}

/* Makes room for more bytes of text; what has arrived is at least half of what is allocated. */
static bool
reserve_text(ArchiveParser *parser, size_t more, Failure *failure)
{
	size_t wanted = parser->held_length + more;
	size_t capacity = parser->held_capacity ? parser->held_capacity : 4096;
	char  *grown;

	if (wanted <= parser->held_capacity)
		return true;
	while (capacity < wanted)
		capacity *= 2;
	grown = realloc(parser->held, capacity);
	if (!grown)
	{
		parser->broken = true;
		return failure_no_memory(failure);
	}
	parser->held = grown;
	parser->held_capacity = capacity;
	return true;
}

static bool
end_text(ArchiveParser *parser, Failure *failure)
{
	if (!reserve_text(parser, 1, failure))
		return false;
	parser->held[parser->held_length++] = '\0';
	parser->in_text = false;
	return archive_parser_take(parser, failure);
}

/* A text's length has been collected. */
static bool
begin_text(ArchiveParser *parser, Failure *failure)
{
	int64_t length = archive_integer(parser->fixed);

	if (length == -1)
	{
		parser->field_text = NO_TEXT;
		return archive_parser_take(parser, failure);
	}
	if (length < 0 || length > INT32_MAX)
		return archive_parser_refuse(parser, failure, "%s has a length of %" PRId64,
									 archive_field_name[parser->field], length);
	parser->field_text = parser->held_length;
	parser->text_left = (size_t) length;
	parser->text_room =
		parser->texts == ARCHIVE_TEXTS_BEGIN && length > TEXT_BEGIN ? TEXT_BEGIN : (size_t) length;
	if (parser->texts == ARCHIVE_TEXTS_WHOLE)
	{
		if (parser->toc_bytes > POSTGRES_ARCHIVE_TOC_LIMIT ||
			(size_t) length > POSTGRES_ARCHIVE_TOC_LIMIT - parser->toc_bytes)
		{
			parser->broken = true;
			return failure_set(failure, REASON_NOT_RESTORABLE,
							   "the archive's table of contents is larger than %zu MiB, "
							   "which is more than this program reads: restore it with pg_restore",
							   POSTGRES_ARCHIVE_TOC_LIMIT >> 20);
		}
		parser->toc_bytes += (size_t) length + 1;
	}
	parser->in_text = true;
	return length > 0 || end_text(parser, failure);
}

/* Returns how many bytes it took, 0 with the failure set. */
static size_t
take_text(ArchiveParser *parser, const unsigned char *bytes, size_t length, Failure *failure)
{
	size_t taken = length < parser->text_left ? length : parser->text_left;
	size_t kept = taken < parser->text_room ? taken : parser->text_room;

	const unsigned char *zero = memchr(bytes, '\0', taken);

	if (zero)
	{
		parser->position += zero - bytes;
		archive_parser_refuse(parser, failure, "%s has a zero byte", archive_field_name[parser->field]);
		return 0;
	}
	if (!reserve_text(parser, kept, failure))
		return 0;
	if (kept > 0)
		memcpy(parser->held + parser->held_length, bytes, kept);
	parser->held_length += kept;
	parser->text_room -= kept;
	parser->text_left -= taken;
	parser->position += (int64_t) taken;
	if (parser->text_left == 0 && !end_text(parser, failure))
		return 0;
	return taken;
}

/* The bytes in front of a text or of data; likewise. */
static size_t
take_fixed(ArchiveParser *parser, const unsigned char *bytes, size_t length, Failure *failure)
{
	size_t	  missing = parser->need - parser->filled;
	size_t	  taken = length < missing ? length : missing;
	FieldKind kind = archive_field_kind[parser->field];
	bool	  good;

	memcpy(parser->fixed + parser->filled, bytes, taken);
	parser->filled += taken;
	if (taken < missing)
		return taken;
	parser->position += (int64_t) parser->need;
	if ((kind == KIND_INTEGER || kind == KIND_TEXT) && parser->fixed[0] > 1)
		good = archive_parser_refuse(parser, failure, "%s has the sign %d", archive_field_name[parser->field],
									 parser->fixed[0]);
	else if (kind == KIND_TEXT)
		good = begin_text(parser, failure);
	else
		good = archive_parser_take(parser, failure);
	return good ? taken : 0;
}

/*
 * pg_dump makes a piece of each row, so this is where the time goes: as long as
 * the next length is here whole and nothing special, it is not collected first.
 */
static size_t
take_data(ArchiveParser *parser, const unsigned char *bytes, size_t length)
{
	size_t taken = 0;

	for (;;)
	{
		size_t	left = length - taken;
		size_t	piece = left < parser->text_left ? left : parser->text_left;
		int64_t following;

		parser->events->data(parser->context, bytes + taken, piece);
		taken += piece;
		parser->text_left -= piece;
		if (parser->text_left > 0)
			break;
		following =
			length - taken > ARCHIVE_INTEGER_SIZE && bytes[taken] == 0 ? archive_integer(bytes + taken) : 0;
		if (following <= 0 || following > INT32_MAX)
		{
			archive_parser_expect(parser, FIELD_CHUNK_LENGTH);
			break;
		}
		taken += ARCHIVE_INTEGER_SIZE;
		parser->text_left = (size_t) following;
	}
	parser->position += (int64_t) taken;
	return taken;
}

bool
archive_parser_feed(ArchiveParser *parser, const void *bytes, size_t length, Failure *failure)
{
	const unsigned char *next = bytes;
	const unsigned char *end = next + length;

	if (parser->broken)
		return failure_set(failure, parser->when, "not a whole pg_dump archive: it was refused before");
	while (next < end)
	{
		size_t left = (size_t) (end - next);
		size_t taken;

		if (parser->field == FIELD_BLOCK_TYPE && !parser->events->block)
			return true;
		if (parser->field == FIELD_DATA)
			taken = take_data(parser, next, left);
		else if (parser->in_text)
			taken = take_text(parser, next, left, failure);
		else
			taken = take_fixed(parser, next, left, failure);
		if (taken == 0)
			return false;
		next += taken;
	}
	return true;
}

/* The stream has ended in the header or the TOC. */
static bool
refuse_end_in_front(ArchiveParser *parser, Failure *failure)
{
	FailureReason reason = parser->when == REASON_DUMP ? REASON_TOO_SMALL : parser->when;

	if (parser->position == 0 && parser->filled == 0)
		return failure_set(failure, reason, "not a pg_dump archive: the stream is empty");
	if (parser->field < FIELD_DUMP_ID)
		return failure_set(failure, reason,
						   "not a whole pg_dump archive: it ends in its header, in %s (at byte %" PRId64 ")",
						   archive_field_name[parser->field], parser->position);
	return archive_parser_refuse(parser, failure, "it ends in its table of contents, entry %d of %d, in %s",
								 parser->entries_seen + 1, parser->entry_count,
								 archive_field_name[parser->field]);
}

bool
archive_parser_finish(ArchiveParser *parser, Failure *failure)
{
	if (parser->broken)
		return failure_set(failure, parser->when, "not a whole pg_dump archive: it was refused before");
	if (parser->field < FIELD_BLOCK_TYPE)
		return refuse_end_in_front(parser, failure);
	if (parser->field == FIELD_DATA)
		return archive_parser_refuse(parser, failure,
									 "it ends in the data of dump id %d, %zu bytes before the end of a piece",
									 parser->entry.dump_id, parser->text_left);
	if (parser->field > FIELD_BLOCK_DUMP_ID)
		return archive_parser_refuse(parser, failure, "it ends in the data of dump id %d, in %s",
									 parser->entry.dump_id, archive_field_name[parser->field]);
	if (parser->blocks < parser->data_entries)
		return archive_parser_refuse(parser, failure, "it ends after %d of %d data entries", parser->blocks,
									 parser->data_entries);
	return parser->field == FIELD_BLOCK_TYPE ||
		   archive_parser_refuse(parser, failure, "something follows its end");
}
