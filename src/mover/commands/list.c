/*
 * list.c
 *	  custbackup list: what lies in a store, by its manifests.
 */
#include "command.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "store_options.h"
#include "text.h"

#define NAME "list"

static const char help[] = "Usage: custbackup list --store=URL [OPTIONS] [ID]\n"
						   "\n"
						   "Shows the backups that a store holds, oldest first, as their manifests tell; no\n"
						   "control database is needed.  ID: one backup, or the beginning of its id.  What\n"
						   "is no whole backup (an object without a manifest, a manifest that is damaged)\n"
						   "is shown with the reason.  A narrow terminal gets less of each.\n"
						   "\n"
						   "  --json                   one JSON object a line: all that the manifest says,\n"
						   "                           and what is wrong with it in \"problem\"\n"
						   "\n" STORE_OPTIONS_HELP "Examples:\n"
						   "  custbackup list --store=file:///var/backups/custbackup\n"
						   "  custbackup list --store=s3://backups/eu --token=acme-main --since=7d\n"
						   "  custbackup list --store=s3://backups/eu --json |\n"
						   "    jq -r 'select(.type == \"redis\") | .key'\n"
						   "\n" COMMAND_SETTINGS_HELP;

/* What fits into a line; without the whole id there is what commands take at least. */
typedef enum Layout
{
	LAYOUT_WHOLE,	 /* everything, also where there is no terminal */
	LAYOUT_SHORT,	 /* on one line of SHORT_WIDTH columns or more */
	LAYOUT_TWO_LINES /* for each backup */
} Layout;

/* Columns before the token. */
#define WHOLE_COLUMNS 90
#define SHORT_COLUMNS 45
#define SHORT_WIDTH	  60

#define TIME_SHORT 16 /* 2026-11-23T14:07 */

static Layout
layout_for(const Catalogue *catalogue, int width)
{
	size_t longest = sizeof("TOKEN");

	for (size_t i = 0; i < catalogue->count; i++)
	{
		const CatalogueEntry *entry = &catalogue->entries[i];

		if (entry->is_readable && strlen(entry->manifest.token) > longest)
			longest = strlen(entry->manifest.token);
	}
	if (width == 0 || (size_t) width >= WHOLE_COLUMNS + longest)
		return LAYOUT_WHOLE;
	return width >= SHORT_WIDTH ? LAYOUT_SHORT : LAYOUT_TWO_LINES;
}

/* A manifest's text on a terminal: one clean line of at most so many bytes, or '-'. */
static void
print_column(const char *text, int width, int most, const char *after)
{
	char column[256];

	snprintf(column, sizeof(column), "%s", text && *text ? text : "-");
	text_make_line(column);
	text_truncate(column, (size_t) most);
	printf("%-*s%s", width, column, after);
}

static void
print_heading(Layout layout)
{
	if (layout == LAYOUT_WHOLE)
		printf("%-20s %-8s %10s %10s  %-36s %s\n", "FINISHED (UTC)", "TYPE", "RAW", "STORED", "BACKUP",
			   "TOKEN");
	else if (layout == LAYOUT_SHORT)
		printf("%-16s %-8s %9s %-8s %s\n", "FINISHED (UTC)", "TYPE", "STORED", "BACKUP", "TOKEN");
	else
		printf("%-16s %-8s %9s\n  %-8s %s\n", "FINISHED (UTC)", "TYPE", "STORED", "BACKUP", "TOKEN");
}

static void
print_whole(const Manifest *manifest)
{
	char raw[HUMAN_SIZE_TEXT];
	char stored[HUMAN_SIZE_TEXT];

	print_column(manifest->finished_at, 20, 20, " ");
	print_column(manifest->type, 8, 128, " ");
	printf("%10s %10s  ", human_size(manifest->raw_bytes, raw), human_size(manifest->stored_bytes, stored));
	print_column(manifest->backup_id, 36, 36, " ");
	print_column(manifest->token, 0, 200, "\n");
}

static void
print_short(const Manifest *manifest, Layout layout, int width)
{
	char stored[HUMAN_SIZE_TEXT];
	bool breaks = layout == LAYOUT_TWO_LINES;

	print_column(manifest->finished_at, TIME_SHORT, TIME_SHORT, " ");
	print_column(manifest->type, 8, 8, " ");
	printf("%9s%s", human_size(manifest->stored_bytes, stored), breaks ? "\n  " : " ");
	print_column(manifest->backup_id, CATALOGUE_ID_MIN, CATALOGUE_ID_MIN, " ");
	print_column(manifest->token, 0, breaks ? width - CATALOGUE_ID_MIN - 3 : width - SHORT_COLUMNS, "\n");
}

static void
print_row(const CatalogueEntry *entry, Layout layout, int width)
{
	if (entry->is_readable && layout == LAYOUT_WHOLE)
		print_whole(&entry->manifest);
	else if (entry->is_readable)
		print_short(&entry->manifest, layout, width);
	if (entry->problem)
		printf("! %s: %s\n", entry->key, entry->problem);
	if (entry->warning)
		printf("* %s: %s\n", entry->key, entry->warning);
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
		"s:o, s:o, s:o}",
		"key", entry->key, "backup_id", manifest->backup_id, "token", manifest->token, "resource_id",
		manifest->resource_id, "team_id", text_or_null(manifest->team_id), "tier", manifest->tier, "type",
		manifest->type, "engine", manifest->engine, "server_version", text_or_null(manifest->server_version),
		"tool_version", text_or_null(manifest->tool_version), "consistency",
		text_or_null(manifest->consistency), "sha256", manifest->sha256, "raw_bytes",
		(json_int_t) manifest->raw_bytes, "stored_bytes", (json_int_t) manifest->stored_bytes, "started_at",
		manifest->started_at, "finished_at", manifest->finished_at, "locked_until",
		text_or_null(manifest->locked_until), "counts", manifest->counts, "notes",
		manifest->notes ? manifest->notes : json_null(), "version_id", text_or_null(manifest->version_id),
		"warning", text_or_null(entry->warning), "problem", text_or_null(entry->problem));
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
	int				 width = human_terminal_width(STDOUT_FILENO);
	Layout			 layout = layout_for(catalogue, width);
	Failure			 failure = {0};

	if (!options->json)
		print_heading(layout);
	for (size_t i = 0; i < catalogue->count; i++)
	{
		if (!options->json)
			print_row(&catalogue->entries[i], layout, width);
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
