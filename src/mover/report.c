/*
 * report.c
 *	  What may be said when, and saying it.
 *
 * The order of events is kept here rather than trusted: a line out of order
 * would fail the job at its runner, so one is dropped with a word on stderr.
 */
#include "report.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cancel.h"
#include "clock.h"
#include "fd.h"
#include "report_terminal.h"
#include "secret.h"
#include "text.h"
#include "utc.h"

#define EVENT_MAX_BYTES		 (64 * 1024)
#define PROGRESS_INTERVAL_MS 1000
#define LIST_MAX_ENTRIES	 100
#define LIST_MAX_TEXT		 300
#define VERSION_MAX_TEXT	 200
#define SENTENCE_MAX		 600 /* with names in it, of which one is told in part */

struct Report
{
	int			 fd;
	bool		 for_people;
	TerminalView view;
	bool		 started;
	bool		 upload_told;
	bool		 upload_id_told;
	bool		 ended;
	bool		 done;
	bool		 heard;
	bool		 wordless; /* memory for an event ran out */
	bool		 has_phase;
	Phase		 phase;
	int64_t		 bytes_read;
	int64_t		 bytes_stored;
	int64_t		 told_at; /* of the last progress line, monotonic ms */
	json_t		*left;	  /* NULL: not known */
	int64_t		 locked_until;
};

static const char *const phase_names[] = {
	[PHASE_DUMPING] = "dumping",   [PHASE_STORING] = "storing",	  [PHASE_DOWNLOADING] = "downloading",
	[PHASE_VERIFIED] = "verified", [PHASE_APPLYING] = "applying", [PHASE_COMMITTED] = "committed",
};

static Report *
report_new(int fd, bool for_people)
{
	Report *report = calloc(1, sizeof(*report));

	if (report == NULL)
		return NULL;
	report->fd = fd;
	report->for_people = for_people;
	report->view.fd = fd;
	progress_bar_begin(&report->view.bar, fd);
	report->heard = true;
	report->told_at = -PROGRESS_INTERVAL_MS;
	return report;
}

Report *
report_to_runner(int fd)
{
	return report_new(fd, false);
}

Report *
report_to_terminal(int fd)
{
	return report_new(fd, true);
}

void
report_free(Report *report)
{
	if (report)
		json_decref(report->left);
	free(report);
}

void
report_expect(Report *report, int64_t raw_bytes, int64_t stored_bytes)
{
	report->view.raw_bytes = raw_bytes;
	report->view.stored_bytes = stored_bytes;
}

bool
report_said_done(const Report *report)
{
	return report->done;
}

bool
report_may_go_on(const Report *report, Failure *failure)
{
	if (!report->heard || (!report->for_people && fd_reader_is_gone(report->fd)))
		return failure_set(failure, REASON_CANCELLED,
						   "the runner that started this job does not listen any more");
	if (report->wordless)
		return failure_no_memory(failure);
	return !cancel_requested() || cancel_failure(failure);
}

/* Texts come from servers and tools: scrubbed, one line, UTF-8, at most `bytes` bytes.  NULL stays null. */
static json_t *
clean_text(const char *text, size_t bytes)
{
	char   *copy;
	json_t *value;

	if (text == NULL)
		return json_null();
	copy = strdup(text);
	if (copy == NULL)
		return NULL;
	secret_scrub(copy);
	text_make_line(copy);
	text_truncate(copy, bytes);
	value = json_string(copy);
	free(copy);
	return value;
}

/*
 * A list of sentences, cleaned, and cut where it would make the line too long for
 * its reader; then its last entry says how much went.  NULL: an empty one.
 */
static json_t *
clean_list(const json_t *list)
{
	json_t *clean = json_array();
	size_t	size = json_array_size(list);
	char	more[64];

	for (size_t i = 0; i < size && i < LIST_MAX_ENTRIES; i++)
		json_array_append_new(clean, clean_text(json_string_value(json_array_get(list, i)), LIST_MAX_TEXT));
	if (size > LIST_MAX_ENTRIES)
	{
		snprintf(more, sizeof(more), "and %zu more", size - LIST_MAX_ENTRIES);
		json_array_append_new(clean, json_string(more));
	}
	return clean;
}

/* The event as a line with its newline; counts, which an engine makes, give way where it would be too long. */
static char *
line_of(json_t *event, size_t *length)
{
	char *text = json_dumps(event, JSON_COMPACT);

	if (text != NULL && strlen(text) >= EVENT_MAX_BYTES)
	{
		free(text);
		json_object_set_new(event, "counts", json_object());
		text = json_dumps(event, JSON_COMPACT);
	}
	if (text == NULL)
		return NULL;
	*length = strlen(text);
	text[(*length)++] = '\n';
	return text;
}

/*
 * Takes the event, also when it is NULL because memory ran out.  Was it said?  When nobody
 * reads any more, what may wait for hours ends: nothing else would wake it.
 */
static bool
say(Report *report, json_t *event)
{
	char  *line = NULL;
	size_t length;
	bool   said = false;

	if (!report->heard)
		said = false;
	else if (event == NULL || (!report->for_people && (line = line_of(event, &length)) == NULL))
		report->wordless = true;
	else
	{
		/* A runner that is slow is waited for. */
		said = report->for_people ? report_terminal_show(&report->view, event)
								  : fd_write_all(report->fd, line, length);
		report->heard = said;
		if (!said)
			cancel_request();
	}
	free(line);
	json_decref(event);
	return said;
}

static bool
out_of_order(const Report *report, const char *what, bool legal)
{
	if (legal && !report->ended)
		return false;
	fprintf(stderr, "custbackup: bug: the event '%s' is not legal here and was not sent\n", what);
	return true;
}

void
report_started(Report *report, const char *attempt_id, const char *tool_version, const char *server_version)
{
	if (out_of_order(report, "started", !report->started))
		return;
	report->started = true;
	say(report, json_pack("{s:s, s:s, s:o, s:o}", "event", "started", "attempt_id", attempt_id, "tool",
						  clean_text(tool_version, VERSION_MAX_TEXT), "server",
						  clean_text(server_version, VERSION_MAX_TEXT)));
}

static void
say_progress(Report *report, const char *alive)
{
	json_t *event = json_pack("{s:s, s:s, s:I, s:I}", "event", "progress", "phase",
							  phase_names[report->phase], "bytes_read", (json_int_t) report->bytes_read,
							  "bytes_stored", (json_int_t) report->bytes_stored);

	if (event != NULL && alive != NULL)
		json_object_set_new(event, "alive", clean_text(alive, LIST_MAX_TEXT));
	report->told_at = clock_milliseconds();
	say(report, event);
}

void
report_progress(Report *report, Phase phase, int64_t bytes_read, int64_t bytes_stored)
{
	bool new_phase = !report->has_phase || phase != report->phase;
	bool moved = bytes_read > report->bytes_read || bytes_stored > report->bytes_stored;

	if ((new_phase || report->ended) &&
		out_of_order(report, phase_names[phase],
					 report->started && (!report->has_phase || phase > report->phase)))
		return;
	report->has_phase = true;
	report->phase = phase;
	if (bytes_read > report->bytes_read)
		report->bytes_read = bytes_read;
	if (bytes_stored > report->bytes_stored)
		report->bytes_stored = bytes_stored;
	if (new_phase || (moved && clock_milliseconds() - report->told_at >= PROGRESS_INTERVAL_MS))
		say_progress(report, NULL);
}

void
report_alive(Report *report, const char *what)
{
	if (report->has_phase && !report->ended && clock_milliseconds() - report->told_at >= PROGRESS_INTERVAL_MS)
		say_progress(report, what);
}

void
report_upload(Report *report, const char *key, const char *upload_id)
{
	if (out_of_order(report, "upload",
					 report->started && (!report->upload_told || (upload_id && !report->upload_id_told))))
		return;
	report->upload_told = true;
	report->upload_id_told = upload_id != NULL;
	say(report, json_pack("{s:s, s:s, s:s?}", "event", "upload", "key", key, "upload_id", upload_id));
}

static json_t *
counts_or_empty(json_t *counts)
{
	return counts ? json_incref(counts) : json_object();
}

/* `done` counts only when it was really written: the exit status follows it. */
static bool
end_with(Report *report, json_t *event, bool done)
{
	bool said = say(report, event);

	report->ended = true;
	report->done = said && done;
	return said;
}

void
report_left(Report *report, json_t *left)
{
	json_decref(report->left);
	report->left = json_incref(left);
}

void
report_locked_until(Report *report, int64_t until)
{
	report->locked_until = until;
}

static void
add_locked_until(json_t *event, int64_t until)
{
	char text[UTC_TEXT_SIZE];

	if (event != NULL && until > 0)
		json_object_set_new(event, "locked_until", json_string(utc_text(until, text)));
}

static void
add_left(const Report *report, json_t *event)
{
	if (event != NULL && report->left != NULL)
		json_object_set(event, "left", report->left);
}

void
report_backup_done(Report *report, const BackupResult *result)
{
	json_t *event;

	if (out_of_order(report, "done", report->started && (report->upload_told || result->adopted)))
		return;
	event = json_pack(
		"{s:s, s:s, s:s?, s:I, s:I, s:s, s:s?, s:o, s:o, s:o, s:o, s:b}", "event", "done", "key", result->key,
		"version", result->version, "raw_bytes", (json_int_t) result->raw_bytes, "stored_bytes",
		(json_int_t) result->stored_bytes, "sha256", result->sha256, "consistency", result->consistency,
		"server", clean_text(result->server_version, VERSION_MAX_TEXT), "tool",
		clean_text(result->tool_version, VERSION_MAX_TEXT), "counts", counts_or_empty(result->counts),
		"notes", clean_list(result->notes), "adopted", (int) result->adopted);
	add_locked_until(event, result->locked_until);
	add_left(report, event);
	end_with(report, event, true);
}

void
report_restore_done(Report *report, const RestoreOutcome *outcome)
{
	if (out_of_order(report, "done", report->has_phase && report->phase == PHASE_COMMITTED))
		return;
	end_with(report,
			 json_pack("{s:s, s:b, s:o, s:o}", "event", "done", "target_modified",
					   (int) outcome->target_modified, "left_alone", clean_list(outcome->left_alone),
					   "counts", counts_or_empty(outcome->counts)),
			 true);
}

void
report_expire_done(Report *report)
{
	if (out_of_order(report, "done", report->started))
		return;
	end_with(report, json_pack("{s:s}", "event", "done"), true);
}

void
report_sweep_done(Report *report)
{
	json_t *event;

	if (out_of_order(report, "done", report->started))
		return;
	event = json_pack("{s:s}", "event", "done");
	add_left(report, event);
	end_with(report, event, true);
}

/* Where there is no memory for more. */
static void
say_failed_plainly(const Report *report, FailureReason reason, const RestoreOutcome *outcome)
{
	char line[256];
	int	 length = snprintf(line, sizeof(line),
						   "{\"event\":\"failed\",\"reason\":\"%s\",\"detail\":\"out of memory\"%s%s}\n",
						   failure_reason_name(reason),
						   outcome == NULL			  ? ""
						   : outcome->target_modified ? ",\"target_modified\":true"
													  : ",\"target_modified\":false",
						   outcome == NULL ? "" : ",\"left_alone\":[]");

	(void) fd_write_all(report->fd, line, (size_t) length);
}

void
report_failed(Report *report, const Failure *failure, const RestoreOutcome *outcome)
{
	FailureReason reason = failure->reason != REASON_NONE ? failure->reason : REASON_INTERNAL;
	json_t		 *event;

	/* A `done` that could not be told is no failure: the next attempt will find what this one did. */
	if (report->ended && !report->done)
		return;
	if (out_of_order(report, "failed", true))
		return;
	event = json_pack("{s:s, s:s, s:s}", "event", "failed", "reason", failure_reason_name(reason), "detail",
					  failure->reason != REASON_NONE ? failure->detail : "failed without saying why: a bug");
	if (event != NULL && outcome != NULL)
	{
		json_object_set_new(event, "target_modified", json_boolean(outcome->target_modified));
		json_object_set_new(event, "left_alone", clean_list(outcome->left_alone));
	}
	add_locked_until(event, report->locked_until);
	add_left(report, event);
	if (!end_with(report, event, false) && report->heard && !report->for_people)
		say_failed_plainly(report, reason, outcome);
}

bool
sentence_add(json_t **list, Failure *failure, const char *format, ...)
{
	char	text[SENTENCE_MAX];
	va_list args;

	va_start(args, format);
	vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	/* Into JSON goes valid text. */
	text_make_line(text);
	if (*list == NULL)
		*list = json_array();
	return (*list != NULL && json_array_append_new(*list, json_string(text)) == 0) ||
		   failure_no_memory(failure);
}
