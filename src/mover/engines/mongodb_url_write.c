/*
 * mongodb_url_write.c
 *	  A URL for libmongoc and the tools, made from the parts that were judged.
 */
#include "engines/mongodb_url.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "engines/bytes.h"

/* For one server to answer; between them the tools wait as long as it takes. */
#define CONNECT_MS "10000"
#define ROOM	   2048 /* for host, database and what has a fixed length */

static bool
put(Bytes *to, const char *text, Failure *failure)
{
	return bytes_append(to, text, strlen(text), failure);
}

/* Everything but what RFC 3986 never gives a meaning to: so the text can stand in YAML too. */
static bool
put_encoded(Bytes *to, const char *text, size_t length, Failure *failure)
{
	char hex[4];

	for (size_t i = 0; i < length; i++)
	{
		unsigned char c = (unsigned char) text[i];

		if (isascii(c) && (isalnum(c) || strchr("-._~", c) != NULL))
			snprintf(hex, sizeof(hex), "%c", c);
		else
			snprintf(hex, sizeof(hex), "%%%02X", c);
		if (!put(to, hex, failure))
			return false;
	}
	return true;
}

static bool
put_user(Bytes *to, const MongodbUrl *url, Failure *failure)
{
	size_t password_at;

	if (url->user == NULL)
		return true;
	if (!put_encoded(to, url->user, strlen(url->user), failure) || !put(to, ":", failure))
		return false;
	password_at = to->length;
	if (!put_encoded(to, url->password.text, url->password.length, failure))
		return false;
	/* A third spelling, beside the customer's and the plain one. */
	secret_register((const char *) to->data + password_at, to->length - password_at);
	return put(to, "@", failure);
}

/* Where nothing is said the log-in is by the URL's database, even if that stands no more in it. */
static const char *
auth_source(const MongodbUrl *url)
{
	if (url->auth_source != NULL)
		return url->auth_source;
	if (url->auth_mechanism != NULL && strcmp(url->auth_mechanism, "PLAIN") == 0)
		return "$external";
	return url->database != NULL ? url->database : "admin";
}

static bool
put_option(Bytes *to, const char *name, const char *value, Failure *failure)
{
	return put(to, "&", failure) && put(to, name, failure) && put(to, "=", failure) &&
		   put_encoded(to, value, strlen(value), failure);
}

static bool
put_tls(Bytes *to, const MongodbUrl *url, const Settings *settings, Failure *failure)
{
	if (!url->tls)
		return put_option(to, "tls", "false", failure);
	return put_option(to, "tls", "true", failure) &&
		   (!url->tls_insecure || put_option(to, "tlsInsecure", "true", failure)) &&
		   (url->tls_insecure || settings->ca_file == NULL ||
			put_option(to, "tlsCAFile", settings->ca_file, failure));
}

static bool
put_all(Bytes *to, const MongodbUrl *url, const Settings *settings, const char *host, const char *port,
		bool with_database, Failure *failure)
{
	bool is_address6 = strchr(host, ':') != NULL;

	return put(to, "mongodb://", failure) && put_user(to, url, failure) &&
		   put(to, is_address6 ? "[" : "", failure) && put(to, host, failure) &&
		   put(to, is_address6 ? "]:" : ":", failure) && put(to, port, failure) && put(to, "/", failure) &&
		   (!with_database || url->database == NULL ||
			put_encoded(to, url->database, strlen(url->database), failure)) &&
		   put(to,
			   "?directConnection=true&connectTimeoutMS=" CONNECT_MS "&serverSelectionTimeoutMS=" CONNECT_MS,
			   failure) &&
		   (url->user == NULL || put_option(to, "authSource", auth_source(url), failure)) &&
		   (url->auth_mechanism == NULL || put_option(to, "authMechanism", url->auth_mechanism, failure)) &&
		   (url->preference == MONGODB_PRIMARY ||
			put_option(to, "readPreference", "secondaryPreferred", failure)) &&
		   put_tls(to, url, settings, failure);
}

bool
mongodb_url_write(const MongodbUrl *url, const Settings *settings, const char *host, const char *port,
				  bool with_database, Secret *text, Failure *failure)
{
	size_t names = url->password.length + (url->user != NULL ? strlen(url->user) : 0) +
				   (url->auth_source != NULL ? strlen(url->auth_source) : 0) +
				   (settings->ca_file != NULL ? strlen(settings->ca_file) : 0);
	Bytes bytes = {0};
	/* Room for all of it at once: growing would leave copies of the password in freed memory. */
	bool good = bytes_reserve(&bytes, ROOM + 3 * names, failure) &&
				put_all(&bytes, url, settings, host, port, with_database, failure) &&
				secret_copy(text, (const char *) bytes.data, bytes.length, failure);

	if (bytes.data != NULL)
		explicit_bzero(bytes.data, bytes.length);
	bytes_free(&bytes);
	return good;
}
