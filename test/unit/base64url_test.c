/* base64url.c: the vectors of RFC 4648, padding or none, and everything that is refused. */
#include "base64url.h"

#include <stdlib.h>

#include "tap.h"

static void
encodes(const char *plain, const char *expected)
{
	char *text = base64url_encode((const unsigned char *) plain, strlen(plain));

	is_string(text, expected, plain);
	free(text);
}

static void
decodes(const char *text, const char *expected)
{
	unsigned char bytes[64];
	size_t		  length = 0;
	bool		  good = base64url_decode(text, strlen(text), bytes, &length);

	ok(good && length == strlen(expected) && memcmp(bytes, expected, length) == 0, "'%s' is '%s'", text,
	   expected);
}

static void
refuses(const char *text, size_t at, const char *what)
{
	unsigned char bytes[64];
	size_t		  length = 999;
	bool		  good = base64url_decode(text, strlen(text), bytes, &length);

	ok(!good && length == at, "%s: refused at %zu (said %zu)", what, at, length);
}

static void
test_round_trips(void)
{
	unsigned char bytes[256];
	unsigned char back[300];
	bool		  same = true;

	for (int i = 0; i < 256; i++)
		bytes[i] = (unsigned char) i;
	for (size_t length = 0; length <= 256; length++)
	{
		char  *text = base64url_encode(bytes, length);
		size_t decoded;

		same = same && strpbrk(text, "+/=") == NULL && base64url_decoded_size(strlen(text)) >= length &&
			   base64url_decode(text, strlen(text), back, &decoded) && decoded == length &&
			   memcmp(back, bytes, length) == 0;
		free(text);
	}
	ok(same, "all lengths up to 256 come back");
}

int
main(void)
{
	encodes("", "");
	encodes("f", "Zg");
	encodes("fo", "Zm8");
	encodes("foo", "Zm9v");
	encodes("foobar", "Zm9vYmFy");
	encodes("\xFB\xEF\xFF", "--__");
	decodes("", "");
	decodes("Zg", "f");
	decodes("Zg==", "f");
	decodes("Zm8", "fo");
	decodes("Zm8=", "fo");
	decodes("Zm9v", "foo");
	decodes("--__", "\xFB\xEF\xFF");
	refuses("Zm8==", 3, "too much padding");
	refuses("Zg=", 2, "too little padding");
	refuses("Zm9v====", 4, "padding that fills nothing");
	refuses("====", 0, "nothing but padding");
	refuses("Zg==Zg==", 2, "padding within");
	refuses("Zm9+", 3, "the other alphabet's plus");
	refuses("Zm/v", 2, "the other alphabet's slash");
	refuses("Zm9v\n", 4, "a newline");
	refuses(" Zm9v", 0, "a space");
	refuses("Zm9vY", 4, "a lone digit");
	refuses("Zh", 1, "stray bits after one byte");
	refuses("Zm9", 2, "stray bits after two bytes");
	test_round_trips();
	return done_testing();
}
