/*
 * redis_functions.h
 *	  Will the target load the backup's libraries of functions?
 *
 * They are code, and may want what only another server has (a newer Redis' calls, Valkey's own).
 * FUNCTION RESTORE refuses them then, and a transaction does not undo what else was in it.  So they
 * are tried before anything is touched: one transaction loads them, and the server's own ones again.
 * Nobody sees a difference.
 */
#ifndef REDIS_FUNCTIONS_H
#define REDIS_FUNCTIONS_H

#include "engines/bytes.h"
#include "engines/engine.h"
#include "engines/resp.h"

/* payload: as FUNCTION RESTORE takes it.  Also true where it cannot be tried: the role may not see the server's own. */
extern bool redis_functions_try(Resp *resp, const Bytes *payload, RestoreOutcome *outcome, Failure *failure);

#endif
