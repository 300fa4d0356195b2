/*
 * redis_scan_values.h
 *	  One key after the other out of a server and into an RDB file.
 *
 * One transaction for a batch of keys asks for the expiry and the DUMP of each, so that
 * these two belong together; of a server that is full, which refuses to queue anything, they are
 * asked for one behind the other.  The keys are received in the order in which they were
 * asked for.  A value passes through in pieces, however large it is: its head goes into
 * the writer's buffer, the rest is read beside it.  A long name is not copied: it is to be
 * taken from where SCAN's answer has it.
 */
#ifndef REDIS_SCAN_VALUES_H
#define REDIS_SCAN_VALUES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "engines/rdb_writer.h"
#include "engines/redis_scan_keys.h"
#include "engines/resp.h"
#include "failure.h"

typedef struct ScanValues
{
	Resp	   *resp;
	int			rdb_version;
	bool		asks_expiretime; /* PEXPIRETIME is known; else TIME and PTTL */
	bool		apart;			 /* without a transaction */
	const char *object_question; /* FREQ, IDLETIME, or NULL: the server does not evict */
	int			database;		 /* the one under way; -1: none */
	bool		database_is_written;

	RdbWriter	   writer;
	const ScanKey *long_name;	 /* to be put into the file by the caller, who then makes it NULL */
	size_t		   long_name_at; /* in front of this byte of the writer's buffer */
	uint64_t	   left;		 /* of a value that streams, without its footer: 0 before the next key */
	uint64_t	   payload_crc;
} ScanValues;

/* Asks for a batch. */
extern bool scan_values_queue(ScanValues *values, const ScanKey *batch, size_t count, Failure *failure);

/* What comes before the first key of a batch.  A server that has become full is asked again, apart. */
extern bool scan_values_begin(ScanValues *values, const ScanKey *batch, size_t count, Failure *failure);

/* Writes a key, as far as its head; one that is gone by now is passed over.  *length: of its DUMP. */
extern bool scan_values_receive(ScanValues *values, const ScanKey *key, uint64_t *length, Failure *failure);

/* More of what is `left`; it has gone through the writer's checksum. */
extern bool scan_values_read(ScanValues *values, void *buffer, size_t capacity, size_t *length,
							 Failure *failure);

#endif
