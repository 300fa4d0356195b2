/*
 * s3_check.c
 *	  What an operator wants to know of a bucket.
 */
#include "stores/s3_check.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "stores/s3_list.h"
#include "stores/s3_object.h"
#include "stores/s3_xml.h"

#define SENTENCE_SIZE 1024
/* A clock that is off by 15 minutes is refused; long before that it wants a look. */
#define SKEW_WORTH_A_NOTE 60

typedef struct Check
{
	S3Client   *client;
	const char *key;
	CheckSay	say;
	void	   *context;
	bool		good;
} Check;

static void __attribute__((format(printf, 4, 5)))
tell(Check *check, CheckState state, const char *what, const char *format, ...)
{
	char	sentence[SENTENCE_SIZE];
	va_list args;

	va_start(args, format);
	vsnprintf(sentence, sizeof(sentence), format, args);
	va_end(args);
	check->say(check->context, state, what, sentence);
	check->good &= state != CHECK_BAD;
}

/* ---- what the bucket is set to ---------------------------------------------------------------- */

typedef struct Question
{
	const char *what;
	const char *parameter;
	const char *right; /* that asking wants */
	const char *path;  /* of the element that answers, within the root */
	const char *yes;   /* its text when it is on; NULL: any */
	const char *when_on;
	const char *when_off;
} Question;

static const Question questions[] = {
	{"versioning", "versioning", "s3:GetBucketVersioning", "Status", "Enabled",
	 "is on: a deleted backup is gone only when its version is deleted, which custbackup does",
	 "is off: whoever may delete an object deletes it for good"},
	{"object lock", "object-lock", "s3:GetBucketObjectLockConfiguration", "ObjectLockEnabled", "Enabled",
	 "is on: lock= in the store's URL makes each backup undeletable for its tier's retention",
	 "is off: a stolen key can delete backups"},
	{"replication", "replication", "s3:GetReplicationConfiguration", "Rule/Status", "Enabled",
	 "is on: another bucket gets a copy", "is off: this bucket holds the only copy"},
};

typedef struct Found
{
	const Question *question;
	bool			on;
} Found;

/* The root has another name at some stores. */
static bool
look_for(void *context, const char *path, const char *text)
{
	Found	   *found = context;
	const char *within = strchr(path, '/');

	if (within && strcmp(within + 1, found->question->path) == 0 && strcmp(text, found->question->yes) == 0)
		found->on = true;
	return true;
}

static void
ask(Check *check, const Question *question)
{
	S3Request request = {.what = "ask about",
						 .when = REASON_STORE,
						 .method = "GET",
						 .parameters = {{question->parameter, ""}},
						 .parameter_count = 1,
						 .tries = 2,
						 .expected =
							 "|AccessDenied|NotImplemented|MethodNotAllowed|NotSupported|InvalidRequest|"
							 "ObjectLockConfigurationNotFoundError|"
							 "ReplicationConfigurationNotFoundError|NoSuchConfiguration|"};
	S3Answer  answer;
	Failure	  failure = {0};
	Found	  found = {.question = question};

	if (!s3_perform(check->client, &request, &answer, &failure))
	{
		tell(check, CHECK_NOTE, question->what, "is not known: %s", failure.detail);
		return;
	}
	if (strcmp(answer.error.code, "AccessDenied") == 0)
		tell(check, CHECK_NOTE, question->what, "is not known: these credentials have no right %s",
			 question->right);
	else if (strstr(answer.error.code, "Not") == answer.error.code ||
			 strcmp(answer.error.code, "MethodNotAllowed") == 0)
		tell(check, CHECK_NOTE, question->what, "is not known: the store has no such question");
	else
	{
		s3_xml_parse(answer.http.body, answer.http.body_length, look_for, &found);
		tell(check, found.on ? CHECK_GOOD : CHECK_NOTE, question->what, "%s",
			 found.on ? question->when_on : question->when_off);
	}
	s3_answer_free(&answer);
}

/* ---- what it can do --------------------------------------------------------------------------- */

static bool
take_upload_id(void *context, const char *path, const char *text)
{
	char **upload_id = context;

	if (strcmp(path, "InitiateMultipartUploadResult/UploadId") == 0 && !*upload_id)
		*upload_id = strdup(text);
	return true;
}

static bool
note_upload(void *context, const char *key, const char *upload_id, int64_t begun, Failure *failure)
{
	int *count = context;

	(void) key;
	(void) upload_id;
	(void) begun;
	(void) failure;
	(*count)++;
	return true;
}

static void
check_upload_in_parts(Check *check)
{
	S3Request request = {.what = "begin an upload of",
						 .when = REASON_STORE,
						 .method = "POST",
						 .key = check->key,
						 .parameters = {{"uploads", ""}},
						 .parameter_count = 1};
	S3Answer  answer;
	Failure	  failure = {0};
	Failure	  listing = {0};
	char	 *upload_id = NULL;
	int		  count = 0;

	/* As a backup's own, with all that the URL asks for. */
	s3_object_add_options(&check->client->url, false, &request);
	if (check->client->url.checksum == S3_CHECKSUM_SHA256)
		s3_request_header(&request, "x-amz-checksum-algorithm", "SHA256");
	if (s3_perform(check->client, &request, &answer, &failure))
	{
		s3_xml_parse(answer.http.body, answer.http.body_length, take_upload_id, &upload_id);
		s3_answer_free(&answer);
		if (!upload_id)
			failure_set(&failure, REASON_STORE, "the store gave no upload id");
	}
	if (!upload_id)
	{
		tell(check, CHECK_BAD, "parts", "cannot begin an upload in parts: %s", failure.detail);
		return;
	}
	tell(check, CHECK_GOOD, "parts", "an upload in parts can be begun");
	if (!s3_list_uploads(check->client, note_upload, &count, &listing))
		tell(check, CHECK_NOTE, "unfinished", "uploads cannot be listed: %s", listing.detail);
	else
		tell(
			check, count > 0 ? CHECK_GOOD : CHECK_NOTE, "unfinished",
			count > 0
				? "uploads can be listed (%d, with the one of this check)"
				: "uploads are not listed (%d): what a killed mover leaves is swept by its recorded id alone",
			count);
	if (s3_object_abort(check->client, check->key, upload_id, false, &failure))
		tell(check, CHECK_GOOD, "abort", "an upload can be aborted");
	else
		tell(check, CHECK_BAD, "abort", "cannot abort an upload: %s", failure.detail);
	free(upload_id);
}

/* Where versions are kept, a PUT that was to overwrite nothing has made a second one. */
static void
remove_second(Check *check, const S3Answer *answer)
{
	char	version[1200];
	Failure ignored = {0};

	if (http_header(&answer->http, "x-amz-version-id", version, sizeof(version)) &&
		strcmp(version, "null") != 0)
		s3_object_remove(check->client, check->key, version, false, &ignored);
}

/* A second PUT of what is there, asked not to overwrite. */
static void
check_overwriting(Check *check)
{
	S3Request request = {.what = "write",
						 .when = REASON_STORE,
						 .method = "PUT",
						 .key = check->key,
						 .headers = {{"if-none-match", "*"}},
						 .header_count = 1,
						 .body = {.bytes = "again", .length = 5},
						 .checksummed = true,
						 .expected = "|PreconditionFailed|NotImplemented|ConditionalRequestConflict|"};
	S3Answer  answer;
	Failure	  failure = {0};
	int64_t	  skew;

	if (!s3_perform(check->client, &request, &answer, &failure))
	{
		tell(check, CHECK_NOTE, "overwriting", "is not known: %s", failure.detail);
		return;
	}
	if (answer.error.code[0] == '\0')
		remove_second(check, &answer);
	if (strcmp(answer.error.code, "PreconditionFailed") == 0)
		tell(check, CHECK_GOOD, "overwriting", "is refused by the store itself (If-None-Match)");
	else if (answer.error.code[0] == '\0')
		tell(check, CHECK_NOTE, "overwriting",
			 "is not refused by the store (it ignores If-None-Match); the attempt in each key keeps backups "
			 "apart");
	else if (!check->client->url.if_none_match)
		tell(check, CHECK_NOTE, "overwriting",
			 "is not refused by the store, which is not asked to (if_none_match=no); the attempt in each key "
			 "keeps backups apart");
	else
		tell(check, CHECK_BAD, "overwriting",
			 "the store refuses If-None-Match (%s): set if_none_match=no in the store's URL",
			 answer.error.code);
	skew = s3_clock_skew(&answer.http);
	if (llabs(skew) >= SKEW_WORTH_A_NOTE)
		tell(check, CHECK_NOTE, "clock", "this host is %lld s %s the store; 900 s are refused",
			 (long long) llabs(skew), skew > 0 ? "ahead of" : "behind");
	else
		tell(check, CHECK_GOOD, "clock", "agrees with the store's within %d s", SKEW_WORTH_A_NOTE);
	s3_answer_free(&answer);
}

bool
s3_check(S3Client *client, const char *key, CheckSay say, void *context)
{
	Check check = {.client = client, .key = key, .say = say, .context = context, .good = true};

	check_overwriting(&check);
	check_upload_in_parts(&check);
	for (size_t i = 0; i < sizeof(questions) / sizeof(questions[0]); i++)
		ask(&check, &questions[i]);
	return check.good;
}

bool
s3_check_is_denied(S3Client *client, const char *key)
{
	S3Request request = {.what = "look at",
						 .when = REASON_STORE,
						 .method = "GET",
						 .key = key,
						 .tries = 1,
						 .expected = "|AccessDenied|AccessForbidden|"};
	S3Answer  answer;
	Failure	  failure = {0};
	bool	  is_denied;

	if (!s3_perform(client, &request, &answer, &failure))
		return false;
	is_denied = answer.error.code[0] != '\0';
	s3_answer_free(&answer);
	return is_denied;
}
