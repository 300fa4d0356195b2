/*
 * mongodb.h
 *	  The engine for MongoDB: mongodump's archives, whole collections.
 *
 * The way of a backup:  mongodb_url.c (may we go there?), mongodb_srv.c (its servers, where the DNS has them),
 * mongodb_connect.c (who answers?), mongodb_tools.c (which mongodump, and how it gets the password),
 * mongodb_dump.c; mongodb_inspector.c proves what comes, by mongodb_archive.c.
 * The way of a restore: the same, then mongodb_plan.c (what comes, what is there, which way), mongodb_mongorestore.c
 * (the tool), mongodb_marker.c (one restore of a database at a time), mongodb_collections.c (rename and drop),
 * mongodb_commit.c (the end), mongodb_restore.c (all of it, in order).
 */
#ifndef MONGODB_H
#define MONGODB_H

#include "engines/engine.h"

extern const Engine mongodb_engine;

/* mongodb_inspector.c */
extern Inspector *mongodb_open_inspector(FailureReason when, Failure *failure);

/* mongodb_dump.c */
extern Source *mongodb_open_source(const EngineContext *context, SourceFacts *facts, Failure *failure);

/* mongodb_restore.c */
extern Sink *mongodb_open_sink(const EngineContext *context, const Dump *dump, RestoreOutcome *outcome,
							   Failure *failure);

#endif
