/*
 * manifest.c
 *	  Writing and reading the JSON beside each backup; docs/manifest.md is the specification.
 *
 * A manifest comes from a bucket that others may write to: every field is checked
 * before anything believes it.
 */
#include "manifest.h"

#include <stdlib.h>
#include <string.h>

#include "object_key.h"
#include "text.h"
#include "utc.h"

#define VERSION_MAX_BYTES 1024

#define PUT_BACK "; it is not as it was written: put that back, or use the object by hand (docs/manifest.md)"
#define NEWER	 "; use a newer custbackup"

char *
manifest_write(const Job *job, const BackupResult *result, int64_t started_at, int64_t finished_at,
			   Failure *failure)
{
	char	started[UTC_TEXT_SIZE];
	char	finished[UTC_TEXT_SIZE];
	char	locked[UTC_TEXT_SIZE];
	json_t *object;
	char   *text = NULL;
	char   *line = NULL;

	object =
		json_pack("{s:i, s:s, s:s, s:s, s:s, s:s, s:s?, s:s, s:s, s:s, s:s?, s:s?, s:s?, s:s, s:I, s:I, "
				  "s:s, s:s, s:s, s:s?, s:s?, s:o, s:o}",
				  "format", MANIFEST_FORMAT, "backup_id", job->job_id, "attempt_id", job->attempt_id, "key",
				  result->key, "resource_id", job->resource.id, "token", job->resource.token, "team_id",
				  job->resource.team_id, "tier", job->resource.tier, "type", job->resource.type, "engine",
				  job->engine, "server_version", result->server_version, "tool_version", result->tool_version,
				  "consistency", result->consistency, "sha256", result->sha256, "raw_bytes",
				  (json_int_t) result->raw_bytes, "stored_bytes", (json_int_t) result->stored_bytes,
				  "encryption", "none", "started_at", utc_text(started_at, started), "finished_at",
				  utc_text(finished_at, finished), "version_id", result->version, "locked_until",
				  result->locked_until > 0 ? utc_text(result->locked_until, locked) : NULL, "counts",
				  result->counts ? json_incref(result->counts) : json_object(), "notes",
				  result->notes ? json_incref(result->notes) : json_array());
	if (object != NULL)
		text = json_dumps(object, JSON_INDENT(2));
	if (text != NULL && (line = malloc(strlen(text) + 2)) != NULL)
		strcat(strcpy(line, text), "\n");
	free(text);
	json_decref(object);
	if (line == NULL)
		failure_no_memory(failure);
	return line;
}

typedef enum FieldRule
{
	FIELD_UUID,
	FIELD_SHA256,
	FIELD_TIME,
	FIELD_TEXT,
	FIELD_TEXT_OR_NULL,
	/* Younger than the format: may be absent */
	FIELD_LOCK,
	FIELD_VERSION
} FieldRule;

/* 2026-01-02T03:04:05Z: as we write it. */
static bool
is_time(const char *text)
{
	static const char shape[] = "dddd-dd-ddTdd:dd:ddZ";

	if (strlen(text) != strlen(shape))
		return false;
	for (size_t i = 0; shape[i] != '\0'; i++)
		if (shape[i] == 'd' ? text[i] < '0' || text[i] > '9' : text[i] != shape[i])
			return false;
	return true;
}

static bool
field_is_good(const char *text, FieldRule rule)
{
	int64_t until;

	switch (rule)
	{
		case FIELD_UUID:
			return text_is_uuid(text, strlen(text));
		case FIELD_SHA256:
			return strlen(text) == 64 && text_is_hex(text, 64);
		case FIELD_TIME:
			return is_time(text);
		case FIELD_LOCK:
			return utc_parse(text, &until);
		case FIELD_VERSION:
			return *text != '\0' && strlen(text) <= VERSION_MAX_BYTES;
		case FIELD_TEXT:
		case FIELD_TEXT_OR_NULL:
			return *text != '\0';
	}
	return false;
}

static bool
take_text(json_t *object, const char *name, FieldRule rule, char **target, Failure *failure)
{
	json_t *value = json_object_get(object, name);
	bool	is_younger = rule == FIELD_LOCK || rule == FIELD_VERSION;

	if ((json_is_null(value) && (rule == FIELD_TEXT_OR_NULL || is_younger)) || (value == NULL && is_younger))
		return true;
	if (!json_is_string(value) || !field_is_good(json_string_value(value), rule))
		return failure_set(failure, REASON_INTEGRITY,
						   "the manifest's \"%s\" is missing or malformed" PUT_BACK, name);
	*target = strdup(json_string_value(value));
	return *target != NULL || failure_no_memory(failure);
}

static bool
take_bytes(json_t *object, const char *name, int64_t *target, Failure *failure)
{
	json_t *value = json_object_get(object, name);

	if (!json_is_integer(value) || json_integer_value(value) < 0)
		return failure_set(failure, REASON_INTEGRITY,
						   "the manifest's \"%s\" is missing or malformed" PUT_BACK, name);
	*target = json_integer_value(value);
	return true;
}

static bool
take_fields(Manifest *manifest, json_t *object, Failure *failure)
{
	const struct
	{
		const char *name;
		FieldRule	rule;
		char	  **target;
	} fields[] = {
		{"backup_id", FIELD_UUID, &manifest->backup_id},
		{"attempt_id", FIELD_UUID, &manifest->attempt_id},
		{"key", FIELD_TEXT, &manifest->key},
		{"resource_id", FIELD_UUID, &manifest->resource_id},
		{"token", FIELD_TEXT, &manifest->token},
		{"team_id", FIELD_TEXT_OR_NULL, &manifest->team_id},
		{"tier", FIELD_TEXT, &manifest->tier},
		{"type", FIELD_TEXT, &manifest->type},
		{"engine", FIELD_TEXT, &manifest->engine},
		{"server_version", FIELD_TEXT_OR_NULL, &manifest->server_version},
		{"tool_version", FIELD_TEXT_OR_NULL, &manifest->tool_version},
		{"consistency", FIELD_TEXT_OR_NULL, &manifest->consistency},
		{"sha256", FIELD_SHA256, &manifest->sha256},
		{"started_at", FIELD_TIME, &manifest->started_at},
		{"finished_at", FIELD_TIME, &manifest->finished_at},
		{"version_id", FIELD_VERSION, &manifest->version_id},
		{"locked_until", FIELD_LOCK, &manifest->locked_until},
	};

	for (size_t i = 0; i < sizeof(fields) / sizeof(fields[0]); i++)
	{
		if (!take_text(object, fields[i].name, fields[i].rule, fields[i].target, failure))
			return false;
	}
	if (!take_bytes(object, "raw_bytes", &manifest->raw_bytes, failure) ||
		!take_bytes(object, "stored_bytes", &manifest->stored_bytes, failure))
		return false;
	manifest->counts = json_incref(json_object_get(object, "counts"));
	manifest->notes = json_incref(json_object_get(object, "notes"));
	if (!json_is_object(manifest->counts) || (manifest->notes != NULL && !json_is_array(manifest->notes)))
		return failure_set(failure, REASON_INTEGRITY,
						   "the manifest's \"counts\" or \"notes\" are malformed" PUT_BACK);
	return true;
}

/* An object that is encrypted in some way of a later release is not for us to guess at. */
static bool
is_plain(json_t *object, Failure *failure)
{
	const char *encryption = json_string_value(json_object_get(object, "encryption"));

	if (encryption != NULL && strcmp(encryption, "none") == 0)
		return true;
	return failure_set(failure, REASON_INTEGRITY,
					   "the manifest's encryption is not \"none\", and this custbackup knows no other" NEWER);
}

/* The object lies where its manifest says, in the folder of its own token. */
static bool
is_of_its_key(const Manifest *manifest, const char *expected_key, Failure *failure)
{
	size_t token = strlen(manifest->token);

	if (expected_key != NULL && strcmp(manifest->key, expected_key) != 0)
		return failure_set(failure, REASON_INTEGRITY,
						   "the manifest is another object's: it names \"%s\", not \"%s\"" PUT_BACK,
						   manifest->key, expected_key);
	if (!object_key_is_safe(manifest->key) || strncmp(manifest->key, manifest->token, token) != 0 ||
		manifest->key[token] != '/' ||
		strncmp(manifest->key + token + 1, manifest->backup_id, strlen(manifest->backup_id)) != 0)
		return failure_set(failure, REASON_INTEGRITY,
						   "the manifest's key \"%s\" does not fit its token and backup id" PUT_BACK,
						   manifest->key);
	return true;
}

bool
manifest_parse(Manifest *manifest, const char *expected_key, const char *json, size_t length,
			   Failure *failure)
{
	json_error_t error;
	json_t		*object;
	json_t		*format;
	bool		 good = false;

	memset(manifest, 0, sizeof(*manifest));
	if (length > MANIFEST_MAX_BYTES)
		return failure_set(failure, REASON_INTEGRITY, "the manifest is longer than %d bytes" PUT_BACK,
						   MANIFEST_MAX_BYTES);
	object = json_loadb(json, length, JSON_REJECT_DUPLICATES, &error);
	format = json_object_get(object, "format");
	if (!json_is_object(object))
		failure_set(failure, REASON_INTEGRITY, "the manifest is not JSON: line %d, %s" PUT_BACK, error.line,
					error.text);
	else if (!json_is_integer(format) || json_integer_value(format) < 1)
		failure_set(failure, REASON_INTEGRITY, "the manifest's \"format\" is missing or malformed" PUT_BACK);
	else if (json_integer_value(format) > MANIFEST_FORMAT)
		failure_set(failure, REASON_INTEGRITY,
					"the manifest has format %lld and this custbackup knows %d at most" NEWER,
					(long long) json_integer_value(format), MANIFEST_FORMAT);
	else
	{
		manifest->format = (int) json_integer_value(format);
		good = is_plain(object, failure) && take_fields(manifest, object, failure) &&
			   is_of_its_key(manifest, expected_key, failure);
	}
	json_decref(object);
	if (!good)
		manifest_free(manifest);
	return good;
}

StoreAnswer
manifest_fetch(Store *store, const char *key, Manifest *manifest, Failure *failure)
{
	char		manifest_key[OBJECT_KEY_SIZE];
	char	   *text = NULL;
	size_t		length = 0;
	StoreAnswer answer;

	if (!object_manifest_key_of_job(key, manifest_key, failure))
		return STORE_FAILED;
	answer = store->read_small(store, manifest_key, MANIFEST_MAX_BYTES, &text, &length, failure);
	if (answer == STORE_FOUND && !manifest_parse(manifest, key, text, length, failure))
		answer = STORE_FAILED;
	free(text);
	return answer;
}

void
manifest_drop_details(Manifest *manifest)
{
	json_decref(manifest->counts);
	json_decref(manifest->notes);
	manifest->counts = manifest->notes = NULL;
}

void
manifest_free(Manifest *manifest)
{
	char *texts[] = {manifest->backup_id,	manifest->attempt_id,	  manifest->key,
					 manifest->resource_id, manifest->token,		  manifest->team_id,
					 manifest->tier,		manifest->type,			  manifest->engine,
					 manifest->sha256,		manifest->server_version, manifest->tool_version,
					 manifest->consistency, manifest->started_at,	  manifest->finished_at,
					 manifest->version_id,	manifest->locked_until};

	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++)
		free(texts[i]);
	manifest_drop_details(manifest);
	memset(manifest, 0, sizeof(*manifest));
}
