/*
 * restore.h
 *	  One restore, from the store into the target.
 *
 *	  fetch -> sha256 equal? -> gzip looks whole? -> engine looks and asks -> gunzip -> inspector and sink -> commit
 *
 * The target is not touched before the stored bytes are proven to be those that
 * were recorded, and the sink's commit comes only after every raw byte passed
 * and the inspector was satisfied.
 */
#ifndef RESTORE_H
#define RESTORE_H

#include <stdbool.h>

#include "failure.h"
#include "job.h"
#include "report.h"
#include "secret.h"
#include "settings.h"

/*
 * Says `started`, `progress` and, once committed, `done`.  False: the failure is
 * set and `failed` is for the caller to say, with the outcome, which is kept true
 * to the fact at every step.  *outcome begins zeroed; what it holds afterwards is
 * freed by restore_outcome_free().  url is the target's, in plaintext; borrowed.
 */
extern bool restore_run(const Job *job, const Settings *settings, const Secret *url, Report *report,
						RestoreOutcome *outcome, Failure *failure);
extern void restore_outcome_free(RestoreOutcome *outcome);

#endif
