/*
 * s3_authority.c
 *	  The host and port of an endpoint.
 */
#include "stores/s3_authority.h"

#include <stdlib.h>
#include <string.h>

#include <arpa/inet.h>

/* Copies the host into a buffer, without brackets and port; false: it does not fit or is none. */
static bool
host_of(const char *authority, char *host, size_t capacity, bool *is_ipv6)
{
	const char *end;

	*is_ipv6 = authority[0] == '[';
	if (*is_ipv6)
		authority++;
	end = authority + strcspn(authority, *is_ipv6 ? "]" : ":");
	if (end == authority || (size_t) (end - authority) >= capacity || (*is_ipv6 && *end != ']'))
		return false;
	memcpy(host, authority, (size_t) (end - authority));
	host[end - authority] = '\0';
	return true;
}

bool
s3_authority_is_loopback(const char *authority)
{
	char			host[256];
	bool			is_ipv6;
	struct in_addr	v4;
	struct in6_addr v6;

	if (!host_of(authority, host, sizeof(host), &is_ipv6))
		return false;
	if (is_ipv6)
		return inet_pton(AF_INET6, host, &v6) == 1 && IN6_IS_ADDR_LOOPBACK(&v6);
	/* libcurl itself answers for localhost. */
	return strcmp(host, "localhost") == 0 ||
		   (inet_pton(AF_INET, host, &v4) == 1 && ntohl(v4.s_addr) >> 24 == 127);
}

bool
s3_authority_is_address(const char *authority)
{
	char		   host[256];
	bool		   is_ipv6;
	struct in_addr v4;

	return host_of(authority, host, sizeof(host), &is_ipv6) &&
		   (is_ipv6 || inet_pton(AF_INET, host, &v4) == 1);
}

bool
s3_authority_is_legal(const char *authority)
{
	char			host[256];
	bool			is_ipv6;
	struct in6_addr v6;
	const char	   *port;
	size_t			length;

	if (!host_of(authority, host, sizeof(host), &is_ipv6))
		return false;
	if (is_ipv6 && inet_pton(AF_INET6, host, &v6) != 1)
		return false;
	if (!is_ipv6 &&
		strspn(host, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.-_") != strlen(host))
		return false;
	port = authority + strlen(host) + (is_ipv6 ? 2 : 0);
	if (*port == '\0')
		return true;
	if (*port++ != ':')
		return false;
	length = strlen(port);
	return length >= 1 && length <= 5 && strspn(port, "0123456789") == length && atoi(port) >= 1 &&
		   atoi(port) <= 65535;
}
