/*
 * postgres_tools.c
 *	  Finding the client tools that fit the server.
 */
#include "postgres_tools.h"

#include <dirent.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cancel.h"

/* The first release of each major whose tools know \restrict (CVE-2025-8714). */
static const struct
{
	int major;
	int minor;
} guarded_since[] = {{13, 22}, {14, 19}, {15, 14}, {16, 10}, {17, 6}};

#define NEWEST_WITHOUT_GUARD 17

/* What was met on the way, so that a refusal can name it. */
typedef struct Search
{
	const Settings *settings;
	PostgresGuess  *guess; /* NULL: none */
	int				at_least;
	PostgresTools	best;	 /* version 0: none fits */
	PostgresTools	older;	 /* the newest of those that are too old; version 0: none */
	Failure			trouble; /* what kept us from asking one: no descriptor or process was to be had */
} Search;

const char *
postgres_tool_path(const PostgresTools *tools, const char *tool, char *buffer, size_t size)
{
	snprintf(buffer, size, "%s/%s", tools->directory, tool);
	return buffer;
}

/* "pg_dump (PostgreSQL) 15.20 (Debian 15.20-0+deb12u1)", "... 18beta1", "... 16.4 - vendor" */
static bool
parse_version(PostgresTools *tools, const char *line)
{
	const char *number = strstr(line, "(PostgreSQL) ");
	char	   *end;
	long		major;
	long		minor = 0;

	if (number == NULL)
		return false;
	number += strlen("(PostgreSQL) ");
	major = strtol(number, &end, 10);
	if (end == number || major < 1 || major > 999)
		return false;
	if (*end == '.')
		minor = strtol(end + 1, NULL, 10);
	tools->version = (int) (major * 10000 + minor % 10000);
	snprintf(tools->version_text, sizeof(tools->version_text), "%.*s", (int) strcspn(number, " \n"), number);
	return true;
}

static bool
take_directory(PostgresTools *tools, const char *directory, size_t length)
{
	char path[4200];

	if (length == 0 || length >= sizeof(tools->directory) || directory[0] != '/')
		return false;
	snprintf(tools->directory, sizeof(tools->directory), "%.*s", (int) length, directory);
	return access(postgres_tool_path(tools, "pg_dump", path, sizeof(path)), X_OK) == 0;
}

/* Asks the pg_dump of a directory for its version; false: there is none that runs, or none could be started now. */
static bool
ask_version(const PostgresTools *tools, Child *child, Failure *failure)
{
	char	  path[4200];
	char	 *argv[] = {"pg_dump", "--version", NULL};
	ChildSpec spec = {
		.path = postgres_tool_path(tools, "pg_dump", path, sizeof(path)), .argv = argv, .stdout_pipe = true};

	return child_start(&spec, child, failure);
}

static bool
read_version(PostgresTools *tools, Child *child)
{
	char	line[256];
	size_t	filled = 0;
	size_t	got = 0;
	Failure ignored = {0};

	while (filled < sizeof(line) - 1 &&
		   child_read(child, line + filled, sizeof(line) - 1 - filled, &got, &ignored) && got > 0)
		filled += got;
	line[filled] = '\0';
	child_close(child);
	child->pid = 0;
	return parse_version(tools, line);
}

static bool
probe(Search *search, PostgresTools *tools, const char *directory, size_t length)
{
	PostgresGuess *guess = search->guess;
	Child		   child;
	Failure		   failure = {0};

	if (guess != NULL && guess->child.pid != 0 && strlen(guess->tools.directory) == length &&
		memcmp(guess->tools.directory, directory, length) == 0)
	{
		*tools = guess->tools;
		return read_version(tools, &guess->child);
	}
	if (!take_directory(tools, directory, length))
		return false;
	if (ask_version(tools, &child, &failure))
		return read_version(tools, &child);
	if (failure.reason == REASON_INTERNAL && search->trouble.reason == REASON_NONE)
		search->trouble = failure;
	return false;
}

/* Keeps the better one: the very major that is wanted, else the lowest above it. */
static void
consider(Search *search, const char *directory, size_t length)
{
	PostgresTools tools = {0};

	if (!probe(search, &tools, directory, length))
		return;
	if (tools.version / 10000 < search->at_least)
	{
		if (tools.version > search->older.version)
			search->older = tools;
	}
	else if (search->best.version == 0 || tools.version / 10000 < search->best.version / 10000)
		search->best = tools;
}

static void
consider_list(Search *search, const char *list)
{
	while (list != NULL && *list != '\0')
	{
		size_t length = strcspn(list, ":");

		consider(search, list, length);
		list += length + (list[length] == ':');
	}
}

/* Debian's and Red Hat's places of parallel installations; the directory's name tells the major. */
static const struct
{
	const char *parent;
	const char *prefix;
} installed[] = {{"/usr/lib/postgresql", ""}, {"/usr", "pgsql-"}};

/* The lowest major from at_least on, else the newest; returns of how many.  path: of 128 bytes. */
static int
find_installed(size_t place, int at_least, char path[128])
{
	const char	  *prefix = installed[place].prefix;
	DIR			  *directory = opendir(installed[place].parent);
	struct dirent *entry;
	int			   best = 0;
	int			   newest = 0;
	int			   found = 0;

	while (directory != NULL && (entry = readdir(directory)) != NULL)
	{
		int major;

		if (strncmp(entry->d_name, prefix, strlen(prefix)) != 0)
			continue;
		major = atoi(entry->d_name + strlen(prefix));
		if (major >= at_least && (best == 0 || major < best))
			best = major;
		if (major > newest)
			newest = major;
		found += major > 0;
	}
	if (directory != NULL)
		closedir(directory);
	if (best == 0)
		best = newest;
	snprintf(path, 128, "%s/%s%d/bin", installed[place].parent, prefix, best);
	return found;
}

/* Without knowing the server's version, the newest will mostly be right. */
void
postgres_tools_guess(PostgresGuess *guess, const Settings *settings)
{
	const char *list = settings->tool_path;
	char		path[128];
	int			found = 0;

	*guess = (PostgresGuess){0};
	if (list != NULL && *list != '\0')
	{
		size_t length = strcspn(list, ":");

		found = take_directory(&guess->tools, list, length);
		guess->only = list[length] == '\0';
	}
	else
	{
		for (size_t i = 0; i < sizeof(installed) / sizeof(installed[0]) && found == 0; i++)
			found = find_installed(i, INT_MAX, path);
		guess->only = found == 1;
		found = found > 0 && take_directory(&guess->tools, path, strlen(path));
	}
	if (!found)
		*guess = (PostgresGuess){0};
}

void
postgres_tools_ask(PostgresGuess *guess)
{
	Failure ignored = {0};

	if (guess->tools.directory[0] != '\0')
		(void) ask_version(&guess->tools, &guess->child, &ignored);
}

void
postgres_tools_forget(PostgresGuess *guess)
{
	child_close(&guess->child);
}

bool
postgres_tools_find(PostgresTools *tools, const Settings *settings, int at_least, PostgresGuess *guess,
					Failure *failure)
{
	Search search = {.settings = settings, .guess = guess, .at_least = at_least};
	char   path[128];

	consider_list(&search, settings->tool_path);
	for (size_t i = 0; i < sizeof(installed) / sizeof(installed[0]) && search.best.version == 0; i++)
	{
		if (find_installed(i, at_least, path) > 0)
			consider(&search, path, strlen(path));
	}
	if (search.best.version == 0)
		consider_list(&search, getenv("PATH"));
	if (search.best.version != 0)
	{
		*tools = search.best;
		return true;
	}
	/* One that was being asked has not answered. */
	if (cancel_requested())
		return cancel_failure(failure);
	if (search.trouble.reason != REASON_NONE)
		return failure_set(failure, search.trouble.reason, "%s", search.trouble.detail);
	if (search.older.version != 0)
		return failure_set(failure, REASON_CONFIG,
						   "pg_dump %s in %s is too old for what it has to work with, Postgres %d: install "
						   "postgresql-client-%d, or name its directory in custbackup.tool_path",
						   search.older.version_text, search.older.directory, at_least, at_least);
	return failure_set(
		failure, REASON_CONFIG,
		"pg_dump is not installed (looked in %s, /usr/lib/postgresql/*/bin, /usr/pgsql-*/bin and PATH): "
		"install postgresql-client-%d, or name its directory in custbackup.tool_path",
		settings->tool_path != NULL && *settings->tool_path != '\0' ? settings->tool_path
																	: "custbackup.tool_path (not set)",
		at_least);
}

bool
postgres_tools_guarded(const PostgresTools *tools, Failure *failure)
{
	int major = tools->version / 10000;

	if (major > NEWEST_WITHOUT_GUARD)
		return true;
	for (size_t i = 0; i < sizeof(guarded_since) / sizeof(guarded_since[0]); i++)
	{
		if (guarded_since[i].major != major)
			continue;
		if (tools->version % 10000 >= guarded_since[i].minor)
			return true;
		return failure_set(
			failure, REASON_CONFIG,
			"the client tools %s in %s would let a dump run commands on this machine (CVE-2025-8714): "
			"a restore wants %d.%d or newer",
			tools->version_text, tools->directory, major, guarded_since[i].minor);
	}
	return failure_set(
		failure, REASON_CONFIG,
		"the client tools %s in %s would let a dump run commands on this machine (CVE-2025-8714): "
		"a restore wants 13.22, 14.19, 15.14, 16.10, 17.6, 18 or newer",
		tools->version_text, tools->directory);
}
