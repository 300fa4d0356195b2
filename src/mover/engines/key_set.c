/*
 * key_set.c
 *	  A table of fingerprints in memory; beyond the budget a log of them in a spool, and a
 *	  Bloom filter.
 *
 * An empty slot of the table is all zeroes.  The filter is one of blocks: all bits of a
 * fingerprint lie in one line of the processor's cache.  With ten bits for a key one new
 * key of a hundred is in doubt; a filter that is too small for its keys costs time, never a
 * key.
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

#define FILTER_MIN	  4096
#define BLOCK_BYTES	  64
#define BITS_A_KEY	  5
#define BITS_A_NUMBER 9 /* of a bit within its block */

/* Slots that are written, or read, at once. */
#define LOG_AT_ONCE 4096

/* So many bytes in doubt are settled. */
#define DOUBT_BYTES	  (2 * 1024 * 1024)
#define DOUBT_COST	  64
#define GLANCE_BITS	  20 /* of a fingerprint, looked at before all doubts are */
#define FIRST_DOUBTS  256
#define BITS_OF_BYTES 8

typedef struct Slot
{
	uint64_t words[2];
} Slot;

typedef struct Doubt
{
	Slot   slot;
	char  *key; /* NULL: it is known, or was given away */
	size_t length;
} Doubt;

struct KeySet
{
	EVP_MD	   *algorithm;
	EVP_MD_CTX *digest;
	size_t		memory;
	const char *spool_dir;

	Slot	*slots;	   /* NULL: in the spool */
	uint64_t capacity; /* a power of two */
	uint64_t used;

	int			   fd;	   /* of the log; -1: in memory */
	uint64_t	   logged; /* slots in the file */
	Slot		  *unwritten;
	size_t		   unwritten_count;
	unsigned char *filter;
	uint64_t	   blocks; /* a power of two */

	Doubt *doubts;
	size_t doubt_count;
	size_t doubt_capacity;
	size_t doubt_bytes;
	size_t next_doubt; /* to be given back, once settled */
};

KeySet *
key_set_open(size_t memory, const char *spool_dir, Failure *failure)
{
	KeySet *set = calloc(1, sizeof(*set));

	if (set == NULL)
	{
		failure_no_memory(failure);
		return NULL;
	}
	set->fd = -1;
	set->capacity = FIRST_CAPACITY;
	set->memory = memory;
	set->spool_dir = spool_dir;
	set->slots = calloc(FIRST_CAPACITY, sizeof(Slot));
	set->algorithm = EVP_MD_fetch(NULL, "SHA256", NULL);
	set->digest = EVP_MD_CTX_new();
	if (set->slots != NULL && set->algorithm != NULL && set->digest != NULL)
		return set;
	if (set->algorithm == NULL)
		failure_set(failure, REASON_INTERNAL, "OpenSSL gives no SHA-256");
	else
		failure_no_memory(failure);
	key_set_close(set);
	return NULL;
}

static void
forget_doubts(KeySet *set)
{
	for (size_t i = 0; i < set->doubt_count; i++)
		free(set->doubts[i].key);
	set->doubt_count = set->doubt_bytes = set->next_doubt = 0;
}

void
key_set_close(KeySet *set)
{
	if (set == NULL)
		return;
	forget_doubts(set);
	free(set->doubts);
	free(set->slots);
	free(set->unwritten);
	free(set->filter);
	if (set->fd >= 0)
		close(set->fd);
	EVP_MD_CTX_free(set->digest);
	EVP_MD_free(set->algorithm);
	free(set);
}

bool
key_set_is_spooled(const KeySet *set)
{
	return set->fd >= 0;
}

static bool
fingerprint(KeySet *set, const char *key, size_t length, Slot *slot, Failure *failure)
{
	unsigned char hash[EVP_MAX_MD_SIZE];

	if (EVP_DigestInit_ex(set->digest, set->algorithm, NULL) != 1 ||
		EVP_DigestUpdate(set->digest, key, length) != 1 || EVP_DigestFinal_ex(set->digest, hash, NULL) != 1)
		return failure_set(failure, REASON_INTERNAL, "OpenSSL gives no SHA-256");
	memcpy(slot, hash, sizeof(*slot));
	if (slot->words[0] == 0 && slot->words[1] == 0)
		slot->words[1] = 1;
	return true;
}

/* ---- the table ---- */

static bool
insert(Slot *slots, uint64_t capacity, const Slot *slot)
{
	uint64_t at = slot->words[0] & (capacity - 1);

	for (;; at = (at + 1) & (capacity - 1))
	{
		if (slots[at].words[0] == 0 && slots[at].words[1] == 0)
			break;
		if (slots[at].words[0] == slot->words[0] && slots[at].words[1] == slot->words[1])
			return false;
	}
	slots[at] = *slot;
	return true;
}

static bool
is_used(const Slot *slot)
{
	return slot->words[0] != 0 || slot->words[1] != 0;
}

static bool
double_table(KeySet *set, Failure *failure)
{
	uint64_t capacity = set->capacity * 2;
	Slot	*slots = calloc(capacity, sizeof(*slots));

	if (slots == NULL)
		return failure_no_memory(failure);
	for (uint64_t at = 0; at < set->capacity; at++)
		if (is_used(&set->slots[at]))
			insert(slots, capacity, &set->slots[at]);
	free(set->slots);
	set->slots = slots;
	set->capacity = capacity;
	return true;
}

/* ---- the log and the filter ---- */

static bool
spool_failed(const KeySet *set, Failure *failure)
{
	return failure_set_errno(failure, REASON_CONFIG,
							 "could not keep a scan's keys in the spool in \"%s\" (setting spool_dir)",
							 spool_directory(set->spool_dir));
}

static bool
write_log(KeySet *set, Failure *failure)
{
	const char *at = (const char *) set->unwritten;
	size_t		left = set->unwritten_count * sizeof(Slot);

	while (left > 0)
	{
		ssize_t written = write(set->fd, at, left);

		if (written < 0 && errno == EINTR)
			continue;
		if (written <= 0)
			return spool_failed(set, failure);
		at += written;
		left -= (size_t) written;
	}
	set->logged += set->unwritten_count;
	set->unwritten_count = 0;
	return true;
}

/* The bits of a fingerprint.  Were they all set? */
static bool
set_bits(KeySet *set, const Slot *slot)
{
	unsigned char *block = set->filter + (slot->words[0] & (set->blocks - 1)) * BLOCK_BYTES;
	uint64_t	   numbers = slot->words[1];
	bool		   were_set = true;

	for (int i = 0; i < BITS_A_KEY; i++, numbers >>= BITS_A_NUMBER)
	{
		unsigned	  number = numbers & ((1 << BITS_A_NUMBER) - 1);
		unsigned char bit = (unsigned char) (1 << number % BITS_OF_BYTES);

		were_set = were_set && (block[number / BITS_OF_BYTES] & bit) != 0;
		block[number / BITS_OF_BYTES] |= bit;
	}
	return were_set;
}

static bool
log_slot(KeySet *set, const Slot *slot, Failure *failure)
{
	set->unwritten[set->unwritten_count++] = *slot;
	return set->unwritten_count < LOG_AT_ONCE || write_log(set, failure);
}

/* The table has become too large: what is in it goes into the log. */
static bool
begin_log(KeySet *set, Failure *failure)
{
	size_t size = FILTER_MIN;

	while (size * 2 <= set->memory)
		size *= 2;
	set->blocks = size / BLOCK_BYTES;
	set->filter = calloc(size, 1);
	set->unwritten = malloc(LOG_AT_ONCE * sizeof(*set->unwritten));
	if (set->filter == NULL || set->unwritten == NULL)
		return failure_no_memory(failure);
	set->fd = spool_open(set->spool_dir, failure);
	if (set->fd < 0)
		return false;
	for (uint64_t at = 0; at < set->capacity; at++)
	{
		if (!is_used(&set->slots[at]))
			continue;
		set_bits(set, &set->slots[at]);
		if (!log_slot(set, &set->slots[at], failure))
			return false;
	}
	free(set->slots);
	set->slots = NULL;
	return true;
}

/* ---- keys ---- */

static bool
keep_in_doubt(KeySet *set, const Slot *slot, char *key, size_t length, Failure *failure)
{
	if (set->doubt_count == set->doubt_capacity)
	{
		size_t capacity = set->doubt_capacity > 0 ? set->doubt_capacity * 2 : FIRST_DOUBTS;
		Doubt *doubts = realloc(set->doubts, capacity * sizeof(*doubts));

		if (doubts == NULL)
		{
			free(key);
			return failure_no_memory(failure);
		}
		set->doubts = doubts;
		set->doubt_capacity = capacity;
	}
	set->doubts[set->doubt_count++] = (Doubt){.slot = *slot, .key = key, .length = length};
	set->doubt_bytes += length + DOUBT_COST;
	return true;
}

bool
key_set_add(KeySet *set, char *key, size_t length, KeyVerdict *verdict, Failure *failure)
{
	bool may_double = set->capacity * 2 * 3 / 2 * sizeof(Slot) <= set->memory;
	Slot slot = {{0}};

	if (!fingerprint(set, key, length, &slot, failure))
		return false;
	if (set->slots != NULL && set->used >= set->capacity / 3 * 2 &&
		!(may_double ? double_table(set, failure) : begin_log(set, failure)))
		return false;
	if (set->slots != NULL)
	{
		*verdict = insert(set->slots, set->capacity, &slot) ? KEY_IS_NEW : KEY_IS_KNOWN;
		set->used += *verdict == KEY_IS_NEW;
		return true;
	}
	if (set_bits(set, &slot))
	{
		*verdict = KEY_IN_DOUBT;
		return keep_in_doubt(set, &slot, key, length, failure);
	}
	*verdict = KEY_IS_NEW;
	return log_slot(set, &slot, failure);
}

/* ---- doubts ---- */

static int
compare_slots(const void *left, const void *right)
{
	return memcmp(left, right, sizeof(Slot));
}

/* Sorted; of equal ones the first remains. */
static void
sort_doubts(KeySet *set)
{
	size_t kept = 0;

	/* A doubt begins with its slot. */
	qsort(set->doubts, set->doubt_count, sizeof(*set->doubts), compare_slots);
	for (size_t i = 0; i < set->doubt_count; i++)
	{
		if (kept > 0 && compare_slots(&set->doubts[i], &set->doubts[kept - 1]) == 0)
			free(set->doubts[i].key);
		else
			set->doubts[kept++] = set->doubts[i];
	}
	set->doubt_count = kept;
}

static bool
read_log(const KeySet *set, uint64_t at, Slot *slots, size_t count, Failure *failure)
{
	ssize_t length;

	do
		length = pread(set->fd, slots, count * sizeof(Slot), (off_t) (at * sizeof(Slot)));
	while (length < 0 && errno == EINTR);
	if (length < 0)
		return spool_failed(set, failure);
	return (size_t) length == count * sizeof(Slot) ||
		   failure_set(failure, REASON_CONFIG, "the spool that holds a scan's keys has become shorter");
}

static unsigned
glance(const Slot *slot)
{
	return (unsigned) (slot->words[1] >> (64 - GLANCE_BITS));
}

static void
compare_with_doubts(KeySet *set, const unsigned char *glances, const Slot *slot)
{
	Doubt *doubt;

	if ((glances[glance(slot) / BITS_OF_BYTES] & 1 << glance(slot) % BITS_OF_BYTES) == 0)
		return;
	doubt = bsearch(slot, set->doubts, set->doubt_count, sizeof(*set->doubts), compare_slots);
	if (doubt == NULL)
		return;
	free(doubt->key);
	doubt->key = NULL;
}

/* Those that are in the log are known. */
static bool
compare_with_log(KeySet *set, unsigned char *glances, Slot *slots, Failure *failure)
{
	for (size_t i = 0; i < set->doubt_count; i++)
		glances[glance(&set->doubts[i].slot) / BITS_OF_BYTES] |=
			(unsigned char) (1 << glance(&set->doubts[i].slot) % BITS_OF_BYTES);
	for (uint64_t at = 0; at < set->logged; at += LOG_AT_ONCE)
	{
		size_t count = set->logged - at < LOG_AT_ONCE ? (size_t) (set->logged - at) : LOG_AT_ONCE;

		if (!read_log(set, at, slots, count, failure))
			return false;
		for (size_t i = 0; i < count; i++)
			compare_with_doubts(set, glances, &slots[i]);
	}
	return true;
}

bool
key_set_should_settle(const KeySet *set)
{
	return set->doubt_bytes >= DOUBT_BYTES;
}

bool
key_set_settle(KeySet *set, Failure *failure)
{
	unsigned char *glances;
	Slot		  *slots;
	bool		   passed = false;

	if (set->doubt_count == 0)
		return true;
	sort_doubts(set);
	set->next_doubt = 0;
	glances = calloc((1 << GLANCE_BITS) / BITS_OF_BYTES, 1);
	slots = malloc(LOG_AT_ONCE * sizeof(*slots));
	if (glances != NULL && slots != NULL)
		passed = write_log(set, failure) && compare_with_log(set, glances, slots, failure);
	else
		failure_no_memory(failure);
	for (size_t i = 0; passed && i < set->doubt_count; i++)
		passed = set->doubts[i].key == NULL || log_slot(set, &set->doubts[i].slot, failure);
	free(glances);
	free(slots);
	return passed;
}

bool
key_set_next_new(KeySet *set, char **key, size_t *length)
{
	while (set->next_doubt < set->doubt_count)
	{
		Doubt *doubt = &set->doubts[set->next_doubt++];

		if (doubt->key == NULL)
			continue;
		*key = doubt->key;
		*length = doubt->length;
		doubt->key = NULL;
		return true;
	}
	forget_doubts(set);
	return false;
}
