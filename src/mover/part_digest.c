/*
 * part_digest.c
 *	  SHA-256 of a stream and of each of its parts: two states that see the same bytes.
 *
 * While both have as many bytes in their unfinished block, as they have when parts
 * are multiples of 64 bytes long, their blocks are the same and are compressed
 * together; otherwise one after the other.
 */
#include "part_digest.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <openssl/evp.h>

#include "sha256_twice.h"
#include "text.h"

/* SHA-256 as FIPS 180-4 has it. */
typedef struct Sha256
{
	uint32_t	  words[8];
	unsigned char block[SHA256_BLOCK]; /* the unfinished one */
	uint64_t	  bytes;
} Sha256;

struct PartDigest
{
	bool		portable;
	Sha256		whole;
	Sha256		part;
	EVP_MD_CTX *portable_whole;
	EVP_MD_CTX *portable_part;
};

static const uint32_t initial_words[8] = {0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a,
										  0x510e527f, 0x9b05688c, 0x1f83d9ab, 0x5be0cd19};

static void
sha256_begin(Sha256 *sha256)
{
	*sha256 = (Sha256){0};
	memcpy(sha256->words, initial_words, sizeof(initial_words));
}

static size_t
unfinished(const Sha256 *sha256)
{
	return (size_t) (sha256->bytes % SHA256_BLOCK);
}

/* Compresses into both, or into one alone where other is NULL. */
static void
compress(Sha256 *sha256, Sha256 *other, const unsigned char *blocks, size_t count)
{
	uint32_t nobody[8] = {0};

	sha256_twice(sha256->words, other ? other->words : nobody, blocks, count);
}

/* other: NULL, or one with the same unfinished block. */
static void
sha256_add(Sha256 *sha256, Sha256 *other, const unsigned char *bytes, size_t length)
{
	size_t begun = unfinished(sha256);
	size_t missing = SHA256_BLOCK - begun;
	size_t rest;

	sha256->bytes += length;
	if (other)
		other->bytes += length;
	if (begun > 0 && length >= missing)
	{
		memcpy(sha256->block + begun, bytes, missing);
		compress(sha256, other, sha256->block, 1);
		bytes += missing;
		length -= missing;
		begun = 0;
	}
	rest = length;
	if (begun == 0)
	{
		compress(sha256, other, bytes, length / SHA256_BLOCK);
		rest = length % SHA256_BLOCK;
	}
	memcpy(sha256->block + begun, bytes + length - rest, rest);
	if (other)
		memcpy(other->block + begun, bytes + length - rest, rest);
}

static void
sha256_end(Sha256 *sha256, unsigned char hash[PART_DIGEST_BYTES])
{
	static const unsigned char padding[SHA256_BLOCK] = {0x80};
	uint64_t				   bits = sha256->bytes * 8;
	unsigned char			   length[8];
	size_t					   begun = unfinished(sha256);

	for (int i = 0; i < 8; i++)
		length[i] = (unsigned char) (bits >> (56 - 8 * i));
	sha256_add(sha256, NULL, padding, begun < 56 ? 56 - begun : 56 + SHA256_BLOCK - begun);
	sha256_add(sha256, NULL, length, sizeof(length));
	for (int i = 0; i < PART_DIGEST_BYTES; i++)
		hash[i] = (unsigned char) (sha256->words[i / 4] >> (24 - 8 * (i % 4)));
}

/* ---- by OpenSSL ------------------------------------------------------------------------------- */

static bool
refused(Failure *failure)
{
	return failure_set(failure, REASON_INTERNAL, "SHA-256 failed in OpenSSL");
}

static bool
open_portable(PartDigest *digest, Failure *failure)
{
	digest->portable_whole = EVP_MD_CTX_new();
	digest->portable_part = EVP_MD_CTX_new();
	if (!digest->portable_whole || !digest->portable_part)
		return failure_no_memory(failure);
	return (EVP_DigestInit_ex(digest->portable_whole, EVP_sha256(), NULL) == 1 &&
			EVP_DigestInit_ex(digest->portable_part, EVP_sha256(), NULL) == 1) ||
		   refused(failure);
}

/* ---- either way ------------------------------------------------------------------------------- */

PartDigest *
part_digest_open(bool portable, Failure *failure)
{
	PartDigest *digest = calloc(1, sizeof(*digest));

	if (!digest)
	{
		failure_no_memory(failure);
		return NULL;
	}
	digest->portable = portable || !sha256_twice_available();
	sha256_begin(&digest->whole);
	sha256_begin(&digest->part);
	if (!digest->portable || open_portable(digest, failure))
		return digest;
	part_digest_close(digest);
	return NULL;
}

bool
part_digest_add(PartDigest *digest, const void *bytes, size_t length, Failure *failure)
{
	if (digest->portable)
		return (EVP_DigestUpdate(digest->portable_whole, bytes, length) == 1 &&
				EVP_DigestUpdate(digest->portable_part, bytes, length) == 1) ||
			   refused(failure);
	if (unfinished(&digest->whole) == unfinished(&digest->part))
		sha256_add(&digest->whole, &digest->part, bytes, length);
	else
	{
		sha256_add(&digest->whole, NULL, bytes, length);
		sha256_add(&digest->part, NULL, bytes, length);
	}
	return true;
}

bool
part_digest_end_part(PartDigest *digest, unsigned char sha256[PART_DIGEST_BYTES], Failure *failure)
{
	if (digest->portable)
		return (EVP_DigestFinal_ex(digest->portable_part, sha256, NULL) == 1 &&
				EVP_DigestInit_ex(digest->portable_part, EVP_sha256(), NULL) == 1) ||
			   refused(failure);
	sha256_end(&digest->part, sha256);
	sha256_begin(&digest->part);
	return true;
}

bool
part_digest_finish(PartDigest *digest, char text[DIGEST_TEXT_SIZE], Failure *failure)
{
	unsigned char hash[PART_DIGEST_BYTES];

	if (!digest->portable)
		sha256_end(&digest->whole, hash);
	else if (EVP_DigestFinal_ex(digest->portable_whole, hash, NULL) != 1)
		return refused(failure);
	text_hex(hash, sizeof(hash), text);
	return true;
}

void
part_digest_close(PartDigest *digest)
{
	if (!digest)
		return;
	EVP_MD_CTX_free(digest->portable_whole);
	EVP_MD_CTX_free(digest->portable_part);
	free(digest);
}
