/*
 * url_parts.c
 *	  Reading scheme, password, host and port of a URL.
 */
#include "engines/url_parts.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "text.h"

const UrlScheme *
url_scheme_of(const UrlScheme *schemes, const char *text, size_t length)
{
	for (; schemes->prefix != NULL; schemes++)
		if (length >= strlen(schemes->prefix) &&
			strncasecmp(text, schemes->prefix, strlen(schemes->prefix)) == 0)
			return schemes;
	return NULL;
}

bool
url_check_characters(const char *text, size_t length, UrlRefuse refuse, Failure *failure)
{
	for (size_t i = 0; i < length; i++)
		if ((unsigned char) text[i] <= ' ' || text[i] == 0x7f)
			return refuse(failure, "has a space or a control character in it");
	return true;
}

char *
url_decoded_copy(const char *text, size_t length, const char *complaint, UrlRefuse refuse, Failure *failure)
{
	char *copy = strndup(text, length);

	if (copy == NULL)
	{
		failure_no_memory(failure);
		return NULL;
	}
	if (text_percent_decode(copy, &length) && strlen(copy) == length)
		return copy;
	free(copy);
	refuse(failure, complaint);
	return NULL;
}

bool
url_take_password(Secret *password, const char *text, size_t length, UrlRefuse refuse, Failure *failure)
{
	secret_register(text, length);
	if (!secret_copy(password, text, length, failure))
		return false;
	if (!text_percent_decode(password->text, &length))
		return refuse(failure, "has a '%' in its password that is not followed by two hex digits");
	password->length = length;
	secret_register(password->text, length);
	return true;
}

static bool
parse_port(char port[6], const char *text, size_t length)
{
	long number = 0;

	for (size_t i = 0; i < length; i++)
	{
		if (!isdigit((unsigned char) text[i]) || i == 5)
			return false;
		number = number * 10 + (text[i] - '0');
	}
	snprintf(port, 6, "%.*s", (int) length, text);
	return number > 0 && number <= 65535;
}

bool
url_place_parse(UrlPlace *place, const char *text, size_t length, const char *default_port, UrlRefuse refuse,
				Failure *failure)
{
	const char *end = text + length;
	bool		bracketed = length > 0 && *text == '[';
	const char *host = text + bracketed;
	const char *host_end = memchr(host, bracketed ? ']' : ':', (size_t) (end - host));
	const char *port; /* the ':' before it, or the end */

	*place = (UrlPlace){0};
	if (host_end == NULL && bracketed)
		return refuse(failure, "has a '[' without its ']'");
	host_end = host_end != NULL ? host_end : end;
	port = host_end + bracketed;
	if (port < end && *port != ':')
		return refuse(failure, "has something other than a port behind its ']'");
	if (host_end == host)
		return refuse(failure, "names no host");
	for (const char *c = host; c < host_end; c++)
		if (!isalnum((unsigned char) *c) && strchr(".-_:", *c) == NULL)
			return refuse(failure, "has a character in its host that no host name has");
	if (port == end)
		snprintf(place->port, sizeof(place->port), "%s", default_port);
	else if (!parse_port(place->port, port + 1, (size_t) (end - port - 1)))
		return refuse(failure, "has a port that is none");
	place->host = strndup(host, (size_t) (host_end - host));
	return place->host != NULL || failure_no_memory(failure);
}
