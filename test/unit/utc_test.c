/* utc.c: moments as text, and back. */
#include "utc.h"

#include "tap.h"

static void
reads(const char *text, int64_t expected)
{
	int64_t seconds = -1;

	ok(utc_parse(text, &seconds), "%s is a time", text);
	is_int(seconds, expected, "  and which");
}

static void
refuses(const char *text)
{
	int64_t seconds;

	ok(!utc_parse(text, &seconds), "\"%s\" is none", text);
}

int
main(void)
{
	char text[UTC_TEXT_SIZE];

	is_string(utc_text(1700000000, text), "2023-11-14T22:13:20Z", "a time as text");
	is_string(utc_text(UTC_FOR_EVER, text), "infinity", "no end");
	is_string(utc_text(INT64_MAX - 1, text), "", "what no calendar holds");
	reads("2023-11-14T22:13:20Z", 1700000000);
	reads("2023-11-14T22:13:20.987654Z", 1700000000);
	reads("infinity", UTC_FOR_EVER);
	refuses("");
	refuses("2023-11-14");
	refuses("2023-11-14T22:13:20");
	refuses("2023-11-14T22:13:20+01:00");
	refuses("2023-11-14T22:13:20Z and more");
	refuses("2023-13-14T22:13:20Z");
	return done_testing();
}
