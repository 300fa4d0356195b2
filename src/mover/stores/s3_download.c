/*
 * s3_download.c
 *	  An object on its way down.
 */
#include "stores/s3_download.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "spool.h"
#include "stores/s3_object.h"
#include "stores/s3_transfer.h"

#define RANGE_BYTES		(8 * S3_MIB)
#define READ_BACK_BYTES (256 * 1024)

typedef struct Range
{
	S3Task	task; /* first */
	int64_t offset;
	int64_t length;
	bool	arrived;
	int		fd;
	int		error; /* errno of a write that failed; the transfer's thread sets it before it fails */
} Range;

typedef struct Download
{
	S3Client   *client;
	const char *key;
	ObjectStat	stat;
	int			fd;
	S3Seen		seen;
	void	   *context;
	S3Transfer *transfer;
	Range	   *ranges; /* a ring */
	int64_t		ring;
	int64_t		count;	   /* of the object's ranges */
	int64_t		submitted; /* ranges [passed, submitted) are in the ring */
	int64_t		passed;	   /* seen in order */
	char		buffer[READ_BACK_BYTES];
} Download;

/* In the transfer's thread. */
static bool
keep(void *context, int64_t offset, const void *bytes, size_t length)
{
	Range	   *range = context;
	const char *from = bytes;

	while (length > 0)
	{
		ssize_t written = pwrite(range->fd, from, length, offset);

		if (written < 0 && errno == EINTR)
			continue;
		if (written <= 0)
		{
			range->error = written < 0 ? errno : ENOSPC;
			return false;
		}
		from += written;
		offset += written;
		length -= (size_t) written;
	}
	return true;
}

static void
submit_range(Download *download)
{
	Range  *range = &download->ranges[download->submitted % download->ring];
	int64_t offset = download->submitted * RANGE_BYTES;
	int64_t left = download->stat.bytes - offset;

	range->offset = offset;
	range->length = left < RANGE_BYTES ? left : RANGE_BYTES;
	range->arrived = false;
	range->fd = download->fd;
	range->error = 0;
	range->task.request = (S3Request){.what = "fetch",
									  .when = REASON_DOWNLOAD,
									  .method = "GET",
									  .key = download->key,
									  .receive = keep,
									  .context = range,
									  .range_offset = offset,
									  .range_length = range->length,
									  .expected = "|PreconditionFailed|"};
	if (download->stat.etag)
		s3_request_header(&range->task.request, "if-match", download->stat.etag);
	if (download->stat.version)
		s3_request_parameter(&range->task.request, "versionId", download->stat.version);
	download->submitted++;
	s3_transfer_submit(download->transfer, &range->task);
}

static bool
take_arrived(Download *download, Failure *failure)
{
	S3Task	 *task;
	Range	 *range;
	S3Answer *answer;
	char	  etag[S3_ETAG_SIZE];
	bool	  changed;

	if (!s3_transfer_next(download->transfer, true, &task, failure))
		return false;
	range = (Range *) task;
	answer = &task->call.answer;
	/* Not every store minds If-Match. */
	changed = download->stat.etag && http_header(&answer->http, "etag", etag, sizeof(etag)) &&
			  strcmp(etag, download->stat.etag) != 0;
	if (answer->error.code[0] != '\0' || changed)
		return failure_set(failure, REASON_INTEGRITY, "%s/%s%s was changed while it was fetched",
						   download->client->url.bucket, download->client->url.prefix, download->key);
	s3_call_forget_try(&task->call);
	range->arrived = true;
	return true;
}

static bool
pass_on(Download *download, const Range *range, Failure *failure)
{
	int64_t done = 0;

	while (download->seen && done < range->length)
	{
		size_t	wanted = READ_BACK_BYTES;
		ssize_t got;

		if ((int64_t) wanted > range->length - done)
			wanted = (size_t) (range->length - done);
		got = pread(download->fd, download->buffer, wanted, range->offset + done);
		if (got < 0 && errno == EINTR)
			continue;
		if (got <= 0)
			return failure_set_errno(failure, REASON_CONFIG, "could not read the spool back");
		if (!download->seen(download->context, download->buffer, (size_t) got, failure))
			return false;
		done += got;
	}
	return true;
}

static bool
fetch_ranges(Download *download, Failure *failure)
{
	while (download->passed < download->count)
	{
		Range *next = &download->ranges[download->passed % download->ring];

		while (download->submitted < download->count &&
			   download->submitted - download->passed < download->ring)
			submit_range(download);
		if (!next->arrived)
		{
			if (!take_arrived(download, failure))
				return false;
			continue;
		}
		if (!pass_on(download, next, failure))
			return false;
		download->passed++;
	}
	return true;
}

/* A write that failed in the transfer's thread says more than the transfer's failure. */
static void
explain_full_spool(const Download *download, Failure *failure)
{
	for (int64_t i = 0; i < download->ring; i++)
	{
		if (download->ranges[i].error == 0)
			continue;
		*failure = (Failure){0};
		errno = download->ranges[i].error;
		failure_set_errno(failure, REASON_CONFIG,
						  "could not write to the spool in \"%s\" (setting spool_dir)",
						  spool_directory(download->client->settings->spool_dir));
		return;
	}
}

static bool
fetch_all(Download *download, Failure *failure)
{
	bool fetched = false;

	/* Twice as many as are in flight, so that a late one does not stop the others. */
	download->ring = 2 * download->client->url.parallel;
	download->count = (download->stat.bytes + RANGE_BYTES - 1) / RANGE_BYTES;
	download->ranges = calloc((size_t) download->ring, sizeof(Range));
	if (!download->ranges)
		return failure_no_memory(failure);
	download->transfer = s3_transfer_start(download->client, download->client->url.parallel, failure);
	if (download->transfer)
		fetched = fetch_ranges(download, failure);
	s3_transfer_stop(download->transfer);
	if (!fetched)
		explain_full_spool(download, failure);
	for (int64_t i = 0; i < download->ring; i++)
		s3_call_forget_try(&download->ranges[i].task.call);
	free(download->ranges);
	return fetched;
}

static bool
open_spool(Download *download, Failure *failure)
{
	const char *directory = spool_directory(download->client->settings->spool_dir);

	download->fd = spool_open(download->client->settings->spool_dir, failure);
	if (download->fd < 0)
		return false;
	/* What cannot fit is said before it is fetched. */
	if (download->stat.bytes > 0 && fallocate(download->fd, 0, 0, download->stat.bytes) < 0 &&
		errno == ENOSPC)
	{
		close(download->fd);
		return failure_set(failure, REASON_CONFIG,
						   "%lld bytes do not fit into the spool in \"%s\" (setting spool_dir)",
						   (long long) download->stat.bytes, directory);
	}
	return true;
}

/* What HEAD has seen. */
static bool
fetch_found(Download *download, int64_t expected, Failure *failure)
{
	if (!object_has_length(download->key, download->stat.bytes, expected, failure) ||
		!open_spool(download, failure))
		return false;
	if (fetch_all(download, failure))
		return true;
	close(download->fd);
	return false;
}

StoreAnswer
s3_download(S3Client *client, const char *key, const char *version, S3Seen seen, void *context, int *fd,
			int64_t *bytes, Failure *failure)
{
	Download   *download = calloc(1, sizeof(*download));
	StoreAnswer found = STORE_FAILED;

	if (!download)
	{
		failure_no_memory(failure);
		return STORE_FAILED;
	}
	download->client = client;
	download->key = key;
	download->seen = seen;
	download->context = context;
	found = s3_object_head(client, key, version, false, &download->stat, failure);
	if (found == STORE_FOUND && !fetch_found(download, *bytes, failure))
		found = STORE_FAILED;
	if (found == STORE_FOUND)
	{
		*fd = download->fd;
		*bytes = download->stat.bytes;
	}
	if (found == STORE_MISSING && download->stat.is_hidden)
	{
		failure_set(failure, REASON_INTEGRITY,
					"%s/%s%s was deleted, in a bucket that keeps versions: removing the delete marker that "
					"lies over it brings it back",
					client->url.bucket, client->url.prefix, key);
		found = STORE_FAILED;
	}
	object_stat_free(&download->stat);
	free(download);
	return found;
}
