/*
 * file_path.c
 *	  Names in a local store, and what is said when the file system refuses.
 */
#include "stores/file_path.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "object_key.h"
#include "text.h"

#define PARTIAL_SUFFIX ".partial"
#define UUID_LENGTH	   36

/* In place; false where an escape is broken or yields a control character. */
static bool
percent_decode(char *text)
{
	size_t length = strlen(text);

	return text_percent_decode(text, &length) && strlen(text) == length && !text_has_control_character(text);
}

/* '..' would make a path mean another place than it seems to. */
static bool
has_dot_component(const char *path)
{
	while (*path)
	{
		size_t length = strcspn(path, "/");

		if ((length == 1 && path[0] == '.') || (length == 2 && path[0] == '.' && path[1] == '.'))
			return true;
		path += length + (path[length] == '/');
	}
	return false;
}

char *
file_url_directory(const char *url, Failure *failure)
{
	const char *path = url;
	char	   *directory;

	if (strncmp(path, "file://", 7) == 0)
		path += 7;
	else
		path = "";
	if (strncmp(path, "localhost/", 10) == 0)
		path += 9;
	if (*path != '/' || strpbrk(path, "?#"))
	{
		failure_set(failure, REASON_CONFIG,
					"a local store's URL is file:///absolute/directory, without host, query or fragment; "
					"this one is not: %s",
					url);
		return NULL;
	}
	directory = strdup(path);
	if (!directory)
	{
		failure_no_memory(failure);
		return NULL;
	}
	if (!percent_decode(directory) || has_dot_component(directory))
	{
		failure_set(failure, REASON_CONFIG,
					"a local store's URL holds '.' or '..', a control character or a broken %%-escape; write "
					"the directory plainly: %s",
					url);
		free(directory);
		return NULL;
	}
	return directory;
}

bool
file_key_split(const char *key, FileKey *parts, Failure *failure)
{
	const char *slash = strchr(key, '/');
	size_t		token_length = slash ? (size_t) (slash - key) : 0;

	if (slash && token_length <= NAME_MAX && strlen(slash + 1) <= NAME_MAX)
	{
		snprintf(parts->token, sizeof(parts->token), "%.*s", (int) token_length, key);
		snprintf(parts->name, sizeof(parts->name), "%s", slash + 1);
		if (object_token_is_safe(parts->token) && object_token_is_safe(parts->name))
			return true;
	}
	return failure_set(failure, REASON_CONFIG,
					   "\"%s\" is no key of an object: token/name, with letters, digits and ._- alone", key);
}

bool
file_partial_name(const char *name, const char *attempt_id, char buffer[NAME_MAX + 1])
{
	return snprintf(buffer, NAME_MAX + 1, ".%s.%s" PARTIAL_SUFFIX, name, attempt_id) <= NAME_MAX;
}

/* '.' name '.' uuid '.partial', and the name one that an object or manifest may have. */
bool
file_is_partial(const char *entry, const char *name)
{
	const size_t tail = 1 + UUID_LENGTH + strlen(PARTIAL_SUFFIX);
	size_t		 length = strlen(entry);
	char		 key[NAME_MAX + 3];

	if (entry[0] != '.' || length <= 1 + tail || length > NAME_MAX ||
		strcmp(entry + length - strlen(PARTIAL_SUFFIX), PARTIAL_SUFFIX) != 0 || entry[length - tail] != '.' ||
		!text_is_uuid(entry + length - tail + 1, UUID_LENGTH))
		return false;
	snprintf(key, sizeof(key), "t/%.*s", (int) (length - tail - 1), entry + 1);
	return name ? strcmp(key + 2, name) == 0 : object_key_is_safe(key);
}

int
file_name_new(int folder, const char *from, const char *to, bool *is_named)
{
	*is_named = renameat2(folder, from, folder, to, RENAME_NOREPLACE) == 0;
	if (*is_named)
		return 0;
	if (errno != EINVAL && errno != ENOSYS)
		return -1;
	/* A file system that cannot refuse to overwrite (NFS): a second link does refuse. */
	*is_named = linkat(folder, from, folder, to, 0) == 0;
	return *is_named ? unlinkat(folder, from, 0) : -1;
}

int
file_folder_sync(int folder)
{
	return fsync(folder) == 0 || errno == EINVAL ? 0 : -1;
}

bool
file_failure(Failure *failure, const char *action, const char *path)
{
	switch (errno)
	{
		case ENOSPC:
		case EDQUOT:
			return failure_set(failure, REASON_STORE,
							   "could not %s \"%s\": the store's file system is full; free some space",
							   action, path);
		case EROFS:
			return failure_set(failure, REASON_STORE,
							   "could not %s \"%s\": the store's file system is mounted read-only", action,
							   path);
		case EACCES:
		case EPERM:
			return failure_set(failure, REASON_STORE,
							   "could not %s \"%s\": permission denied; the store's directory must belong to "
							   "user id %lu, who may write there (0700)",
							   action, path, (unsigned long) geteuid());
		case ENOENT:
			return failure_set(failure, REASON_STORE,
							   "could not %s \"%s\": it does not exist; create the store's directory first",
							   action, path);
		case ENOTDIR:
		case ELOOP:
			return failure_set(
				failure, REASON_STORE,
				"could not %s \"%s\": it is no directory of the store's own, or a symbolic link", action,
				path);
		case ENOMEM:
		case EMFILE:
		case ENFILE:
			return failure_set_errno(failure, REASON_INTERNAL, "could not %s \"%s\"", action, path);
		default:
			return failure_set_errno(failure, REASON_STORE, "could not %s \"%s\"", action, path);
	}
}
