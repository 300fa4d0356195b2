/*
 * s3_parts.c
 *	  The sizes of an upload's parts.
 */
#include "stores/s3_parts.h"

#define SMALLEST_GROWING (8 * S3_MIB)
#define SMALLEST_UNIFORM (16 * S3_MIB)
#define GROWTH_BEGINS	 5000
#define GROWTH_EVERY	 500

static int64_t
at_least(int64_t a, int64_t b)
{
	return a > b ? a : b;
}

static int64_t
at_most(int64_t a, int64_t b)
{
	return a < b ? a : b;
}

/* Divides, up to whole MiB. */
static int64_t
mebibytes_each(int64_t bytes, int64_t parts)
{
	return (bytes / parts / S3_MIB + 1) * S3_MIB;
}

bool
s3_part_plan(S3PartPlan *plan, const S3Url *url, int64_t expected, Failure *failure)
{
	if (expected > S3_MAX_OBJECT_BYTES)
		return failure_set(failure, REASON_STORE,
						   "%lld bytes are expected, and an object store takes 5 TiB at most",
						   (long long) expected);
	plan->growth = url->part_growth;
	if (url->part_size > 0)
		plan->size = url->part_size;
	else if (plan->growth)
		plan->size = at_least(SMALLEST_GROWING, expected > 0 ? mebibytes_each(expected, GROWTH_BEGINS) : 0);
	else
		plan->size =
			at_least(SMALLEST_UNIFORM, expected > 0 ? mebibytes_each(2 * expected, S3_MAX_PARTS) : 0);
	plan->size = at_most(plan->size, S3_MAX_PART_BYTES);
	if (expected > s3_part_capacity(plan))
		return failure_set(
			failure, REASON_STORE,
			"%lld bytes are expected and do not fit into %d parts of %lld bytes; set a larger part_size= "
			"in the store's URL",
			(long long) expected, S3_MAX_PARTS, (long long) plan->size);
	return true;
}

int64_t
s3_part_size(const S3PartPlan *plan, int64_t number)
{
	int64_t size = plan->size;

	if (number < 1 || number > S3_MAX_PARTS)
		return 0;
	if (plan->growth)
		for (int64_t grown = GROWTH_BEGINS; grown < number && size < S3_MAX_PART_BYTES; grown += GROWTH_EVERY)
			size *= 2;
	return at_most(size, S3_MAX_PART_BYTES);
}

int64_t
s3_part_capacity(const S3PartPlan *plan)
{
	int64_t capacity = 0;

	for (int64_t number = 1; number <= S3_MAX_PARTS && capacity < S3_MAX_OBJECT_BYTES; number++)
		capacity += s3_part_size(plan, number);
	return at_most(capacity, S3_MAX_OBJECT_BYTES);
}
