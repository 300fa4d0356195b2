/*
 * get.c
 *	  custbackup get: a backup from a store to a file or to standard output, proven first.
 */
#include "command.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cancel.h"
#include "fetch.h"
#include "store_options.h"

#define NAME	  "get"
#define COPY_SIZE (256 * 1024)

static const char help[] =
	"Usage: custbackup get --store=URL [OPTIONS] ID\n"
	"       custbackup get --store=URL [OPTIONS] --token=TOKEN --latest\n"
	"\n"
	"Fetches one backup.  Its size and sha256 are compared with the manifest before the first byte is\n"
	"written anywhere.  ID: a backup's id, or the beginning of it.\n"
	"\n"
	"  --output=FILE            a new file (default, or '-': standard output)\n"
	"  --unpack                 give what the dump tool wrote, without gzip\n"
	"\n" STORE_OPTIONS_HELP "Examples:\n"
	"  custbackup get --store=s3://backups/eu --output=shop.dump.gz 0b9c71e2\n"
	"  custbackup get --store=s3://backups/eu --token=acme-main --latest --unpack | pg_restore --list\n"
	"\n" COMMAND_SETTINGS_HELP;

typedef struct Get
{
	StoreOptions options;
	const char	*output; /* NULL: standard output */
	bool		 unpack;
	const char	*doing; /* for the progress bar */
	int64_t		 total;
} Get;

static bool
take_own(void *own, int code, const char *value, Failure *failure)
{
	Get *get = own;

	(void) failure;
	if (code == 'u')
		get->unpack = true;
	else
		get->output = strcmp(value, "-") == 0 ? NULL : value;
	return true;
}

static bool
tell(void *context, int64_t done, Failure *failure)
{
	Get *get = context;

	progress_bar_move(&get->options.bar, get->doing, done, get->total);
	return !cancel_requested() || cancel_failure(failure);
}

static bool
write_all(int fd, const char *bytes, size_t length, Failure *failure)
{
	while (length > 0)
	{
		ssize_t written = write(fd, bytes, length);

		if (written < 0 && errno == EINTR && !cancel_requested())
			continue;
		if (written < 0 && cancel_requested())
			return cancel_failure(failure);
		if (written < 0)
			return failure_set_errno(failure, REASON_CONFIG, "could not write the output");
		bytes += written;
		length -= (size_t) written;
	}
	return true;
}

/* The stored bytes as they are. */
static bool
copy_stored(Get *get, const Dump *dump, char *buffer, int to, Failure *failure)
{
	int64_t offset = 0;

	while (offset < dump->stored_bytes)
	{
		ssize_t got = pread(dump->fd, buffer, COPY_SIZE, offset);

		if (got < 0 && errno == EINTR)
			continue;
		if (got <= 0)
			return failure_set(failure, REASON_DOWNLOAD, "the fetched object could not be read again");
		offset += got;
		if (!write_all(to, buffer, (size_t) got, failure) || !tell(get, offset, failure))
			return false;
	}
	return true;
}

static bool
copy_unpacked(Get *get, const Dump *dump, char *buffer, int to, Failure *failure)
{
	DumpStream *stream = dump_open(dump, failure);
	int64_t		done = 0;
	size_t		length = 1;
	bool		good = stream != NULL;

	while (good && length > 0)
	{
		good =
			dump_read(stream, buffer, COPY_SIZE, &length, failure) && write_all(to, buffer, length, failure);
		done += (int64_t) length;
		good = good && tell(get, done, failure);
	}
	dump_close(stream);
	return good;
}

static bool
copy_dump(Get *get, const Dump *dump, int to, Failure *failure)
{
	char *buffer = malloc(COPY_SIZE);
	bool  good;

	if (!buffer)
		return failure_no_memory(failure);
	get->doing = "writing";
	get->total = get->unpack ? dump->raw_bytes : dump->stored_bytes;
	good = get->unpack ? copy_unpacked(get, dump, buffer, to, failure)
					   : copy_stored(get, dump, buffer, to, failure);
	free(buffer);
	return good;
}

static bool
copy_to_file(Get *get, const Dump *dump, Failure *failure)
{
	int	 file = open(get->output, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	bool good;

	if (file < 0)
		return failure_set_errno(failure, REASON_CONFIG, "could not create \"%s\"", get->output);
	good = copy_dump(get, dump, file, failure);
	if (good && fsync(file) < 0 && errno != EINVAL && errno != EROFS)
		good = failure_set_errno(failure, REASON_CONFIG, "could not write \"%s\"", get->output);
	close(file);
	if (!good)
		unlink(get->output);
	return good;
}

static bool
get_backup(Get *get, Failure *failure)
{
	const CatalogueEntry *entry = catalogue_only(&get->options.catalogue, &get->options.filter, failure);
	StoredObject		  object;
	Dump				  dump;
	bool				  good;

	if (!entry)
		return false;
	object = (StoredObject){.key = entry->key,
							.sha256 = entry->manifest.sha256,
							.stored_bytes = entry->manifest.stored_bytes,
							.raw_bytes = entry->manifest.raw_bytes};
	get->doing = "fetching";
	get->total = object.stored_bytes;
	if (!fetch_verified(get->options.store, &object, tell, get, &dump, failure))
		return false;
	good = get->output ? copy_to_file(get, &dump, failure) : copy_dump(get, &dump, STDOUT_FILENO, failure);
	close(dump.fd);
	progress_bar_clear(&get->options.bar);
	if (good)
		fprintf(stderr, "%s: %s, sha256 %s of the stored bytes verified\n", entry->key,
				entry->manifest.finished_at, object.sha256);
	return good;
}

static int
get_and_say(Get *get)
{
	Failure failure = {0};

	if (!get->output && isatty(STDOUT_FILENO))
		return command_usage_error(NAME, "a dump is nothing for a terminal: name a file with --output=FILE");
	if (!get_backup(get, &failure))
		return store_options_failed(&get->options, NAME, &failure);
	return EXIT_SUCCESS;
}

int
command_get(int argc, char **argv)
{
	static const struct option own_options[] = {STORE_OPTIONS,
												{"output", required_argument, NULL, 'o'},
												{"unpack", no_argument, NULL, 'u'},
												{NULL, 0, NULL, 0}};
	Get						   get = {0};
	StoreCommand			   command = {.name = NAME,
										  .help = help,
										  .options = own_options,
										  .take_own = take_own,
										  .own = &get,
										  .wants_one = true};
	int						   status = store_options_open(&get.options, &command, argc, argv);

	if (status < 0)
		status = get_and_say(&get);
	store_options_close(&get.options);
	return status;
}
