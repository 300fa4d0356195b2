/*
 * launcher.c
 *	  Look for the database, let a probe look into it, start the worker, wait.
 *
 * The probe is a process of its own because the extension's owner, as whom the
 * worker is to connect, stands in a catalog of that database, and a session
 * cannot become another role for good: a worker that had connected as the
 * superuser could be talked back into being it by any function it calls.
 *
 * What is missing is logged when that changes, not each time it is looked for.
 * The launcher only starts on a primary (BgWorkerStart_RecoveryFinished).
 */
#include "postgres.h"

#include <signal.h>

#include "access/genam.h"
#include "access/htup_details.h"
#include "access/table.h"
#include "access/xact.h"
#include "catalog/pg_database.h"
#include "miscadmin.h"
#include "pgstat.h"
#include "postmaster/bgworker.h"
#include "postmaster/interrupt.h"
#include "storage/ipc.h"
#include "storage/latch.h"
#include "storage/lmgr.h"
#include "tcop/tcopprot.h"
#include "utils/fmgroids.h"
#include "utils/guc.h"
#include "utils/memutils.h"
#include "utils/rel.h"
#include "utils/relcache.h"
#include "utils/snapmgr.h"

#include "clock.h"
#include "compat.h"
#include "launcher.h"
#include "settings.h"
#include "shared.h"
#include "txn.h"

#define LOOK_INTERVAL_MS 60000
#define FIRST_PAUSE_MS	 1000  /* after a worker's end */
#define SETTLED_AFTER_MS 10000 /* a worker that lived this long was a good one */
#define RESTART_SECONDS	 1

static uint32 wait_event;
static int64  pause_ms = FIRST_PAUSE_MS; /* after a worker's end; grows while none lives long */
static char	  said[512];				 /* what the log knows */

/* Says it once, until something else is to be said. */
static void say_once(const char *format, ...) __attribute__((format(printf, 1, 2)));

static void
say_once(const char *format, ...)
{
	char	text[sizeof(said)];
	va_list arguments;

	va_start(arguments, format);
	vsnprintf(text, sizeof(text), format, arguments);
	va_end(arguments);
	if (strcmp(text, said) == 0)
		return;
	strlcpy(said, text, sizeof(said));
	ereport(LOG, (errmsg("custbackup launcher: %s", text)));
}

static void
describe(BackgroundWorker *worker, const char *name, const char *function)
{
	memset(worker, 0, sizeof(*worker));
	worker->bgw_flags = BGWORKER_SHMEM_ACCESS | BGWORKER_BACKEND_DATABASE_CONNECTION;
	worker->bgw_start_time = BgWorkerStart_RecoveryFinished;
	strlcpy(worker->bgw_library_name, "custbackup", sizeof(worker->bgw_library_name));
	strlcpy(worker->bgw_function_name, function, sizeof(worker->bgw_function_name));
	strlcpy(worker->bgw_name, name, sizeof(worker->bgw_name));
	strlcpy(worker->bgw_type, name, sizeof(worker->bgw_type));
}

void
launcher_register(void)
{
	BackgroundWorker worker;

	describe(&worker, "custbackup launcher", "custbackup_launcher_main");
	worker.bgw_restart_time = RESTART_SECONDS;
	RegisterBackgroundWorker(&worker);
}

/* Starts a process for this database; NULL when the server has no slot left. */
static BackgroundWorkerHandle *
start_process(const char *name, const char *function, Oid database, Oid role)
{
	BackgroundWorker		worker;
	BackgroundWorkerHandle *handle = NULL;

	describe(&worker, name, function);
	worker.bgw_restart_time = BGW_NEVER_RESTART;
	worker.bgw_notify_pid = MyProcPid;
	worker.bgw_main_arg = ObjectIdGetDatum(database);
	memcpy(worker.bgw_extra, &role, sizeof(role));
	if (RegisterDynamicBackgroundWorker(&worker, &handle))
		return handle;
	say_once("no background worker slot is free; raise max_worker_processes");
	return NULL;
}

static void
reload_settings(void)
{
	if (!ConfigReloadPending)
		return;
	ConfigReloadPending = false;
	ProcessConfigFile(PGC_SIGHUP);
	pause_ms = FIRST_PAUSE_MS;
}

static void
nap(int64 milliseconds)
{
	if (milliseconds > 0)
		(void) WaitLatch(MyLatch, WL_LATCH_SET | WL_TIMEOUT | WL_EXIT_ON_PM_DEATH, (long) milliseconds,
						 wait_event);
	ResetLatch(MyLatch);
	CHECK_FOR_INTERRUPTS();
	reload_settings();
}

/*
 * The oid of the database, if it takes connections.  Without a database, after a
 * start of the server, no index of a shared catalog can be opened yet.
 */
static Oid
database_oid(const char *name)
{
	Relation	databases = table_open(DatabaseRelationId, AccessShareLock);
	Oid			database = InvalidOid;
	ScanKeyData key;
	SysScanDesc scan;
	HeapTuple	tuple;

	ScanKeyInit(&key, Anum_pg_database_datname, BTEqualStrategyNumber, F_NAMEEQ, CStringGetDatum(name));
	scan = systable_beginscan(databases, DatabaseNameIndexId, criticalSharedRelcachesBuilt, NULL, 1, &key);
	tuple = systable_getnext(scan);
	if (HeapTupleIsValid(tuple) && ((Form_pg_database) GETSTRUCT(tuple))->datallowconn)
		database = ((Form_pg_database) GETSTRUCT(tuple))->oid;
	systable_endscan(scan);
	table_close(databases, AccessShareLock);
	return database;
}

/*
 * A DROP DATABASE that is under way holds a lock on it: wait for that, rather
 * than have a process fail on the way in.
 */
static void
find_database(void *result)
{
	Oid *database = result;

	StartTransactionCommand();
	(void) GetTransactionSnapshot();
	*database = database_oid(setting_database);
	if (OidIsValid(*database))
	{
		LockSharedObject(DatabaseRelationId, *database, 0, AccessShareLock);
		*database = database_oid(setting_database);
	}
	CommitTransactionCommand();
}

static const char *
obstacle(ProbeFinding finding)
{
	switch (finding)
	{
		case PROBE_NO_EXTENSION:
			return "it has no extension custbackup; waiting for CREATE EXTENSION custbackup";
		case PROBE_NO_ROLE:
			return "the role that custbackup.role names does not exist";
		case PROBE_ROLE_CANNOT_LOGIN:
			return "the worker's role needs LOGIN before Postgres 17 (see custbackup.role)";
		case PROBE_ROLE_CANNOT_CONNECT:
			return "the worker's role may not connect to it (GRANT CONNECT ON DATABASE)";
		case PROBE_UNKNOWN:
		case PROBE_READY:
			break;
	}
	return "it cannot be looked into; see the messages above";
}

/* Is everything there?  Says what is not. */
static bool
look(Oid *database, Oid *role)
{
	BackgroundWorkerHandle *probe;
	ProbeFinding			finding;

	*database = InvalidOid;
	if (!txn_survive(find_database, database))
		return false;
	if (!OidIsValid(*database))
	{
		say_once(
			"database \"%s\" (custbackup.database) does not exist or takes no connections; waiting for it",
			setting_database);
		return false;
	}

	shared_set_finding(PROBE_UNKNOWN, InvalidOid);
	probe = start_process("custbackup probe", "custbackup_probe_main", *database, InvalidOid);
	if (!probe)
		return false;
	if (WaitForBackgroundWorkerShutdown(probe) == BGWH_POSTMASTER_DIED)
		proc_exit(1);
	pfree(probe);

	finding = shared_finding(role);
	if (finding == PROBE_READY)
		return true;
	say_once("database \"%s\": %s", setting_database, obstacle(finding));
	return false;
}

/* Until the worker has ended; returns how long it lived. */
static int64
run_worker(Oid database, Oid role)
{
	int64					started = clock_ms();
	BackgroundWorkerHandle *worker =
		start_process("custbackup worker", "custbackup_worker_main", database, role);
	pid_t pid;

	if (!worker)
		return 0;
	said[0] = '\0';
	while (GetBackgroundWorkerPid(worker, &pid) != BGWH_STOPPED)
		nap(LOOK_INTERVAL_MS);
	pfree(worker);
	return clock_ms() - started;
}

void
custbackup_launcher_main(Datum argument)
{
	(void) argument;
	pqsignal(SIGHUP, SignalHandlerForConfigReload);
	pqsignal(SIGTERM, die);
	BackgroundWorkerUnblockSignals();
	ConfigReloadPending = true; /* a SIGHUP before this was ignored */
	BackgroundWorkerInitializeConnection(NULL, NULL, 0);
	shared_publish(SHARED_LAUNCHER);
	wait_event = NEW_WAIT_EVENT("CustbackupLauncher");

	for (;;)
	{
		Oid database;
		Oid role;

		reload_settings();
		/* A worker that an earlier launcher had started wakes us when it goes. */
		while (shared_pid(SHARED_WORKER) != 0)
			nap(LOOK_INTERVAL_MS);

		if (!look(&database, &role))
			nap(LOOK_INTERVAL_MS);
		else
		{
			bool settled = run_worker(database, role) >= SETTLED_AFTER_MS;

			pause_ms = settled ? FIRST_PAUSE_MS : Min(pause_ms * 2, LOOK_INTERVAL_MS);
			nap(pause_ms);
		}
	}
}
