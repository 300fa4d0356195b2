/*
 * sha256_twice.h
 *	  SHA-256's compression of the same blocks into two states, for the price of one.
 *
 * One stream of sha256rnds2 waits for itself: each begins with the result of the
 * one before, and the processor's unit stands idle half of the time.  A second
 * state over the same blocks fits into these gaps and shares the message schedule.
 */
#ifndef SHA256_TWICE_H
#define SHA256_TWICE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define SHA256_BLOCK 64

/* False: this processor, or the one built for, lacks the instructions. */
extern bool sha256_twice_available(void);

/* Only where it is available. */
extern void sha256_twice(uint32_t one[8], uint32_t other[8], const unsigned char *blocks, size_t count);

#endif
