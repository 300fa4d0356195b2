/*
 * postgres_target.h
 *	  What a restore must know about its target that no archive tells: who we are
 *	  there, whose the extensions are, what would be in the way.
 *
 * Asked once, before anything is touched.  Names come in the database's own
 * encoding, as they stand in an archive of it.
 */
#ifndef POSTGRES_TARGET_H
#define POSTGRES_TARGET_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <libpq-fe.h>

#include "failure.h"
#include "postgres_connect.h"

typedef struct PostgresTarget
{
	char	  role[256]; /* as whom the restore works */
	bool	  superuser;
	bool	  may_create;  /* CREATE on the database */
	bool	  owns_public; /* schema public is there, and ours to comment and grant */
	bool	  has_public;
	int64_t	  large_objects;	  /* that are ours */
	int64_t	  lock_capacity;	  /* entries of the server's shared lock table */
	char	  lock_settings[128]; /* "max_locks_per_transaction = 64, ..." */
	PGresult *roles;			  /* name (sorted), ours */
	PGresult *extensions;		  /* name (sorted), schema, ours, has configuration tables */
	PGresult *configuration;	  /* schema, table, extension */
	PGresult *closed_schemas;	  /* names (sorted) of schemas in which we may not create */
	PGresult *tablespaces;		  /* names (sorted) of those in which we may create */
	PGresult *unowned;			  /* catalogue, oid of casts and transforms that are ours */
	PGresult *inherited;		  /* oids of constraints that only their parent's drop can drop, ascending */
	PGresult *kept_large_objects; /* oids of other owners' */
	PGresult *default_resets;	  /* statements that take our default privileges away */
	PGresult *schema_resets; /* ?, schema, statements that give it, if it is ours, its first grants back */
} PostgresTarget;

/* REASON_NOT_RESTORABLE for what no restore could work with (a standby, a subscription). */
extern bool postgres_target_ask(PostgresTarget *target, PostgresSession *session, Failure *failure);
extern void postgres_target_free(PostgresTarget *target);

/* Are a role's objects ours to drop? ("" and NULL: no) */
extern bool postgres_target_is_ours(const PostgresTarget *target, const char *role);

/* A row of target->extensions; -1: not installed. */
extern int postgres_target_extension(const PostgresTarget *target, const char *name);

/* A cast or transform, which has no owner: do its types (or is its function) belong to us? */
extern bool postgres_target_owns_object(const PostgresTarget *target, uint32_t catalog, uint32_t oid);

/* A schema that is there, and in which we may not create. */
extern bool postgres_target_is_closed(const PostgresTarget *target, const char *schema);

/* A tablespace that is there, and in which we may create. */
extern bool postgres_target_may_fill(const PostgresTarget *target, const char *tablespace);

/* A partition's part of a constraint: the server refuses to drop it for itself. */
extern bool postgres_target_inherits_constraint(const PostgresTarget *target, uint32_t oid);

/* The extension whose configuration table this is; NULL: none's. */
extern const char *postgres_target_configuration_of(const PostgresTarget *target, const char *schema,
													const char *table);

/* Could we create it: available, and trusted (or we are a superuser)? */
extern bool postgres_target_can_create_extension(PostgresSession *session, const PostgresTarget *target,
												 const char *name, bool *can, Failure *failure);

#endif
