/*
 * utc.c
 *	  Moments as text.
 */
#include "utc.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

#define FOR_EVER "infinity"

const char *
utc_text(int64_t seconds, char buffer[UTC_TEXT_SIZE])
{
	time_t	  when = (time_t) seconds;
	struct tm parts;

	if (seconds == UTC_FOR_EVER)
		snprintf(buffer, UTC_TEXT_SIZE, "%s", FOR_EVER);
	else if (gmtime_r(&when, &parts) == NULL ||
			 strftime(buffer, UTC_TEXT_SIZE, "%Y-%m-%dT%H:%M:%SZ", &parts) == 0)
		buffer[0] = '\0';
	return buffer;
}

bool
utc_parse(const char *text, int64_t *seconds)
{
	struct tm	parts = {0};
	const char *rest;

	if (strcmp(text, FOR_EVER) == 0)
	{
		*seconds = UTC_FOR_EVER;
		return true;
	}
	rest = strptime(text, "%Y-%m-%dT%H:%M:%S", &parts);
	if (rest == NULL)
		return false;
	if (*rest == '.')
		rest += 1 + strspn(rest + 1, "0123456789");
	if (strcmp(rest, "Z") != 0)
		return false;
	*seconds = (int64_t) timegm(&parts);
	return true;
}
