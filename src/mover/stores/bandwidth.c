/*
 * bandwidth.c
 *	  A token bucket that all movers of a host share.
 */
#include "stores/bandwidth.h"

#include <fcntl.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include <sys/mman.h>
#include <sys/stat.h>

/* A pause may be made up for, but not more than this much of it. */
#define BURST_NANOSECONDS INT64_C(100000000)

/* Of a piece: a fiftieth of a second's worth within these. */
#define PIECES_A_SECOND 50
#define SMALLEST_PIECE	(16 * 1024)
#define LARGEST_PIECE	(512 * 1024)

struct Bandwidth
{
	_Atomic int64_t *paid_until; /* shared */
	int64_t			 rate;
};

int64_t
monotonic_nanoseconds(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (int64_t) now.tv_sec * 1000000000 + now.tv_nsec;
}

/* Ours, and nobody else's to write: another user's file would let that user stop us. */
static int
open_shared(const char *directory)
{
	char		path[4096];
	struct stat status;
	int			fd;

	if (snprintf(path, sizeof(path), "%s/custbackup-bandwidth-%u", directory, (unsigned) geteuid()) >=
		(int) sizeof(path))
		return -1;
	fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (fd < 0)
		return -1;
	if (fstat(fd, &status) == 0 && S_ISREG(status.st_mode) && status.st_uid == geteuid() &&
		(status.st_mode & 077) == 0 && ftruncate(fd, sizeof(int64_t)) == 0)
		return fd;
	close(fd);
	return -1;
}

bool
bandwidth_open(Bandwidth **bandwidth, int64_t rate, const char *spool_dir, Failure *failure)
{
	Bandwidth *opened;
	void	  *shared;
	int		   fd;

	*bandwidth = NULL;
	if (rate <= 0)
		return true;
	fd = open_shared("/dev/shm");
	if (fd < 0)
		fd = open_shared(spool_dir);
	if (fd < 0)
		return failure_set_errno(
			failure, REASON_CONFIG,
			"max_bandwidth: could not open the file that movers share in /dev/shm or \"%s\"", spool_dir);
	shared = mmap(NULL, sizeof(int64_t), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	close(fd);
	if (shared == MAP_FAILED)
		return failure_set_errno(failure, REASON_CONFIG,
								 "max_bandwidth: could not map the file that movers share");
	opened = malloc(sizeof(*opened));
	if (!opened)
	{
		munmap(shared, sizeof(int64_t));
		return failure_no_memory(failure);
	}
	*opened = (Bandwidth){.paid_until = shared, .rate = rate};
	*bandwidth = opened;
	return true;
}

int64_t
bandwidth_take(Bandwidth *bandwidth, size_t bytes)
{
	int64_t cost;
	int64_t now;
	int64_t seen;
	int64_t paid;

	if (!bandwidth)
		return 0;
	cost = (int64_t) ((double) bytes * 1e9 / (double) bandwidth->rate);
	seen = atomic_load(bandwidth->paid_until);
	do
	{
		now = monotonic_nanoseconds();
		/* Far ahead of any honest debt: left over from before a reboot. */
		if (seen > now + INT64_C(600000000000) || seen < now - BURST_NANOSECONDS)
			paid = now - BURST_NANOSECONDS + cost;
		else
			paid = seen + cost;
	} while (!atomic_compare_exchange_weak(bandwidth->paid_until, &seen, paid));
	return paid > now ? paid - now : 0;
}

size_t
bandwidth_piece(const Bandwidth *bandwidth)
{
	int64_t piece = bandwidth ? bandwidth->rate / PIECES_A_SECOND : LARGEST_PIECE;

	if (piece > LARGEST_PIECE)
		piece = LARGEST_PIECE;
	return piece < SMALLEST_PIECE ? SMALLEST_PIECE : (size_t) piece;
}

void
bandwidth_close(Bandwidth *bandwidth)
{
	if (!bandwidth)
		return;
	munmap((void *) bandwidth->paid_until, sizeof(int64_t));
	free(bandwidth);
}
