/*
 * text.c
 *	  Small judgements on text that came from somewhere else.
 */
#include "text.h"

#include <string.h>

static bool
is_hex_digit(char c)
{
	return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F');
}

bool
text_is_uuid(const char *text, size_t length)
{
	if (length != 36)
		return false;
	for (size_t i = 0; i < length; i++)
	{
		bool dash = i == 8 || i == 13 || i == 18 || i == 23;

		if (dash ? text[i] != '-' : !is_hex_digit(text[i]))
			return false;
	}
	return true;
}

bool
text_is_hex(const char *text, size_t length)
{
	for (size_t i = 0; i < length; i++)
		if (!is_hex_digit(text[i]))
			return false;
	return length > 0;
}

int
text_hex_value(char digit)
{
	if (digit >= '0' && digit <= '9')
		return digit - '0';
	digit = (char) (digit | 0x20);
	return digit >= 'a' && digit <= 'f' ? digit - 'a' + 10 : -1;
}

void
text_hex(const unsigned char *bytes, size_t length, char *text)
{
	static const char digits[] = "0123456789abcdef";

	for (size_t i = 0; i < length; i++)
	{
		*text++ = digits[bytes[i] >> 4];
		*text++ = digits[bytes[i] & 15];
	}
	*text = '\0';
}

bool
text_percent_decode(char *text, size_t *length)
{
	size_t out = 0;

	for (size_t i = 0; i < *length; i++, out++)
	{
		text[out] = text[i];
		if (text[i] != '%')
			continue;
		if (*length - i < 3 || text_hex_value(text[i + 1]) < 0 || text_hex_value(text[i + 2]) < 0)
			return false;
		text[out] = (char) (text_hex_value(text[i + 1]) << 4 | text_hex_value(text[i + 2]));
		i += 2;
	}
	text[out] = '\0';
	*length = out;
	return true;
}

bool
text_has_control_character(const char *text)
{
	for (; *text != '\0'; text++)
		if ((unsigned char) *text < 0x20 || *text == 0x7F)
			return true;
	return false;
}

/* Length of the UTF-8 character that begins here (RFC 3629), 0 if none does. */
static size_t
character_length(const unsigned char *bytes)
{
	unsigned char lowest = 0x80;
	unsigned char highest = 0xBF;
	size_t		  length;

	if (bytes[0] < 0x80)
		return 1;
	if (bytes[0] < 0xC2 || bytes[0] > 0xF4)
		return 0;
	length = bytes[0] < 0xE0 ? 2 : bytes[0] < 0xF0 ? 3 : 4;

	/* Overlong forms, surrogates, and what lies beyond U+10FFFF. */
	if (bytes[0] == 0xE0)
		lowest = 0xA0;
	else if (bytes[0] == 0xED)
		highest = 0x9F;
	else if (bytes[0] == 0xF0)
		lowest = 0x90;
	else if (bytes[0] == 0xF4)
		highest = 0x8F;

	if (bytes[1] < lowest || bytes[1] > highest)
		return 0;
	for (size_t i = 2; i < length; i++)
		if (bytes[i] < 0x80 || bytes[i] > 0xBF)
			return 0;
	return length;
}

bool
text_is_utf8(const char *text)
{
	const unsigned char *at = (const unsigned char *) text;
	size_t				 length = 1;

	for (; *at != '\0' && length > 0; at += length)
		length = character_length(at);
	return length > 0;
}

/* Also U+0080 to U+009F: U+009B alone begins what ESC [ does. */
static bool
is_blank_or_control(const unsigned char *character)
{
	return *character <= ' ' || *character == 0x7F || (*character == 0xC2 && character[1] < 0xA0);
}

void
text_make_line(char *text)
{
	const unsigned char *from = (const unsigned char *) text;
	char				*to = text;

	while (*from != '\0')
	{
		size_t length = character_length(from);

		if (length == 0)
		{
			*to++ = '?';
			from++;
		}
		else if (is_blank_or_control(from))
		{
			if (to > text && to[-1] != ' ')
				*to++ = ' ';
			from += length;
		}
		else
		{
			memmove(to, from, length);
			to += length;
			from += length;
		}
	}
	if (to > text && to[-1] == ' ')
		to--;
	*to = '\0';
}

void
text_truncate(char *text, size_t bytes)
{
	if (strlen(text) <= bytes)
		return;
	while (bytes > 0 && ((unsigned char) text[bytes] & 0xC0) == 0x80)
		bytes--;
	text[bytes] = '\0';
}
