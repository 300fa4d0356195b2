/*
 * read_url.h
 *	  A connection URL from standard input: the only way by which one reaches a command.
 */
#ifndef READ_URL_H
#define READ_URL_H

#include <stdbool.h>

#include "failure.h"
#include "secret.h"

/*
 * To the end of a line at a terminal, where it is asked for and not shown;
 * else to the end of the file, where one newline at the end is not part of it.
 * What it says is for the caller to judge.
 */
extern bool read_url(Secret *url, Failure *failure);

#endif
