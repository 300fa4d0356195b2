/*
 * postgres_script.c
 *	  Parts 1 and 2, and the two ends of pg_restore's stream.
 */
#include "postgres_script.h"

#include <errno.h>
#include <string.h>
#include <sys/random.h>

/* Seconds that the drops may wait for one lock. */
#define DROP_LOCK_TIMEOUT "5s"

bool
postgres_script_key(char key[POSTGRES_KEY_SIZE], Failure *failure)
{
	unsigned char bytes[(POSTGRES_KEY_SIZE - 1) / 2];

	if (getrandom(bytes, sizeof(bytes), 0) != sizeof(bytes))
		return failure_set_errno(failure, REASON_INTERNAL, "no random bytes");
	for (size_t i = 0; i < sizeof(bytes); i++)
		snprintf(key + 2 * i, 3, "%02x", bytes[i]);
	return true;
}

/* It stands outside of \restrict, and a server or an archive said it: nothing but a name of an encoding. */
const char *
postgres_script_encoding(const char *said)
{
	static const char allowed[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_-";

	return said != NULL && *said != '\0' && said[strspn(said, allowed)] == '\0' ? said : "UTF8";
}

/* A role's or database's own settings must not decide how a dump is read. */
static void
write_settings(FILE *script, const PostgresPlan *plan, int server_version)
{
	fprintf(script,
			"SET statement_timeout = 0;\n"
			"SET lock_timeout = 0;\n"
			"%s%s"
			"SET client_encoding = '%s';\n"
			"SET standard_conforming_strings = on;\n"
			"SET search_path = '';\n"
			"SET row_security = off;\n"
			"SET check_function_bodies = off;\n"
			"SET client_min_messages = warning;\n"
			"SET datestyle = 'ISO';\n"
			"SET intervalstyle = 'postgres';\n"
			"SET transform_null_equals = off;\n"
			"SET array_nulls = on;\n",
			server_version >= 140000 ? "SET idle_session_timeout = 0;\n" : "",
			server_version >= 170000 ? "SET transaction_timeout = 0;\n" : "",
			postgres_script_encoding(plan->present->encoding));
	/* Of some minor versions only: under it no materialized view over a view is computed. */
	fputs("SELECT pg_catalog.set_config(name, '', false) FROM pg_catalog.pg_settings"
		  " WHERE name = 'restrict_nonsystem_relation_kind';\n",
		  script);
}

/* A base type takes its functions along: the one CASCADE that pg_dump writes. */
static void
write_drop(FILE *script, const TocEntry *entry)
{
	static const char function[] = "DROP FUNCTION ";

	if (strncmp(entry->drop_statement, function, strlen(function)) == 0)
		fprintf(script, "%sIF EXISTS %s\n", function, entry->drop_statement + strlen(function));
	else
		fprintf(script, "%s\n", entry->drop_statement);
}

/*
 * Large objects are no part of a schema's dump.  Default privileges have no drop
 * statement, and would be given to what is created anew.
 */
static void
write_drops(FILE *script, const PostgresPlan *plan)
{
	for (int row = 0; row < PQntuples(plan->target->default_resets); row++)
		fprintf(script, "%s;\n", postgres_value(plan->target->default_resets, row, 1));
	for (size_t i = plan->present->entry_count; i > 0; i--)
	{
		if (plan->drops[i - 1])
			write_drop(script, &plan->present->entries[i - 1]);
	}
	fputs("SELECT pg_catalog.count(pg_catalog.lo_unlink(oid)) FROM pg_catalog.pg_largeobject_metadata"
		  " WHERE pg_catalog.pg_has_role(lomowner, 'USAGE');\n",
		  script);
	if (plan->creates_public)
		fputs("CREATE SCHEMA public;\n", script);
}

/* What was made by somebody between our look at the schema and our locks. */
static const char *const remaining_sql = "(SELECT pg_catalog.count(*) FROM pg_catalog.pg_class c JOIN "
										 "pg_catalog.pg_namespace n ON n.oid = c.relnamespace"
										 " WHERE n.nspname !~ '^pg_' AND n.nspname <> 'information_schema' "
										 "AND c.relkind IN ('r','p','v','m','S','f','c')"
										 " AND pg_catalog.pg_has_role(c.relowner, 'USAGE')"
										 " AND NOT EXISTS (SELECT FROM pg_catalog.pg_depend d WHERE "
										 "d.classid = 'pg_catalog.pg_class'::pg_catalog.regclass"
										 " AND d.objid = c.oid AND d.deptype IN ('e', 'i')))"
										 " + (SELECT pg_catalog.count(*) FROM pg_catalog.pg_proc p JOIN "
										 "pg_catalog.pg_namespace n ON n.oid = p.pronamespace"
										 " WHERE n.nspname !~ '^pg_' AND n.nspname <> 'information_schema' "
										 "AND pg_catalog.pg_has_role(p.proowner, 'USAGE')"
										 " AND NOT EXISTS (SELECT FROM pg_catalog.pg_depend d WHERE "
										 "d.classid = 'pg_catalog.pg_proc'::pg_catalog.regclass"
										 " AND d.objid = p.oid AND d.deptype IN ('e', 'i')))";

void
postgres_script_drop(FILE *script, const PostgresPlan *plan, int server_version, const char *key)
{
	/* pg_dump writes a slice as [1:"USER"]; that is psql's spelling for the value of a variable, too. */
	fputs("\\unset DBNAME\n\\unset HOST\n\\unset PORT\n\\unset USER\n\\unset VERSION\n"
		  /* In one message: between the two a short timeout of the role's own would end the session. */
		  "BEGIN ISOLATION LEVEL READ COMMITTED READ WRITE\\; SET idle_in_transaction_session_timeout = 0;\n",
		  script);
	write_settings(script, plan, server_version);
	fprintf(script,
			"SELECT '" POSTGRES_SAYS_BEGUN
			" %s ' || pg_catalog.pg_backend_pid() || ' ' || pg_catalog.txid_current();\n"
			"\\o /dev/null\n"
			"\\restrict %s\n"
			"SET lock_timeout = '" DROP_LOCK_TIMEOUT "';\n",
			key, key);
	write_drops(script, plan);
	fprintf(script,
			"SET lock_timeout = 0;\n"
			"\\unrestrict %s\n"
			"\\o\n"
			"SELECT '" POSTGRES_SAYS_DROPPED " %s ' || %s;\n"
			/* pg_restore's SELECT setval() and the like answer to nobody. */
			"\\o /dev/null\n",
			key, key, remaining_sql);
}

void
postgres_script_use_path(FILE *script)
{
	fputs("SELECT pg_catalog.set_config('search_path', pg_catalog.concat_ws(', ', 'pg_catalog',"
		  " NULLIF(reset_val, '')), false) FROM pg_catalog.pg_settings WHERE name = 'search_path';\n",
		  script);
}

static void
blank(char *bytes, const char *text)
{
	memset(bytes, ' ', strlen(text));
}

static bool
line_is(const char *line, size_t length, const char *text)
{
	return length == strlen(text) && memcmp(line, text, length) == 0;
}

/*
 * Comments, \restrict, comments, BEGIN, then settings up to an empty line after
 * them.  Until \restrict nothing but what pg_restore itself writes can stand there.
 */
PostgresHead
postgres_script_head(char *bytes, size_t length, int server_version, char word[POSTGRES_WORD_SIZE])
{
	static const char restrict_command[] = "\\restrict ";
	static const char newer_setting[] = "SET transaction_timeout = 0;";
	char			 *begin = NULL;
	char			 *line = bytes;
	char			 *end;

	word[0] = '\0';
	for (; (end = memchr(line, '\n', length - (size_t) (line - bytes))) != NULL; line = end + 1)
	{
		size_t line_length = (size_t) (end - line);

		if (begin != NULL)
		{
			if (line_is(line, line_length, newer_setting) && server_version < 170000)
				blank(line, newer_setting);
			/* "SET ...", empty lines between; the first statement of another kind ends the settings. */
			if (line_length > 0 && strncmp(line, "SET ", 4) != 0 && line[0] != ' ')
			{
				blank(begin, "BEGIN;");
				return POSTGRES_HEAD_GOOD;
			}
		}
		else if (word[0] == '\0' && line_length > strlen(restrict_command) &&
				 memcmp(line, restrict_command, strlen(restrict_command)) == 0)
		{
			size_t word_length = line_length - strlen(restrict_command);

			if (word_length >= POSTGRES_WORD_SIZE)
				return POSTGRES_HEAD_BAD;
			memcpy(word, line + strlen(restrict_command), word_length);
			word[word_length] = '\0';
		}
		else if (word[0] != '\0' && line_is(line, line_length, "BEGIN;"))
			begin = line;
		else if (line_length > 0 && strncmp(line, "--", 2) != 0)
			return POSTGRES_HEAD_BAD;
	}
	return POSTGRES_HEAD_SHORT;
}

void
postgres_script_keep_path(char *bytes, size_t length)
{
	static const char emptied[] = "\nSELECT pg_catalog.set_config('search_path', '', false);\n";
	static const char entry[] = "Name: "; /* above each; what follows may be anybody's */
	char			 *first = memmem(bytes, length, entry, strlen(entry));
	char *found = memmem(bytes, first != NULL ? (size_t) (first - bytes) : length, emptied, strlen(emptied));

	if (found != NULL)
		memset(found + 1, ' ', strlen(emptied) - 2);
}

bool
postgres_script_tail(char *bytes, size_t length, const char *word)
{
	char expected[POSTGRES_TAIL_SIZE];
	int	 size =
		snprintf(expected, sizeof(expected),
				 "\nCOMMIT;\n\n--\n-- PostgreSQL database dump complete\n--\n\n\\unrestrict %s\n\n", word);

	if (size < 0 || (size_t) size >= sizeof(expected) || length < (size_t) size ||
		memcmp(bytes + length - size, expected, (size_t) size) != 0)
		return false;
	blank(bytes + length - size + 1, "COMMIT;");
	return true;
}
