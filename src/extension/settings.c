/*
 * settings.c
 *	  Definitions of the settings named custbackup.*
 */
#include "postgres.h"

#include <limits.h>

#include "lib/stringinfo.h"
#include "miscadmin.h"
#include "port.h"
#include "utils/guc.h"
#include "utils/json.h"

#include "settings.h"

char *setting_database;
char *setting_role;
int	  setting_max_jobs;
char *setting_mover;
int	  setting_backup_timeout;
int	  setting_restore_timeout;
int	  setting_stall_timeout;
int	  setting_lease_timeout;
char *setting_resource_source;

static char *key_file;
static char *spool_dir;
static char *tool_path;
static char *credentials_file;
static char *ca_file;
static char *proxy;
static int	 compression;
static bool	 allow_local_targets;
static bool	 allow_http;
static int	 memory_budget; /* kB */
static int	 max_bandwidth; /* kB a second */

/* The values index the names. */
static const struct config_enum_entry compressions[] = {
	{"fast", 0, false},
	{"balanced", 1, false},
	{"best", 2, false},
	{NULL, 0, false},
};

/* The mover runs in "/": a relative path would mean something else there. */
static bool
check_path(char **value, void **extra, GucSource source)
{
	(void) extra;
	(void) source;
	if ((*value)[0] == '\0' || is_absolute_path(*value))
		return true;
	GUC_check_errdetail("The path must be absolute.");
	return false;
}

static bool
check_tool_path(char **value, void **extra, GucSource source)
{
	const char *directory = *value;

	(void) extra;
	(void) source;
	while (*directory != '\0')
	{
		if (!is_absolute_path(directory))
		{
			GUC_check_errdetail("Each directory, separated by colons, must be absolute.");
			return false;
		}
		directory += strcspn(directory, ":");
		if (*directory == ':')
			directory++;
	}
	return true;
}

static void
define_path(const char *name, char **variable, const char *description)
{
	DefineCustomStringVariable(name, description, NULL, variable, "", PGC_SIGHUP, 0, check_path, NULL, NULL);
}

static void
define_of_worker(void)
{
	DefineCustomStringVariable("custbackup.database", "Database in which the extension lives.", NULL,
							   &setting_database, "postgres", PGC_SIGHUP, 0, NULL, NULL, NULL);
	DefineCustomStringVariable("custbackup.role", "Role as which the background worker connects.",
							   "Empty: the extension's owner.", &setting_role, "", PGC_SIGHUP, 0, NULL, NULL,
							   NULL);
	DefineCustomIntVariable("custbackup.max_jobs", "Jobs at once on this host.", "0 starts none.",
							&setting_max_jobs, 4, 0, 1000, PGC_SIGHUP, 0, NULL, NULL, NULL);
	define_path("custbackup.mover", &setting_mover, "Path of the executable that does the jobs.");
	DefineCustomIntVariable("custbackup.backup_timeout", "Longest time that a backup may take.", NULL,
							&setting_backup_timeout, 30 * 60, 1, INT_MAX / 1000, PGC_SIGHUP, GUC_UNIT_S, NULL,
							NULL, NULL);
	DefineCustomIntVariable("custbackup.restore_timeout", "Longest time that a restore may take.", NULL,
							&setting_restore_timeout, 6 * 60 * 60, 1, INT_MAX / 1000, PGC_SIGHUP, GUC_UNIT_S,
							NULL, NULL, NULL);
	DefineCustomIntVariable("custbackup.stall_timeout", "Longest time that a job may go on without progress.",
							NULL, &setting_stall_timeout, 120, 1, INT_MAX / 1000, PGC_SIGHUP, GUC_UNIT_S,
							NULL, NULL, NULL);
	DefineCustomIntVariable(
		"custbackup.lease_timeout",
		"Time after which the jobs of a runner elsewhere that is silent are given to others.", NULL,
		&setting_lease_timeout, 60, 5, 3600, PGC_SIGHUP, GUC_UNIT_S, NULL, NULL, NULL);
}

static void
define_of_mover(void)
{
	define_path("custbackup.key_file", &key_file, "File of the keys that encrypt connection URLs.");
	define_path("custbackup.spool_dir", &spool_dir, "Directory for the unnamed files of restores.");
	DefineCustomStringVariable("custbackup.tool_path", "Directories searched first for dump tools.",
							   "Separated by colons.", &tool_path, "", PGC_SIGHUP, 0, check_tool_path, NULL,
							   NULL);
	define_path("custbackup.credentials_file", &credentials_file,
				"Credentials of object stores, in the format of AWS.");
	define_path("custbackup.ca_file", &ca_file, "Certificates to trust instead of the system's.");
	DefineCustomStringVariable("custbackup.proxy", "Proxy to object stores.", "Empty: none.", &proxy, "",
							   PGC_SIGHUP, GUC_SUPERUSER_ONLY, NULL, NULL, NULL);
	DefineCustomEnumVariable("custbackup.compression", "How hard backups are compressed.", NULL, &compression,
							 0, compressions, PGC_SIGHUP, 0, NULL, NULL, NULL);
	DefineCustomBoolVariable("custbackup.allow_local_targets", "Customers' URLs may name this host.",
							 "Leave it off: a customer's URL must not reach the control plane.",
							 &allow_local_targets, false, PGC_SIGHUP, 0, NULL, NULL, NULL);
	DefineCustomBoolVariable("custbackup.allow_http", "Object stores may be used without TLS.", NULL,
							 &allow_http, false, PGC_SIGHUP, 0, NULL, NULL, NULL);
	DefineCustomIntVariable("custbackup.memory_budget",
							"Memory of each job for parts on their way to a store.", NULL, &memory_budget,
							64 * 1024, 16 * 1024, MAX_KILOBYTES, PGC_SIGHUP, GUC_UNIT_KB, NULL, NULL, NULL);
	DefineCustomIntVariable("custbackup.max_bandwidth",
							"Transfer a second to object stores, of all jobs of this host.", "0: unlimited.",
							&max_bandwidth, 0, 0, MAX_KILOBYTES, PGC_SIGHUP, GUC_UNIT_KB, NULL, NULL, NULL);
}

void
settings_define(void)
{
	define_of_worker();
	define_of_mover();

	/* Not for everybody to SET: it names the relation that is read with its owner's rights. */
	DefineCustomStringVariable(
		"custbackup.resource_source", "Table or view that lists the platform's resources, with its schema.",
		NULL, &setting_resource_source, "custbackup.resources", PGC_SUSET, 0, NULL, NULL, NULL);

	MarkGUCPrefixReserved("custbackup");
}

char *
settings_mover_path(void)
{
	char directory[MAXPGPATH];

	if (setting_mover[0] != '\0')
		return pstrdup(setting_mover);

	strlcpy(directory, my_exec_path, sizeof(directory));
	get_parent_directory(directory);
	return psprintf("%s/custbackup", directory);
}

/* An empty setting is left out: the mover has its own default. */
static void
append_text(StringInfo object, const char *key, const char *value)
{
	if (value[0] == '\0')
		return;
	appendStringInfo(object, "\"%s\": ", key);
	escape_json(object, value);
	appendStringInfoString(object, ", ");
}

char *
settings_for_mover(int parent_pid)
{
	StringInfoData object;

	initStringInfo(&object);
	appendStringInfoChar(&object, '{');
	append_text(&object, "key_file", key_file);
	append_text(&object, "spool_dir", spool_dir);
	append_text(&object, "tool_path", tool_path);
	append_text(&object, "credentials_file", credentials_file);
	append_text(&object, "ca_file", ca_file);
	append_text(&object, "proxy", proxy);
	append_text(&object, "compression", compressions[compression].name);
	appendStringInfo(&object, "\"allow_local_targets\": %s, ", allow_local_targets ? "true" : "false");
	appendStringInfo(&object, "\"allow_http\": %s, ", allow_http ? "true" : "false");
	appendStringInfo(&object, "\"memory_budget\": " INT64_FORMAT ", ", (int64) memory_budget * 1024);
	appendStringInfo(&object, "\"max_bandwidth\": " INT64_FORMAT ", ", (int64) max_bandwidth * 1024);
	appendStringInfo(&object, "\"parent_pid\": %d}", parent_pid);
	return object.data;
}
