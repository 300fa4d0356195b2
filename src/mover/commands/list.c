/*
 * list.c
 *	  custbackup list: what lies in a store, by its manifests.
 */
#include "command.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "store_options.h"
#include "text.h"

#define NAME "list"

static const char help[] =
	"Usage: custbackup list --store=URL [OPTIONS] [ID]\n"
	"\n"
	"Shows the backups that a store holds, oldest first, as their manifests tell; no control database\n"
	"is needed.  ID: one backup, or the beginning of its id.  What is no whole backup (an object without\n"
	"a manifest, a manifest that is damaged) is shown with the reason.\n"
	"\n"
	"  --json                   one JSON object a line: all that the manifest says, and \"problem\"\n"
	"\n" STORE_OPTIONS_HELP "Examples:\n"
	"  custbackup list --store=file:///var/backups/custbackup\n"
	"  custbackup list --store=s3://backups/eu --token=acme-main --since=7d\n"
	"  custbackup list --store=s3://backups/eu --json | jq -r 'select(.type == \"redis\") | .key'\n"
	"\n" COMMAND_SETTINGS_HELP;

/* A manifest's text on a terminal: one clean line, or '-'. */
static void
print_column(const char *text, int width)
{
	char column[128];

	snprintf(column, sizeof(column), "%s", text && *text ? text : "-");
	text_make_line(column);
	printf("%-*s ", width, column);
}

static void
print_row(const CatalogueEntry *entry)
{
	const Manifest *manifest = &entry->manifest;
	char			raw[HUMAN_SIZE_TEXT];
	char			stored[HUMAN_SIZE_TEXT];

	if (!entry->is_readable)
	{
		printf("! %s: %s\n", entry->key, entry->problem);
		return;
	}
	print_column(manifest->finished_at, 20);
	print_column(manifest->type, 8);
	printf("%10s %10s  ", human_size(manifest->raw_bytes, raw), human_size(manifest->stored_bytes, stored));
	print_column(manifest->backup_id, 36);
	printf("%s\n", manifest->token);
	if (entry->problem)
		printf("! %s: %s\n", entry->key, entry->problem);
}

static json_t *
text_or_null(const char *text)
{
	return text ? json_string(text) : json_null();
}

static json_t *
entry_to_json(const CatalogueEntry *entry)
{
	const Manifest *manifest = &entry->manifest;

	if (!entry->is_readable)
		return json_pack("{s:s, s:s}", "key", entry->key, "problem", entry->problem);
	return json_pack(
		"{s:s, s:s, s:s, s:s, s:o, s:s, s:s, s:s, s:o, s:o, s:o, s:s, s:I, s:I, s:s, s:s, s:o, s:O, s:O, "
		"s:o}",
		"key", entry->key, "backup_id", manifest->backup_id, "token", manifest->token, "resource_id",
		manifest->resource_id, "team_id", text_or_null(manifest->team_id), "tier", manifest->tier, "type",
		manifest->type, "engine", manifest->engine, "server_version", text_or_null(manifest->server_version),
		"tool_version", text_or_null(manifest->tool_version), "consistency",
		text_or_null(manifest->consistency), "sha256", manifest->sha256, "raw_bytes",
		(json_int_t) manifest->raw_bytes, "stored_bytes", (json_int_t) manifest->stored_bytes, "started_at",
		manifest->started_at, "finished_at", manifest->finished_at, "locked_until",
		text_or_null(manifest->locked_until), "counts", manifest->counts, "notes",
		manifest->notes ? manifest->notes : json_null(), "problem", text_or_null(entry->problem));
}

static bool
print_json(const CatalogueEntry *entry, Failure *failure)
{
	json_t *object = entry_to_json(entry);
	char   *line = object ? json_dumps(object, JSON_COMPACT) : NULL;

	json_decref(object);
	if (!line)
		return failure_no_memory(failure);
	puts(line);
	free(line);
	return true;
}

static int
print_catalogue(StoreOptions *options)
{
	const Catalogue *catalogue = &options->catalogue;
	Failure			 failure = {0};

	if (!options->json)
		printf("%-20s %-8s %10s %10s  %-36s %s\n", "FINISHED (UTC)", "TYPE", "RAW", "STORED", "BACKUP",
			   "TOKEN");
	for (size_t i = 0; i < catalogue->count; i++)
	{
		if (!options->json)
			print_row(&catalogue->entries[i]);
		else if (!print_json(&catalogue->entries[i], &failure))
			return store_options_failed(options, NAME, &failure);
	}
	return command_print(NAME, "");
}

int
command_list(int argc, char **argv)
{
	static const struct option own_options[] = {STORE_OPTIONS, {NULL, 0, NULL, 0}};
	static const StoreCommand  command = {
		 .name = NAME, .help = help, .options = own_options, .takes_json = true};
	StoreOptions options;
	int			 status = store_options_open(&options, &command, argc, argv);

	if (status < 0)
		status = print_catalogue(&options);
	store_options_close(&options);
	return status;
}
