/*
 * store_options.h
 *	  What the commands that work from the store alone have in common: options,
 *	  and the way to a catalogue.
 */
#ifndef STORE_OPTIONS_H
#define STORE_OPTIONS_H

#include <getopt.h>
#include <stdbool.h>

#include "catalogue.h"
#include "command.h"
#include "failure.h"
#include "human.h"
#include "settings.h"
#include "stores/store.h"

/* An option of one command alone; code from 'a' to 'z' but 'h'.  False: usage, the failure says what. */
typedef bool (*TakeOwnOption)(void *own, int code, const char *value, Failure *failure);

typedef struct StoreCommand
{
	const char			*name;
	const char			*help;
	const struct option *options;  /* begins with STORE_OPTIONS; ends with zeros */
	TakeOwnOption		 take_own; /* NULL: there are none */
	void				*own;
	bool				 wants_one; /* a backup must be named: by its id, or as the latest of a token */
	bool				 takes_json;
} StoreCommand;

typedef struct StoreOptions
{
	Settings		settings;
	const char	   *store_url;
	const char	   *store_name;
	bool			json;
	CatalogueFilter filter;

	Store	   *store;
	ProgressBar bar;
	Catalogue	catalogue;
} StoreOptions;

enum StoreOption
{
	STORE_OPTION_STORE = 512,
	STORE_OPTION_STORE_NAME,
	STORE_OPTION_TOKEN,
	STORE_OPTION_SINCE,
	STORE_OPTION_UNTIL,
	STORE_OPTION_LATEST,
	STORE_OPTION_JSON
};

/* clang-format off */
#define STORE_OPTIONS \
	COMMAND_SETTINGS_OPTIONS, \
	{"help", no_argument, NULL, 'h'}, \
	{"store", required_argument, NULL, STORE_OPTION_STORE}, \
	{"store-name", required_argument, NULL, STORE_OPTION_STORE_NAME}, \
	{"token", required_argument, NULL, STORE_OPTION_TOKEN}, \
	{"since", required_argument, NULL, STORE_OPTION_SINCE}, \
	{"until", required_argument, NULL, STORE_OPTION_UNTIL}, \
	{"latest", no_argument, NULL, STORE_OPTION_LATEST}, \
	{"json", no_argument, NULL, STORE_OPTION_JSON}
/* clang-format on */

#define STORE_OPTIONS_HELP                                                                                   \
	"Store:\n"                                                                                               \
	"  --store=URL              file:///directory, or\n"                                                     \
	"                           s3://bucket/prefix?endpoint=..&region=..\n"                                  \
	"  --store-name=NAME        the profile in the credentials file (default:\n"                             \
	"                           default)\n"                                                                  \
	"Which backups:\n"                                                                                       \
	"  --token=TOKEN            of this token\n"                                                             \
	"  --since=TIME             finished since then: 2026-11-23, 2026-11-23T14:00\n"                         \
	"                           (UTC), 2026-11-23T14:00+01:00, 36h, 7d\n"                                    \
	"  --until=TIME             finished until then\n"                                                       \
	"  --latest                 only the newest of the token\n"                                              \
	"\n"

/*
 * Reads argv, opens the store and loads the catalogue.  -1: go on; else the exit
 * status to return with.  store_options_close() in any case.
 */
extern int	store_options_open(StoreOptions *options, const StoreCommand *command, int argc, char **argv);
extern void store_options_close(StoreOptions *options);

/* "custbackup NAME: detail" on stderr, the progress line taken away first; returns EXIT_FAILURE. */
extern int store_options_failed(StoreOptions *options, const char *name, const Failure *failure);

#endif
