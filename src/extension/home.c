/*
 * home.c
 *	  custbackup.whereabouts(): what tells this server from one that a copy of its
 *	  database was taken to.  The system identifier does not: a base backup has the same.
 */
#include "postgres.h"

#include <unistd.h>

#include "access/htup_details.h"
#include "fmgr.h"
#include "funcapi.h"
#include "miscadmin.h"
#include "utils/builtins.h"

PG_FUNCTION_INFO_V1(custbackup_whereabouts);

Datum
custbackup_whereabouts(PG_FUNCTION_ARGS)
{
	char	  host[256] = "";
	TupleDesc descriptor;
	Datum	  values[2];
	bool	  nulls[2] = {false, false};

	if (get_call_result_type(fcinfo, NULL, &descriptor) != TYPEFUNC_COMPOSITE)
		elog(ERROR, "custbackup.whereabouts() returns two columns");
	if (gethostname(host, sizeof(host) - 1) < 0)
		ereport(ERROR, (errmsg("custbackup: could not get the name of this host: %m")));
	values[0] = CStringGetTextDatum(host);
	values[1] = CStringGetTextDatum(DataDir);
	return HeapTupleGetDatum(heap_form_tuple(BlessTupleDesc(descriptor), values, nulls));
}
