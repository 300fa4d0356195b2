/*
 * clock.h
 *	  The clock that durations are measured with: it never steps.
 *
 * Times of day belong to SQL; everything that the worker waits for or gives up
 * on is judged by this one.
 */
#ifndef CLOCK_H
#define CLOCK_H

#include "postgres.h"

#include <time.h>

/* Milliseconds since some moment that stays the same while we run. */
static inline int64
clock_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (int64) now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

/* How long to wait after so many failures in a row: a second, then twice as long each time, to 32 seconds. */
static inline int64
clock_pause_ms(int failures)
{
	return INT64CONST(500) << Min(failures, 6);
}

#endif
