/*
 * store_backends.h
 *	  What store.c's table names: one opener a kind of store.
 */
#ifndef STORE_BACKENDS_H
#define STORE_BACKENDS_H

#include "stores/store.h"

/* file:///absolute/directory; the directory is there and ours, the folders in it are made as needed. */
extern Store *store_file_open(const char *name, const char *url, const Settings *settings, Failure *failure);

#endif
