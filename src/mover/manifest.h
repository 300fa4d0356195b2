/*
 * manifest.h
 *	  The JSON object beside each backup, stored last: what makes a backup a
 *	  backup, and what the catalogue can be rebuilt from.
 *
 * docs/manifest.md is the specification.  A reader refuses a format version that
 * it does not know and a manifest whose key is another object's.
 */
#ifndef MANIFEST_H
#define MANIFEST_H

#include <stdint.h>

#include <jansson.h>

#include "failure.h"
#include "job.h"
#include "report.h"
#include "stores/store.h"

#define MANIFEST_FORMAT	   1
#define MANIFEST_MAX_BYTES (1024 * 1024)

typedef struct Manifest
{
	int		format;
	char   *backup_id;
	char   *attempt_id;
	char   *key; /* of the object, relative to the store */
	char   *resource_id;
	char   *token;
	char   *team_id; /* NULL: none */
	char   *tier;
	char   *type;
	char   *engine;
	char   *server_version;
	char   *tool_version;
	char   *consistency;
	char   *sha256;
	int64_t raw_bytes;
	int64_t stored_bytes;
	char   *started_at; /* RFC 3339, UTC */
	char   *finished_at;
	char   *version_id;	  /* of the object; NULL: the store had none, or an older release wrote this */
	char   *locked_until; /* as the store said when it took the object; NULL: not locked */
	json_t *counts;
	json_t *notes; /* NULL: none */
} Manifest;

/* malloc'ed JSON text with a newline at its end; NULL: failure. */
extern char *manifest_write(const Job *job, const BackupResult *result, int64_t started_at,
							int64_t finished_at, Failure *failure);
extern bool	 manifest_parse(Manifest *manifest, const char *expected_key, const char *json, size_t length,
							Failure *failure);

/*
 * The manifest of the object `key`, from its store.  STORE_FAILED with REASON_INTEGRITY: it is
 * there and makes no sense.  Only what was found needs a free.
 */
extern StoreAnswer manifest_fetch(Store *store, const char *key, Manifest *manifest, Failure *failure);

/* Frees counts and notes: most of what a manifest takes in memory. */
extern void manifest_drop_details(Manifest *manifest);
extern void manifest_free(Manifest *manifest);

#endif
