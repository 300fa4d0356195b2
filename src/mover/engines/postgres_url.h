/*
 * postgres_url.h
 *	  A customer's connection URL: parsed by libpq, judged by us.
 *
 * postgres:// and postgresql:// only, as libpq documents them (section "Connection
 * URIs"), several hosts included.  What a customer may set is an allow-list: a
 * keyword that reads a local file, runs as somebody, or changes what the tools do
 * is refused by name.  Sockets are refused here; addresses are judged when they
 * are resolved (postgres_connect.c).
 *
 * The password is registered for scrubbing before anything can fail, as it is and
 * as it stands in the URL.  No message repeats a part of the URL that could be a
 * piece of a password.
 */
#ifndef POSTGRES_URL_H
#define POSTGRES_URL_H

#include <stdbool.h>
#include <stddef.h>

#include <libpq-fe.h>

#include "failure.h"
#include "secret.h"

#define POSTGRES_URL_MAX_HOSTS 32

typedef struct PostgresPlace
{
	char *host; /* a name or a literal address, as in the URL */
	char  port[6];
} PostgresPlace;

typedef struct PostgresUrl
{
	PostgresPlace	  places[POSTGRES_URL_MAX_HOSTS];
	size_t			  place_count;
	char			 *user;
	char			 *database;
	Secret			  password; /* text NULL: none */
	PQconninfoOption *options;	/* libpq's own array, for the other keywords */
} PostgresUrl;

/* REASON_BAD_URL with one sentence a cause.  On failure there is nothing to free. */
extern bool postgres_url_parse(PostgresUrl *url, const Secret *text, Failure *failure);

/* What the URL says about a keyword of the allow-list; NULL: nothing. */
extern const char *postgres_url_option(const PostgresUrl *url, const char *keyword);
extern void		   postgres_url_free(PostgresUrl *url);

#endif
