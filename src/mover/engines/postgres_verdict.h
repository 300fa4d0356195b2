/*
 * postgres_verdict.h
 *	  Why psql ended, by the SQLSTATE of the first error that it printed.
 *
 * psql runs with VERBOSITY=verbose: "ERROR:  23505: ...".  The words are in the
 * server's language; the five characters are not.  DETAIL and CONTEXT, which quote a
 * customer's rows, are left out.
 */
#ifndef POSTGRES_VERDICT_H
#define POSTGRES_VERDICT_H

#include <stdbool.h>

#include "failure.h"
#include "process.h"

/*
 * Sets the failure; psql has been waited for.  dropping: it was at the drops, which a
 * change of the target after we looked at it upsets.  Always false.
 */
extern bool postgres_judge_psql(Child *psql, bool dropping, Failure *failure);

/* Did it end because a name was not found? */
extern bool postgres_psql_missed_name(Child *psql);

#endif
