/*
 * txn.c
 *	  A transaction from C, written once.
 */
#include "postgres.h"

#include "access/xact.h"
#include "catalog/namespace.h"
#include "commands/extension.h"
#include "executor/spi.h"
#include "miscadmin.h"
#include "pgstat.h"
#include "storage/lwlock.h"
#include "utils/builtins.h"
#include "utils/guc.h"
#include "utils/memutils.h"
#include "utils/snapmgr.h"
#include "utils/syscache.h"
#include "utils/timeout.h"

#include "compat.h"
#include "settings.h"
#include "txn.h"

/* Nobody's view or lock may keep us from watching our jobs for longer than this. */
#define TXN_LIMIT_MS 60000
#define LOCK_LIMIT	 "2s"

typedef struct Transaction
{
	const char *activity;
	TxnBody		body;
	void	   *argument;
	TxnResult	result;
} Transaction;

void
txn_pin_settings(void)
{
	static const struct
	{
		const char *name;
		const char *value;
	} pinned[] = {
		{"role", "none"},
		{"search_path", "pg_catalog, pg_temp"},
		{"lock_timeout", LOCK_LIMIT},
		{"statement_timeout", "0"},
		{"idle_in_transaction_session_timeout", "0"},
		PINNED_SETTINGS_OF_VERSION{"default_transaction_isolation", "read committed"},
		{"default_transaction_read_only", "off"},
		{"default_transaction_deferrable", "off"},
		{"session_replication_role", "origin"},
		/* Our statements are few and always the same, and to plan them takes longer than to run them. */
		{"plan_cache_mode", "force_generic_plan"},
		/* A standby that is gone must not stop us; a job that a failover forgets runs again. */
		{"synchronous_commit", "local"},
	};

	for (size_t i = 0; i < lengthof(pinned); i++)
		SetConfigOption(pinned[i].name, pinned[i].value, PGC_SUSET, PGC_S_OVERRIDE);
}

/*
 * Added to every error of a transaction.  What is denied to our own role is a
 * matter of its grants; inside of functions and views others' rights count.
 */
static void
hint_at_grants(void *argument)
{
	(void) argument;
	if (geterrcode() == ERRCODE_INSUFFICIENT_PRIVILEGE && GetUserId() == GetSessionUserId())
		errhint("The worker needs what it is granted by: SELECT custbackup.grant_worker(%s).",
				quote_literal_cstr(quote_identifier(setting_role)));
}

/* Every function of the extension names its schema. */
static void
check_schema(void)
{
	if (!OidIsValid(get_namespace_oid("custbackup", true)))
		ereport(ERROR, (errcode(ERRCODE_UNDEFINED_SCHEMA),
						errmsg("the schema of the extension custbackup is not called custbackup any more"),
						errhint("It works under no other name: ALTER SCHEMA ... RENAME TO custbackup.")));
}

/* The role may have been dropped under us: then everything is denied, to a new one of that name too. */
static bool
role_is_there(void)
{
	return SearchSysCacheExists1(AUTHOID, ObjectIdGetDatum(GetSessionUserId()));
}

static void
run_transaction(void *argument)
{
	Transaction			*transaction = argument;
	ErrorContextCallback context = {.previous = error_context_stack, .callback = hint_at_grants};

	error_context_stack = &context;
	SetCurrentStatementStartTimestamp();
	StartTransactionCommand();
	pgstat_report_activity(STATE_RUNNING, transaction->activity);
	enable_timeout_after(STATEMENT_TIMEOUT, TXN_LIMIT_MS);

	if (!OidIsValid(get_extension_oid("custbackup", true)))
		transaction->result = TXN_NO_EXTENSION;
	else if (!role_is_there())
		transaction->result = TXN_NO_ROLE;
	else
	{
		check_schema();
		SPI_connect();
		PushActiveSnapshot(GetTransactionSnapshot());
		transaction->body(transaction->argument);
		PopActiveSnapshot();
		SPI_finish();
		transaction->result = TXN_COMMITTED;
	}

	disable_timeout(STATEMENT_TIMEOUT, false);
	CommitTransactionCommand();
	error_context_stack = context.previous;
	pgstat_report_stat(true);
	pgstat_report_activity(STATE_IDLE, NULL);
}

TxnResult
txn_run(const char *activity, TxnBody body, void *argument)
{
	Transaction transaction = {activity, body, argument, TXN_FAILED};

	if (!txn_survive(run_transaction, &transaction))
		return TXN_FAILED;
	return transaction.result;
}

/* The cleaning up is that of the autovacuum launcher's loop. */
bool
txn_survive(TxnBody body, void *argument)
{
	MemoryContext context = CurrentMemoryContext;
	volatile bool survived = true;

	PG_TRY();
	{
		body(argument);
	}
	PG_CATCH();
	{
		HOLD_INTERRUPTS();
		disable_all_timeouts(false);
		QueryCancelPending = false;
		EmitErrorReport();
		AbortCurrentTransaction();
		LWLockReleaseAll();
		pgstat_report_wait_end();
		pgstat_report_activity(STATE_IDLE, NULL);
		MemoryContextSwitchTo(context);
		FlushErrorState();
		RESUME_INTERRUPTS();
		survived = false;
	}
	PG_END_TRY();

	/* Committing or aborting left us in a context that is not the caller's. */
	MemoryContextSwitchTo(context);
	return survived;
}
