/*
 * postgres_tools.h
 *	  Which pg_dump, pg_restore and psql, and what environment they get.
 *
 * A client older than the server is refused by pg_dump itself; a newer one may
 * write what an older server rejects.  So the server's own major is looked for
 * first.  Order: the directories of settings.tool_path; /usr/lib/postgresql/N/bin
 * and /usr/pgsql-N/bin, the server's major before newer ones; PATH.
 *
 * The environment is made from nothing.  A password travels in a password file
 * that is a sealed memfd (PGPASSFILE=/proc/self/fd/N): it stands in no argv, no
 * environment and no file with a name.
 */
#ifndef POSTGRES_TOOLS_H
#define POSTGRES_TOOLS_H

#include <stdbool.h>
#include <stddef.h>

#include "failure.h"
#include "postgres_connect.h"
#include "postgres_url.h"
#include "process.h"
#include "settings.h"

#define POSTGRES_ENVIRONMENT_MAX 32

typedef struct PostgresTools
{
	char directory[4096];
	int	 version;		   /* 150020, of pg_dump */
	char version_text[48]; /* "15.20" */
} PostgresTools;

/* A pg_dump that was asked for its version and has not answered yet. */
typedef struct PostgresGuess
{
	PostgresTools tools; /* directory "": there is none to guess */
	bool
		only; /* nothing else is where one is looked for first: a server may find it too old, never another better */
	Child child; /* pid 0: it was not asked */
} PostgresGuess;

/* The directory whose pg_dump will probably be wanted.  No failure: finding will tell. */
extern void postgres_tools_guess(PostgresGuess *guess, const Settings *settings);

/* Asks it for its version, while the server is asked for its own: starting it takes as long as a connection. */
extern void postgres_tools_ask(PostgresGuess *guess);
extern void postgres_tools_forget(PostgresGuess *guess); /* any number of times */

/*
 * Finds a directory whose pg_dump is of at_least (a major) or newer, best the very
 * same major.  guess: one whose answer is used if it fits, or NULL.
 * REASON_CONFIG: none installed; or all older, naming both versions.
 */
extern bool postgres_tools_find(PostgresTools *tools, const Settings *settings, int at_least,
								PostgresGuess *guess, Failure *failure);

/*
 * May these tools restore?  Only those that guard psql against what a hostile
 * database wrote into its dump (\restrict): 13.22, 14.19, 15.14, 16.10, 17.6, 18.
 */
extern bool postgres_tools_guarded(const PostgresTools *tools, Failure *failure);

/* "/usr/lib/postgresql/15/bin/psql" into buffer of 4200 bytes or more. */
extern const char *postgres_tool_path(const PostgresTools *tools, const char *tool, char *buffer,
									  size_t size);

typedef struct PostgresEnvironment
{
	char *variables[POSTGRES_ENVIRONMENT_MAX + 1];
	int	  count;
	int	  password_fd; /* the memfd; to be kept open in the child; -1: none */
} PostgresEnvironment;

extern bool postgres_environment_make(PostgresEnvironment *environment, const PostgresUrl *url,
									  const PostgresSession *session, const Settings *settings,
									  Failure *failure);

/*
 * For a tool that writes much: 64 kB at a time instead of the page that glibc gives a pipe, by what
 * coreutils' stdbuf preloads, where that is installed.  It spares the dump a tenth of its CPU.
 */
extern void postgres_environment_buffer_stdout(PostgresEnvironment *environment);
extern void postgres_environment_free(PostgresEnvironment *environment);

#endif
