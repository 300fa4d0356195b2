/*
 * postgres.h
 *	  The engine for Postgres, with or without pgvector.
 *
 * The way of a backup:  postgres_url.c (may we go there?), postgres_connect.c (who answers?), postgres_tools.c
 * (which pg_dump?), postgres_rights.c (may we read all of it?), postgres_dump.c.
 * The way of a restore: the same three, then postgres_target.c (what is there?), postgres_plan.c (what goes, what
 * stays, what comes), postgres_script.c (in words for psql), postgres_pump.c (the bytes), postgres_rewind.c (all
 * of it, in order).
 */
#ifndef POSTGRES_H
#define POSTGRES_H

#include "engine.h"

extern const Engine postgres_engine;

/* postgres_dump.c */
extern Source *postgres_open_source(const EngineContext *context, SourceFacts *facts, Failure *failure);

/* postgres_rewind.c */
extern Sink *postgres_open_sink(const EngineContext *context, const Dump *dump, RestoreOutcome *outcome,
								Failure *failure);

#endif
