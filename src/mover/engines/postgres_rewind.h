/*
 * postgres_rewind.h
 *	  One restore under way: shared by postgres_look.c, which changes nothing, and
 *	  postgres_rewind.c, which does.
 */
#ifndef POSTGRES_REWIND_H
#define POSTGRES_REWIND_H

#include "engine.h"
#include "postgres_archive.h"
#include "postgres_backend.h"
#include "postgres_connect.h"
#include "postgres_plan.h"
#include "postgres_pump.h"
#include "postgres_script.h"
#include "postgres_target.h"
#include "postgres_tools.h"

typedef struct PostgresRewind
{
	Sink				sink;
	EngineContext		context; /* a copy: what it points to is ours for the job's length */
	const Dump		   *dump;	 /* ours for the job's length, too */
	RestoreOutcome	   *outcome;
	PostgresUrl			url;
	PostgresSession		session;
	PostgresTools		tools;
	PostgresEnvironment environment;
	PostgresArchive	   *backup;
	PostgresArchive	   *present;
	PostgresTarget		target;
	PostgresPlan		plan;
	PostgresGrants		grants;
	PostgresPump		pump;
	PostgresBlockers	blockers;
	int					list_fd; /* pg_restore's LIST */

	/* what psql has answered */
	char key[POSTGRES_KEY_SIZE];
	char backend[16];		   /* process id of its backend; "": none yet */
	char transaction[24];	   /* its id */
	char last_transaction[24]; /* its id at the end: the same, or the dump ended it */
	long remaining;			   /* objects of ours that were left after the drops */
	bool dropped;
	bool ready;
	bool said_committed;

	bool	applying;  /* the drops are done, the stream flows */
	int64_t given;	   /* bytes of the archive that we have got */
	bool	uses_path; /* the second try is under way, with the role's own search_path */
	bool	committed;
} PostgresRewind;

/* Connects, locks, and looks for the first time: everything that can be known before anything is touched. */
extern bool postgres_look_first(PostgresRewind *rewind, const Dump *dump, Failure *failure);

/* Again, before another try: the target may have changed. */
extern bool postgres_look(PostgresRewind *rewind, Failure *failure);

/* How the tools are started; argv[0] chooses the tool. */
extern void postgres_fill_spec(const PostgresRewind *rewind, ChildSpec *spec, char **argv, char *path,
							   size_t path_size);

#endif
