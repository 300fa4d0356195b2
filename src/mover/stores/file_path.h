/*
 * file_path.h
 *	  Names in a local store: its directory, the folder of a token, and the files in it.
 *
 *	  <directory>/<token>/<name>                         an object or a manifest
 *	  <directory>/<token>/.<name>.<attempt>.partial      the same while it is being written
 */
#ifndef FILE_PATH_H
#define FILE_PATH_H

#include <limits.h>
#include <stdbool.h>

#include "failure.h"

/* 'token/name' in its two parts. */
typedef struct FileKey
{
	char token[NAME_MAX + 1];
	char name[NAME_MAX + 1];
} FileKey;

/* The directory that a file: URL names, percent-decoded, malloc'ed.  NULL: failure, REASON_CONFIG. */
extern char *file_url_directory(const char *url, Failure *failure);

/* Refuses what could lead out of the store, whoever asks. */
extern bool file_key_split(const char *key, FileKey *parts, Failure *failure);

/* The temporary name of an attempt's file; false where it does not fit. */
extern bool file_partial_name(const char *name, const char *attempt_id, char buffer[NAME_MAX + 1]);

/* Is this such a temporary name (name NULL: of any file)? */
extern bool file_is_partial(const char *entry, const char *name);

/*
 * Renames within a folder, never over a file that is there; 0, or -1 with errno.
 * *is_named: whether the new name is there, which it may be although it failed.
 */
extern int file_name_new(int folder, const char *from, const char *to, bool *is_named);

/* fsync of a directory; 0 also where the file system knows no such thing (some of the network's), -1 with errno. */
extern int file_folder_sync(int folder);

/*
 * Records errno: what failed ("write to"), where, and what to do.  REASON_STORE
 * for what an operator must mend, REASON_INTERNAL where this process ran out of
 * something.  Always false.
 */
extern bool file_failure(Failure *failure, const char *action, const char *path);

#endif
