/*
 * s3_authority.h
 *	  The host and port of an endpoint: 'host', 'host:port', '[IPv6]:port'.
 */
#ifndef S3_AUTHORITY_H
#define S3_AUTHORITY_H

#include <stdbool.h>

extern bool s3_authority_is_legal(const char *authority);

/* An IP address: nothing can stand in front of it. */
extern bool s3_authority_is_address(const char *authority);

/* Is it certainly this host itself, whatever a resolver says? */
extern bool s3_authority_is_loopback(const char *authority);

#endif
