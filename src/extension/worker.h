/*
 * worker.h
 *	  The background worker: the runner that lives in the control plane's server.
 *
 * Started by the launcher, connected to one database as one role.  It exits with
 * 0 when it leaves of its own accord (the extension is gone, a setting calls for
 * another worker); the launcher looks again.
 */
#ifndef WORKER_H
#define WORKER_H

#include "compat.h"

/* main_arg: the database's oid; bgw_extra: the role's. */
CUSTBACKUP_NORETURN extern PGDLLEXPORT void custbackup_worker_main(Datum database);

#endif
