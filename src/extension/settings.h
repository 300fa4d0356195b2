/*
 * settings.h
 *	  The settings named custbackup.*, and what of them goes to the mover.
 *
 * docs/settings.md describes each: default, unit, when a change takes effect.
 * All but resource_source are read again at a reload; a running job keeps the
 * mover's settings that it was started with.
 */
#ifndef EXTENSION_SETTINGS_H
#define EXTENSION_SETTINGS_H

#include "postgres.h"

/* Of the launcher and the worker */
extern char *setting_database;		  /* where the extension lives */
extern char *setting_role;			  /* whom the worker connects as; "": the extension's owner */
extern int	 setting_max_jobs;		  /* movers at once; 0: none is started */
extern char *setting_mover;			  /* path of the executable; "": beside the server's own */
extern int	 setting_backup_timeout;  /* s */
extern int	 setting_restore_timeout; /* s */
extern int	 setting_stall_timeout;	  /* s without progress */
extern int	 setting_lease_timeout;	  /* s that a runner elsewhere may be silent */

/* Of the SQL functions */
extern char *setting_resource_source; /* schema.relation */

extern void settings_define(void);

/* The path of the mover, palloc'd. */
extern char *settings_mover_path(void);

/* The object for --settings-fd: palloc'd JSON, in the server's encoding. */
extern char *settings_for_mover(int parent_pid);

#endif
