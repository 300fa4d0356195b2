/*
 * catalogue_time.c
 *	  Times on the command line.
 */
#include "catalogue.h"

#include <stdlib.h>
#include <time.h>

#define FARTHEST_OFFSET (14 * 3600L) /* from UTC, of any place on earth */

bool
catalogue_parse_utc(const char *text, const char *format, int64_t *seconds)
{
	struct tm	parts = {.tm_mday = 1};
	struct tm	real;
	const char *end = strptime(text, format, &parts);

	if (!end || *end != '\0')
		return false;
	/* The 31st of February would be the 3rd of March. */
	real = parts;
	*seconds = (int64_t) timegm(&real) - parts.tm_gmtoff;
	return real.tm_mday == parts.tm_mday && labs(parts.tm_gmtoff) <= FARTHEST_OFFSET;
}

static bool
parse_age(const char *text, int64_t *seconds)
{
	char *end;
	long  number = strtol(text, &end, 10);
	long  unit = *end == 'm' ? 60 : *end == 'h' ? 3600 : *end == 'd' ? 86400 : 0;

	if (end == text || unit == 0 || end[1] != '\0' || number < 0 || number > 1000000)
		return false;
	*seconds = time(NULL) - (int64_t) number * unit;
	return true;
}

bool
catalogue_parse_time(const char *text, int64_t *seconds, Failure *failure)
{
	/* %z: 'Z' or an offset, as `date --iso-8601=seconds` writes it. */
	static const char *const formats[] = {"%Y-%m-%d",		   "%Y-%m-%dT%H:%M",	  "%Y-%m-%dT%H:%M%z",
										  "%Y-%m-%dT%H:%M:%S", "%Y-%m-%dT%H:%M:%S%z", "%Y-%m-%d %H:%M",
										  "%Y-%m-%d %H:%M%z",  "%Y-%m-%d %H:%M:%S",	  "%Y-%m-%d %H:%M:%S%z"};

	if (parse_age(text, seconds))
		return true;
	for (size_t i = 0; i < sizeof(formats) / sizeof(formats[0]); i++)
	{
		if (catalogue_parse_utc(text, formats[i], seconds))
			return true;
	}
	return failure_set(
		failure, REASON_CONFIG,
		"\"%s\" is no time: write 2026-11-23, 2026-11-23T14:00 (UTC), 2026-11-23T14:00+01:00, or an age "
		"such as 36h or 7d",
		text);
}
