/*
 * report_terminal.c
 *	  Sentences out of events.
 */
#include "report_terminal.h"

#include <stdio.h>
#include <string.h>

#include "failure.h"
#include "text.h"

static json_int_t
integer_of(const json_t *event, const char *key)
{
	return json_integer_value(json_object_get(event, key));
}

static const char *
text_of(const json_t *event, const char *key)
{
	const char *text = json_string_value(json_object_get(event, key));

	return text ? text : "";
}

/* A server's own words may hold anything: a terminal gets one clean line. */
static bool
print_line(const TerminalView *view, const char *before, const char *text)
{
	char line[FAILURE_DETAIL_SIZE];

	snprintf(line, sizeof(line), "%s", text);
	text_make_line(line);
	return dprintf(view->fd, "%s%s\n", before, line) >= 0;
}

static void
show_progress(TerminalView *view, const json_t *event)
{
	const char *phase = text_of(event, "phase");
	const char *alive = text_of(event, "alive");
	int64_t		read = integer_of(event, "bytes_read");
	int64_t		stored = integer_of(event, "bytes_stored");

	if (*alive != '\0')
		progress_bar_say(&view->bar, "%s: %s", phase, alive);
	else if (strcmp(phase, "downloading") == 0 || strcmp(phase, "storing") == 0)
		progress_bar_move(&view->bar, phase, stored, view->stored_bytes);
	else
		progress_bar_move(&view->bar, phase, read, view->raw_bytes);
}

static bool
show_done(TerminalView *view, const json_t *event)
{
	char		  raw[HUMAN_SIZE_TEXT];
	char		  stored[HUMAN_SIZE_TEXT];
	const json_t *left_alone = json_object_get(event, "left_alone");
	size_t		  i;
	json_t		 *item;

	if (json_object_get(event, "sha256") != NULL)
		return dprintf(view->fd, "stored %s: %s raw, %s stored, sha256 %s\n", text_of(event, "key"),
					   human_size(integer_of(event, "raw_bytes"), raw),
					   human_size(integer_of(event, "stored_bytes"), stored), text_of(event, "sha256")) >= 0;
	if (dprintf(view->fd, "restored\n") < 0)
		return false;
	json_array_foreach(left_alone, i, item)
	{
		if (!print_line(view, "left alone: ", json_string_value(item)))
			return false;
	}
	return true;
}

static bool
show_failed(TerminalView *view, const json_t *event)
{
	const json_t *modified = json_object_get(event, "target_modified");

	if (dprintf(view->fd, "failed (%s): ", text_of(event, "reason")) < 0 ||
		!print_line(view, "", text_of(event, "detail")))
		return false;
	if (modified == NULL)
		return true;
	return print_line(view, "",
					  json_is_true(modified) ? "The target was modified." : "The target is as it was.");
}

bool
report_terminal_show(TerminalView *view, const json_t *event)
{
	const char *name = text_of(event, "event");

	if (strcmp(name, "progress") == 0)
	{
		show_progress(view, event);
		return true;
	}
	progress_bar_clear(&view->bar);
	if (strcmp(name, "done") == 0)
		return show_done(view, event);
	if (strcmp(name, "failed") == 0)
		return show_failed(view, event);
	if (strcmp(name, "started") == 0 && *text_of(event, "server"))
		return dprintf(view->fd, "server %s, %s\n", text_of(event, "server"), text_of(event, "tool")) >= 0;
	return true;
}
