#include "engines/mongodb.h"

Sink *
mongodb_open_sink(const EngineContext *context, const Dump *dump, RestoreOutcome *outcome, Failure *failure)
{
	(void) context;
	(void) dump;
	(void) outcome;
	failure_set(
		failure, REASON_NOT_RESTORABLE,
		"this release does not restore MongoDB by itself: `custbackup get` fetches and proves the archive, "
		"`mongorestore --archive` restores it");
	return NULL;
}
