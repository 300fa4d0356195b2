/*
 * bandwidth.h
 *	  One limit for all movers of a host: a token bucket in shared memory.
 *
 * The bucket is a single number, the moment at which everything granted so far
 * will have been paid for (the 'virtual scheduling' form of a leaky bucket, as in
 * ITU-T I.371), kept in the clock that every process of the host shares.  A
 * reservation moves it forward by one atomic exchange: no lock that a killed
 * mover could leave behind.
 */
#ifndef BANDWIDTH_H
#define BANDWIDTH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "failure.h"

typedef struct Bandwidth Bandwidth;

/*
 * rate: bytes a second; 0: NULL is returned and means 'no limit'.  The shared
 * number is a file of the user's own in /dev/shm, or in spool_dir where that is
 * missing.  Failure: REASON_CONFIG; *bandwidth is NULL then too.
 */
extern bool bandwidth_open(Bandwidth **bandwidth, int64_t rate, const char *spool_dir, Failure *failure);

/* Takes `bytes` from the bucket; nanoseconds that the caller then waits before it takes more. */
extern int64_t bandwidth_take(Bandwidth *bandwidth, size_t bytes);

/*
 * The most to take at once: so little that many transfers which share a low limit
 * all get their turn before anybody calls one of them stalled.  bandwidth may be NULL.
 */
extern size_t bandwidth_piece(const Bandwidth *bandwidth);
extern void	  bandwidth_close(Bandwidth *bandwidth);

/* CLOCK_MONOTONIC in nanoseconds. */
extern int64_t monotonic_nanoseconds(void);

#endif
