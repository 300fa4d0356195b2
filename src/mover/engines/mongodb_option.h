/*
 * mongodb_option.h
 *	  The options of a MongoDB URL: which are heard, which passed over, which refused.
 */
#ifndef MONGODB_OPTION_H
#define MONGODB_OPTION_H

#include "engines/mongodb_url.h"

/* One option; names are heard in any case of letters. */
extern bool mongodb_option_set(MongodbUrl *url, const char *name, size_t length, const char *value,
							   Failure *failure);

/* Is it but what a TXT record of the DNS may say: authSource and replicaSet? */
extern bool mongodb_option_check_txt(const char *options);

/* Do they fit together? */
extern bool mongodb_options_check(const MongodbUrl *url, Failure *failure);

#endif
