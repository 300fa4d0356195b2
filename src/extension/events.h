/*
 * events.h
 *	  A mover's words: lines out of its stdout, the tail of its stderr, and the
 *	  `failed` event that the worker says for a mover that cannot.
 *
 * The worker understands no event (docs/protocol.md): it cuts lines, refuses
 * what cannot be one, and sees whether a line shows progress.
 */
#ifndef EVENTS_H
#define EVENTS_H

#include "postgres.h"

#include "lib/stringinfo.h"

#define EVENT_MAX_BYTES	  (64 * 1024) /* of a line, without its newline */
#define ERRORS_TAIL_BYTES 1024

typedef struct EventReader
{
	StringInfoData buffer;		/* what was read and not yet consumed */
	int			   line_length; /* of the line at the buffer's head; -1: none is complete */
	const char	  *illegal;		/* why nothing more can be read; NULL: all is well */
	uint64		   last_hash;	/* of the line before, to see progress */
} EventReader;

/* The reader's memory is of the context that is current at events_init(), and grows there. */
extern void events_init(EventReader *reader);
extern void events_free(EventReader *reader);

/*
 * Reads what is there, without waiting, until a whole line stands at the head.
 * False at end of file.  Afterwards events_line() and reader->illegal tell.
 */
extern bool events_read(EventReader *reader, int fd);

/* The line at the head, NUL-terminated, valid UTF-8; NULL: none yet. */
extern const char *events_line(EventReader *reader);

/* Done with the line at the head. */
extern void events_consume(EventReader *reader);

/* Does the line at the head show that work goes on: new figures, or a proof of life? */
extern bool events_show_progress(EventReader *reader);

/* What a mover's last words tell of a restore's target. */
typedef enum TargetState
{
	TARGET_UNKNOWN, /* nothing: SQL judges by the phase */
	TARGET_UNTOUCHED,
	TARGET_MODIFIED
} TargetState;

/* Of the line at the head; TARGET_UNKNOWN when it does not speak of it. */
extern TargetState events_target_state(const EventReader *reader);

typedef struct ErrorTail
{
	char bytes[ERRORS_TAIL_BYTES];
	int	 length;
} ErrorTail;

/* Reads all that is there and keeps the end of it.  False at end of file. */
extern bool error_tail_read(ErrorTail *tail, int fd);

/*
 * The same event in the server's encoding: what is not ASCII becomes an escape of
 * JSON, and a character that it does not have a question mark.  In a transaction;
 * palloc'd, or the event itself.
 */
extern const char *events_to_server(const char *event);

/*
 * A job in the encoding of the protocol, UTF-8; what is no character there becomes a
 * question mark, so that one odd row holds up no other's job.  In a transaction; palloc'd.
 */
extern char *events_from_server(const char *job);

/* {"event": "failed", ...}: palloc'd, ASCII.  tail may be NULL. */
extern char *events_failed(const char *reason, const char *detail, const ErrorTail *tail, TargetState target);

#endif
