/*
 * protect.h
 *	  What the process does to itself before it touches anything secret.
 *
 * The runner starts us by posix_spawn, which runs no code of its own in the
 * child, and exec has made us dumpable again: so main() does this first.
 */
#ifndef PROTECT_H
#define PROTECT_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "failure.h"

/*
 * No core files, nor memory in those of our tools; no ptrace or /proc/PID/mem by
 * others of the same user; first in line when the kernel needs memory (never the
 * postmaster); umask 077, SIGPIPE and SIGXFSZ ignored and SIGCHLD not, descriptors 0 to 2 open.
 */
extern bool protect_process(Failure *failure);

/*
 * We ourselves, not the tools (process.h), get no more memory than this: a server
 * whose answer never ends makes an allocation of ours fail, and nobody else's.
 */
extern bool protect_limit_memory(int64_t bytes, Failure *failure);

/* Closes every descriptor from 3 on but `kept` (-1: none). */
extern void protect_close_inherited(int kept);

/* Dies with its parent from now on; false if that is not `parent` (any more).  0: nobody, nothing is done. */
extern bool protect_die_with(pid_t parent, Failure *failure);

#endif
