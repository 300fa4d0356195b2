/*
 * probe.c
 *	  Looks into the database once: is the extension there, and whom does the
 *	  worker connect as?
 *
 * It is connected as the bootstrap superuser and therefore runs nothing that
 * anybody else could have written: it reads catalogs, not SQL.
 */
#include "postgres.h"

#include "access/genam.h"
#include "access/htup_details.h"
#include "access/table.h"
#include "access/xact.h"
#include "catalog/pg_authid.h"
#include "catalog/pg_extension.h"
#include "miscadmin.h"
#include "postmaster/bgworker.h"
#include "storage/ipc.h"
#include "utils/acl.h"
#include "utils/builtins.h"
#include "utils/fmgroids.h"
#include "utils/guc.h"
#include "utils/rel.h"
#include "utils/syscache.h"

#include "compat.h"
#include "launcher.h"
#include "settings.h"
#include "shared.h"

/* The owner of the extension; invalid: there is none. */
static Oid
extension_owner(void)
{
	Relation	extensions = table_open(ExtensionRelationId, AccessShareLock);
	Oid			owner = InvalidOid;
	ScanKeyData key;
	SysScanDesc scan;
	HeapTuple	tuple;

	ScanKeyInit(&key, Anum_pg_extension_extname, BTEqualStrategyNumber, F_NAMEEQ,
				CStringGetDatum("custbackup"));
	scan = systable_beginscan(extensions, ExtensionNameIndexId, true, NULL, 1, &key);
	tuple = systable_getnext(scan);
	if (HeapTupleIsValid(tuple))
		owner = ((Form_pg_extension) GETSTRUCT(tuple))->extowner;
	systable_endscan(scan);
	table_close(extensions, AccessShareLock);
	return owner;
}

static bool
may_log_in(Oid role)
{
	HeapTuple tuple = SearchSysCache1(AUTHOID, ObjectIdGetDatum(role));
	bool	  login = HeapTupleIsValid(tuple) && ((Form_pg_authid) GETSTRUCT(tuple))->rolcanlogin;

	if (HeapTupleIsValid(tuple))
		ReleaseSysCache(tuple);
	return login;
}

static ProbeFinding
find(Oid *role)
{
	*role = extension_owner();
	if (!OidIsValid(*role))
		return PROBE_NO_EXTENSION;
	if (setting_role[0] != '\0')
		*role = get_role_oid(setting_role, true);
	if (!OidIsValid(*role))
		return PROBE_NO_ROLE;
	if (ROLE_MUST_HAVE_LOGIN && !may_log_in(*role))
		return PROBE_ROLE_CANNOT_LOGIN;
	if (DATABASE_ACLCHECK(MyDatabaseId, *role, ACL_CONNECT) != ACLCHECK_OK)
		return PROBE_ROLE_CANNOT_CONNECT;
	return PROBE_READY;
}

void
custbackup_probe_main(Datum database)
{
	ProbeFinding finding;
	Oid			 role;

	BackgroundWorkerUnblockSignals();
	ProcessConfigFile(PGC_SIGHUP); /* a SIGHUP on the way here was ignored */
	BackgroundWorkerInitializeConnectionByOid(DatumGetObjectId(database), InvalidOid, 0);

	StartTransactionCommand();
	finding = find(&role);
	CommitTransactionCommand();
	shared_set_finding(finding, role);
	proc_exit(0);
}
