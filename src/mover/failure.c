/*
 * failure.c
 *	  One reason, one scrubbed line, the first one wins.
 */
#include "failure.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "secret.h"
#include "text.h"

static const char *const reason_names[REASON_COUNT] = {"none",
#define X(enumerator, name) name,
													   FAILURE_REASONS(X)
#undef X
};

/* The whole text is scrubbed before it is cut: half a secret would not be found. */
static void
set_detail(Failure *failure, FailureReason reason, const char *format, va_list args, int error)
{
	char *text = NULL;
	char *whole = NULL;
	char  buffer[128];

	failure->reason = reason;
	if (vasprintf(&text, format, args) < 0)
	{
		strcpy(failure->detail, "out of memory while describing a failure");
		return;
	}
	if (error != 0 && asprintf(&whole, "%s: %s", text, strerror_r(error, buffer, sizeof(buffer))) >= 0)
	{
		free(text);
		text = whole;
	}
	secret_scrub(text);
	text_make_line(text);
	text_truncate(text, FAILURE_DETAIL_SIZE - 1);
	strcpy(failure->detail, text);
	free(text);
}

bool
failure_set(Failure *failure, FailureReason reason, const char *format, ...)
{
	va_list args;

	if (failure == NULL || failure->reason != REASON_NONE)
		return false;
	va_start(args, format);
	set_detail(failure, reason, format, args, 0);
	va_end(args);
	return false;
}

bool
failure_set_errno(Failure *failure, FailureReason reason, const char *format, ...)
{
	int		error = errno;
	va_list args;

	if (failure == NULL || failure->reason != REASON_NONE)
		return false;
	va_start(args, format);
	set_detail(failure, reason, format, args, error);
	va_end(args);
	return false;
}

/* Without any allocation of its own. */
bool
failure_no_memory(Failure *failure)
{
	if (failure == NULL || failure->reason != REASON_NONE)
		return false;
	failure->reason = REASON_INTERNAL;
	strcpy(failure->detail, "out of memory");
	return false;
}

const char *
failure_reason_name(FailureReason reason)
{
	if ((int) reason < 0 || reason >= REASON_COUNT)
		return "internal";
	return reason_names[reason];
}
