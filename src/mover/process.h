/*
 * process.h
 *	  Children: the dump and restore tools.
 *
 * A child gets an absolute path, an environment made for it (nothing is
 * inherited), a safe working directory, default signals, descriptors 0 to 2 and
 * those that were asked for, no others; PDEATHSIG SIGKILL and a hard RLIMIT_CORE
 * of 0, no memory in a core file (protect.h); no limit of memory of ours; a process
 * group of its own.  If exec fails, child_start() fails, with exec's errno, which
 * came through a close-on-exec pipe.
 *
 * PDEATHSIG follows the thread that forked, and fork copies one thread alone: no
 * other thread may be alive in child_start() (asserted).
 *
 * Who closes what: child_start() takes no descriptor of the caller's; the pipe
 * ends in Child belong to the Child; child_close() closes what is still open and
 * kills and reaps what still runs.  After a failed child_start() the Child is
 * empty and child_close() does nothing.
 */
#ifndef PROCESS_H
#define PROCESS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "failure.h"

#define CHILD_STDERR_TAIL  4096
#define CHILD_MAX_KEPT_FDS 4

typedef struct ChildSpec
{
	const char *path;		 /* absolute */
	char	  **argv;		 /* argv[0] is the tool's plain name; NULL-terminated */
	char	  **envp;		 /* NULL-terminated; NULL: PATH, LC_ALL=C and nothing else */
	bool		stdin_pipe;	 /* else /dev/null */
	bool		stdout_pipe; /* else /dev/null */
	int			stdin_fd;	 /* use this instead of a pipe when > 0; stays the caller's */
	int			stdout_fd;	 /* likewise: joins two children without bytes passing through us */
	int			kept_fds[CHILD_MAX_KEPT_FDS]; /* the same number in the child (memfds); 0 ends the list */

	/*
	 * Called about once a second while child_read(), child_write() or
	 * child_wait() waits for the child: the place to look elsewhere whether it
	 * works, and to say so.  False (with the failure set) ends the waiting.
	 */
	bool (*idle)(void *context, Failure *failure);
	void *idle_context;
} ChildSpec;

typedef struct Child
{
	pid_t		pid;	   /* 0: none */
	const char *name;	   /* argv[0], for messages */
	int			stdin_fd;  /* ours to write, non-blocking; -1: none or closed */
	int			stdout_fd; /* ours to read, non-blocking; -1: none or at its end */
	int			stderr_fd; /* drained by every function that waits, never by the caller */
	/* The last bytes that it wrote, raw: read them by child_stderr(). */
	char   stderr_tail[CHILD_STDERR_TAIL + 1];
	size_t stderr_length;
	bool   stderr_cut; /* it wrote more than the tail holds */
	bool (*idle)(void *context, Failure *failure);
	void   *idle_context;
	int64_t idle_at;	  /* milliseconds of the monotonic clock: when idle is due */
	int64_t bytes_read;	  /* from stdout */
	int64_t silent_since; /* the same clock: it has ended, and its stdout says no more; 0: not so */
	bool	reaped;
	int		status; /* of waitpid, once reaped */
} Child;

extern bool child_start(const ChildSpec *spec, Child *child, Failure *failure);

/*
 * Waits until stdout is readable, reads it, and drains stderr meanwhile.  Into a large buffer,
 * past the first megabyte, it rather reads much at once than soon: up to a millisecond later.
 * *length 0 is the end of stdout, or three silent seconds after the end of the child itself, should
 * somebody that it left behind hold the pipe open.  Watches cancel_fd().
 */
extern bool child_read(Child *child, void *buffer, size_t capacity, size_t *length, Failure *failure);

/*
 * Writes all of it to stdin; drains stderr meanwhile.  A closed pipe is no failure here:
 * *broken says so, child_wait() tells why.  SIGPIPE must be ignored, as main() does.  A
 * child that also has a stdout pipe and fills it is not read here: give it none, or a file.
 */
extern bool child_write(Child *child, const void *bytes, size_t length, bool *broken, Failure *failure);

extern void child_close_stdin(Child *child);

/*
 * Waits for the end of the process and reaps it; stderr is drained meanwhile,
 * stdout read and thrown away, what is left of its process group killed.  Close
 * stdin first.  cancel_fd() is watched.  The caller judges child->status.
 */
extern bool child_wait(Child *child, Failure *failure);

/*
 * Reads what stderr has, without waiting: for a loop that polls the pipes of
 * several children itself (stdin_fd and stdout_fd are non-blocking).
 */
extern void child_drain_stderr(Child *child);

/* "exited with 1", "killed by signal 9 (Killed)": static buffer. */
extern const char *child_status_text(const Child *child);

/* The tail of stderr as one scrubbed line for a detail; static buffer. */
extern const char *child_stderr(Child *child);

/* SIGTERM to the group, SIGKILL after two seconds, reaped, all descriptors closed.  Any number of times. */
extern void child_close(Child *child);

#endif
