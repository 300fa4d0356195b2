/*
 * key_set.c
 *	  An open-addressed table of fingerprints, in memory or, beyond the budget, in a spool.
 *
 * An empty slot is all zeroes, which is also what a hole in the spool reads as.
 */
#include "engines/key_set.h"

#include <errno.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <openssl/evp.h>

#include "spool.h"

#define FIRST_CAPACITY 4096
/* Slots read at once when a spooled table moves. */
#define MOVED_AT_ONCE 4096

typedef struct Slot
{
	uint64_t words[2];
} Slot;

struct KeySet
{
	Slot	   *slots;	  /* NULL: in the spool */
	int			fd;		  /* -1: in memory */
	uint64_t	capacity; /* a power of two */
	uint64_t	used;
	size_t		memory;
	const char *spool_dir;
};

KeySet *
key_set_open(size_t memory, const char *spool_dir, Failure *failure)
{
	KeySet *set = calloc(1, sizeof(*set));

	if (set != NULL)
		set->slots = calloc(FIRST_CAPACITY, sizeof(Slot));
	if (set == NULL || set->slots == NULL)
	{
		free(set);
		failure_no_memory(failure);
		return NULL;
	}
	set->fd = -1;
	set->capacity = FIRST_CAPACITY;
	set->memory = memory;
	set->spool_dir = spool_dir;
	return set;
}

void
key_set_close(KeySet *set)
{
	if (set == NULL)
		return;
	free(set->slots);
	if (set->fd >= 0)
		close(set->fd);
	free(set);
}

bool
key_set_is_spooled(const KeySet *set)
{
	return set->fd >= 0;
}

static bool
spool_failed(Failure *failure)
{
	return failure_set_errno(failure, REASON_CONFIG, "the spool that holds a scan's keys");
}

static bool
read_slots(const KeySet *set, uint64_t at, Slot *slots, size_t count, Failure *failure)
{
	ssize_t length;

	if (set->slots != NULL)
	{
		memcpy(slots, set->slots + at, count * sizeof(Slot));
		return true;
	}
	do
		length = pread(set->fd, slots, count * sizeof(Slot), (off_t) (at * sizeof(Slot)));
	while (length < 0 && errno == EINTR);
	if (length < 0 || (size_t) length != count * sizeof(Slot))
		return spool_failed(failure);
	return true;
}

static bool
write_slot(KeySet *set, uint64_t at, const Slot *slot, Failure *failure)
{
	ssize_t length;

	if (set->slots != NULL)
	{
		set->slots[at] = *slot;
		return true;
	}
	do
		length = pwrite(set->fd, slot, sizeof(*slot), (off_t) (at * sizeof(*slot)));
	while (length < 0 && errno == EINTR);
	return length == (ssize_t) sizeof(*slot) || spool_failed(failure);
}

static bool
insert(KeySet *set, const Slot *slot, bool *is_new, Failure *failure)
{
	uint64_t at = slot->words[0] & (set->capacity - 1);
	Slot	 there;

	for (;; at = (at + 1) & (set->capacity - 1))
	{
		if (!read_slots(set, at, &there, 1, failure))
			return false;
		if (there.words[0] == 0 && there.words[1] == 0)
			break;
		if (there.words[0] == slot->words[0] && there.words[1] == slot->words[1])
		{
			*is_new = false;
			return true;
		}
	}
	*is_new = true;
	set->used++;
	return write_slot(set, at, slot, failure);
}

static bool
move(const KeySet *from, KeySet *to, Failure *failure)
{
	Slot *slots = malloc(MOVED_AT_ONCE * sizeof(*slots));
	bool  passed = true;
	bool  is_new;

	if (slots == NULL)
		return failure_no_memory(failure);
	for (uint64_t at = 0; passed && at < from->capacity; at += MOVED_AT_ONCE)
	{
		passed = read_slots(from, at, slots, MOVED_AT_ONCE, failure);
		for (size_t i = 0; passed && i < MOVED_AT_ONCE; i++)
			if (slots[i].words[0] != 0 || slots[i].words[1] != 0)
				passed = insert(to, &slots[i], &is_new, failure);
	}
	free(slots);
	return passed;
}

/* Twice the room; in memory while two tables at once fit the budget. */
static bool
grow(KeySet *set, Failure *failure)
{
	KeySet larger = {
		.fd = -1, .capacity = set->capacity * 2, .memory = set->memory, .spool_dir = set->spool_dir};
	bool passed;

	if (set->slots != NULL && larger.capacity * 3 / 2 * sizeof(Slot) <= set->memory)
	{
		larger.slots = calloc(larger.capacity, sizeof(Slot));
		passed = larger.slots != NULL || failure_no_memory(failure);
	}
	else
	{
		larger.fd = spool_open(set->spool_dir, failure);
		passed = larger.fd >= 0;
		if (passed && ftruncate(larger.fd, (off_t) (larger.capacity * sizeof(Slot))) != 0)
			passed = spool_failed(failure);
	}
	passed = passed && move(set, &larger, failure);
	if (!passed)
	{
		free(larger.slots);
		if (larger.fd >= 0)
			close(larger.fd);
		return false;
	}
	free(set->slots);
	if (set->fd >= 0)
		close(set->fd);
	*set = larger;
	return true;
}

bool
key_set_add(KeySet *set, const void *key, size_t length, bool *is_new, Failure *failure)
{
	unsigned char hash[EVP_MAX_MD_SIZE];
	Slot		  slot;

	if (EVP_Digest(key, length, hash, NULL, EVP_sha256(), NULL) != 1)
		return failure_set(failure, REASON_INTERNAL, "OpenSSL gives no SHA-256");
	memcpy(&slot, hash, sizeof(slot));
	if (slot.words[0] == 0 && slot.words[1] == 0)
		slot.words[1] = 1;
	if (set->used >= set->capacity / 3 * 2 && !grow(set, failure))
		return false;
	return insert(set, &slot, is_new, failure);
}
