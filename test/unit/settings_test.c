/* settings.c: defaults, every setting, every way of being wrong. */
#include "settings.h"

#include <fcntl.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "tap.h"

static bool
read_text(Settings *settings, const char *text, size_t length, Failure *failure)
{
	int	 fd = memfd_create("settings", MFD_CLOEXEC);
	bool read;

	if (fd < 0 || write(fd, text, length) != (ssize_t) length || lseek(fd, 0, SEEK_SET) < 0)
		abort();
	settings_defaults(settings);
	*failure = (Failure){0};
	read = settings_read_fd(settings, fd, failure);
	close(fd);
	return read;
}

static void
refuses(const char *text, const char *expected)
{
	Settings settings;
	Failure	 failure;

	ok(!read_text(&settings, text, strlen(text), &failure) && failure.reason == REASON_CONFIG &&
		   strstr(failure.detail, expected) != NULL,
	   "%.60s: refused (%s)", text, failure.detail);
	settings_free(&settings);
}

static void
test_values(void)
{
	Settings		  settings;
	Failure			  failure;
	static const char text[] = "{\"key_file\": \"/k\", \"spool_dir\": \"/s\", \"tool_path\": \"/a:/b\", "
							   "\"credentials_file\": \"/c\", "
							   "\"ca_file\": \"/ca\", \"proxy\": \"http://p:1\", \"compression\": \"best\", "
							   "\"allow_local_targets\": true, "
							   "\"allow_http\": true, \"memory_budget\": 33554432, \"max_bandwidth\": "
							   "1000000, \"parent_pid\": 4711}";

	static const char unset[] = "{\"key_file\": \"\", \"compression\": \"balanced\"}";

	ok(read_text(&settings, "{}", 2, &failure), "no settings at all");
	ok(settings.key_file == NULL && settings.compression == COMPRESSION_FAST &&
		   !settings.allow_local_targets && !settings.allow_http &&
		   settings.memory_budget == 64 * 1024 * 1024 && settings.max_bandwidth == 0 &&
		   settings.parent_pid == 0,
	   "are the defaults");
	settings_free(&settings);

	ok(read_text(&settings, text, strlen(text), &failure), "all of them (%s)", failure.detail);
	is_string(settings.key_file, "/k", "key_file");
	is_string(settings.spool_dir, "/s", "spool_dir");
	is_string(settings.tool_path, "/a:/b", "tool_path");
	is_string(settings.credentials_file, "/c", "credentials_file");
	is_string(settings.ca_file, "/ca", "ca_file");
	is_string(settings.proxy, "http://p:1", "proxy");
	is_int(settings.compression, COMPRESSION_BEST, "compression");
	ok(settings.allow_local_targets && settings.allow_http, "the flags");
	is_int(settings.memory_budget, 33554432, "memory_budget");
	is_int(settings.max_bandwidth, 1000000, "max_bandwidth");
	is_int(settings.parent_pid, 4711, "parent_pid");
	settings_free(&settings);
	ok(settings.key_file == NULL && settings.proxy == NULL, "freed");

	ok(read_text(&settings, unset, strlen(unset), &failure) && settings.key_file == NULL &&
		   settings.compression == COMPRESSION_BALANCED,
	   "an empty text is an unset one");
	settings_free(&settings);
}

static void
test_refusals(void)
{
	Settings settings;
	Failure	 failure;
	char	*large = malloc(70000);

	refuses("", "not one JSON object");
	refuses("[]", "not one JSON object");
	refuses("{\"key_file\": \"/k\"", "not one JSON object");
	refuses("{\"key_file\": \"/k\", \"key_file\": \"/l\"}", "not one JSON object");
	refuses("{\"key_flie\": \"/k\"}", "unknown setting \"key_flie\"");
	refuses("{\"key_file\": 1}", "\"key_file\" must be a text");
	refuses("{\"key_file\": null}", "\"key_file\" must be a text");
	refuses("{\"key_file\": \"/k\\u0000x\"}", "not one JSON object");
	refuses("{\"compression\": \"fastest\"}", "must be fast, balanced or best");
	refuses("{\"compression\": 1}", "must be fast, balanced or best");
	refuses("{\"allow_http\": \"on\"}", "must be true or false");
	refuses("{\"memory_budget\": 1024}", "must be at least");
	refuses("{\"memory_budget\": 9223372036854775807}", "at most");
	refuses("{\"memory_budget\": 1.5}", "must be a number");
	refuses("{\"max_bandwidth\": -1}", "must be a number");
	refuses("{\"parent_pid\": 4294967296}", "must be a number");
	memset(large, ' ', 70000);
	ok(!read_text(&settings, large, 70000, &failure) && strstr(failure.detail, "longer than") != NULL,
	   "too long");
	settings_free(&settings);
	free(large);
	settings_defaults(&settings);
	failure = (Failure){0};
	ok(!settings_read_file(&settings, "/nonexistent", &failure) &&
		   strstr(failure.detail, "No such file") != NULL,
	   "a file that is not there");
	failure = (Failure){0};
	ok(!settings_read_file(&settings, "/", &failure) && strstr(failure.detail, "Is a directory") != NULL,
	   "a directory");
}

int
main(void)
{
	test_values();
	test_refusals();
	return done_testing();
}
