/*
 * human.h
 *	  Sizes and progress for people at a terminal.
 */
#ifndef HUMAN_H
#define HUMAN_H

#include <stdbool.h>
#include <stdint.h>

#define HUMAN_SIZE_TEXT 24

/* "17 bytes", "340.5 kB", "1.2 GB" (of 1024 each); returns the buffer. */
extern const char *human_size(int64_t bytes, char buffer[HUMAN_SIZE_TEXT]);

/* Columns of the terminal behind a descriptor, or what COLUMNS says of it; 0: it is none, and no line is too long. */
extern int human_terminal_width(int fd);

/*
 * One line that is drawn over itself, at most ten times a second, and only on a
 * terminal:
 *
 *	  verifying [##########..............]  42 %  1.2 GB of 2.9 GB, 210.0 MB/s, 0:08 left
 *
 * It never takes more than one line: where it does not fit, first the bar goes, then its end.
 */
typedef struct ProgressBar
{
	int		fd;
	bool	is_terminal;
	bool	is_drawn;
	int64_t begun_at; /* monotonic, ms */
	int64_t drawn_at;
} ProgressBar;

extern void progress_bar_begin(ProgressBar *bar, int fd);

/* total 0: not known, so that only size and speed are shown. */
extern void progress_bar_move(ProgressBar *bar, const char *what, int64_t done, int64_t total);

/* A line of another kind in the same place. */
extern void progress_bar_say(ProgressBar *bar, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* Takes the line away, so that a sentence can stand there. */
extern void progress_bar_clear(ProgressBar *bar);

#endif
