/*
 * store_backends.h
 *	  What store.c's table names: one opener a kind of store.
 */
#ifndef STORE_BACKENDS_H
#define STORE_BACKENDS_H

#include "stores/store.h"

/* file:///absolute/directory; the directory is there and ours, the folders in it are made as needed. */
extern Store *store_file_open(const char *name, const char *url, const Settings *settings, Failure *failure);

/* s3://bucket/prefix?option=value; name: the store's, for its profile of credentials. */
extern Store *store_s3_open(const char *name, const char *url, const Settings *settings, Failure *failure);

#endif
