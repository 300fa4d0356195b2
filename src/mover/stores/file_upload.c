/*
 * file_upload.c
 *	  Writing one file of a local store: temporary name, fsync, rename, fsync of the folder.
 */
#include "stores/file_upload.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

/*
 * How much is written before the kernel is asked to begin with it, and how much may
 * wait for the disk: the last fsync then has little left to do, and the host's
 * other users of that disk (a Postgres!) never stand behind gigabytes of ours.
 */
#define WRITEBACK_STEP	(8 * 1024 * 1024)
#define WRITEBACK_LIMIT (128 * 1024 * 1024)

/* Large enough that the kernel is called seldom, small enough to stay in the second-level cache. */
#define BUFFER_SIZE (256 * 1024)

typedef struct FileUpload
{
	Upload		base;
	const char *path; /* of the store */
	FileKey		key;
	char		partial[NAME_MAX + 1];
	int			folder;
	int			file;
	Digest	   *digest;
	int64_t		written;
	int64_t		writeback;	/* up to where the kernel was asked to write */
	bool		is_partial; /* the temporary name exists */
	bool		is_named;	/* the final name exists and is ours */
	char		buffer[BUFFER_SIZE];
} FileUpload;

int
file_folder_open(int root, const char *token)
{
	return openat(root, token, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
}

static int
folder_make(int root, const char *token)
{
	int folder = file_folder_open(root, token);

	if (folder >= 0 || errno != ENOENT)
		return folder;
	if (mkdirat(root, token, 0700) < 0 && errno != EEXIST)
		return -1;
	if (file_folder_sync(root) < 0)
		return -1;
	return file_folder_open(root, token);
}

void
file_sweep_partials(int folder, const char *name)
{
	int			   copy = openat(folder, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR			  *entries = copy < 0 ? NULL : fdopendir(copy);
	struct dirent *entry;

	if (!entries)
	{
		if (copy >= 0)
			close(copy);
		return;
	}
	while ((entry = readdir(entries)))
	{
		int file;

		if (!file_is_partial(entry->d_name, name))
			continue;
		file = openat(folder, entry->d_name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
		if (file < 0)
			continue;
		if (flock(file, LOCK_EX | LOCK_NB) == 0)
			unlinkat(folder, entry->d_name, 0);
		close(file);
	}
	closedir(entries);
}

/* Somebody else's directory could be changed under us; everybody's even more so. */
static bool
may_write_here(int directory, const char *path, Failure *failure)
{
	struct stat info;

	if (fstat(directory, &info) < 0)
		return file_failure(failure, "look at", path);
	if (info.st_uid != geteuid() && info.st_uid != 0 && geteuid() != 0)
		return failure_set(failure, REASON_STORE,
						   "\"%s\" or the token's folder in it belongs to user %lu, not to user %lu who "
						   "would write there; change its owner",
						   path, (unsigned long) info.st_uid, (unsigned long) geteuid());
	if ((info.st_mode & S_IWOTH) && !(info.st_mode & S_ISVTX))
		return failure_set(
			failure, REASON_STORE,
			"everybody may write into \"%s\" or the token's folder in it; take that right away: chmod o-w",
			path);
	return true;
}

static void
upload_free(FileUpload *upload)
{
	if (upload->file >= 0)
		close(upload->file);
	if (upload->folder >= 0)
		close(upload->folder);
	digest_close(upload->digest);
	free(upload);
}

static void
file_abort(Upload *base, Failure *left)
{
	FileUpload *upload = (FileUpload *) base;

	if (upload->is_partial && unlinkat(upload->folder, upload->partial, 0) < 0 && errno != ENOENT)
		failure_set_errno(left, REASON_STORE, "could not remove %s/%s/%s", upload->path, upload->key.token,
						  upload->partial);
	if (upload->is_named && unlinkat(upload->folder, upload->key.name, 0) < 0 && errno != ENOENT)
		failure_set_errno(left, REASON_STORE, "could not remove %s/%s/%s", upload->path, upload->key.token,
						  upload->key.name);
	upload_free(upload);
}

/* Hints: where they are not known, fsync does it all. */
static void
write_back(FileUpload *upload)
{
	const unsigned wait = SYNC_FILE_RANGE_WAIT_BEFORE | SYNC_FILE_RANGE_WRITE | SYNC_FILE_RANGE_WAIT_AFTER;
	int64_t		   oldest = upload->writeback - WRITEBACK_LIMIT;

	sync_file_range(upload->file, upload->writeback, upload->written - upload->writeback,
					SYNC_FILE_RANGE_WRITE);
	if (oldest >= 0)
		sync_file_range(upload->file, oldest, upload->written - upload->writeback, wait);
	upload->writeback = upload->written;
}

static bool
file_room(Upload *base, void **room, size_t *length, Failure *failure)
{
	FileUpload *upload = (FileUpload *) base;

	(void) failure;
	*room = upload->buffer;
	*length = sizeof(upload->buffer);
	return true;
}

static bool
file_filled(Upload *base, size_t length, Failure *failure)
{
	FileUpload *upload = (FileUpload *) base;
	const char *next = upload->buffer;

	if (!digest_add(upload->digest, upload->buffer, length, failure))
		return false;
	while (length > 0)
	{
		ssize_t written = write(upload->file, next, length);

		if (written < 0 && errno == EINTR)
			continue;
		if (written < 0)
			return file_failure(failure, "write into", upload->path);
		next += written;
		length -= (size_t) written;
		upload->written += written;
	}
	if (upload->written - upload->writeback >= WRITEBACK_STEP)
		write_back(upload);
	return true;
}

static int64_t
file_stored(const Upload *base)
{
	return ((const FileUpload *) base)->written;
}

static bool
file_finish(Upload *base, ObjectStat *object, Failure *failure)
{
	FileUpload *upload = (FileUpload *) base;
	struct stat info;
	char		sha256[DIGEST_TEXT_SIZE];

	if (!digest_finish(upload->digest, sha256, failure))
		return false;
	if (fsync(upload->file) < 0 || fstat(upload->file, &info) < 0)
		return file_failure(failure, "write into", upload->path);
	if (info.st_size != upload->written)
		return failure_set(failure, REASON_UPLOAD, "%s/%s/%s holds %lld bytes where %lld were written",
						   upload->path, upload->key.token, upload->partial, (long long) info.st_size,
						   (long long) upload->written);
	if (file_name_new(upload->folder, upload->partial, upload->key.name, &upload->is_named) < 0)
	{
		if (errno == EEXIST)
			return failure_set(failure, REASON_UPLOAD, "%s/%s/%s is there already and is not overwritten",
							   upload->path, upload->key.token, upload->key.name);
		return file_failure(failure, "rename a file in", upload->path);
	}
	upload->is_partial = false;
	upload->is_named = true;
	if (file_folder_sync(upload->folder) < 0)
		return file_failure(failure, "sync", upload->path);
	*object = (ObjectStat){.bytes = info.st_size, .modified = info.st_mtime};
	memcpy(object->sha256, sha256, sizeof(sha256));
	upload_free(upload);
	return true;
}

static bool
open_partial(FileUpload *upload, int root, Failure *failure)
{
	upload->folder = folder_make(root, upload->key.token);
	if (upload->folder < 0)
		return file_failure(failure, "make a token's folder in", upload->path);
	if (!may_write_here(upload->folder, upload->path, failure))
		return false;
	/* What earlier backups of this resource left when they were killed for good. */
	file_sweep_partials(upload->folder, NULL);
	upload->file =
		openat(upload->folder, upload->partial, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
	if (upload->file < 0)
		return file_failure(failure, "create a file in", upload->path);
	upload->is_partial = true;
	/* Without a lock a sweep by somebody else would fail this upload: no more than that. */
	flock(upload->file, LOCK_EX | LOCK_NB);
	return true;
}

Upload *
file_upload_begin(int root, const char *path, const ObjectInfo *info, Failure *failure)
{
	FileUpload *upload = calloc(1, sizeof(*upload));

	if (!upload)
	{
		failure_no_memory(failure);
		return NULL;
	}
	upload->base = (Upload){.room = file_room,
							.filled = file_filled,
							.stored = file_stored,
							.finish = file_finish,
							.abort = file_abort};
	upload->path = path;
	upload->folder = upload->file = -1;
	upload->digest = digest_open(failure);
	if (!upload->digest || !file_key_split(info->key, &upload->key, failure) ||
		!may_write_here(root, path, failure))
		goto failed;
	if (!file_partial_name(upload->key.name, info->attempt_id, upload->partial))
	{
		failure_set(failure, REASON_CONFIG, "the name \"%s\" is too long for a file", upload->key.name);
		goto failed;
	}
	if (info->announce)
		info->announce(info->announce_context, upload->partial);
	if (open_partial(upload, root, failure))
		return &upload->base;
failed:
	file_abort(&upload->base, failure);
	return NULL;
}
