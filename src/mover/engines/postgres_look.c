/*
 * postgres_look.c
 *	  What a restore does before anything is changed: into the backup, at the target,
 *	  at the target's schema, and at what follows from both.
 */
#include "postgres_rewind.h"

#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "postgres_rights.h"

/* Any two numbers, as long as they stay the same: "custback" in ASCII. */
#define LOCK_SQL "SELECT pg_catalog.pg_try_advisory_lock(1668641652, 1650549611)"

static bool
read_dump_stream(void *context, void *buffer, size_t capacity, size_t *length, Failure *failure)
{
	return dump_read(context, buffer, capacity, length, failure);
}

static bool
read_backup_toc(PostgresRewind *rewind, const Dump *dump, Failure *failure)
{
	DumpStream *stream = dump_open(dump, failure);
	bool		good = stream != NULL && postgres_archive_read_toc(read_dump_stream, stream, REASON_INTEGRITY,
																   &rewind->backup, failure);

	dump_close(stream);
	return good;
}

static bool
read_child(void *context, void *buffer, size_t capacity, size_t *length, Failure *failure)
{
	return child_read(context, buffer, capacity, length, failure);
}

void
postgres_fill_spec(const PostgresRewind *rewind, ChildSpec *spec, char **argv, char *path, size_t path_size)
{
	memset(spec, 0, sizeof(*spec));
	spec->path = postgres_tool_path(&rewind->tools, argv[0], path, path_size);
	spec->argv = argv;
	spec->envp = (char **) rewind->environment.variables;
	spec->stdout_pipe = true;
	if (rewind->environment.password_fd >= 0)
		spec->kept_fds[0] = rewind->environment.password_fd;
}

/* The target's schema as pg_dump sees it now, with its drop statements. */
static bool
dump_present_schema(PostgresRewind *rewind, Failure *failure)
{
	char	  path[4200];
	char	 *argv[] = {"pg_dump",
						"--schema-only",
						"--format=custom",
						"--compress=0",
						"--no-password",
						"--lock-wait-timeout=10s",
						NULL};
	char	  rest[16 * 1024];
	size_t	  length = 1;
	ChildSpec spec;
	Child	  child;
	Failure	  broken = {0};
	bool	  good;

	postgres_archive_free(rewind->present);
	rewind->present = NULL;
	postgres_fill_spec(rewind, &spec, argv, path, sizeof(path));
	if (!child_start(&spec, &child, failure))
		return false;
	good = postgres_archive_read_toc(read_child, &child, REASON_RESTORE, &rewind->present, &broken);
	while (length > 0 && child_read(&child, rest, sizeof(rest), &length, &broken))
		;
	if (broken.reason == REASON_CANCELLED || !child_wait(&child, failure))
		failure_set(failure, REASON_CANCELLED, "%s", broken.detail);
	else if (child.status != 0 && postgres_find_lockers(&rewind->session, &rewind->blockers))
		failure_set(failure, REASON_TARGET_BUSY,
					"the target's schema could not be read while locks are held in it by: %s",
					rewind->blockers.text);
	else if (child.status != 0 &&
			 postgres_connect_beside(&rewind->session, &rewind->url, rewind->context.settings, failure))
		failure_set(failure, REASON_RESTORE, "pg_dump of the target's schema %s: %s",
					child_status_text(&child), child_stderr(&child));
	else if (child.status == 0 && !good)
		failure_set(failure, broken.reason, "the target's schema: %s", broken.detail);
	child_close(&child);
	return failure->reason == REASON_NONE;
}

/* LIST for pg_restore, in a file without a name. */
static bool
write_list(PostgresRewind *rewind, Failure *failure)
{
	FILE *list;
	bool  good;
	int	  copy;

	if (rewind->list_fd >= 0)
		close(rewind->list_fd);
	rewind->list_fd = memfd_create("custbackup-list", MFD_CLOEXEC);
	copy = rewind->list_fd >= 0 ? fcntl(rewind->list_fd, F_DUPFD_CLOEXEC, 3) : -1;
	list = copy >= 0 ? fdopen(copy, "w") : NULL;
	if (list == NULL)
	{
		if (copy >= 0)
			close(copy);
		return failure_set_errno(failure, REASON_INTERNAL, "no memory file for pg_restore's list");
	}
	good = postgres_archive_write_list(rewind->backup, rewind->plan.chosen, list, failure);
	fclose(list);
	return good;
}

/* Everything that can be known before anything is touched. */
bool
postgres_look(PostgresRewind *rewind, Failure *failure)
{
	postgres_grants_free(&rewind->grants);
	postgres_plan_free(&rewind->plan);
	postgres_target_free(&rewind->target);
	if (!postgres_target_ask(&rewind->target, &rewind->session, failure) ||
		!dump_present_schema(rewind, failure))
		return false;
	rewind->plan = (PostgresPlan){.present = rewind->present,
								  .backup = rewind->backup,
								  .target = &rewind->target,
								  .mode = rewind->context.job->mode};
	if (!postgres_plan_make(&rewind->plan, &rewind->session, failure) ||
		!postgres_grants_collect(&rewind->grants, &rewind->plan, failure) || !write_list(rewind, failure))
		return false;
	json_decref(rewind->outcome->left_alone);
	rewind->outcome->left_alone = json_incref(rewind->plan.left_alone);
	return true;
}

/* Formats 1.15 and 1.16 are read by pg_restore 16 and 17 or newer. */
static int
oldest_tools(const PostgresRewind *rewind)
{
	int server = rewind->session.version / 10000;
	int archive = rewind->backup->version_minor >= 16 ? 17 : rewind->backup->version_minor == 15 ? 16 : 0;

	return server > archive ? server : archive;
}

static bool
lock_target(PostgresRewind *rewind, Failure *failure)
{
	PGresult *result = postgres_ask(&rewind->session, LOCK_SQL, NULL, 0, REASON_RESTORE, failure);

	if (result == NULL)
		return false;
	if (postgres_value(result, 0, 0)[0] != 't')
		failure_set(failure, REASON_TARGET_BUSY, "another restore into this database is at work");
	PQclear(result);
	return failure->reason == REASON_NONE;
}

bool
postgres_look_first(PostgresRewind *rewind, const Dump *dump, Failure *failure)
{
	const Settings *settings = rewind->context.settings;

	return postgres_url_parse(&rewind->url, rewind->context.url, failure) &&
		   read_backup_toc(rewind, dump, failure) &&
		   postgres_connect(&rewind->session, &rewind->url, settings, POSTGRES_FOR_WRITING, failure) &&
		   lock_target(rewind, failure) &&
		   postgres_tools_find(&rewind->tools, settings, oldest_tools(rewind), NULL, failure) &&
		   postgres_tools_guarded(&rewind->tools, failure) &&
		   postgres_environment_make(&rewind->environment, &rewind->url, &rewind->session, settings,
									 failure) &&
		   postgres_may_dump_schema(&rewind->session, &rewind->url, failure) &&
		   postgres_look(rewind, failure);
}
