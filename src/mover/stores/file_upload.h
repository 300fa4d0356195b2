/*
 * file_upload.h
 *	  Writing one file of a local store, so that it appears whole or not at all.
 *
 * The bytes go into a temporary name in the same folder (file_path.h), which is
 * synced and then renamed without overwriting; the folder is synced after it.
 * The temporary name is the upload's id.  Its writer holds a lock on it as long
 * as it lives, so that what a killed one left can be told from what is at work.
 */
#ifndef FILE_UPLOAD_H
#define FILE_UPLOAD_H

#include "stores/file_path.h"
#include "stores/store.h"

/* root: the store's directory; path: the same for messages.  Both stay the store's, which outlives the upload. */
extern Upload *file_upload_begin(int root, const char *path, const ObjectInfo *info, Failure *failure);

/*
 * The folder of a token, never through a symbolic link; -1 with errno.
 */
extern int file_folder_open(int root, const char *token);

/* Removes temporary files of `name` (NULL: of any) that nobody writes any more. */
extern void file_sweep_partials(int folder, const char *name);

#endif
