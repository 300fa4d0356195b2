/*
 * resource_source.c
 *	  custbackup.source_resources(): the platform's resources, read as the owner
 *	  of the table or view that holds them.
 *
 * `custbackup.resource_source` names a relation of the platform.  A view of the
 * platform's may call functions of the platform's; whoever asks us (the worker,
 * a SECURITY DEFINER function of the extension's owner, who is a superuser) must
 * not lend them its own rights.  So the query runs as the relation's owner, in
 * the restricted mode that Postgres itself uses for the code of others in
 * maintenance commands, and under a search_path that the owner did not choose.
 */
#include "postgres.h"

#include "access/attnum.h"
#include "access/htup_details.h"
#include "catalog/namespace.h"
#include "catalog/pg_class.h"
#include "catalog/pg_type.h"
#include "executor/spi.h"
#include "executor/tstoreReceiver.h"
#include "fmgr.h"
#include "funcapi.h"
#include "miscadmin.h"
#include "nodes/makefuncs.h"
#include "utils/builtins.h"
#include "utils/guc.h"
#include "utils/lsyscache.h"
#include "utils/syscache.h"
#include "utils/varlena.h"

#include "settings.h"

PG_FUNCTION_INFO_V1(custbackup_source_resources);

typedef struct SourceColumn
{
	const char *name;
	const char *type;
} SourceColumn;

/* In the order of the SQL function's result. */
static const SourceColumn source_columns[] = {
	{"id", "uuid"},		{"token", "text"},		   {"team_id", "uuid"},
	{"tier", "text"},	{"resource_type", "text"}, {"connection_url", "text"},
	{"status", "text"},
};

static Oid
source_relation(void)
{
	List *names;
	Oid	  relation;

	if (!SplitIdentifierString(pstrdup(setting_resource_source), '.', &names) || list_length(names) != 2)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_NAME),
				 errmsg("custbackup.resource_source is \"%s\", which is not of the form schema.relation",
						setting_resource_source)));

	/* Locked, so that what is judged, whose rights are taken, and what is read are one relation. */
	relation = RangeVarGetRelid(makeRangeVar(linitial(names), lsecond(names), -1), AccessShareLock, true);
	if (!OidIsValid(relation))
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_TABLE),
				 errmsg("custbackup.resource_source names \"%s\", which does not exist in this database",
						setting_resource_source),
				 errhint("Create it, or set custbackup.resource_source to the table or view that lists the "
						 "platform's resources.")));
	return relation;
}

static void
check_relation(Oid relation)
{
	char relkind = get_rel_relkind(relation);

	if (strchr("rvmfp", relkind) == NULL)
		ereport(ERROR, (errcode(ERRCODE_WRONG_OBJECT_TYPE),
						errmsg("\"%s\", named by custbackup.resource_source, is neither a table nor a view",
							   setting_resource_source)));

	for (size_t i = 0; i < lengthof(source_columns); i++)
	{
		if (get_attnum(relation, source_columns[i].name) == InvalidAttrNumber)
			ereport(ERROR,
					(errcode(ERRCODE_UNDEFINED_COLUMN),
					 errmsg("\"%s\", named by custbackup.resource_source, has no column \"%s\"",
							setting_resource_source, source_columns[i].name),
					 errhint("It needs the columns id, token, team_id, tier, resource_type, connection_url "
							 "and status; a view can give them these names.")));
	}
}

static Oid
owner_of(Oid relation)
{
	HeapTuple tuple = SearchSysCache1(RELOID, ObjectIdGetDatum(relation));
	Oid		  owner;

	if (!HeapTupleIsValid(tuple))
		ereport(ERROR, (errcode(ERRCODE_UNDEFINED_TABLE),
						errmsg("\"%s\", named by custbackup.resource_source, was dropped just now",
							   setting_resource_source)));
	owner = ((Form_pg_class) GETSTRUCT(tuple))->relowner;
	ReleaseSysCache(tuple);
	return owner;
}

/* Every spelling that the type uuid takes. */
#define HEX_GROUPS "[0-9a-fA-F]{4}(-?[0-9a-fA-F]{4}){7}"

/*
 * One column, as the type that we want.  A platform's own column may be a text: what
 * is no uuid there is NULL, or one bad row would end the backups of the whole fleet.
 */
static char *
column_expression(Oid relation, const SourceColumn *column)
{
	if (strcmp(column->type, "uuid") == 0 &&
		get_atttype(relation, get_attnum(relation, column->name)) != UUIDOID)
		return psprintf("CASE WHEN s.%1$s::pg_catalog.text OPERATOR(pg_catalog.~) "
						"'^(" HEX_GROUPS "|[{]" HEX_GROUPS "[}])$' "
						"THEN s.%1$s::pg_catalog.text::pg_catalog.uuid END",
						column->name);
	return psprintf("s.%s::pg_catalog.%s", column->name, column->type);
}

static char *
source_query(Oid relation, bool one)
{
	StringInfoData query;
	char		  *id = column_expression(relation, &source_columns[0]);

	initStringInfo(&query);
	for (size_t i = 0; i < lengthof(source_columns); i++)
		appendStringInfo(&query, "%s %s", i == 0 ? "SELECT" : ",",
						 column_expression(relation, &source_columns[i]));
	appendStringInfo(
		&query, " FROM %s AS s WHERE %s",
		quote_qualified_identifier(get_namespace_name(get_rel_namespace(relation)), get_rel_name(relation)),
		id);
	appendStringInfoString(&query, one ? " OPERATOR(pg_catalog.=) $1" : " IS NOT NULL");
	return query.data;
}

static ParamListInfo
id_parameter(Datum id)
{
	ParamListInfo params = makeParamList(1);

	params->params[0].value = id;
	params->params[0].isnull = false;
	params->params[0].pflags = PARAM_FLAG_CONST;
	params->params[0].ptype = UUIDOID;
	return params;
}

/* The rows go straight to the caller's tuplestore: a fleet's list is held once. */
static void
run_into(const char *query, ParamListInfo params, ReturnSetInfo *result)
{
	SPIExecuteOptions options = {0};
	DestReceiver	 *receiver = CreateTuplestoreDestReceiver();

	SetTuplestoreDestReceiverParams(receiver, result->setResult, result->econtext->ecxt_per_query_memory,
									false, NULL, NULL);
	options.params = params;
	options.read_only = true;
	options.dest = receiver;

	SPI_connect();
	if (SPI_execute_extended(query, &options) < 0)
		elog(ERROR, "reading custbackup.resource_source failed: %s", SPI_result_code_string(SPI_result));
	SPI_finish();
	receiver->rDestroy(receiver);
}

Datum
custbackup_source_resources(PG_FUNCTION_ARGS)
{
	Oid	  relation = source_relation();
	bool  one = !PG_ARGISNULL(0);
	char *query;
	Oid	  saved_user;
	int	  saved_context;
	int	  saved_settings;

	check_relation(relation);
	query = source_query(relation, one);
	InitMaterializedSRF(fcinfo, MAT_SRF_USE_EXPECTED_DESC);

	/* An error rolls the (sub)transaction back, which restores user, context and settings. */
	GetUserIdAndSecContext(&saved_user, &saved_context);
	SetUserIdAndSecContext(owner_of(relation),
						   saved_context | SECURITY_LOCAL_USERID_CHANGE | SECURITY_RESTRICTED_OPERATION);
	saved_settings = NewGUCNestLevel();
	(void) set_config_option("search_path", "pg_catalog, pg_temp", PGC_USERSET, PGC_S_SESSION,
							 GUC_ACTION_SAVE, true, 0, false);

	run_into(query, one ? id_parameter(PG_GETARG_DATUM(0)) : NULL, (ReturnSetInfo *) fcinfo->resultinfo);

	AtEOXact_GUC(false, saved_settings);
	SetUserIdAndSecContext(saved_user, saved_context);
	return (Datum) 0;
}
