/*
 * spool.h
 *	  A file without a name (O_TMPFILE, 0600): gone with the process, whatever
 *	  ends it.  Where the file system has no O_TMPFILE, created and unlinked at once.
 */
#ifndef SPOOL_H
#define SPOOL_H

#include "failure.h"

/* The setting spool_dir, or what stands for it where it is not set: TMPDIR, else /tmp. */
extern const char *spool_directory(const char *configured);

/* Returns a descriptor, read and write, close-on-exec; -1: failure, REASON_CONFIG, naming the directory. */
extern int spool_open(const char *configured, Failure *failure);

#endif
