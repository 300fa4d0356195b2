/* spool.c: files without a name, and directories that will not have them. */
#include "spool.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tap.h"

static char directory[] = "/tmp/custbackup-spool-test.XXXXXX";

static int
count_files(void)
{
	DIR *dir = opendir(directory);
	int	 count = 0;

	while (readdir(dir) != NULL)
		count++;
	closedir(dir);
	return count - 2;
}

static void
refuses(const char *where, const char *expected, const char *what)
{
	Failure failure = {0};

	ok(spool_open(where, &failure) == -1 && failure.reason == REASON_CONFIG &&
		   strstr(failure.detail, where) != NULL && strstr(failure.detail, expected) != NULL,
	   "%s: refused (%s)", what, failure.detail);
}

int
main(void)
{
	Failure		failure = {0};
	struct stat st;
	char		buffer[8] = "";
	char		path[128];
	int			fd;

	if (mkdtemp(directory) == NULL)
		abort();
	fd = spool_open(directory, &failure);
	ok(fd >= 0, "a spool file");
	is_int(count_files(), 0, "without a name");
	ok(fstat(fd, &st) == 0 && S_ISREG(st.st_mode) && (st.st_mode & 0777) == 0600 && st.st_nlink == 0,
	   "a regular file, 0600, no link");
	ok(write(fd, "bytes", 5) == 5 && pread(fd, buffer, 5, 0) == 5 && strcmp(buffer, "bytes") == 0,
	   "written and read");
	ok((fcntl(fd, F_GETFD) & FD_CLOEXEC) != 0, "close-on-exec");
	snprintf(path, sizeof(path), "%s/named", directory);
	ok(linkat(fd, "", AT_FDCWD, path, AT_EMPTY_PATH) < 0, "nobody can give it a name");
	close(fd);

	fd = spool_open(NULL, &failure);
	ok(fd >= 0, "without a setting: the usual directory");
	close(fd);
	setenv("TMPDIR", "/nonexistent/tmp", 1);
	ok(spool_open(NULL, &failure) == -1 && strstr(failure.detail, "/nonexistent/tmp") != NULL,
	   "which TMPDIR names");

	refuses("/nonexistent/dir", "No such file", "a directory that is not there");
	snprintf(path, sizeof(path), "%s/file", directory);
	close(open(path, O_CREAT | O_WRONLY | O_CLOEXEC, 0600));
	refuses(path, "Not a directory", "a file");
	unlink(path);
	refuses("/proc/self", "", "a file system that has no files of ours");
	if (geteuid() != 0)
	{
		chmod(directory, 0500);
		refuses(directory, "Permission denied", "a directory without write permission");
		chmod(directory, 0700);
	}
	rmdir(directory);
	return done_testing();
}
