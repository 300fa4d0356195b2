/*
 * mongodb_url.c
 *	  Reading a customer's URL.  Specified in MongoDB's manual, "Connection Strings".
 */
#include "engines/mongodb_url.h"

#include <stdlib.h>
#include <string.h>

#include "engines/mongodb_option.h"

#define DEFAULT_PORT	 "27017"
#define DATABASE_MAX	 63
#define SRV_LABELS_MIN	 3
#define NOT_IN_DATABASES "/\\. \"$*<>:|?"

static const UrlScheme schemes[] = {{"mongodb://", false}, {"mongodb+srv://", true}, {0}};

static bool
refuse(Failure *failure, const char *what)
{
	failure_set(
		failure, REASON_BAD_URL,
		"the MongoDB URL %s; expected is mongodb[+srv]://user:password@host[:port][,...]/database[?options]",
		what);
	return false;
}

static char *
decoded_copy(const char *text, size_t length, const char *complaint, Failure *failure)
{
	return url_decoded_copy(text, length, complaint, refuse, failure);
}

static bool
parse_user_and_password(MongodbUrl *url, const char *text, size_t length, Failure *failure)
{
	const char *colon = memchr(text, ':', length);

	if (colon == NULL || colon == text || colon + 1 == text + length)
		return refuse(failure, "has a user without a password, or a password without a user");
	if (!url_take_password(&url->password, colon + 1, length - (size_t) (colon + 1 - text), refuse, failure))
		return false;
	if (strlen(url->password.text) != url->password.length)
		return refuse(failure, "has a zero byte in its password, which MongoDB's have not");
	url->user = decoded_copy(text, (size_t) (colon - text), "has a user name that does not decode", failure);
	return url->user != NULL;
}

bool
mongodb_place_parse(UrlPlace *place, const char *text, size_t length, Failure *failure)
{
	if (memchr(text, '%', length) != NULL)
		return refuse(failure, "names a Unix socket, or a host with a '%' in it, which is not allowed");
	return url_place_parse(place, text, length, DEFAULT_PORT, refuse, failure);
}

bool
mongodb_url_add_place(MongodbUrl *url, const UrlPlace *place, Failure *failure)
{
	UrlPlace *added = &url->places[url->place_count];

	for (size_t i = 0; i < url->place_count; i++)
		if (strcasecmp(url->places[i].host, place->host) == 0 &&
			strcmp(url->places[i].port, place->port) == 0)
			return true;
	if (url->place_count == MONGODB_MAX_HOSTS)
		return refuse(failure, "leads to more than 50 hosts");
	*added = *place;
	added->host = strdup(place->host);
	if (added->host == NULL)
		return failure_no_memory(failure);
	url->place_count++;
	return true;
}

static bool
parse_hosts(MongodbUrl *url, const char *text, size_t length, Failure *failure)
{
	const char *end = text + length;

	for (const char *next; text <= end; text = next + 1)
	{
		UrlPlace place;
		bool	 added;

		next = memchr(text, ',', (size_t) (end - text));
		if (next == NULL)
			next = end;
		if (!mongodb_place_parse(&place, text, (size_t) (next - text), failure))
			return false;
		added = mongodb_url_add_place(url, &place, failure);
		free(place.host);
		if (!added)
			return false;
		if (url->srv && (memchr(text, ':', (size_t) (next - text)) != NULL || next != end))
			return refuse(failure, "asks the DNS (+srv) and so may name one host alone, without a port");
	}
	return true;
}

/* The answers must stand below the name's own domain, so the name needs one. */
static bool
check_srv_name(const MongodbUrl *url, Failure *failure)
{
	int labels = 1;

	for (const char *c = url->places[0].host; url->srv && *c != '\0'; c++)
		labels += *c == '.' && c[1] != '\0' && c[1] != '.';
	return !url->srv || labels >= SRV_LABELS_MIN ||
		   refuse(failure, "asks the DNS (+srv) for a name of fewer than three parts");
}

static bool
parse_database(MongodbUrl *url, const char *text, size_t length, Failure *failure)
{
	if (length == 0)
		return true;
	url->database = decoded_copy(text, length, "has a database's name that does not decode", failure);
	if (url->database == NULL)
		return false;
	if (strlen(url->database) > DATABASE_MAX || strpbrk(url->database, NOT_IN_DATABASES) != NULL)
		return refuse(failure, "names a database as MongoDB has none");
	if (strcmp(url->database, "config") == 0 || strcmp(url->database, "local") == 0)
		return refuse(failure, "names a database of MongoDB's own, where no customer's data stands");
	return true;
}

static bool
parse_options(MongodbUrl *url, const char *text, size_t length, Failure *failure)
{
	const char *end = text + length;

	for (const char *next; text < end; text = next + 1)
	{
		const char *equals;
		char	   *value;
		bool		good;

		next = memchr(text, '&', (size_t) (end - text));
		if (next == NULL)
			next = end;
		if (next == text)
			continue;
		equals = memchr(text, '=', (size_t) (next - text));
		if (equals == NULL)
			return refuse(failure, "has an option without a value (write '?' in a password as %3F)");
		value = decoded_copy(equals + 1, (size_t) (next - equals - 1),
							 "has an option whose value does not decode", failure);
		if (value == NULL)
			return false;
		good = mongodb_option_set(url, text, (size_t) (equals - text), value, failure);
		free(value);
		if (!good)
			return false;
	}
	return true;
}

static bool
parse(MongodbUrl *url, const char *text, size_t length, Failure *failure)
{
	const char		*end = text + length;
	const char		*query;
	const char		*slash;
	const char		*at;
	const UrlScheme *scheme = url_scheme_of(schemes, text, length);

	if (!url_check_characters(text, length, refuse, failure))
		return false;
	if (scheme == NULL)
		return refuse(failure, "does not begin with mongodb:// or mongodb+srv://");
	url->srv = url->tls = scheme->other;
	text += strlen(scheme->prefix);
	query = memchr(text, '?', (size_t) (end - text));
	query = query != NULL ? query : end;
	if (memchr(query, '@', (size_t) (end - query)) != NULL)
		return refuse(failure, "has an '@' among its options (write '?' in a password as %3F)");
	/* People paste passwords as they are: the last '@' ends the user's part. */
	at = memrchr(text, '@', (size_t) (query - text));
	if (at != NULL && !parse_user_and_password(url, text, (size_t) (at - text), failure))
		return false;
	text = at != NULL ? at + 1 : text;
	slash = memchr(text, '/', (size_t) (query - text));
	slash = slash != NULL ? slash : query;
	if (!parse_hosts(url, text, (size_t) (slash - text), failure) || !check_srv_name(url, failure))
		return false;
	if (slash < query && !parse_database(url, slash + 1, (size_t) (query - slash - 1), failure))
		return false;
	return query == end || parse_options(url, query + 1, (size_t) (end - query - 1), failure);
}

bool
mongodb_url_parse(MongodbUrl *url, const Secret *text, Failure *failure)
{
	*url = (MongodbUrl){0};
	if (parse(url, text->text, text->length, failure) && mongodb_options_check(url, failure))
		return true;
	mongodb_url_free(url);
	return false;
}

void
mongodb_url_free(MongodbUrl *url)
{
	for (size_t i = 0; i < url->place_count; i++)
		free(url->places[i].host);
	free(url->user);
	secret_free(&url->password);
	free(url->database);
	free(url->auth_source);
	free(url->auth_mechanism);
	free(url->replica_set);
	free(url->srv_service);
	*url = (MongodbUrl){0};
}

static void
set_default(char **field, char **value)
{
	if (*field != NULL)
		return;
	*field = *value;
	*value = NULL;
}

bool
mongodb_url_add_default(MongodbUrl *url, const char *options, Failure *failure)
{
	MongodbUrl added = {0};
	bool	   good;

	if (!mongodb_option_check_txt(options))
		return refuse(failure, "leads to a TXT record that says more than authSource and replicaSet");
	good = parse_options(&added, options, strlen(options), failure);
	if (good)
	{
		set_default(&url->auth_source, &added.auth_source);
		set_default(&url->replica_set, &added.replica_set);
	}
	mongodb_url_free(&added);
	return good;
}
