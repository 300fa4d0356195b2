/*
 * s3_finish.c
 *	  The request that makes an object be there, and the truth about it.
 */
#include "stores/s3_finish.h"

#include <stdio.h>
#include <string.h>

#include "stores/s3_object.h"
#include "stores/s3_xml.h"
#include "utc.h"

#define LOOKS_FOR_STORED 4
#define SECOND			 INT64_C(1000000000)

static bool
take_etag(void *context, const char *path, const char *text)
{
	if (strcmp(path, "CompleteMultipartUploadResult/ETag") == 0)
		snprintf(context, S3_ETAG_SIZE, "%s", text);
	return true;
}

/* Without the quotes, which some stores leave out in their XML, and the mark of a weak one, which what stands between may add. */
static const char *
etag_value(const char *etag, size_t *length)
{
	if (strncmp(etag, "W/", 2) == 0)
		etag += 2;
	*length = strlen(etag);
	if (*length < 2 || etag[0] != '"' || etag[*length - 1] != '"')
		return etag;
	*length -= 2;
	return etag + 1;
}

static bool
is_same_etag(const char *a, const char *b)
{
	size_t		a_length;
	size_t		b_length;
	const char *a_value = etag_value(a, &a_length);
	const char *b_value = etag_value(b, &b_length);

	return a_length == b_length && memcmp(a_value, b_value, a_length) == 0;
}

/* Is what lies there what we sent?  True, or a failure. */
static bool
is_ours(const S3Sent *sent, const ObjectStat *stat, const char *etag, Failure *failure)
{
	const char *problem = NULL;

	if (stat->attempt_id && strcmp(stat->attempt_id, sent->attempt_id) != 0)
		problem = "another attempt's object";
	else if (stat->bytes != sent->bytes)
		problem = "an object of another size";
	else if (etag[0] != '\0' && stat->etag && !is_same_etag(stat->etag, etag))
		problem = "an object with another ETag";
	else if (!stat->attempt_id && etag[0] == '\0')
		problem = "an object that cannot be told from another's";
	if (!problem)
		return true;
	return failure_set(failure, REASON_UPLOAD, "%s lies under %s/%s%s (%lld bytes; %lld were sent)", problem,
					   sent->client->url.bucket, sent->client->url.prefix, sent->key, (long long) stat->bytes,
					   (long long) sent->bytes);
}

/* Some stores take a lock's headers for a bucket that has no object lock, and say nothing. */
static bool
is_locked_as_asked(const S3Sent *sent, const ObjectStat *stat, Failure *failure)
{
	char asked[UTC_TEXT_SIZE];
	char given[UTC_TEXT_SIZE];

	if (stat->locked_until >= sent->retain_until)
		return true;
	utc_text(sent->retain_until, asked);
	if (stat->locked_until == 0)
		return failure_set(
			failure, REASON_STORE,
			"the store took %s/%s%s without the lock that lock= asks for: object lock must be on for the "
			"bucket, and the credentials need s3:GetObjectRetention to see it",
			sent->client->url.bucket, sent->client->url.prefix, sent->key);
	return failure_set(failure, REASON_STORE,
					   "the store locked %s/%s%s until %s only, where %s was asked for",
					   sent->client->url.bucket, sent->client->url.prefix, sent->key,
					   utc_text(stat->locked_until, given), asked);
}

/* Others take the headers of encryption for nothing. */
static bool
is_encrypted_as_asked(const S3Sent *sent, const ObjectStat *stat, Failure *failure)
{
	const char *asked = sent->client->url.sse;

	if (!asked || (stat->encryption && strcmp(stat->encryption, asked) == 0))
		return true;
	return failure_set(
		failure, REASON_STORE,
		"the store took %s/%s%s without the encryption that sse=%s asks for (it names %s): this store or "
		"bucket cannot do it",
		sent->client->url.bucket, sent->client->url.prefix, sent->key, asked,
		stat->encryption ? stat->encryption : "none");
}

/* Before another try: has one that nobody heard of stored the object? */
static bool
is_not_there(void *context, Failure *failure)
{
	const S3Sent *sent = context;
	ObjectStat	  stat;
	Failure		  ignored = {0};
	StoreAnswer	  found = s3_object_head(sent->client, sent->key, NULL, false, &stat, failure);
	bool		  is_there = found == STORE_FOUND && is_ours(sent, &stat, "", &ignored);

	object_stat_free(&stat);
	return found != STORE_FAILED && !is_there;
}

/* refusal: what the request failed with, REASON_NONE: it did not; etag: what it gave. */
static bool
see_stored(const S3Sent *sent, const Failure *refusal, const char *etag, ObjectStat *stat, Failure *failure)
{
	StoreAnswer found = STORE_MISSING;
	/* Not every store shows at once what it has taken. */
	int looks = refusal->reason == REASON_NONE || sent->is_doubtful ? LOOKS_FOR_STORED : 1;

	for (int look = 0; look < looks && found == STORE_MISSING; look++)
	{
		if (look > 0 && !s3_wait_until(sent->client, monotonic_nanoseconds() + SECOND, true, failure))
			return false;
		found = s3_object_head(sent->client, sent->key, NULL, false, stat, failure);
	}
	if (found == STORE_FAILED)
		return false;
	if (found == STORE_MISSING)
	{
		if (refusal->reason != REASON_NONE)
			return failure_set(failure, refusal->reason, "%s", refusal->detail);
		return failure_set(failure, REASON_UPLOAD,
						   "the store said that it has %s/%s%s, and then did not find it",
						   sent->client->url.bucket, sent->client->url.prefix, sent->key);
	}
	if (is_ours(sent, stat, etag, failure) && is_locked_as_asked(sent, stat, failure) &&
		is_encrypted_as_asked(sent, stat, failure))
		return true;
	object_stat_free(stat);
	return false;
}

bool
s3_finish(S3Sent *sent, const S3Request *request, ObjectStat *stat, Failure *failure)
{
	S3Request once = *request;
	S3Answer  answer;
	Failure	  refusal = {0};
	char	  etag[S3_ETAG_SIZE] = "";
	bool	  is_answered;

	once.is_undone = is_not_there;
	once.context = sent;
	is_answered = s3_perform(sent->client, &once, &answer, &refusal);
	sent->is_doubtful = answer.unheard;
	if (is_answered)
	{
		/* An error that the request expects is no success either. */
		if (answer.error.code[0] != '\0')
			failure_set(&refusal, REASON_UPLOAD, "could not %s %s/%s%s: %s: %s", request->what,
						sent->client->url.bucket, sent->client->url.prefix, sent->key, answer.error.code,
						answer.error.message);
		else if (!http_header(&answer.http, "etag", etag, sizeof(etag)))
			s3_xml_parse(answer.http.body, answer.http.body_length, take_etag, etag);
		s3_answer_free(&answer);
	}
	if (refusal.reason == REASON_CANCELLED)
		return failure_set(failure, refusal.reason, "%s", refusal.detail);
	return see_stored(sent, &refusal, etag, stat, failure);
}

void
s3_finish_undo(const S3Sent *sent, Failure *failure)
{
	ObjectStat	stat;
	StoreAnswer found = s3_object_head(sent->client, sent->key, NULL, true, &stat, failure);

	if (found == STORE_MISSING && sent->is_doubtful)
		failure_set(failure, REASON_STORE, "%s/%s%s is not there, but the store may still be at work on it",
					sent->client->url.bucket, sent->client->url.prefix, sent->key);
	if (found != STORE_FOUND)
		return;
	if (stat.attempt_id && strcmp(stat.attempt_id, sent->attempt_id) == 0)
		s3_object_remove(sent->client, sent->key, stat.version, true, failure);
	object_stat_free(&stat);
}
