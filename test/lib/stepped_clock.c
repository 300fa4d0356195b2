/*
 * stepped_clock.c
 *	  Preloaded into a server: its wall clock is off by the seconds that the file
 *	  STEPPED_CLOCK holds, read at each call, so that a test can step it.  The
 *	  monotonic clock stays the machine's, as when somebody sets a real clock.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

static time_t
offset(void)
{
	char		text[32] = "";
	const char *path = getenv("STEPPED_CLOCK");
	int			fd = path ? open(path, O_RDONLY | O_CLOEXEC) : -1;
	ssize_t		length = fd < 0 ? 0 : read(fd, text, sizeof(text) - 1);

	if (fd >= 0)
		close(fd);
	return length > 0 ? (time_t) atoll(text) : 0;
}

int
clock_gettime(clockid_t clock, struct timespec *now)
{
	static int (*real)(clockid_t, struct timespec *) = NULL;
	int result;

	if (!real)
		real = (int (*)(clockid_t, struct timespec *)) dlsym(RTLD_NEXT, "clock_gettime");
	result = real(clock, now);
	if (result == 0 && clock == CLOCK_REALTIME)
		now->tv_sec += offset();
	return result;
}

int
gettimeofday(struct timeval *restrict now, void *restrict zone)
{
	struct timespec precise;
	int				result = clock_gettime(CLOCK_REALTIME, &precise);

	(void) zone;
	now->tv_sec = precise.tv_sec;
	now->tv_usec = precise.tv_nsec / 1000;
	return result;
}

time_t
time(time_t *seconds)
{
	struct timespec precise;

	if (clock_gettime(CLOCK_REALTIME, &precise) != 0)
		return (time_t) -1;
	if (seconds)
		*seconds = precise.tv_sec;
	return precise.tv_sec;
}
