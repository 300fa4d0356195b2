/*
 * report.h
 *	  Events: JSON lines on stdout, the mover's only words to its runner.
 *
 * Order (docs/protocol.md): one `started`; any number of `progress`; at most one `upload`,
 * and one more that adds the id; then exactly one of `done` and `failed`.  report.c refuses to
 * print a line out of order, so that a bug here cannot end a job wrongly.
 * Progress is throttled to one line a second unless the phase changes.
 *
 * A command line for people (list, verify, restore from a bucket) passes a
 * Report whose sink prints for humans instead: engines and stores do not know.
 */
#ifndef REPORT_H
#define REPORT_H

#include <stdbool.h>
#include <stdint.h>

#include <jansson.h>

#include "failure.h"

typedef struct Report Report;

typedef enum Phase
{
	PHASE_DUMPING,	   /* backup: bytes flow */
	PHASE_STORING,	   /* backup: finish, manifest */
	PHASE_DOWNLOADING, /* restore: fetching and hashing; the target is untouched */
	PHASE_VERIFIED,	   /* restore: the object is what was stored */
	PHASE_APPLYING,	   /* restore: the target is being written to (maybe inside a transaction) */
	PHASE_COMMITTED	   /* restore: the last step took place */
} Phase;

/* What a finished backup is; owned by the caller. */
typedef struct BackupResult
{
	const char *key;
	const char *version; /* NULL: none */
	int64_t		raw_bytes;
	int64_t		stored_bytes;
	int64_t		locked_until; /* as the store says; 0: it is not locked; UTC_FOR_EVER */
	const char *sha256;
	const char *consistency; /* "snapshot", "per collection", "per key" */
	const char *server_version;
	const char *tool_version;
	json_t	   *counts;	 /* {"tables": 3, ...}: borrowed */
	json_t	   *notes;	 /* ["..."]: what the operator should know; borrowed; NULL: nothing */
	bool		adopted; /* an earlier attempt had already finished it */
} BackupResult;

/* What a restore did to its target, told in `done` and in `failed`. */
typedef struct RestoreOutcome
{
	bool	target_modified; /* true from the moment a change is or may be visible to others */
	json_t *left_alone;		 /* ["extension postgis: another owner's", ...]; owned; NULL: nothing */
	json_t *counts;			 /* owned; NULL: none */
} RestoreOutcome;

/* One for `notes` or `left_alone`, which is made where it is NULL; names in it may be any bytes. */
extern bool sentence_add(json_t **list, Failure *failure, const char *format, ...)
	__attribute__((format(printf, 3, 4)));

extern Report *report_to_runner(int fd);   /* JSON lines */
extern Report *report_to_terminal(int fd); /* sentences and a progress bar */

/* How much is to come, where that is known: for a terminal's progress bar. */
extern void report_expect(Report *report, int64_t raw_bytes, int64_t stored_bytes);

extern void report_started(Report *report, const char *attempt_id, const char *tool_version,
						   const char *server_version);

/* Bytes are totals so far: raw bytes read from the engine, bytes given to the store (or fetched). */
extern void report_progress(Report *report, Phase phase, int64_t bytes_read, int64_t bytes_stored);

/* Nothing flows, but work is seen to go on (an index build, a BGSAVE): why, in a few words. */
extern void report_alive(Report *report, const char *what);

/* Before anything is stored.  upload_id: NULL where the store has none, or none yet. */
extern void report_upload(Report *report, const char *key, const char *upload_id);

/*
 * What earlier attempts of a backup, or this one, leave in the store: json of leftovers.h,
 * told with the last word; borrowed.  Not called: nobody looked.
 */
extern void report_left(Report *report, json_t *left);

/* What an expiry found locked; told with `failed`. */
extern void report_locked_until(Report *report, int64_t until);

extern void report_backup_done(Report *report, const BackupResult *result);
extern void report_restore_done(Report *report, const RestoreOutcome *outcome);
extern void report_expire_done(Report *report);
extern void report_sweep_done(Report *report);
extern void report_failed(Report *report, const Failure *failure, const RestoreOutcome *outcome);

/* Was `done` said? The exit status is 0 exactly then. */
extern bool report_said_done(const Report *report);

/* False, with the failure set: the job must end, because a signal says so or the runner no longer reads. */
extern bool report_may_go_on(const Report *report, Failure *failure);
extern void report_free(Report *report);

#endif
