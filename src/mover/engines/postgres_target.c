/*
 * postgres_target.c
 *	  Questions to the target's catalogues.
 *
 * search_path is empty in our sessions, and every name is qualified besides: the
 * database is a customer's and may hold functions of any name.
 */
#include "postgres_target.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char *const facts_sql =
	"SELECT current_user, pg_catalog.pg_is_in_recovery(),"
	" (SELECT rolsuper FROM pg_catalog.pg_roles WHERE rolname = current_user),"
	" pg_catalog.has_database_privilege(pg_catalog.current_database(), 'CREATE'),"
	" COALESCE((SELECT pg_catalog.pg_has_role(nspowner, 'USAGE') FROM pg_catalog.pg_namespace"
	"  WHERE nspname = 'public'), false),"
	" EXISTS (SELECT FROM pg_catalog.pg_namespace WHERE nspname = 'public'),"
	" (SELECT pg_catalog.count(*) FROM pg_catalog.pg_largeobject_metadata"
	"  WHERE pg_catalog.pg_has_role(lomowner, 'USAGE')),"
	" pg_catalog.current_setting('max_locks_per_transaction')::pg_catalog.int8"
	"  * (pg_catalog.current_setting('max_connections')::pg_catalog.int8"
	"  + pg_catalog.current_setting('max_prepared_transactions')::pg_catalog.int8),"
	" pg_catalog.format('max_locks_per_transaction = %s, max_connections = %s, max_prepared_transactions = "
	"%s',"
	"  pg_catalog.current_setting('max_locks_per_transaction'), "
	"pg_catalog.current_setting('max_connections'),"
	"  pg_catalog.current_setting('max_prepared_transactions')),"
	" (SELECT pg_catalog.string_agg(pg_catalog.quote_ident(subname), ', ') FROM pg_catalog.pg_subscription s"
	"  JOIN pg_catalog.pg_database d ON d.oid = s.subdbid WHERE d.datname = pg_catalog.current_database())";

static const char *const roles_sql =
	"SELECT rolname, pg_catalog.pg_has_role(oid, 'USAGE') FROM pg_catalog.pg_roles ORDER BY rolname";

static const char *const extensions_sql =
	"SELECT e.extname, n.nspname, pg_catalog.pg_has_role(e.extowner, 'USAGE'), e.extconfig IS NOT NULL"
	" FROM pg_catalog.pg_extension e JOIN pg_catalog.pg_namespace n ON n.oid = e.extnamespace"
	" ORDER BY e.extname";

static const char *const configuration_sql =
	"SELECT n.nspname, c.relname, e.extname FROM pg_catalog.pg_extension e"
	" CROSS JOIN LATERAL pg_catalog.unnest(e.extconfig) AS t(oid)"
	" JOIN pg_catalog.pg_class c ON c.oid = t.oid JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace";

static const char *const closed_schemas_sql =
	"SELECT nspname FROM pg_catalog.pg_namespace WHERE NOT pg_catalog.has_schema_privilege(oid, 'CREATE')"
	" ORDER BY nspname";

static const char *const tablespaces_sql =
	"SELECT spcname FROM pg_catalog.pg_tablespace WHERE pg_catalog.has_tablespace_privilege(oid, 'CREATE')"
	" OR oid = (SELECT dattablespace FROM pg_catalog.pg_database WHERE datname = "
	"pg_catalog.current_database())"
	" ORDER BY spcname";

static const char *const unowned_sql =
	"SELECT 'pg_catalog.pg_cast'::pg_catalog.regclass::pg_catalog.oid, c.oid FROM pg_catalog.pg_cast c"
	" JOIN pg_catalog.pg_type s ON s.oid = c.castsource JOIN pg_catalog.pg_type t ON t.oid = c.casttarget"
	" WHERE pg_catalog.pg_has_role(s.typowner, 'USAGE') OR pg_catalog.pg_has_role(t.typowner, 'USAGE')"
	" UNION ALL"
	" SELECT 'pg_catalog.pg_transform'::pg_catalog.regclass::pg_catalog.oid, x.oid FROM "
	"pg_catalog.pg_transform x"
	" JOIN pg_catalog.pg_type t ON t.oid = x.trftype WHERE pg_catalog.pg_has_role(t.typowner, 'USAGE')";

static const char *const inherited_sql =
	"SELECT oid FROM pg_catalog.pg_constraint WHERE coninhcount > 0 ORDER BY oid";

static const char *const large_objects_sql =
	"SELECT oid FROM pg_catalog.pg_largeobject_metadata WHERE NOT pg_catalog.pg_has_role(lomowner, 'USAGE')";

/* First everything from everybody, then what a role has without any: that makes the entry vanish. */
static const char *const default_resets_sql =
	"WITH d AS (SELECT d.*, pg_catalog.quote_ident(r.rolname) AS role,"
	"  CASE WHEN n.oid IS NULL THEN '' ELSE ' IN SCHEMA ' || pg_catalog.quote_ident(n.nspname) END AS scope,"
	"  CASE d.defaclobjtype WHEN 'r' THEN 'TABLES' WHEN 'S' THEN 'SEQUENCES' WHEN 'f' THEN 'FUNCTIONS'"
	"   WHEN 'T' THEN 'TYPES' WHEN 'n' THEN 'SCHEMAS' ELSE 'LARGE OBJECTS' END AS kind"
	"  FROM pg_catalog.pg_default_acl d JOIN pg_catalog.pg_roles r ON r.oid = d.defaclrole"
	"  LEFT JOIN pg_catalog.pg_namespace n ON n.oid = d.defaclnamespace"
	"  WHERE pg_catalog.pg_has_role(d.defaclrole, 'USAGE'))"
	" SELECT DISTINCT 1, 'ALTER DEFAULT PRIVILEGES FOR ROLE ' || role || scope || ' REVOKE ALL ON ' || kind "
	"|| ' FROM '"
	"  || CASE a.grantee WHEN 0 THEN 'PUBLIC' ELSE pg_catalog.quote_ident(g.rolname) END"
	"  FROM d CROSS JOIN LATERAL pg_catalog.aclexplode(d.defaclacl) a"
	"  LEFT JOIN pg_catalog.pg_roles g ON g.oid = a.grantee WHERE a.grantee = 0 OR g.oid IS NOT NULL"
	" UNION ALL SELECT 2, 'ALTER DEFAULT PRIVILEGES FOR ROLE ' || role || ' GRANT ALL ON ' || kind || ' TO ' "
	"|| role"
	"  FROM d WHERE defaclnamespace = 0"
	" UNION ALL SELECT 2, 'ALTER DEFAULT PRIVILEGES FOR ROLE ' || role || ' GRANT ALL ON ' || kind || ' TO "
	"PUBLIC'"
	"  FROM d WHERE defaclnamespace = 0 AND defaclobjtype IN ('f', 'T')"
	" ORDER BY 1";

/* Our schemas' first grants.  On public initdb grants more: CREATE for everybody until 14. */
static const char *const schema_resets_sql =
	"WITH n AS (SELECT *, pg_catalog.quote_ident(nspname) AS name,"
	"  pg_catalog.quote_ident(pg_catalog.pg_get_userbyid(nspowner)) AS owner FROM pg_catalog.pg_namespace"
	"  WHERE nspname !~ '^pg_' AND nspname <> 'information_schema' AND pg_catalog.pg_has_role(nspowner, "
	"'USAGE'))"
	" SELECT DISTINCT 1, nspname, 'REVOKE ALL ON SCHEMA ' || name || ' FROM '"
	"  || CASE a.grantee WHEN 0 THEN 'PUBLIC' ELSE pg_catalog.quote_ident(g.rolname) END"
	"  FROM n"
	"  CROSS JOIN LATERAL pg_catalog.aclexplode(COALESCE(n.nspacl, pg_catalog.acldefault('n', n.nspowner))) a"
	"  LEFT JOIN pg_catalog.pg_roles g ON g.oid = a.grantee WHERE a.grantee = 0 OR g.oid IS NOT NULL"
	" UNION ALL SELECT 2, nspname, 'GRANT ALL ON SCHEMA ' || name || ' TO ' || owner FROM n"
	" UNION ALL SELECT 2, nspname, CASE WHEN pg_catalog.current_setting('server_version_num')"
	"::pg_catalog.int4 >= 150000"
	"  THEN 'GRANT USAGE ON SCHEMA public TO PUBLIC' ELSE 'GRANT ALL ON SCHEMA public TO PUBLIC' END"
	"  FROM n WHERE nspname = 'public'"
	" ORDER BY 1";

static bool
ask_facts(PostgresTarget *target, PostgresSession *session, Failure *failure)
{
	PGresult *result = postgres_ask(session, facts_sql, NULL, 0, REASON_RESTORE, failure);

	if (result == NULL)
		return false;
	snprintf(target->role, sizeof(target->role), "%s", postgres_value(result, 0, 0));
	target->superuser = postgres_value(result, 0, 2)[0] == 't';
	target->may_create = postgres_value(result, 0, 3)[0] == 't';
	target->owns_public = postgres_value(result, 0, 4)[0] == 't';
	target->has_public = postgres_value(result, 0, 5)[0] == 't';
	target->large_objects = strtoll(postgres_value(result, 0, 6), NULL, 10);
	target->lock_capacity = strtoll(postgres_value(result, 0, 7), NULL, 10);
	if (target->lock_capacity < 1)
		target->lock_capacity = 1; /* no server of PostgreSQL's own says so */
	snprintf(target->lock_settings, sizeof(target->lock_settings), "%s", postgres_value(result, 0, 8));
	if (postgres_value(result, 0, 1)[0] == 't')
		failure_set(failure, REASON_NOT_RESTORABLE, "%s is a standby: name its primary in the URL",
					session->host);
	else if (!PQgetisnull(result, 0, 9))
		failure_set(
			failure, REASON_NOT_RESTORABLE,
			"the target has the subscription %s, which no transaction can drop: DROP SUBSCRIPTION first, "
			"create it anew afterwards",
			postgres_value(result, 0, 9));
	PQclear(result);
	return failure->reason == REASON_NONE;
}

bool
postgres_target_ask(PostgresTarget *target, PostgresSession *session, Failure *failure)
{
	const struct
	{
		const char *sql;
		PGresult  **result;
	} questions[] = {
		{roles_sql, &target->roles},
		{extensions_sql, &target->extensions},
		{configuration_sql, &target->configuration},
		{closed_schemas_sql, &target->closed_schemas},
		{tablespaces_sql, &target->tablespaces},
		{unowned_sql, &target->unowned},
		{inherited_sql, &target->inherited},
		{large_objects_sql, &target->kept_large_objects},
		{default_resets_sql, &target->default_resets},
		{schema_resets_sql, &target->schema_resets},
	};

	memset(target, 0, sizeof(*target));
	if (!ask_facts(target, session, failure))
		return false;
	for (size_t i = 0; i < sizeof(questions) / sizeof(questions[0]); i++)
	{
		*questions[i].result = postgres_ask(session, questions[i].sql, NULL, 0, REASON_RESTORE, failure);
		if (*questions[i].result == NULL)
		{
			postgres_target_free(target);
			return false;
		}
	}
	return true;
}

void
postgres_target_free(PostgresTarget *target)
{
	PQclear(target->roles);
	PQclear(target->extensions);
	PQclear(target->configuration);
	PQclear(target->closed_schemas);
	PQclear(target->tablespaces);
	PQclear(target->unowned);
	PQclear(target->inherited);
	PQclear(target->kept_large_objects);
	PQclear(target->default_resets);
	PQclear(target->schema_resets);
	memset(target, 0, sizeof(*target));
}

/* Type name sorts by bytes, whatever the database's collation. */
static int
find_sorted(const PGresult *result, const char *name)
{
	int low = 0;
	int high = PQntuples(result);

	while (name != NULL && low < high)
	{
		int middle = low + (high - low) / 2;
		int order = strcmp(postgres_value(result, middle, 0), name);

		if (order == 0)
			return middle;
		if (order < 0)
			low = middle + 1;
		else
			high = middle;
	}
	return -1;
}

bool
postgres_target_is_ours(const PostgresTarget *target, const char *role)
{
	int row = find_sorted(target->roles, role);

	return row >= 0 && postgres_value(target->roles, row, 1)[0] == 't';
}

int
postgres_target_extension(const PostgresTarget *target, const char *name)
{
	return find_sorted(target->extensions, name);
}

bool
postgres_target_is_closed(const PostgresTarget *target, const char *schema)
{
	return find_sorted(target->closed_schemas, schema) >= 0;
}

bool
postgres_target_may_fill(const PostgresTarget *target, const char *tablespace)
{
	return find_sorted(target->tablespaces, tablespace) >= 0;
}

bool
postgres_target_owns_object(const PostgresTarget *target, uint32_t catalog, uint32_t oid)
{
	for (int row = 0; row < PQntuples(target->unowned); row++)
	{
		if (strtoul(postgres_value(target->unowned, row, 0), NULL, 10) == catalog &&
			strtoul(postgres_value(target->unowned, row, 1), NULL, 10) == oid)
			return true;
	}
	return false;
}

bool
postgres_target_inherits_constraint(const PostgresTarget *target, uint32_t oid)
{
	int low = 0;
	int high = PQntuples(target->inherited);

	while (low < high)
	{
		int			  middle = low + (high - low) / 2;
		unsigned long found = strtoul(postgres_value(target->inherited, middle, 0), NULL, 10);

		if (found == oid)
			return true;
		if (found < oid)
			low = middle + 1;
		else
			high = middle;
	}
	return false;
}

const char *
postgres_target_configuration_of(const PostgresTarget *target, const char *schema, const char *table)
{
	for (int row = 0; row < PQntuples(target->configuration); row++)
	{
		if (strcmp(postgres_value(target->configuration, row, 0), schema) == 0 &&
			strcmp(postgres_value(target->configuration, row, 1), table) == 0)
			return postgres_value(target->configuration, row, 2);
	}
	return NULL;
}

/* Column `trusted` is of 13; asking through jsonb lets an older server answer too. */
bool
postgres_target_can_create_extension(PostgresSession *session, const PostgresTarget *target, const char *name,
									 bool *can, Failure *failure)
{
	const char *values[] = {name};
	PGresult   *result;
	bool		trusted;

	result = postgres_ask(
		session,
		"SELECT COALESCE(pg_catalog.bool_or((pg_catalog.to_jsonb(v) OPERATOR(pg_catalog.->>) 'trusted')"
		"::pg_catalog.bool), false), pg_catalog.count(*)"
		" FROM pg_catalog.pg_available_extension_versions v WHERE v.name = $1::pg_catalog.name",
		values, 1, REASON_RESTORE, failure);
	if (result == NULL)
		return false;
	trusted = postgres_value(result, 0, 0)[0] == 't';
	*can = postgres_value(result, 0, 1)[0] != '0' && (target->superuser || (trusted && target->may_create));
	PQclear(result);
	return true;
}
