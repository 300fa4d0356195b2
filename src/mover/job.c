/*
 * job.c
 *	  Reading a job: which objects it has, and what must fit together in it.
 */
#include "job.h"

#include <stdlib.h>
#include <string.h>

#include <jansson.h>

#include "fd.h"
#include "job_fields.h"

#define JOB_VERSION	 1
#define PREVIOUS_MAX 100

/* Does the key lie in the token's folder, under the backup's id? */
static bool
check_key(const char *field, const char *key, const char *token, const char *backup_id, Failure *failure)
{
	size_t length = strlen(token);

	if (strncmp(key, token, length) == 0 && key[length] == '/' &&
		strncmp(key + length + 1, backup_id, strlen(backup_id)) == 0)
		return true;
	return failure_set(failure, REASON_CONFIG,
					   "the job's field \"%s\" is another backup's: it must begin with %s/%s", field, token,
					   backup_id);
}

static bool
take_resource(Job *job, json_t *object, Failure *failure)
{
	const Field fields[] = {
		{"id", FIELD_UUID, &job->resource.id},
		{"token", FIELD_TOKEN, &job->resource.token},
		{"team_id", FIELD_UUID_OR_NULL, &job->resource.team_id},
		{"tier", FIELD_NAME, &job->resource.tier},
		{"type", FIELD_NAME, &job->resource.type},
		{"connection_url", FIELD_CIPHERTEXT, &job->resource.connection_url},
	};

	return job_take_fields(object, "resource.", FIELDS(fields), failure);
}

static bool
take_store(Job *job, json_t *object, Failure *failure)
{
	const Field fields[] = {{"name", FIELD_NAME, &job->store_name}, {"url", FIELD_TEXT, &job->store_url}};

	return job_take_fields(object, "store.", FIELDS(fields), failure);
}

static bool
take_previous(Job *job, const json_t *array, const char *token, const char *backup_id, Failure *failure)
{
	size_t count = json_array_size(array);

	if (count == 0)
		return true;
	if (count > PREVIOUS_MAX)
		return failure_set(failure, REASON_CONFIG, "the job's field \"previous\" has more than %d entries",
						   PREVIOUS_MAX);
	job->previous = calloc(count, sizeof(PreviousAttempt));
	if (job->previous == NULL)
		return failure_no_memory(failure);
	job->previous_count = (int) count;
	for (size_t i = 0; i < count; i++)
	{
		PreviousAttempt *previous = &job->previous[i];
		json_t			*entry = json_array_get(array, i);
		const Field		 fields[] = {
				 {"attempt_id", FIELD_UUID, &previous->attempt_id},
				 {"key", FIELD_KEY, &previous->key},
				 {"upload_id", FIELD_TEXT_OR_NULL, &previous->upload_id},
		 };

		if (!json_is_object(entry))
			return failure_set(failure, REASON_CONFIG, "the job's field \"previous\" must hold objects");
		if (!job_take_fields(entry, "previous.", FIELDS(fields), failure) ||
			!check_key("previous.key", previous->key, token, backup_id, failure))
			return false;
	}
	return true;
}

static bool
take_backup(Job *job, json_t *object, const json_t *previous, Failure *failure)
{
	const Field fields[] = {
		{"key", FIELD_KEY, &job->object_key},
		{"expected_bytes", FIELD_BYTES_OR_NULL, &job->expected_bytes},
		{"retain_until", FIELD_TIME_OR_NULL, &job->retain_until},
	};

	return job_take_fields(object, "object.", FIELDS(fields), failure) &&
		   check_key("object.key", job->object_key, job->resource.token, job->job_id, failure) &&
		   take_previous(job, previous, job->resource.token, job->job_id, failure);
}

static bool
take_restore(Job *job, json_t *object, const char *mode, Failure *failure)
{
	const Field fields[] = {
		{"backup_id", FIELD_UUID, &job->backup_id},
		{"key", FIELD_KEY, &job->object_key},
		{"version", FIELD_TEXT_OR_NULL, &job->version},
		{"sha256", FIELD_SHA256, &job->sha256},
		{"raw_bytes", FIELD_BYTES, &job->raw_bytes},
		{"stored_bytes", FIELD_BYTES, &job->stored_bytes},
		{"resource_id", FIELD_UUID, &job->source_resource_id},
		{"token", FIELD_TOKEN, &job->source_token},
	};

	job->expected_bytes = -1;
	if (mode == NULL || (strcmp(mode, "rewind") != 0 && strcmp(mode, "clone") != 0))
		return failure_set(failure, REASON_CONFIG, "the job's field \"mode\" must be rewind or clone");
	job->mode = strcmp(mode, "clone") == 0 ? RESTORE_CLONE : RESTORE_REWIND;
	if (!job_take_fields(object, "object.", FIELDS(fields), failure) ||
		!check_key("object.key", job->object_key, job->source_token, job->backup_id, failure))
		return false;
	/* A rewind empties its target: never another resource's. */
	if (job->mode == RESTORE_REWIND && strcasecmp(job->resource.id, job->source_resource_id) != 0)
		return failure_set(
			failure, REASON_CONFIG,
			"the job would rewind resource %s to a backup of resource %s: only a clone may do that",
			job->resource.id, job->source_resource_id);
	return true;
}

static bool
take_expiry(Job *job, json_t *object, Failure *failure)
{
	const Field fields[] = {
		{"backup_id", FIELD_UUID, &job->backup_id},
		{"key", FIELD_KEY, &job->object_key},
		{"version", FIELD_TEXT_OR_NULL, &job->version},
	};
	const char *name;

	job->expected_bytes = -1;
	if (!job_take_fields(object, "object.", FIELDS(fields), failure))
		return false;
	name = strchr(job->object_key, '/');
	if (name != NULL && strncmp(name + 1, job->backup_id, strlen(job->backup_id)) == 0)
		return true;
	return failure_set(failure, REASON_CONFIG,
					   "the job's field \"object.key\" is another backup's: its name must begin with %s",
					   job->backup_id);
}

/* The kind decides which other fields there are. */
static bool
take_kind(Job *job, json_t *root, Failure *failure)
{
	json_t	   *version = json_object_get(root, "version");
	const char *kind = json_string_value(json_object_get(root, "kind"));

	if (!json_is_integer(version) || json_integer_value(version) != JOB_VERSION)
		return failure_set(
			failure, REASON_CONFIG,
			"the job's field \"version\" must be %d: are extension and mover of the same version?",
			JOB_VERSION);
	if (kind != NULL && strcmp(kind, "backup") == 0)
		job->kind = JOB_BACKUP;
	else if (kind != NULL && strcmp(kind, "restore") == 0)
		job->kind = JOB_RESTORE;
	else if (kind != NULL && strcmp(kind, "expire") == 0)
		job->kind = JOB_EXPIRE;
	else if (kind != NULL && strcmp(kind, "sweep") == 0)
		job->kind = JOB_SWEEP;
	else
		return failure_set(failure, REASON_CONFIG,
						   "the job's field \"kind\" must be backup, restore, expire or sweep");
	return true;
}

static bool
take_sweep(Job *job, json_t *object, const json_t *previous, Failure *failure)
{
	const Field fields[] = {
		{"backup_id", FIELD_UUID, &job->backup_id},
		{"token", FIELD_TOKEN, &job->source_token},
	};

	job->expected_bytes = -1;
	return job_take_fields(object, "object.", FIELDS(fields), failure) &&
		   take_previous(job, previous, job->source_token, job->backup_id, failure);
}

/* What a job has that touches the store alone.  *kind is the caller's to free. */
static bool
take_all_of_store_job(Job *job, json_t *root, char **kind, Failure *failure)
{
	bool		is_sweep = job->kind == JOB_SWEEP;
	int			version;
	json_t	   *store = NULL;
	json_t	   *object = NULL;
	json_t	   *previous = NULL;
	const Field fields[] = {
		{"version", FIELD_COUNT, &version},		 {"kind", FIELD_NAME, kind},
		{"job_id", FIELD_UUID, &job->job_id},	 {"attempt_id", FIELD_UUID, &job->attempt_id},
		{"attempt", FIELD_COUNT, &job->attempt}, {"store", FIELD_OBJECT, &store},
		{"object", FIELD_OBJECT, &object},		 {"previous", FIELD_ARRAY_OR_NULL, &previous},
	};
	size_t count = sizeof(fields) / sizeof(fields[0]) - (is_sweep ? 0 : 1);

	if (!job_take_fields(root, "", fields, count, failure) || !take_store(job, store, failure))
		return false;
	return is_sweep ? take_sweep(job, object, previous, failure) : take_expiry(job, object, failure);
}

/* *kind and *mode are the caller's to free. */
static bool
take_all(Job *job, json_t *root, char **kind, char **mode, Failure *failure)
{
	int		version;
	json_t *resource = NULL;
	json_t *store = NULL;
	json_t *object = NULL;
	json_t *previous = NULL;
	Field	fields[] = {
		  {"version", FIELD_COUNT, &version},	   {"kind", FIELD_NAME, kind},
		  {"job_id", FIELD_UUID, &job->job_id},	   {"attempt_id", FIELD_UUID, &job->attempt_id},
		  {"attempt", FIELD_COUNT, &job->attempt}, {"engine", FIELD_NAME, &job->engine},
		  {"resource", FIELD_OBJECT, &resource},   {"store", FIELD_OBJECT, &store},
		  {"object", FIELD_OBJECT, &object},	   {"previous", FIELD_ARRAY_OR_NULL, &previous},
	  };

	if (!take_kind(job, root, failure))
		return false;
	if (job->kind == JOB_EXPIRE || job->kind == JOB_SWEEP)
		return take_all_of_store_job(job, root, kind, failure);
	if (job->kind == JOB_RESTORE)
		fields[sizeof(fields) / sizeof(fields[0]) - 1] = (Field){"mode", FIELD_NAME, mode};
	if (!job_take_fields(root, "", FIELDS(fields), failure) || !take_resource(job, resource, failure) ||
		!take_store(job, store, failure))
		return false;
	return job->kind == JOB_RESTORE ? take_restore(job, object, *mode, failure)
									: take_backup(job, object, previous, failure);
}

bool
job_parse(Job *job, const char *json, size_t length, Failure *failure)
{
	json_error_t error;
	json_t		*root;
	char		*kind = NULL;
	char		*mode = NULL;
	bool		 taken = false;

	*job = (Job){0};
	if (length > JOB_MAX_BYTES)
		return failure_set(failure, REASON_CONFIG, "the job is longer than %d bytes", JOB_MAX_BYTES);
	root = json_loadb(json, length, JSON_REJECT_DUPLICATES, &error);
	if (root == NULL)
		failure_set(failure, REASON_CONFIG, "the job is not JSON: line %d, column %d: %s", error.line,
					error.column, error.text);
	else if (!json_is_object(root))
		failure_set(failure, REASON_CONFIG, "the job must be one JSON object");
	else
		taken = take_all(job, root, &kind, &mode, failure);
	free(kind);
	free(mode);
	json_decref(root);
	if (!taken)
		job_free(job);
	return taken;
}

bool
job_read_fd(Job *job, int fd, Failure *failure)
{
	/* One byte more than a job may have shows that there is more. */
	char  *buffer = malloc(JOB_MAX_BYTES + 1);
	size_t length;
	bool   parsed = false;

	*job = (Job){0};
	if (buffer == NULL)
		return failure_no_memory(failure);
	if (fd_read_all(fd, buffer, JOB_MAX_BYTES + 1, &length, "the job", failure))
		parsed = length > 0
					 ? job_parse(job, buffer, length, failure)
					 : failure_set(failure, REASON_CONFIG,
								   "no job came on standard input (docs/protocol.md says what one is)");
	free(buffer);
	return parsed;
}

void
job_free(Job *job)
{
	char *texts[] = {job->job_id,
					 job->attempt_id,
					 job->engine,
					 job->resource.id,
					 job->resource.token,
					 job->resource.team_id,
					 job->resource.tier,
					 job->resource.type,
					 job->resource.connection_url,
					 job->store_name,
					 job->store_url,
					 job->object_key,
					 job->backup_id,
					 job->version,
					 job->sha256,
					 job->source_resource_id,
					 job->source_token};

	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++)
		free(texts[i]);
	for (int i = 0; i < job->previous_count; i++)
	{
		free(job->previous[i].attempt_id);
		free(job->previous[i].key);
		free(job->previous[i].upload_id);
	}
	free(job->previous);
	*job = (Job){0};
}
