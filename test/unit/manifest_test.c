/* manifest.c: what is written is read back; everything else is refused. */
#include "manifest.h"

#include <stdlib.h>

#include "tap.h"

#define ID		 "0189f7c2-6d7e-7b3a-8c55-0123456789ab"
#define ATTEMPT	 "11111111-2222-4333-8444-555555555555"
#define RESOURCE "aaaaaaaa-bbbb-4ccc-8ddd-eeeeeeeeeeee"
#define SHA256	 "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
#define KEY		 "acme/" ID ".dump.gz"

static char *
written(json_t *notes)
{
	Failure		 failure = {0};
	json_t		*counts = json_pack("{s:i}", "tables", 3);
	Job			 job = {.job_id = (char *) ID, .attempt_id = (char *) ATTEMPT, .engine = (char *) "postgres"};
	BackupResult result = {.key = KEY,
						   .raw_bytes = 1000,
						   .stored_bytes = 300,
						   .sha256 = SHA256,
						   .version = notes ? "v+1/==" : NULL,
						   .consistency = "snapshot",
						   .server_version = "15.20",
						   .tool_version = "pg_dump 17.2",
						   .counts = counts,
						   .notes = notes};
	char		*text;

	job.resource = (JobResource){.id = (char *) RESOURCE,
								 .token = (char *) "acme",
								 .tier = (char *) "pro",
								 .type = (char *) "postgres"};
	text = manifest_write(&job, &result, 1700000000, 1700000061, &failure);
	json_decref(counts);
	return text;
}

static void
test_round_trip(void)
{
	json_t	*notes = json_pack("[s]", "module aux data is not restored");
	char	*text = written(notes);
	Failure	 failure = {0};
	Manifest manifest;

	ok(text != NULL && text[strlen(text) - 1] == '\n', "written, with a newline at its end");
	ok(strstr(text, "\"encryption\": \"none\"") != NULL, "encryption is named");
	ok(manifest_parse(&manifest, KEY, text, strlen(text), &failure), "read back (%s)", failure.detail);
	is_int(manifest.format, MANIFEST_FORMAT, "format");
	is_string(manifest.backup_id, ID, "backup_id");
	is_string(manifest.attempt_id, ATTEMPT, "attempt_id");
	is_string(manifest.key, KEY, "key");
	is_string(manifest.resource_id, RESOURCE, "resource_id");
	is_string(manifest.token, "acme", "token");
	is_string(manifest.team_id, NULL, "team_id");
	is_string(manifest.tier, "pro", "tier");
	is_string(manifest.type, "postgres", "type");
	is_string(manifest.engine, "postgres", "engine");
	is_string(manifest.server_version, "15.20", "server_version");
	is_string(manifest.tool_version, "pg_dump 17.2", "tool_version");
	is_string(manifest.consistency, "snapshot", "consistency");
	is_string(manifest.sha256, SHA256, "sha256");
	is_int(manifest.raw_bytes, 1000, "raw_bytes");
	is_int(manifest.stored_bytes, 300, "stored_bytes");
	is_string(manifest.started_at, "2023-11-14T22:13:20Z", "started_at, UTC");
	is_string(manifest.finished_at, "2023-11-14T22:14:21Z", "finished_at");
	is_string(manifest.locked_until, NULL, "not locked");
	is_string(manifest.version_id, "v+1/==", "version_id");
	is_int(json_integer_value(json_object_get(manifest.counts, "tables")), 3, "counts");
	is_int((long long) json_array_size(manifest.notes), 1, "notes");
	manifest_free(&manifest);
	ok(manifest.key == NULL && manifest.counts == NULL, "freed, it is empty");
	ok(manifest_parse(&manifest, NULL, text, strlen(text), &failure), "without an expected key");
	manifest_free(&manifest);
	free(text);
	json_decref(notes);
	text = written(NULL);
	ok(manifest_parse(&manifest, KEY, text, strlen(text), &failure) && json_array_size(manifest.notes) == 0,
	   "no notes");
	is_string(manifest.version_id, NULL, "nor a version");
	manifest_free(&manifest);
	free(text);
}

static void
refuses_text(const char *key, const char *text, size_t length, const char *expected, const char *what)
{
	Failure	 failure = {0};
	Manifest manifest;

	ok(!manifest_parse(&manifest, key, text, length, &failure) && failure.reason == REASON_INTEGRITY &&
		   strstr(failure.detail, expected) != NULL,
	   "%s: refused (%s)", what, failure.detail);
	ok(manifest.key == NULL && manifest.counts == NULL, "%s: the manifest is empty", what);
}

/* value: JSON; NULL removes the field. */
static void
refuses(const char *name, const char *value, const char *expected)
{
	char   *text = written(NULL);
	json_t *object = json_loads(text, 0, NULL);
	char   *changed;

	if (value == NULL)
		json_object_del(object, name);
	else
		json_object_set_new(object, name, json_loads(value, JSON_DECODE_ANY, NULL));
	changed = json_dumps(object, 0);
	refuses_text(KEY, changed, strlen(changed), expected, name);
	json_decref(object);
	free(changed);
	free(text);
}

static void
test_refusals(void)
{
	static const char *const needed[] = {"format",		"backup_id",   "attempt_id", "key",
										 "resource_id", "token",	   "tier",		 "type",
										 "engine",		"sha256",	   "raw_bytes",	 "stored_bytes",
										 "started_at",	"finished_at", "counts",	 "encryption"};
	char					*large = malloc(MANIFEST_MAX_BYTES + 1);
	char					*text = written(NULL);

	for (size_t i = 0; i < sizeof(needed) / sizeof(needed[0]); i++)
	{
		refuses(needed[i], NULL, needed[i]);
		refuses(needed[i], "null", needed[i]);
		refuses(needed[i], "[1]", needed[i]);
	}
	refuses("format", "2", "use a newer custbackup");
	refuses("format", "0", "\"format\"");
	refuses("encryption", "\"aes\"", "knows no other");
	refuses("backup_id", "\"x\"", "\"backup_id\"");
	refuses("sha256", "\"e3b0\"", "\"sha256\"");
	refuses("raw_bytes", "-1", "\"raw_bytes\"");
	refuses("raw_bytes", "1.5", "\"raw_bytes\"");
	refuses("started_at", "\"2023-11-14 22:13:20\"", "\"started_at\"");
	refuses("finished_at", "\"yesterday\"", "\"finished_at\"");
	refuses("notes", "{}", "\"notes\"");
	refuses("token", "\"other\"", "does not fit its token");
	refuses("token", "\"ac\"", "does not fit its token");
	refuses("backup_id", "\"" ATTEMPT "\"", "does not fit its token and backup id");
	refuses("key", "\"acme/" ATTEMPT ".dump.gz\"", "another object's");
	refuses_text("acme/" ID "-2.dump.gz", text, strlen(text), "another object's", "another attempt's");
	refuses_text(KEY, "", 0, "not JSON", "nothing");
	refuses_text(KEY, "[]", 2, "not JSON", "an array");
	refuses_text(KEY, text, strlen(text) / 2, "not JSON", "half of one");
	refuses_text(KEY, "{\"format\": 1, \"format\": 1}", 26, "not JSON", "a field twice");
	memset(large, ' ', MANIFEST_MAX_BYTES + 1);
	memcpy(large, text, strlen(text));
	refuses_text(KEY, large, MANIFEST_MAX_BYTES + 1, "longer than", "more than a mebibyte");
	free(large);
	free(text);
}

int
main(void)
{
	test_round_trip();
	test_refusals();
	return done_testing();
}
