/*
 * digest.h
 *	  SHA-256 of a stream, as 64 hex digits.
 */
#ifndef DIGEST_H
#define DIGEST_H

#include <stdbool.h>
#include <stddef.h>

#include "failure.h"

#define DIGEST_TEXT_SIZE 65

typedef struct Digest Digest;

extern Digest *digest_open(Failure *failure);
extern bool	   digest_add(Digest *digest, const void *bytes, size_t length, Failure *failure);

/* Lower case, NUL-terminated.  Nothing can be added afterwards. */
extern bool digest_finish(Digest *digest, char text[DIGEST_TEXT_SIZE], Failure *failure);
extern void digest_close(Digest *digest);

#endif
