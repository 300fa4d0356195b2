/*
 * base64url.c
 *	  RFC 4648, section 5.  OpenSSL's EVP_DecodeBlock knows the other alphabet only
 *	  and takes what it should refuse.
 */
#include "base64url.h"

#include <stdint.h>
#include <stdlib.h>

static const char alphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

static int
digit_value(char c)
{
	if (c >= 'A' && c <= 'Z')
		return c - 'A';
	if (c >= 'a' && c <= 'z')
		return c - 'a' + 26;
	if (c >= '0' && c <= '9')
		return c - '0' + 52;
	if (c == '-')
		return 62;
	return c == '_' ? 63 : -1;
}

char *
base64url_encode(const unsigned char *bytes, size_t length)
{
	char	*text = malloc(length / 3 * 4 + 4);
	char	*to = text;
	uint32_t bits = 0;
	int		 held = 0;

	if (text == NULL)
		return NULL;
	for (size_t i = 0; i < length; i++)
	{
		bits = bits << 8 | bytes[i];
		held += 8;
		while (held >= 6)
		{
			held -= 6;
			*to++ = alphabet[bits >> held & 63];
		}
	}
	if (held > 0)
		*to++ = alphabet[bits << (6 - held) & 63];
	*to = '\0';
	return text;
}

size_t
base64url_decoded_size(size_t characters)
{
	return characters / 4 * 3 + 3;
}

/* Padding fills a group of four, or is not there at all. */
static size_t
without_padding(const char *text, size_t characters)
{
	size_t digits = characters;

	if (characters % 4 != 0)
		return characters;
	while (digits > 0 && characters - digits < 2 && text[digits - 1] == '=')
		digits--;
	return digits;
}

bool
base64url_decode(const char *text, size_t characters, unsigned char *bytes, size_t *length)
{
	size_t	 digits = without_padding(text, characters);
	size_t	 decoded = 0;
	uint32_t bits = 0;
	int		 held = 0;

	for (size_t i = 0; i < digits; i++)
	{
		int value = digit_value(text[i]);

		if (value < 0)
		{
			*length = i;
			return false;
		}
		bits = bits << 6 | (uint32_t) value;
		held += 6;
		if (held >= 8)
		{
			held -= 8;
			bytes[decoded++] = (unsigned char) (bits >> held);
		}
	}
	/* One lone digit, or bits that no encoder would have left. */
	if (held >= 6 || (bits & ((1u << held) - 1)) != 0)
	{
		*length = digits - 1;
		return false;
	}
	*length = decoded;
	return true;
}
