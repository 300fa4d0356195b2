/*
 * human.c
 *	  Sizes and progress for people at a terminal.
 */
#include "human.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "clock.h"

#define BAR_WIDTH		 24
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

void
progress_bar_begin(ProgressBar *bar, int fd)
{
	*bar = (ProgressBar){.fd = fd, .is_terminal = isatty(fd) == 1, .begun_at = clock_milliseconds()};
}

static void
draw_speed(const ProgressBar *bar, int64_t done, int64_t total)
{
	int64_t elapsed = bar->drawn_at - bar->begun_at;
	char	speed[HUMAN_SIZE_TEXT];
	int64_t left;

	if (elapsed < SPEED_AFTER_MS || done <= 0)
		return;
	dprintf(bar->fd, ", %s/s", human_size(done * 1000 / elapsed, speed));
	if (total <= done)
		return;
	left = (int64_t) ((double) (total - done) * (double) elapsed / (double) done / 1000);
	dprintf(bar->fd, ", %lld:%02lld left", (long long) (left / 60), (long long) (left % 60));
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

void
progress_bar_move(ProgressBar *bar, const char *what, int64_t done, int64_t total)
{
	static const char full[] = "########################";
	static const char empty[] = "........................";
	char			  done_text[HUMAN_SIZE_TEXT];
	char			  total_text[HUMAN_SIZE_TEXT];
	double			  share;
	int				  width;

	if (!begin_drawing(bar))
		return;
	human_size(done, done_text);
	if (total > 0)
	{
		share = done < total ? (double) done / (double) total : 1.0;
		width = (int) (share * BAR_WIDTH);
		dprintf(bar->fd, "\r\033[K%s [%.*s%.*s] %3d %%  %s of %s", what, width, full, BAR_WIDTH - width,
				empty, (int) (share * 100), done_text, human_size(total, total_text));
	}
	else
		dprintf(bar->fd, "\r\033[K%s %s", what, done_text);
	draw_speed(bar, done, total);
}

void
progress_bar_say(ProgressBar *bar, const char *format, ...)
{
	va_list args;

	if (!begin_drawing(bar))
		return;
	dprintf(bar->fd, "\r\033[K");
	va_start(args, format);
	vdprintf(bar->fd, format, args);
	va_end(args);
}

void
progress_bar_clear(ProgressBar *bar)
{
	if (bar->is_drawn)
		dprintf(bar->fd, "\r\033[K");
	bar->is_drawn = false;
	bar->drawn_at = 0;
}
