/*
 * url_parts.h
 *	  What the URLs of MongoDB and Redis have in common: scheme, password, host and port.
 *
 * What is wrong is handed to `refuse`, the reader's own, which says of what URL, and
 * what was expected.
 */
#ifndef URL_PARTS_H
#define URL_PARTS_H

#include <stdbool.h>
#include <stddef.h>

#include "failure.h"
#include "secret.h"

/* Sets the failure; returns false. */
typedef bool (*UrlRefuse)(Failure *failure, const char *what);

typedef struct UrlScheme
{
	const char *prefix; /* "redis://"; NULL ends a list */
	bool		other;	/* what the reader tells two kinds apart by */
} UrlScheme;

typedef struct UrlPlace
{
	char *host; /* without brackets */
	char  port[6];
} UrlPlace;

/* The scheme that the text begins with, in any case; NULL: none of them. */
extern const UrlScheme *url_scheme_of(const UrlScheme *schemes, const char *text, size_t length);

/* A URL is one word. */
extern bool url_check_characters(const char *text, size_t length, UrlRefuse refuse, Failure *failure);

/* A copy, percent-decoded; NULL with the failure set where it does not decode, or has a zero byte in it. */
extern char *url_decoded_copy(const char *text, size_t length, const char *complaint, UrlRefuse refuse,
							  Failure *failure);

/* Percent-decoded to any bytes.  It is registered for scrubbing as it stands there, and as it is. */
extern bool url_take_password(Secret *password, const char *text, size_t length, UrlRefuse refuse,
							  Failure *failure);

/* "host", "host:port", "[address]", "[address]:port".  place->host is to be freed. */
extern bool url_place_parse(UrlPlace *place, const char *text, size_t length, const char *default_port,
							UrlRefuse refuse, Failure *failure);

#endif
