/*
 * mongodb.c
 *	  The engine's entry in the table; the rooms are named in mongodb.h.
 *
 * All of the engine is a module that engine.c loads, since a backup of anything
 * else must not wait until libmongoc and what it needs are loaded.
 */
#include "engines/mongodb.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

const Engine mongodb_engine = {
	.name = "mongodb",
	.open_source = mongodb_open_source,
	.open_inspector = mongodb_open_inspector,
	.open_sink = mongodb_open_sink,
};

/*
 * libmongoc makes a named file for its counters, and removes it at exit, which a
 * killed process never reaches.  Older ones make it when they are loaded, which is
 * before we are, newer ones when they are first used, unless this variable is set.
 */
static void __attribute__((constructor)) leave_no_counters_file(void)
{
	char name[32];

	snprintf(name, sizeof(name), "/mongoc-%u", (unsigned) getpid());
	(void) shm_unlink(name);
	(void) setenv("MONGOC_DISABLE_SHM", "1", 1);
}
