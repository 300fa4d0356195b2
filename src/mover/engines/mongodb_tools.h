/*
 * mongodb_tools.h
 *	  Which mongodump or mongorestore, and how it gets the URL.
 *
 * Looked for in the directories of settings.tool_path, then in PATH.  The URL travels in
 * a configuration file (--config) that is a sealed memfd: it stands in no argv, no
 * environment and no file with a name.
 */
#ifndef MONGODB_TOOLS_H
#define MONGODB_TOOLS_H

#include <stdbool.h>

#include "engines/mongodb_connect.h"
#include "engines/mongodb_url.h"
#include "failure.h"
#include "process.h"
#include "settings.h"

typedef struct MongodbTool
{
	const char *name;		 /* a literal */
	char		path[4096];	 /* absolute */
	char		version[48]; /* "100.6.1" */
} MongodbTool;

/* REASON_CONFIG: there is none that runs, or none that is new enough. */
extern bool mongodb_tool_find(MongodbTool *tool, const char *name, const Settings *settings,
							  Failure *failure);

/* The configuration for the server of *session; -1: failure. */
extern int mongodb_tool_config(const MongodbUrl *url, const MongodbSession *session, const Settings *settings,
							   bool with_database, Failure *failure);

/*
 * A tool has failed: why?  The server is asked again first (*session is connected anew),
 * since a tool's words are for people; they are quoted.
 */
extern bool mongodb_tool_failure(const MongodbTool *tool, Child *child, MongodbSession *session,
								 const MongodbUrl *url, const Settings *settings, FailureReason otherwise,
								 Failure *failure);

#endif
