/*
 * key_set.h
 *	  Which keys has a scan already given?
 *
 * SCAN may give a key twice, and a Redis that loads a file with a key in it twice
 * stops with a panic.  The set holds 128 bits of each key's SHA-256; beyond a budget
 * of memory it lives in a file without a name (spool.h).
 */
#ifndef KEY_SET_H
#define KEY_SET_H

#include <stdbool.h>
#include <stddef.h>

#include "failure.h"

typedef struct KeySet KeySet;

/* memory: bytes that it may hold; spool_dir is borrowed. */
extern KeySet *key_set_open(size_t memory, const char *spool_dir, Failure *failure);

/* *is_new: the key was not in the set; now it is. */
extern bool key_set_add(KeySet *set, const void *key, size_t length, bool *is_new, Failure *failure);
extern void key_set_close(KeySet *set);

/* Does it live in a file by now? */
extern bool key_set_is_spooled(const KeySet *set);

#endif
