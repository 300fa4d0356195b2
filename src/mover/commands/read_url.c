/*
 * read_url.c
 *	  A connection URL from standard input.
 */
#include "read_url.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <termios.h>
#include <unistd.h>

#include "cancel.h"

#define URL_MAX_BYTES (64 * 1024)

/* With room for what it holds and one byte more. */
static bool
read_bytes(Secret *buffer, size_t *length, bool to_newline, Failure *failure)
{
	*length = 0;
	while (*length <= URL_MAX_BYTES)
	{
		ssize_t got = read(STDIN_FILENO, buffer->text + *length, URL_MAX_BYTES + 1 - *length);

		if (got < 0 && errno == EINTR && !cancel_requested())
			continue;
		if (got < 0 && errno == EINTR)
			return cancel_failure(failure);
		if (got < 0)
			return failure_set_errno(failure, REASON_CONFIG, "could not read standard input");
		*length += (size_t) got;
		if (got == 0 || (to_newline && memchr(buffer->text, '\n', *length)))
			return true;
	}
	return failure_set(failure, REASON_BAD_URL,
					   "standard input holds more than %d bytes: no URL is that long", URL_MAX_BYTES);
}

/* What is typed may hold a password: it is not shown. */
static bool
read_unseen(Secret *buffer, size_t *length, Failure *failure)
{
	struct termios shown;
	struct termios unseen;
	bool		   good;

	if (tcgetattr(STDIN_FILENO, &shown) < 0)
		return failure_set_errno(failure, REASON_CONFIG, "could not ask at the terminal");
	unseen = shown;
	unseen.c_lflag &= ~(tcflag_t) ECHO;
	fputs("Connection URL (not shown): ", stderr);
	tcsetattr(STDIN_FILENO, TCSAFLUSH, &unseen);
	good = read_bytes(buffer, length, true, failure);
	tcsetattr(STDIN_FILENO, TCSAFLUSH, &shown);
	fputs("\n", stderr);
	return good;
}

bool
read_url(Secret *url, Failure *failure)
{
	Secret buffer;
	size_t length = 0;
	bool   good;

	if (!secret_copy(&buffer, NULL, URL_MAX_BYTES + 1, failure))
		return false;
	good = isatty(STDIN_FILENO) ? read_unseen(&buffer, &length, failure)
								: read_bytes(&buffer, &length, false, failure);
	if (good && length > 0 && buffer.text[length - 1] == '\n')
		length--;
	if (good && length > 0 && buffer.text[length - 1] == '\r')
		length--;
	good = good && secret_copy(url, buffer.text, length, failure);
	secret_free(&buffer);
	return good;
}
