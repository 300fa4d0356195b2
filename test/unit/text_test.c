/* text.c: uuids, hex, one line of UTF-8 out of anything, cuts at characters. */
#include "text.h"

#include "tap.h"

static void
line_is(const char *input, const char *expected, const char *what)
{
	char buffer[256];

	snprintf(buffer, sizeof(buffer), "%s", input);
	text_make_line(buffer);
	is_string(buffer, expected, what);
}

static void
test_lines(void)
{
	line_is("", "", "an empty text stays empty");
	line_is("plain", "plain", "a plain text stays as it is");
	line_is("a\nb\r\n\tc  d\n", "a b c d", "white space becomes one space, none at the ends");
	line_is("a\001\002b\177c", "a b c", "control characters become a space");
	line_is("a\xC2\x9B"
			"31mb\xC2\x80",
			"a 31mb", "those of Latin-1 too");
	line_is("\xC2\xA0x", "\xC2\xA0x", "but nothing beyond them");
	line_is("gr\xC3\xBC\xC3\x9F \xE2\x82\xAC \xF0\x9F\x98\x80",
			"gr\xC3\xBC\xC3\x9F \xE2\x82\xAC \xF0\x9F\x98\x80", "two, three and four bytes of UTF-8 stay");
	line_is("a\xFF\xFE\x80z", "a???z", "bytes that begin no character become question marks");
	line_is("\xC0\xAF", "??", "an overlong slash is no character");
	line_is("\xE0\x80\xAF", "???", "a longer one neither");
	line_is("\xED\xA0\x80", "???", "a surrogate is no character");
	line_is("\xF4\x90\x80\x80", "????", "nor is what lies beyond U+10FFFF");
	line_is("\xE2\x82", "??", "a character cut by the end of the text");
	line_is("\xE2", "?", "one cut after its first byte");
	line_is("\xF0\x9F\x98", "???", "one cut after its third byte");
}

static void
truncated_is(const char *input, size_t bytes, const char *expected, const char *what)
{
	char buffer[64];

	snprintf(buffer, sizeof(buffer), "%s", input);
	text_truncate(buffer, bytes);
	is_string(buffer, expected, what);
}

static void
test_truncation(void)
{
	truncated_is("abc", 5, "abc", "a short text is not cut");
	truncated_is("abc", 3, "abc", "nor is one that just fits");
	truncated_is("abcd", 3, "abc", "a longer one is");
	truncated_is("ab\xE2\x82\xAC", 4, "ab", "never within a character");
	truncated_is("ab\xE2\x82\xAC", 3, "ab", "wherever in it");
	truncated_is("\xE2\x82\xAC", 1, "", "down to nothing");
}

static void
test_uuids(void)
{
	const char *good = "0189f7c2-6d7e-7b3a-8c55-0123456789aB";

	ok(text_is_uuid(good, 36), "a uuid is one, in either case");
	ok(!text_is_uuid(good, 35), "not when it is cut");
	ok(!text_is_uuid("0189f7c2-6d7e-7b3a-8c55-0123456789abc", 37), "nor when it is longer");
	ok(!text_is_uuid("0189f7c206d7e-7b3a-8c55-0123456789ab", 36), "nor with a digit for a dash");
	ok(!text_is_uuid("0189f7c2-6d7e-7b3a-8c55-0123456789ag", 36), "nor with a letter that is no digit");
	ok(!text_is_uuid("0189f7c2-6d7e-7b3a-8c55-0123456789a/", 36), "nor with a slash");
	ok(!text_is_uuid("", 0), "nothing is no uuid");
	ok(text_has_control_character("a\nb") && text_has_control_character("\177") &&
		   !text_has_control_character("\xC3\xBC "),
	   "control characters are found");
	ok(text_is_utf8("") && text_is_utf8("a\xC3\xA9\xE2\x82\xAC\xF0\x9F\x98\x80"), "UTF-8");
	ok(!text_is_utf8("\xFF") && !text_is_utf8("a\xC3") && !text_is_utf8("\xC3\xA9\xA9") &&
		   !text_is_utf8("\xED\xA0\x80"),
	   "no UTF-8");
	ok(text_is_hex("09afAF", 6) && !text_is_hex("09ag", 4) && !text_is_hex("", 0),
	   "hex digits, at least one");
}

static void
test_percent_decode(void)
{
	char   plain[] = "a%20b%2fc%2F";
	char   zero[] = "a%00b";
	char   cut[] = "a%2";
	char   wrong[] = "a%2g";
	size_t length = strlen(plain);

	ok(text_percent_decode(plain, &length) && length == 6,
	   "escapes of either case decode, and the length is that of what comes out");
	is_string(plain, "a b/c/", "in place");
	length = strlen(zero);
	ok(text_percent_decode(zero, &length) && length == 3 && memcmp(zero, "a\0b", 4) == 0,
	   "a zero byte is the caller's to judge");
	length = strlen(cut);
	ok(!text_percent_decode(cut, &length), "an escape that is cut off is refused");
	length = strlen(wrong);
	ok(!text_percent_decode(wrong, &length), "so is one that is not hex");
}

int
main(void)
{
	test_lines();
	test_truncation();
	test_uuids();
	test_percent_decode();
	return done_testing();
}
