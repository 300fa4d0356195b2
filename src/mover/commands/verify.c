/*
 * verify.c
 *	  custbackup verify: are a store's backups still what was stored?
 */
#include "command.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <unistd.h>

#include "cancel.h"
#include "engines/engine.h"
#include "fetch.h"
#include "store_options.h"

#define NAME	  "verify"
#define READ_SIZE (256 * 1024)

/* So many objects in a row that a store does not give, and no other is asked for. */
#define REFUSALS_IN_A_ROW 5

static const char help[] = "Usage: custbackup verify --store=URL [OPTIONS] [ID]\n"
						   "\n"
						   "Reads backups from a store and compares size and sha256 with their manifests.\n"
						   "ID: one backup, or the beginning of its id; without it all that the options\n"
						   "select.  One that the store does not give (a missing right, an archive class)\n"
						   "is not called good.  Exit status 0: all are good; 1: one is not, there is none\n"
						   "of those that were asked for, or the store could not be read.\n"
						   "\n"
						   "  --sample=PERCENT         that share of them, drawn anew each time, at least\n"
						   "                           one\n"
						   "  --deep                   also unpack, and read the dump's format to its end\n"
						   "  --json                   one JSON object a line: key, good, problem\n"
						   "\n" STORE_OPTIONS_HELP "Examples:\n"
						   "  custbackup verify --store=file:///var/backups/custbackup --since=1d\n"
						   "  custbackup verify --store=s3://backups/eu --sample=5%\n"
						   "  custbackup verify --store=s3://backups/eu --deep 0b9c71e2\n"
						   "\n" COMMAND_SETTINGS_HELP;

typedef struct Verify
{
	StoreOptions options;
	double		 sample; /* percent */
	bool		 deep;
	int64_t		 total_bytes;
	int64_t		 done_bytes; /* of the objects before this one */
	size_t		 checked;
	size_t		 bad;
	size_t		 refused; /* objects in a row that the store did not give */
} Verify;

static bool
take_own(void *own, int code, const char *value, Failure *failure)
{
	Verify *verify = own;
	char   *end;

	if (code == 'd')
	{
		verify->deep = true;
		return true;
	}
	verify->sample = strtod(value, &end);
	if (*end == '%')
		end++;
	if (end == value || *end != '\0' || !(verify->sample > 0 && verify->sample <= 100))
		return failure_set(failure, REASON_CONFIG,
						   "--sample takes a percentage above 0 and up to 100, such as 5%%");
	return true;
}

static bool
tell_fetched(void *context, int64_t fetched, Failure *failure)
{
	Verify *verify = context;

	progress_bar_move(&verify->options.bar, "verifying", verify->done_bytes + fetched, verify->total_bytes);
	return !cancel_requested() || cancel_failure(failure);
}

/* Through gunzip and the engine's own reader, as a restore would go. */
static bool
look_inside(Verify *verify, const CatalogueEntry *entry, const Dump *dump, Failure *failure)
{
	const Engine *engine = engine_find(entry->manifest.engine, failure);
	Inspector	 *inspector = engine ? engine->open_inspector(REASON_INTEGRITY, failure) : NULL;
	DumpStream	 *stream = inspector ? dump_open(dump, failure) : NULL;
	char		 *buffer = malloc(READ_SIZE);
	json_t		 *counts = json_object();
	size_t		  length = 1;
	bool		  good = stream != NULL;

	if (good && (!buffer || !counts))
		good = failure_no_memory(failure);
	while (good && length > 0)
		good = tell_fetched(verify, entry->manifest.stored_bytes, failure) &&
			   dump_read(stream, buffer, READ_SIZE, &length, failure) &&
			   (length == 0 || inspector->feed(inspector, buffer, length, failure));
	good = good && inspector->finish(inspector, counts, failure);
	json_decref(counts);
	free(buffer);
	dump_close(stream);
	if (inspector)
		inspector->close(inspector);
	return good;
}

static bool
verify_object(Verify *verify, const CatalogueEntry *entry, Failure *failure)
{
	const Manifest *manifest = &entry->manifest;
	StoredObject	object = {.key = entry->key,
							  .version = manifest->version_id,
							  .sha256 = manifest->sha256,
							  .stored_bytes = manifest->stored_bytes,
							  .raw_bytes = manifest->raw_bytes};
	Dump			dump;
	bool			good;

	if (entry->problem)
		return failure_set(failure, REASON_INTEGRITY, "%s", entry->problem);
	/* Of this one alone: the others are looked into. */
	if (verify->deep && !engine_is_known(manifest->engine))
		return failure_set(failure, REASON_INTEGRITY,
						   "its manifest names an engine that this custbackup does not have, \"%s\"; use one "
						   "that has it, or go without --deep",
						   manifest->engine);
	good = fetch_verified(verify->options.store, &object, tell_fetched, verify, &dump, failure) &&
		   (!verify->deep || look_inside(verify, entry, &dump, failure));
	if (dump.fd >= 0)
		close(dump.fd);
	return good;
}

/* False: nobody reads it, which stdout remembers, or the failure is set. */
static bool
print_verdict(Verify *verify, const CatalogueEntry *entry, const char *problem, Failure *failure)
{
	json_t *object;
	char   *line;

	progress_bar_clear(&verify->options.bar);
	if (!verify->options.json)
	{
		if (problem)
			printf("BAD   %s: %s\n", entry->key, problem);
		else
			printf("good  %s\n", entry->key);
		return fflush(stdout) == 0;
	}
	object = json_pack("{s:s, s:b, s:s?}", "key", entry->key, "good", problem == NULL, "problem", problem);
	line = object ? json_dumps(object, JSON_COMPACT) : NULL;
	json_decref(object);
	if (!line)
		return failure_no_memory(failure);
	puts(line);
	free(line);
	return fflush(stdout) == 0;
}

/*
 * What is told of one object; anything else (a store that does not answer) ends the
 * command, and so do refusals (a missing right, an archive class) that do not end.
 */
static bool
is_verdict(Verify *verify, const Failure *problem)
{
	if (problem->reason != REASON_STORE)
		verify->refused = 0;
	return problem->reason == REASON_NONE || problem->reason == REASON_INTEGRITY ||
		   problem->reason == REASON_TOO_SMALL || problem->reason == REASON_DUMP ||
		   (problem->reason == REASON_STORE && ++verify->refused < REFUSALS_IN_A_ROW);
}

static uint32_t
draw(uint32_t below)
{
	uint32_t number = 0;

	if (getrandom(&number, sizeof(number), 0) != sizeof(number))
		number = (uint32_t) random();
	return number % below;
}

/* Draws exactly `wanted` of those without a problem; those with one are told in any case. */
static void
choose(const Verify *verify, bool *chosen)
{
	const Catalogue *catalogue = &verify->options.catalogue;
	uint32_t		 left = 0;
	uint32_t		 wanted;

	for (size_t i = 0; i < catalogue->count; i++)
		left += catalogue->entries[i].problem == NULL;
	wanted = (uint32_t) ((double) left * verify->sample / 100);
	if ((double) wanted < (double) left * verify->sample / 100)
		wanted++;
	for (size_t i = 0; i < catalogue->count; i++)
	{
		chosen[i] = catalogue->entries[i].problem != NULL;
		if (chosen[i])
			continue;
		chosen[i] = draw(left--) < wanted;
		wanted -= chosen[i];
	}
}

static bool
verify_chosen(Verify *verify, const bool *chosen, Failure *failure)
{
	const Catalogue *catalogue = &verify->options.catalogue;

	for (size_t i = 0; i < catalogue->count; i++)
	{
		if (chosen[i] && !catalogue->entries[i].problem)
			verify->total_bytes += catalogue->entries[i].manifest.stored_bytes;
	}
	for (size_t i = 0; i < catalogue->count; i++)
	{
		const CatalogueEntry *entry = &catalogue->entries[i];
		Failure				  problem = {0};
		bool				  good;

		if (!chosen[i])
			continue;
		good = verify_object(verify, entry, &problem);
		if (!is_verdict(verify, &problem))
			return failure_set(failure, problem.reason, "%s", problem.detail);
		if (!entry->problem)
			verify->done_bytes += entry->manifest.stored_bytes;
		verify->checked++;
		verify->bad += !good;
		if (!print_verdict(verify, entry, good ? NULL : problem.detail, failure))
			return false;
	}
	return true;
}

/* Then none is not enough: a night without a backup is nothing that is good. */
static bool
asks_for_some(const CatalogueFilter *filter)
{
	return filter->id || filter->token || filter->since != 0 || filter->until != 0;
}

static int
verify_catalogue(Verify *verify)
{
	size_t	count = verify->options.catalogue.count;
	bool   *chosen = calloc(count + 1, sizeof(*chosen));
	Failure failure = {0};
	bool	good;

	if (!chosen)
		failure_no_memory(&failure);
	else if (count == 0 && asks_for_some(&verify->options.filter))
		failure_set(&failure, REASON_CONFIG, "the store holds no such backup: see custbackup list");
	else
		choose(verify, chosen);
	good = chosen && failure.reason == REASON_NONE && verify_chosen(verify, chosen, &failure);
	free(chosen);
	if (!good && ferror(stdout))
		return command_print(NAME, "");
	if (!good)
		return store_options_failed(&verify->options, NAME, &failure);
	if (!verify->options.json)
		printf("%zu of %zu verified, %zu bad\n", verify->checked, count, verify->bad);
	return command_print(NAME, "") == EXIT_SUCCESS && verify->bad == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}

int
command_verify(int argc, char **argv)
{
	static const struct option own_options[] = {STORE_OPTIONS,
												{"sample", required_argument, NULL, 's'},
												{"deep", no_argument, NULL, 'd'},
												{NULL, 0, NULL, 0}};
	Verify					   verify = {.sample = 100};
	StoreCommand			   command = {.name = NAME,
										  .help = help,
										  .options = own_options,
										  .take_own = take_own,
										  .own = &verify,
										  .takes_json = true};
	int						   status = store_options_open(&verify.options, &command, argc, argv);

	if (status < 0)
		status = verify_catalogue(&verify);
	store_options_close(&verify.options);
	return status;
}
