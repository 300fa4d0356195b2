/*
 * s3_parts.h
 *	  How an object of unknown size is cut into at most 10,000 parts.
 *
 * The size is fixed at the start from what is expected and stays the same over
 * what is expected.  Where the store allows parts of different sizes, they begin
 * to double after the 5,000th, so that even an expectation that was wrong by a
 * thousand times ends below 5 TiB and not in front of part 10,001.
 */
#ifndef S3_PARTS_H
#define S3_PARTS_H

#include <stdbool.h>
#include <stdint.h>

#include "failure.h"
#include "stores/s3_url.h"

typedef struct S3PartPlan
{
	int64_t size; /* of the first part, and of all where growth is false */
	bool	growth;
} S3PartPlan;

/* expected: bytes, -1: unknown.  REASON_STORE: it cannot fit, whatever is tried. */
extern bool s3_part_plan(S3PartPlan *plan, const S3Url *url, int64_t expected, Failure *failure);

/* Of part `number`, from 1; 0: there is no such part. */
extern int64_t s3_part_size(const S3PartPlan *plan, int64_t number);

/* What all parts hold together, at most 5 TiB. */
extern int64_t s3_part_capacity(const S3PartPlan *plan);

#endif
