/*
 * store_tool.c
 *	  A store by hand, for tests: one operation of store.h a run, its result as JSON on stdout.
 *
 *	  store_tool put URL KEY [EXPECTED_BYTES]   stdin becomes the object
 *	  store_tool put-many URL                   stdin names keys, a line each; objects of one byte
 *	  store_tool get URL KEY [VERSION]          fetched whole, and thrown away
 *	  store_tool head | read | remove | abort URL KEY [VERSION or UPLOAD_ID]
 *	  store_tool list URL [PREFIX]
 *	  store_tool uploads URL
 *	  store_tool request URL METHOD [KEY [QUERY [HEADER:VALUE ...]]]   anything else, stdin as body
 *
 * Settings: the JSON file that CUSTBACKUP_SETTINGS names.  ATTEMPT_ID may name the
 * attempt, RETAIN_UNTIL the end of its retention in seconds since 1970,
 * OBJECT_BYTES how long the object must be that is fetched.  A failure goes to stdout too, as {"reason", "detail"}, with status 1.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <jansson.h>
#include <sys/resource.h>

#include "cancel.h"
#include "digest.h"
#include "settings.h"
#include "stores/s3_list.h"
#include "stores/s3_transfer.h"
#include "stores/store.h"
#include "stores/store_s3.h"

/* Small enough that an order to stop is heard soon. */
#define READ_BYTES (1024 * 1024)
#define MANY	   5000

static json_t *result;

static json_t *
text_or_null(const char *text)
{
	return text ? json_string(text) : json_null();
}

static void
say_stat(const ObjectStat *stat)
{
	json_object_set_new(result, "bytes", json_integer(stat->bytes));
	json_object_set_new(result, "version", text_or_null(stat->version));
	json_object_set_new(result, "etag", text_or_null(stat->etag));
	json_object_set_new(result, "attempt_id", text_or_null(stat->attempt_id));
	json_object_set_new(result, "encryption", text_or_null(stat->encryption));
	json_object_set_new(result, "locked_until", json_integer(stat->locked_until));
}

static bool
say_answer(StoreAnswer answer)
{
	if (answer == STORE_MISSING)
		json_object_set_new(result, "missing", json_true());
	return answer != STORE_FAILED;
}

static void
announce(void *context, const char *upload_id)
{
	(void) context;
	json_object_set_new(result, "upload_id", text_or_null(upload_id));
	/* A test may kill us from here on. */
	if (upload_id)
		fprintf(stderr, "upload_id %s\n", upload_id);
}

/* Room is asked for only when there is something to put there: what fits into one part is sent in one piece. */
static bool
put_some(Upload *upload, size_t *length, Failure *failure)
{
	char	first;
	ssize_t got = read(STDIN_FILENO, &first, 1);
	void   *room;

	/* A signal is looked at by the caller, who then comes again. */
	*length = got != 0;
	if (got != 1)
		return got == 0 || errno == EINTR ||
			   failure_set_errno(failure, REASON_INTERNAL, "could not read stdin");
	if (!upload->room(upload, &room, length, failure))
		return false;
	*(char *) room = first;
	if (*length > READ_BYTES)
		*length = READ_BYTES;
	if (*length > 1)
	{
		got = read(STDIN_FILENO, (char *) room + 1, *length - 1);
		*length = got < 0 ? 1 : (size_t) got + 1;
	}
	return upload->filled(upload, *length, failure);
}

static bool
put(Store *store, const char *key, const char *expected, Failure *failure)
{
	ObjectInfo info = {.key = key,
					   .content_type = "application/gzip",
					   .attempt_id = getenv("ATTEMPT_ID") ? getenv("ATTEMPT_ID") : "attempt-of-a-test",
					   .backup_id = "backup-of-a-test",
					   .resource_type = "postgres",
					   .expected_bytes = expected ? strtoll(expected, NULL, 10) : -1,
					   .retain_until = getenv("RETAIN_UNTIL") ? strtoll(getenv("RETAIN_UNTIL"), NULL, 10) : 0,
					   .announce = announce};
	Upload	  *upload = store->begin(store, &info, failure);
	ObjectStat stat = {0};
	Failure	   left = {0};
	bool	   good = upload != NULL;
	size_t	   length = 1;

	while (good && length > 0)
	{
		good = put_some(upload, &length, failure);
		if (good && cancel_requested())
			good = cancel_failure(failure);
	}
	good = good && upload->finish(upload, &stat, failure);
	if (upload && !good)
		upload->abort(upload, &left);
	if (left.reason != REASON_NONE)
		json_object_set_new(result, "left", json_string(left.detail));
	if (good)
	{
		say_stat(&stat);
		json_object_set_new(result, "sha256", json_string(stat.sha256));
	}
	object_stat_free(&stat);
	return good;
}

/* As fast as the store takes them: nothing is looked at before or after. */
static bool
put_many(Store *store, Failure *failure)
{
	S3Client   *client = store_s3_client(store);
	S3Transfer *transfer = s3_transfer_start(client, 16, failure);
	S3Task	   *tasks = calloc(MANY, sizeof(S3Task));
	S3Task	   *task;
	char(*keys)[128] = calloc(MANY, sizeof(*keys));
	int	 count = 0;
	int	 stored = 0;
	bool good = transfer != NULL;

	while (good && count < MANY && fgets(keys[count], sizeof(keys[count]), stdin))
	{
		keys[count][strcspn(keys[count], "\n")] = '\0';
		tasks[count].request = (S3Request){.what = "store",
										   .when = REASON_UPLOAD,
										   .method = "PUT",
										   .key = keys[count],
										   .body = {.bytes = "x", .length = 1}};
		s3_transfer_submit(transfer, &tasks[count++]);
	}
	while (good && stored < count)
	{
		good = s3_transfer_next(transfer, true, &task, failure);
		stored += good;
	}
	s3_transfer_stop(transfer);
	for (int i = 0; i < count; i++)
		s3_call_forget_try(&tasks[i].call);
	free(tasks);
	free(keys);
	json_object_set_new(result, "put", json_integer(stored));
	return good;
}

static bool
seen(void *context, const void *bytes, size_t length, Failure *failure)
{
	return digest_add(context, bytes, length, failure);
}

static bool
get(Store *store, const char *key, const char *version, Failure *failure)
{
	Digest	   *digest = digest_open(failure);
	char		sha256[DIGEST_TEXT_SIZE];
	int			fd = -1;
	int64_t		bytes = getenv("OBJECT_BYTES") ? strtoll(getenv("OBJECT_BYTES"), NULL, 10) : -1;
	StoreAnswer answer = store->fetch(store, key, version, seen, digest, &fd, &bytes, failure);

	if (answer == STORE_FOUND && digest_finish(digest, sha256, failure))
	{
		json_object_set_new(result, "bytes", json_integer(bytes));
		json_object_set_new(result, "sha256", json_string(sha256));
		close(fd);
	}
	digest_close(digest);
	return say_answer(answer);
}

static bool
add_key(void *context, const char *key, int64_t bytes, int64_t modified, Failure *failure)
{
	(void) failure;
	json_array_append_new(context, json_pack("{s:s, s:I, s:I}", "key", key, "bytes", (json_int_t) bytes,
											 "modified", (json_int_t) modified));
	return true;
}

static bool
add_upload(void *context, const char *key, const char *upload_id, int64_t begun, Failure *failure)
{
	(void) failure;
	json_array_append_new(context, json_pack("{s:s, s:s, s:I}", "key", key, "upload_id", upload_id, "begun",
											 (json_int_t) begun));
	return true;
}

/* A small request as it is; nothing that the store answers is a failure. */
static bool
send_request(Store *store, char **arguments, Failure *failure)
{
	static char body[64 * 1024];
	ssize_t		length = read(STDIN_FILENO, body, sizeof(body));
	S3Request	request = {.what = "ask", .when = REASON_STORE, .method = arguments[0], .tries = 1};
	S3Answer	answer;
	char	   *colon;

	if (arguments[1] && arguments[1][0] != '\0')
		request.key = arguments[1];
	if (arguments[1] && arguments[2] && arguments[2][0] != '\0')
	{
		char *value = strchr(arguments[2], '=');

		if (value)
			*value++ = '\0';
		s3_request_parameter(&request, arguments[2], value ? value : "");
	}
	for (int i = 3; arguments[1] && arguments[2] && arguments[i]; i++)
	{
		colon = strchr(arguments[i], ':');
		*colon = '\0';
		s3_request_header(&request, arguments[i], colon + 1);
	}
	request.checksummed = length > 0;
	request.body = (HttpBody){.bytes = body, .length = length > 0 ? length : 0};
	if (!s3_perform(store_s3_client(store), &request, &answer, failure))
		return false;
	json_object_set_new(result, "status", json_integer(answer.http.status));
	json_object_set_new(result, "body", json_string(answer.http.body ? answer.http.body : ""));
	s3_answer_free(&answer);
	return true;
}

static bool
operate(Store *store, const char *operation, const char *key, const char *option, Failure *failure)
{
	ObjectStat	stat = {0};
	StoreAnswer answer;
	char	   *bytes;
	size_t		length;
	json_t	   *array;

	if (strcmp(operation, "put") == 0)
		return put(store, key, option, failure);
	if (strcmp(operation, "put-many") == 0)
		return put_many(store, failure);
	if (strcmp(operation, "get") == 0)
		return get(store, key, option, failure);
	if (strcmp(operation, "remove") == 0)
		return store->remove(store, key, option, failure);
	if (strcmp(operation, "abort") == 0)
		return store->abort_left(store, key, option, failure);
	if (strcmp(operation, "head") == 0)
	{
		answer = store->head(store, key, option, &stat, failure);
		if (answer == STORE_FOUND)
			say_stat(&stat);
		object_stat_free(&stat);
		return say_answer(answer);
	}
	if (strcmp(operation, "read") == 0)
	{
		answer = store->read_small(store, key, 64 * 1024, &bytes, &length, failure);
		if (answer == STORE_FOUND)
			json_object_set_new(result, "text", json_stringn(bytes, length));
		free(bytes);
		return say_answer(answer);
	}
	array = json_array();
	json_object_set_new(result, operation, array);
	if (strcmp(operation, "uploads") == 0)
		return s3_list_uploads(store_s3_client(store), add_upload, array, failure);
	return store->list(store, key ? key : "", add_key, array, failure);
}

int
main(int argc, char **argv)
{
	Settings	  settings;
	Failure		  failure = {0};
	Store		 *store = NULL;
	struct rusage usage;
	bool		  good;

	if (argc < 3)
	{
		fputs("usage: store_tool OPERATION URL [KEY [OPTION]]\n", stderr);
		return 2;
	}
	result = json_object();
	settings_defaults(&settings);
	good = cancel_install(&failure) &&
		   (!getenv("CUSTBACKUP_SETTINGS") ||
			settings_read_file(&settings, getenv("CUSTBACKUP_SETTINGS"), &failure)) &&
		   (store = store_open("test", argv[2], &settings, &failure)) != NULL &&
		   (strcmp(argv[1], "request") == 0
				? send_request(store, argv + 3, &failure)
				: operate(store, argv[1], argc > 3 ? argv[3] : NULL, argc > 4 ? argv[4] : NULL, &failure));
	if (store)
		store->close(store);
	if (!good)
	{
		json_object_set_new(result, "reason", json_string(failure_reason_name(failure.reason)));
		json_object_set_new(result, "detail", json_string(failure.detail));
	}
	getrusage(RUSAGE_SELF, &usage);
	json_object_set_new(result, "max_rss_kib", json_integer(usage.ru_maxrss));
	json_dumpf(result, stdout, JSON_COMPACT);
	putchar('\n');
	json_decref(result);
	settings_free(&settings);
	return good ? 0 : 1;
}
