/*
 * leases.h
 *	  The attempts of other runners, and whether those runners still live.
 *
 * A runner that lives moves the counter of each of its attempts on (renew()).
 * Clocks of other hosts are not to be trusted, and ours may step, so a lease has
 * run out when its counter has stood still for custbackup.lease_timeout of our
 * monotonic clock.
 * Our own attempts are no matter of this: claim() puts them right.
 */
#ifndef LEASES_H
#define LEASES_H

#include "postgres.h"

#include "txn.h"

/* Look at all of them, and give back those that have run out.  *others: how many remain. */
extern TxnResult leases_watch(int *others);

#endif
