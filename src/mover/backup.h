/*
 * backup.h
 *	  One backup, from the resource to the store.
 *
 *	  source -> inspector -> gzip -> sha256 -> upload, then the manifest
 *
 * What an earlier attempt of the same backup left is looked at first: a manifest
 * that is whole means that the backup exists and is adopted; anything less is
 * removed.  On any failure, and when cancelled, nothing of this attempt stays in
 * the store.  Memory does not depend on the size of the dump.
 */
#ifndef BACKUP_H
#define BACKUP_H

#include <stdbool.h>

#include "failure.h"
#include "job.h"
#include "report.h"
#include "secret.h"
#include "settings.h"

/*
 * Says `started`, `progress`, `upload` and, only when object and manifest are
 * known to be stored, `done`.  False: the failure is set and `failed` is for the
 * caller to say.  url is the resource's, in plaintext; borrowed.
 */
extern bool backup_run(const Job *job, const Settings *settings, const Secret *url, Report *report,
					   Failure *failure);

#endif
