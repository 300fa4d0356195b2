/*
 * digest.c
 *	  SHA-256 by OpenSSL, which uses the processor's own instructions where it has them.
 */
#include "digest.h"

#include <openssl/evp.h>

#include "text.h"

#define SHA256_BYTES 32

/* Digest is OpenSSL's own context under our name: there is nothing to add to it. */
static inline EVP_MD_CTX *
context_of(Digest *digest)
{
	return (EVP_MD_CTX *) digest;
}

Digest *
digest_open(Failure *failure)
{
	EVP_MD_CTX *context = EVP_MD_CTX_new();

	if (!context)
	{
		failure_no_memory(failure);
		return NULL;
	}
	if (EVP_DigestInit_ex(context, EVP_sha256(), NULL) != 1)
	{
		EVP_MD_CTX_free(context);
		failure_set(failure, REASON_INTERNAL, "OpenSSL offers no SHA-256");
		return NULL;
	}
	return (Digest *) context;
}

bool
digest_add(Digest *digest, const void *bytes, size_t length, Failure *failure)
{
	if (EVP_DigestUpdate(context_of(digest), bytes, length) != 1)
		return failure_set(failure, REASON_INTERNAL, "SHA-256 failed in OpenSSL");
	return true;
}

bool
digest_finish(Digest *digest, char text[DIGEST_TEXT_SIZE], Failure *failure)
{
	unsigned char hash[EVP_MAX_MD_SIZE];
	unsigned int  length = 0;

	if (EVP_DigestFinal_ex(context_of(digest), hash, &length) != 1 || length != SHA256_BYTES)
		return failure_set(failure, REASON_INTERNAL, "SHA-256 failed in OpenSSL");
	text_hex(hash, length, text);
	return true;
}

void
digest_close(Digest *digest)
{
	EVP_MD_CTX_free(context_of(digest));
}
