/*
 * address.h
 *	  May a customer's URL lead to this address?
 *
 * The tools run as the server's own user, so a URL that names this host would
 * open the control database itself.  Every address that a name resolves to is
 * judged, and the one that was judged is pinned: what the tool connects to is an
 * address from here, never a name that could resolve anew.
 *
 * Refused unless allow_local_targets: loopback, link-local, 0.0.0.0/8, ::,
 * multicast and broadcast, every address that this host's own interfaces have,
 * and all these inside an IPv6 address (v4-mapped, NAT64, 6to4 and the like).  A Unix socket is refused always, by whoever parses the URL.
 */
#ifndef ADDRESS_H
#define ADDRESS_H

#include <stdbool.h>
#include <stddef.h>

#include <sys/socket.h>

#include "failure.h"

#define ADDRESS_TEXT_SIZE 64

typedef struct Address
{
	struct sockaddr_storage sockaddr; /* with the port in it */
	socklen_t				length;
	char					text[ADDRESS_TEXT_SIZE]; /* numeric, without brackets or port */
} Address;

/*
 * port: digits, or NULL for none.
 * Resolves host (a name or a literal in any spelling) and judges every address.
 * One that is refused fails the whole host: REASON_BAD_URL.  A name that does not
 * resolve: REASON_UNREACHABLE.  *addresses is malloc'ed, in the resolver's order.
 */
extern bool address_resolve(const char *host, const char *port, bool allow_local, Address **addresses,
							size_t *count, Failure *failure);

/* The judgement alone, for tests and for answers that came another way (SRV). */
extern bool address_is_local(const struct sockaddr *sockaddr);

#endif
