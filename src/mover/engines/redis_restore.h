/*
 * redis_restore.h
 *	  The sink of a restore into Redis.
 */
#ifndef REDIS_RESTORE_H
#define REDIS_RESTORE_H

#include "engines/engine.h"

extern Sink *redis_restore_open(const EngineContext *context, const Dump *dump, RestoreOutcome *outcome,
								Failure *failure);

#endif
