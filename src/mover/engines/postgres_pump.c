/*
 * postgres_pump.c
 *	  One round: read what can be read, write what can be written, wait only when
 *	  nothing moved.
 */
#include "postgres_pump.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cancel.h"

#define IDLE_MILLISECONDS 1000

/* What a caller wants moved besides. */
typedef struct Input
{
	const char *bytes; /* for pg_restore's stdin */
	size_t		length;
} Input;

bool
postgres_pump_open(PostgresPump *pump, Failure *failure)
{
	pump->psql = (Child){.stdin_fd = -1, .stdout_fd = -1, .stderr_fd = -1};
	pump->pg_restore = pump->psql;
	pump->buffer = malloc(POSTGRES_PUMP_BUFFER);
	return pump->buffer != NULL || failure_no_memory(failure);
}

bool
postgres_pump_start_psql(PostgresPump *pump, const ChildSpec *spec, Failure *failure)
{
	pump->begin = pump->end = pump->line_length = 0;
	pump->head_seen = false;
	pump->psql_ended = false;
	return child_start(spec, &pump->psql, failure);
}

bool
postgres_pump_start_restore(PostgresPump *pump, const ChildSpec *spec, Failure *failure)
{
	return child_start(spec, &pump->pg_restore, failure);
}

bool
postgres_pump_psql_ended(const PostgresPump *pump)
{
	return pump->psql_ended;
}

/* psql's answers, cut into lines; a longer one than we ever asked for is cut off. */
static void
take_answers(PostgresPump *pump, const char *bytes, size_t length)
{
	for (size_t i = 0; i < length; i++)
	{
		if (bytes[i] != '\n')
		{
			if (pump->line_length < POSTGRES_LINE_SIZE - 1)
				pump->line[pump->line_length++] = bytes[i];
			continue;
		}
		pump->line[pump->line_length] = '\0';
		pump->line_length = 0;
		pump->answer(pump->context, pump->line);
	}
}

static bool
read_answers(PostgresPump *pump, bool *moved)
{
	char	bytes[16 * 1024];
	ssize_t got;

	if (pump->psql.stdout_fd < 0)
		return true;
	got = read(pump->psql.stdout_fd, bytes, sizeof(bytes));
	if (got > 0)
	{
		take_answers(pump, bytes, (size_t) got);
		*moved = true;
	}
	else if (got == 0)
		pump->psql_ended = true;
	return !pump->psql_ended;
}

/* How many of the buffer's bytes may go: all but the tail while pg_restore may write more. */
static size_t
sendable(const PostgresPump *pump)
{
	size_t held = pump->end - pump->begin;

	if (pump->pg_restore.pid == 0)
		return held;
	if (!pump->head_seen || held <= POSTGRES_TAIL_SIZE)
		return 0;
	return held - POSTGRES_TAIL_SIZE;
}

static bool
write_psql(PostgresPump *pump, bool *moved)
{
	size_t	length = sendable(pump);
	ssize_t written;

	if (length == 0 || pump->psql.stdin_fd < 0)
		return true;
	written = write(pump->psql.stdin_fd, pump->buffer + pump->begin, length);
	if (written > 0)
	{
		pump->begin += (size_t) written;
		*moved = true;
	}
	else if (written < 0 && errno == EPIPE)
		pump->psql_ended = true;
	return !pump->psql_ended;
}

/* Room at the buffer's end, made by moving what is left to its beginning. */
static size_t
make_room(PostgresPump *pump)
{
	size_t held = pump->end - pump->begin;

	/* What is moved is little, or the buffer is half empty: bytes are not moved over and over. */
	if (pump->begin > 0 && (held <= POSTGRES_TAIL_SIZE || pump->begin >= POSTGRES_PUMP_BUFFER / 2))
	{
		memmove(pump->buffer, pump->buffer + pump->begin, held);
		pump->begin = 0;
		pump->end = held;
	}
	return POSTGRES_PUMP_BUFFER - pump->end;
}

static bool
check_head(PostgresPump *pump, Failure *failure)
{
	switch (postgres_script_head(pump->buffer + pump->begin, pump->end - pump->begin, pump->server_version,
								 pump->word))
	{
		case POSTGRES_HEAD_GOOD:
			pump->head_seen = true;
			if (pump->keeps_path)
				postgres_script_keep_path(pump->buffer + pump->begin, pump->end - pump->begin);
			return true;
		case POSTGRES_HEAD_SHORT:
			if (pump->end < POSTGRES_PUMP_BUFFER)
				return true;
			break;
		case POSTGRES_HEAD_BAD:
			break;
	}
	return failure_set(
		failure, REASON_RESTORE,
		"pg_restore's script does not begin with \\restrict, which guards this machine from it");
}

static bool
read_restore(PostgresPump *pump, bool *moved, Failure *failure)
{
	size_t	room = pump->pg_restore.stdout_fd >= 0 ? make_room(pump) : 0;
	ssize_t got;

	if (room == 0)
		return true;
	got = read(pump->pg_restore.stdout_fd, pump->buffer + pump->end, room);
	if (got > 0)
	{
		pump->end += (size_t) got;
		*moved = true;
		return pump->head_seen || check_head(pump, failure);
	}
	if (got == 0)
	{
		close(pump->pg_restore.stdout_fd);
		pump->pg_restore.stdout_fd = -1;
		*moved = true;
	}
	return true;
}

/*
 * pg_restore stops reading after the last entry that it wants, so a closed pipe is
 * no failure: its exit status tells.
 */
static void
write_restore(PostgresPump *pump, Input *input, bool *moved)
{
	ssize_t written;

	if (input->length == 0)
		return;
	if (pump->pg_restore.stdin_fd < 0)
	{
		input->length = 0;
		*moved = true;
		return;
	}
	written = write(pump->pg_restore.stdin_fd, input->bytes, input->length);
	if (written > 0)
	{
		input->bytes += written;
		input->length -= (size_t) written;
		*moved = true;
	}
	else if (written < 0 && errno == EPIPE)
	{
		child_close_stdin(&pump->pg_restore);
		input->length = 0;
		*moved = true;
	}
}

static bool
wait_for_pipes(PostgresPump *pump, const Input *input, Failure *failure)
{
	struct pollfd fds[7] = {
		{.fd = pump->psql.stdout_fd, .events = POLLIN},
		{.fd = pump->psql.stderr_fd, .events = POLLIN},
		{.fd = sendable(pump) > 0 ? pump->psql.stdin_fd : -1, .events = POLLOUT},
		{.fd = pump->end < POSTGRES_PUMP_BUFFER ? pump->pg_restore.stdout_fd : -1, .events = POLLIN},
		{.fd = pump->pg_restore.stderr_fd, .events = POLLIN},
		{.fd = input->length > 0 ? pump->pg_restore.stdin_fd : -1, .events = POLLOUT},
		{.fd = pump->uncancellable ? -1 : cancel_fd(), .events = POLLIN},
	};
	int ready = poll(fds, 7, IDLE_MILLISECONDS);

	if (ready < 0 && errno != EINTR)
		return failure_set_errno(failure, REASON_INTERNAL, "could not wait for psql and pg_restore");
	if (fds[1].revents != 0)
		child_drain_stderr(&pump->psql);
	if (fds[4].revents != 0)
		child_drain_stderr(&pump->pg_restore);
	if (ready == 0 && pump->idle != NULL)
		return pump->idle(pump->context, failure);
	return true;
}

static bool
one_round(PostgresPump *pump, Input *input, Failure *failure)
{
	bool moved = false;

	if (!pump->uncancellable && cancel_requested())
		return cancel_failure(failure);
	if (!read_answers(pump, &moved) || !read_restore(pump, &moved, failure) || !write_psql(pump, &moved))
		return false;
	write_restore(pump, input, &moved);
	return moved || wait_for_pipes(pump, input, failure);
}

bool
postgres_pump_say(PostgresPump *pump, const char *text, size_t length, Failure *failure)
{
	Input nothing = {0};

	while (length > 0)
	{
		size_t room = make_room(pump);
		size_t part = length < room ? length : room;

		memcpy(pump->buffer + pump->end, text, part);
		pump->end += part;
		text += part;
		length -= part;
		if (!one_round(pump, &nothing, failure))
			return false;
	}
	return true;
}

bool
postgres_pump_wait(PostgresPump *pump, const bool *done, Failure *failure)
{
	Input nothing = {0};

	while (!*done)
	{
		if (!one_round(pump, &nothing, failure))
			return false;
	}
	return true;
}

static bool
restore_failed(PostgresPump *pump, Failure *failure)
{
	const char *said = child_stderr(&pump->pg_restore);

	return failure_set(failure, REASON_RESTORE, "pg_restore %s%s%s", child_status_text(&pump->pg_restore),
					   said[0] != '\0' ? ": " : "", said);
}

/* It reads and writes no more. */
static bool
restore_is_gone(const PostgresPump *pump)
{
	return pump->pg_restore.stdin_fd < 0 && pump->pg_restore.stdout_fd < 0;
}

static bool
restore_succeeded(PostgresPump *pump, Failure *failure)
{
	if (!child_wait(&pump->pg_restore, failure))
		return false;
	return pump->pg_restore.status == 0 || restore_failed(pump, failure);
}

/*
 * A pg_restore that died is told at once: the rest of a large archive would only keep
 * the target locked.
 */
bool
postgres_pump_feed(PostgresPump *pump, const void *bytes, size_t length, Failure *failure)
{
	Input input = {.bytes = bytes, .length = length};

	while (input.length > 0)
	{
		if (!one_round(pump, &input, failure))
			return false;
	}
	return !restore_is_gone(pump) || restore_succeeded(pump, failure);
}

bool
postgres_pump_finish_restore(PostgresPump *pump, Failure *failure)
{
	Input nothing = {0};

	child_close_stdin(&pump->pg_restore);
	while (pump->pg_restore.stdout_fd >= 0 || sendable(pump) > 0)
	{
		if (!one_round(pump, &nothing, failure))
			return false;
	}
	if (!restore_succeeded(pump, failure))
		return false;
	if (!pump->head_seen ||
		!postgres_script_tail(pump->buffer + pump->begin, pump->end - pump->begin, pump->word))
		return failure_set(failure, REASON_RESTORE,
						   "pg_restore exited with 0, but its script does not end as one does");
	child_close(&pump->pg_restore);
	pump->pg_restore.pid = 0;
	return true;
}

/* psql first: its end is the end of the transaction. */
void
postgres_pump_stop(PostgresPump *pump)
{
	child_close(&pump->psql);
	child_close(&pump->pg_restore);
	pump->pg_restore.pid = 0;
}

void
postgres_pump_close(PostgresPump *pump)
{
	postgres_pump_stop(pump);
	free(pump->buffer);
	pump->buffer = NULL;
}
