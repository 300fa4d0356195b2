/*
 * mongodb_marker.h
 *	  A restore marks each database that it fills: the one document of a collection whose
 *	  name is MONGODB_BESIDE alone.
 *
 *	  {_id: "restore", attempt: "<attempt's id>", phase: "beside" | "replacing", at: <the server's time>}
 *
 * It keeps two restores of one database apart.  Whoever holds it says every few seconds
 * that he lives; one who has been silent for a while is dead, and the next takes over.
 * Ages are told by the server's clock alone: movers' own may differ.
 *
 * "replacing" stays behind a restore that ended among its renames, until another one
 * has come to its end: a backup made in between can tell.
 */
#ifndef MONGODB_MARKER_H
#define MONGODB_MARKER_H

#include <stdbool.h>

#include "engines/mongodb_connect.h"
#include "failure.h"

/* Seconds: how often it is renewed, and after how many without that its holder is dead. */
#define MONGODB_MARKER_EVERY	5
#define MONGODB_MARKER_LIFETIME 20

typedef enum MongodbPhase
{
	MONGODB_PHASE_BESIDE,	/* nobody sees a change yet */
	MONGODB_PHASE_REPLACING /* collections take their places */
} MongodbPhase;

/*
 * Waits until another's is seen to be dead.  REASON_TARGET_BUSY: it lives.
 * *phase is that of whoever had it before: a half replaced database stays one.
 */
extern bool mongodb_marker_take(MongodbSession *session, const char *database, const char *attempt,
								MongodbPhase *phase, Failure *failure);

/* REASON_TARGET_BUSY: another restore has taken it over meanwhile. */
extern bool mongodb_marker_renew(MongodbSession *session, const char *database, const char *attempt,
								 MongodbPhase phase, Failure *failure);

/* Of a database that is half replaced: it stays, but nobody has to wait for its holder's death. */
extern bool mongodb_marker_release(MongodbSession *session, const char *database, const char *attempt,
								   Failure *failure);

/* Has a restore ended among its renames, and no other has come to its end since? */
extern bool mongodb_marker_is_unfinished(MongodbSession *session, const char *database, bool *unfinished,
										 Failure *failure);

#endif
