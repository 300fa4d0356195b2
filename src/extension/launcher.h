/*
 * launcher.h
 *	  The registered process: without a database of its own, it keeps a worker
 *	  running wherever database, extension and role are there.
 *
 * Why not the worker itself: a process connected to a database that is dropped
 * could only fail, again and again, each time with a FATAL in the log.
 */
#ifndef LAUNCHER_H
#define LAUNCHER_H

#include "compat.h"

/* Called from _PG_init under shared_preload_libraries. */
extern void launcher_register(void);

CUSTBACKUP_NORETURN extern PGDLLEXPORT void custbackup_launcher_main(Datum argument);

/* A short-lived process that looks into the database and leaves what it found in shared memory. */
CUSTBACKUP_NORETURN extern PGDLLEXPORT void custbackup_probe_main(Datum database);

#endif
