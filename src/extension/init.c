/*
 * init.c
 *	  custbackup.so is loaded: settings always; shared memory and the launcher
 *	  where shared_preload_libraries names us.
 */
#include "postgres.h"

#include "fmgr.h"
#include "miscadmin.h"

#include "compat.h"
#include "launcher.h"
#include "settings.h"
#include "shared.h"

CUSTBACKUP_MODULE_MAGIC;

extern PGDLLEXPORT void _PG_init(void);

void
_PG_init(void)
{
	settings_define();

	/* pg_upgrade starts servers whose only client it must be. */
	if (!process_shared_preload_libraries_in_progress || IsBinaryUpgrade)
		return;

	shared_request();
	launcher_register();
}
