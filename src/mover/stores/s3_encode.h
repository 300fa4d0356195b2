/*
 * s3_encode.h
 *	  The encodings that S3's protocol is written in: URI escapes by its own rule, hex, base64, digests.
 */
#ifndef S3_ENCODE_H
#define S3_ENCODE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "stores/buffer.h"

#define S3_SHA256_HEX_SIZE	  65
#define S3_DIGEST_BASE64_SIZE 45 /* of 32 bytes, the longest that is needed */

/* Escapes all but A-Z a-z 0-9 - . _ ~ (and '/' when keep_slash), hex in upper case. */
extern void s3_uri_encode(Buffer *out, const char *text, bool keep_slash);

/*
 * Undoes escapes in place; '+' is a space when plus_is_space.  False for a bad escape or a NUL byte.
 */
extern bool s3_uri_decode(char *text, bool plus_is_space);

extern void s3_base64(const unsigned char *bytes, size_t length, char *out);

/* False: the library refused (no memory, or a build without the digest). */
extern bool s3_sha256(const void *bytes, size_t length, unsigned char digest[32]);
extern bool s3_hmac_sha256(const void *key, size_t key_length, const void *bytes, size_t length,
						   unsigned char mac[32]);

#endif
