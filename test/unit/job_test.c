/* job.c: a whole job of each kind, and every way of being none. */
#include "job.h"

#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include <jansson.h>

#include "cancel.h"
#include "tap.h"

#define JOB_ID		"0189f7c2-6d7e-7b3a-8c55-0123456789ab"
#define ATTEMPT_ID	"11111111-2222-4333-8444-555555555555"
#define RESOURCE_ID "aaaaaaaa-bbbb-4ccc-8ddd-eeeeeeeeeeee"
#define OTHER_ID	"99999999-bbbb-4ccc-8ddd-eeeeeeeeeeee"
#define SHA256		"e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"

#define RESOURCE                                                                                             \
	"\"resource\": {\"id\": \"" RESOURCE_ID "\", \"token\": \"acme-main\", \"team_id\": null, "              \
	"\"tier\": \"pro\", \"type\": \"vector\", \"connection_url\": \"Q0lQSEVS\"}, "                           \
	"\"store\": {\"name\": \"default\", \"url\": \"file:///backups\"}"
#define IDS "\"job_id\": \"" JOB_ID "\", \"attempt_id\": \"" ATTEMPT_ID "\""

static const char backup_text[] =
	"{\"version\": 1, \"kind\": \"backup\", " IDS ", \"attempt\": 2, \"engine\": \"postgres\", " RESOURCE ", "
	"\"object\": {\"key\": \"acme-main/" JOB_ID "-2.dump.gz\", \"expected_bytes\": 1234}, "
	"\"previous\": [{\"attempt_id\": \"" OTHER_ID "\", \"key\": \"acme-main/" JOB_ID
	".dump.gz\", \"upload_id\": \"u1\"}]}";

static const char restore_text[] =
	"{\"version\": 1, \"kind\": \"restore\", " IDS
	", \"attempt\": 1, \"engine\": \"postgres\", \"mode\": \"rewind\", " RESOURCE
	", \"object\": {\"backup_id\": \"" OTHER_ID "\", \"key\": \"old-token/" OTHER_ID ".dump.gz\", "
	"\"version\": \"v7\", \"sha256\": \"" SHA256 "\", \"raw_bytes\": 123, \"stored_bytes\": 45, "
	"\"resource_id\": \"" RESOURCE_ID "\", \"token\": \"old-token\"}}";

static bool
parse(Job *job, const char *text, Failure *failure)
{
	*failure = (Failure){0};
	return job_parse(job, text, strlen(text), failure);
}

static void
test_backup(void)
{
	Failure failure;
	Job		job;

	ok(parse(&job, backup_text, &failure), "a backup (%s)", failure.detail);
	is_int(job.kind, JOB_BACKUP, "its kind");
	is_string(job.job_id, JOB_ID, "its id");
	is_string(job.attempt_id, ATTEMPT_ID, "its attempt");
	is_int(job.attempt, 2, "the attempt's number");
	is_string(job.engine, "postgres", "the engine");
	is_string(job.resource.id, RESOURCE_ID, "the resource");
	is_string(job.resource.token, "acme-main", "its token");
	is_string(job.resource.team_id, NULL, "no team");
	is_string(job.resource.tier, "pro", "its tier");
	is_string(job.resource.type, "vector", "its type");
	is_string(job.resource.connection_url, "Q0lQSEVS", "its URL, encrypted");
	is_string(job.store_name, "default", "the store");
	is_string(job.store_url, "file:///backups", "its URL");
	is_string(job.object_key, "acme-main/" JOB_ID "-2.dump.gz", "the object");
	is_int(job.expected_bytes, 1234, "the size to expect");
	is_int(job.retain_until, 0, "no retention");
	is_int(job.previous_count, 1, "one earlier attempt");
	is_string(job.previous[0].attempt_id, OTHER_ID, "its id");
	is_string(job.previous[0].key, "acme-main/" JOB_ID ".dump.gz", "its object");
	is_string(job.previous[0].upload_id, "u1", "its upload");
	job_free(&job);
	ok(job.job_id == NULL && job.previous == NULL && job.previous_count == 0, "freed, it is empty");
	job_free(&job);
}

static void
test_restore(void)
{
	Failure failure;
	Job		job;

	ok(parse(&job, restore_text, &failure), "a restore (%s)", failure.detail);
	is_int(job.kind, JOB_RESTORE, "its kind");
	is_int(job.mode, RESTORE_REWIND, "its mode");
	is_string(job.backup_id, OTHER_ID, "the backup");
	is_string(job.object_key, "old-token/" OTHER_ID ".dump.gz", "its object");
	is_string(job.version, "v7", "its version");
	is_string(job.sha256, SHA256, "its sha256");
	is_int(job.raw_bytes, 123, "its raw size");
	is_int(job.stored_bytes, 45, "its stored size");
	is_string(job.source_resource_id, RESOURCE_ID, "whose it is");
	is_string(job.source_token, "old-token", "under which token, which may have changed since");
	is_int(job.expected_bytes, -1, "no size to expect");
	job_free(&job);
}

/* The job with one field set (value as JSON) or, for NULL, removed; path as a.b or a.0.b. */
static char *
with(const char *text, const char *path, const char *value)
{
	json_t *root = json_loads(text, 0, NULL);
	json_t *object = root;
	char	copy[64];
	char   *name = copy;
	char   *dot;
	char   *changed;

	snprintf(copy, sizeof(copy), "%s", path);
	while ((dot = strchr(name, '.')) != NULL)
	{
		*dot = '\0';
		object = json_is_array(object) ? json_array_get(object, (size_t) atoi(name))
									   : json_object_get(object, name);
		name = dot + 1;
	}
	if (value == NULL)
		json_object_del(object, name);
	else
		json_object_set_new(object, name, json_loads(value, JSON_DECODE_ANY, NULL));
	changed = json_dumps(root, 0);
	json_decref(root);
	return changed;
}

static void
refuses_text(const char *text, size_t length, const char *expected, const char *what)
{
	Failure failure = {0};
	Job		job;

	ok(!job_parse(&job, text, length, &failure) && failure.reason == REASON_CONFIG &&
		   strstr(failure.detail, expected) != NULL,
	   "%s: refused (%s)", what, failure.detail);
	ok(job.job_id == NULL && job.resource.id == NULL && job.previous == NULL, "%s: the job is empty", what);
}

static void
refuses(const char *text, const char *path, const char *value, const char *expected)
{
	char *changed = with(text, path, value);
	char  what[128];

	snprintf(what, sizeof(what), "%s %.60s", path, value ? value : "removed");
	refuses_text(changed, strlen(changed), expected, what);
	free(changed);
}

/* What touches the store alone. */
static void
test_sweep(void)
{
	static const char text[] = "{\"version\": 1, \"kind\": \"sweep\", " IDS ", \"attempt\": 1, "
							   "\"store\": {\"name\": \"default\", \"url\": \"file:///backups\"}, "
							   "\"object\": {\"backup_id\": \"" OTHER_ID "\", \"token\": \"acme\"}, "
							   "\"previous\": [{\"attempt_id\": \"" ATTEMPT_ID "\", \"key\": \"acme/" OTHER_ID
							   "-3.dump.gz\", \"upload_id\": null}]}";
	Failure failure;
	Job		job;

	ok(parse(&job, text, &failure), "a sweep (%s)", failure.detail);
	is_int(job.kind, JOB_SWEEP, "its kind");
	is_string(job.backup_id, OTHER_ID, "the backup");
	is_int(job.previous_count, 1, "one attempt");
	is_string(job.previous[0].key, "acme/" OTHER_ID "-3.dump.gz", "its object");
	job_free(&job);
	refuses(text, "object.token", "\"other\"", "another backup's");
	refuses(text, "object.backup_id", "\"" JOB_ID "\"", "another backup's");
	refuses(text, "object.key", "\"x\"", "unknown");
}

static void
test_retention(void)
{
	Failure failure;
	Job		job;
	char   *text = with(backup_text, "object.retain_until", "\"2026-11-23T14:07:31Z\"");

	ok(parse(&job, text, &failure), "a backup with a retention (%s)", failure.detail);
	is_int(job.retain_until, 1795442851, "its end");
	job_free(&job);
	free(text);
	refuses(backup_text, "object.retain_until", "\"tomorrow\"", "must be a time");
	refuses(backup_text, "object.retain_until", "30", "must be a time");
}

static void
accepts(const char *text, const char *path, const char *value)
{
	char   *changed = with(text, path, value);
	Failure failure;
	Job		job;

	ok(parse(&job, changed, &failure), "%s %s: accepted (%s)", path, value ? value : "removed",
	   failure.detail);
	job_free(&job);
	free(changed);
}

static void
test_fields(void)
{
	static const struct
	{
		const char *path;
		const char *value;
		const char *expected;
	} both[] = {
		{"version", NULL, "\"version\" must be 1"},
		{"version", "2", "\"version\" must be 1"},
		{"version", "\"1\"", "\"version\" must be 1"},
		{"version", "1.0", "\"version\" must be 1"},
		{"kind", NULL, "\"kind\""},
		{"kind", "\"delete\"", "\"kind\""},
		{"kind", "7", "\"kind\""},
		{"job_id", NULL, "\"job_id\" is missing"},
		{"job_id", "null", "\"job_id\" must be a text"},
		{"job_id", "\"x\"", "\"job_id\" must be a uuid"},
		{"attempt_id", "\"\"", "\"attempt_id\" must be a uuid"},
		{"attempt", "0", "\"attempt\" must be a whole number from 1"},
		{"attempt", "-1", "\"attempt\""},
		{"attempt", "1.5", "\"attempt\""},
		{"attempt", "2147483648", "\"attempt\""},
		{"attempt", "\"1\"", "\"attempt\""},
		{"engine", "\"\"", "\"engine\" must be a text of 1 to 200"},
		{"engine", "[]", "\"engine\" must be a text"},
		{"engine", "\"a\\u0001\"", "\"engine\""},
		{"surprise", "1", "\"surprise\" is unknown"},
		{"resource", NULL, "\"resource\" is missing"},
		{"resource", "[]", "\"resource\" must be an object"},
		{"resource", "null", "\"resource\" must be an object"},
		{"resource.id", "\"1\"", "\"resource.id\" must be a uuid"},
		{"resource.team_id", "\"1\"", "\"resource.team_id\" must be a uuid"},
		{"resource.team_id", "1", "\"resource.team_id\" must be a text"},
		{"resource.token", "\"a/b\"", "\"resource.token\""},
		{"resource.token", "\"..\"", "\"resource.token\""},
		{"resource.token", "\"a\\nb\"", "\"resource.token\""},
		{"resource.tier", NULL, "\"resource.tier\" is missing"},
		{"resource.type", "true", "\"resource.type\""},
		{"resource.connection_url", "\"\"", "\"resource.connection_url\" must not be empty"},
		{"resource.connection_url", NULL, "\"resource.connection_url\" is missing"},
		{"resource.password", "\"x\"", "\"resource.password\" is unknown"},
		{"store", "\"file:///x\"", "\"store\" must be an object"},
		{"store.url", "\"a\\u007fb\"", "\"store.url\""},
		{"store.name", "\"\"", "\"store.name\""},
		{"store.path", "\"/\"", "\"store.path\" is unknown"},
		{"object", "7", "\"object\" must be an object"},
		{"object.extra", "null", "\"object.extra\" is unknown"},
		{"object.key", "\"../x\"", "\"object.key\""},
		{"object.key", NULL, "\"object.key\" is missing"},
		{"object.key", "\"evil/" JOB_ID ".dump.gz\"", "\"object.key\" is another backup's"},
	};

	for (size_t i = 0; i < sizeof(both) / sizeof(both[0]); i++)
	{
		refuses(backup_text, both[i].path, both[i].value, both[i].expected);
		refuses(restore_text, both[i].path, both[i].value, both[i].expected);
	}
}

static void
test_backup_fields(void)
{
	refuses(backup_text, "mode", "\"clone\"", "\"mode\" is unknown");
	refuses(backup_text, "object.sha256", "\"" SHA256 "\"", "\"object.sha256\" is unknown");
	refuses(backup_text, "object.expected_bytes", "-5",
			"\"object.expected_bytes\" must be a whole number from 0");
	refuses(backup_text, "object.expected_bytes", "\"5\"", "\"object.expected_bytes\"");
	refuses(backup_text, "object.key", "\"acme-main/" JOB_ID ".json\"", "must have the form");
	refuses(backup_text, "object.key", "\"acme-main/" OTHER_ID ".dump.gz\"", "another backup's");
	refuses(backup_text, "previous", "{}", "\"previous\" must be an array");
	refuses(backup_text, "previous", "[1]", "\"previous\" must hold objects");
	refuses(backup_text, "previous", "[{}]", "\"previous.attempt_id\" is missing");
	refuses(backup_text, "previous.0.key", "\"other/" JOB_ID ".dump.gz\"",
			"\"previous.key\" is another backup's");
	refuses(backup_text, "previous.0.upload_id", "\"a\\nb\"", "\"previous.upload_id\"");
	refuses(backup_text, "previous.0.bucket", "\"x\"", "\"previous.bucket\" is unknown");
	accepts(backup_text, "object.expected_bytes", "null");
	accepts(backup_text, "object.expected_bytes", "9223372036854775807");
	accepts(backup_text, "object.expected_bytes", NULL);
	accepts(backup_text, "previous", "[]");
	accepts(backup_text, "previous", NULL);
	accepts(backup_text, "previous.0.upload_id", "null");
	accepts(backup_text, "resource.team_id", "\"" OTHER_ID "\"");
	accepts(backup_text, "resource.tier", "\"h\xC3\xBCgel\"");
}

static void
test_restore_fields(void)
{
	refuses(restore_text, "mode", NULL, "\"mode\" is missing");
	refuses(restore_text, "mode", "\"merge\"", "\"mode\" must be rewind or clone");
	refuses(restore_text, "previous", "[]", "\"previous\" is unknown");
	refuses(restore_text, "object.expected_bytes", "1", "\"object.expected_bytes\" is unknown");
	refuses(restore_text, "object.sha256", "\"abc\"", "\"object.sha256\" must be 64 hex digits");
	refuses(restore_text, "object.sha256", "null", "\"object.sha256\" must be a text");
	refuses(restore_text, "object.raw_bytes", "null", "\"object.raw_bytes\" must be a whole number");
	refuses(restore_text, "object.raw_bytes", "-1", "\"object.raw_bytes\"");
	refuses(restore_text, "object.stored_bytes", "1e3", "\"object.stored_bytes\"");
	refuses(restore_text, "object.token", "\"acme-main\"", "\"object.key\" is another backup's");
	refuses(restore_text, "object.backup_id", "\"" JOB_ID "\"", "\"object.key\" is another backup's");
	refuses(restore_text, "object.resource_id", "\"" OTHER_ID "\"", "only a clone may do that");
	accepts(restore_text, "object.version", "null");
	accepts(restore_text, "object.version", NULL);
	accepts(restore_text, "mode", "\"clone\"");
}

static void
test_text(void)
{
	char   *large = malloc(JOB_MAX_BYTES + 2);
	char	deep[3000];
	Failure failure;
	Job		job;

	refuses_text("", 0, "is not JSON", "nothing");
	refuses_text("{", 1, "is not JSON: line 1", "half an object");
	refuses_text("[]", 2, "must be one JSON object", "an array");
	refuses_text("{}", 2, "\"version\"", "an empty object");
	refuses_text("{\"version\": 1, \"version\": 1}", 28, "is not JSON", "a field twice");
	refuses_text("{\"version\": 1} {}", 17, "is not JSON", "something after it");
	refuses_text("{\"version\": 1}\0", 15, "is not JSON", "a NUL byte");
	refuses_text("{\"\xFF\": 1}", 8, "is not JSON", "bytes that are not UTF-8");
	refuses_text("{\"kind\": \"a\\u0000b\"}", 20, "is not JSON", "an escaped NUL");
	memset(deep, '[', sizeof(deep));
	refuses_text(deep, sizeof(deep), "is not JSON", "three thousand brackets");

	memset(large, ' ', JOB_MAX_BYTES + 2);
	memcpy(large, backup_text, strlen(backup_text));
	refuses_text(large, JOB_MAX_BYTES + 1, "longer than 262144 bytes", "a byte too many");
	failure = (Failure){0};
	ok(job_parse(&job, large, JOB_MAX_BYTES, &failure), "as long as allowed");
	job_free(&job);
	free(large);
}

/* Reads from a pipe that another process fills. */
static bool
read_from_pipe(const char *text, size_t length, Job *job, Failure *failure)
{
	int	  fds[2];
	bool  read;
	pid_t pid;

	if (pipe(fds) < 0 || (pid = fork()) < 0)
		abort();
	if (pid == 0)
	{
		/* In two pieces, the second a little later. */
		size_t half = length / 2;

		close(fds[0]);
		signal(SIGPIPE, SIG_DFL);
		if (write(fds[1], text, half) < 0)
			_exit(1);
		usleep(20000);
		_exit(write(fds[1], text + half, length - half) < 0);
	}
	close(fds[1]);
	*failure = (Failure){0};
	read = job_read_fd(job, fds[0], failure);
	close(fds[0]);
	waitpid(pid, NULL, 0);
	return read;
}

static void
test_reading(void)
{
	char   *large = calloc(1, 300 * 1024);
	Failure failure;
	Job		job;
	int		fds[2];

	ok(read_from_pipe(backup_text, strlen(backup_text), &job, &failure), "a job from a pipe, in pieces");
	job_free(&job);
	ok(!read_from_pipe("", 0, &job, &failure) && strstr(failure.detail, "no job came") != NULL,
	   "nothing from a pipe");
	ok(!read_from_pipe(large, 300 * 1024, &job, &failure) && strstr(failure.detail, "longer than") != NULL,
	   "300 KiB from a pipe");
	free(large);
	failure = (Failure){0};
	ok(!job_read_fd(&job, open("/", O_RDONLY | O_CLOEXEC), &failure) &&
		   strstr(failure.detail, "Is a directory") != NULL,
	   "from a directory (%s)", failure.detail);

	/* SIGTERM while nothing comes. */
	failure = (Failure){0};
	if (pipe(fds) < 0)
		abort();
	cancel_install(&failure);
	raise(SIGTERM);
	alarm(0);
	ok(!job_read_fd(&job, fds[0], &failure) && failure.reason == REASON_CANCELLED,
	   "cancelled while waiting for it");
}

int
main(void)
{
	test_backup();
	test_sweep();
	test_retention();
	test_restore();
	test_fields();
	test_backup_fields();
	test_restore_fields();
	test_text();
	test_reading();
	return done_testing();
}
