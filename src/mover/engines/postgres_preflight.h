/*
 * postgres_preflight.h
 *	  What can be known to fail before anything is touched.
 *
 * REASON_NOT_RESTORABLE: something that stays depends on something to be dropped;
 * a schema that we may not create in;
 * an extension lacks and cannot be created by us; a large object is another role's;
 * our role owns none of the tables; the transaction would need more locks than the
 * server has.  REASON_TARGET_NOT_EMPTY: a clone into what is not empty.
 */
#ifndef POSTGRES_PREFLIGHT_H
#define POSTGRES_PREFLIGHT_H

#include "postgres_plan.h"

/* The plan's drops and choices are made. */
extern bool postgres_preflight(const PostgresPlan *plan, PostgresSession *session, Failure *failure);

#endif
