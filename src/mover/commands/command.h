/*
 * command.h
 *	  The commands of the executable: one file each, one line each in main.c's table.
 *
 * A command gets argv from its own name on, parses it with getopt_long(), prints
 * results on stdout and sentences on stderr, and returns the exit status.
 */
#ifndef COMMAND_H
#define COMMAND_H

#include <stdbool.h>

#include "failure.h"
#include "settings.h"

#define EXIT_USAGE 2

typedef struct Command
{
	const char *name;
	int (*run)(int argc, char **argv);
	const char *summary; /* one line in --help */
} Command;

extern int command_check_store(int argc, char **argv);
extern int command_encrypt_url(int argc, char **argv);
extern int command_get(int argc, char **argv);
extern int command_keygen(int argc, char **argv);
extern int command_list(int argc, char **argv);
extern int command_restore(int argc, char **argv);
extern int command_run(int argc, char **argv);
extern int command_verify(int argc, char **argv);

/*
 * The settings as options: put COMMAND_SETTINGS_OPTIONS into the table for
 * getopt_long(), and give every code from COMMAND_FIRST_SETTING on to
 * command_take_setting().  command_read_settings() comes before the options,
 * which override what the file says that CUSTBACKUP_SETTINGS names.
 */
enum CommandSetting
{
	COMMAND_FIRST_SETTING = 256,
	COMMAND_KEY_FILE = COMMAND_FIRST_SETTING,
	COMMAND_SPOOL_DIR,
	COMMAND_TOOL_PATH,
	COMMAND_CREDENTIALS_FILE,
	COMMAND_CA_FILE,
	COMMAND_PROXY,
	COMMAND_ALLOW_LOCAL_TARGETS,
	COMMAND_ALLOW_HTTP
};

/* clang-format off */
#define COMMAND_SETTINGS_OPTIONS \
	{"key-file", required_argument, NULL, COMMAND_KEY_FILE}, \
	{"spool-dir", required_argument, NULL, COMMAND_SPOOL_DIR}, \
	{"tool-path", required_argument, NULL, COMMAND_TOOL_PATH}, \
	{"credentials-file", required_argument, NULL, COMMAND_CREDENTIALS_FILE}, \
	{"ca-file", required_argument, NULL, COMMAND_CA_FILE}, \
	{"proxy", required_argument, NULL, COMMAND_PROXY}, \
	{"allow-local-targets", no_argument, NULL, COMMAND_ALLOW_LOCAL_TARGETS}, \
	{"allow-http", no_argument, NULL, COMMAND_ALLOW_HTTP}
/* clang-format on */

/* What --help says of them. */
#define COMMAND_SETTINGS_HELP                                                                                \
	"Settings (also from the JSON file that CUSTBACKUP_SETTINGS names;\n"                                    \
	"docs/settings.md):\n"                                                                                   \
	"  --key-file=FILE          keys, 64 hex digits a line\n"                                                \
	"  --spool-dir=DIR          where unnamed temporary files lie\n"                                         \
	"  --tool-path=DIR[:DIR..]  where dump tools are looked for first\n"                                     \
	"  --credentials-file=FILE  object stores' credentials, AWS format\n"                                    \
	"  --ca-file=FILE           certificates to trust instead of the system's\n"                             \
	"  --proxy=URL              for object stores\n"                                                         \
	"  --allow-local-targets    a resource's URL may lead to this host\n"                                    \
	"  --allow-http             object stores without TLS\n"

/* Defaults, then the file.  False: the failure is set; settings_free() in any case. */
extern bool command_read_settings(Settings *settings, Failure *failure);
extern bool command_take_setting(Settings *settings, int code, const char *value, Failure *failure);

/*
 * Of a command that takes --json, before anything else: where it stands in argv, whatever fails is
 * also told on stdout, as the event `failed` of docs/protocol.md.
 */
extern void command_expect_json(int argc, char **argv);

/* "custbackup NAME: sentence" on stderr; returns EXIT_USAGE. */
extern int command_usage_error(const char *name, const char *format, ...)
	__attribute__((format(printf, 2, 3)));

/* The failure's detail on stderr; returns EXIT_FAILURE. */
extern int command_failed(const char *name, const Failure *failure);

/*
 * Prints a text on stdout and makes sure that it got there; returns the exit status.  Where whoever
 * read it has gone, it ends the process by SIGPIPE.  name "": of no command.
 */
extern int command_print(const char *name, const char *text);

#endif
