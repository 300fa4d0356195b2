/*
 * base64url.h
 *	  base64url (RFC 4648, section 5): written without padding, read with or without.
 *
 * Reading is strict: no other alphabet, no white space, padding right or absent,
 * no stray bits at the end; one value has one spelling (and its padded one).
 */
#ifndef BASE64URL_H
#define BASE64URL_H

#include <stdbool.h>
#include <stddef.h>

/* malloc'ed and NUL-terminated; NULL: out of memory. */
extern char *base64url_encode(const unsigned char *bytes, size_t length);

/* An upper bound of what so many characters decode to. */
extern size_t base64url_decoded_size(size_t characters);

/* False: not base64url; then *length is the offset of the first character that is wrong. */
extern bool base64url_decode(const char *text, size_t characters, unsigned char *bytes, size_t *length);

#endif
