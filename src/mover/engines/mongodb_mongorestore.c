/*
 * mongodb_mongorestore.c
 *	  mongorestore's arguments, its stdin, and what it says at its end.
 */
#include "engines/mongodb_mongorestore.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "clock.h"

#define ARGUMENT_MAX 2048
#define PATTERN_MAX	 1024

/* What else the kernel keeps there: the environment, the tool's name. */
#define ARGUMENTS_BESIDE 8192

typedef struct Arguments
{
	char **texts; /* ends with NULL */
	size_t count;
	size_t bytes; /* as the kernel counts them */
} Arguments;

static bool
add(Arguments *arguments, Failure *failure, const char *format, const char *first, const char *second)
{
	char   text[ARGUMENT_MAX];
	char **more = reallocarray(arguments->texts, arguments->count + 2, sizeof(char *));

	if (more == NULL)
		return failure_no_memory(failure);
	arguments->texts = more;
	snprintf(text, sizeof(text), format, first, second);
	more[arguments->count] = strdup(text);
	if (more[arguments->count] == NULL)
		return failure_no_memory(failure);
	more[++arguments->count] = NULL;
	arguments->bytes += strlen(text) + 1 + sizeof(char *);
	return true;
}

/* Its files take no names: a process's arguments have to hold them all. */
static bool
check_room(const Arguments *arguments, const MongodbPlan *plan, Failure *failure)
{
	long most = sysconf(_SC_ARG_MAX);

	return most < 0 || arguments->bytes + ARGUMENTS_BESIDE < (size_t) most ||
		   failure_set(failure, REASON_NOT_RESTORABLE,
					   "too many of the backup's %zu collections have long names: mongorestore has to be "
					   "told of each, in %zu bytes of arguments, and the limit "
					   "here is %ld (a quarter of the stack's limit): raise it for custbackup",
					   mongodb_archive_count(plan->archive), arguments->bytes, most);
}

static void
free_arguments(Arguments *arguments)
{
	for (size_t i = 0; i < arguments->count; i++)
		free(arguments->texts[i]);
	free(arguments->texts);
}

/* A collection's name as a pattern that means it alone; they are not longer than MongoDB's own limit. */
static void
escape_pattern(const char *name, char *pattern, size_t size)
{
	size_t length = 0;

	for (; *name != '\0' && length + 3 < size; name++)
	{
		if (*name == '*' || *name == '\\')
			pattern[length++] = '\\';
		pattern[length++] = *name;
	}
	pattern[length] = '\0';
}

/* Each database goes where it belongs, under names beside in the pass that puts them there. */
static bool
add_renaming(Arguments *arguments, const MongodbPlan *plan, MongodbPass pass, Failure *failure)
{
	for (size_t i = 0; i < plan->pair_count; i++)
	{
		const MongodbPair *pair = &plan->pairs[i];
		const char *format = pass == MONGODB_PASS_BESIDE ? "--nsTo=%s." MONGODB_BESIDE "%s_$collection$"
														 : "--nsTo=%s.$collection$";

		if (pair->source == NULL)
			continue;
		if (!add(arguments, failure, "--nsFrom=%s.$collection$%s", pair->source, "") ||
			!add(arguments, failure, format, pair->target, pair->mark.tag))
			return false;
		if (pass != MONGODB_PASS_LAST && !add(arguments, failure, "--nsInclude=%s.*%s", pair->source, ""))
			return false;
	}
	return true;
}

/* A backup of a whole server has what an unfinished restore had put beside; older ones of "admin" have its users. */
static bool
add_leftovers(Arguments *arguments, const MongodbPlan *plan, MongodbPass pass, Failure *failure)
{
	for (size_t i = 0; pass != MONGODB_PASS_LAST && i < mongodb_archive_count(plan->archive); i++)
	{
		const MongodbNamespace *namespace = mongodb_archive_namespace(plan->archive, i);
		char pattern[PATTERN_MAX];

		if (mongodb_plan_leftover(plan, namespace) == NULL)
			continue;
		escape_pattern(namespace->collection, pattern, sizeof(pattern));
		if (!add(arguments, failure, "--nsExclude=%s.%s", namespace->database, pattern))
			return false;
	}
	return true;
}

/*
 * What no pattern of the whole database meets, each by its name.  Behind the patterns:
 * mongorestore takes the last that fits.
 */
static bool
add_single(Arguments *arguments, const MongodbPlan *plan, MongodbPass pass, Failure *failure)
{
	for (size_t i = 0; i < mongodb_archive_count(plan->archive); i++)
	{
		const MongodbNamespace *namespace = mongodb_archive_namespace(plan->archive, i);
		const MongodbPair *pair = mongodb_plan_pair(plan, namespace);
		char			   pattern[PATTERN_MAX];
		char			   beside[MONGODB_BESIDE_SIZE];
		bool			   goes_beside = pass == MONGODB_PASS_BESIDE && !plan->last[i];

		if (pair == NULL || !mongodb_plan_stands_alone(namespace) ||
			(pass == MONGODB_PASS_LAST && !plan->last[i]))
			continue;
		escape_pattern(namespace->collection, pattern, sizeof(pattern));
		if ((goes_beside && !mongodb_plan_beside(pair, namespace, beside, failure)) ||
			!add(arguments, failure, "--nsFrom=%s.%s", pair->source, pattern) ||
			!add(arguments, failure, "--nsTo=%s.%s", pair->target, goes_beside ? beside : pattern))
			return false;
		if ((goes_beside || pass == MONGODB_PASS_IN_PLACE) &&
			!add(arguments, failure, "--nsInclude=%s.%s", pair->source, pattern))
			return false;
	}
	return true;
}

/* Of what comes last, each by its name: left out at first, alone let in at the end. */
static bool
add_last(Arguments *arguments, const MongodbPlan *plan, MongodbPass pass, Failure *failure)
{
	const char *format = pass == MONGODB_PASS_LAST ? "--nsInclude=%s.%s" : "--nsExclude=%s.%s";

	for (size_t i = 0; pass != MONGODB_PASS_IN_PLACE && i < mongodb_archive_count(plan->archive); i++)
	{
		const MongodbNamespace *namespace = mongodb_archive_namespace(plan->archive, i);
		char pattern[PATTERN_MAX];

		if (!plan->last[i] || mongodb_plan_pair(plan, namespace) == NULL)
			continue;
		escape_pattern(namespace->collection, pattern, sizeof(pattern));
		if (!add(arguments, failure, format, namespace->database, pattern))
			return false;
	}
	return true;
}

/* A server that is gone would be waited for by mongorestore for ever: it has to answer us, too. */
static bool
renew(Mongorestore *mongorestore, Failure *failure)
{
	Failure attempt = {0};

	if (clock_milliseconds() - mongorestore->renewed < MONGODB_MARKER_EVERY * 1000)
		return true;
	mongorestore->renewed = clock_milliseconds();
	/* A connection that somebody has cut meanwhile is no loss. */
	if (mongorestore->session->client != NULL && mongorestore->renew(mongorestore->renew_context, &attempt))
		return true;
	if (attempt.reason != REASON_NONE && attempt.reason != REASON_UNREACHABLE)
		return failure_set(failure, attempt.reason, "%s", attempt.detail);
	return mongodb_reconnect(mongorestore->session, mongorestore->url, mongorestore->settings, failure) &&
		   mongorestore->renew(mongorestore->renew_context, failure);
}

/* Once a second.  The server works at indexes while no byte flows: no standstill as long as it answers. */
static bool
look_at_server(void *context, Failure *failure)
{
	Mongorestore *mongorestore = context;

	if (!renew(mongorestore, failure))
		return false;
	if (mongorestore->fed)
		report_alive(mongorestore->report, "mongorestore finishes: the last documents, indexes");
	return true;
}

bool
mongorestore_start(Mongorestore *mongorestore, const MongodbPlan *plan, MongodbPass pass, Failure *failure)
{
	Arguments arguments = {0};
	char	  number[16];
	ChildSpec spec = {.path = mongorestore->tool.path, .stdin_pipe = true};
	int		  fd =
		mongodb_tool_config(mongorestore->url, mongorestore->session, mongorestore->settings, false, failure);
	bool good = fd >= 0;

	mongorestore->pass = pass;
	mongorestore->expected = -1;
	mongorestore->fed = false;
	mongorestore->renewed = clock_milliseconds();
	snprintf(number, sizeof(number), "%d", fd);
	good = good && add(&arguments, failure, "mongorestore%s%s", "", "") &&
		   add(&arguments, failure, "--config=/proc/self/fd/%s%s", number, "") &&
		   add(&arguments, failure, "--archive%s%s", "", "") &&
		   (mongorestore->has_duplicates || add(&arguments, failure, "--stopOnError%s%s", "", "")) &&
		   (pass == MONGODB_PASS_BESIDE || add(&arguments, failure, "--drop%s%s", "", "")) &&
		   (!plan->bypasses || add(&arguments, failure, "--bypassDocumentValidation%s%s", "", "")) &&
		   add_renaming(&arguments, plan, pass, failure) && add_leftovers(&arguments, plan, pass, failure) &&
		   add_single(&arguments, plan, pass, failure) && add_last(&arguments, plan, pass, failure) &&
		   check_room(&arguments, plan, failure);
	if (good)
	{
		mongodb_disconnect(mongorestore->session);
		child_close(&mongorestore->child);
		spec.argv = arguments.texts;
		spec.kept_fds[0] = fd;
		spec.idle = look_at_server;
		spec.idle_context = mongorestore;
		good = child_start(&spec, &mongorestore->child, failure);
		mongorestore->child.name = mongorestore->tool.name;
	}
	free_arguments(&arguments);
	if (fd >= 0)
		close(fd);
	return good;
}

/* The number that ends before `end`; -1: there is none. */
static int64_t
number_before(const char *text, const char *end)
{
	const char *begin = end;

	while (begin > text && isdigit((unsigned char) begin[-1]))
		begin--;
	return begin < end ? strtoll(begin, NULL, 10) : -1;
}

/*
 * "3 document(s) restored successfully. 0 document(s) failed to restore.": its last line.
 * As it was said: a password may be a word of it.
 */
static bool
read_result(const Child *child, int64_t *restored, int64_t *failed)
{
	static const char good[] = " document(s) restored successfully. ";
	static const char bad[] = " document(s) failed to restore";
	const char		 *said = child->stderr_tail;
	const char		 *found = strstr(said, good);

	for (const char *next = found; next != NULL; next = strstr(next + 1, good))
		found = next;
	if (found == NULL)
		return false;
	*restored = number_before(said, found);
	found += strlen(good);
	*failed = number_before(found, found + strspn(found, "0123456789"));
	found += strspn(found, "0123456789");
	return *restored >= 0 && *failed >= 0 && strncmp(found, bad, strlen(bad)) == 0;
}

/* Of documents that failed, it goes on past those alone that stand there already, or that a validator does not want. */
static bool
all_restored(Mongorestore *mongorestore, int64_t *restored)
{
	int64_t failed;

	if (mongorestore->child.status != 0 || !read_result(&mongorestore->child, restored, &failed))
		return false;
	mongorestore->passed_over = failed;
	return failed == 0 || mongorestore->has_duplicates;
}

void
mongorestore_expect(Mongorestore *mongorestore, const MongodbPlan *plan, const MongodbArchive *archive)
{
	mongorestore->expected = 0;
	for (size_t i = 0; i < mongodb_archive_count(archive); i++)
	{
		const MongodbNamespace *namespace = mongodb_archive_namespace(archive, i);

		if (mongodb_plan_pair(plan, namespace) != NULL &&
			(mongorestore->pass == MONGODB_PASS_IN_PLACE ||
			 plan->last[i] == (mongorestore->pass == MONGODB_PASS_LAST)))
			mongorestore->expected += namespace->documents;
	}
}

bool
mongorestore_met_duplicates(const Mongorestore *mongorestore)
{
	int status = mongorestore->child.status;

	return mongorestore->child.reaped && WIFEXITED(status) && WEXITSTATUS(status) != 0 &&
		   strstr(mongorestore->child.stderr_tail, "E11000 duplicate key error") != NULL;
}

bool
mongorestore_finish(Mongorestore *mongorestore, Failure *failure)
{
	Child  *child = &mongorestore->child;
	int64_t restored = 0;

	mongorestore->fed = true;
	child_close_stdin(child);
	if (!child_wait(child, failure))
		return false;
	if (!all_restored(mongorestore, &restored))
		return mongodb_tool_failure(&mongorestore->tool, child, mongorestore->session, mongorestore->url,
									mongorestore->settings, REASON_RESTORE, failure);
	if (mongorestore->expected >= 0 && restored + mongorestore->passed_over != mongorestore->expected)
		return failure_set(failure, REASON_RESTORE,
						   "mongorestore %s says that all is well, but it has restored %lld documents, and "
						   "%lld are in the backup",
						   mongorestore->tool.version, (long long) restored,
						   (long long) mongorestore->expected);
	return mongodb_reconnect(mongorestore->session, mongorestore->url, mongorestore->settings, failure);
}

bool
mongorestore_write(Mongorestore *mongorestore, const void *bytes, size_t length, Failure *failure)
{
	bool broken = false;

	if (!renew(mongorestore, failure) || !child_write(&mongorestore->child, bytes, length, &broken, failure))
		return false;
	if (!broken)
		return true;
	/* It has ended before its time, and says why; success it cannot be. */
	return mongorestore_finish(mongorestore, failure) &&
		   failure_set(failure, REASON_RESTORE, "mongorestore %s ended before it had read the whole backup",
					   mongorestore->tool.version);
}

void
mongorestore_close(Mongorestore *mongorestore)
{
	child_close(&mongorestore->child);
}
