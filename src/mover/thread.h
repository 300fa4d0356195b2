/*
 * thread.h
 *	  A thread beside the main one.
 */
#ifndef THREAD_H
#define THREAD_H

#include <pthread.h>
#include <stdbool.h>

#include "failure.h"

/* The caller joins it.  No signal reaches it: signals are the main thread's.  what: "the ... thread", for the failure. */
extern bool thread_start(pthread_t *thread, void *(*run)(void *), void *context, const char *what,
						 Failure *failure);

#endif
