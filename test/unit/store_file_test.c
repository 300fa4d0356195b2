/*
 * store_file_test.c
 *	  The local store: names that lead nowhere else, files whole or not at all, what killed writers leave.
 */
#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "stores/file_path.h"
#include "stores/store.h"
#include "tap.h"

#define BACKUP		 "11111111-2222-4333-8444-555555555555"
#define ATTEMPT		 "aaaaaaaa-bbbb-4ccc-8ddd-eeeeeeeeeeee"
#define KEY			 "acme/" BACKUP ".dump.gz"
#define MANIFEST_KEY "acme/" BACKUP ".json"
#define PARTIAL		 "." BACKUP ".dump.gz." ATTEMPT ".partial"

static char directory[] = "/tmp/store_file_test.XXXXXX";
static char url[128];
static char announced[256];

static const char *
path_of(const char *name)
{
	static char path[512];

	snprintf(path, sizeof(path), "%s/%s", directory, name);
	return path;
}

static bool
exists(const char *name)
{
	struct stat info;

	return lstat(path_of(name), &info) == 0;
}

static void
put_file(const char *name, const char *text)
{
	FILE *file = fopen(path_of(name), "w");

	fputs(text, file);
	fclose(file);
}

static int
entries_in(const char *name)
{
	DIR			  *entries = opendir(path_of(name));
	struct dirent *entry;
	int			   count = 0;

	while (entries && (entry = readdir(entries)))
		count += strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0;
	if (entries)
		closedir(entries);
	return count;
}

static Store *
open_it(void)
{
	Failure failure = {0};
	Store  *store = store_open("default", url, NULL, &failure);

	if (!store)
		printf("# %s\n", failure.detail);
	return store;
}

static void
remember(void *context, const char *upload_id)
{
	(void) context;
	snprintf(announced, sizeof(announced), "%s", upload_id ? upload_id : "(none)");
}

static Upload *
begin(Store *store, const char *key, Failure *failure)
{
	ObjectInfo info = {.key = key,
					   .content_type = "application/gzip",
					   .attempt_id = ATTEMPT,
					   .backup_id = BACKUP,
					   .resource_type = "postgres",
					   .expected_bytes = -1,
					   .announce = remember};

	return store->begin(store, &info, failure);
}

static bool
put_object(Store *store, const char *key, const char *text, ObjectStat *stat, Failure *failure)
{
	Upload *upload = begin(store, key, failure);

	if (upload && upload_write(upload, text, strlen(text), failure) && upload->finish(upload, stat, failure))
		return true;
	if (upload)
		upload->abort(upload, failure);
	return false;
}

static void
test_urls(void)
{
	const struct
	{
		const char *url;
		const char *directory; /* NULL: refused */
	} cases[] = {
		{"file:///var/backups", "/var/backups"},
		{"file:///var/back%20ups/%C3%A4", "/var/back ups/\xc3\xa4"},
		{"file://localhost/srv", "/srv"},
		{"file:///", "/"},
		{"file:///a..b/...", "/a..b/..."},
		{"file:///a%2fb", "/a/b"},
		{"file:/var", NULL},
		{"file:var", NULL},
		{"file://", NULL},
		{"file://host/var", NULL},
		{"file://localhost", NULL},
		{"file://./var", NULL},
		{"file:///var/../etc", NULL},
		{"file:///var/%2e%2e/etc", NULL},
		{"file:///var/./etc", NULL},
		{"file:///var/..", NULL},
		{"file:///var%", NULL},
		{"file:///var%4", NULL},
		{"file:///var%zz", NULL},
		{"file:///var%00", NULL},
		{"file:///var%0a", NULL},
		{"file:///var\n", NULL},
		{"file:///var?x=1", NULL},
		{"file:///var#x", NULL},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
	{
		Failure failure = {0};
		char   *got = file_url_directory(cases[i].url, &failure);

		is_string(got, cases[i].directory, cases[i].url);
		if (!cases[i].directory)
			is_int(failure.reason, REASON_CONFIG, "  and says config");
		free(got);
	}
}

static void
test_opening(void)
{
	Failure failure = {0};
	char	missing[256];

	snprintf(missing, sizeof(missing), "%s/missing", url);
	ok(!store_open("default", missing, NULL, &failure), "a missing directory is refused");
	is_int(failure.reason, REASON_STORE, "as the store's fault");
	ok(strstr(failure.detail, "does not exist") != NULL, "in words: %s", failure.detail);
	failure = (Failure){0};
	ok(!store_open("default", "ftp://host/x", NULL, &failure), "another scheme is refused");
	is_int(failure.reason, REASON_CONFIG, "as config");
	failure = (Failure){0};
	put_file("plain", "x");
	snprintf(missing, sizeof(missing), "%s/plain", url);
	ok(!store_open("default", missing, NULL, &failure), "a file is no store: %s", failure.detail);
	unlink(path_of("plain"));
}

static void
test_upload(void)
{
	Store	   *store = open_it();
	Failure		failure = {0};
	ObjectStat	object = {0};
	struct stat info;
	Upload	   *upload = begin(store, KEY, &failure);

	ok(upload != NULL, "an upload begins");
	is_string(announced, PARTIAL, "and announces its temporary name");
	ok(exists("acme/" PARTIAL) && !exists(KEY), "which is where the bytes go");
	ok(upload_write(upload, "hello ", 6, &failure) && upload_write(upload, "world", 5, &failure),
	   "bytes in pieces");
	is_int(upload->stored(upload), 11, "are counted");
	ok(upload->finish(upload, &object, &failure), "the upload ends");
	ok(object.bytes == 11 && object.modified > 0, "and knows size and time");
	ok(!exists("acme/" PARTIAL) && exists(KEY), "under its name alone");
	stat(path_of("acme"), &info);
	is_int(info.st_mode & 07777, 0700, "the folder is ours alone");
	stat(path_of(KEY), &info);
	is_int(info.st_mode & 07777, 0600, "the file is ours alone");

	ok(!put_object(store, KEY, "other", &object, &failure), "what is there is not overwritten");
	is_int(failure.reason, REASON_UPLOAD, "but a failure");
	is_int(entries_in("acme"), 1, "that leaves nothing");

	failure = (Failure){0};
	upload = begin(store, "acme/" BACKUP "-2.dump.gz", &failure);
	upload_write(upload, "x", 1, &failure);
	upload->abort(upload, &failure);
	is_int(entries_in("acme"), 1, "an aborted upload leaves nothing");
	store->close(store);
}

static bool
add_up(void *context, const void *bytes, size_t length, Failure *failure)
{
	(void) bytes;
	(void) failure;
	*(size_t *) context += length;
	return true;
}

static void
test_reading(void)
{
	Store	  *store = open_it();
	Failure	   failure = {0};
	ObjectStat object = {0};
	size_t	   seen = 0;
	int64_t	   bytes = 11;
	char	  *text = NULL;
	size_t	   length = 0;
	int		   fd = -1;

	is_int(store->head(store, KEY, NULL, &object, &failure), STORE_FOUND, "head finds it");
	is_int(object.bytes, 11, "with its size");
	is_int(store->head(store, MANIFEST_KEY, NULL, &object, &failure), STORE_MISSING,
		   "head misses what is not there");
	is_int(store->head(store, "nobody/" BACKUP ".json", NULL, &object, &failure), STORE_MISSING,
		   "or whose folder is not");
	is_int(store->fetch(store, KEY, NULL, add_up, &seen, &fd, &bytes, &failure), STORE_FOUND,
		   "fetch opens it");
	ok(seen == 11 && bytes == 11 && fd >= 0, "and shows every byte");
	close(fd);
	bytes = 12;
	is_int(store->fetch(store, KEY, NULL, add_up, &seen, &fd, &bytes, &failure), STORE_FAILED,
		   "fetch refuses what is not as long as it must be");
	ok(seen == 11 && failure.reason == REASON_INTEGRITY, "before it shows a byte: %s", failure.detail);
	failure = (Failure){0};
	is_int(store->read_small(store, KEY, 11, &text, &length, &failure), STORE_FOUND,
		   "read_small reads it whole");
	ok(length == 11 && strcmp(text, "hello world") == 0, "and ends it with NUL");
	free(text);
	is_int(store->read_small(store, KEY, 10, &text, &length, &failure), STORE_FAILED,
		   "but not beyond its limit");
	is_int(failure.reason, REASON_INTEGRITY, "which is called integrity");
	store->close(store);
}

static bool
join_keys(void *context, const char *key, int64_t bytes, int64_t modified, Failure *failure)
{
	(void) bytes;
	(void) modified;
	(void) failure;
	strcat(strcat(context, key), " ");
	return true;
}

static bool
stop_at_once(void *context, const char *key, int64_t bytes, int64_t modified, Failure *failure)
{
	(void) failure;
	++*(int *) context;
	return key == NULL && bytes == modified;
}

static void
test_listing(void)
{
	Store	  *store = open_it();
	Failure	   failure = {0};
	ObjectStat object = {0};
	char	   keys[1024] = "";
	int		   count = 0;

	put_object(store, MANIFEST_KEY, "{}", &object, &failure);
	put_object(store, "acme-2/" BACKUP ".json", "{}", &object, &failure);
	put_file("acme/notes.txt", "somebody's");
	put_file("top.json", "somebody's");
	put_file("acme/." BACKUP ".json.swp", "an editor's");
	mkdir(path_of("acme/" BACKUP "-7.dump.gz"), 0700);
	ok(symlink("/etc/passwd", path_of("acme/" BACKUP "-8.dump.gz")) == 0, "(a link in the store)");

	ok(store->list(store, "", join_keys, keys, &failure), "a listing");
	is_string(keys, "acme/" BACKUP ".dump.gz acme/" BACKUP ".json acme-2/" BACKUP ".json ",
			  "shows ours alone, in order");
	keys[0] = '\0';
	ok(store->list(store, "acme/", join_keys, keys, &failure), "a listing of one token");
	is_string(keys, "acme/" BACKUP ".dump.gz acme/" BACKUP ".json ", "shows that token alone");
	keys[0] = '\0';
	store->list(store, "acme/" BACKUP ".j", join_keys, keys, &failure);
	is_string(keys, "acme/" BACKUP ".json ", "a prefix may reach into the name");
	ok(store->list(store, "", stop_at_once, &count, &failure) && count == 1, "a visitor may stop it");
	store->close(store);
}

static void
test_links(void)
{
	Store	  *store = open_it();
	Failure	   failure = {0};
	ObjectStat object = {0};
	char	  *text = NULL;
	size_t	   length = 0;
	char	   outside[] = "/tmp/store_file_outside.XXXXXX";

	is_int(store->read_small(store, "acme/" BACKUP "-8.dump.gz", 9999, &text, &length, &failure),
		   STORE_MISSING, "a link in an object's place is no object");
	is_int(store->head(store, "acme/" BACKUP "-7.dump.gz", NULL, &object, &failure), STORE_MISSING,
		   "nor is a directory");
	ok(mkfifo(path_of("acme/" BACKUP "-9.dump.gz"), 0600) == 0, "(a pipe in the store)");
	is_int(store->head(store, "acme/" BACKUP "-9.dump.gz", NULL, &object, &failure), STORE_MISSING,
		   "nor is a pipe");

	ok(mkdtemp(outside) && symlink(outside, path_of("evil")) == 0, "(a token's folder that leads out)");
	ok(!put_object(store, "evil/" BACKUP ".dump.gz", "x", &object, &failure), "is not written through");
	is_int(failure.reason, REASON_STORE, "but the store's fault");
	ok(rmdir(outside) == 0, "and nothing is outside");
	failure = (Failure){0};
	ok(!put_object(store, "../" BACKUP ".dump.gz", "x", &object, &failure), "'..' is no token");
	ok(!put_object(store, "a/b/" BACKUP ".dump.gz", "x", &object, &failure), "nor are two folders");
	ok(!put_object(store, "/etc/passwd", "x", &object, &failure), "nor an absolute name");
	ok(!put_object(store, "acme", "x", &object, &failure), "nor a name alone");
	store->close(store);
}

/* A writer that dies without a word; its lock goes with it. */
static void
killed_writer(const char *key)
{
	pid_t pid = fork();

	if (pid == 0)
	{
		Failure failure = {0};
		Store  *store = open_it();
		Upload *upload = begin(store, key, &failure);

		if (upload)
			upload_write(upload, "half", 4, &failure);
		_exit(0);
	}
	waitpid(pid, NULL, 0);
}

static void
test_left_behind(void)
{
	Store	  *store = open_it();
	Failure	   failure = {0};
	Upload	  *alive;
	ObjectStat object = {0};

	killed_writer("left/" BACKUP ".dump.gz");
	ok(exists("left/" PARTIAL), "a killed writer leaves its temporary file");
	ok(store->abort_left(store, "left/" BACKUP ".dump.gz", PARTIAL, &failure), "which is removed by its id");
	is_int(entries_in("left"), 0, "wholly");
	ok(store->abort_left(store, "left/" BACKUP ".dump.gz", PARTIAL, &failure), "twice is no failure");
	ok(store->abort_left(store, "nobody/" BACKUP ".dump.gz", PARTIAL, &failure),
	   "nor is a folder that is not there");
	ok(!store->abort_left(store, "left/" BACKUP ".dump.gz", "../acme/" BACKUP ".json", &failure),
	   "an id that is none is refused");
	failure = (Failure){0};
	ok(!store->abort_left(store, KEY, BACKUP ".dump.gz", &failure) && exists(KEY),
	   "so is an object's own name");

	killed_writer("left/" BACKUP ".json");
	failure = (Failure){0};
	ok(store->abort_left(store, "left/" BACKUP ".dump.gz", NULL, &failure),
	   "all that a key's writers left: none");
	is_int(entries_in("left"), 1, "leaves another key's alone");
	ok(store->abort_left(store, "left/" BACKUP ".json", NULL, &failure), "all that a key's writers left");
	is_int(entries_in("left"), 0, "goes without an id");

	killed_writer("left/" BACKUP ".dump.gz");
	put_file("left/.theirs.partial", "not ours");
	alive = begin(store, "left/" BACKUP "-2.dump.gz", &failure);
	ok(alive && !exists("left/" PARTIAL), "the next backup of the token removes what is left");
	is_int(entries_in("left"), 2, "but no file that is not ours");
	ok(put_object(store, "left/" BACKUP "-3.dump.gz", "x", &object, &failure) &&
		   alive->finish(alive, &object, &failure),
	   "and none that is being written");
	store->close(store);
}

static void
test_removal(void)
{
	Store  *store = open_it();
	Failure failure = {0};

	ok(store->remove(store, KEY, NULL, &failure) && !exists(KEY), "an object is removed");
	ok(store->remove(store, KEY, NULL, &failure), "twice is no failure");
	ok(store->remove(store, "nobody/" BACKUP ".json", NULL, &failure), "nor is a folder that is not there");
	store->close(store);
}

static void
test_rights(void)
{
	Store	  *store = open_it();
	Failure	   failure = {0};
	ObjectStat object = {0};

	chmod(directory, 0777);
	ok(!put_object(store, "acme/" BACKUP "-4.dump.gz", "x", &object, &failure),
	   "a directory for everybody is refused");
	ok(failure.reason == REASON_STORE && strstr(failure.detail, "chmod o-w"), "with what to do: %s",
	   failure.detail);
	chmod(directory, 01777);
	failure = (Failure){0};
	ok(put_object(store, "acme/" BACKUP "-4.dump.gz", "x", &object, &failure), "a sticky one is not");
	chmod(directory, 0700);
	if (geteuid() != 0)
	{
		chmod(path_of("acme"), 0500);
		ok(!put_object(store, "acme/" BACKUP "-5.dump.gz", "x", &object, &failure),
		   "a folder without write right is refused");
		ok(failure.reason == REASON_STORE && strstr(failure.detail, "permission denied"), "in words: %s",
		   failure.detail);
		chmod(path_of("acme"), 0700);
		failure = (Failure){0};
		chmod(directory, 0);
		ok(!store_open("default", url, NULL, &failure), "a directory without any right is refused");
		is_int(failure.reason, REASON_STORE, "as the store's fault");
		chmod(directory, 0700);
	}
	store->close(store);
}

int
main(void)
{
	char command[256];

	if (!mkdtemp(directory))
		return 1;
	snprintf(url, sizeof(url), "file://%s", directory);
	test_urls();
	test_opening();
	test_upload();
	test_reading();
	test_listing();
	test_links();
	test_left_behind();
	test_removal();
	test_rights();
	snprintf(command, sizeof(command), "rm -rf '%s'", directory);
	return system(command) != 0 || done_testing();
}
