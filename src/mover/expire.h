/*
 * expire.h
 *	  What is removed from a store: a backup at its end, and what failed attempts left.
 *
 * Of a backup the object goes first, then its manifest: a manifest without an object
 * is seen by every listing, and a second attempt, which finds less, ends as well as
 * the first.  A version that the bucket does not know is looked for under its key, as
 * after a copy.  What object lock keeps is not touched at all (REASON_LOCKED).
 */
#ifndef EXPIRE_H
#define EXPIRE_H

#include <stdbool.h>

#include "failure.h"
#include "job.h"
#include "report.h"
#include "settings.h"

/* Both say `started` and, when all went well, `done`.  False: the failure is set and `failed` is for the caller to say. */
extern bool expire_run(const Job *job, const Settings *settings, Report *report, Failure *failure);

/* Removes what the job's attempts left; what stays is told in `done`. */
extern bool sweep_run(const Job *job, const Settings *settings, Report *report, Failure *failure);

#endif
