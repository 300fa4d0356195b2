/*
 * redis_url.h
 *	  redis://[[user]:password@]host[:port][/database], rediss:// with TLS; valkey:// and
 *	  valkeys:// are the same.
 *
 * User and password are percent-decoded to any bytes.  What nobody here
 * understands is refused rather than passed over: parameters, fragments, sockets.
 * A URL that names a database concerns that database alone.
 */
#ifndef REDIS_URL_H
#define REDIS_URL_H

#include <stdbool.h>

#include "failure.h"
#include "secret.h"

#define REDIS_ALL_DATABASES (-1)

typedef struct RedisUrl
{
	bool   tls;
	char  *host; /* without brackets */
	char   port[6];
	char  *user;	 /* NULL: none */
	Secret password; /* text NULL: none */
	int	   database; /* REDIS_ALL_DATABASES: none was named */
} RedisUrl;

/* REASON_BAD_URL names what is wrong, never the password.  Registers it for scrubbing.  On failure *url is empty. */
extern bool redis_url_parse(const char *text, size_t length, RedisUrl *url, Failure *failure);
extern void redis_url_free(RedisUrl *url);

#endif
