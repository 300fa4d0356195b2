/*
 * shared.c
 *	  The shared memory of custbackup.so: two processes to wake and a finding.
 */
#include "postgres.h"

#include "miscadmin.h"
#include "port/atomics.h"
#include "storage/ipc.h"
#include "storage/latch.h"
#include "storage/lwlock.h"
#include "storage/proc.h"
#include "storage/shmem.h"
#include "storage/spin.h"

#include "shared.h"

typedef struct SharedState
{
	pg_atomic_uint32 requests;
	slock_t			 mutex; /* for all below */
	PGPROC			*process[SHARED_PROCESSES];
	ProbeFinding	 finding;
	Oid				 role; /* whom the worker is to connect as, when PROBE_READY */
} SharedState;

static SharedState			  *shared = NULL;
static shmem_request_hook_type previous_request_hook = NULL;
static shmem_startup_hook_type previous_startup_hook = NULL;

static void
request_memory(void)
{
	if (previous_request_hook)
		previous_request_hook();
	RequestAddinShmemSpace(MAXALIGN(sizeof(SharedState)));
}

static void
start_memory(void)
{
	bool found;

	if (previous_startup_hook)
		previous_startup_hook();

	LWLockAcquire(AddinShmemInitLock, LW_EXCLUSIVE);
	shared = ShmemInitStruct("custbackup", sizeof(SharedState), &found);
	if (!found)
	{
		memset(shared, 0, sizeof(SharedState));
		pg_atomic_init_u32(&shared->requests, 0);
		SpinLockInit(&shared->mutex);
	}
	LWLockRelease(AddinShmemInitLock);
}

/* Called from _PG_init under shared_preload_libraries. */
void
shared_request(void)
{
	previous_request_hook = shmem_request_hook;
	shmem_request_hook = request_memory;
	previous_startup_hook = shmem_startup_hook;
	shmem_startup_hook = start_memory;
}

bool
shared_is_there(void)
{
	return shared != NULL;
}

/*
 * Of the first, or where it is not there of the second.  A PGPROC outlives its
 * process, so that setting the latch of one that has just exited does no harm.
 */
static void
set_latch_of(SharedProcess first, SharedProcess second)
{
	PGPROC *process;

	SpinLockAcquire(&shared->mutex);
	process = shared->process[first] ? shared->process[first] : shared->process[second];
	SpinLockRelease(&shared->mutex);
	if (process)
		SetLatch(&process->procLatch);
}

static void
retract(int code, Datum process)
{
	SharedProcess self = (SharedProcess) DatumGetInt32(process);

	(void) code;
	SpinLockAcquire(&shared->mutex);
	if (shared->process[self] == MyProc)
		shared->process[self] = NULL;
	SpinLockRelease(&shared->mutex);

	if (self == SHARED_WORKER)
		set_latch_of(SHARED_LAUNCHER, SHARED_LAUNCHER);
}

void
shared_publish(SharedProcess process)
{
	SpinLockAcquire(&shared->mutex);
	shared->process[process] = MyProc;
	SpinLockRelease(&shared->mutex);
	on_shmem_exit(retract, Int32GetDatum((int32) process));
}

int
shared_pid(SharedProcess process)
{
	int pid = 0;

	SpinLockAcquire(&shared->mutex);
	if (shared->process[process])
		pid = shared->process[process]->pid;
	SpinLockRelease(&shared->mutex);
	return pid;
}

void
shared_wake(void)
{
	pg_atomic_fetch_add_u32(&shared->requests, 1);
	set_latch_of(SHARED_WORKER, SHARED_LAUNCHER);
}

uint32
shared_requests(void)
{
	return pg_atomic_read_u32(&shared->requests);
}

void
shared_set_finding(ProbeFinding finding, Oid role)
{
	SpinLockAcquire(&shared->mutex);
	shared->finding = finding;
	shared->role = role;
	SpinLockRelease(&shared->mutex);
}

ProbeFinding
shared_finding(Oid *role)
{
	ProbeFinding finding;

	SpinLockAcquire(&shared->mutex);
	finding = shared->finding;
	*role = shared->role;
	SpinLockRelease(&shared->mutex);
	return finding;
}
