/*
 * s3_upload.c
 *	  An object on its way up, in one piece or in parts.
 */
#include "stores/s3_upload.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "cancel.h"
#include "stores/s3_finish.h"
#include "stores/s3_list.h"
#include "stores/s3_object.h"
#include "stores/s3_part_hasher.h"
#include "stores/s3_parts.h"
#include "stores/s3_stored_parts.h"
#include "stores/s3_upload_part.h"
#include "stores/s3_xml.h"
#include "utc.h"

#define METADATA_FORMAT "1"
/* A store may take minutes to put 10,000 parts together. */
#define COMPLETE_PATIENCE 110
/* Nanoseconds in which a part that was cut off has reached the store or never will. */
#define LATE_PART_TIME INT64_C(250000000)

typedef struct S3Upload
{
	Upload	  upload; /* first */
	S3Client *client;
	char	 *key;
	char	 *content_type;
	char	 *attempt_id;
	char	 *backup_id;
	char	 *resource_type;
	int64_t	  retain_until; /* 0: without a lock */
	char	  retain_text[UTC_TEXT_SIZE];
	void (*announce)(void *context, const char *upload_id);
	void *announce_context;

	S3PartPlan	  plan;
	S3PartRoom	  room;
	S3Part		 *filling;		/* NULL only after a failure */
	int64_t		  total;		/* bytes that were filled in */
	char		 *upload_id;	/* NULL: not in parts (yet) */
	bool		  may_be_begun; /* in parts, under an id that nobody heard */
	PartDigest	 *digest;
	S3Transfer	 *transfer;
	S3PartHasher *hasher;
	int64_t		  stored; /* when the transfer has ended */
	S3StoredParts stored_parts;
	int64_t		  submitted;
	int64_t		  collected;
	char		  sha256[DIGEST_TEXT_SIZE]; /* when all parts are hashed */
	S3Sent		  sent;						/* by a PUT or a Complete; client NULL: none yet */
} S3Upload;

/* ---- requests --------------------------------------------------------------------------------- */

/* What is fixed for an object at its PUT or at CreateMultipartUpload. */
static void
add_object_headers(const S3Upload *upload, S3Request *request)
{
	const S3Url *url = &upload->client->url;

	s3_request_header(request, "content-type", upload->content_type);
	s3_request_header(request, S3_META_FORMAT, METADATA_FORMAT);
	s3_request_header(request, S3_META_TYPE, upload->resource_type);
	s3_request_header(request, S3_META_BACKUP, upload->backup_id);
	s3_request_header(request, S3_META_ATTEMPT, upload->attempt_id);
	s3_object_add_options(url, strcmp(upload->content_type, "application/json") == 0, request);
	if (upload->retain_until > 0)
	{
		s3_request_header(request, "x-amz-object-lock-mode", url->lock);
		s3_request_header(request, "x-amz-object-lock-retain-until-date", upload->retain_text);
	}
}

static void
announce(const S3Upload *upload)
{
	if (upload->announce)
		upload->announce(upload->announce_context, upload->upload_id);
}

static bool
take_upload_id(void *context, const char *path, const char *text)
{
	char **upload_id = context;

	if (strcmp(path, "InitiateMultipartUploadResult/UploadId") == 0 && text[0] != '\0' && !*upload_id)
		*upload_id = strdup(text);
	return true;
}

static bool
create_multipart(S3Upload *upload, Failure *failure)
{
	S3Request request = {.what = "begin the upload of",
						 .when = REASON_UPLOAD,
						 .method = "POST",
						 .key = upload->key,
						 .parameters = {{"uploads", ""}},
						 .parameter_count = 1};
	S3Answer  answer;
	Failure	  ignored = {0};
	bool	  repeated;

	add_object_headers(upload, &request);
	if (upload->client->url.checksum == S3_CHECKSUM_SHA256)
		s3_request_header(&request, "x-amz-checksum-algorithm", "SHA256");
	if (!s3_perform(upload->client, &request, &answer, failure))
	{
		upload->may_be_begun = answer.unheard;
		return false;
	}
	s3_xml_parse(answer.http.body, answer.http.body_length, take_upload_id, &upload->upload_id);
	repeated = answer.tries > 1;
	s3_answer_free(&answer);
	/* A try whose answer was lost may have begun one more. */
	if (upload->upload_id && repeated)
		s3_abort_uploads(upload->client, upload->key, upload->upload_id, &ignored);
	return upload->upload_id || failure_set(failure, REASON_STORE,
											"the store answered CreateMultipartUpload without an upload id: "
											"check endpoint= in the store's URL");
}

static bool
begin_multipart(S3Upload *upload, Failure *failure)
{
	/* Whoever is killed before the id is known leaves what the key finds. */
	announce(upload);
	if (!create_multipart(upload, failure))
		return false;
	announce(upload);
	upload->transfer = s3_transfer_start(upload->client, upload->client->url.parallel, failure);
	if (upload->transfer)
		upload->hasher = s3_part_hasher_start(upload->transfer, upload->digest, failure);
	return upload->hasher != NULL;
}

static bool
submit_part(S3Upload *upload, Failure *failure)
{
	S3Part *part = upload->filling;

	if (!upload->upload_id && !begin_multipart(upload, failure))
		return false;
	upload->filling = NULL;
	part->task.request = (S3Request){.what = "store a part of",
									 .when = REASON_UPLOAD,
									 .method = "PUT",
									 .key = upload->key,
									 .body = s3_part_body(part),
									 .checksummed = true};
	s3_request_parameter(&part->task.request, "partNumber", part->number_text);
	s3_request_parameter(&part->task.request, "uploadId", upload->upload_id);
	upload->submitted++;
	s3_part_hasher_submit(upload->hasher, part);
	return true;
}

/* ---- parts that come back --------------------------------------------------------------------- */

/* Takes one part that the store has; wait: until there is one. */
static bool
collect_part(S3Upload *upload, bool wait, bool *collected, Failure *failure)
{
	S3Task *task;

	if (!s3_transfer_next(upload->transfer, wait, &task, failure))
		return false;
	*collected = task != NULL;
	if (!task)
		return true;
	if (!s3_stored_parts_keep(&upload->stored_parts, (S3Part *) task, failure))
		return false;
	s3_part_end(&upload->room, (S3Part *) task);
	upload->collected++;
	return true;
}

static bool
begin_part(S3Upload *upload, Failure *failure)
{
	int64_t number = upload->submitted + 1;
	int64_t size = s3_part_size(&upload->plan, number);
	bool	collected;
	bool	full = true;

	if (size == 0)
		return failure_set(
			failure, REASON_UPLOAD,
			"the backup is larger than %d parts of %lld bytes; set a larger part_size= in the store's URL",
			S3_MAX_PARTS, (long long) upload->plan.size);
	while (full)
	{
		while (!s3_part_room_left(&upload->room, size))
			if (!collect_part(upload, true, &collected, failure))
				return false;
		upload->filling = s3_part_begin(&upload->room, number, size, &full, failure);
		if (full && !collect_part(upload, true, &collected, failure))
			return false;
	}
	return upload->filling != NULL;
}

static bool
s3_upload_room(Upload *handle, void **room, size_t *length, Failure *failure)
{
	S3Upload *upload = (S3Upload *) handle;

	if (upload->filling && upload->filling->length == upload->filling->size && !submit_part(upload, failure))
		return false;
	if (!upload->filling && !begin_part(upload, failure))
		return false;
	return s3_part_space(&upload->room, upload->filling, room, length, failure);
}

static bool
s3_upload_filled(Upload *handle, size_t length, Failure *failure)
{
	S3Upload *upload = (S3Upload *) handle;

	upload->total += (int64_t) length;
	return s3_part_filled(&upload->room, upload->filling, length, failure);
}

static int64_t
s3_upload_stored(const Upload *handle)
{
	const S3Upload *upload = (const S3Upload *) handle;

	return upload->transfer ? s3_transfer_stored(upload->transfer) : upload->stored;
}

/* ---- the last step ---------------------------------------------------------------------------- */

/* The request that makes the object be there. */
static bool
send_last(S3Upload *upload, S3Request *request, ObjectStat *stat, Failure *failure)
{
	if (upload->client->url.if_none_match)
		s3_request_header(request, "if-none-match", "*");
	upload->sent = (S3Sent){.client = upload->client,
							.key = upload->key,
							.attempt_id = upload->attempt_id,
							.bytes = upload->total,
							.retain_until = upload->retain_until};
	return s3_finish(&upload->sent, request, stat, failure);
}

static bool
store_in_one_piece(S3Upload *upload, ObjectStat *stat, Failure *failure)
{
	S3Request request = {.what = "store",
						 .when = REASON_UPLOAD,
						 .method = "PUT",
						 .key = upload->key,
						 .body = s3_part_body(upload->filling),
						 .checksummed = true,
						 .expected = "|PreconditionFailed|"};

	if (!s3_part_hash(upload->filling, upload->digest, NULL, failure) ||
		!part_digest_finish(upload->digest, upload->sha256, failure))
		return false;
	request.body_sha256 = upload->filling->sha256;
	announce(upload);
	add_object_headers(upload, &request);
	/* By the manual an object to be locked comes with this or an MD5; the checksum alone does for most stores. */
	if (upload->retain_until > 0 && upload->client->url.checksum == S3_CHECKSUM_SHA256)
		s3_request_header(&request, "x-amz-sdk-checksum-algorithm", "SHA256");
	return send_last(upload, &request, stat, failure);
}

static bool
complete(S3Upload *upload, ObjectStat *stat, Failure *failure)
{
	char	 *document = s3_stored_parts_document(&upload->stored_parts, upload->collected,
												  upload->client->url.checksum, failure);
	S3Request request = {.what = "complete the upload of",
						 .when = REASON_UPLOAD,
						 .method = "POST",
						 .key = upload->key,
						 .parameters = {{"uploadId", upload->upload_id}},
						 .parameter_count = 1,
						 .headers = {{"content-type", "application/xml"}},
						 .header_count = 1,
						 .expected = "|NoSuchUpload|PreconditionFailed|ConditionalRequestConflict|",
						 .says = "CompleteMultipartUpload",
						 .patience = COMPLETE_PATIENCE};
	bool	  completed;

	if (!document)
		return false;
	request.body = (HttpBody){.bytes = document, .length = (int64_t) strlen(document)};
	completed = send_last(upload, &request, stat, failure);
	free(document);
	return completed;
}

/* False: a part may still reach the store. */
static bool
stop_threads(S3Upload *upload)
{
	bool all_answered;

	/* The hasher first: it hands on to the transfer. */
	s3_part_hasher_stop(upload->hasher);
	upload->hasher = NULL;
	all_answered = s3_transfer_stop(upload->transfer);
	upload->transfer = NULL;
	return all_answered;
}

static bool
finish_parts(S3Upload *upload, Failure *failure)
{
	bool collected;

	if (upload->filling->length > 0 && !submit_part(upload, failure))
		return false;
	while (upload->collected < upload->submitted)
		if (!collect_part(upload, true, &collected, failure))
			return false;
	upload->stored = s3_transfer_stored(upload->transfer);
	stop_threads(upload);
	return part_digest_finish(upload->digest, upload->sha256, failure);
}

static void
free_upload(S3Upload *upload)
{
	stop_threads(upload);
	s3_part_room_close(&upload->room);
	part_digest_close(upload->digest);
	s3_stored_parts_free(&upload->stored_parts);
	free(upload->upload_id);
	free(upload->key);
	free(upload->content_type);
	free(upload->attempt_id);
	free(upload->backup_id);
	free(upload->resource_type);
	free(upload);
}

static bool
s3_upload_finish(Upload *handle, ObjectStat *stat, Failure *failure)
{
	S3Upload *upload = (S3Upload *) handle;
	bool	  finished;

	if (!upload->filling && !begin_part(upload, failure))
		return false;
	if (!upload->upload_id)
		finished = store_in_one_piece(upload, stat, failure);
	else
		finished = finish_parts(upload, failure) && complete(upload, stat, failure);
	if (!finished)
		return false;
	memcpy(stat->sha256, upload->sha256, sizeof(stat->sha256));
	free_upload(upload);
	return true;
}

/* A store that was busy with a part at the abort may keep it, under the same upload: S3's manual has it aborted again. */
static void
abort_parts(S3Upload *upload, bool all_answered, Failure *left)
{
	Failure ignored = {0};

	if (s3_object_abort(upload->client, upload->key, upload->upload_id, true, left) && !all_answered &&
		s3_wait_until(upload->client, monotonic_nanoseconds() + LATE_PART_TIME, false, &ignored))
		s3_object_abort(upload->client, upload->key, upload->upload_id, true, left);
}

/* Under an id that is not known; a cancelled job has no time to look for it. */
static void
abort_unknown_upload(const S3Upload *upload, Failure *left)
{
	if (!cancel_requested())
		s3_abort_uploads(upload->client, upload->key, NULL, left);
	else
		failure_set(left, REASON_STORE, "an upload of %s/%s%s may have been begun in the store",
					upload->client->url.bucket, upload->client->url.prefix, upload->key);
}

static void
s3_upload_abort(Upload *handle, Failure *left)
{
	S3Upload *upload = (S3Upload *) handle;
	bool	  all_answered;

	/* First what is in flight: a part that arrives after the abort would stay. */
	all_answered = stop_threads(upload);
	if (upload->upload_id)
		abort_parts(upload, all_answered, left);
	else if (upload->may_be_begun)
		abort_unknown_upload(upload, left);
	if (upload->sent.client)
		s3_finish_undo(&upload->sent, left);
	free_upload(upload);
}

/* ---- beginning -------------------------------------------------------------------------------- */

static char *
copy_or_empty(const char *text)
{
	/* A header's value is never empty. */
	return strdup(text && text[0] != '\0' ? text : "-");
}

/* Until the resource's retention ends, and at least for the URL's lock_days; 0: without a lock. */
static int64_t
lock_end(const S3Url *url, int64_t retain_until)
{
	int64_t at_least = url->lock_days > 0 ? (int64_t) time(NULL) + url->lock_days * 86400 : 0;

	if (!url->lock)
		return 0;
	return retain_until > at_least ? retain_until : at_least;
}

static bool
copy_info(S3Upload *upload, const ObjectInfo *info, Failure *failure)
{
	upload->key = strdup(info->key);
	upload->content_type = copy_or_empty(info->content_type);
	upload->attempt_id = copy_or_empty(info->attempt_id);
	upload->backup_id = copy_or_empty(info->backup_id);
	upload->resource_type = copy_or_empty(info->resource_type);
	upload->announce = info->announce;
	upload->announce_context = info->announce_context;
	upload->retain_until = lock_end(&upload->client->url, info->retain_until);
	utc_text(upload->retain_until, upload->retain_text);
	return (upload->key && upload->content_type && upload->attempt_id && upload->backup_id &&
			upload->resource_type) ||
		   failure_no_memory(failure);
}

/* Wrong credentials, a missing bucket and a key that is taken show here, before anybody has dumped anything. */
static bool
is_free(S3Upload *upload, Failure *failure)
{
	StoreAnswer found = s3_object_probe(upload->client, upload->key, REASON_STORE, failure);

	if (found == STORE_FOUND)
		failure_set(failure, REASON_UPLOAD, "there is an object under %s/%s%s already",
					upload->client->url.bucket, upload->client->url.prefix, upload->key);
	return found == STORE_MISSING;
}

Upload *
s3_upload_begin(S3Client *client, const ObjectInfo *info, Failure *failure)
{
	S3Upload *upload = calloc(1, sizeof(*upload));

	if (!upload)
	{
		failure_no_memory(failure);
		return NULL;
	}
	upload->client = client;
	upload->upload = (Upload){.room = s3_upload_room,
							  .filled = s3_upload_filled,
							  .stored = s3_upload_stored,
							  .finish = s3_upload_finish,
							  .abort = s3_upload_abort};
	upload->digest = part_digest_open(false, failure);
	if (upload->digest && copy_info(upload, info, failure) &&
		s3_part_plan(&upload->plan, &client->url, info->expected_bytes, failure) &&
		s3_part_room_open(&upload->room, client->settings, client->url.parallel, failure) &&
		is_free(upload, failure) && begin_part(upload, failure))
		return &upload->upload;
	free_upload(upload);
	return NULL;
}
