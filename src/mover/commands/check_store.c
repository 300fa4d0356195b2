/*
 * check_store.c
 *	  custbackup check-store: can backups be kept there, and how safe are they?
 *
 * Does with one small object all that backups and restores do, then asks a bucket
 * what it is set to.  What it writes it removes.
 */
#include "command.h"

#include <getopt.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <jansson.h>

#include "cancel.h"
#include "catalogue.h"
#include "protect.h"
#include "secret.h"
#include "stores/s3_check.h"
#include "stores/store.h"
#include "stores/store_s3.h"
#include "text.h"

#define NAME		  "check-store"
#define MARK		  CATALOGUE_CHECK_MARK
#define SENTENCE_SIZE 2200

/* How long the lock of the check's own object lasts, which the check has to wait for. */
#define LOCK_SECONDS 6

static const char help[] = "Usage: custbackup check-store [--name=NAME] [--json] [SETTINGS] URL\n"
						   "\n"
						   "Tells in sentences whether a store takes, gives, lists and deletes objects, how\n"
						   "long a round trip takes, and what else is worth knowing of it.\n"
						   "URL: file:///directory or s3://bucket/prefix?option=value (docs/stores.md).\n"
						   "What it writes it removes; with lock= in the URL it waits some seconds for a\n"
						   "lock of its own to end.  Exit status 0: backups can be kept there.\n"
						   "\n"
						   "  --name=NAME  the store's name, which is its profile in the credentials file\n"
						   "               (default: default)\n"
						   "  --json       one JSON object instead of lines: good, reason, detail, checks\n"
						   "\n" COMMAND_SETTINGS_HELP "\n"
						   "Examples:\n"
						   "  custbackup check-store file:///var/backups/custbackup\n"
						   "  custbackup check-store --credentials-file=/etc/custbackup/credentials \\\n"
						   "    's3://backups/eu?endpoint=https://fra1.digitaloceanspaces.com&region=fra1'\n";

typedef struct CheckStore
{
	const char *name;
	const char *url;
	Settings	settings;
	Store	   *store;
	json_t	   *checks; /* NULL: lines for people */
	char		key[96];
	bool		is_left; /* something of the check's own could not be removed */
	bool		good;
	Failure		failure; /* the first that was not good */
} CheckStore;

static void
say(void *context, CheckState state, const char *what, const char *sentence)
{
	static const char *const words[] = {[CHECK_GOOD] = "good", [CHECK_NOTE] = "note", [CHECK_BAD] = "bad"};
	CheckStore				*check = context;

	/* What fails because of the interruption says nothing of the store. */
	if (cancel_requested() && check->failure.reason != REASON_CANCELLED)
		return;
	check->good &= state != CHECK_BAD;
	if (state == CHECK_BAD)
		failure_set(&check->failure, REASON_STORE, "%s: %s", what, sentence);
	if (check->checks)
		json_array_append_new(check->checks, json_pack("{s:s, s:s, s:s}", "state", words[state], "check",
													   what, "sentence", sentence));
	else
		printf("%-4s  %-12s %s\n", words[state], what, sentence);
}

static void __attribute__((format(printf, 4, 5)))
tell(CheckStore *check, CheckState state, const char *what, const char *format, ...)
{
	char	sentence[SENTENCE_SIZE];
	va_list args;

	va_start(args, format);
	vsnprintf(sentence, sizeof(sentence), format, args);
	va_end(args);
	text_make_line(sentence);
	say(check, state, what, sentence);
}

/* A key of our own pattern, new each time. */
static bool
make_key(CheckStore *check, Failure *failure)
{
	char  uuid[37] = "";
	FILE *random = fopen("/proc/sys/kernel/random/uuid", "re");
	bool  made = random && fgets(uuid, sizeof(uuid), random);

	if (random)
		fclose(random);
	snprintf(check->key, sizeof(check->key), "custbackup-check/%s.json", uuid);
	return made || failure_set_errno(failure, REASON_INTERNAL, "could not make a new name");
}

static double
milliseconds_since(int64_t begun)
{
	return (double) (monotonic_nanoseconds() - begun) / 1e6;
}

/* client: of a bucket, whose credentials may lack the right to look at what is not there; that is told by its list. */
static bool
check_reach(CheckStore *check, S3Client *client)
{
	Failure		failure = {0};
	ObjectStat	stat = {0};
	int64_t		begun = monotonic_nanoseconds();
	StoreAnswer answer = check->store->head(check->store, check->key, NULL, &stat, &failure);
	double		milliseconds = milliseconds_since(begun);

	object_stat_free(&stat);
	if (answer == STORE_FAILED && client && s3_check_is_denied(client, check->key))
		answer = STORE_MISSING;
	if (answer == STORE_FOUND)
		failure_set(
			&failure, REASON_STORE,
			"an object whose name was just made up is said to be there: what answers is no store; check "
			"endpoint= in the store's URL");
	if (answer != STORE_MISSING)
	{
		tell(check, CHECK_BAD, "reach", "%s", failure.detail);
		return false;
	}
	tell(check, CHECK_GOOD, "reach", "the first round trip took %.1f ms", milliseconds);
	return true;
}

static bool
see_key(void *context, const char *key, int64_t bytes, int64_t modified, Failure *failure)
{
	CheckStore *check = context;

	(void) bytes;
	(void) modified;
	(void) failure;
	/* Found: no need to look further. */
	return strcmp(key, check->key) != 0;
}

/* False: the failure is set; is_left of the check: something stayed. */
static bool
write_object(CheckStore *check, int64_t retain_until, ObjectStat *stat, Failure *failure)
{
	ObjectInfo info = {.key = check->key,
					   .content_type = "application/json",
					   .attempt_id = "check",
					   .backup_id = "check",
					   .resource_type = "check",
					   .expected_bytes = sizeof(MARK) - 1,
					   .retain_until = retain_until};
	Upload	  *upload = check->store->begin(check->store, &info, failure);
	Failure	   left = {0};
	bool	   written = upload && upload_write(upload, MARK, sizeof(MARK) - 1, failure) &&
				   upload->finish(upload, stat, failure);

	if (upload && !written)
		upload->abort(upload, &left);
	check->is_left |= left.reason != REASON_NONE;
	return written;
}

static bool
write_mark(CheckStore *check)
{
	ObjectStat stat = {0};
	Failure	   failure = {0};
	int64_t	   begun = monotonic_nanoseconds();
	bool	   written = write_object(check, 0, &stat, &failure);

	object_stat_free(&stat);
	if (written)
		tell(check, CHECK_GOOD, "write", "an object was written and seen in %.1f ms",
			 milliseconds_since(begun));
	else
		tell(check, CHECK_BAD, "write", "%s%s%s", failure.detail, check->is_left ? "; left behind: " : "",
			 check->is_left ? check->key : "");
	return written;
}

static void
read_mark(CheckStore *check)
{
	Failure		failure = {0};
	char	   *bytes = NULL;
	size_t		length;
	int64_t		begun = monotonic_nanoseconds();
	StoreAnswer answer =
		check->store->read_small(check->store, check->key, sizeof(MARK), &bytes, &length, &failure);

	if (answer == STORE_FAILED)
		tell(check, CHECK_BAD, "read", "%s", failure.detail);
	else if (answer == STORE_MISSING || length != sizeof(MARK) - 1 || memcmp(bytes, MARK, length) != 0)
		tell(check, CHECK_BAD, "read", "what was written did not come back as it was");
	else
		tell(check, CHECK_GOOD, "read", "it came back as it was in %.1f ms", milliseconds_since(begun));
	free(bytes);
}

static void
check_list(CheckStore *check)
{
	Failure failure = {0};

	if (check->store->list(check->store, "custbackup-check/", see_key, check, &failure))
		tell(check, CHECK_GOOD, "list", "objects can be listed");
	else
		tell(check, CHECK_BAD, "list", "%s", failure.detail);
}

static void
remove_mark(CheckStore *check)
{
	Failure	   failure = {0};
	ObjectStat stat = {0};

	check->is_left = !check->store->remove(check->store, check->key, NULL, &failure);
	if (failure.reason == REASON_LOCKED)
		tell(check, CHECK_NOTE, "delete",
			 "the bucket locks whatever is stored, also this check's own object: %s", failure.detail);
	else if (check->is_left)
		tell(check, CHECK_BAD, "delete", "%s; left behind: %s", failure.detail, check->key);
	else if (check->store->head(check->store, check->key, NULL, &stat, &failure) == STORE_FOUND)
		tell(check, CHECK_BAD, "delete", "it was deleted and is there still");
	else if (failure.reason != REASON_NONE)
		tell(check, CHECK_NOTE, "delete", "it was deleted; whether it is gone is not known: %s",
			 failure.detail);
	else
		tell(check, CHECK_GOOD, "delete", "it was deleted and is gone");
	object_stat_free(&stat);
}

/* As a backup that lock= asks to be locked: written, refused to whoever deletes it, and free when its time is over. */
static void
check_lock(CheckStore *check)
{
	ObjectStat stat = {0};
	Failure	   failure = {0};
	Failure	   kept = {0};
	bool	   written = write_object(check, (int64_t) time(NULL) + LOCK_SECONDS, &stat, &failure);

	if (!written)
	{
		tell(check, CHECK_BAD, "lock", "an object cannot be locked: %s", failure.detail);
		return;
	}
	if (check->store->remove(check->store, check->key, stat.version, &kept))
		tell(check, CHECK_BAD, "lock", "an object was locked, and could be deleted all the same");
	else if (kept.reason != REASON_LOCKED)
		tell(check, CHECK_BAD, "lock", "%s", kept.detail);
	else
		tell(check, CHECK_GOOD, "lock", "an object was locked, and could not be deleted while it was");
	while (kept.reason == REASON_LOCKED && !cancel_requested() &&
		   time(NULL) <= stat.locked_until + LOCK_SECONDS)
	{
		sleep(1);
		kept = (Failure){0};
		check->store->remove(check->store, check->key, stat.version, &kept);
	}
	if (kept.reason != REASON_NONE)
		tell(check, CHECK_NOTE, "lock", "its object is left behind: %s", kept.detail);
	check->is_left |= kept.reason != REASON_NONE;
	object_stat_free(&stat);
}

/* With one object: all that backups and restores do. */
static void
check_objects(CheckStore *check, S3Client *client)
{
	bool written;

	if (!check_reach(check, client))
		return;
	written = write_mark(check);
	if (written)
		read_mark(check);
	check_list(check);
	if (!written)
		return;
	if (client)
		check->good &= s3_check(client, check->key, say, check);
	remove_mark(check);
}

static bool
check_bucket(CheckStore *check, S3Client *client, Failure *failure)
{
	const S3Credentials *credentials = s3_credentials_get(client->credentials, false, failure);
	char				*lock = client->url.lock;

	if (!credentials)
		return false;
	tell(check, CHECK_GOOD, "credentials", "access key %s, from %s", credentials->access_key,
		 s3_credentials_origin(client->credentials));
	/* The first object is written without it, to be removable. */
	client->url.lock = NULL;
	client->url.lock_days = 0;
	check_objects(check, client);
	client->url.lock = lock;
	if (!lock || !check->good)
		return true;
	/* Where the bucket locks whatever is stored, the first object is there still. */
	if (!make_key(check, failure))
		return false;
	check_lock(check);
	return true;
}

static bool
check_all(CheckStore *check, Failure *failure)
{
	if (!cancel_install(failure) || !make_key(check, failure))
		return false;
	check->store = store_open(check->name, check->url, &check->settings, failure);
	if (!check->store)
		return false;
	if (strcmp(check->store->scheme, "s3") != 0)
		check_objects(check, NULL);
	else if (!check_bucket(check, store_s3_client(check->store), failure))
		return false;
	return !cancel_requested() ||
		   failure_set(failure, REASON_CANCELLED, "cancelled by a signal%s%s",
					   check->is_left ? "; left behind: " : "", check->is_left ? check->key : "");
}

static int
finish(CheckStore *check)
{
	json_t *document;

	if (check->checks)
	{
		document = json_pack("{s:b, s:s?, s:s?, s:O}", "good", (int) check->good, "reason",
							 check->good ? NULL : failure_reason_name(check->failure.reason), "detail",
							 check->good ? NULL : check->failure.detail, "checks", check->checks);
		json_dumpf(document, stdout, JSON_INDENT(2));
		putchar('\n');
		json_decref(document);
	}
	else
		puts(check->good								 ? "Backups can be kept there."
			 : check->failure.reason == REASON_CANCELLED ? "The check was interrupted."
														 : "Backups cannot be kept there as it is.");
	return command_print(NAME, "") == EXIT_SUCCESS && check->good ? EXIT_SUCCESS : EXIT_FAILURE;
}

static int
run_check(CheckStore *check)
{
	Failure failure = {0};

	if (!check_all(check, &failure))
	{
		check->failure = failure;
		tell(check, CHECK_BAD, "store", "%s", failure.detail);
	}
	if (check->store)
		check->store->close(check->store);
	return finish(check);
}

int
command_check_store(int argc, char **argv)
{
	static const struct option options[] = {{"name", required_argument, NULL, 'n'},
											{"json", no_argument, NULL, 'j'},
											{"help", no_argument, NULL, 'h'},
											COMMAND_SETTINGS_OPTIONS,
											{NULL, 0, NULL, 0}};
	CheckStore				   check = {.name = "default", .good = true};
	Failure					   failure = {0};
	int						   code;
	int						   status = -1;

	command_expect_json(argc, argv);
	if (!command_read_settings(&check.settings, &failure))
		status = command_failed(NAME, &failure);
	while (status < 0 && (code = getopt_long(argc, argv, "h", options, NULL)) != -1)
	{
		if (code == 'h')
			status = command_print(NAME, help);
		else if (code == 'n')
			check.name = optarg;
		else if (code == 'j')
			check.checks = check.checks ? check.checks : json_array();
		else if (code < COMMAND_FIRST_SETTING)
			status = command_usage_error(NAME, "an option is unknown, or lacks its value");
		else if (!command_take_setting(&check.settings, code, optarg, &failure))
			status = command_failed(NAME, &failure);
	}
	if (status < 0 && argc - optind != 1)
		status = command_usage_error(NAME, "it takes one argument, the store's URL");
	if (status < 0)
	{
		check.url = argv[optind];
		status = run_check(&check);
	}
	json_decref(check.checks);
	settings_free(&check.settings);
	secret_forget_all();
	return status;
}
