/*
 * mongodb_marker.h
 *	  A restore marks each database that it fills: the one document of a collection whose
 *	  name is MONGODB_BESIDE alone.
 *
 *	  {_id: "restore", attempt: "<attempt's id>", tag: "<8 hex digits>", phase: "beside" | "replacing", at: <the server's time>}
 *
 * The tag stands in the names of what is put beside.  Whoever takes a dead one's marker
 * over keeps its tag: so what is swept is what the marker tells of, and never a customer's
 * own collection that is called alike.
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

#define MONGODB_TAG_SIZE 9

typedef enum MongodbPhase
{
	MONGODB_PHASE_BESIDE,	/* nobody sees a change yet */
	MONGODB_PHASE_REPLACING /* collections take their places */
} MongodbPhase;

typedef struct MongodbMark
{
	bool		 found;
	bool		 foreign; /* the collection of that name holds something else */
	MongodbPhase phase;
	char		 tag[MONGODB_TAG_SIZE]; /* "": nothing stands beside */
} MongodbMark;

/* Does it begin with exactly as many hex digits as a tag has? */
extern bool mongodb_is_tag(const char *text);

/* Changes nothing. */
extern bool mongodb_marker_look(MongodbSession *session, const char *database, MongodbMark *mark,
								FailureReason otherwise, Failure *failure);

/*
 * Waits until another's is seen to be dead.  REASON_TARGET_BUSY: it lives.
 * REASON_NOT_RESTORABLE: its place is taken by something else.
 * mark->phase is that of whoever had it before: a half replaced database stays one.
 */
extern bool mongodb_marker_take(MongodbSession *session, const char *database, const char *attempt,
								MongodbMark *mark, Failure *failure);

/* REASON_TARGET_BUSY: another restore has taken it over meanwhile.  REASON_RESTORE: it is gone. */
extern bool mongodb_marker_renew(MongodbSession *session, const char *database, const char *attempt,
								 MongodbPhase phase, Failure *failure);

/* May the user write past a collection's validator?  Tried at the mark, which has none. */
extern bool mongodb_marker_try_bypass(MongodbSession *session, const char *database, const char *attempt,
									  const MongodbMark *mark, bool *may, Failure *failure);

/* Of a database that is half replaced: it stays, but nobody has to wait for its holder's death. */
extern bool mongodb_marker_release(MongodbSession *session, const char *database, const char *attempt,
								   Failure *failure);

#endif
