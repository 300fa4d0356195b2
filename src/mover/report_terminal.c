/*
 * report_terminal.c
 *	  Sentences out of events.
 */
#include "report_terminal.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#define SIZE_TEXT 32

static const char *
size_text(json_int_t bytes, char buffer[SIZE_TEXT])
{
	static const char *const units[] = {"bytes", "kB", "MB", "GB", "TB"};
	double value = (double) bytes;
	size_t unit = 0;

	while (value >= 10000 && unit + 1 < sizeof(units) / sizeof(units[0]))
	{
		value /= 1024;
		unit++;
	}
	snprintf(buffer, SIZE_TEXT, unit == 0 ? "%.0f %s" : "%.1f %s", value, units[unit]);
	return buffer;
}

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

static bool
show_progress(TerminalView *view, const json_t *event)
{
	char read_text[SIZE_TEXT];
	char stored_text[SIZE_TEXT];
	const char *alive = text_of(event, "alive");

	if (!view->is_terminal)
		return true;
	view->line_is_open = true;
	return dprintf(view->fd, "\r\033[K%s: %s raw, %s stored%s%s", text_of(event, "phase"),
				   size_text(integer_of(event, "bytes_read"), read_text),
				   size_text(integer_of(event, "bytes_stored"), stored_text), *alive ? "; " : "", alive) >= 0;
}

static bool
show_done(TerminalView *view, const json_t *event)
{
	char raw[SIZE_TEXT];
	char stored[SIZE_TEXT];
	const json_t *left_alone = json_object_get(event, "left_alone");
	size_t i;
	json_t *item;

	if (json_object_get(event, "sha256") != NULL)
		return dprintf(view->fd, "stored %s: %s raw, %s stored, sha256 %s\n", text_of(event, "key"),
					   size_text(integer_of(event, "raw_bytes"), raw),
					   size_text(integer_of(event, "stored_bytes"), stored), text_of(event, "sha256")) >= 0;
	if (dprintf(view->fd, "restored\n") < 0)
		return false;
	json_array_foreach(left_alone, i, item)
	{
		if (dprintf(view->fd, "left alone: %s\n", json_string_value(item)) < 0)
			return false;
	}
	return true;
}

bool
report_terminal_show(TerminalView *view, const json_t *event)
{
	const char *name = text_of(event, "event");

	if (strcmp(name, "progress") == 0)
		return show_progress(view, event);
	if (view->line_is_open)
	{
		view->line_is_open = false;
		if (dprintf(view->fd, "\n") < 0)
			return false;
	}
	if (strcmp(name, "done") == 0)
		return show_done(view, event);
	if (strcmp(name, "failed") == 0)
		return dprintf(view->fd, "failed (%s): %s\n%s", text_of(event, "reason"), text_of(event, "detail"),
					   json_is_true(json_object_get(event, "target_modified")) ? "The target was modified.\n"
																			   : "") >= 0;
	if (strcmp(name, "started") == 0 && *text_of(event, "server"))
		return dprintf(view->fd, "server %s, %s\n", text_of(event, "server"), text_of(event, "tool")) >= 0;
	return true;
}
