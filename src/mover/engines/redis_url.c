/*
 * redis_url.c
 *	  Reading a Redis URL, and refusing what is none.
 */
#include "engines/redis_url.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#include "engines/url_parts.h"

#define DATABASE_DIGITS 9 /* at most: it fits an int */

static const UrlScheme schemes[] = {
	{"redis://", false}, {"rediss://", true}, {"valkey://", false}, {"valkeys://", true}, {0}};

static bool
refuse(Failure *failure, const char *what)
{
	return failure_set(failure, REASON_BAD_URL,
					   "the Redis URL %s; expected is redis[s]://[[user]:password@]host[:port][/database]",
					   what);
}

static bool
parse_user_and_password(const char *text, size_t length, RedisUrl *url, Failure *failure)
{
	const char *colon = memchr(text, ':', length);
	size_t		user_length = colon != NULL ? (size_t) (colon - text) : length;

	if (colon == NULL)
		return refuse(failure, "has a user without a password");
	if (colon + 1 == text + length)
		return refuse(failure, "has an empty password");
	if (!url_take_password(&url->password, colon + 1, length - user_length - 1, refuse, failure))
		return false;
	if (user_length == 0)
		return true;
	url->user = url_decoded_copy(text, user_length, "has a user name that does not decode", refuse, failure);
	return url->user != NULL;
}

static bool
parse_host_and_port(const char *text, size_t length, RedisUrl *url, Failure *failure)
{
	UrlPlace place;

	if (!url_place_parse(&place, text, length, "6379", refuse, failure))
		return false;
	url->host = place.host;
	memcpy(url->port, place.port, sizeof(url->port));
	return true;
}

static bool
parse_database(const char *text, size_t length, RedisUrl *url, Failure *failure)
{
	int number = 0;

	if (length == 0)
		return true;
	for (size_t i = 0; i < length; i++)
	{
		if (!isdigit((unsigned char) text[i]) || i == DATABASE_DIGITS)
			return refuse(failure, "has a path that is no database's number");
		number = number * 10 + (text[i] - '0');
	}
	url->database = number;
	return true;
}

static bool
parse(const char *text, size_t length, RedisUrl *url, Failure *failure)
{
	const char		*end = text + length;
	const char		*slash;
	const char		*at;
	const UrlScheme *scheme = url_scheme_of(schemes, text, length);

	if (!url_check_characters(text, length, refuse, failure))
		return false;
	if (scheme == NULL)
		return refuse(failure, "does not begin with redis:// or rediss://");
	url->tls = scheme->other;
	text += strlen(scheme->prefix);
	if (memchr(text, '?', (size_t) (end - text)) != NULL || memchr(text, '#', (size_t) (end - text)) != NULL)
		return refuse(
			failure,
			"has parameters, of which none are known (write '?' and '#' in a password as %3F and %23)");
	/* People paste passwords as they are: the last '@' before the path ends the user's part. */
	at = memrchr(text, '@', (size_t) (end - text));
	slash = memchr(at != NULL ? at : text, '/', (size_t) (end - (at != NULL ? at : text)));
	if (slash == NULL)
		slash = end;
	if (at != NULL && !parse_user_and_password(text, (size_t) (at - text), url, failure))
		return false;
	if (at != NULL)
		text = at + 1;
	return parse_host_and_port(text, (size_t) (slash - text), url, failure) &&
		   (slash == end || parse_database(slash + 1, (size_t) (end - slash - 1), url, failure));
}

bool
redis_url_parse(const char *text, size_t length, RedisUrl *url, Failure *failure)
{
	*url = (RedisUrl){.database = REDIS_ALL_DATABASES};
	if (parse(text, length, url, failure))
		return true;
	redis_url_free(url);
	return false;
}

void
redis_url_free(RedisUrl *url)
{
	free(url->host);
	free(url->user);
	secret_free(&url->password);
	*url = (RedisUrl){.database = REDIS_ALL_DATABASES};
}
