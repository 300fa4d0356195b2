/*
 * failure.h
 *	  Why a job failed: one reason from a closed list, one sentence for the operator.
 *
 * A stage that fails says so once, where the cause is known; nobody above
 * rewrites it.  Functions that can fail return bool and take a Failure as their
 * last argument; `return failure_set(failure, REASON_..., "...")` is the idiom.
 * The first failure wins: what breaks afterwards is mostly its consequence.
 *
 * The detail is for the operator and may name hosts and roles, never a secret:
 * failure_set() scrubs every secret that secret.c has registered.
 *
 * The same list stands in sql/parts (type custbackup.reason) and in
 * docs/reasons.md; a test compares the three.
 */
#ifndef FAILURE_H
#define FAILURE_H

#include <stdbool.h>

#define FAILURE_DETAIL_SIZE 2048

/* X(enumerator, name in events and SQL) */
#define FAILURE_REASONS(X)                                                                                   \
	X(REASON_AUTH, "auth")						   /* the resource refused our role, or a right lacks */     \
	X(REASON_UNREACHABLE, "unreachable")		   /* no such host, refused, no route, no answer */          \
	X(REASON_CONFIG, "config")					   /* ours to mend: key file, tool, directory, job */        \
	X(REASON_DECRYPT, "decrypt")				   /* the stored URL does not decrypt */                     \
	X(REASON_BAD_URL, "bad_url")				   /* it decrypts, but is no URL that we may use */          \
	X(REASON_DUMP, "dump")						   /* the dump tool failed, or its stream is not whole */    \
	X(REASON_TOO_SMALL, "too_small")			   /* fewer bytes than the format itself needs */            \
	X(REASON_UPLOAD, "upload")					   /* bytes could not be stored */                           \
	X(REASON_STORE, "store")					   /* the store refuses: rights, bucket, region, space */    \
	X(REASON_LOCKED, "locked")					   /* object lock keeps it for a time */                     \
	X(REASON_DOWNLOAD, "download")				   /* bytes could not be fetched */                          \
	X(REASON_INTEGRITY, "integrity")			   /* what was fetched is not what was stored */             \
	X(REASON_RESTORE, "restore")				   /* the target refused what the backup holds */            \
	X(REASON_TARGET_BUSY, "target_busy")		   /* locked by the application or another restore */        \
	X(REASON_TARGET_NOT_EMPTY, "target_not_empty") /* a clone wants an empty target */                       \
	X(REASON_NOT_RESTORABLE, "not_restorable")	   /* seen before anything was touched */                    \
	X(REASON_SAFETY_BACKUP, "safety_backup")	   /* a rewind's safety backup failed (said by SQL) */       \
	X(REASON_LOST_COMMIT, "lost_commit")		   /* nobody can tell whether the last step took place */    \
	X(REASON_STALLED, "stalled")				   /* no progress (said by the worker) */                    \
	X(REASON_TIMEOUT, "timeout")				   /* ran longer than allowed (said by the worker) */        \
	X(REASON_CANCELLED, "cancelled")			   /* SIGTERM, or custbackup.cancel() */                     \
	X(REASON_MOVER_LOST, "mover_lost")			   /* died without a last word (said by the worker) */       \
	X(REASON_PROTOCOL, "protocol")				   /* an illegal event line (said by SQL) */                 \
	X(REASON_NOT_ELIGIBLE, "not_eligible")		   /* tier or status takes no backups (said by SQL) */       \
	X(REASON_INTERNAL, "internal")				   /* out of memory, descriptors, processes; a bug */

typedef enum FailureReason
{
	REASON_NONE = 0,
#define X(enumerator, name) enumerator,
	FAILURE_REASONS(X)
#undef X
	REASON_COUNT
} FailureReason;

typedef struct Failure
{
	FailureReason reason;					   /* REASON_NONE while all is well */
	char		  detail[FAILURE_DETAIL_SIZE]; /* one line, scrubbed, UTF-8 */
} Failure;

/* Records the first failure; always returns false. */
extern bool failure_set(Failure *failure, FailureReason reason, const char *format, ...)
	__attribute__((format(printf, 3, 4)));

/* The same, with strerror(errno) after ": ". */
extern bool failure_set_errno(Failure *failure, FailureReason reason, const char *format, ...)
	__attribute__((format(printf, 3, 4)));

/* Out of memory has one text everywhere. */
extern bool failure_no_memory(Failure *failure);

/* "auth" ..., or "none". */
extern const char *failure_reason_name(FailureReason reason);

#endif
