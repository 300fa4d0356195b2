/*
 * mongodb_url.h
 *	  mongodb://[user:password@]host[:port],...[/database][?options] and mongodb+srv://.
 *
 * Nothing of a customer's URL is handed to a tool as it stands: it is taken apart here,
 * and what the tools get is written anew from the parts (mongodb_url_write()), for the
 * one server that was judged and has answered.
 *
 * Options are an allow-list.  Those that concern an application's driver (pools,
 * timeouts, write concern) are passed over; those that read a local file, or log in as
 * this machine, are refused by name; any other is refused without repeating it, since it
 * may be the rest of a password with a '?' in it.
 *
 * TLS is verified against settings.ca_file or the system's authorities; a URL may
 * switch the verification off (tlsInsecure and its kin: a server with a certificate
 * of its own making), never name a file.
 */
#ifndef MONGODB_URL_H
#define MONGODB_URL_H

#include <stdbool.h>
#include <stddef.h>

#include "engines/url_parts.h"
#include "failure.h"
#include "secret.h"
#include "settings.h"

#define MONGODB_MAX_HOSTS 50

typedef enum MongodbPreference
{
	MONGODB_PRIMARY,
	MONGODB_PRIMARY_PREFERRED,
	MONGODB_SECONDARY,
	MONGODB_SECONDARY_PREFERRED,
	MONGODB_NEAREST
} MongodbPreference;

typedef struct MongodbUrl
{
	bool			  srv; /* the one place is a name to ask the DNS about */
	UrlPlace		  places[MONGODB_MAX_HOSTS];
	size_t			  place_count;
	char			 *user;		/* NULL: none */
	Secret			  password; /* text NULL: none */
	char			 *database; /* NULL: all that the user may read */
	char			 *auth_source;
	char			 *auth_mechanism; /* NULL: what the server offers */
	char			 *replica_set;
	char			 *srv_service; /* NULL: mongodb */
	MongodbPreference preference;
	bool			  preference_said; /* not merely the default; so are the others */
	bool			  direct;		   /* this very server, whatever it is */
	bool			  direct_said;
	bool			  tls;
	bool			  tls_said;
	bool			  tls_insecure;
} MongodbUrl;

/* REASON_BAD_URL says what is wrong, never the password.  Registers it for scrubbing.  On failure *url is empty. */
extern bool mongodb_url_parse(MongodbUrl *url, const Secret *text, Failure *failure);
extern void mongodb_url_free(MongodbUrl *url);

/* "host", "host:port", "[address]:port"; as in a URL and in what a replica set says of its members. */
extern bool mongodb_place_parse(UrlPlace *place, const char *text, size_t length, Failure *failure);

/* Adds a copy; a place that is there already is passed over. */
extern bool mongodb_url_add_place(MongodbUrl *url, const UrlPlace *place, Failure *failure);

/* What a TXT record of the DNS adds: authSource and replicaSet, before the URL's own options. */
extern bool mongodb_url_add_default(MongodbUrl *url, const char *options, Failure *failure);

/*
 * A URL for one server, at `host` (a name, or an address without brackets).
 * with_database false: without its database, which the log-in does not depend on.
 */
extern bool mongodb_url_write(const MongodbUrl *url, const Settings *settings, const char *host,
							  const char *port, bool with_database, Secret *text, Failure *failure);

#endif
