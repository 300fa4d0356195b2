#include "engines/redis_url.h"
#include "text.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

static const struct
{
	const char *prefix;
	bool		tls;
} schemes[] = {{"redis://", false}, {"rediss://", true}, {"valkey://", false}, {"valkeys://", true}};

static bool
refuse(Failure *failure, const char *what)
{
	return failure_set(failure, REASON_BAD_URL,
					   "the Redis URL %s; expected is redis[s]://[[user]:password@]host[:port][/database]",
					   what);
}

static bool
parse_password(const char *text, size_t length, RedisUrl *url, Failure *failure)
{
	if (length == 0)
		return refuse(failure, "has an empty password");
	if (!secret_copy(&url->password, text, length, failure))
		return false;
	secret_register(text, length);
	if (!text_percent_decode(url->password.text, &length))
		return refuse(failure, "has a '%' in its password that is not followed by two hex digits");
	url->password.length = length;
	secret_register(url->password.text, url->password.length);
	return true;
}

static bool
parse_user_and_password(const char *text, size_t length, RedisUrl *url, Failure *failure)
{
	const char *colon = memchr(text, ':', length);
	size_t		user_length = colon != NULL ? (size_t) (colon - text) : length;

	if (colon == NULL)
		return refuse(failure, "has a user without a password");
	if (!parse_password(colon + 1, length - user_length - 1, url, failure))
		return false;
	if (user_length == 0)
		return true;
	url->user = strndup(text, user_length);
	if (url->user == NULL)
		return failure_no_memory(failure);
	if (!text_percent_decode(url->user, &user_length) || strlen(url->user) != user_length)
		return refuse(failure, "has a user name that does not decode");
	return true;
}

static bool
parse_number(const char *text, size_t length, long max, long *number)
{
	*number = 0;
	if (length == 0 || length > 9)
		return false;
	for (size_t i = 0; i < length; i++)
	{
		if (!isdigit((unsigned char) text[i]))
			return false;
		*number = *number * 10 + (text[i] - '0');
	}
	return *number <= max;
}

static bool
parse_host_and_port(const char *text, size_t length, RedisUrl *url, Failure *failure)
{
	const char *host = text;
	const char *end = text + length;
	const char *host_end;
	long		port;

	if (length > 0 && text[0] == '[')
	{
		host++;
		host_end = memchr(text, ']', length);
		if (host_end == NULL || (host_end + 1 < end && host_end[1] != ':'))
			return refuse(failure, "has a '[' without its ']'");
		text = host_end + 1;
	}
	else
	{
		host_end = memchr(text, ':', length);
		if (host_end == NULL)
			host_end = end;
		text = host_end;
	}
	if (host_end == host)
		return refuse(failure, "names no host");
	for (const char *c = host; c < host_end; c++)
		if (!isalnum((unsigned char) *c) && strchr(".-_:", *c) == NULL)
			return refuse(failure, "has a character in its host that no host name has");
	url->host = strndup(host, (size_t) (host_end - host));
	if (url->host == NULL)
		return failure_no_memory(failure);
	if (text == end)
	{
		strcpy(url->port, "6379");
		return true;
	}
	if (end - text > 6 || !parse_number(text + 1, (size_t) (end - text - 1), 65535, &port) || port == 0)
		return refuse(failure, "has a port that is none");
	memcpy(url->port, text + 1, (size_t) (end - text - 1));
	return true;
}

static bool
parse_database(const char *text, size_t length, RedisUrl *url, Failure *failure)
{
	long number;

	if (length == 0)
		return true;
	if (!parse_number(text, length, 999999999, &number))
		return refuse(failure, "has a path that is no database's number");
	url->database = (int) number;
	return true;
}

static bool
parse(const char *text, size_t length, RedisUrl *url, Failure *failure)
{
	const char *end = text + length;
	const char *slash;
	const char *at;
	bool		known = false;

	for (const char *c = text; c < end; c++)
		if ((unsigned char) *c <= ' ' || *c == 0x7f)
			return refuse(failure, "has a space or a control character in it");
	for (size_t i = 0; !known && i < sizeof(schemes) / sizeof(schemes[0]); i++)
	{
		size_t prefix = strlen(schemes[i].prefix);

		known = length >= prefix && strncasecmp(text, schemes[i].prefix, prefix) == 0;
		if (known)
		{
			url->tls = schemes[i].tls;
			text += prefix;
		}
	}
	if (!known)
		return refuse(failure, "does not begin with redis:// or rediss://");
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
