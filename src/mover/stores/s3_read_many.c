/*
 * s3_read_many.c
 *	  Many small objects, several requests in flight.
 */
#include "stores/s3_read_many.h"

#include <stdlib.h>

#include "cancel.h"
#include "stores/s3_object.h"

#define MILLISECOND INT64_C(1000000)

typedef struct Slot
{
	size_t		  index;
	bool		  is_used;
	char		  key[OBJECT_KEY_SIZE];
	S3Request	  request;
	S3Call		  call;
	HttpExchange *exchange; /* NULL: it waits for its next try */
} Slot;

typedef struct ReadMany
{
	S3Client		 *client;
	const SmallReads *reads;
	Slot			 *slots;
	size_t			  slot_count;
	size_t			  next; /* index that no slot has had yet */
	size_t			  taken;
} ReadMany;

/* Gives a free slot the next object. */
static bool
fill(ReadMany *many, Slot *slot, Failure *failure)
{
	const SmallReads *reads = many->reads;

	if (!reads->name(reads->context, many->next, slot->key, failure))
		return false;
	slot->index = many->next++;
	slot->is_used = true;
	slot->request = s3_object_read_request(slot->key, reads->max);
	slot->call = (S3Call){.request = &slot->request};
	return true;
}

static bool
launch(ReadMany *many, Slot *slot, Failure *failure)
{
	s3_call_forget_try(&slot->call);
	if (!s3_call_sign(many->client, &slot->call, failure))
		return false;
	slot->exchange = http_begin(many->client->http, &slot->call.http, &slot->call.answer.http, slot, failure);
	return slot->exchange != NULL;
}

/* Launches what is due; *wait becomes the milliseconds until something else will be. */
static bool
launch_due(ReadMany *many, int *wait, Failure *failure)
{
	int64_t now = monotonic_nanoseconds();

	for (size_t i = 0; i < many->slot_count; i++)
	{
		Slot   *slot = &many->slots[i];
		int64_t left;

		if (!slot->is_used && many->next < many->reads->count && !fill(many, slot, failure))
			return false;
		if (!slot->is_used || slot->exchange)
			continue;
		left = slot->call.not_before - now;
		if (left <= 0 && !launch(many, slot, failure))
			return false;
		if (left > 0 && left / MILLISECOND + 1 < *wait)
			*wait = (int) (left / MILLISECOND) + 1;
	}
	return true;
}

static bool
land(ReadMany *many, Slot *slot, Failure *failure)
{
	const SmallReads *reads = many->reads;
	Failure			  problem = {0};
	S3Verdict		  verdict = s3_call_judge(many->client, &slot->call, &problem);
	StoreAnswer		  answer = STORE_FAILED;
	char			 *bytes = NULL;
	size_t			  length = 0;
	bool			  go_on;

	slot->exchange = NULL;
	if (verdict == S3_AGAIN)
		return true;
	if (verdict == S3_DONE)
		answer = s3_object_take_read(many->client, &slot->request, reads->max, &slot->call.answer, &bytes,
									 &length, &problem);
	s3_call_forget_try(&slot->call);
	slot->is_used = false;
	many->taken++;
	go_on = reads->take(reads->context, slot->index, answer, bytes, length, &problem, failure);
	free(bytes);
	return go_on;
}

static bool
read_all(ReadMany *many, Failure *failure)
{
	Slot *slot;

	while (many->taken < many->reads->count)
	{
		int wait = 1000;

		if (!launch_due(many, &wait, failure) || !http_drive(many->client->http, wait, true, failure))
			return false;
		while ((slot = http_finished(many->client->http)) != NULL)
			if (!land(many, slot, failure))
				return false;
	}
	return true;
}

bool
s3_read_many(S3Client *client, const SmallReads *reads, Failure *failure)
{
	ReadMany many = {.client = client, .reads = reads};
	bool	 read;

	many.slot_count = (size_t) client->url.parallel * S3_READS_FOR_EACH_TRANSFER;
	if (many.slot_count > reads->count)
		many.slot_count = reads->count;
	many.slots = calloc(many.slot_count + 1, sizeof(Slot));
	if (!many.slots)
		return failure_no_memory(failure);
	read = read_all(&many, failure);
	for (size_t i = 0; i < many.slot_count; i++)
	{
		if (many.slots[i].exchange)
			http_end(many.slots[i].exchange);
		s3_call_forget_try(&many.slots[i].call);
	}
	free(many.slots);
	return read;
}
