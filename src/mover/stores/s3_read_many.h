/*
 * s3_read_many.h
 *	  Many small objects, several requests in flight, in the caller's own thread.
 *
 *	  next index ──▶ slot ── in flight ──▶ taken, whatever became of it ──▶ the slot is free
 *	                   ▲          │
 *	                   └─ waits ◀─┘ worth another try
 *
 * One object that cannot be had does not end the others: whoever takes it decides.
 */
#ifndef S3_READ_MANY_H
#define S3_READ_MANY_H

#include "stores/s3_client.h"
#include "stores/store.h"

/* So many for each request that the URL's parallel= allows to a transfer: these are small. */
#define S3_READS_FOR_EACH_TRANSFER 4

/* As Store.read_many. */
extern bool s3_read_many(S3Client *client, const SmallReads *reads, Failure *failure);

#endif
