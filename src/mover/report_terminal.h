/*
 * report_terminal.h
 *	  The same events for people: a sentence each, and on a terminal one line of
 *	  progress that is drawn over itself.
 */
#ifndef REPORT_TERMINAL_H
#define REPORT_TERMINAL_H

#include <stdbool.h>

#include <jansson.h>

typedef struct TerminalView
{
	int fd;
	bool is_terminal;  /* else no progress line: a log file wants none */
	bool line_is_open; /* a progress line stands there without its newline */
} TerminalView;

/* False when the descriptor no longer takes anything. */
extern bool report_terminal_show(TerminalView *view, const json_t *event);

#endif
