/*
 * s3_part_hasher.h
 *	  A thread that hashes full parts in their order and hands them on to be sent.
 *
 *	  upload ── submit ──▶ queue ──▶ sha256 of the part and of the whole ──▶ s3_transfer_submit()
 *
 * So filling, hashing and sending of three parts run at once.  What fails here
 * fails the transfer, where the upload hears of it.
 */
#ifndef S3_PART_HASHER_H
#define S3_PART_HASHER_H

#include <stdatomic.h>
#include <stdbool.h>

#include "failure.h"
#include "part_digest.h"
#include "stores/s3_transfer.h"
#include "stores/s3_upload_part.h"

typedef struct S3PartHasher S3PartHasher;

/* transfer and digest are borrowed; the digest is the thread's until it is stopped. */
extern S3PartHasher *s3_part_hasher_start(S3Transfer *transfer, PartDigest *digest, Failure *failure);

/* The part's request is filled in, but for body_sha256, which comes here. */
extern void s3_part_hasher_submit(S3PartHasher *hasher, S3Part *part);

/* Ends soon, whatever is queued; joins the thread, frees.  NULL is fine. */
extern void s3_part_hasher_stop(S3PartHasher *hasher);

/* Adds the part to the digest and fills part->sha256.  *stop, if not NULL, ends it early: false without failure. */
extern bool s3_part_hash(S3Part *part, PartDigest *digest, const atomic_bool *stop, Failure *failure);

#endif
