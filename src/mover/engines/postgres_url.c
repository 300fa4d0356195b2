/*
 * postgres_url.c
 *	  libpq parses, so that we judge what it would do, not what we think it would.
 */
#include "postgres_url.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#include "text.h"

#define DEFAULT_PORT "5432"

/*
 * What a customer may set.  Everything else that libpq knows is refused, also
 * keywords that a later libpq may bring.
 */
static const char *const allowed_keywords[] = {
	"host",
	"port",
	"user",
	"password",
	"dbname",
	"sslmode",
	"sslsni",
	"ssl_min_protocol_version",
	"ssl_max_protocol_version",
	"channel_binding",
	"require_auth",
	"target_session_attrs",
	"load_balance_hosts",
	/* Without effect on us, and common in URLs that were made for applications. */
	"application_name",
	"fallback_application_name",
	"client_encoding",
	"connect_timeout",
	"gssencmode",
	"keepalives",
	"keepalives_idle",
	"keepalives_interval",
	"keepalives_count",
	"sslcompression",
	"tcp_user_timeout",
};

static bool
keyword_allowed(const char *keyword)
{
	for (size_t i = 0; i < sizeof(allowed_keywords) / sizeof(allowed_keywords[0]); i++)
	{
		if (strcmp(allowed_keywords[i], keyword) == 0)
			return true;
	}
	return false;
}

/*
 * Registers the password as it stands in the URL: between the first ':' of the
 * user information and its '@', or after "password=".  A URL too malformed for
 * libpq may hide it elsewhere; then the whole URL is what is scrubbed.
 */
static void
register_encoded_password(const char *after_scheme)
{
	size_t		user_information = strcspn(after_scheme, "@/");
	const char *colon = memchr(after_scheme, ':', user_information);
	const char *last_at = strrchr(after_scheme, '@');
	const char *parameter = strstr(after_scheme, "password=");

	if (after_scheme[user_information] == '@' && colon != NULL)
		secret_register(colon + 1, (size_t) (after_scheme + user_information - colon - 1));

	/* A password with an unescaped '/' or '@' ends, for its author, at the last '@'. */
	colon = strchr(after_scheme, ':');
	if (last_at != NULL && colon != NULL && colon < last_at)
		secret_register(colon + 1, (size_t) (last_at - colon - 1));
	if (parameter != NULL)
	{
		parameter += strlen("password=");
		secret_register(parameter, strcspn(parameter, "&"));
	}
}

/* What would make libpq's own message the only explanation: that one may repeat a password. */
static bool
check_characters(const Secret *text, Failure *failure)
{
	for (size_t i = 0; i < text->length; i++)
	{
		const unsigned char *at = (const unsigned char *) text->text + i;

		if (*at < 0x20 || *at == 0x7f)
			return failure_set(
				failure, REASON_BAD_URL,
				"the URL holds a line break or another control character: store it again without");
		if (*at == ' ')
			return failure_set(failure, REASON_BAD_URL, "the URL holds a space: write it as %%20");
		if (*at != '%')
			continue;
		if (!isxdigit(at[1]) || !isxdigit(at[2]))
			return failure_set(
				failure, REASON_BAD_URL,
				"the URL holds a %% that two hexadecimal digits do not follow: write a plain %% as %%25");
		if (at[1] == '0' && at[2] == '0')
			return failure_set(failure, REASON_BAD_URL, "the URL holds %%00, which Postgres cannot take");
	}
	return true;
}

static bool
keyword_known(const char *keyword)
{
	PQconninfoOption *known = PQconndefaults();
	bool			  found = strcmp(keyword, "ssl") == 0;

	for (PQconninfoOption *option = known; option != NULL && option->keyword != NULL && !found; option++)
		found = strcmp(option->keyword, keyword) == 0;
	PQconninfoFree(known);
	return found;
}

/*
 * libpq's own message may repeat a password.  A parameter is named only where its
 * name cannot be a piece of one: nothing but letters, after the one '@'.
 */
static bool
refuse_malformed(const char *after_scheme, Failure *failure)
{
	const char *query = strchr(after_scheme, '?');
	const char *at = strchr(after_scheme, '@');
	char		name[32];

	while (query != NULL && at != NULL && at < query && strchr(query, '@') == NULL)
	{
		const char *start = query + 1;
		size_t		length = strspn(start, "abcdefghijklmnopqrstuvwxyz_");

		snprintf(name, sizeof(name), "%.*s", (int) length, start);
		query = strchr(start, '&');
		if (length == 0 || start[length] != '=' || length >= sizeof(name) || keyword_allowed(name))
			continue;
		return failure_set(failure, REASON_BAD_URL,
						   keyword_known(name)
							   ? "the URL sets \"%s\", which a customer's URL may not: remove it"
							   : "the URL has the parameter \"%s\", which libpq does not know: remove it",
						   name);
	}
	return failure_set(
		failure, REASON_BAD_URL,
		"the URL is not of the form postgresql://user:password@host:port/database?parameter=value "
		"(in a user name or password, the characters : / ? # [ ] @ %% must be percent-encoded)");
}

static bool
check_keywords(const PostgresUrl *url, Failure *failure)
{
	for (PQconninfoOption *option = url->options; option->keyword != NULL; option++)
	{
		if (option->val == NULL || option->val[0] == '\0')
			continue;
		if (!keyword_allowed(option->keyword))
			return failure_set(failure, REASON_BAD_URL,
							   "the URL sets \"%s\", which a customer's URL may not: remove it",
							   option->keyword);
		if (strcmp(option->keyword, "password") != 0 && text_has_control_character(option->val))
			return failure_set(failure, REASON_BAD_URL,
							   "the URL's \"%s\" holds a line break or another control character",
							   option->keyword);
	}
	return true;
}

/*
 * Names (also those that are not ASCII) and addresses, with a zone.  Above all no
 * '@': where a password holds one unescaped, its rest stands here, and hosts are
 * named in messages.
 */
static bool
looks_like_host(const char *host, size_t length)
{
	for (size_t i = 0; i < length; i++)
	{
		unsigned char c = (unsigned char) host[i];

		if (c < 0x80 && !isalnum(c) && strchr("._-:%", c) == NULL)
			return false;
	}
	return true;
}

static bool
add_place(PostgresUrl *url, const char *host, size_t host_length, const char *port, size_t port_length,
		  Failure *failure)
{
	PostgresPlace *place = &url->places[url->place_count];
	long		   number = 0;

	if (host_length == 0)
		return failure_set(
			failure, REASON_BAD_URL,
			"the URL names no host (or an empty one in its list), which would mean a socket of this machine");
	if (host[0] == '/' || host[0] == '@')
		return failure_set(failure, REASON_BAD_URL,
						   "the URL names a Unix socket, which is on this machine and never a customer's");
	if (!looks_like_host(host, host_length))
		return failure_set(failure, REASON_BAD_URL,
						   "the URL's host holds a character that no host's name has (in a user name or "
						   "password, the characters : / ? # [ ] @ %% must be percent-encoded)");
	for (size_t i = 0; i < port_length && number <= 65535; i++)
		number = isdigit((unsigned char) port[i]) ? number * 10 + (port[i] - '0') : 65536;
	if (port_length > 0 && (number < 1 || number > 65535))
		return failure_set(failure, REASON_BAD_URL, "the URL's port is not a number from 1 to 65535");
	place->host = strndup(host, host_length);
	if (place->host == NULL)
		return failure_no_memory(failure);
	url->place_count++;
	snprintf(place->port, sizeof(place->port), "%ld", port_length > 0 ? number : atol(DEFAULT_PORT));
	return true;
}

/* Hosts and ports are lists; one port serves all hosts. */
static bool
split_places(PostgresUrl *url, Failure *failure)
{
	const char *host = postgres_url_option(url, "host");
	const char *ports = postgres_url_option(url, "port");
	const char *port = ports = ports != NULL ? ports : "";

	if (host == NULL)
		host = "";
	for (;;)
	{
		size_t host_length = strcspn(host, ",");
		size_t port_length = strcspn(port, ",");

		if (url->place_count == POSTGRES_URL_MAX_HOSTS)
			return failure_set(failure, REASON_BAD_URL, "the URL lists more than %d hosts",
							   POSTGRES_URL_MAX_HOSTS);
		if (!add_place(url, host, host_length, port, port_length, failure))
			return false;
		if (host[host_length] == '\0')
		{
			if (strchr(ports, ',') != NULL && port[port_length] != '\0')
				return failure_set(failure, REASON_BAD_URL, "the URL lists more ports than hosts");
			return true;
		}
		host += host_length + 1;
		if (port[port_length] == ',')
			port += port_length + 1;
		else if (strchr(ports, ',') != NULL)
			return failure_set(failure, REASON_BAD_URL, "the URL lists fewer ports than hosts");
	}
}

static bool
take_identity(PostgresUrl *url, Failure *failure)
{
	const char *user = postgres_url_option(url, "user");
	const char *database = postgres_url_option(url, "dbname");
	const char *password = postgres_url_option(url, "password");

	if (user == NULL)
		return failure_set(failure, REASON_BAD_URL,
						   "the URL names no role: write postgresql://role:password@host/database");
	url->user = strdup(user);
	/* libpq's own default, made explicit: the tools must not look elsewhere. */
	url->database = strdup(database != NULL ? database : user);
	if (url->user == NULL || url->database == NULL)
		return failure_no_memory(failure);
	if (password == NULL)
		return true;
	secret_register(password, strlen(password));
	if (strpbrk(password, "\r\n") != NULL)
		return failure_set(
			failure, REASON_BAD_URL,
			"the password holds a line break, which libpq's password file cannot carry: choose another");
	return secret_copy(&url->password, password, strlen(password), failure);
}

bool
postgres_url_parse(PostgresUrl *url, const Secret *text, Failure *failure)
{
	const char *after_scheme = NULL;
	char	   *message = NULL;

	memset(url, 0, sizeof(*url));
	if (text->text != NULL && strncmp(text->text, "postgres://", 11) == 0)
		after_scheme = text->text + 11;
	else if (text->text != NULL && strncmp(text->text, "postgresql://", 13) == 0)
		after_scheme = text->text + 13;
	if (after_scheme == NULL)
		return failure_set(failure, REASON_BAD_URL,
						   "the connection URL does not begin with postgresql:// or postgres://");
	register_encoded_password(after_scheme);
	if (strlen(text->text) != text->length)
		return failure_set(failure, REASON_BAD_URL, "the URL holds a zero byte");
	if (!check_characters(text, failure))
		return false;

	url->options = PQconninfoParse(text->text, &message);
	PQfreemem(message);
	if (url->options == NULL)
		return refuse_malformed(after_scheme, failure);
	if (!check_keywords(url, failure) || !take_identity(url, failure) || !split_places(url, failure))
	{
		postgres_url_free(url);
		return false;
	}
	return true;
}

const char *
postgres_url_option(const PostgresUrl *url, const char *keyword)
{
	for (PQconninfoOption *option = url->options; option->keyword != NULL; option++)
	{
		if (strcmp(option->keyword, keyword) == 0)
			return option->val != NULL && option->val[0] != '\0' ? option->val : NULL;
	}
	return NULL;
}

/* libpq frees its array without wiping it: the password in it is wiped here. */
void
postgres_url_free(PostgresUrl *url)
{
	for (PQconninfoOption *option = url->options; option != NULL && option->keyword != NULL; option++)
	{
		if (option->val != NULL && strcmp(option->keyword, "password") == 0)
			explicit_bzero(option->val, strlen(option->val));
	}
	PQconninfoFree(url->options);
	for (size_t i = 0; i < url->place_count; i++)
		free(url->places[i].host);
	free(url->user);
	free(url->database);
	secret_free(&url->password);
	memset(url, 0, sizeof(*url));
}
