/*
 * postgres_rights.h
 *	  May our role read all that pg_dump has to read?
 *
 * Asked in milliseconds, before pg_dump is started and again when it has failed:
 * REASON_AUTH with a sentence that names the object and the remedy.  pg_dump itself
 * would find the same after minutes, in words of the server's language.
 */
#ifndef POSTGRES_RIGHTS_H
#define POSTGRES_RIGHTS_H

#include <stdbool.h>

#include "failure.h"
#include "postgres_connect.h"

extern bool postgres_may_dump(PostgresSession *session, const PostgresUrl *url, Failure *failure);

/* The schema alone: tables are locked, and nothing is read. */
extern bool postgres_may_dump_schema(PostgresSession *session, const PostgresUrl *url, Failure *failure);

#endif
