/*
 * postgres_script.h
 *	  What psql is told, but for the stream that pg_restore makes.
 *
 * One session, one transaction.  Every statement that comes out of an archive, ours
 * or pg_restore's, stands between \restrict and \unrestrict with a random word: a
 * hostile database may have written into it, and there psql obeys no command of
 * its own.  Answers that we wait for are lines that begin with a word of ours.
 */
#ifndef POSTGRES_SCRIPT_H
#define POSTGRES_SCRIPT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

#include "failure.h"
#include "postgres_plan.h"

#define POSTGRES_KEY_SIZE 33

/* Words that psql's answers begin with; each is followed by the restore's key. */
#define POSTGRES_SAYS_BEGUN		"custbackup-begun"	   /* key, backend's pid, transaction id */
#define POSTGRES_SAYS_DROPPED	"custbackup-dropped"   /* key, how many objects of ours are still there */
#define POSTGRES_SAYS_GRANTED	"custbackup-granted"   /* number of a statement that was applied */
#define POSTGRES_SAYS_READY		"custbackup-ready"	   /* key, transaction id */
#define POSTGRES_SAYS_COMMITTED "custbackup-committed" /* key */

/* 32 random hex digits. */
extern bool postgres_script_key(char key[POSTGRES_KEY_SIZE], Failure *failure);

/* The name of an encoding that is safe to write into the script; UTF8 for what is none. */
extern const char *postgres_script_encoding(const char *said);

/* Part 1 and 2: BEGIN, our settings, the drops under lock_timeout. */
extern void postgres_script_drop(FILE *script, const PostgresPlan *plan, int server_version, const char *key);

/*
 * pg_dump's scripts empty search_path.  Instead, what the role has in the target by its
 * settings, behind pg_catalog: said before the stream, from whose head, once it is good,
 * the emptying is blanked.
 */
extern void postgres_script_use_path(FILE *script);
extern void postgres_script_keep_path(char *bytes, size_t length);

/*
 * Part 4: owners and grants, each statement under a savepoint of its own.  The
 * statements are numbered; those that psql does not report as applied could not be.
 */
typedef struct PostgresGrants
{
	char **statements; /* malloc'ed each, without ';' */
	bool  *applied;
	size_t count;
	size_t capacity;
} PostgresGrants;

extern bool postgres_grants_collect(PostgresGrants *grants, PostgresPlan *plan, Failure *failure);
extern void postgres_grants_free(PostgresGrants *grants);
extern void postgres_script_grants(FILE *script, const PostgresPlan *plan, const PostgresGrants *grants,
								   const char *key);

/*
 * The beginning of what pg_restore wrote: its first command must be \restrict.  Its
 * BEGIN, and a setting that a server older than the tool rejects, are blanked.
 */
typedef enum PostgresHead
{
	POSTGRES_HEAD_SHORT, /* more bytes are needed */
	POSTGRES_HEAD_GOOD,
	POSTGRES_HEAD_BAD
} PostgresHead;

#define POSTGRES_WORD_SIZE 128

extern PostgresHead postgres_script_head(char *bytes, size_t length, int server_version,
										 char word[POSTGRES_WORD_SIZE]);

/* Its end: COMMIT, blanked, and \unrestrict with the same word.  False: it is not that. */
extern bool postgres_script_tail(char *bytes, size_t length, const char *word);

/* As many bytes as the end can have. */
#define POSTGRES_TAIL_SIZE 512

#endif
