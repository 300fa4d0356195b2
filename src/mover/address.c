/*
 * address.c
 *	  Judging addresses: every spelling of one leads to its bytes, and the bytes are judged.
 *
 * getaddrinfo() reads the spellings that the tools themselves would read
 * (2130706433, 0x7f.1, 127.1), because it is what they call.  IPv6 has ways to
 * carry an IPv4 address within it; that one is judged as well.
 */
#include "address.h"

#include <errno.h>
#include <ifaddrs.h>
#include <netdb.h>
#include <netinet/in.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

/* An IPv4 address inside an IPv6 one: the prefix, and where the four bytes stand. */
typedef struct Embedding
{
	unsigned char prefix[16];
	int			  prefix_bytes;
	int			  offset;
} Embedding;

static const Embedding embeddings[] = {
	{{0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xFF, 0xFF}, 12, 12}, /* ::ffff:0:0/96, v4-mapped */
	{{0}, 12, 12},										  /* ::/96, v4-compatible */
	{{0, 0, 0, 0, 0, 0, 0, 0, 0xFF, 0xFF}, 12, 12},		  /* ::ffff:0:0:0/96, v4-translated */
	{{0, 0x64, 0xFF, 0x9B}, 12, 12},					  /* 64:ff9b::/96, NAT64 */
	{{0, 0x64, 0xFF, 0x9B, 0, 1}, 6, 12},				  /* 64:ff9b:1::/48, local NAT64 */
	{{0x20, 0x02}, 2, 2},								  /* 2002::/16, 6to4 */
};

static bool
ipv4_is_local(const unsigned char *bytes)
{
	return bytes[0] == 0 ||						   /* this network */
		   bytes[0] == 127 ||					   /* loopback */
		   (bytes[0] == 169 && bytes[1] == 254) || /* link-local: cloud metadata too */
		   bytes[0] >= 224;						   /* multicast, reserved, broadcast */
}

/* Own address of an interface, loopback's neighbours and point-to-point ones included. */
static bool
is_own(int family, const void *bytes, size_t length)
{
	struct ifaddrs *list;
	bool			own = false;

	/* If the system will not tell, the rest of the judgement stands. */
	if (getifaddrs(&list) < 0)
		return false;
	for (const struct ifaddrs *entry = list; entry != NULL && !own; entry = entry->ifa_next)
	{
		const void *theirs;

		if (entry->ifa_addr == NULL || entry->ifa_addr->sa_family != family)
			continue;
		theirs = family == AF_INET
					 ? (const void *) &((const struct sockaddr_in *) entry->ifa_addr)->sin_addr
					 : (const void *) &((const struct sockaddr_in6 *) entry->ifa_addr)->sin6_addr;
		own = memcmp(theirs, bytes, length) == 0;
	}
	freeifaddrs(list);
	return own;
}

static bool
ipv6_is_local(const unsigned char *bytes)
{
	static const unsigned char loopback[16] = {[15] = 1};
	static const unsigned char unspecified[16];

	if (memcmp(bytes, loopback, 16) == 0 || memcmp(bytes, unspecified, 16) == 0)
		return true;
	if (bytes[0] == 0xFF || (bytes[0] == 0xFE && (bytes[1] & 0xC0) == 0x80)) /* multicast, fe80::/10 */
		return true;
	for (size_t i = 0; i < sizeof(embeddings) / sizeof(embeddings[0]); i++)
	{
		const Embedding *embedding = &embeddings[i];

		if (memcmp(bytes, embedding->prefix, (size_t) embedding->prefix_bytes) == 0 &&
			(ipv4_is_local(bytes + embedding->offset) || is_own(AF_INET, bytes + embedding->offset, 4)))
			return true;
	}
	return false;
}

bool
address_is_local(const struct sockaddr *sockaddr)
{
	if (sockaddr->sa_family == AF_INET)
	{
		const struct in_addr *address = &((const struct sockaddr_in *) sockaddr)->sin_addr;

		return ipv4_is_local((const unsigned char *) address) || is_own(AF_INET, address, sizeof(*address));
	}
	if (sockaddr->sa_family == AF_INET6)
	{
		const struct in6_addr *address = &((const struct sockaddr_in6 *) sockaddr)->sin6_addr;

		return ipv6_is_local(address->s6_addr) || is_own(AF_INET6, address, sizeof(*address));
	}
	/* A Unix socket, or something that we do not know: ours. */
	return true;
}

static bool
fill_address(const struct addrinfo *entry, Address *address)
{
	*address = (Address){.length = entry->ai_addrlen};
	memcpy(&address->sockaddr, entry->ai_addr, entry->ai_addrlen);
	return getnameinfo(entry->ai_addr, entry->ai_addrlen, address->text, sizeof(address->text), NULL, 0,
					   NI_NUMERICHOST) == 0;
}

static bool
judge_all(const char *host, const struct addrinfo *list, bool allow_local, Address *addresses, size_t *count,
		  Failure *failure)
{
	for (const struct addrinfo *entry = list; entry != NULL; entry = entry->ai_next)
	{
		Address *address = &addresses[*count];

		if (!fill_address(entry, address))
			return failure_set(failure, REASON_INTERNAL, "could not write the address of host \"%s\" as text",
							   host);
		if (!allow_local && address_is_local(entry->ai_addr))
			return failure_set(failure, REASON_BAD_URL,
							   "host \"%s\" has the address %s, which is this host's or its link's: a "
							   "customer's URL may not "
							   "lead there (custbackup.allow_local_targets)",
							   host, address->text);
		(*count)++;
	}
	return true;
}

static bool
is_port(const char *port)
{
	char		 *end;
	unsigned long number;

	if (*port < '0' || *port > '9')
		return false;
	number = strtoul(port, &end, 10);
	return *end == '\0' && number >= 1 && number <= 65535;
}

static bool
resolve(const char *host, const char *port, struct addrinfo **list, Failure *failure)
{
	const struct addrinfo hints = {
		.ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM, .ai_flags = AI_NUMERICSERV};
	int answer = getaddrinfo(host, port, &hints, list);

	if (answer == 0)
		return true;
	if (answer == EAI_MEMORY)
		return failure_no_memory(failure);
	if (answer == EAI_SYSTEM)
		return failure_set_errno(failure, REASON_UNREACHABLE, "could not look up host \"%s\"", host);
	return failure_set(failure, REASON_UNREACHABLE, "could not look up host \"%s\": %s", host,
					   gai_strerror(answer));
}

bool
address_resolve(const char *host, const char *port, bool allow_local, Address **addresses, size_t *count,
				Failure *failure)
{
	struct addrinfo *list;
	size_t			 entries = 1;
	bool			 good;

	*addresses = NULL;
	*count = 0;
	/* getaddrinfo() takes an empty name for loopback. */
	if (host == NULL || host[0] == '\0')
		return failure_set(failure, REASON_BAD_URL, "the URL names no host");
	if (port != NULL && !is_port(port))
		return failure_set(failure, REASON_BAD_URL, "\"%s\" is no port: a number from 1 to 65535 is", port);
	if (!resolve(host, port, &list, failure))
		return false;
	for (const struct addrinfo *entry = list->ai_next; entry != NULL; entry = entry->ai_next)
		entries++;
	*addresses = calloc(entries, sizeof(Address));
	good = *addresses != NULL ? judge_all(host, list, allow_local, *addresses, count, failure)
							  : failure_no_memory(failure);
	freeaddrinfo(list);
	if (!good)
	{
		free(*addresses);
		*addresses = NULL;
		*count = 0;
	}
	return good;
}
