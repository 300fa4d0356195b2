/*
 * postgres_rights.c
 *	  Tables, sequences, large objects and row level security, as pg_dump meets them.
 */
#include "postgres_rights.h"

#include <stdlib.h>
#include <string.h>

/*
 * What pg_dump locks and reads: tables and partitioned tables (SELECT, or it may
 * not even lock them), sequences, large objects.  It dumps no members of
 * extensions.  It sets row_security = off, so a policy that applies to us is an error.
 */
static const char *const unreadable_sql =
	"WITH dumped AS ("
	" SELECT c.oid, c.relkind, c.relnamespace, pg_catalog.format('%I.%I', n.nspname, c.relname) AS name"
	" FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace"
	" WHERE c.relkind IN ('r', 'p', 'S') AND c.relpersistence <> 't'"
	" AND n.nspname <> 'information_schema' AND n.nspname !~ '^pg_'"
	" AND NOT EXISTS (SELECT FROM pg_catalog.pg_depend d WHERE d.classid = "
	"'pg_catalog.pg_class'::pg_catalog.regclass"
	"  AND d.objid = c.oid AND d.deptype = 'e'))"
	" SELECT problem, name, pg_catalog.count(*) OVER (PARTITION BY problem) FROM ("
	" SELECT 1 AS rank, 'schema' AS problem, pg_catalog.quote_ident(n.nspname) AS name FROM "
	"pg_catalog.pg_namespace n"
	"  WHERE EXISTS (SELECT FROM dumped d WHERE d.relnamespace = n.oid)"
	"  AND NOT pg_catalog.has_schema_privilege(n.oid, 'USAGE')"
	" UNION ALL"
	" SELECT 2, CASE relkind WHEN 'S' THEN 'sequence' ELSE 'table' END, name FROM dumped"
	"  WHERE CASE relkind WHEN 'S' THEN NOT pg_catalog.has_sequence_privilege(oid, 'SELECT')"
	"  ELSE NOT pg_catalog.has_table_privilege(oid, 'SELECT') END"
	" UNION ALL"
	" SELECT 3, 'row security', name FROM dumped WHERE relkind <> 'S' AND pg_catalog.row_security_active(oid)"
	" UNION ALL"
	" SELECT 4, 'large object', oid::pg_catalog.text FROM pg_catalog.pg_largeobject_metadata"
	"  WHERE pg_catalog.current_setting('lo_compat_privileges') <> 'on'"
	"  AND NOT pg_catalog.pg_has_role(lomowner, 'USAGE')"
	"  AND NOT EXISTS (SELECT FROM pg_catalog.aclexplode(lomacl) a WHERE a.privilege_type = 'SELECT'"
	"   AND (a.grantee = 0 OR pg_catalog.pg_has_role(a.grantee, 'USAGE')))"
	" ) found WHERE $1::pg_catalog.bool OR problem IN ('schema', 'table') ORDER BY rank, name LIMIT 1";

static bool
ask_rights(PostgresSession *session, const PostgresUrl *url, const char *with_data, Failure *failure)
{
	PGresult   *result = postgres_ask(session, unreadable_sql, &with_data, 1, REASON_DUMP, failure);
	const char *problem;
	const char *name;
	char		more[64] = "";

	if (result == NULL)
		return false;
	if (PQntuples(result) > 0)
	{
		problem = postgres_value(result, 0, 0);
		name = postgres_value(result, 0, 1);
		if (strcmp(postgres_value(result, 0, 2), "1") != 0)
			snprintf(more, sizeof(more), " (and %ld more)", atol(postgres_value(result, 0, 2)) - 1);
		if (strcmp(problem, "row security") == 0)
			failure_set(failure, REASON_AUTH,
						"row level security hides rows of %s%s from role \"%s\": ALTER TABLE %s NO FORCE ROW "
						"LEVEL SECURITY, "
						"or give the role BYPASSRLS",
						name, more, url->user, name);
		else if (strcmp(problem, "schema") == 0)
			failure_set(failure, REASON_AUTH, "role \"%s\" may not use schema %s%s: GRANT USAGE ON SCHEMA %s",
						url->user, name, more, name);
		else
			failure_set(failure, REASON_AUTH, "role \"%s\" may not read %s %s%s: GRANT SELECT ON %s %s",
						url->user, problem, name, more, problem, name);
	}
	PQclear(result);
	return failure->reason == REASON_NONE;
}

bool
postgres_may_dump(PostgresSession *session, const PostgresUrl *url, Failure *failure)
{
	return ask_rights(session, url, "true", failure);
}

bool
postgres_may_dump_schema(PostgresSession *session, const PostgresUrl *url, Failure *failure)
{
	return ask_rights(session, url, "false", failure);
}
