/*
 * object_key.h
 *	  The names of objects: '<token>/<backup-id>.dump.gz', '<token>/<backup-id>-2.dump.gz'
 *	  for a second attempt, and beside each its manifest, the same with '.json'.
 */
#ifndef OBJECT_KEY_H
#define OBJECT_KEY_H

#include <stdbool.h>
#include <stddef.h>

#include "failure.h"

/* Holds any key of our pattern: a token of at most 200 bytes, a uuid, an attempt's number. */
#define OBJECT_KEY_SIZE 288

/* Not empty, at most 200 bytes, letters, digits and '._-' only, not beginning with '.'. */
extern bool object_token_is_safe(const char *token);

/* Exactly of our pattern: a safe token, a uuid in small letters, an attempt's number from 2, '.dump.gz' or '.json'. */
extern bool object_key_is_safe(const char *key);

/* 't/id-2.dump.gz' -> 't/id-2.json'; false where it does not fit or is none. */
extern bool object_manifest_key(const char *object_key, char *buffer, size_t capacity);

/* The same for a key that a job names; a failure (config) where it has no manifest. */
extern bool object_manifest_key_of_job(const char *object_key, char buffer[OBJECT_KEY_SIZE],
									   Failure *failure);

#endif
