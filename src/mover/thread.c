/*
 * thread.c
 *	  A thread beside the main one.
 */
#include "thread.h"

#include <errno.h>
#include <signal.h>

bool
thread_start(pthread_t *thread, void *(*run)(void *), void *context, const char *what, Failure *failure)
{
	sigset_t all;
	sigset_t before;
	int		 error;

	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	error = pthread_create(thread, NULL, run, context);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	if (error == 0)
		return true;
	errno = error;
	return failure_set_errno(failure, REASON_INTERNAL, "could not start %s", what);
}
