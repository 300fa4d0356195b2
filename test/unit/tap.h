/*
 * tap.h
 *	  The little that a C unit test needs to print TAP (testanything.org).
 *
 * A test program calls ok() or is_string() for each fact and ends with
 * `return done_testing();`.
 */
#ifndef TAP_H
#define TAP_H

#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

static int tap_count;
static int tap_failed;

static inline bool __attribute__((format(printf, 2, 3))) ok(bool passed, const char *format, ...)
{
	va_list args;

	printf("%sok %d - ", passed ? "" : "not ", ++tap_count);
	va_start(args, format);
	vprintf(format, args);
	va_end(args);
	printf("\n");
	if (!passed)
		tap_failed++;
	fflush(stdout);
	return passed;
}

static inline bool
is_string(const char *got, const char *expected, const char *what)
{
	bool same = got && expected ? strcmp(got, expected) == 0 : got == expected;

	ok(same, "%s", what);
	if (!same)
		printf("#      got: '%s'\n# expected: '%s'\n", got ? got : "(null)", expected ? expected : "(null)");
	return same;
}

static inline bool
is_int(long long got, long long expected, const char *what)
{
	ok(got == expected, "%s", what);
	if (got != expected)
		printf("#      got: %lld\n# expected: %lld\n", got, expected);
	return got == expected;
}

static inline int
done_testing(void)
{
	printf("1..%d\n", tap_count);
	return tap_failed > 0;
}

#endif
