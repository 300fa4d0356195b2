/*
 * txn.h
 *	  The worker's short transactions, and how it survives what goes wrong in them.
 */
#ifndef TXN_H
#define TXN_H

#include "postgres.h"

typedef void (*TxnBody)(void *argument);

typedef enum TxnResult
{
	TXN_COMMITTED,
	TXN_FAILED,		  /* an error was logged, everything is rolled back */
	TXN_NO_EXTENSION, /* nothing was done: the extension has been dropped */
	TXN_NO_ROLE		  /* nothing was done: the role that we are connected as has been dropped */
} TxnResult;

/* Settings under which every transaction of this process runs, whatever role and database say. */
extern void txn_pin_settings(void);

/*
 * Runs body in a transaction of its own, with SPI connected and a snapshot.
 * `activity` is what pg_stat_activity shows meanwhile.  What body palloc()s is
 * gone when this returns: results go to a context that body switches to.
 */
extern TxnResult txn_run(const char *activity, TxnBody body, void *argument);

/* Runs body; an ERROR is logged, cleaned up after, and answered with false. */
extern bool txn_survive(TxnBody body, void *argument);

#endif
