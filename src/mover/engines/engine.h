/*
 * engine.h
 *	  What a resource type must be able to do; one file an engine, one row in
 *	  custbackup.engines, one line in engine.c's table.
 *
 * Backup:   open_source ... read* ... finish, every byte also to the inspector.
 * Restore:  open_sink (looks inside the dump, asks the target, changes nothing)
 *           ... write* ... commit, every byte also to the inspector.
 *
 * Nothing downstream knows whether a source is a tool's stdout or our own
 * network code.  An engine knows nothing of gzip, sha256, stores, keys in
 * stores, or events; it may say report_alive() and report_started()'s facts.
 *
 * Threads: none are alive while open_source() or open_sink() runs, so these may
 * fork.  An engine starts no thread that is alive outside of one call.
 */
#ifndef ENGINE_H
#define ENGINE_H

#include <stdbool.h>
#include <stddef.h>

#include <jansson.h>

#include "dump.h"
#include "failure.h"
#include "job.h"
#include "report.h"
#include "secret.h"
#include "settings.h"

/* What every engine gets; borrowed for the length of the job. */
typedef struct EngineContext
{
	const Settings *settings;
	const Job	   *job; /* type, mode, tokens; never the ciphertext */
	const Secret
		   *url; /* plaintext, registered for scrubbing as a whole; the parts are the engine's to register */
	Report *report; /* for report_alive() and report_may_go_on() */
} EngineContext;

/* Told by a source when it is open: what is dumped, with what.  Notes may come until its end: it outlives the source. */
typedef struct SourceFacts
{
	char		server_version[64];
	char		tool_version[64];
	const char *consistency;		/* a literal: "snapshot", "per collection", "per key" */
	int64_t		expected_raw_bytes; /* the server's own size; -1: unknown */
	json_t	   *notes;				/* owned by whoever called open_source(); NULL: none */
} SourceFacts;

typedef struct Source Source;
struct Source
{
	/* *length 0: the end of the bytes, not yet the proof. */
	bool (*read)(Source *source, void *buffer, size_t capacity, size_t *length, Failure *failure);
	/* After the end: was it whole (exit status, length)?  REASON_DUMP and its kin otherwise. */
	bool (*finish)(Source *source, Failure *failure);
	/* Ends what still runs, frees everything.  Once; also after failures. */
	void (*close)(Source *source);
};

typedef struct Sink Sink;
struct Sink
{
	bool (*write)(Sink *sink, const void *bytes, size_t length, Failure *failure);
	/*
	 * The last step.  Called only when every byte was written and the inspector
	 * was satisfied.  Before it, the target has not changed where the engine can
	 * promise that; outcome->target_modified is kept true to the fact in write()
	 * and commit() alike, so that a failure can tell.
	 */
	bool (*commit)(Sink *sink, Failure *failure);
	/* Without a commit before: undo, as far as the engine can.  Once. */
	void (*close)(Sink *sink);
};

/* Sees the raw bytes as they pass and proves the format whole; never holds the stream. */
typedef struct Inspector Inspector;
struct Inspector
{
	bool (*feed)(Inspector *inspector, const void *bytes, size_t length, Failure *failure);
	/* The stream has ended: was it whole?  Adds counts ({"tables": 3}) to an object of the caller's. */
	bool (*finish)(Inspector *inspector, json_t *counts, Failure *failure);
	void (*close)(Inspector *inspector);
};

typedef struct Engine
{
	const char *name; /* "postgres", "mongodb", "redis" */
	/* Each returns NULL or false with the failure set. */
	Source *(*open_source)(const EngineContext *context, SourceFacts *facts, Failure *failure);
	/* when: REASON_DUMP for a backup, REASON_INTEGRITY for a restore: what a broken stream is called. */
	Inspector *(*open_inspector)(FailureReason when, Failure *failure);
	Sink *(*open_sink)(const EngineContext *context, const Dump *dump, RestoreOutcome *outcome,
					   Failure *failure);
} Engine;

/* Is there an engine of this name in this release?  Its module may be missing still. */
extern bool engine_is_known(const char *name);

/* NULL with REASON_CONFIG naming the engine where it is not built in. */
extern const Engine *engine_find(const char *name, Failure *failure);

#endif
