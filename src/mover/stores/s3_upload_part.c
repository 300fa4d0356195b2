/*
 * s3_upload_part.c
 *	  The room that an upload's parts have.
 */
#include "stores/s3_upload_part.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "spool.h"

/* One that is filled beside at least one that is sent. */
#define FEWEST_PARTS 2
/* What is written into a spool at once. */
#define WINDOW_BYTES (256 * 1024)

bool
s3_part_room_open(S3PartRoom *room, const Settings *settings, int64_t parallel, Failure *failure)
{
	*room = (S3PartRoom){.settings = settings, .count = parallel + FEWEST_PARTS};
	room->parts = calloc((size_t) room->count, sizeof(S3Part));
	if (!room->parts)
		return failure_no_memory(failure);
	for (int64_t i = 0; i < room->count; i++)
		room->parts[i].fd = -1;
	return true;
}

void
s3_part_room_close(S3PartRoom *room)
{
	for (int64_t i = 0; room->parts && i < room->count; i++)
	{
		s3_part_end(room, &room->parts[i]);
		free(room->parts[i].memory);
		if (room->parts[i].fd >= 0)
			close(room->parts[i].fd);
	}
	free(room->parts);
	free(room->window);
	*room = (S3PartRoom){0};
}

static bool
must_spool(const S3PartRoom *room, int64_t size)
{
	return size * FEWEST_PARTS > room->settings->memory_budget;
}

bool
s3_part_room_left(const S3PartRoom *room, int64_t size)
{
	if (room->used == room->count)
		return false;
	return must_spool(room, size) || (room->used + 1) * size <= room->settings->memory_budget;
}

/* Parts have grown: what unused ones have kept would stand beside the budget. */
static void
forget_smaller(S3PartRoom *room, int64_t size)
{
	for (int64_t i = 0; i < room->count; i++)
	{
		S3Part *part = &room->parts[i];

		if (part->used || part->memory_size >= size)
			continue;
		free(part->memory);
		part->memory = NULL;
		part->memory_size = 0;
	}
}

static bool
give_memory(S3Part *part, int64_t size, Failure *failure)
{
	if (part->memory)
		return true;
	part->memory = malloc((size_t) size);
	part->memory_size = part->memory ? size : 0;
	return part->memory || failure_no_memory(failure);
}

/* With *full: there is no room for it beside the spools that are in use. */
static bool
give_spool(const S3PartRoom *room, S3Part *part, int64_t size, bool *full, Failure *failure)
{
	if (part->fd < 0 && (part->fd = spool_open(room->settings->spool_dir, failure)) < 0)
		return false;
	/* File systems that cannot reserve say so when it is written. */
	if (fallocate(part->fd, 0, 0, size) == 0 || errno != ENOSPC)
		return true;
	close(part->fd);
	part->fd = -1;
	*full = room->used > 0;
	return *full
			   ? false
			   : failure_set(failure, REASON_CONFIG,
							 "a part of %lld bytes does not fit into the spool in \"%s\" (setting spool_dir)",
							 (long long) size, spool_directory(room->settings->spool_dir));
}

/* What has a spool already needs no new room. */
static S3Part *
unused_part(const S3PartRoom *room)
{
	S3Part *found = NULL;

	for (int64_t i = 0; i < room->count; i++)
		if (!room->parts[i].used && (!found || (found->fd < 0 && room->parts[i].fd >= 0)))
			found = &room->parts[i];
	return found;
}

S3Part *
s3_part_begin(S3PartRoom *room, int64_t number, int64_t size, bool *full, Failure *failure)
{
	S3Part *part = unused_part(room);

	*full = false;
	part->spooled = must_spool(room, size);
	forget_smaller(room, size);
	if (part->spooled ? !give_spool(room, part, size, full, failure) : !give_memory(part, size, failure))
		return NULL;
	part->used = true;
	room->used++;
	part->number = number;
	snprintf(part->number_text, sizeof(part->number_text), "%d", (int) number);
	part->size = size;
	part->length = 0;
	return part;
}

bool
s3_part_space(S3PartRoom *room, S3Part *part, void **space, size_t *length, Failure *failure)
{
	*length = (size_t) (part->size - part->length);
	if (!part->spooled)
	{
		*space = part->memory + part->length;
		return true;
	}
	if (!room->window && !(room->window = malloc(WINDOW_BYTES)))
		return failure_no_memory(failure);
	*space = room->window;
	if (*length > WINDOW_BYTES)
		*length = WINDOW_BYTES;
	return true;
}

static bool
spool_window(const S3PartRoom *room, const S3Part *part, size_t length, Failure *failure)
{
	size_t	done = 0;
	ssize_t written;

	while (done < length)
	{
		written = pwrite(part->fd, room->window + done, length - done, part->length + (int64_t) done);
		if (written < 0 && errno == EINTR)
			continue;
		if (written < 0)
			return failure_set_errno(failure, REASON_CONFIG,
									 "could not write a part to the spool in \"%s\" (setting spool_dir)",
									 spool_directory(room->settings->spool_dir));
		done += (size_t) written;
	}
	return true;
}

bool
s3_part_filled(S3PartRoom *room, S3Part *part, size_t length, Failure *failure)
{
	if (part->spooled && !spool_window(room, part, length, failure))
		return false;
	part->length += (int64_t) length;
	return true;
}

HttpBody
s3_part_body(const S3Part *part)
{
	return (HttpBody){.bytes = part->spooled ? NULL : part->memory, .fd = part->fd, .length = part->length};
}

void
s3_part_end(S3PartRoom *room, S3Part *part)
{
	if (!part->used)
		return;
	s3_call_forget_try(&part->task.call);
	part->used = false;
	room->used--;
}
