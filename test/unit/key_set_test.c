/*
 * key_set_test.c
 *	  The set of keys that a scan has given: in memory, and past its budget in a spool,
 *	  with a filter that is large enough, and with one that is far too small.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "engines/key_set.h"
#include "tap.h"

/* How often each key was called new. */
typedef struct Tally
{
	KeySet	*set;
	uint8_t *given;
	unsigned settled;
} Tally;

static void
settle(Tally *tally, Failure *failure)
{
	char  *key;
	size_t length;

	if (!key_set_settle(tally->set, failure))
		return;
	tally->settled++;
	while (key_set_next_new(tally->set, &key, &length))
	{
		uint32_t number;

		memcpy(&number, key, sizeof(number));
		tally->given[number]++;
		free(key);
	}
}

static KeyVerdict
add(Tally *tally, uint32_t number, Failure *failure)
{
	char	  *key = malloc(sizeof(number));
	KeyVerdict verdict = KEY_IS_KNOWN;

	memcpy(key, &number, sizeof(number));
	key_set_add(tally->set, key, sizeof(number), &verdict, failure);
	tally->given[number] += verdict == KEY_IS_NEW;
	if (verdict != KEY_IN_DOUBT)
		free(key);
	else if (key_set_should_settle(tally->set))
		settle(tally, failure);
	return verdict;
}

static void
check_set(size_t memory, uint32_t keys, bool spooled, const char *what)
{
	Failure	 failure = {0};
	Tally	 tally = {.set = key_set_open(memory, "/tmp", &failure), .given = calloc(keys, 1)};
	uint32_t doubts = 0;
	uint32_t wrong = 0;

	for (uint32_t i = 0; i < keys; i++)
	{
		doubts += add(&tally, i, &failure) == KEY_IN_DOUBT;
		/* One of long ago, and the same again. */
		add(&tally, i / 2, &failure);
		add(&tally, i, &failure);
	}
	settle(&tally, &failure);
	for (uint32_t i = 0; i < keys; i++)
		wrong += tally.given[i] != 1;
	ok(failure.reason == REASON_NONE && wrong == 0, "%s: %u keys, each new exactly once: %s", what, keys,
	   failure.detail);
	ok(key_set_is_spooled(tally.set) == spooled, spooled ? "in a spool" : "in memory");
	printf("# %u new ones in doubt, settled %u times\n", doubts, tally.settled);
	if (memory >= 1 << 20)
		ok(doubts <= keys / 100, "hardly one in doubt");
	key_set_close(tally.set);
	free(tally.given);
}

static KeyVerdict
add_text(KeySet *set, const char *text, size_t length, Failure *failure)
{
	char	  *key = malloc(length + 1);
	KeyVerdict verdict = KEY_IN_DOUBT;

	memcpy(key, text, length);
	key_set_add(set, key, length, &verdict, failure);
	free(key);
	return verdict;
}

static void
check_odd_keys(void)
{
	Failure failure = {0};
	KeySet *set = key_set_open(1 << 20, "/tmp", &failure);

	is_int(add_text(set, "", 0, &failure), KEY_IS_NEW, "the empty key");
	is_int(add_text(set, "\0", 1, &failure), KEY_IS_NEW, "is not a zero byte");
	is_int(add_text(set, "", 0, &failure), KEY_IS_KNOWN, "and is known the second time");
	key_set_close(set);
}

static void
check_no_spool(void)
{
	Failure failure = {0};
	uint8_t given[10000] = {0};
	Tally	tally = {.set = key_set_open(0, "/no/such/directory", &failure), .given = given};

	for (uint32_t i = 0; failure.reason == REASON_NONE && i < sizeof(given); i++)
		add(&tally, i, &failure);
	ok(failure.reason == REASON_CONFIG, "a spool directory that is not there: %s", failure.detail);
	key_set_close(tally.set);
}

/* Closed with keys in doubt, it leaks none (the sanitizers look). */
static void
check_closed_in_doubt(void)
{
	Failure failure = {0};
	uint8_t given[20000] = {0};
	Tally	tally = {.set = key_set_open(0, "/tmp", &failure), .given = given};

	for (uint32_t i = 0; i < sizeof(given); i++)
		add(&tally, i, &failure);
	key_set_close(tally.set);
	ok(failure.reason == REASON_NONE, "closed with keys in doubt");
}

int
main(void)
{
	check_set(32 << 20, 100000, false, "all in memory");
	check_set(1 << 20, 200000, true, "a filter that is large enough");
	check_set(0, 3000, true, "hardly more than memory held");
	check_set(0, 60000, true, "a filter that is far too small");
	check_odd_keys();
	check_no_spool();
	check_closed_in_doubt();
	return done_testing();
}
