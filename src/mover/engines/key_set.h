/*
 * key_set.h
 *	  Which keys has a scan already given?
 *
 * SCAN may give a key twice, and a Redis that loads a file with a key in it twice
 * stops with a panic.  The set knows each key by 128 bits of its SHA-256.
 *
 * Within a budget of memory it knows all of them, and answers at once.  Beyond it they
 * stand one behind the other in a file without a name (spool.h), and a filter in
 * memory tells of nearly every new key that it is new.  The few that it cannot tell from
 * known ones are in doubt: the set keeps them until it settles, which reads the file
 * once for all of them.
 */
#ifndef KEY_SET_H
#define KEY_SET_H

#include <stdbool.h>
#include <stddef.h>

#include "failure.h"

typedef struct KeySet KeySet;

typedef enum KeyVerdict
{
	KEY_IS_NEW, /* and is in the set now */
	KEY_IS_KNOWN,
	KEY_IN_DOUBT /* the set has taken the key's memory over, also on failure */
} KeyVerdict;

/* memory: bytes that it may hold, keys in doubt apart; spool_dir is borrowed. */
extern KeySet *key_set_open(size_t memory, const char *spool_dir, Failure *failure);

/* key: malloc'ed. */
extern bool key_set_add(KeySet *set, char *key, size_t length, KeyVerdict *verdict, Failure *failure);

/* To be done when so much is in doubt that it is time, and at the end. */
extern bool key_set_should_settle(const KeySet *set);
extern bool key_set_settle(KeySet *set, Failure *failure);

/* After that: the next of those that were new.  *key is the caller's; false: there are no more. */
extern bool key_set_next_new(KeySet *set, char **key, size_t *length);
extern void key_set_close(KeySet *set);

/* Does it live in a file by now? */
extern bool key_set_is_spooled(const KeySet *set);

#endif
