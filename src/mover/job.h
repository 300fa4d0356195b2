/*
 * job.h
 *	  One job, as SQL built it and the runner passed it on unread: a JSON object
 *	  on stdin, at most JOB_MAX_BYTES, unknown fields refused.
 *
 * docs/protocol.md is the specification.  All strings are owned by the Job.
 */
#ifndef JOB_H
#define JOB_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "failure.h"

#define JOB_MAX_BYTES (256 * 1024)

typedef enum JobKind
{
	JOB_BACKUP,
	JOB_RESTORE,
	JOB_EXPIRE, /* these two have neither engine nor resource: nothing but the store is touched */
	JOB_SWEEP	/* removes what attempts of a backup left */
} JobKind;

/* A rewind puts a resource back; a clone fills another, empty one. */
typedef enum RestoreMode
{
	RESTORE_REWIND,
	RESTORE_CLONE
} RestoreMode;

typedef struct JobResource
{
	char *id;	   /* uuid */
	char *token;   /* names the folder in the store; checked: no '/', no '..', no control characters */
	char *team_id; /* NULL: none */
	char *tier;
	char *type;			  /* postgres, vector, mongodb, redis */
	char *connection_url; /* ciphertext; see secret.h */
} JobResource;

/* An attempt of a backup, which may have left an object or an upload. */
typedef struct PreviousAttempt
{
	char *attempt_id;
	char *key;
	char *upload_id; /* NULL where the store has none */
} PreviousAttempt;

typedef struct Job
{
	JobKind		kind;
	char	   *job_id;		/* of a backup: the backup's id */
	char	   *attempt_id; /* uuid, new with every attempt: the fence */
	int			attempt;	/* from 1 */
	char	   *engine;		/* what the mover dispatches on: engines.engine */
	JobResource resource;	/* what is dumped, or the restore's target */
	char	   *store_name; /* credentials' profile */
	char	   *store_url;

	/* backup */
	char			*object_key;	 /* '<token>/<backup-id>.dump.gz', '-2' from the second attempt */
	int64_t			 expected_bytes; /* stored size of the last backup; -1: unknown */
	int64_t			 retain_until;	 /* when the tier's retention ends, seconds since 1970; 0: it has none */
	PreviousAttempt *previous;		 /* also a sweep's, whose backup_id and source_token say whose they are */
	int				 previous_count;

	/* restore: what the catalogue says about the object */
	RestoreMode mode;
	char	   *backup_id;
	char	   *version;   /* the store's version id; NULL: none */
	char	   *sha256;	   /* 64 hex digits, of the stored bytes */
	int64_t		raw_bytes; /* exact size after gunzip */
	int64_t		stored_bytes;
	char	   *source_resource_id;
	char	   *source_token;
} Job;

/* Reads to end of file.  On failure the job is empty and needs no free. */
extern bool job_read_fd(Job *job, int fd, Failure *failure);
extern bool job_parse(Job *job, const char *json, size_t length, Failure *failure);
extern void job_free(Job *job);

#endif
