/*
 * cancel.h
 *	  Cancellation is one flag and one signal.
 *
 * SIGTERM and SIGINT set the flag and write a byte to a pipe.  Every loop that
 * may wait polls cancel_fd() beside its own descriptors and, when it is
 * readable, returns cancel_failure(); the unwinding then ends tools and aborts
 * uploads.  A second signal, or ten seconds, ends the process.
 */
#ifndef CANCEL_H
#define CANCEL_H

#include <stdbool.h>

#include "failure.h"

extern bool cancel_install(Failure *failure);
extern bool cancel_requested(void);

/* What a first signal does, but for the ten seconds: for a job that nobody waits for any more. */
extern void cancel_request(void);

/* Readable from the first signal on, for ever.  Never read from it. */
extern int cancel_fd(void);

/* Sets REASON_CANCELLED; returns false. */
extern bool cancel_failure(Failure *failure);

#endif
