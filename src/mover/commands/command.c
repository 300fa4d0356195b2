/*
 * command.c
 *	  What the commands have in common.
 */
#include "command.h"

#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <jansson.h>

#include "fd.h"

bool
command_read_settings(Settings *settings, Failure *failure)
{
	const char *path = getenv("CUSTBACKUP_SETTINGS");

	settings_defaults(settings);
	return path == NULL || *path == '\0' || settings_read_file(settings, path, failure);
}

static bool
take_text(char **target, const char *value, Failure *failure)
{
	free(*target);
	*target = strdup(value);
	return *target != NULL || failure_no_memory(failure);
}

bool
command_take_setting(Settings *settings, int code, const char *value, Failure *failure)
{
	switch ((enum CommandSetting) code)
	{
		case COMMAND_KEY_FILE:
			return take_text(&settings->key_file, value, failure);
		case COMMAND_SPOOL_DIR:
			return take_text(&settings->spool_dir, value, failure);
		case COMMAND_TOOL_PATH:
			return take_text(&settings->tool_path, value, failure);
		case COMMAND_CREDENTIALS_FILE:
			return take_text(&settings->credentials_file, value, failure);
		case COMMAND_CA_FILE:
			return take_text(&settings->ca_file, value, failure);
		case COMMAND_PROXY:
			return take_text(&settings->proxy, value, failure);
		case COMMAND_ALLOW_LOCAL_TARGETS:
			settings->allow_local_targets = true;
			return true;
		case COMMAND_ALLOW_HTTP:
			settings->allow_http = true;
			return true;
	}
	return failure_set(failure, REASON_INTERNAL, "a bug: option code %d is no setting", code);
}

static bool tells_json = false;

void
command_expect_json(int argc, char **argv)
{
	for (int i = 1; i < argc && strcmp(argv[i], "--") != 0; i++)
		/* getopt_long() takes the beginning of an option for the whole. */
		tells_json |= strlen(argv[i]) >= 3 && strncmp(argv[i], "--json", strlen(argv[i])) == 0;
}

/* On stdout, where a script reads; the sentence on stderr is for people. */
static void
tell_failure(const Failure *failure)
{
	json_t *event = NULL;

	if (tells_json)
		event = json_pack("{s:s, s:s, s:s}", "event", "failed", "reason",
						  failure_reason_name(failure->reason), "detail", failure->detail);
	if (event && json_dumpf(event, stdout, JSON_COMPACT) == 0)
		putchar('\n');
	json_decref(event);
	fflush(stdout);
}

int
command_usage_error(const char *name, const char *format, ...)
{
	Failure failure = {0};
	char	sentence[FAILURE_DETAIL_SIZE];
	va_list args;

	va_start(args, format);
	vsnprintf(sentence, sizeof(sentence), format, args);
	va_end(args);
	failure_set(&failure, REASON_CONFIG, "%s", sentence);
	tell_failure(&failure);
	fprintf(stderr, "custbackup %s: %s\nTry 'custbackup %s --help'.\n", name, sentence, name);
	return EXIT_USAGE;
}

int
command_failed(const char *name, const Failure *failure)
{
	tell_failure(failure);
	fprintf(stderr, "custbackup %s: %s\n", name, failure->detail);
	return EXIT_FAILURE;
}

/*
 * Whoever read has seen enough, as `head` has: the end of any other command.  SIGPIPE is ignored
 * until here (protect.c), so that no socket of ours ends us.
 */
static void
end_with_reader(void)
{
	if (!fd_reader_is_gone(STDOUT_FILENO))
		return;
	signal(SIGPIPE, SIG_DFL);
	raise(SIGPIPE);
}

int
command_print(const char *name, const char *text)
{
	if (fputs(text, stdout) >= 0 && fflush(stdout) == 0 && !ferror(stdout))
		return EXIT_SUCCESS;
	end_with_reader();
	fprintf(stderr, "custbackup%s%s: could not write to standard output\n", *name ? " " : "", name);
	return EXIT_FAILURE;
}
