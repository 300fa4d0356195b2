/*
 * child.h
 *	  One mover as a process: start it, signal its group, reap it.  Nothing here waits.
 *
 * The child is a leader of its own process group and shares nothing with us but
 * four descriptors: the job (0), its events (1), its stderr (2) and its settings
 * (3).  It starts with default signals, in "/", with an environment of its own.
 */
#ifndef CHILD_H
#define CHILD_H

#include "postgres.h"

#include <sys/types.h>

typedef struct Child
{
	pid_t pid;	  /* 0: reaped, or never started */
	int	  status; /* as waitpid() says, once reaped */
	int	  events; /* our ends, never blocking; -1: closed */
	int	  errors;
} Child;

/*
 * Starts `path run --settings-fd=3`.  Job and settings are copied.  On failure
 * returns false with errno set and nothing to clean up.
 */
extern bool child_start(Child *child, const char *path, const char *job, const char *settings);

/* To the whole group.  A stopped group is woken, or it could not obey. */
extern void child_signal(const Child *child, int signal);

/* True when the process has gone: its status is known then, and what was left of its group is killed. */
extern bool child_reap(Child *child);

/* Close our ends; each is safe to call twice. */
extern void child_close_events(Child *child);
extern void child_close_errors(Child *child);

#endif
