/*
 * mongodb_marker.c
 *	  Taking, renewing and giving up the mark of a restore.
 */
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
	MongodbMark mark;
	char		attempt[64];
	int64_t		at; /* milliseconds; 0: released */
} Marker;

bool
mongodb_is_tag(const char *text)
{
	return strspn(text, "0123456789abcdefABCDEF") == MONGODB_TAG_SIZE - 1;
}

static bool
read_text(const bson_t *document, const char *name, char *text, size_t size)
{
	bson_iter_t field;

	if (!bson_iter_init_find(&field, document, name) || !BSON_ITER_HOLDS_UTF8(&field))
		return false;
	snprintf(text, size, "%s", bson_iter_utf8(&field, NULL));
	return true;
}

static void
read_marker(Marker *marker, const bson_t *document)
{
	bson_iter_t field;
	char		text[16];

	if (!read_text(document, "_id", text, sizeof(text)) || strcmp(text, ID) != 0)
	{
		marker->mark.foreign = true;
		return;
	}
	marker->mark.found = true;
	read_text(document, "attempt", marker->attempt, sizeof(marker->attempt));
	if (read_text(document, "tag", text, sizeof(text)) && mongodb_is_tag(text) &&
		text[MONGODB_TAG_SIZE - 1] == '\0')
		memcpy(marker->mark.tag, text, MONGODB_TAG_SIZE);
	if (read_text(document, "phase", text, sizeof(text)) && strcmp(text, REPLACING) == 0)
		marker->mark.phase = MONGODB_PHASE_REPLACING;
	if (bson_iter_init_find(&field, document, "at") && BSON_ITER_HOLDS_DATE_TIME(&field))
		marker->at = bson_iter_date_time(&field);
}

static bool
find_marker(MongodbSession *session, const char *database, Marker *marker, FailureReason otherwise,
			Failure *failure)
{
	bson_t		command = BSON_INITIALIZER;
	bson_t		answer;
	bson_iter_t top;
	bson_iter_t batch;
	bson_iter_t field;
	bool		good;
	bool		is_read;

	*marker = (Marker){0};
	/* Two, so that something else beside it would be seen. */
	BSON_APPEND_UTF8(&command, "find", MONGODB_BESIDE);
	BSON_APPEND_INT32(&command, "limit", 2);
	BSON_APPEND_BOOL(&command, "singleBatch", true);
	good = mongodb_ask(session, database, &command, &answer, otherwise, failure);
	is_read = good && bson_iter_init(&top, &answer) &&
			  bson_iter_find_descendant(&top, "cursor.firstBatch", &batch) &&
			  bson_iter_recurse(&batch, &field);
	while (is_read && bson_iter_next(&field) && BSON_ITER_HOLDS_DOCUMENT(&field))
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
	const char	 *tag; /* NULL: stays */
	MongodbPhase  phase;
	bool		  released;
	bool		  bypasses;
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
	if (change->tag != NULL)
		BSON_APPEND_UTF8(&fields, "tag", change->tag);
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
	if (change->bypasses)
		BSON_APPEND_BOOL(&command, "bypassDocumentValidation", true);
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
		if (!seen.mark.found || seen.at != held->at || strcmp(seen.attempt, held->attempt) != 0)
			return busy(session, database, failure);
	}
	return true;
}

bool
mongodb_marker_take(MongodbSession *session, const char *database, const char *attempt, MongodbMark *mark,
					Failure *failure)
{
	Marker held;
	Change change = {.attempt = attempt, .tag = mark->tag};
	bool   written;

	if (!find_marker(session, database, &held, REASON_RESTORE, failure))
		return false;
	if (held.mark.foreign)
		return failure_set(failure, REASON_NOT_RESTORABLE,
						   "the database \"%s\" on MongoDB at %s has a collection \"" MONGODB_BESIDE
						   "\" of its own, where custbackup marks what it restores: rename it",
						   database, session->name);
	if (held.mark.found && strcmp(held.attempt, attempt) != 0 &&
		!wait_for_death(session, database, &held, failure))
		return false;
	if (held.mark.found)
		change.held = &held;
	*mark = held.mark;
	if (mark->tag[0] == '\0')
		snprintf(mark->tag, sizeof(mark->tag), "%s", attempt);
	change.phase = mark->phase;
	return write_marker(session, database, &change, &written, failure) &&
		   (written || busy(session, database, failure));
}

/* It is not ours any more: whose is it? */
static bool
lost(MongodbSession *session, const char *database, Failure *failure)
{
	Marker seen;

	if (!find_marker(session, database, &seen, REASON_RESTORE, failure))
		return false;
	if (seen.mark.found)
		return busy(session, database, failure);
	return failure_set(failure, REASON_RESTORE,
					   "the mark of this restore (the collection \"" MONGODB_BESIDE
					   "\" in the database \"%s\" on MongoDB at %s) is gone: somebody drops what is there",
					   database, session->name);
}

bool
mongodb_marker_renew(MongodbSession *session, const char *database, const char *attempt, MongodbPhase phase,
					 Failure *failure)
{
	Marker held = {.mark = {.found = true}};
	Change change = {.held = &held, .attempt = attempt, .phase = phase};
	bool   written;

	snprintf(held.attempt, sizeof(held.attempt), "%s", attempt);
	return write_marker(session, database, &change, &written, failure) &&
		   (written || lost(session, database, failure));
}

bool
mongodb_marker_try_bypass(MongodbSession *session, const char *database, const char *attempt,
						  const MongodbMark *mark, bool *may, Failure *failure)
{
	Marker	held = {.mark = {.found = true}};
	Change	change = {.held = &held, .attempt = attempt, .phase = mark->phase, .bypasses = true};
	Failure asked = {0};
	bool	written;

	snprintf(held.attempt, sizeof(held.attempt), "%s", attempt);
	*may = write_marker(session, database, &change, &written, &asked);
	return *may || asked.reason == REASON_AUTH || failure_set(failure, asked.reason, "%s", asked.detail);
}

bool
mongodb_marker_release(MongodbSession *session, const char *database, const char *attempt, Failure *failure)
{
	Marker held = {.mark = {.found = true}};
	Change change = {.held = &held, .attempt = attempt, .phase = MONGODB_PHASE_REPLACING, .released = true};
	bool   written;

	snprintf(held.attempt, sizeof(held.attempt), "%s", attempt);
	return write_marker(session, database, &change, &written, failure);
}

bool
mongodb_marker_look(MongodbSession *session, const char *database, MongodbMark *mark, FailureReason otherwise,
					Failure *failure)
{
	Marker marker;
	bool   good = find_marker(session, database, &marker, otherwise, failure);

	*mark = marker.mark;
	return good;
}
