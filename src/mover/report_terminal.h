/*
 * report_terminal.h
 *	  The same events for people: a sentence each, and on a terminal one line of
 *	  progress that is drawn over itself.
 */
#ifndef REPORT_TERMINAL_H
#define REPORT_TERMINAL_H

#include <stdbool.h>

#include <jansson.h>

#include "human.h"

typedef struct TerminalView
{
	int			fd;
	ProgressBar bar;	   /* on a terminal alone: a log file wants none */
	int64_t		raw_bytes; /* what is to be expected; 0: not known */
	int64_t		stored_bytes;
} TerminalView;

/* False when the descriptor no longer takes anything. */
extern bool report_terminal_show(TerminalView *view, const json_t *event);

#endif
