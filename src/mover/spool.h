/*
 * spool.h
 *	  A file without a name (O_TMPFILE, 0600): gone with the process, whatever
 *	  ends it.  Where the file system has no O_TMPFILE, created and unlinked at once.
 */
#ifndef SPOOL_H
#define SPOOL_H

#include "failure.h"

/* directory NULL: TMPDIR or /tmp.  Returns a descriptor, read and write, close-on-exec; -1: failure, REASON_CONFIG, naming the directory. */
extern int spool_open(const char *directory, Failure *failure);

#endif
