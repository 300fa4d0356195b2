/*
 * text.h
 *	  Small judgements on text that came from somewhere else.
 */
#ifndef TEXT_H
#define TEXT_H

#include <stdbool.h>
#include <stddef.h>

/* 8-4-4-4-12 hex digits, exactly `length` bytes of them. */
extern bool text_is_uuid(const char *text, size_t length);

/* Not empty, nothing but hex digits. */
extern bool text_is_hex(const char *text, size_t length);

/* Of one hex digit in either case; -1: it is none. */
extern int text_hex_value(char digit);

/* 2 * length digits in lower case, and a zero byte. */
extern void text_hex(const unsigned char *bytes, size_t length, char *text);

/*
 * Decodes %XX in place; *length is that of what comes out, which may hold zero
 * bytes and has one behind its end.  False: a '%' without two hex digits.
 */
extern bool text_percent_decode(char *text, size_t *length);

/* A byte below the space, or DEL. */
extern bool text_has_control_character(const char *text);

extern bool text_is_utf8(const char *text);

/*
 * Makes one line of valid UTF-8 of it, in place: control characters, also
 * those of Latin-1 that a terminal obeys, become spaces (runs of white space one), bytes that are not UTF-8 become '?'.
 */
extern void text_make_line(char *text);

/* Cuts to at most `bytes` bytes, never within a character. */
extern void text_truncate(char *text, size_t bytes);

#endif
