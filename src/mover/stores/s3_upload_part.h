/*
 * s3_upload_part.h
 *	  The room that an upload's parts have: memory within the budget, else unnamed spools.
 *
 * A part must stay re-sendable until its answer, so its bytes stay where they are
 * from the first byte that is filled in until the store has taken them.
 */
#ifndef S3_UPLOAD_PART_H
#define S3_UPLOAD_PART_H

#include "part_digest.h"
#include "stores/s3_transfer.h"

typedef struct S3Part S3Part;

struct S3Part
{
	S3Task		  task; /* first: a task that comes back is its part */
	bool		  used;
	S3Part		 *next; /* in the hasher's queue */
	int64_t		  number;
	char		  number_text[8];
	int64_t		  size; /* when it is full */
	int64_t		  length;
	char		 *memory;
	int64_t		  memory_size;
	bool		  spooled;
	int			  fd; /* -1: none yet */
	unsigned char sha256[PART_DIGEST_BYTES];
};

typedef struct S3PartRoom
{
	const Settings *settings;
	S3Part		   *parts;
	int64_t			count; /* in the array */
	int64_t			used;
	char		   *window; /* through which spooled parts are filled; NULL: none was yet */
} S3PartRoom;

extern bool s3_part_room_open(S3PartRoom *room, const Settings *settings, int64_t parallel, Failure *failure);
extern void s3_part_room_close(S3PartRoom *room);

/* True: a part of this size may be begun now; otherwise one must come back first. */
extern bool s3_part_room_left(const S3PartRoom *room, int64_t size);

/*
 * The bytes of a part that is spooled are reserved here.  NULL with *full and without
 * a failure: they do not fit while others are in use, so one must come back first.
 */
extern S3Part *s3_part_begin(S3PartRoom *room, int64_t number, int64_t size, bool *full, Failure *failure);

/* Where the next bytes of a part go that is not full: *length of them, at least one. */
extern bool s3_part_space(S3PartRoom *room, S3Part *part, void **space, size_t *length, Failure *failure);

/* The first `length` bytes of that space are the part's now. */
extern bool		s3_part_filled(S3PartRoom *room, S3Part *part, size_t length, Failure *failure);
extern HttpBody s3_part_body(const S3Part *part);
extern void		s3_part_end(S3PartRoom *room, S3Part *part);

#endif
