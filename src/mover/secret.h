/*
 * secret.h
 *	  Keys, ciphertext URLs, and the memory that plaintext may live in.
 *
 * A stored URL is base64url(nonce 12 || ciphertext || tag 16), AES-256-GCM, with
 * or without padding.  The key file holds one key of 64 hex digits a line: the
 * first encrypts, all decrypt, so a key is rotated by putting the new one first.
 * Blank lines and lines that begin with '#' are skipped.
 * Its owner and mode follow Postgres' ssl_key_file: ours and 0600, or root's and
 * at most 0640.
 *
 * Secret is a heap block that is locked in memory where that is allowed, kept
 * out of core files (MADV_DONTDUMP), and wiped when freed.  secret_register()
 * remembers a value so that secret_scrub() can replace it in any text that
 * leaves the process; everything that parses a password out registers it
 * (in its raw and its percent-encoded form).
 */
#ifndef SECRET_H
#define SECRET_H

#include <stdbool.h>
#include <stddef.h>

#include "failure.h"

typedef struct Secret
{
	char  *text; /* NUL-terminated; may be NULL */
	size_t length;
} Secret;

typedef struct KeyRing KeyRing;

extern KeyRing *key_ring_load(const char *path, Failure *failure); /* NULL: failure, REASON_CONFIG */
extern void		key_ring_free(KeyRing *ring);

/* REASON_DECRYPT: not base64url, too short, changed, or under a key that is not in the ring. */
extern bool secret_decrypt(const KeyRing *ring, const char *ciphertext, Secret *plaintext, Failure *failure);

/* Each call draws a nonce of its own.  Returns malloc'ed base64url without padding; NULL: failure. */
extern char *secret_encrypt(const KeyRing *ring, const char *plaintext, size_t length, Failure *failure);

/* text NULL: zeros. */
extern bool secret_copy(Secret *secret, const char *text, size_t length, Failure *failure);
extern void secret_free(Secret *secret);

/* Values shorter than three bytes are not registered: scrubbing them would eat the text. */
extern void secret_register(const char *value, size_t length);

/* Replaces every registered value by '***', in place (the text never grows). */
extern void secret_scrub(char *text);
extern void secret_forget_all(void);

/* The longest registered value: what a text cut at its beginning may begin with a part of. */
extern size_t secret_longest(void);

/* A sealed memfd that holds `text`; for PGPASSFILE=/proc/self/fd/N and the like.  -1: failure. */
extern int secret_memfd(const char *name, const char *text, size_t length, Failure *failure);

#endif
