/*
 * mongodb_tools.c
 *	  Finding a tool, and writing the configuration file that it reads.
 */
#include "engines/mongodb_tools.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "secret.h"

#define SAID_MAX 1500 /* bytes of a tool's words in a detail */

/* The first that takes a URL by --config. */
#define OLDEST "100.3"

/* "mongodump version: 100.6.1" */
static bool
parse_version(MongodbTool *tool, const char *text)
{
	static const char label[] = " version: ";
	const char		 *number = strstr(text, label);

	if (number == NULL)
		return false;
	number += strlen(label);
	snprintf(tool->version, sizeof(tool->version), "%.*s", (int) strcspn(number, " \r\n"), number);
	return tool->version[0] != '\0';
}

/* What somebody has built may call itself anything. */
static bool
is_too_old(const MongodbTool *tool)
{
	return isdigit((unsigned char) tool->version[0]) && strverscmp(tool->version, OLDEST) < 0;
}

/* trouble: what kept us from asking it, should that be ours. */
static bool
probe(MongodbTool *tool, const char *directory, size_t length, Failure *trouble)
{
	char	 *argv[] = {(char *) tool->name, "--version", NULL};
	ChildSpec spec = {.path = tool->path, .argv = argv, .stdout_pipe = true};
	Child	  child;
	Failure	  failure = {0};
	char	  text[512];
	size_t	  filled = 0;
	size_t	  got = 0;

	if (length == 0 || *directory != '/' || length + strlen(tool->name) + 2 > sizeof(tool->path))
		return false;
	snprintf(tool->path, sizeof(tool->path), "%.*s/%s", (int) length, directory, tool->name);
	if (access(tool->path, X_OK) != 0)
		return false;
	if (child_start(&spec, &child, &failure))
		while (filled < sizeof(text) - 1 &&
			   child_read(&child, text + filled, sizeof(text) - 1 - filled, &got, &failure) && got > 0)
			filled += got;
	text[filled] = '\0';
	child_close(&child);
	if (failure.reason == REASON_INTERNAL || failure.reason == REASON_CANCELLED)
		failure_set(trouble, failure.reason, "%s", failure.detail);
	return parse_version(tool, text) && !is_too_old(tool);
}

static bool
probe_list(MongodbTool *tool, const char *list, Failure *trouble)
{
	while (list != NULL && *list != '\0')
	{
		size_t length = strcspn(list, ":");

		if (probe(tool, list, length, trouble))
			return true;
		list += length + (list[length] == ':');
	}
	return false;
}

bool
mongodb_tool_find(MongodbTool *tool, const char *name, const Settings *settings, Failure *failure)
{
	Failure trouble = {0};

	*tool = (MongodbTool){.name = name};
	if (probe_list(tool, settings->tool_path, &trouble) || probe_list(tool, getenv("PATH"), &trouble))
		return true;
	if (trouble.reason != REASON_NONE)
		return failure_set(failure, trouble.reason, "%s", trouble.detail);
	if (is_too_old(tool))
		return failure_set(failure, REASON_CONFIG,
						   "%s %s is too old, it takes no URL but in its arguments: install "
						   "mongodb-database-tools " OLDEST " or newer",
						   name, tool->version);
	return failure_set(
		failure, REASON_CONFIG,
		"%s is not installed (looked in %s and PATH): install mongodb-database-tools, or name its "
		"directory in custbackup.tool_path",
		name,
		settings->tool_path != NULL && *settings->tool_path != '\0' ? settings->tool_path
																	: "custbackup.tool_path (not set)");
}

int
mongodb_tool_config(const MongodbUrl *url, const MongodbSession *session, const Settings *settings,
					bool with_database, Failure *failure)
{
	Secret uri = {0};
	Secret yaml = {0};
	int	   fd = -1;

	/* All that YAML gives a meaning to is percent-encoded in there. */
	if (mongodb_url_write(url, settings, session->host, session->port, with_database, &uri, failure) &&
		secret_copy(&yaml, NULL, uri.length + strlen("uri: \"\"\n"), failure))
	{
		sprintf(yaml.text, "uri: \"%s\"\n", uri.text);
		fd = secret_memfd("mongodb-config", yaml.text, yaml.length, failure);
	}
	secret_free(&yaml);
	secret_free(&uri);
	return fd;
}

bool
mongodb_tool_failure(const MongodbTool *tool, Child *child, MongodbSession *session, const MongodbUrl *url,
					 const Settings *settings, FailureReason otherwise, Failure *failure)
{
	static const char *const about_rights[] = {"not authorized", "(Unauthorized)", "requires authentication"};
	const char				*said = child_stderr(child);
	size_t					 length = strlen(said);
	FailureReason			 reason = otherwise;

	for (size_t i = 0; i < sizeof(about_rights) / sizeof(about_rights[0]); i++)
		if (strstr(said, about_rights[i]) != NULL)
			reason = REASON_AUTH;
	if (!WIFSIGNALED(child->status) && !mongodb_reconnect(session, url, settings, failure))
		return false;
	/* The last words, where there are many: the cause is mostly there. */
	return failure_set(failure, reason, "%s %s %s: %s", tool->name, tool->version, child_status_text(child),
					   said + (length > SAID_MAX ? length - SAID_MAX : 0));
}
