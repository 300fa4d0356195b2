/*
 * store_file.c
 *	  A store that is a local directory, with a folder for each token.
 *
 * Folders are 0700 and files 0600.  Everything is opened relative to the
 * directory's descriptor and never through a symbolic link, so that a link in
 * the store cannot lead out of it.  Files that are not ours are never seen.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cancel.h"
#include "object_key.h"
#include "stores/file_path.h"
#include "stores/file_upload.h"
#include "stores/store_backends.h"

#define READ_SIZE (256 * 1024)

typedef struct FileStore
{
	Store base;
	int	  root; /* the directory */
	char *path; /* the same, for messages */
} FileStore;

static Upload *
file_begin(Store *base, const ObjectInfo *info, Failure *failure)
{
	FileStore *store = (FileStore *) base;

	return file_upload_begin(store->root, store->path, info, failure);
}

/* What openat says where there is nothing of ours. */
static bool
means_missing(int error)
{
	return error == ENOENT || error == ENOTDIR || error == ELOOP;
}

static StoreAnswer
open_object(FileStore *store, const char *key, int *file, struct stat *info, Failure *failure)
{
	FileKey parts;
	int		folder;

	*file = -1;
	if (!file_key_split(key, &parts, failure))
		return STORE_FAILED;
	folder = file_folder_open(store->root, parts.token);
	if (folder >= 0)
	{
		/* Not blocking: a pipe put in an object's place must not hold us up. */
		*file = openat(folder, parts.name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
		if (*file < 0)
		{
			int error = errno;

			close(folder);
			errno = error;
		}
		else
			close(folder);
	}
	if (*file < 0)
	{
		if (means_missing(errno))
			return STORE_MISSING;
		file_failure(failure, "read an object in", store->path);
		return STORE_FAILED;
	}
	if (fstat(*file, info) == 0 && S_ISREG(info->st_mode))
		return STORE_FOUND;
	close(*file);
	*file = -1;
	return STORE_MISSING;
}

static StoreAnswer
file_head(Store *base, const char *key, const char *version, ObjectStat *object, Failure *failure)
{
	struct stat info;
	int			file;
	StoreAnswer answer = open_object((FileStore *) base, key, &file, &info, failure);

	(void) version;
	if (answer != STORE_FOUND)
		return answer;
	close(file);
	*object = (ObjectStat){.bytes = info.st_size, .modified = info.st_mtime};
	return STORE_FOUND;
}

/* Gives the whole file to the caller, who hashes it, from the descriptor that is used afterwards. */
static bool
show_bytes(int	 file, bool (*seen)(void *context, const void *bytes, size_t length, Failure *failure),
		   void *context, Failure *failure)
{
	char   *buffer = malloc(READ_SIZE);
	int64_t offset = 0;
	ssize_t got;
	bool	good = true;

	if (!buffer)
		return failure_no_memory(failure);
	posix_fadvise(file, 0, 0, POSIX_FADV_SEQUENTIAL);
	while (good && (got = pread(file, buffer, READ_SIZE, offset)) != 0)
	{
		if (got > 0)
		{
			offset += got;
			good = seen(context, buffer, (size_t) got, failure);
		}
		else if (errno != EINTR)
			good = failure_set_errno(failure, REASON_DOWNLOAD, "could not read the stored object");
	}
	free(buffer);
	return good;
}

static StoreAnswer
file_fetch(Store *base, const char *key, const char *version,
		   bool (*seen)(void *context, const void *bytes, size_t length, Failure *failure), void *context,
		   int *fd, int64_t *bytes, Failure *failure)
{
	struct stat info;
	int			file;
	StoreAnswer answer = open_object((FileStore *) base, key, &file, &info, failure);

	(void) version;
	if (answer != STORE_FOUND)
		return answer;
	if (!object_has_length(key, info.st_size, *bytes, failure) ||
		(seen && !show_bytes(file, seen, context, failure)))
	{
		close(file);
		return STORE_FAILED;
	}
	*fd = file;
	*bytes = info.st_size;
	return STORE_FOUND;
}

static bool
read_whole(int file, char *buffer, size_t length, Failure *failure)
{
	size_t done = 0;

	while (done < length)
	{
		ssize_t got = pread(file, buffer + done, length - done, (off_t) done);

		if (got < 0 && errno == EINTR)
			continue;
		if (got < 0)
			return failure_set_errno(failure, REASON_DOWNLOAD, "could not read the stored object");
		if (got == 0)
			return failure_set(failure, REASON_DOWNLOAD,
							   "the stored object became shorter while it was read");
		done += (size_t) got;
	}
	return true;
}

static StoreAnswer
file_read_small(Store *base, const char *key, size_t max, char **bytes, size_t *length, Failure *failure)
{
	struct stat info;
	int			file;
	StoreAnswer answer = open_object((FileStore *) base, key, &file, &info, failure);

	if (answer != STORE_FOUND)
		return answer;
	*length = (size_t) info.st_size;
	*bytes = NULL;
	if (info.st_size > (off_t) max)
		failure_set(failure, REASON_INTEGRITY, "\"%s\" holds %lld bytes where at most %zu are sane", key,
					(long long) info.st_size, max);
	else if (!(*bytes = malloc(*length + 1)))
		failure_no_memory(failure);
	else if (read_whole(file, *bytes, *length, failure))
	{
		(*bytes)[*length] = '\0';
		close(file);
		return STORE_FOUND;
	}
	free(*bytes);
	*bytes = NULL;
	close(file);
	return STORE_FAILED;
}

/* One after another: a file is read in less time than a second reader would take to start. */
static bool
file_read_many(Store *base, const SmallReads *reads, Failure *failure)
{
	for (size_t i = 0; i < reads->count; i++)
	{
		char		key[OBJECT_KEY_SIZE];
		char	   *bytes = NULL;
		size_t		length = 0;
		Failure		problem = {0};
		StoreAnswer answer;
		bool		go_on;

		if (cancel_requested())
			return cancel_failure(failure);
		if (!reads->name(reads->context, i, key, failure))
			return false;
		answer = file_read_small(base, key, reads->max, &bytes, &length, &problem);
		go_on = reads->take(reads->context, i, answer, bytes, length, &problem, failure);
		free(bytes);
		if (!go_on)
			return false;
	}
	return true;
}

static bool
file_remove(Store *base, const char *key, const char *version, Failure *failure)
{
	FileStore *store = (FileStore *) base;
	FileKey	   parts;
	int		   folder;
	bool	   good;

	(void) version;
	if (!file_key_split(key, &parts, failure))
		return false;
	folder = file_folder_open(store->root, parts.token);
	if (folder < 0)
		return errno == ENOENT || file_failure(failure, "remove an object from", store->path);
	if (unlinkat(folder, parts.name, 0) == 0)
		good = file_folder_sync(folder) == 0 || file_failure(failure, "sync", store->path);
	else
		good = errno == ENOENT || file_failure(failure, "remove an object from", store->path);
	close(folder);
	return good;
}

static bool
file_abort_left(Store *base, const char *key, const char *upload_id, Failure *failure)
{
	FileStore *store = (FileStore *) base;
	FileKey	   parts;
	int		   folder;
	bool	   good = true;

	if (!file_key_split(key, &parts, failure))
		return false;
	if (upload_id && !file_is_partial(upload_id, parts.name))
		return failure_set(failure, REASON_CONFIG, "\"%s\" is no upload of \"%s\" in a local store",
						   upload_id, key);
	folder = file_folder_open(store->root, parts.token);
	if (folder < 0)
		return errno == ENOENT || file_failure(failure, "look into", store->path);
	if (!upload_id)
		file_sweep_partials(folder, parts.name);
	else if (unlinkat(folder, upload_id, 0) < 0 && errno != ENOENT)
		good = file_failure(failure, "remove an unfinished file from", store->path);
	close(folder);
	return good;
}

static int
is_visible(const struct dirent *entry)
{
	return entry->d_name[0] != '.';
}

static bool
list_folder(FileStore *store, const char *token, const char *prefix, StoreVisitor visitor, void *context,
			Failure *failure)
{
	struct dirent **entries = NULL;
	int				folder = file_folder_open(store->root, token);
	int				count;
	bool			more = true;

	if (folder < 0)
		return means_missing(errno) || file_failure(failure, "list", store->path);
	count = scandirat(folder, ".", &entries, is_visible, alphasort);
	if (count < 0)
		more = file_failure(failure, "list", store->path);
	for (int i = 0; i < count; i++)
	{
		char		key[2 * NAME_MAX + 2];
		struct stat info;

		snprintf(key, sizeof(key), "%s/%s", token, entries[i]->d_name);
		if (more && object_key_is_safe(key) && strncmp(key, prefix, strlen(prefix)) == 0 &&
			fstatat(folder, entries[i]->d_name, &info, AT_SYMLINK_NOFOLLOW) == 0 && S_ISREG(info.st_mode))
			more = visitor(context, key, info.st_size, info.st_mtime, failure);
		free(entries[i]);
	}
	free(entries);
	close(folder);
	return more;
}

/* Could a key in this folder begin with the prefix? */
static bool
folder_matches(const char *token, const char *prefix)
{
	size_t length = strcspn(prefix, "/");

	return strncmp(token, prefix, length) == 0 && (prefix[length] == '\0' || token[length] == '\0');
}

static bool
file_list(Store *base, const char *prefix, StoreVisitor visitor, void *context, Failure *failure)
{
	FileStore	   *store = (FileStore *) base;
	struct dirent **tokens = NULL;
	int				count = scandirat(store->root, ".", &tokens, is_visible, alphasort);
	bool			more = true;

	if (count < 0)
		return file_failure(failure, "list", store->path);
	for (int i = 0; i < count; i++)
	{
		if (more && object_token_is_safe(tokens[i]->d_name) && folder_matches(tokens[i]->d_name, prefix))
			more = list_folder(store, tokens[i]->d_name, prefix, visitor, context, failure);
		free(tokens[i]);
	}
	free(tokens);
	return failure->reason == REASON_NONE;
}

static void
file_close(Store *base)
{
	FileStore *store = (FileStore *) base;

	if (store->root >= 0)
		close(store->root);
	free(store->path);
	free(store);
}

Store *
store_file_open(const char *name, const char *url, const Settings *settings, Failure *failure)
{
	FileStore *store = calloc(1, sizeof(*store));

	(void) name;
	(void) settings;
	if (!store)
	{
		failure_no_memory(failure);
		return NULL;
	}
	store->base = (Store){.scheme = "file",
						  .begin = file_begin,
						  .head = file_head,
						  .fetch = file_fetch,
						  .read_small = file_read_small,
						  .read_many = file_read_many,
						  .list = file_list,
						  .remove = file_remove,
						  .abort_left = file_abort_left,
						  .close = file_close};
	store->root = -1;
	store->path = file_url_directory(url, failure);
	if (store->path)
	{
		store->root = open(store->path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
		if (store->root >= 0)
			return &store->base;
		file_failure(failure, "open", store->path);
	}
	file_close(&store->base);
	return NULL;
}
