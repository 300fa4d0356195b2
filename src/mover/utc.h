/*
 * utc.h
 *	  Moments as text, the way manifests, events and stores write them: 2026-11-23T14:07:31Z.
 */
#ifndef UTC_H
#define UTC_H

#include <stdbool.h>
#include <stdint.h>

#define UTC_TEXT_SIZE 32

/* No end is in sight; "infinity" as text, which Postgres reads too. */
#define UTC_FOR_EVER INT64_MAX

/* Seconds since 1970; "" for what no calendar holds.  Returns the buffer. */
extern const char *utc_text(int64_t seconds, char buffer[UTC_TEXT_SIZE]);

/* Fractions of a second are passed over.  False: it is no such text. */
extern bool utc_parse(const char *text, int64_t *seconds);

#endif
