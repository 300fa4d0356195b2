/*
 * store.h
 *	  Where objects lie: a local directory (file:///dir) or a bucket (s3://...).
 *
 * A store knows keys and bytes; it knows nothing of dumps, gzip, engines or
 * resources.  Keys are relative ('token/id.dump.gz'), already checked by
 * object_key_is_safe(); the store puts its own prefix in front.
 *
 * An upload owns its buffers and lends the room in them: whoever makes the bytes puts
 * them where they will be sent from.  It hashes them; finish returns only when the
 * object is known to be there (fsync of file and directory; HEAD), abort leaves nothing.
 * An implementation may run threads of its own between begin and finish/abort; they
 * are joined when those return.
 *
 * Failures: REASON_STORE for what the operator must mend (rights, missing
 * bucket or directory, no space), REASON_UPLOAD and REASON_DOWNLOAD for what did
 * not work this time, REASON_INTEGRITY for an object that is missing or is not what it was.
 */
#ifndef STORE_H
#define STORE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "digest.h"
#include "failure.h"
#include "object_key.h"
#include "settings.h"

typedef struct Store  Store;
typedef struct Upload Upload;

/* What is fixed when an upload begins; borrowed for the call of begin() alone. */
typedef struct ObjectInfo
{
	const char *key;
	const char *content_type; /* application/gzip, application/json */
	const char *attempt_id;	  /* kept in the object's metadata where the store has metadata */
	const char *backup_id;
	const char *resource_type;
	int64_t		expected_bytes; /* -1: unknown */
	/* Seconds since 1970: locked until then where the store's URL asks for locks; 0: no wish. */
	int64_t retain_until;
	/*
	 * Called in the caller's thread, from begin(), room() or finish(): before anything is
	 * stored, and, where that was with upload_id NULL and the object goes up in parts, once
	 * more with their upload's id before the first of them.  NULL: nobody wants to know.
	 */
	void (*announce)(void *context, const char *upload_id);
	void *announce_context;
} ObjectInfo;

/* What is known of an object that is there. */
typedef struct ObjectStat
{
	int64_t bytes;
	char   *version;	  /* NULL: none */
	char   *etag;		  /* NULL: none */
	char   *attempt_id;	  /* from the metadata; NULL: unknown */
	char   *encryption;	  /* by the store: 'AES256', 'aws:kms'; NULL: it speaks of none */
	int64_t modified;	  /* seconds since 1970, the store's clock */
	bool	is_hidden;	  /* with STORE_MISSING: a delete marker lies over it, its versions may be there */
	int64_t locked_until; /* the same; 0: nothing keeps it from being deleted; UTC_FOR_EVER: a legal hold */
	char	sha256[DIGEST_TEXT_SIZE]; /* of what was uploaded, from finish(); otherwise "" */
} ObjectStat;

typedef enum StoreAnswer
{
	STORE_FAILED = -1, /* failure is set */
	STORE_MISSING = 0, /* no such object: no failure is set */
	STORE_FOUND = 1
} StoreAnswer;

/* Return false to stop the listing (with a failure set, or without: enough seen). */
typedef bool (*StoreVisitor)(void *context, const char *key, int64_t bytes, int64_t modified,
							 Failure *failure);

/* Small objects that are read several at a time, called 0 to count - 1. */
typedef struct SmallReads
{
	size_t count;
	size_t max; /* bytes of each */
	void  *context;
	bool (*name)(void *context, size_t index, char key[OBJECT_KEY_SIZE], Failure *failure);
	/*
	 * Called once for each, in the caller's thread, in whatever order they arrive.  The
	 * bytes are borrowed, and NUL-terminated; problem says why STORE_FAILED.  False, with the failure
	 * set: no more are read.
	 */
	bool (*take)(void *context, size_t index, StoreAnswer answer, const char *bytes, size_t length,
				 const Failure *problem, Failure *failure);
} SmallReads;

struct Upload
{
	/* Where the next bytes go: *length of them, at least one.  Lent until filled() is called. */
	bool (*room)(Upload *upload, void **room, size_t *length, Failure *failure);
	/* The first `length` bytes of that room are the object's now. */
	bool (*filled)(Upload *upload, size_t length, Failure *failure);
	/* Bytes that the store has taken for good so far, for progress; any thread's truth. */
	int64_t (*stored)(const Upload *upload);
	/* On success frees the upload and fills *stat; on failure the caller still calls abort. */
	bool (*finish)(Upload *upload, ObjectStat *stat, Failure *failure);
	/* Stops, removes what was written, frees.  *left: why something stayed; REASON_LOCKED: object lock keeps it. */
	void (*abort)(Upload *upload, Failure *left);
};

struct Store
{
	const char *scheme; /* "file", "s3" */
	/* Overwrites nothing that is there already under this key: REASON_UPLOAD. */
	Upload *(*begin)(Store *store, const ObjectInfo *info, Failure *failure);
	StoreAnswer (*head)(Store *store, const char *key, const char *version, ObjectStat *stat,
						Failure *failure);
	/*
	 * Opens the stored bytes for reading.  A local store gives its own file (read
	 * only); a remote one fetches into a spool.  *fd is the caller's.  `seen` is
	 * called with each run of bytes in order as they arrive, for hashing and
	 * progress; NULL for a local store's caller that would rather read the descriptor.
	 * *bytes: how long it must be, -1: that is not known; then how long it is.  An object
	 * of another length is REASON_INTEGRITY before anything of it is fetched.
	 */
	StoreAnswer (*fetch)(Store *store, const char *key, const char *version,
						 bool (*seen)(void *context, const void *bytes, size_t length, Failure *failure),
						 void *context, int *fd, int64_t *bytes, Failure *failure);
	/* Whole small objects (manifests), at most max bytes; *bytes is malloc'ed and NUL-terminated. */
	StoreAnswer (*read_small)(Store *store, const char *key, size_t max, char **bytes, size_t *length,
							  Failure *failure);
	/* The same for many of them.  False: the store could not be read, or take() wanted no more. */
	bool (*read_many)(Store *store, const SmallReads *reads, Failure *failure);
	bool (*list)(Store *store, const char *prefix, StoreVisitor visitor, void *context, Failure *failure);
	/*
	 * Deleting what is not there is no failure.  version NULL: the only one.
	 * REASON_LOCKED: object lock keeps it; head() says until when.
	 */
	bool (*remove)(Store *store, const char *key, const char *version, Failure *failure);
	/* Ends an upload that another process left; not there is no failure.  upload_id NULL: whatever is left of this key. */
	bool (*abort_left)(Store *store, const char *key, const char *upload_id, Failure *failure);
	void (*close)(Store *store);
};

/* By the URL's scheme.  name: the profile for credentials.  NULL: failure. */
extern Store *store_open(const char *name, const char *url, const Settings *settings, Failure *failure);
/* Fills room after room with what lies elsewhere, of any length. */
extern bool upload_write(Upload *upload, const void *bytes, size_t length, Failure *failure);
/* What fetch() says of an object's length, by whatever store it lies in. */
extern bool object_has_length(const char *key, int64_t bytes, int64_t expected, Failure *failure);
extern void object_stat_free(ObjectStat *stat);

#endif
