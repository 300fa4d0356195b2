/*
 * settings.h
 *	  The mover's own configuration: where key, spool, tools and credentials lie.
 *
 * A job never names a local path; these do.  The worker hands them over as one
 * JSON object on a descriptor of its own (`--settings-fd N`); an operator's
 * command line reads the same object from the file that CUSTBACKUP_SETTINGS
 * names, and options override it.  docs/settings.md lists every key.
 */
#ifndef SETTINGS_H
#define SETTINGS_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "failure.h"

typedef enum Compression
{
	COMPRESSION_FAST,	  /* ISA-L level 1; zlib 1 where ISA-L is missing */
	COMPRESSION_BALANCED, /* ISA-L level 3; zlib 4 */
	COMPRESSION_BEST	  /* zlib 9 */
} Compression;

typedef struct Settings
{
	char *key_file;	 /* hex keys, first encrypts, all decrypt */
	char *spool_dir; /* for unnamed files; default TMPDIR or /tmp */
	char *tool_path; /* colon-separated directories searched before /usr/lib/postgresql/N/bin and PATH */
	char *credentials_file; /* object stores, AWS format */
	char *ca_file;			/* NULL: the system's */
	char *proxy;			/* NULL: none, whatever the environment says */
	Compression compression;
	bool		allow_local_targets; /* customers' URLs may name this host */
	bool		allow_http;			 /* object stores without TLS beyond loopback */
	int64_t		memory_budget;		 /* bytes for parts in flight; 64 MiB by default */
	int64_t		max_bandwidth;		 /* bytes a second, all movers of the host; 0: unlimited */
	pid_t		parent_pid;			 /* who started us: we die with it; 0: nobody */
} Settings;

extern void settings_defaults(Settings *settings);
extern bool settings_read_fd(Settings *settings, int fd, Failure *failure);
extern bool settings_read_file(Settings *settings, const char *path, Failure *failure);
extern void settings_free(Settings *settings);

#endif
