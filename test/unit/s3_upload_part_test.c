/* s3_upload_part.c: what the parts of an upload hold in memory, also while they grow. */
#include "stores/s3_upload_part.h"

#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "tap.h"

#define BUDGET	 (64 * S3_MIB)
#define PARALLEL 4

static int64_t
memory_of(const S3PartRoom *room)
{
	int64_t bytes = 0;

	for (int64_t i = 0; i < room->count; i++)
		bytes += room->parts[i].memory_size;
	return bytes;
}

/* Fills the room with parts of this size, and lets them go. */
static int
fill(S3PartRoom *room, int64_t size)
{
	Failure failure = {0};
	S3Part *parts[64];
	int		count = 0;
	bool	full;

	while (s3_part_room_left(room, size) &&
		   (parts[count] = s3_part_begin(room, count + 1, size, &full, &failure)))
		count++;
	ok(failure.reason == REASON_NONE && memory_of(room) <= BUDGET, "%d parts of %lld MiB hold %lld MiB",
	   count, (long long) (size / S3_MIB), (long long) (memory_of(room) / S3_MIB));
	for (int i = 0; i < count; i++)
		s3_part_end(room, parts[i]);
	return count;
}

int
main(void)
{
	Settings   settings = {.memory_budget = BUDGET, .spool_dir = "/tmp"};
	S3PartRoom room;
	Failure	   failure = {0};
	void	  *space;
	size_t	   length;
	bool	   full;

	ok(s3_part_room_open(&room, &settings, PARALLEL, &failure), "there is room");
	is_int(fill(&room, 8 * S3_MIB), PARALLEL + 2, "one is filled, one is hashed, the others are sent");
	is_int(fill(&room, 16 * S3_MIB), 4, "parts of twice the size are half as many");
	is_int(fill(&room, 32 * S3_MIB), 2, "and again");
	is_int(fill(&room, 64 * S3_MIB), PARALLEL + 2, "what the budget cannot hold twice is spooled");
	is_int(memory_of(&room), 0, "and then nothing is held");
	s3_part_room_close(&room);

	settings.memory_budget = 5 * S3_MIB;
	ok(s3_part_room_open(&room, &settings, PARALLEL, &failure), "a budget below one part");
	is_int(fill(&room, 8 * S3_MIB), PARALLEL + 2, "is kept by spools");
	is_int(memory_of(&room), 0, "alone");

	settings.spool_dir = "/nowhere";
	s3_part_room_close(&room);
	ok(s3_part_room_open(&room, &settings, PARALLEL, &failure) &&
		   !s3_part_begin(&room, 1, 8 * S3_MIB, &full, &failure) && failure.reason == REASON_CONFIG &&
		   room.used == 0,
	   "no spool, no part: %s", failure.detail);
	s3_part_room_close(&room);

	/* A file system without room. */
	failure = (Failure){0};
	settings.spool_dir = "/tmp";
	ok(s3_part_room_open(&room, &settings, PARALLEL, &failure), "a room of spools");
	{
		S3Part *part = s3_part_begin(&room, 1, 8 * S3_MIB, &full, &failure);
		int		own = part->fd;

		part->fd = open("/dev/full", O_RDWR | O_CLOEXEC);
		ok(s3_part_space(&room, part, &space, &length, &failure) && length > 0, "there is space in a part");
		memset(space, 0, length);
		ok(!s3_part_filled(&room, part, length, &failure) && failure.reason == REASON_CONFIG &&
			   strstr(failure.detail, "spool"),
		   "a full spool: %s", failure.detail);
		close(own);
		s3_part_end(&room, part);
	}
	s3_part_room_close(&room);
	return done_testing();
}
