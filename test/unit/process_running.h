/*
 * process_running.h
 *	  For the tests of processes: shell scripts as children, and what came of them.
 */
#ifndef PROCESS_RUNNING_H
#define PROCESS_RUNNING_H

#include <dirent.h>
#include <stdlib.h>

#include "process.h"
#include "tap.h"

static char	  output[4 * 1024 * 1024];
static size_t output_length;

static inline int
count_fds(void)
{
	DIR *dir = opendir("/proc/self/fd");
	int	 count = 0;

	while (readdir(dir) != NULL)
		count++;
	closedir(dir);
	return count;
}

static inline bool
start_shell(const char *script, const ChildSpec *base, Child *child, Failure *failure)
{
	char	 *argv[] = {"sh", "-c", (char *) script, NULL};
	ChildSpec spec = *base;

	spec.path = "/bin/sh";
	spec.argv = argv;
	*failure = (Failure){0};
	/* argv[0] outlives the array: it is a literal. */
	return child_start(&spec, child, failure);
}

static inline bool
read_all(Child *child, Failure *failure)
{
	size_t length;

	output_length = 0;
	do
	{
		if (!child_read(child, output + output_length, sizeof(output) - 1 - output_length, &length, failure))
			return false;
		output_length += length;
	} while (length > 0);
	output[output_length] = '\0';
	return true;
}

/* Runs a script to its end; its stdout is in `output`. */
static inline int
run_shell(const char *script, const ChildSpec *base)
{
	Failure failure;
	Child	child;
	int		status = -1;

	if (start_shell(script, base, &child, &failure) && read_all(&child, &failure) &&
		child_wait(&child, &failure))
		status = child.status;
	child_close(&child);
	return status;
}

#endif
