/*
 * events.c
 *	  Lines of a mover, read without waiting and without trust.
 */
#include "postgres.h"

#include <errno.h>
#include <unistd.h>

#include "catalog/namespace.h"
#include "common/hashfn.h"
#include "mb/pg_wchar.h"
#include "utils/json.h"

#include "events.h"

#define READ_BYTES 8192

void
events_init(EventReader *reader)
{
	memset(reader, 0, sizeof(*reader));
	initStringInfo(&reader->buffer);
	reader->line_length = -1;
}

void
events_free(EventReader *reader)
{
	pfree(reader->buffer.data);
}

/* Looks for the end of the line at the head, from where nobody has looked yet. */
static void
find_line(EventReader *reader, int from)
{
	StringInfo buffer = &reader->buffer;
	char	  *newline = memchr(buffer->data + from, '\n', buffer->len - from);
	int		   length = newline ? newline - buffer->data : buffer->len;

	if (length > EVENT_MAX_BYTES)
		reader->illegal = "an event line is longer than 64 KiB";
	else if (memchr(buffer->data + from, '\0', length - from) != NULL)
		reader->illegal = "an event line holds a NUL byte";
	else if (newline)
	{
		*newline = '\0';
		reader->line_length = length;
		if (!pg_verify_mbstr(PG_UTF8, buffer->data, length, true))
			reader->illegal = "an event line is not valid UTF-8";
	}
	if (reader->illegal)
	{
		reader->line_length = -1;
		resetStringInfo(buffer);
	}
}

bool
events_read(EventReader *reader, int fd)
{
	while (reader->line_length < 0 && !reader->illegal)
	{
		char	bytes[READ_BYTES];
		ssize_t count = read(fd, bytes, sizeof(bytes));
		int		seen = reader->buffer.len;

		if (count == 0)
			return false;
		if (count < 0)
		{
			if (errno == EINTR)
				continue;
			return errno == EAGAIN || errno == EWOULDBLOCK;
		}
		appendBinaryStringInfo(&reader->buffer, bytes, count);
		find_line(reader, seen);
	}
	return true;
}

const char *
events_line(EventReader *reader)
{
	return reader->line_length < 0 ? NULL : reader->buffer.data;
}

void
events_consume(EventReader *reader)
{
	StringInfo buffer = &reader->buffer;
	int		   consumed = reader->line_length + 1;

	memmove(buffer->data, buffer->data + consumed, buffer->len - consumed + 1);
	buffer->len -= consumed;
	reader->line_length = -1;
	find_line(reader, 0);
}

/* The text behind a key, quoted as it is given; inside a JSON text its quotes would be escaped. */
static const char *
value_of(const char *line, const char *quoted_key)
{
	const char *value = strstr(line, quoted_key);

	if (!value)
		return NULL;
	value += strlen(quoted_key);
	value += strspn(value, " \t");
	if (*value != ':')
		return NULL;
	return value + 1 + strspn(value + 1, " \t");
}

bool
events_show_progress(EventReader *reader)
{
	const char *line = reader->buffer.data;
	uint64		hash = hash_bytes_extended((const unsigned char *) line, reader->line_length, 0);
	bool		changed = hash != reader->last_hash;

	reader->last_hash = hash;
	return changed || value_of(line, "\"alive\"") != NULL;
}

TargetState
events_target_state(const EventReader *reader)
{
	const char *value = value_of(reader->buffer.data, "\"target_modified\"");

	if (!value)
		return TARGET_UNKNOWN;
	return strncmp(value, "false", 5) == 0 ? TARGET_UNTOUCHED : TARGET_MODIFIED;
}

static void
keep_tail(ErrorTail *tail, const char *bytes, int count)
{
	int kept;

	if (count > ERRORS_TAIL_BYTES)
	{
		bytes += count - ERRORS_TAIL_BYTES;
		count = ERRORS_TAIL_BYTES;
	}
	kept = Min(tail->length, ERRORS_TAIL_BYTES - count);
	memmove(tail->bytes, tail->bytes + tail->length - kept, kept);
	memcpy(tail->bytes + kept, bytes, count);
	tail->length = kept + count;
}

bool
error_tail_read(ErrorTail *tail, int fd)
{
	/* A flood must not keep us here: what is left is read in the next round. */
	for (int reads = 0; reads < 16; reads++)
	{
		char	bytes[READ_BYTES];
		ssize_t count = read(fd, bytes, sizeof(bytes));

		if (count == 0)
			return false;
		if (count > 0)
			keep_tail(tail, bytes, count);
		else if (errno != EINTR)
			return errno == EAGAIN || errno == EWOULDBLOCK;
	}
	return true;
}

typedef char ConvertedCharacter[4 * MAX_CONVERSION_GROWTH + 1];

/* One character in another encoding; false: that has no such character. */
static bool
convert_character(Oid conversion, int from, int to, const char *character, int length,
				  ConvertedCharacter converted)
{
	return OidIsValid(conversion) &&
		   pg_do_encoding_conversion_buf(
			   conversion, from, to, (unsigned char *) unconstify(char *, character), length,
			   (unsigned char *) converted, sizeof(ConvertedCharacter), true) == length;
}

const char *
events_to_server(const char *event)
{
	StringInfoData	   text;
	Oid				   conversion;
	int				   length;
	ConvertedCharacter converted;

	if (GetDatabaseEncoding() == PG_UTF8 || GetDatabaseEncoding() == PG_SQL_ASCII)
		return event;
	conversion = FindDefaultConversionProc(PG_UTF8, GetDatabaseEncoding());
	initStringInfo(&text);
	for (const char *c = event; *c != '\0'; c += length)
	{
		pg_wchar code = utf8_to_unicode((const unsigned char *) c);

		length = pg_utf_mblen((const unsigned char *) c);
		if (code < 0x80)
			appendStringInfoChar(&text, *c);
		else if (!convert_character(conversion, PG_UTF8, GetDatabaseEncoding(), c, length, converted))
			appendStringInfoChar(&text, '?');
		else if (code < 0x10000)
			appendStringInfo(&text, "\\u%04x", code);
		else
			appendStringInfo(&text, "\\u%04x\\u%04x", 0xd800 + ((code - 0x10000) >> 10),
							 0xdc00 + ((code - 0x10000) & 0x3ff));
	}
	return text.data;
}

/* SQL_ASCII takes any byte. */
static bool
is_utf8_character(const char *c, int length)
{
	return strnlen(c, length) == (size_t) length && pg_utf8_islegal((const unsigned char *) c, length);
}

char *
events_from_server(const char *job)
{
	int			   from = GetDatabaseEncoding();
	Oid			   conversion;
	StringInfoData text;
	int			   length;

	if (from == PG_UTF8)
		return pstrdup(job);
	conversion = from == PG_SQL_ASCII ? InvalidOid : FindDefaultConversionProc(from, PG_UTF8);
	initStringInfo(&text);
	for (const char *c = job; *c != '\0'; c += length)
	{
		ConvertedCharacter converted;

		length = from == PG_SQL_ASCII ? pg_utf_mblen((const unsigned char *) c) : pg_mblen(c);
		if (from == PG_SQL_ASCII && is_utf8_character(c, length))
			appendBinaryStringInfo(&text, c, length);
		else if (convert_character(conversion, from, PG_UTF8, c, length, converted))
			appendStringInfoString(&text, converted);
		else
		{
			appendStringInfoChar(&text, '?');
			length = from == PG_SQL_ASCII ? 1 : length;
		}
	}
	return text.data;
}

/* One line of ASCII, so that it is legal in every encoding. */
static void
append_plain(StringInfo text, const char *bytes, int length)
{
	for (int i = 0; i < length; i++)
	{
		unsigned char c = bytes[i];

		if (c == '\n' && i == length - 1)
			continue;
		appendStringInfoChar(text, c < 0x20 || c == 0x7f ? ' ' : (c < 0x80 ? c : '?'));
	}
}

char *
events_failed(const char *reason, const char *detail, const ErrorTail *tail, TargetState target)
{
	StringInfoData text;
	StringInfoData event;

	initStringInfo(&text);
	append_plain(&text, detail, strlen(detail));
	if (tail && tail->length > 0)
	{
		appendStringInfoString(&text, "; it said: ");
		append_plain(&text, tail->bytes, tail->length);
	}

	initStringInfo(&event);
	appendStringInfo(&event, "{\"event\": \"failed\", \"reason\": \"%s\", \"detail\": ", reason);
	escape_json(&event, text.data);
	if (target != TARGET_UNKNOWN)
		appendStringInfo(&event, ", \"target_modified\": %s", target == TARGET_MODIFIED ? "true" : "false");
	appendStringInfoChar(&event, '}');
	pfree(text.data);
	return event.data;
}
