/*
 * get.c
 *	  custbackup get: a backup from a store to a file or to standard output, proven first.
 */
#include "command.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cancel.h"
#include "fetch.h"
#include "store_options.h"
#include "stores/file_path.h"

#define NAME	  "get"
#define COPY_SIZE (256 * 1024)

#define PARTIAL_SUFFIX ".partial"

static const char help[] = "Usage: custbackup get --store=URL [OPTIONS] ID\n"
						   "       custbackup get --store=URL [OPTIONS] --token=TOKEN --latest\n"
						   "\n"
						   "Fetches one backup.  Its size and sha256 are compared with the manifest before\n"
						   "the first byte is written anywhere.  ID: a backup's id, or the beginning of it.\n"
						   "\n"
						   "  --output=FILE            a new file (default, or '-': standard output), which\n"
						   "                           has its name when it is whole, and is\n"
						   "                           FILE.NUMBER.partial before\n"
						   "  --unpack                 give what the dump tool wrote, without gzip\n"
						   "  --json                   with --output: one JSON object about what was\n"
						   "                           written\n"
						   "\n" STORE_OPTIONS_HELP "Examples:\n"
						   "  custbackup get --store=s3://backups/eu --output=shop.dump.gz 0b9c71e2\n"
						   "  custbackup get --store=s3://backups/eu --token=acme-main --latest --unpack |\n"
						   "    pg_restore --file=shop.sql\n"
						   "\n" COMMAND_SETTINGS_HELP;

typedef struct Get
{
	StoreOptions options;
	const char	*output; /* NULL: standard output */
	bool		 unpack;
	const char	*doing; /* for the progress bar */
	int64_t		 total;
	int			 file; /* of the output, as long as it is not whole */
	char		 partial[PATH_MAX];
} Get;

static bool
take_own(void *own, int code, const char *value, Failure *failure)
{
	Get *get = own;

	if (code == 'u')
		get->unpack = true;
	else if (value[0] == '\0')
		return failure_set(failure, REASON_CONFIG,
						   "--output takes the name of a new file, or - for standard output");
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

/*
 * The file that is written to has a name of its own until it is whole, in the same folder: whoever
 * kills us leaves nothing behind that looks like a backup.
 */
static bool
open_output(Get *get, Failure *failure)
{
	if (access(get->output, F_OK) == 0)
		return failure_set(failure, REASON_CONFIG, "\"%s\" is there already and is not overwritten",
						   get->output);
	if (snprintf(get->partial, sizeof(get->partial), "%s.%d" PARTIAL_SUFFIX, get->output, (int) getpid()) >=
		(int) sizeof(get->partial))
		return failure_set(failure, REASON_CONFIG, "the name \"%s\" is too long", get->output);
	get->file = open(get->partial, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	return get->file >= 0 ||
		   failure_set_errno(failure, REASON_CONFIG, "could not create \"%s\"", get->partial);
}

/* With its name where all went well, gone where not. */
static bool
close_output(Get *get, bool good, Failure *failure)
{
	bool is_named = false;

	if (good && fsync(get->file) < 0 && errno != EINVAL && errno != EROFS)
		good = failure_set_errno(failure, REASON_CONFIG, "could not write \"%s\"", get->output);
	if (close(get->file) < 0 && good)
		good = failure_set_errno(failure, REASON_CONFIG, "could not write \"%s\"", get->output);
	if (good && file_name_new(AT_FDCWD, get->partial, get->output, &is_named) < 0)
		good = errno == EEXIST
				   ? failure_set(failure, REASON_CONFIG, "\"%s\" is there already and is not overwritten",
								 get->output)
				   : failure_set_errno(failure, REASON_CONFIG, "could not create \"%s\"", get->output);
	if (!good)
		unlink(get->partial);
	return good;
}

static bool
fetch_and_copy(Get *get, const StoredObject *object, int to, Failure *failure)
{
	Dump dump;
	bool good;

	get->doing = "fetching";
	get->total = object->stored_bytes;
	if (!fetch_verified(get->options.store, object, tell, get, &dump, failure))
		return false;
	good = copy_dump(get, &dump, to, failure);
	close(dump.fd);
	return good;
}

/* For scripts: what was written, and where to. */
static bool
print_json(const Get *get, const CatalogueEntry *entry, Failure *failure)
{
	const Manifest *manifest = &entry->manifest;
	json_t		   *object =
		json_pack("{s:s, s:s, s:s, s:b, s:I, s:s, s:s}", "key", entry->key, "backup_id", manifest->backup_id,
				  "output", get->output, "unpacked", (int) get->unpack, "bytes",
				  (json_int_t) (get->unpack ? manifest->raw_bytes : manifest->stored_bytes), "sha256",
				  manifest->sha256, "finished_at", manifest->finished_at);
	char *line = object ? json_dumps(object, JSON_COMPACT) : NULL;

	json_decref(object);
	if (!line)
		return failure_set(failure, REASON_CONFIG, "the file's name is no UTF-8: it cannot be told as JSON");
	puts(line);
	free(line);
	return true;
}

static bool
get_backup(Get *get, Failure *failure)
{
	const CatalogueEntry *entry = catalogue_only(&get->options.catalogue, &get->options.filter, failure);
	StoredObject		  object;
	bool				  good;

	if (!entry)
		return false;
	object = (StoredObject){.key = entry->key,
							.version = entry->manifest.version_id,
							.sha256 = entry->manifest.sha256,
							.stored_bytes = entry->manifest.stored_bytes,
							.raw_bytes = entry->manifest.raw_bytes};
	if (get->output && !open_output(get, failure))
		return false;
	good = fetch_and_copy(get, &object, get->output ? get->file : STDOUT_FILENO, failure);
	if (get->output)
		good = close_output(get, good, failure);
	progress_bar_clear(&get->options.bar);
	if (good && get->options.json)
		return print_json(get, entry, failure);
	if (good)
		fprintf(stderr, "%s: %s, sha256 %s of the stored bytes verified\n", entry->key,
				entry->manifest.finished_at, object.sha256);
	return good;
}

static int
get_and_say(Get *get)
{
	Failure failure = {0};

	if (!get->output && get->options.json)
		return command_usage_error(NAME, "--json goes with --output=FILE: standard output is the backup's");
	if (!get->output && isatty(STDOUT_FILENO))
		return command_usage_error(NAME, "a dump is nothing for a terminal: name a file with --output=FILE");
	if (!get_backup(get, &failure))
		return store_options_failed(&get->options, NAME, &failure);
	return command_print(NAME, "");
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
										  .wants_one = true,
										  .takes_json = true};
	int						   status = store_options_open(&get.options, &command, argc, argv);

	if (status < 0)
		status = get_and_say(&get);
	store_options_close(&get.options);
	return status;
}
