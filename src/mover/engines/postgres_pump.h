/*
 * postgres_pump.h
 *	  The bytes of a restore, between four pipes and two stderrs, in one loop.
 *
 *	  archive ──▶ pg_restore ──▶ us ──▶ psql ──▶ its answers, line by line
 *
 * No pipe is ever waited for alone, so that no two processes wait for each other.
 * Of what pg_restore writes, the last POSTGRES_TAIL_SIZE bytes are held back, by
 * position: data may hold a line that reads COMMIT.  They go to psql, without their
 * COMMIT, once pg_restore has exited 0.
 *
 * Every function here returns false with a failure set, and false with none when
 * psql has ended: then postgres_pump_psql_ended() is true, and why is for the
 * caller to judge by its stderr.
 */
#ifndef POSTGRES_PUMP_H
#define POSTGRES_PUMP_H

#include <stdbool.h>
#include <stddef.h>

#include "failure.h"
#include "postgres_script.h"
#include "process.h"

#define POSTGRES_PUMP_BUFFER (1024 * 1024)
#define POSTGRES_LINE_SIZE	 512

typedef struct PostgresPump
{
	Child psql;
	Child pg_restore;
	int	  server_version;
	bool  keeps_path; /* pg_restore's script does not empty search_path */

	/* Once a second while nothing moves; false ends the loop with the failure that it set. */
	bool (*idle)(void *context, Failure *failure);
	/* Each line that psql answers. */
	void (*answer)(void *context, const char *line);
	void *context;
	bool  uncancellable; /* COMMIT is on its way: only its answer counts now */

	/* private */
	char  *buffer; /* what psql is to get: [begin, end) */
	size_t begin;
	size_t end;
	bool   head_seen; /* pg_restore's \restrict and BEGIN were met */
	bool   psql_ended;
	char   word[POSTGRES_WORD_SIZE];
	char   line[POSTGRES_LINE_SIZE];
	size_t line_length;
} PostgresPump;

extern bool postgres_pump_open(PostgresPump *pump, Failure *failure);
extern bool postgres_pump_start_psql(PostgresPump *pump, const ChildSpec *spec, Failure *failure);
extern bool postgres_pump_start_restore(PostgresPump *pump, const ChildSpec *spec, Failure *failure);

/* Text of ours for psql; before pg_restore has started, or after it has ended. */
extern bool postgres_pump_say(PostgresPump *pump, const char *text, size_t length, Failure *failure);

/* Waits until *done, which answer() sets. */
extern bool postgres_pump_wait(PostgresPump *pump, const bool *done, Failure *failure);

/* Bytes of the archive. */
extern bool postgres_pump_feed(PostgresPump *pump, const void *bytes, size_t length, Failure *failure);

/* The archive has ended: all that pg_restore has to say, its exit status, and the end without COMMIT. */
extern bool postgres_pump_finish_restore(PostgresPump *pump, Failure *failure);

extern bool postgres_pump_psql_ended(const PostgresPump *pump);

/* Ends and reaps what runs; the pump can be used for another try. */
extern void postgres_pump_stop(PostgresPump *pump);
extern void postgres_pump_close(PostgresPump *pump);

#endif
