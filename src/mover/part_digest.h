/*
 * part_digest.h
 *	  SHA-256 of a stream and of each of the parts that it is cut into, in one pass.
 *
 * A store wants each part's, the manifest the whole's: two hashes of every byte.
 * Where the processor can, both cost what one costs (sha256_twice.h).
 */
#ifndef PART_DIGEST_H
#define PART_DIGEST_H

#include <stdbool.h>
#include <stddef.h>

#include "digest.h"
#include "failure.h"

#define PART_DIGEST_BYTES 32

typedef struct PartDigest PartDigest;

/* portable: by OpenSSL, whatever the processor can. */
extern PartDigest *part_digest_open(bool portable, Failure *failure);
extern bool		   part_digest_add(PartDigest *digest, const void *bytes, size_t length, Failure *failure);

/* Of what was added since the last call; the next part begins. */
extern bool part_digest_end_part(PartDigest *digest, unsigned char sha256[PART_DIGEST_BYTES],
								 Failure *failure);

/* Of all; nothing can be added afterwards. */
extern bool part_digest_finish(PartDigest *digest, char text[DIGEST_TEXT_SIZE], Failure *failure);
extern void part_digest_close(PartDigest *digest);

#endif
