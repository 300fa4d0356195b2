/*
 * s3_part_hasher.c
 *	  A thread that hashes full parts in their order and hands them on to be sent.
 */
#include "stores/s3_part_hasher.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <unistd.h>

#include "thread.h"

/* What is hashed before somebody is asked whether it is still wanted. */
#define STEP_BYTES (256 * 1024)

struct S3PartHasher
{
	S3Transfer *transfer;
	PartDigest *digest;
	pthread_t	thread;
	atomic_bool stop;

	pthread_mutex_t lock; /* over what follows */
	pthread_cond_t	news;
	S3Part		   *first;
	S3Part		  **end;
};

static bool
hash_step(S3Part *part, PartDigest *digest, int64_t done, size_t length, char *buffer, Failure *failure)
{
	size_t	have = 0;
	ssize_t got;

	if (!part->spooled)
		return part_digest_add(digest, part->memory + done, length, failure);
	while (have < length)
	{
		got = pread(part->fd, buffer + have, length - have, done + (int64_t) have);
		if (got < 0 && errno == EINTR)
			continue;
		if (got <= 0)
			return failure_set_errno(failure, REASON_CONFIG,
									 "could not read a part back from its spool (setting spool_dir)");
		have += (size_t) got;
	}
	return part_digest_add(digest, buffer, length, failure);
}

bool
s3_part_hash(S3Part *part, PartDigest *digest, const atomic_bool *stop, Failure *failure)
{
	char   *buffer = part->spooled ? malloc(STEP_BYTES) : NULL;
	int64_t done = 0;
	bool	fine = buffer || !part->spooled || failure_no_memory(failure);

	while (fine && done < part->length)
	{
		int64_t length = part->length - done < STEP_BYTES ? part->length - done : STEP_BYTES;

		fine =
			!(stop && atomic_load(stop)) && hash_step(part, digest, done, (size_t) length, buffer, failure);
		done += length;
	}
	free(buffer);
	return fine && part_digest_end_part(digest, part->sha256, failure);
}

/* ---- the thread ------------------------------------------------------------------------------- */

/* NULL: the thread is to end. */
static S3Part *
take_submitted(S3PartHasher *hasher)
{
	S3Part *part = NULL;

	pthread_mutex_lock(&hasher->lock);
	while (!hasher->first && !atomic_load(&hasher->stop))
		pthread_cond_wait(&hasher->news, &hasher->lock);
	if (!atomic_load(&hasher->stop))
	{
		part = hasher->first;
		hasher->first = part->next;
	}
	pthread_mutex_unlock(&hasher->lock);
	return part;
}

static void *
run(void *context)
{
	S3PartHasher *hasher = context;
	Failure		  failure = {0};
	S3Part		 *part;

	while ((part = take_submitted(hasher)) != NULL)
	{
		if (!s3_part_hash(part, hasher->digest, &hasher->stop, &failure))
			break;
		part->task.request.body_sha256 = part->sha256;
		s3_transfer_submit(hasher->transfer, &part->task);
	}
	if (failure.reason != REASON_NONE)
		s3_transfer_fail(hasher->transfer, &failure);
	return NULL;
}

/* ---- the upload's side ------------------------------------------------------------------------ */

S3PartHasher *
s3_part_hasher_start(S3Transfer *transfer, PartDigest *digest, Failure *failure)
{
	S3PartHasher *hasher = calloc(1, sizeof(*hasher));

	if (!hasher)
	{
		failure_no_memory(failure);
		return NULL;
	}
	hasher->transfer = transfer;
	hasher->digest = digest;
	pthread_mutex_init(&hasher->lock, NULL);
	pthread_cond_init(&hasher->news, NULL);
	if (thread_start(&hasher->thread, run, hasher, "the hashing thread", failure))
		return hasher;
	pthread_cond_destroy(&hasher->news);
	pthread_mutex_destroy(&hasher->lock);
	free(hasher);
	return NULL;
}

void
s3_part_hasher_submit(S3PartHasher *hasher, S3Part *part)
{
	part->next = NULL;
	pthread_mutex_lock(&hasher->lock);
	if (!hasher->first)
		hasher->end = &hasher->first;
	*hasher->end = part;
	hasher->end = &part->next;
	pthread_cond_signal(&hasher->news);
	pthread_mutex_unlock(&hasher->lock);
}

void
s3_part_hasher_stop(S3PartHasher *hasher)
{
	if (!hasher)
		return;
	pthread_mutex_lock(&hasher->lock);
	atomic_store(&hasher->stop, true);
	pthread_cond_signal(&hasher->news);
	pthread_mutex_unlock(&hasher->lock);
	pthread_join(hasher->thread, NULL);
	pthread_cond_destroy(&hasher->news);
	pthread_mutex_destroy(&hasher->lock);
	free(hasher);
}
