/*
 * keygen.c
 *	  custbackup keygen: a new key of 256 bits, as 64 hex digits.
 */
#include "command.h"

#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <libgen.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <openssl/crypto.h>
#include <openssl/rand.h>

#define NAME		  "keygen"
#define KEY_BYTES	  32
#define KEY_LINE_SIZE (2 * KEY_BYTES + 2)

static const char help[] = "Usage: custbackup keygen [--output=FILE]\n"
						   "\n"
						   "Makes a key for connection URLs: 64 hex digits, on standard output or in a new\n"
						   "file of mode 0600.  A file that is there is never overwritten: whoever loses\n"
						   "its key loses its URLs.\n"
						   "\n"
						   "Example, as the user that the Postgres server runs as:\n"
						   "  custbackup keygen --output=/etc/custbackup/key\n"
						   "\n"
						   "To rotate, put the new key in front and leave the old one below it:\n"
						   "the first encrypts, all decrypt (docs/secrets.md).\n";

static bool
make_key(char line[KEY_LINE_SIZE], Failure *failure)
{
	unsigned char key[KEY_BYTES];

	if (RAND_priv_bytes(key, KEY_BYTES) != 1)
		return failure_set(failure, REASON_INTERNAL, "OpenSSL has no random bytes");
	for (size_t i = 0; i < KEY_BYTES; i++)
		snprintf(line + 2 * i, 3, "%02x", key[i]);
	strcpy(line + 2 * KEY_BYTES, "\n");
	OPENSSL_cleanse(key, sizeof(key));
	return true;
}

/* The file's name must be on the disk too.  A folder that cannot be read, or synced, is left to its file system. */
static bool
sync_folder_of(const char *path)
{
	char *copy = strdup(path);
	int	  folder = copy ? open(dirname(copy), O_RDONLY | O_DIRECTORY | O_CLOEXEC) : -1;
	bool  synced = folder >= 0 ? fsync(folder) == 0 || errno == EINVAL : copy && errno == EACCES;
	int	  saved_errno = errno;

	if (folder >= 0)
		close(folder);
	free(copy);
	errno = saved_errno;
	return synced;
}

static bool
write_file(const char *path, const char *line, Failure *failure)
{
	size_t length = strlen(line);
	int	   fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	bool   written;

	if (fd < 0 && errno == EEXIST)
		return failure_set(failure, REASON_CONFIG,
						   "\"%s\" is there already and is not overwritten: the URLs that were "
						   "encrypted under its keys need them",
						   path);
	if (fd < 0)
		return failure_set_errno(failure, REASON_CONFIG, "could not make the file \"%s\"", path);
	written = write(fd, line, length) == (ssize_t) length && fsync(fd) == 0 && sync_folder_of(path);
	if (!written)
	{
		failure_set_errno(failure, REASON_CONFIG, "could not write the file \"%s\"", path);
		unlink(path);
	}
	close(fd);
	return written;
}

int
command_keygen(int argc, char **argv)
{
	static const struct option options[] = {
		{"output", required_argument, NULL, 'o'}, {"help", no_argument, NULL, 'h'}, {NULL, 0, NULL, 0}};
	const char *path = NULL;
	char		line[KEY_LINE_SIZE];
	Failure		failure = {0};
	int			code;
	int			status;

	while ((code = getopt_long(argc, argv, "o:h", options, NULL)) != -1)
	{
		if (code == 'h')
			return command_print(NAME, help);
		if (code != 'o')
			return command_usage_error(NAME, "the options are --output=FILE and --help");
		path = optarg;
	}
	if (optind < argc)
		return command_usage_error(NAME, "it takes no argument, only --output=FILE");
	if (!make_key(line, &failure))
		return command_failed(NAME, &failure);
	if (path == NULL)
		status = command_print(NAME, line);
	else
		status = write_file(path, line, &failure) ? EXIT_SUCCESS : command_failed(NAME, &failure);
	OPENSSL_cleanse(line, sizeof(line));
	return status;
}
