/*
 * key_set_test.c
 *	  The set of keys that a scan has given: in memory, and past its budget in a spool.
 */
#include <stdint.h>
#include <stdlib.h>
#include <unistd.h>

#include "engines/key_set.h"
#include "tap.h"

static void
check_set(size_t memory, uint32_t keys, bool spooled)
{
	Failure	 failure = {0};
	KeySet	*set = key_set_open(memory, "/tmp", &failure);
	uint32_t wrong = 0;
	bool	 passed = set != NULL;

	for (int round = 0; passed && round < 2; round++)
		for (uint32_t i = 0; passed && i < keys; i++)
		{
			bool is_new;

			passed = key_set_add(set, &i, sizeof(i), &is_new, &failure);
			wrong += is_new != (round == 0);
		}
	ok(passed && wrong == 0, "%u keys, each new exactly once, with %zu bytes of memory: %s", keys, memory,
	   failure.detail);
	ok(key_set_is_spooled(set) == spooled, spooled ? "in a spool" : "in memory");
	key_set_close(set);
}

static void
check_odd_keys(void)
{
	Failure failure = {0};
	KeySet *set = key_set_open(1 << 20, "/tmp", &failure);
	bool	is_new;

	ok(key_set_add(set, "", 0, &is_new, &failure) && is_new, "the empty key");
	ok(key_set_add(set, "\0", 1, &is_new, &failure) && is_new, "is not a zero byte");
	ok(key_set_add(set, "", 0, &is_new, &failure) && !is_new, "and is known the second time");
	key_set_close(set);
}

static void
check_no_spool(void)
{
	Failure failure = {0};
	KeySet *set = key_set_open(0, "/no/such/directory", &failure);
	bool	passed = true;

	for (uint32_t i = 0; passed && i < 10000; i++)
	{
		bool is_new;

		passed = key_set_add(set, &i, sizeof(i), &is_new, &failure);
	}
	ok(!passed && failure.reason == REASON_CONFIG, "a spool directory that is not there: %s", failure.detail);
	key_set_close(set);
}

int
main(void)
{
	check_set(32 << 20, 100000, false);
	check_set(1 << 20, 200000, true);
	check_set(0, 3000, true);
	check_odd_keys();
	check_no_spool();
	return done_testing();
}
