/* failure.c: the first one wins, one scrubbed line, cut after it was scrubbed. */
#include "failure.h"

#include <errno.h>

#include "secret.h"
#include "tap.h"

static void
test_setting(void)
{
	Failure failure = {0};

	ok(!failure_set(&failure, REASON_AUTH, "role \"%s\" may not", "app"), "failure_set() returns false");
	is_int(failure.reason, REASON_AUTH, "the reason is kept");
	is_string(failure.detail, "role \"app\" may not", "and the text");
	ok(!failure_set(&failure, REASON_DUMP, "later"), "a second failure");
	is_string(failure.detail, "role \"app\" may not", "does not replace the first");
	failure_no_memory(&failure);
	is_int(failure.reason, REASON_AUTH, "nor does a lack of memory");

	failure = (Failure){0};
	errno = ENOENT;
	failure_set_errno(&failure, REASON_CONFIG, "could not open \"%s\"", "x");
	is_string(failure.detail, "could not open \"x\": No such file or directory",
			  "errno's text comes after a colon");
	errno = EACCES;
	failure_set_errno(&failure, REASON_CONFIG, "again");
	is_string(failure.detail, "could not open \"x\": No such file or directory", "the first wins there too");

	failure = (Failure){0};
	ok(!failure_no_memory(&failure) && failure.reason == REASON_INTERNAL, "out of memory is internal");
	is_string(failure.detail, "out of memory", "and has one text");
	ok(!failure_set(NULL, REASON_DUMP, "x") && !failure_set_errno(NULL, REASON_DUMP, "x") &&
		   !failure_no_memory(NULL),
	   "nobody has to listen");
}

static void
test_lines(void)
{
	Failure failure = {0};
	char	secret[32];
	char	text[FAILURE_DETAIL_SIZE + 100];

	failure_set(&failure, REASON_DUMP, "first\nsecond\t\xFF");
	is_string(failure.detail, "first second ?", "a detail is one line of UTF-8");

	failure = (Failure){0};
	secret_register("hunter2!", 8);
	failure_set(&failure, REASON_AUTH, "password hunter2! was refused, twice: hunter2!");
	is_string(failure.detail, "password *** was refused, twice: ***", "registered secrets are replaced");

	/* The secret lies across the place where the text is cut. */
	failure = (Failure){0};
	memset(text, 'x', sizeof(text) - 1);
	text[sizeof(text) - 1] = '\0';
	strcpy(secret, "a-long-secret-value");
	secret_register(secret, strlen(secret));
	memcpy(text + FAILURE_DETAIL_SIZE - 8, secret, strlen(secret));
	failure_set(&failure, REASON_DUMP, "%s", text);
	is_int((long long) strlen(failure.detail), FAILURE_DETAIL_SIZE - 1, "a long detail is cut");
	ok(strstr(failure.detail, "a-l") == NULL, "but no part of a secret stays at its end");
	secret_forget_all();

	failure = (Failure){0};
	memset(text, 'x', FAILURE_DETAIL_SIZE - 2);
	strcpy(text + FAILURE_DETAIL_SIZE - 2, "\xE2\x82\xAC");
	failure_set(&failure, REASON_DUMP, "%s", text);
	is_int((long long) strlen(failure.detail), FAILURE_DETAIL_SIZE - 2, "a character is not cut in two");
}

static void
test_names(void)
{
	is_string(failure_reason_name(REASON_NONE), "none", "no reason has a name");
	is_string(failure_reason_name(REASON_TARGET_NOT_EMPTY), "target_not_empty", "a reason's name");
	is_string(failure_reason_name(REASON_COUNT), "internal", "what is none is internal");
	is_string(failure_reason_name((FailureReason) -1), "internal", "below as above");
}

int
main(void)
{
	test_setting();
	test_lines();
	test_names();
	return done_testing();
}
