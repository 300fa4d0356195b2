/*
 * mongodb_srv.h
 *	  mongodb+srv://: the servers of a URL stand in the DNS, as SRV records of
 *	  _mongodb._tcp.NAME, and a TXT record of NAME may say authSource and replicaSet.
 *
 * Every server must stand below NAME's own domain (its last parts without the first one),
 * as the drivers demand.  Their addresses are judged later, as any host's.
 */
#ifndef MONGODB_SRV_H
#define MONGODB_SRV_H

#include <stdbool.h>
#include <stddef.h>

#include "engines/mongodb_url.h"

/* Puts the servers in the place of the name.  REASON_UNREACHABLE: the DNS has no answer. */
extern bool mongodb_srv_resolve(MongodbUrl *url, Failure *failure);

/* The two answers of the DNS, raw; for the tests. */
extern bool mongodb_srv_read(MongodbUrl *url, const unsigned char *answer, size_t length, Failure *failure);
extern bool mongodb_srv_read_txt(MongodbUrl *url, const unsigned char *answer, size_t length,
								 Failure *failure);

#endif
