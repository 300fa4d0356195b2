/* object_key.c: tokens and keys, good and hostile. */
#include "object_key.h"

#include "tap.h"

#define ID "0189f7c2-6d7e-7b3a-8c55-0123456789ab"

static void
test_tokens(void)
{
	static const char *const good[] = {"a", "acme-main", "A.b_c-9", "-", "_", "a..b", "a."};
	static const char *const bad[] = {"",	  ".",	   "..",   "../x", ".hidden",  "a/b", "a\\b", "a b",
									  "a\nb", "a\001", "a%2F", "a:b",  "\xC3\xBC", "a*",  "~",	  "a\"b"};
	char					 token[202];

	for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++)
		ok(object_token_is_safe(good[i]), "token '%s' is safe", good[i]);
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		ok(!object_token_is_safe(bad[i]), "token number %zu of the bad ones is not", i + 1);
	memset(token, 'x', 201);
	token[201] = '\0';
	ok(!object_token_is_safe(token), "201 bytes are too long");
	token[200] = '\0';
	ok(object_token_is_safe(token), "200 are not");
}

static void
test_keys(void)
{
	static const char *const good[] = {"t/" ID ".dump.gz", "t/" ID ".json", "t/" ID "-2.dump.gz",
									   "t/" ID "-10.json", "t/" ID "-999999999.dump.gz"};
	static const char *const bad[] = {"",
									  "t",
									  ID ".dump.gz",
									  "/" ID ".dump.gz",
									  "../" ID ".dump.gz",
									  ".t/" ID ".dump.gz",
									  "t/../" ID ".dump.gz",
									  "t//" ID ".dump.gz",
									  "t/u/" ID ".dump.gz",
									  "t/" ID,
									  "t/" ID ".dump",
									  "t/" ID ".dump.gz ",
									  "t/" ID ".dump.gz\n",
									  "t/" ID ".dump.gz/",
									  "t/" ID "-1.dump.gz",
									  "t/" ID "-0.dump.gz",
									  "t/" ID "-02.dump.gz",
									  "t/" ID "-.dump.gz",
									  "t/" ID "-2x.dump.gz",
									  "t/" ID "-1000000000.dump.gz",
									  "t/" ID "--2.dump.gz",
									  "t/x" ID ".dump.gz",
									  "t/0189f7c2.dump.gz",
									  "t/0189F7C2-6D7E-7B3A-8C55-0123456789AB.dump.gz",
									  "t/0189f7c2-6d7e-7b3a-8c55-0123456789aB.json",
									  "t/" ID ".JSON",
									  "t/0189f7c2-6d7e-7b3a-8c55-0123456789ag.dump.gz"};

	for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++)
		ok(object_key_is_safe(good[i]), "key '%s' is safe", good[i]);
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		ok(!object_key_is_safe(bad[i]), "key number %zu of the bad ones is not", i + 1);
}

static void
test_manifest_keys(void)
{
	char buffer[64];

	ok(object_manifest_key("t/" ID ".dump.gz", buffer, sizeof(buffer)), "a dump has a manifest");
	is_string(buffer, "t/" ID ".json", "beside it");
	ok(object_manifest_key("t/" ID "-2.dump.gz", buffer, sizeof(buffer)), "a second attempt's too");
	is_string(buffer, "t/" ID "-2.json", "with its number");
	ok(!object_manifest_key("t/" ID ".json", buffer, sizeof(buffer)), "a manifest has none");
	ok(!object_manifest_key("t/x.dump.gz", buffer, sizeof(buffer)), "nor has what is no key");
	ok(!object_manifest_key("t/" ID ".dump.gz", buffer, strlen("t/" ID ".json")),
	   "a buffer that lacks one byte");
	ok(object_manifest_key("t/" ID ".dump.gz", buffer, strlen("t/" ID ".json") + 1),
	   "and one that just fits");
}

int
main(void)
{
	test_tokens();
	test_keys();
	test_manifest_keys();
	return done_testing();
}
