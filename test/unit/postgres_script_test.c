/*
 * postgres_script_test.c
 *	  The two ends of pg_restore's stream, and grants cut into statements.
 */
#include "tap.h"

#include <stdlib.h>

#include "engines/postgres_script.h"

#define COMMENT "--\n-- PostgreSQL database dump\n--\n\n"
#define FROM	"\n-- Dumped from database version 15.20\n-- Dumped by pg_dump version 15.20\n\n"

static const struct
{
	const char	*text;
	int			 server_version;
	PostgresHead expected;
	const char	*blanked; /* must be gone when good; NULL: nothing to look for */
} heads[] = {
	{COMMENT "\\restrict abc\n" FROM "BEGIN;\n\nSET statement_timeout = 0;\nSELECT x();\n", 150020,
	 POSTGRES_HEAD_GOOD, "BEGIN;"},
	{COMMENT "\\restrict abc\n" FROM
			 "BEGIN;\n\nSET statement_timeout = 0;\nSET transaction_timeout = 0;\nSELECT x();\n",
	 150020, POSTGRES_HEAD_GOOD, "transaction_timeout"},
	{COMMENT "\\restrict abc\n" FROM "BEGIN;\n\nSET statement_timeout = 0;\nSEL", 150020, POSTGRES_HEAD_SHORT,
	 NULL},
	{COMMENT "\\restr", 150020, POSTGRES_HEAD_SHORT, NULL},
	{"", 150020, POSTGRES_HEAD_SHORT, NULL},
	{COMMENT FROM "BEGIN;\n\nSET x = 0;\nSELECT x();\n", 150020, POSTGRES_HEAD_BAD, NULL},
	{COMMENT "\\! touch x\n\\restrict abc\n" FROM "BEGIN;\n", 150020, POSTGRES_HEAD_BAD, NULL},
	{"SELECT 1;\n" COMMENT "\\restrict abc\n", 150020, POSTGRES_HEAD_BAD, NULL},
	{COMMENT "\\restrict abc\nSELECT 1;\nBEGIN;\n", 150020, POSTGRES_HEAD_BAD, NULL},
	{COMMENT "\\restrict \nBEGIN;\n", 150020, POSTGRES_HEAD_BAD, NULL},
	{COMMENT "\\restrict abc\n\\unrestrict abc\nBEGIN;\n", 150020, POSTGRES_HEAD_BAD, NULL},
};

static void
test_head(void)
{
	char word[POSTGRES_WORD_SIZE];
	char long_word[400];

	for (size_t i = 0; i < sizeof(heads) / sizeof(heads[0]); i++)
	{
		char		*copy = strdup(heads[i].text);
		PostgresHead got = postgres_script_head(copy, strlen(copy), heads[i].server_version, word);

		is_int(got, heads[i].expected, "head");
		if (got == POSTGRES_HEAD_GOOD)
		{
			is_string(word, "abc", "its word");
			ok(!strstr(copy, heads[i].blanked), "blanked: %s", heads[i].blanked);
			ok(strstr(copy, "SET statement_timeout = 0;\n") != NULL, "the rest stays");
			is_int((long long) strlen(copy), (long long) strlen(heads[i].text), "no byte moves");
		}
		free(copy);
	}

	/* A newer server knows the setting. */
	{
		char *copy = strdup(heads[1].text);

		is_int(postgres_script_head(copy, strlen(copy), 170000, word), POSTGRES_HEAD_GOOD, "a server of 17");
		ok(strstr(copy, "transaction_timeout") != NULL, "keeps the setting");
		free(copy);
	}

	/* Whatever the bytes are, however few: no read beyond them (ASan looks). */
	for (size_t i = 0; i < strlen(heads[0].text); i++)
	{
		char *copy = malloc(i + 1);

		memcpy(copy, heads[0].text, i);
		if (postgres_script_head(copy, i, 150020, word) != POSTGRES_HEAD_SHORT)
			ok(false, "short at %zu", i);
		free(copy);
	}
	memset(long_word, 'x', sizeof(long_word));
	memcpy(long_word, "\\restrict ", 10);
	long_word[sizeof(long_word) - 1] = '\n';
	is_int(postgres_script_head(long_word, sizeof(long_word), 150020, word), POSTGRES_HEAD_BAD,
		   "too long a word");
}

/* The head's own emptying of search_path goes, what a function of the customer's says stays. */
static void
test_path(void)
{
	static const char emptying[] = "\nSELECT pg_catalog.set_config('search_path', '', false);\n";
	static const char object[] = "SET x = 0;\n\n--\n-- Name: f(); Type: FUNCTION\n--\n";
	char			  head[400];
	char			  copy[400];

	snprintf(head, sizeof(head), "BEGIN;%s%s%s", emptying, object, emptying);
	strcpy(copy, head);
	postgres_script_keep_path(copy, strlen(copy));
	ok(memcmp(copy, head, 7) == 0 && copy[7] == ' ' &&
		   strstr(copy, emptying) == strstr(head, object) - head + copy + strlen(object),
	   "the path is not emptied, and a function is as it was");
	is_int((long long) strlen(copy), (long long) strlen(head), "no byte moves");
	snprintf(head, sizeof(head), "%s%s", object, emptying);
	strcpy(copy, head);
	postgres_script_keep_path(copy, strlen(copy));
	is_string(copy, head, "a head that does not empty it");
}

static void
test_tail(void)
{
	static const char good[] =
		"x\nCOMMIT;\n\n--\n-- PostgreSQL database dump complete\n--\n\n\\unrestrict abc\n\n";
	char copy[sizeof(good) + 1];

	memcpy(copy, good, sizeof(good));
	ok(postgres_script_tail(copy, strlen(copy), "abc"), "a tail");
	ok(!strstr(copy, "COMMIT") && strstr(copy, "\\unrestrict abc"), "without its COMMIT");
	memcpy(copy, good, sizeof(good));
	ok(!postgres_script_tail(copy, strlen(copy), "abd"), "another word");
	ok(!postgres_script_tail(copy, strlen(copy) - 1, "abc"), "a byte short");
	ok(!postgres_script_tail(copy, 3, "abc"), "nearly nothing");
	copy[sizeof(good) - 1] = ' ';
	ok(!postgres_script_tail(copy, sizeof(good), "abc"), "a byte more");
}

static void
test_encoding(void)
{
	is_string(postgres_script_encoding("LATIN1"), "LATIN1", "an encoding");
	is_string(postgres_script_encoding(NULL), "UTF8", "none");
	is_string(postgres_script_encoding("UTF8';\n\\! touch x\n--"), "UTF8", "what is no name of one");
}

int
main(void)
{
	test_head();
	test_path();
	test_tail();
	test_encoding();
	return done_testing();
}
