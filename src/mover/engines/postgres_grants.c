/*
 * postgres_grants.c
 *	  Owners, grants, default privileges: each for itself, after everything else.
 *
 * A role that the target does not have must not fail the restore of all the rest.
 * Each statement goes to the server in one message with a SELECT of its number
 * (psql's "\;"), under psql's own savepoint: the number comes back only when the
 * statement before it was applied.
 */
#include "postgres_entry.h"
#include "postgres_script.h"

#include <stdlib.h>
#include <string.h>

static bool
add_statement(PostgresGrants *grants, char *statement, Failure *failure)
{
	if (statement == NULL)
		return failure_no_memory(failure);
	if (grants->count == grants->capacity)
	{
		size_t capacity = grants->capacity * 2 + 64;
		char **grown = realloc(grants->statements, capacity * sizeof(char *));

		if (grown == NULL)
		{
			free(statement);
			return failure_no_memory(failure);
		}
		grants->statements = grown;
		grants->capacity = capacity;
	}
	grants->statements[grants->count++] = statement;
	return true;
}

/* Length of the statement at `text`, to its ';' outside of quotes. */
static size_t
statement_length(const char *text)
{
	char   quote = '\0';
	size_t i;

	for (i = 0; text[i] != '\0'; i++)
	{
		if (quote != '\0')
			quote = text[i] == quote ? '\0' : quote;
		else if (text[i] == '"' || text[i] == '\'')
			quote = text[i];
		else if (text[i] == ';')
			break;
	}
	return i;
}

/* GRANT, REVOKE, ALTER DEFAULT PRIVILEGES, COMMENT: what pg_dump writes has no other quoting. */
static bool
add_definition(PostgresGrants *grants, const char *definition, Failure *failure)
{
	while (definition != NULL && *definition != '\0')
	{
		size_t length;

		definition += strspn(definition, " \t\r\n;");
		length = statement_length(definition);
		if (length > 0 && !add_statement(grants, strndup(definition, length), failure))
			return false;
		definition += length;
	}
	return true;
}

/* Calls for each number of a group of large objects (pg_dump 17): one a line of its definition. */
static bool
add_for_each_large_object(PostgresGrants *grants, const TocEntry *group, const char *before,
						  const char *after, Failure *failure)
{
	for (const char *line = group->definition; line != NULL && *line != '\0';)
	{
		int	  length = (int) strspn(line, "0123456789");
		char *statement;

		if (length > 0)
		{
			if (asprintf(&statement, "%s%.*s%s", before, length, line, after) < 0)
				statement = NULL;
			if (!add_statement(grants, statement, failure))
				return false;
		}
		line = strchr(line, '\n');
		line = line != NULL ? line + 1 : NULL;
	}
	return true;
}

/* The archive has the statements for the first of the group alone. */
static bool
add_group_acl(PostgresGrants *grants, const TocEntry *group, const char *definition, Failure *failure)
{
	static const char object[] = " ON LARGE OBJECT ";
	PostgresGrants	  first = {0};
	bool			  good = add_definition(&first, definition, failure);

	for (size_t i = 0; good && i < first.count; i++)
	{
		char *number = strstr(first.statements[i], object);
		char *before;

		if (number == NULL)
			continue;
		number += strlen(object);
		before = strndup(first.statements[i], (size_t) (number - first.statements[i]));
		good = before != NULL ? add_for_each_large_object(grants, group, before,
														  number + strspn(number, "0123456789"), failure)
							  : failure_no_memory(failure);
		free(before);
	}
	postgres_grants_free(&first);
	return good;
}

/* Returns malloc'ed '"role"'; NULL: no memory. */
static char *
quote_role(const char *name)
{
	char *quoted = malloc(2 * strlen(name) + 3);
	char *to = quoted;

	if (quoted == NULL)
		return NULL;
	*to++ = '"';
	for (const char *from = name; *from != '\0'; from++)
	{
		if (*from == '"')
			*to++ = '"';
		*to++ = *from;
	}
	strcpy(to, "\"");
	return quoted;
}

/* "DROP TABLE public.t;\n" names the object as other commands want it.  Returns malloc'ed; NULL: no memory. */
static char *
object_statement(const TocEntry *entry, const char *before, const char *after)
{
	const char *drop = entry->drop_statement + strlen("DROP ");
	size_t		length = strlen(drop);
	char	   *statement;

	while (length > 0 && strchr(";\n ", drop[length - 1]) != NULL)
		length--;
	return asprintf(&statement, "%s%.*s%s", before, (int) length, drop, after) < 0 ? NULL : statement;
}

/* Returns malloc'ed ' OWNER TO "role"'; NULL: no memory. */
static char *
owner_clause(const char *name)
{
	char *role = quote_role(name);
	char *clause = NULL;

	if (role != NULL && asprintf(&clause, " OWNER TO %s", role) < 0)
		clause = NULL;
	free(role);
	return clause;
}

static bool
add_owner(PostgresGrants *grants, const TocEntry *entry, Failure *failure)
{
	char *to_role = owner_clause(entry->owner);
	char *statement = NULL;
	bool  good;

	if (to_role == NULL)
		return failure_no_memory(failure);
	if (entry->class == TOC_BLOB_METADATA)
		good = add_for_each_large_object(grants, entry, "ALTER LARGE OBJECT ", to_role, failure);
	else if (entry->class == TOC_BLOB)
		good = add_statement(
			grants,
			asprintf(&statement, "ALTER LARGE OBJECT %s%s", entry->tag, to_role) < 0 ? NULL : statement,
			failure);
	else
		good = add_statement(grants, object_statement(entry, "ALTER ", to_role), failure);
	free(to_role);
	return good;
}

static bool
has_owner(const TocEntry *entry)
{
	switch (entry->class)
	{
		case TOC_AGGREGATE:
		case TOC_BLOB:
		case TOC_BLOB_METADATA:
		case TOC_COLLATION:
		case TOC_CONVERSION:
		case TOC_DOMAIN:
		case TOC_FOREIGN_TABLE:
		case TOC_FUNCTION:
		case TOC_MATERIALIZED_VIEW:
		case TOC_OPERATOR:
		case TOC_OPERATOR_CLASS:
		case TOC_OPERATOR_FAMILY:
		case TOC_PROCEDURE:
		case TOC_PUBLICATION:
		case TOC_SCHEMA:
		case TOC_SEQUENCE:
		case TOC_SERVER:
		case TOC_STATISTICS:
		case TOC_TABLE:
		case TOC_TEXT_SEARCH_CONFIGURATION:
		case TOC_TEXT_SEARCH_DICTIONARY:
		case TOC_TYPE:
		case TOC_VIEW:
			break;
		default:
			return false;
	}
	return entry->owner != NULL && entry->owner[0] != '\0' &&
		   (entry->class == TOC_BLOB || entry->class == TOC_BLOB_METADATA ||
			(entry->drop_statement != NULL && strncmp(entry->drop_statement, "DROP ", 5) == 0));
}

static bool
collect_owners(PostgresGrants *grants, PostgresPlan *plan, bool schemas, Failure *failure)
{
	for (size_t i = 0; i < plan->backup->entry_count; i++)
	{
		const TocEntry *entry = &plan->backup->entries[i];

		if (!(plan->chosen[i] || plan->reset[i]) || !has_owner(entry) ||
			(entry->class == TOC_SCHEMA) != schemas || strcmp(entry->owner, plan->target->role) == 0)
			continue;
		if (!add_owner(grants, entry, failure))
			return false;
	}
	return true;
}

static bool
add_acl(PostgresGrants *grants, const PostgresPlan *plan, const TocEntry *acl, Failure *failure)
{
	const TocEntry *object =
		acl->dependency_count > 0 ? postgres_archive_find(plan->backup, acl->dependencies[0]) : NULL;

	if (strncmp(acl->tag, "LARGE OBJECTS ", 14) == 0 && object != NULL && object->class == TOC_BLOB_METADATA)
		return add_group_acl(grants, object, acl->definition, failure);
	return add_definition(grants, acl->definition, failure);
}

/* Grants on what was not restored are not ours to set. */
static bool
object_was_restored(const PostgresPlan *plan, const TocEntry *acl)
{
	if (strcmp(acl->tag, "SCHEMA public") == 0)
		return plan->public_differs;
	for (size_t k = 0; k < acl->dependency_count; k++)
	{
		const TocEntry *object = postgres_archive_find(plan->backup, acl->dependencies[k]);

		if (object != NULL)
			return plan->chosen[object - plan->backup->entries] ||
				   plan->reset[object - plan->backup->entries];
	}
	return postgres_target_is_ours(plan->target, acl->owner);
}

static bool
collect_acls(PostgresGrants *grants, PostgresPlan *plan, bool schemas, Failure *failure)
{
	for (size_t i = 0; i < plan->backup->entry_count; i++)
	{
		const TocEntry *entry = &plan->backup->entries[i];

		if (entry->class != TOC_ACL || (strncmp(entry->tag, "SCHEMA ", 7) == 0) != schemas ||
			strncmp(entry->tag, "DATABASE ", 9) == 0 || !object_was_restored(plan, entry))
			continue;
		if (!add_acl(grants, plan, entry, failure))
			return false;
	}
	return true;
}

/* Takes all grants on the schema away but its owner's own. */
static bool
add_resets(PostgresGrants *grants, const PostgresTarget *target, const char *schema, Failure *failure)
{
	for (int row = 0; row < PQntuples(target->schema_resets); row++)
	{
		if (same_text(postgres_value(target->schema_resets, row, 1), schema) &&
			!add_definition(grants, postgres_value(target->schema_resets, row, 2), failure))
			return false;
	}
	return true;
}

/* Of public, which as initdb made it is no entry of the archive, the name must do. */
static bool
comments_on(const TocEntry *entry, const TocEntry *schema)
{
	if (entry->class != TOC_COMMENT)
		return false;
	if (schema == NULL)
		return same_text(entry->tag, "SCHEMA public");
	return entry->dependency_count > 0 && entry->dependencies[0] == schema->dump_id;
}

/* The backup's comment on a schema (NULL: public); without one, what stands here instead. */
static bool
add_comment(PostgresGrants *grants, const PostgresPlan *plan, const TocEntry *schema, const char *instead,
			Failure *failure)
{
	for (size_t i = 0; i < plan->backup->entry_count; i++)
	{
		if (comments_on(&plan->backup->entries[i], schema))
			return add_definition(grants, plan->backup->entries[i].definition, failure);
	}
	return add_definition(grants, instead, failure);
}

/* public has no drop statement that would name it. */
static bool
add_public_owner(PostgresGrants *grants, const char *owner, Failure *failure)
{
	char *to_owner = owner_clause(owner);
	char *statement = NULL;

	if (to_owner != NULL && asprintf(&statement, "ALTER SCHEMA public%s", to_owner) < 0)
		statement = NULL;
	free(to_owner);
	return add_statement(grants, statement, failure);
}

static bool
collect_public(PostgresGrants *grants, PostgresPlan *plan, Failure *failure)
{
	const char *owner = postgres_plan_public_owner(plan->backup);
	const char *present =
		plan->creates_public ? plan->target->role : postgres_plan_public_owner(plan->present);

	/* As initdb leaves it since 15 */
	if (plan->creates_public && !add_definition(grants, "GRANT USAGE ON SCHEMA public TO PUBLIC", failure))
		return false;
	/* What was the old owner's becomes the new one's, grants included.  initdb's own comment pg_dump leaves out. */
	return add_resets(grants, plan->target, "public", failure) &&
		   (same_text(owner, present) || add_public_owner(grants, owner, failure)) &&
		   add_comment(grants, plan, NULL, "COMMENT ON SCHEMA public IS 'standard public schema'", failure);
}

/* Whatever it was called since, what stays has the backup's comment again, or none. */
static bool
reset_comment(PostgresGrants *grants, PostgresPlan *plan, const TocEntry *entry, Failure *failure)
{
	char *no_comment = object_statement(entry, "COMMENT ON ", " IS NULL");
	bool  good = no_comment != NULL ? add_comment(grants, plan, entry, no_comment, failure)
									: failure_no_memory(failure);

	free(no_comment);
	return good;
}

/* Schemas of ours that stay, because something of another role's is in them. */
static bool
collect_kept_schemas(PostgresGrants *grants, PostgresPlan *plan, Failure *failure)
{
	for (size_t i = 0; i < plan->backup->entry_count; i++)
	{
		const TocEntry *schema = &plan->backup->entries[i];

		if (plan->reset[i] && (!add_resets(grants, plan->target, schema->tag, failure) ||
							   !reset_comment(grants, plan, schema, failure)))
			return false;
	}
	return true;
}

/* Extensions of ours that stay. */
static bool
collect_kept_extensions(PostgresGrants *grants, PostgresPlan *plan, Failure *failure)
{
	for (size_t i = 0; i < plan->backup->entry_count; i++)
	{
		const TocEntry *entry = &plan->backup->entries[i];
		int				row = entry->class == TOC_EXTENSION && !plan->chosen[i]
								  ? postgres_target_extension(plan->target, entry->tag)
								  : -1;

		if (row >= 0 && postgres_value(plan->target->extensions, row, 2)[0] == 't' &&
			!reset_comment(grants, plan, entry, failure))
			return false;
	}
	return true;
}

/* Default privileges last: they must not touch what was created by the statements before. */
static bool
collect_defaults(PostgresGrants *grants, PostgresPlan *plan, Failure *failure)
{
	for (size_t i = 0; i < plan->backup->entry_count; i++)
	{
		const TocEntry *entry = &plan->backup->entries[i];

		if (entry->class == TOC_DEFAULT_ACL && postgres_target_is_ours(plan->target, entry->owner) &&
			!add_definition(grants, entry->definition, failure))
			return false;
	}
	return true;
}

bool
postgres_grants_collect(PostgresGrants *grants, PostgresPlan *plan, Failure *failure)
{
	memset(grants, 0, sizeof(*grants));
	/* A clone is somebody else's: it has neither the source's owners nor its grants. */
	if (plan->mode == RESTORE_REWIND)
	{
		if ((plan->public_differs && !collect_public(grants, plan, failure)) ||
			!collect_kept_schemas(grants, plan, failure) || !collect_kept_extensions(grants, plan, failure) ||
			!collect_owners(grants, plan, true, failure) || !collect_acls(grants, plan, true, failure) ||
			!collect_owners(grants, plan, false, failure) || !collect_acls(grants, plan, false, failure) ||
			!collect_defaults(grants, plan, failure))
			return false;
	}
	grants->applied = calloc(grants->count + 1, sizeof(bool));
	return grants->applied != NULL || failure_no_memory(failure);
}

void
postgres_grants_free(PostgresGrants *grants)
{
	for (size_t i = 0; i < grants->count; i++)
		free(grants->statements[i]);
	free(grants->statements);
	free(grants->applied);
	memset(grants, 0, sizeof(*grants));
}

void
postgres_script_grants(FILE *script, const PostgresPlan *plan, const PostgresGrants *grants, const char *key)
{
	fputs("\\o\n", script);
	if (grants->count > 0)
	{
		fprintf(script, "SET client_encoding = '%s';\nSET search_path = '';\n",
				postgres_script_encoding(plan->backup->encoding));
		fprintf(script, "\\set ON_ERROR_ROLLBACK on\n\\set ON_ERROR_STOP off\n\\restrict %s\n", key);
		for (size_t i = 0; i < grants->count; i++)
			fprintf(script, "%s\\; SELECT '" POSTGRES_SAYS_GRANTED " %zu';\n", grants->statements[i], i);
		fprintf(script, "\\unrestrict %s\n\\set ON_ERROR_STOP on\n\\set ON_ERROR_ROLLBACK off\n", key);
	}
	fprintf(script, "SELECT '" POSTGRES_SAYS_READY " %s ' || pg_catalog.txid_current();\n", key);
}
