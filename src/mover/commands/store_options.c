/*
 * store_options.c
 *	  From argv to an open store and its catalogue.
 */
#include "store_options.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cancel.h"

static bool
take_option(StoreOptions *options, const StoreCommand *command, int code, char *value, Failure *failure)
{
	switch (code)
	{
		case STORE_OPTION_STORE:
			options->store_url = value;
			return true;
		case STORE_OPTION_STORE_NAME:
			options->store_name = value;
			return true;
		case STORE_OPTION_TOKEN:
			options->filter.token = value;
			return object_token_is_safe(value) ||
				   failure_set(failure, REASON_CONFIG,
							   "--token takes a token: letters, digits and ._- alone");
		case STORE_OPTION_SINCE:
			return catalogue_parse_time(value, &options->filter.since, failure);
		case STORE_OPTION_UNTIL:
			return catalogue_parse_time(value, &options->filter.until, failure);
		case STORE_OPTION_LATEST:
			options->filter.latest = true;
			return true;
		case STORE_OPTION_JSON:
			options->json = true;
			return command->takes_json ||
				   failure_set(failure, REASON_CONFIG, "it has nothing to tell as JSON");
		default:
			return failure_set(failure, REASON_CONFIG, "that option is none of its own: see --help");
	}
}

/* An id may be shortened, but not to what many begin with. */
static bool
take_id(StoreOptions *options, const char *id, Failure *failure)
{
	size_t length = strlen(id);

	for (size_t i = 0; i < length; i++)
	{
		if (!isxdigit((unsigned char) id[i]) && id[i] != '-')
			length = 0;
	}
	if (length < CATALOGUE_ID_MIN || length > 36)
		return failure_set(failure, REASON_CONFIG,
						   "\"%s\" is no backup's id, nor its first %d digits or more: see custbackup list",
						   id, CATALOGUE_ID_MIN);
	options->filter.id = id;
	return true;
}

static int
parse(StoreOptions *options, const StoreCommand *command, int argc, char **argv)
{
	Failure failure = {0};
	int		code;

	while ((code = getopt_long(argc, argv, "h", command->options, NULL)) != -1)
	{
		bool taken;

		if (code == 'h')
			return command_print(command->name, command->help);
		if (code == '?')
			return command_usage_error(command->name, "an option is unknown, or lacks its value");
		if (code >= COMMAND_FIRST_SETTING && code < STORE_OPTION_STORE)
		{
			if (!command_take_setting(&options->settings, code, optarg, &failure))
				return command_failed(command->name, &failure);
			continue;
		}
		taken = code < COMMAND_FIRST_SETTING && command->take_own
					? command->take_own(command->own, code, optarg, &failure)
					: take_option(options, command, code, optarg, &failure);
		if (!taken)
			return command_usage_error(command->name, "%s", failure.detail);
	}
	if (argc - optind > 1)
		return command_usage_error(command->name, "too many arguments: see custbackup %s --help",
								   command->name);
	if (optind < argc && !take_id(options, argv[optind], &failure))
		return command_usage_error(command->name, "%s", failure.detail);
	if (!options->store_url)
		return command_usage_error(command->name, "--store=URL says where the backups lie");
	if (options->filter.since > 0 && options->filter.until > 0 &&
		options->filter.since > options->filter.until)
		return command_usage_error(command->name, "nothing lies between --since and an earlier --until");
	if (options->filter.latest && (!options->filter.token || options->filter.id))
		return command_usage_error(command->name, "--latest goes with --token=TOKEN, and with no id");
	if (command->wants_one && !options->filter.id && !options->filter.latest)
		return command_usage_error(
			command->name, "name one backup by its id, or the newest of a token: --token=TOKEN --latest");
	return -1;
}

/* An older one in place of a newer that is damaged must not come as a surprise. */
static void
tell_passed_over(const Catalogue *catalogue)
{
	for (size_t i = 0; i < catalogue->count; i++)
		if (catalogue->entries[i].problem)
			fprintf(stderr, "passed over: %s: %s\n", catalogue->entries[i].key,
					catalogue->entries[i].problem);
}

int
store_options_open(StoreOptions *options, const StoreCommand *command, int argc, char **argv)
{
	Failure failure = {0};
	int		status;

	*options = (StoreOptions){.store_name = "default"};
	progress_bar_begin(&options->bar, STDERR_FILENO);
	if (command->takes_json)
		command_expect_json(argc, argv);
	if (!cancel_install(&failure) || !command_read_settings(&options->settings, &failure))
		return command_failed(command->name, &failure);
	status = parse(options, command, argc, argv);
	if (status >= 0)
		return status;
	options->filter.details = options->json;
	options->store = store_open(options->store_name, options->store_url, &options->settings, &failure);
	if (options->store &&
		catalogue_load(&options->catalogue, options->store, &options->filter, &options->bar, &failure))
	{
		if (options->filter.latest)
		{
			tell_passed_over(&options->catalogue);
			catalogue_keep_latest(&options->catalogue);
		}
		return -1;
	}
	return store_options_failed(options, command->name, &failure);
}

void
store_options_close(StoreOptions *options)
{
	progress_bar_clear(&options->bar);
	catalogue_free(&options->catalogue);
	if (options->store)
		options->store->close(options->store);
	settings_free(&options->settings);
}

int
store_options_failed(StoreOptions *options, const char *name, const Failure *failure)
{
	progress_bar_clear(&options->bar);
	return command_failed(name, failure);
}
