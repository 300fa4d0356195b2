/*
 * shared.h
 *	  What backends, launcher and worker share: whom to wake, and what the
 *	  launcher's probe has found.
 *
 * There is shared memory only where the library is in shared_preload_libraries;
 * elsewhere shared_is_there() is false and nothing else here may be called.
 */
#ifndef SHARED_H
#define SHARED_H

#include "postgres.h"

/* Which of our two long-lived processes. */
typedef enum SharedProcess
{
	SHARED_LAUNCHER,
	SHARED_WORKER
} SharedProcess;

#define SHARED_PROCESSES 2

/* What stands in the way of a worker, as the probe saw it from inside the database. */
typedef enum ProbeFinding
{
	PROBE_UNKNOWN,			  /* it has not spoken */
	PROBE_READY,			  /* database, extension and role are there */
	PROBE_NO_EXTENSION,		  /* CREATE EXTENSION has not been run, or DROP has */
	PROBE_NO_ROLE,			  /* custbackup.role names nobody */
	PROBE_ROLE_CANNOT_LOGIN,  /* NOLOGIN, before Postgres 17 */
	PROBE_ROLE_CANNOT_CONNECT /* no CONNECT on the database */
} ProbeFinding;

extern void shared_request(void);
extern bool shared_is_there(void);

/* This process is the one to wake, until it exits. */
extern void shared_publish(SharedProcess process);

/* The pid of a published process, 0 when there is none. */
extern int shared_pid(SharedProcess process);

/* Sets the worker's latch, or the launcher's while there is no worker.  Raises no error: called at commit. */
extern void shared_wake(void);

/* How many times shared_wake() was called: tells a request from any other reason to wake. */
extern uint32 shared_requests(void);

extern void			shared_set_finding(ProbeFinding finding, Oid role);
extern ProbeFinding shared_finding(Oid *role);

#endif
