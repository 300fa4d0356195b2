/* bandwidth.c: one limit for all, in pieces that leave everybody a turn. */
#include "stores/bandwidth.h"

#include "tap.h"

#define SECOND	 INT64_C(1000000000)
#define MEGABYTE 1000000

static void
pieces_of(int64_t rate, size_t expected, const char *what)
{
	Bandwidth *bandwidth;
	Failure	   failure = {0};

	ok(bandwidth_open(&bandwidth, rate, "/tmp", &failure), "a limit of %lld", (long long) rate);
	is_int((long long) bandwidth_piece(bandwidth), (long long) expected, what);
	bandwidth_close(bandwidth);
}

int
main(void)
{
	Bandwidth *one = NULL;
	Bandwidth *other = NULL;
	Failure	   failure = {0};
	int64_t	   wait;

	pieces_of(0, 512 * 1024, "no limit: large pieces");
	pieces_of(1000 * MEGABYTE, 512 * 1024, "never larger than these");
	pieces_of(5 * MEGABYTE, 100000, "a low limit: what passes in 20 ms");
	pieces_of(1000, 16 * 1024, "but no crumbs");

	ok(bandwidth_open(&one, 10 * MEGABYTE, "/tmp", &failure) &&
		   bandwidth_open(&other, 10 * MEGABYTE, "/tmp", &failure),
	   "two that share");
	wait = bandwidth_take(one, 5 * MEGABYTE);
	ok(wait >= SECOND / 4, "who takes half a second's worth waits");
	ok(bandwidth_take(other, 5 * MEGABYTE) >= wait + SECOND / 4, "and who comes next waits for both");
	bandwidth_close(one);
	bandwidth_close(other);
	is_int(bandwidth_take(NULL, 5 * MEGABYTE), 0, "without one nobody waits");
	return done_testing();
}
