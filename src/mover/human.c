/*
 * human.c
 *	  Sizes and progress for people at a terminal.
 */
#include "human.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "clock.h"

#define BAR_WIDTH		 24
#define DEFAULT_WIDTH	 80
#define SPEED_TEXT		 64
#define LINE_TEXT		 256
#define DRAW_INTERVAL_MS 100
/* Before this, a speed is a guess. */
#define SPEED_AFTER_MS 1000

const char *
human_size(int64_t bytes, char buffer[HUMAN_SIZE_TEXT])
{
	static const char *const units[] = {"bytes", "kB", "MB", "GB", "TB", "PB"};
	double					 value = (double) bytes;
	size_t					 unit = 0;

	while (value >= 1024 && unit + 1 < sizeof(units) / sizeof(units[0]))
	{
		value /= 1024;
		unit++;
	}
	snprintf(buffer, HUMAN_SIZE_TEXT, unit == 0 ? "%.0f %s" : "%.1f %s", value, units[unit]);
	return buffer;
}

int
human_terminal_width(int fd)
{
	const char	  *columns = getenv("COLUMNS");
	struct winsize size;
	int			   width = columns ? atoi(columns) : 0;

	if (isatty(fd) != 1)
		return 0;
	if (width > 0)
		return width;
	return ioctl(fd, TIOCGWINSZ, &size) == 0 && size.ws_col > 0 ? size.ws_col : DEFAULT_WIDTH;
}

/* One that knows how to take a line away. */
static bool
is_terminal(int fd)
{
	const char *kind = getenv("TERM");

	return isatty(fd) == 1 && (!kind || strcmp(kind, "dumb") != 0);
}

void
progress_bar_begin(ProgressBar *bar, int fd)
{
	*bar = (ProgressBar){.fd = fd, .is_terminal = is_terminal(fd), .begun_at = clock_milliseconds()};
}

/* "" as long as it would be a guess. */
static void
speed_text(const ProgressBar *bar, int64_t done, int64_t total, char text[SPEED_TEXT])
{
	int64_t elapsed = bar->drawn_at - bar->begun_at;
	char	speed[HUMAN_SIZE_TEXT];
	int64_t left;
	int		length;

	text[0] = '\0';
	if (elapsed < SPEED_AFTER_MS || done <= 0)
		return;
	length = snprintf(text, SPEED_TEXT, ", %s/s", human_size(done * 1000 / elapsed, speed));
	if (total <= done)
		return;
	left = (int64_t) ((double) (total - done) * (double) elapsed / (double) done / 1000);
	snprintf(text + length, SPEED_TEXT - (size_t) length, ", %lld:%02lld left", (long long) (left / 60),
			 (long long) (left % 60));
}

/* Is it time to draw again? */
static bool
begin_drawing(ProgressBar *bar)
{
	int64_t now;

	if (!bar->is_terminal)
		return false;
	now = clock_milliseconds();
	if (now - bar->drawn_at < DRAW_INTERVAL_MS)
		return false;
	bar->drawn_at = now;
	bar->is_drawn = true;
	return true;
}

/* Not to the last column, after which some terminals begin a new line. */
static void
draw(const ProgressBar *bar, const char *line)
{
	dprintf(bar->fd, "\r\033[K%.*s", human_terminal_width(bar->fd) - 1, line);
}

void
progress_bar_move(ProgressBar *bar, const char *what, int64_t done, int64_t total)
{
	static const char full[] = "########################";
	static const char empty[] = "........................";
	char			  done_text[HUMAN_SIZE_TEXT];
	char			  total_text[HUMAN_SIZE_TEXT];
	char			  speed[SPEED_TEXT];
	char			  line[LINE_TEXT];
	double			  share = done < total ? (double) done / (double) total : 1.0;
	int				  filled = (int) (share * BAR_WIDTH);

	if (!begin_drawing(bar))
		return;
	human_size(done, done_text);
	human_size(total, total_text);
	speed_text(bar, done, total, speed);
	if (total <= 0)
		snprintf(line, sizeof(line), "%s %s%s", what, done_text, speed);
	else if (snprintf(line, sizeof(line), "%s [%.*s%.*s] %3d %%  %s of %s%s", what, filled, full,
					  BAR_WIDTH - filled, empty, (int) (share * 100), done_text, total_text,
					  speed) >= human_terminal_width(bar->fd))
		snprintf(line, sizeof(line), "%s %d %%  %s of %s%s", what, (int) (share * 100), done_text, total_text,
				 speed);
	draw(bar, line);
}

void
progress_bar_say(ProgressBar *bar, const char *format, ...)
{
	va_list args;
	char	line[LINE_TEXT];

	if (!begin_drawing(bar))
		return;
	va_start(args, format);
	vsnprintf(line, sizeof(line), format, args);
	va_end(args);
	draw(bar, line);
}

void
progress_bar_clear(ProgressBar *bar)
{
	if (bar->is_drawn)
		dprintf(bar->fd, "\r\033[K");
	bar->is_drawn = false;
	bar->drawn_at = 0;
}
