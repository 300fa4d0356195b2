/*
 * spool.c
 *	  Files without a name.
 */
#include "spool.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static int
create_and_unlink(const char *directory)
{
	char *path;
	int	  fd;

	if (asprintf(&path, "%s/custbackup-spool.XXXXXX", directory) < 0)
	{
		errno = ENOMEM;
		return -1;
	}
	fd = mkostemp(path, O_CLOEXEC);
	if (fd >= 0 && unlink(path) < 0)
	{
		int error = errno;

		close(fd);
		fd = -1;
		errno = error;
	}
	free(path);
	return fd;
}

const char *
spool_directory(const char *configured)
{
	const char *environment = getenv("TMPDIR");

	if (configured != NULL && *configured != '\0')
		return configured;
	return environment != NULL && *environment == '/' ? environment : "/tmp";
}

int
spool_open(const char *configured, Failure *failure)
{
	const char *directory = spool_directory(configured);
	int			fd;

	/* O_EXCL: nobody can give it a name later. */
	fd = open(directory, O_TMPFILE | O_EXCL | O_RDWR | O_CLOEXEC, 0600);

	/* What file systems and kernels without O_TMPFILE answer. */
	if (fd < 0 && (errno == EOPNOTSUPP || errno == EISDIR || errno == EINVAL))
		fd = create_and_unlink(directory);
	if (fd < 0)
		failure_set_errno(failure, REASON_CONFIG,
						  "could not make a spool file in directory \"%s\" (setting spool_dir)", directory);
	return fd;
}
