#include "engines/mongodb_marker.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "clock.h"
#include "engines/mongodb_plan.h"

#define ID		  "restore"
#define REPLACING "replacing"

/* The marker as it was found. */
typedef struct Marker
{
	bool	found;
	char	attempt[64];
	bool	replacing;
	int64_t at; /* milliseconds; 0: released */
} Marker;

static void
read_marker(Marker *marker, const bson_t *document)
{
	bson_iter_t field;

	marker->found = true;
	if (bson_iter_init_find(&field, document, "attempt") && BSON_ITER_HOLDS_UTF8(&field))
		snprintf(marker->attempt, sizeof(marker->attempt), "%s", bson_iter_utf8(&field, NULL));
	marker->replacing = bson_iter_init_find(&field, document, "phase") && BSON_ITER_HOLDS_UTF8(&field) &&
						strcmp(bson_iter_utf8(&field, NULL), REPLACING) == 0;
	if (bson_iter_init_find(&field, document, "at") && BSON_ITER_HOLDS_DATE_TIME(&field))
		marker->at = bson_iter_date_time(&field);
}

static bool
find_marker(MongodbSession *session, const char *database, Marker *marker, FailureReason otherwise,
			Failure *failure)
{
	bson_t		command = BSON_INITIALIZER;
	bson_t		filter;
	bson_t		answer;
	bson_iter_t field;
	bson_iter_t first;
	bool		good;

	*marker = (Marker){0};
	BSON_APPEND_UTF8(&command, "find", MONGODB_BESIDE);
	BSON_APPEND_DOCUMENT_BEGIN(&command, "filter", &filter);
	BSON_APPEND_UTF8(&filter, "_id", ID);
	bson_append_document_end(&command, &filter);
	BSON_APPEND_INT32(&command, "limit", 1);
	BSON_APPEND_BOOL(&command, "singleBatch", true);
	good = mongodb_ask(session, database, &command, &answer, otherwise, failure);
	if (good && bson_iter_init(&first, &answer) &&
		bson_iter_find_descendant(&first, "cursor.firstBatch.0", &field) && BSON_ITER_HOLDS_DOCUMENT(&field))
	{
		const uint8_t *bytes;
		uint32_t	   length;
		bson_t		   document;

		bson_iter_document(&field, &length, &bytes);
		if (bson_init_static(&document, bytes, length))
			read_marker(marker, &document);
	}
	bson_destroy(&answer);
	bson_destroy(&command);
	return good;
}

/* Milliseconds by the server's clock. */
static bool
ask_time(MongodbSession *session, int64_t *now, Failure *failure)
{
	bson_t		command = BSON_INITIALIZER;
	bson_t		answer;
	bson_iter_t field;
	bool		good;

	BSON_APPEND_INT32(&command, "hello", 1);
	good = mongodb_ask(session, "admin", &command, &answer, REASON_RESTORE, failure);
	*now = good && bson_iter_init_find(&field, &answer, "localTime") && BSON_ITER_HOLDS_DATE_TIME(&field)
			   ? bson_iter_date_time(&field)
			   : 0;
	bson_destroy(&answer);
	bson_destroy(&command);
	return good;
}

/* What a write is to do: to the marker of `held` (NULL: where there is none), for `attempt`. */
typedef struct Change
{
	const Marker *held;
	const char	 *attempt;
	MongodbPhase  phase;
	bool		  released;
} Change;

static void
append_update(bson_t *updates, const Change *change)
{
	bson_t update;
	bson_t part;
	bson_t fields;

	BSON_APPEND_DOCUMENT_BEGIN(updates, "0", &update);
	BSON_APPEND_DOCUMENT_BEGIN(&update, "q", &part);
	BSON_APPEND_UTF8(&part, "_id", ID);
	BSON_APPEND_UTF8(&part, "attempt", change->held != NULL ? change->held->attempt : change->attempt);
	if (change->held != NULL && change->held->at != 0)
		BSON_APPEND_DATE_TIME(&part, "at", change->held->at);
	bson_append_document_end(&update, &part);
	BSON_APPEND_DOCUMENT_BEGIN(&update, "u", &part);
	BSON_APPEND_DOCUMENT_BEGIN(&part, "$set", &fields);
	BSON_APPEND_UTF8(&fields, "attempt", change->attempt);
	BSON_APPEND_UTF8(&fields, "phase", change->phase == MONGODB_PHASE_REPLACING ? REPLACING : "beside");
	if (change->released)
		BSON_APPEND_DATE_TIME(&fields, "at", 0);
	bson_append_document_end(&part, &fields);
	if (!change->released)
	{
		BSON_APPEND_DOCUMENT_BEGIN(&part, "$currentDate", &fields);
		BSON_APPEND_BOOL(&fields, "at", true);
		bson_append_document_end(&part, &fields);
	}
	bson_append_document_end(&update, &part);
	BSON_APPEND_BOOL(&update, "upsert", change->held == NULL);
	bson_append_document_end(updates, &update);
}

/* *written false: the marker is not as it was thought to be. */
static bool
write_marker(MongodbSession *session, const char *database, const Change *change, bool *written,
			 Failure *failure)
{
	bson_t		command = BSON_INITIALIZER;
	bson_t		updates = BSON_INITIALIZER;
	bson_t		answer;
	bson_iter_t field;
	bool		good;

	BSON_APPEND_UTF8(&command, "update", MONGODB_BESIDE);
	append_update(&updates, change);
	BSON_APPEND_ARRAY(&command, "updates", &updates);
	bson_destroy(&updates);
	good = mongodb_ask(session, database, &command, &answer, REASON_RESTORE, failure);
	*written = good && bson_iter_init_find(&field, &answer, "n") && BSON_ITER_HOLDS_NUMBER(&field) &&
			   bson_iter_as_int64(&field) == 1;
	bson_destroy(&answer);
	bson_destroy(&command);
	return good;
}

static bool
busy(MongodbSession *session, const char *database, Failure *failure)
{
	return failure_set(
		failure, REASON_TARGET_BUSY,
		"another restore into the database \"%s\" on MongoDB at %s is under way (its mark is the "
		"collection \"" MONGODB_BESIDE "\")",
		database, session->name);
}

/* Is whoever holds it dead?  Only a marker that is younger than a lifetime is waited for. */
static bool
wait_for_death(MongodbSession *session, const char *database, const Marker *held, Failure *failure)
{
	int64_t begun = clock_milliseconds();
	int64_t left = MONGODB_MARKER_LIFETIME * 1000LL;
	int64_t now;
	Marker	seen;

	if (!ask_time(session, &now, failure))
		return false;
	/* A marker of the future (the server's clock was put back) has all of its life before it. */
	if (now > held->at)
		left -= now - held->at;
	while (clock_milliseconds() - begun < left)
	{
		sleep(1);
		if (!find_marker(session, database, &seen, REASON_RESTORE, failure))
			return false;
		if (!seen.found || seen.at != held->at || strcmp(seen.attempt, held->attempt) != 0)
			return busy(session, database, failure);
	}
	return true;
}

bool
mongodb_marker_take(MongodbSession *session, const char *database, const char *attempt, MongodbPhase *phase,
					Failure *failure)
{
	Marker held;
	Change change = {.attempt = attempt};
	bool   written;

	if (!find_marker(session, database, &held, REASON_RESTORE, failure))
		return false;
	if (held.found && strcmp(held.attempt, attempt) != 0 &&
		!wait_for_death(session, database, &held, failure))
		return false;
	if (held.found)
		change.held = &held;
	change.phase = *phase = held.replacing ? MONGODB_PHASE_REPLACING : MONGODB_PHASE_BESIDE;
	return write_marker(session, database, &change, &written, failure) &&
		   (written || busy(session, database, failure));
}

bool
mongodb_marker_renew(MongodbSession *session, const char *database, const char *attempt, MongodbPhase phase,
					 Failure *failure)
{
	Marker held = {.found = true};
	Change change = {.held = &held, .attempt = attempt, .phase = phase};
	bool   written;

	snprintf(held.attempt, sizeof(held.attempt), "%s", attempt);
	return write_marker(session, database, &change, &written, failure) &&
		   (written || busy(session, database, failure));
}

bool
mongodb_marker_release(MongodbSession *session, const char *database, const char *attempt, Failure *failure)
{
	Marker held = {.found = true};
	Change change = {.held = &held, .attempt = attempt, .phase = MONGODB_PHASE_REPLACING, .released = true};
	bool   written;

	snprintf(held.attempt, sizeof(held.attempt), "%s", attempt);
	return write_marker(session, database, &change, &written, failure);
}

bool
mongodb_marker_is_unfinished(MongodbSession *session, const char *database, bool *unfinished,
							 Failure *failure)
{
	Marker marker;

	if (!find_marker(session, database, &marker, REASON_DUMP, failure))
		return false;
	*unfinished = marker.found && marker.replacing;
	return true;
}
