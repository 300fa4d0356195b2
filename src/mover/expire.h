/*
 * expire.h
 *	  The end of a backup: its object is removed from the store, then its manifest.
 *
 * In this order, because a manifest without an object is seen by every listing,
 * and because a second attempt, which finds less, ends as well as the first.
 */
#ifndef EXPIRE_H
#define EXPIRE_H

#include <stdbool.h>

#include "failure.h"
#include "job.h"
#include "report.h"
#include "settings.h"

/* Says `started` and, once both are gone, `done`.  False: the failure is set and `failed` is for the caller to say. */
extern bool expire_run(const Job *job, const Settings *settings, Report *report, Failure *failure);

#endif
