/*
 * human_test.c
 *	  Sizes in words, and a progress bar that only a terminal gets.
 */
#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <termios.h>
#include <unistd.h>

#include "human.h"
#include "tap.h"

static void
test_sizes(void)
{
	const struct
	{
		int64_t		bytes;
		const char *text;
	} cases[] = {
		{0, "0 bytes"},		   {1023, "1023 bytes"},  {1024, "1.0 kB"},		 {1536, "1.5 kB"},
		{5LL << 20, "5.0 MB"}, {3LL << 30, "3.0 GB"}, {1LL << 40, "1.0 TB"}, {INT64_MAX, "8192.0 PB"},
	};
	char buffer[HUMAN_SIZE_TEXT];

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		is_string(human_size(cases[i].bytes, buffer), cases[i].text, cases[i].text);
}

static void
test_no_terminal(void)
{
	ProgressBar bar;
	char		byte;
	int			fds[2];

	if (pipe2(fds, O_NONBLOCK) < 0)
		abort();
	progress_bar_begin(&bar, fds[1]);
	progress_bar_move(&bar, "verifying", 5, 10);
	progress_bar_say(&bar, "reading");
	progress_bar_clear(&bar);
	ok(read(fds[0], &byte, 1) < 0, "a log file gets no bar");
	close(fds[0]);
	close(fds[1]);
}

/* What was drawn comes in pieces: read on until this is among it, or for a second nothing came. */
static bool
reads(int master, char *drawn, size_t size, const char *expected)
{
	struct pollfd readable = {.fd = master, .events = POLLIN};
	size_t		  filled = 0;

	memset(drawn, 0, size);
	while (strstr(drawn, expected) == NULL && poll(&readable, 1, 1000) > 0)
	{
		ssize_t got = read(master, drawn + filled, size - 1 - filled);

		if (got <= 0)
			break;
		filled += (size_t) got;
	}
	return strstr(drawn, expected) != NULL;
}

static void
test_terminal(void)
{
	ProgressBar bar;
	char		drawn[1024] = "";
	int			master = posix_openpt(O_RDWR | O_NOCTTY);
	int			slave;

	if (master < 0 || grantpt(master) < 0 || unlockpt(master) < 0)
	{
		ok(true, "a terminal gets one # SKIP this machine gives no pseudo terminal");
		return;
	}
	slave = open(ptsname(master), O_RDWR | O_NOCTTY);
	progress_bar_begin(&bar, slave);
	progress_bar_move(&bar, "verifying", 5 << 20, 10 << 20);
	progress_bar_move(&bar, "verifying", 6 << 20, 10 << 20);
	ok(reads(master, drawn, sizeof(drawn), "verifying [############............]  50 %  5.0 MB of 10.0 MB"),
	   "a terminal gets one");
	ok(!strstr(drawn, "60 %"), "that is not drawn for every step");
	progress_bar_clear(&bar);
	progress_bar_move(&bar, "restoring", 1, 0);
	ok(reads(master, drawn, sizeof(drawn), "restoring 1 bytes") && !strchr(drawn, '%'),
	   "without a total there is no share");
	setenv("TERM", "dumb", 1);
	progress_bar_begin(&bar, slave);
	progress_bar_move(&bar, "verifying", 5, 10);
	ok(!bar.is_drawn, "one that cannot take a line away gets none");
	setenv("TERM", "xterm", 1);
	close(slave);
	close(master);
}

/* A line that wraps cannot be drawn over. */
static void
test_narrow_terminal(void)
{
	static const unsigned short widths[] = {100, 60, 40, 20, 2};
	int							master = posix_openpt(O_RDWR | O_NOCTTY);
	int							slave = -1;

	if (master < 0 || grantpt(master) < 0 || unlockpt(master) < 0 ||
		(slave = open(ptsname(master), O_RDWR | O_NOCTTY)) < 0)
	{
		ok(true, "a narrow terminal gets one line # SKIP this machine gives no pseudo terminal");
		return;
	}
	unsetenv("COLUMNS");
	for (size_t i = 0; i < sizeof(widths) / sizeof(widths[0]); i++)
	{
		struct winsize size = {.ws_col = widths[i], .ws_row = 24};
		ProgressBar	   bar;
		char		   drawn[1024] = "";

		ioctl(slave, TIOCSWINSZ, &size);
		progress_bar_begin(&bar, slave);
		progress_bar_move(&bar, "verifying", INT64_C(5) << 30, INT64_C(10) << 30);
		reads(master, drawn, sizeof(drawn), "10.0 GB");
		ok(strlen(drawn) >= sizeof("\r\033[K") && strlen(drawn) - strlen("\r\033[K") < widths[i],
		   "one line on %d columns", (int) widths[i]);
		ok((strchr(drawn, '#') != NULL) == (widths[i] > 60), "with a bar where it fits");
	}
	setenv("COLUMNS", "33", 1);
	ok(human_terminal_width(slave) == 33, "COLUMNS goes before what the terminal says");
	unsetenv("COLUMNS");
	close(slave);
	close(master);
	ok(human_terminal_width(master) == 0, "what is no terminal has no width");
}

int
main(void)
{
	setenv("TERM", "xterm", 1);
	test_sizes();
	test_no_terminal();
	test_terminal();
	test_narrow_terminal();
	return done_testing();
}
