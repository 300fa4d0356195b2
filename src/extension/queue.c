/*
 * queue.c
 *	  The calls that the worker makes, each in a transaction of its own.
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "access/tupdesc.h"
#include "catalog/pg_type.h"
#include "executor/spi.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/guc.h"
#include "utils/timestamp.h"

#include "events.h"
#include "queue.h"

/* Arguments and results of one call, as its transaction's body sees them. */
typedef struct Call
{
	MemoryContext	 results; /* the caller's */
	int				 slots;
	const pg_uuid_t *holding;
	int				 count;
	List			*claimed;
	EventReport		*reports;
	Renewal			*renewals;
	int				 enqueued;
	int64			 limit;
	int64			 milliseconds;
	List			*leases;
	const Lease		*lease;
	bool			 given;
} Call;

static void
query(const char *sql, int count, Oid *types, Datum *values)
{
	int result = SPI_execute_with_args(sql, count, types, values, NULL, false, 0);

	if (result != SPI_OK_SELECT)
		elog(ERROR, "\"%s\" failed: %s", sql, SPI_result_code_string(result));
}

/* A column of a row; NULL is an error, as none of ours may be. */
static Datum
column(uint64 row, int number)
{
	bool  isnull;
	Datum value = SPI_getbinval(SPI_tuptable->vals[row], SPI_tuptable->tupdesc, number, &isnull);

	if (isnull)
		elog(ERROR, "column %d of a runner's function is null", number);
	return value;
}

static char *
text_column(uint64 row, int number)
{
	return TextDatumGetCString(column(row, number));
}

static Datum
uuid_array(const pg_uuid_t *uuids, int count)
{
	Datum *elements = palloc(Max(count, 1) * sizeof(Datum));

	for (int i = 0; i < count; i++)
		elements[i] = UUIDPGetDatum(&uuids[i]);
	return PointerGetDatum(construct_array(elements, count, UUIDOID, UUID_LEN, false, TYPALIGN_CHAR));
}

static Verdict
verdict_from(const char *name)
{
	static const struct
	{
		const char *name;
		Verdict		verdict;
	} verdicts[] = {
		{"continue", VERDICT_CONTINUE}, {"ended", VERDICT_ENDED}, {"kill", VERDICT_KILL},
		{"cancel", VERDICT_CANCEL},		{"lost", VERDICT_LOST},
	};

	for (size_t i = 0; i < lengthof(verdicts); i++)
	{
		if (strcmp(name, verdicts[i].name) == 0)
			return verdicts[i].verdict;
	}
	elog(ERROR, "unknown verdict \"%s\"", name);
}

/* SPI's memory goes with its transaction: keep a copy, in the encoding of the protocol. */
static ClaimedJob *
keep_job(MemoryContext context, uint64 row)
{
	char	   *kind = text_column(row, 3);
	char	   *job = events_from_server(text_column(row, 4));
	ClaimedJob *kept = MemoryContextAlloc(context, sizeof(ClaimedJob));

	kept->attempt = *DatumGetUUIDP(column(row, 2));
	kept->is_restore = strcmp(kind, "restore") == 0;
	kept->job = MemoryContextStrdup(context, job);
	return kept;
}

static void
claim(void *argument)
{
	Call *call = argument;
	Oid	  types[] = {TEXTOID, INT4OID, UUIDARRAYOID};
	Datum values[] = {CStringGetTextDatum(RUNNER_NAME), Int32GetDatum(call->slots),
					  uuid_array(call->holding, call->count)};

	query("SELECT c.job_id, c.attempt_id, c.kind::pg_catalog.text, c.job::pg_catalog.text "
		  "FROM custbackup.claim($1, $2, $3) AS c",
		  3, types, values);
	for (uint64 row = 0; row < SPI_processed; row++)
	{
		ClaimedJob	 *job = keep_job(call->results, row);
		MemoryContext old = MemoryContextSwitchTo(call->results);

		call->claimed = lappend(call->claimed, job);
		MemoryContextSwitchTo(old);
	}
}

TxnResult
queue_claim(int slots, const pg_uuid_t *holding, int holding_count, List **claimed)
{
	Call call = {.results = CurrentMemoryContext, .slots = slots, .holding = holding, .count = holding_count};
	TxnResult result = txn_run("custbackup: claiming jobs", claim, &call);

	/* What was claimed in a transaction that failed was not claimed. */
	*claimed = result == TXN_COMMITTED ? call.claimed : NIL;
	return result;
}

static void
report(void *argument)
{
	Call *call = argument;
	Oid	  types[] = {UUIDOID, TEXTOID};

	/* For each second's line of progress the disk need not stop: report() takes this back for all that matters. */
	(void) set_config_option("synchronous_commit", "off", PGC_USERSET, PGC_S_SESSION, GUC_ACTION_LOCAL, true,
							 0, false);
	for (int i = 0; i < call->count; i++)
	{
		EventReport *one = &call->reports[i];
		Datum values[] = {UUIDPGetDatum(&one->attempt), CStringGetTextDatum(events_to_server(one->event))};

		query("SELECT custbackup.report($1, $2)::pg_catalog.text", 2, types, values);
		one->verdict = verdict_from(text_column(0, 1));
	}
}

TxnResult
queue_report(EventReport *reports, int count)
{
	Call call = {.reports = reports, .count = count};

	return txn_run("custbackup: recording events", report, &call);
}

static void
renew(void *argument)
{
	Call	  *call = argument;
	pg_uuid_t *attempts = palloc(Max(call->count, 1) * sizeof(pg_uuid_t));
	Oid		   types[] = {TEXTOID, UUIDARRAYOID};
	Datum	   values[2];

	for (int i = 0; i < call->count; i++)
	{
		attempts[i] = call->renewals[i].attempt;
		call->renewals[i].verdict = VERDICT_LOST;
	}
	values[0] = CStringGetTextDatum(RUNNER_NAME);
	values[1] = uuid_array(attempts, call->count);
	query("SELECT r.attempt_id, r.verdict::pg_catalog.text FROM custbackup.renew($1, $2) AS r", 2, types,
		  values);

	for (uint64 row = 0; row < SPI_processed; row++)
	{
		pg_uuid_t *attempt = DatumGetUUIDP(column(row, 1));

		for (int i = 0; i < call->count; i++)
		{
			if (memcmp(attempt, &call->renewals[i].attempt, sizeof(pg_uuid_t)) == 0)
				call->renewals[i].verdict = verdict_from(text_column(row, 2));
		}
	}
}

TxnResult
queue_renew(Renewal *renewals, int count)
{
	Call call = {.renewals = renewals, .count = count};

	return txn_run("custbackup: renewing leases", renew, &call);
}

static void
schedule(void *argument)
{
	Call *call = argument;

	query("SELECT custbackup.schedule()", 0, NULL, NULL);
	call->enqueued = DatumGetInt32(column(0, 1));
}

TxnResult
queue_schedule(int *enqueued)
{
	Call	  call = {0};
	TxnResult result = txn_run("custbackup: scheduling", schedule, &call);

	*enqueued = result == TXN_COMMITTED ? call.enqueued : 0;
	return result;
}

static void
next_wake(void *argument)
{
	Call *call = argument;
	bool  isnull;
	Datum wake;

	call->milliseconds = call->limit;
	query("SELECT custbackup.next_wake()", 0, NULL, NULL);
	wake = SPI_getbinval(SPI_tuptable->vals[0], SPI_tuptable->tupdesc, 1, &isnull);
	if (!isnull)
		call->milliseconds = Min(
			call->limit, TimestampDifferenceMilliseconds(GetCurrentTimestamp(), DatumGetTimestampTz(wake)));
}

TxnResult
queue_next_wake(int64 limit, int64 *milliseconds)
{
	Call	  call = {.limit = limit};
	TxnResult result = txn_run("custbackup: looking for what is next", next_wake, &call);

	*milliseconds = result == TXN_COMMITTED ? call.milliseconds : limit;
	return result;
}

static void
leases(void *argument)
{
	Call *call = argument;
	Oid	  types[] = {TEXTOID};
	Datum values[] = {CStringGetTextDatum(RUNNER_NAME)};

	query("SELECT l.attempt_id, l.renewals FROM custbackup.leases() AS l WHERE l.runner "
		  "OPERATOR(pg_catalog.<>) $1",
		  1, types, values);
	for (uint64 row = 0; row < SPI_processed; row++)
	{
		Lease		 *lease = MemoryContextAlloc(call->results, sizeof(Lease));
		MemoryContext old;

		lease->attempt = *DatumGetUUIDP(column(row, 1));
		lease->renewals = DatumGetInt64(column(row, 2));
		old = MemoryContextSwitchTo(call->results);
		call->leases = lappend(call->leases, lease);
		MemoryContextSwitchTo(old);
	}
}

TxnResult
queue_leases(List **result)
{
	Call	  call = {.results = CurrentMemoryContext};
	TxnResult status = txn_run("custbackup: looking at the leases of others", leases, &call);

	*result = status == TXN_COMMITTED ? call.leases : NIL;
	return status;
}

static void
give_back(void *argument)
{
	Call *call = argument;
	Oid	  types[] = {UUIDOID, INT8OID};
	Datum values[] = {UUIDPGetDatum(&call->lease->attempt), Int64GetDatum(call->lease->renewals)};

	query("SELECT custbackup.give_back($1, $2)", 2, types, values);
	call->given = DatumGetBool(column(0, 1));
}

TxnResult
queue_give_back(const Lease *lease, bool *given)
{
	Call	  call = {.lease = lease};
	TxnResult result = txn_run("custbackup: giving back an attempt", give_back, &call);

	*given = result == TXN_COMMITTED && call.given;
	return result;
}
