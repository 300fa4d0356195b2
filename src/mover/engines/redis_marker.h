/*
 * redis_marker.h
 *	  The keys by which a restore marks the databases that it fills and leaves.
 *
 * A spare database is marked before anything else is written to it.  With the
 * swap the marker moves along and is renamed, so that afterwards the database
 * that holds what was there before is marked, and the marker's name tells on
 * which side of the commit it was made.  The next restore sweeps what it
 * finds; a backup, and a restore from such a backup, pass over it.
 *
 * A restore that has to write into the live database itself keeps the third
 * marker there until it is done.
 *
 * The value is "<resource's id> <attempt's id>".
 */
#ifndef REDIS_MARKER_H
#define REDIS_MARKER_H

#include <stdbool.h>
#include <stddef.h>
#include <string.h>

#define REDIS_MARKER_FILLING	"custbackup:spare:filling:5f0c7a9d41e84b53"
#define REDIS_MARKER_REPLACED	"custbackup:spare:replaced:5f0c7a9d41e84b53"
#define REDIS_MARKER_UNFINISHED "custbackup:restore:unfinished:5f0c7a9d41e84b53"

static inline bool
redis_marker_is(const char *marker, const void *key, size_t length)
{
	return length == strlen(marker) && memcmp(key, marker, length) == 0;
}

/* Does this key make its database a spare one? */
static inline bool
redis_marker_spare(const void *key, size_t length)
{
	return redis_marker_is(REDIS_MARKER_FILLING, key, length) ||
		   redis_marker_is(REDIS_MARKER_REPLACED, key, length);
}

#endif
