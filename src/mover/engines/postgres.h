/*
 * postgres.h
 *	  The engine for Postgres, with or without pgvector.
 *
 * The way of a backup:  postgres_url.c (may we go there?), postgres_connect.c (who answers?), postgres_tools.c
 * (which pg_dump?), postgres_rights.c (may we read all of it?), postgres_dump.c.
 * The way of a restore: the same three, then postgres_look.c: postgres_target.c (what is there?),
 * postgres_plan.c (what goes, what stays, what comes), postgres_preflight.c (can it work?); and postgres_rewind.c:
 * postgres_script.c and postgres_grants.c (in words for psql), postgres_pump.c (the bytes), postgres_backend.c (the
 * second connection), postgres_verdict.c (why it failed).
 */
#ifndef POSTGRES_H
#define POSTGRES_H

#include "engine.h"

extern const Engine postgres_engine;

/* postgres_dump.c */
extern Source *postgres_open_source(const EngineContext *context, SourceFacts *facts, Failure *failure);

/* postgres_rewind.c, after postgres_look.c */
extern Sink *postgres_open_sink(const EngineContext *context, const Dump *dump, RestoreOutcome *outcome,
								Failure *failure);

#endif
