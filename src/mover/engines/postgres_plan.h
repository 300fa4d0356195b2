/*
 * postgres_plan.h
 *	  What a restore drops from its target, what stays, and what it puts back.
 *
 * Two archives are compared: the target's schema as pg_dump sees it now, and the
 * backup.  An object of the target is dropped when it is ours: its owner is a role
 * whose rights we have.  What stays is what another role owns, extensions that
 * others installed, schema public, event triggers (unless we are a superuser), and
 * a schema that something that stays lives in: of that, if it is ours, owner, grants
 * and comment are set as the backup has them.  An entry of the backup is left out when what it stands
 * for stays.  Everything left alone or left out is told in left_alone.
 *
 * Refused here, before anything is touched (REASON_NOT_RESTORABLE): something that
 * stays depends on something to be dropped; an extension lacks and cannot be
 * created by us; the transaction would need more locks than the server has.
 * A clone's target must hold nothing of anybody's: REASON_TARGET_NOT_EMPTY.
 */
#ifndef POSTGRES_PLAN_H
#define POSTGRES_PLAN_H

#include <stdbool.h>

#include <jansson.h>

#include "failure.h"
#include "job.h"
#include "postgres_archive.h"
#include "postgres_target.h"

typedef struct PostgresPlan
{
	const PostgresArchive *present; /* the target's schema */
	const PostgresArchive *backup;
	const PostgresTarget  *target;
	RestoreMode			   mode;
	bool				  *drops;	/* [i]: the target's entry i is dropped */
	size_t				  *staying; /* the target's entries that stay because they are not ours */
	size_t				   staying_count;
	bool				  *chosen;		   /* [i]: pg_restore puts the backup's entry i back */
	bool				  *reset;		   /* [i]: the backup's entry i is a schema of ours that stays */
	bool				   creates_public; /* schema public is gone, and the backup has objects in it */
	bool				   public_differs; /* owner, grants or comment of schema public are to be set anew */
	bool				   ignores_tablespaces;
	json_t				  *left_alone;	   /* array of sentences; the plan's */
	size_t				   notes_left_out; /* for which it had no room */
} PostgresPlan;

/* Borrows both archives and the target. */
extern bool postgres_plan_make(PostgresPlan *plan, PostgresSession *session, Failure *failure);
extern void postgres_plan_free(PostgresPlan *plan);

/* One sentence for left_alone; made valid UTF-8 and one line. */
extern bool postgres_plan_note(PostgresPlan *plan, Failure *failure, const char *format, ...)
	__attribute__((format(printf, 3, 4)));

/* Whose schema public is in this archive; as initdb made it, it is no entry. */
extern const char *postgres_plan_public_owner(const PostgresArchive *archive);

/* A schema that is there and goes with all that is in it. */
extern bool postgres_plan_drops_schema(const PostgresPlan *plan, const char *name);

#endif
