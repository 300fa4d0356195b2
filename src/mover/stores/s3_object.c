/*
 * s3_object.c
 *	  The small requests about one object.
 */
#include "stores/s3_object.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <curl/curl.h>

#include "utc.h"

#define HEADS_WITHOUT_REASON 3
#define GONE_CODES			 "|NoSuchKey|NoSuchVersion|NotFound|"

void
s3_object_add_options(const S3Url *url, bool is_manifest, S3Request *request)
{
	if (url->sse)
		s3_request_header(request, "x-amz-server-side-encryption", url->sse);
	if (url->sse_kms_key_id)
		s3_request_header(request, "x-amz-server-side-encryption-aws-kms-key-id", url->sse_kms_key_id);
	/* Manifests must be readable at once, whatever class the backups lie in. */
	if (url->storage_class && !is_manifest)
		s3_request_header(request, "x-amz-storage-class", url->storage_class);
}

/* A copy of a header's value, NULL when it is not there; false: no memory. */
static bool
copy_header(const HttpAnswer *answer, const char *name, char **copy, Failure *failure)
{
	char value[1200];

	*copy = NULL;
	if (!http_header(answer, name, value, sizeof(value)))
		return true;
	*copy = strdup(value);
	return *copy || failure_no_memory(failure);
}

/* Until when object lock keeps it; 0: it does not. */
static int64_t
read_lock(const HttpAnswer *answer)
{
	char	value[64];
	int64_t until;

	if (http_header(answer, "x-amz-object-lock-legal-hold", value, sizeof(value)) && strcmp(value, "ON") == 0)
		return UTC_FOR_EVER;
	if (!http_header(answer, "x-amz-object-lock-retain-until-date", value, sizeof(value)) ||
		!utc_parse(value, &until))
		return 0;
	return until;
}

/* Each object of each store has one; what a web server makes up for any path has none. */
static bool
has_etag(const HttpAnswer *answer, Failure *failure)
{
	char etag[8];

	return http_header(answer, "etag", etag, sizeof(etag)) ||
		   failure_set(
			   failure, REASON_STORE,
			   "what answers at the endpoint gives objects without an ETag, and does not speak S3; check "
			   "endpoint= in the store's URL");
}

static bool
read_stat(const HttpAnswer *answer, ObjectStat *stat, Failure *failure)
{
	char value[64];

	*stat = (ObjectStat){.locked_until = read_lock(answer)};
	if (!http_header(answer, "content-length", value, sizeof(value)))
		return failure_set(failure, REASON_STORE,
						   "the store does not say how long an object is (no Content-Length)");
	if (!has_etag(answer, failure))
		return false;
	stat->bytes = strtoll(value, NULL, 10);
	if (http_header(answer, "last-modified", value, sizeof(value)))
		stat->modified = (int64_t) curl_getdate(value, NULL);
	if (copy_header(answer, "etag", &stat->etag, failure) &&
		copy_header(answer, "x-amz-version-id", &stat->version, failure) &&
		copy_header(answer, "x-amz-server-side-encryption", &stat->encryption, failure) &&
		copy_header(answer, S3_META_ATTEMPT, &stat->attempt_id, failure))
		return true;
	object_stat_free(stat);
	return false;
}

static StoreAnswer
probe(S3Client *client, const char *key, const char *version, FailureReason when, bool even_cancelled,
	  Failure *failure)
{
	S3Request	request = {.what = "look at",
						   .when = when,
						   .method = "GET",
						   .key = key,
						   /* Another store's version may be no version at all here. */
						   .expected = version ? GONE_CODES "InvalidRange|InvalidArgument|"
											   : GONE_CODES "InvalidRange|",
						   .headers = {{"range", "bytes=0-0"}},
						   .header_count = 1,
						   .even_cancelled = even_cancelled};
	S3Answer	answer;
	StoreAnswer found;

	if (version)
		s3_request_parameter(&request, "versionId", version);
	if (!s3_perform(client, &request, &answer, failure))
		return STORE_FAILED;
	if (answer.error.code[0] == '\0')
		found = has_etag(&answer.http, failure) ? STORE_FOUND : STORE_FAILED;
	else /* An object of no bytes has no first one. */
		found = strcmp(answer.error.code, "InvalidRange") == 0 ? STORE_FOUND : STORE_MISSING;
	s3_answer_free(&answer);
	return found;
}

StoreAnswer
s3_object_probe(S3Client *client, const char *key, FailureReason when, Failure *failure)
{
	return probe(client, key, NULL, when, false, failure);
}

static bool
is_marker(const HttpAnswer *answer)
{
	char value[8];

	return http_header(answer, "x-amz-delete-marker", value, sizeof(value)) && strcmp(value, "true") == 0;
}

/* One HEAD; *status: what it was answered with. */
static bool
head_once(S3Client *client, const S3Request *request, int *status, ObjectStat *stat, Failure *failure)
{
	S3Answer answer;
	bool	 read;

	if (!s3_perform(client, request, &answer, failure))
		return false;
	*status = answer.http.status;
	read = *status < 200 || *status >= 300 || read_stat(&answer.http, stat, failure);
	stat->is_hidden = *status == 404 && is_marker(&answer.http);
	s3_answer_free(&answer);
	return read;
}

StoreAnswer
s3_object_head(S3Client *client, const char *key, const char *version, bool even_cancelled, ObjectStat *stat,
			   Failure *failure)
{
	S3Request	request = {.what = "look at",
						   .when = REASON_STORE,
						   .method = "HEAD",
						   .key = key,
						   .even_cancelled = even_cancelled};
	StoreAnswer found = STORE_FOUND;
	int			status = 0;

	*stat = (ObjectStat){0};
	if (version)
		s3_request_parameter(&request, "versionId", version);
	/* A refused HEAD cannot say why; where the GET that asks is not refused, HEAD was only unlucky. */
	for (int looked = 0; looked < HEADS_WITHOUT_REASON && found == STORE_FOUND; looked++)
	{
		if (!head_once(client, &request, &status, stat, failure))
			return STORE_FAILED;
		if (status >= 200 && status < 300)
			return STORE_FOUND;
		found = probe(client, key, version, REASON_STORE, even_cancelled, failure);
	}
	if (found == STORE_FOUND)
	{
		failure_set(failure, REASON_STORE,
					"could not look at %s/%s%s: HEAD is answered with %d, GET with success",
					client->url.bucket, client->url.prefix, key, status);
		return STORE_FAILED;
	}
	return found;
}

S3Request
s3_object_read_request(const char *key, size_t max)
{
	return (S3Request){.what = "read",
					   .when = REASON_DOWNLOAD,
					   .method = "GET",
					   .key = key,
					   .max_answer = max > S3_SMALL_ANSWER ? max : S3_SMALL_ANSWER,
					   .expected = GONE_CODES};
}

StoreAnswer
s3_object_take_read(const S3Client *client, const S3Request *request, size_t max, S3Answer *answer,
					char **bytes, size_t *length, Failure *failure)
{
	*bytes = NULL;
	*length = 0;
	if (answer->error.code[0] != '\0')
		return STORE_MISSING;
	if (answer->http.body_length > max)
	{
		failure_set(failure, REASON_INTEGRITY, "%s/%s%s is larger than the %zu bytes that it can have",
					client->url.bucket, client->url.prefix, request->key, max);
		return STORE_FAILED;
	}
	*bytes = answer->http.body ? answer->http.body : strdup("");
	if (!*bytes)
	{
		failure_no_memory(failure);
		return STORE_FAILED;
	}
	answer->http.body = NULL;
	*length = answer->http.body_length;
	return STORE_FOUND;
}

StoreAnswer
s3_object_read(S3Client *client, const char *key, size_t max, char **bytes, size_t *length, Failure *failure)
{
	S3Request	request = s3_object_read_request(key, max);
	S3Answer	answer;
	StoreAnswer found;

	*bytes = NULL;
	*length = 0;
	if (!s3_perform(client, &request, &answer, failure))
		return STORE_FAILED;
	found = s3_object_take_read(client, &request, max, &answer, bytes, length, failure);
	s3_answer_free(&answer);
	return found;
}

/* Is it a lock, rather than a missing right, that keeps it?  A lock that has run out keeps nothing. */
static bool
is_locked(S3Client *client, const char *key, const char *version, bool even_cancelled, int64_t *until)
{
	ObjectStat stat;
	Failure	   ignored = {0};

	if (s3_object_head(client, key, version, even_cancelled, &stat, &ignored) != STORE_FOUND)
		return false;
	*until = stat.locked_until;
	object_stat_free(&stat);
	return *until > (int64_t) time(NULL);
}

/*
 * An object from before versioning was switched on tells no version, and deleting it has
 * put a marker in front.  Its own version is called 'null'; it goes, and the marker after it,
 * also where the object must stay, which would be hidden otherwise.
 */
static bool
remove_behind(S3Client *client, const char *key, const char *marker, bool even_cancelled, Failure *failure)
{
	Failure ignored = {0};
	bool	removed = s3_object_remove(client, key, "null", even_cancelled, failure);
	bool	shown = s3_object_remove(client, key, marker, even_cancelled, removed ? failure : &ignored);

	return removed && shown;
}

bool
s3_object_remove(S3Client *client, const char *key, const char *version, bool even_cancelled,
				 Failure *failure)
{
	S3Request request = {.what = "delete",
						 .when = REASON_STORE,
						 .method = "DELETE",
						 .key = key,
						 .expected = GONE_CODES,
						 .even_cancelled = even_cancelled};
	S3Answer  answer;
	Failure	  refusal = {0};
	int64_t	  until;
	char	  text[UTC_TEXT_SIZE];
	char	  marker[1200];
	bool	  hidden;

	if (version)
		s3_request_parameter(&request, "versionId", version);
	if (s3_perform(client, &request, &answer, &refusal))
	{
		hidden = !version && is_marker(&answer.http) &&
				 http_header(&answer.http, "x-amz-version-id", marker, sizeof(marker));
		s3_answer_free(&answer);
		return !hidden || remove_behind(client, key, marker, even_cancelled, failure);
	}
	if (refusal.reason == REASON_STORE && is_locked(client, key, version, even_cancelled, &until))
		return failure_set(failure, REASON_LOCKED, "%s/%s%s is locked until %s%s", client->url.bucket,
						   client->url.prefix, key, utc_text(until, text),
						   until == UTC_FOR_EVER ? ": it is under a legal hold" : "");
	return failure_set(failure, refusal.reason, "%s", refusal.detail);
}

bool
s3_object_abort(S3Client *client, const char *key, const char *upload_id, bool even_cancelled,
				Failure *failure)
{
	S3Request request = {.what = "abort the upload of",
						 .when = REASON_STORE,
						 .method = "DELETE",
						 .key = key,
						 .parameters = {{"uploadId", upload_id}},
						 .parameter_count = 1,
						 .expected = "|NoSuchUpload|NoSuchKey|NotFound|",
						 .even_cancelled = even_cancelled};
	S3Answer  answer;

	if (!s3_perform(client, &request, &answer, failure))
		return false;
	s3_answer_free(&answer);
	return true;
}
