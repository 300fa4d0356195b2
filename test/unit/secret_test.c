/* secret.c: memory, scrubbing, anonymous files. */
#include "secret.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <openssl/crypto.h>

#include "tap.h"

static void
scrubbed_is(const char *input, const char *expected, const char *what)
{
	char text[256];

	snprintf(text, sizeof(text), "%s", input);
	secret_scrub(text);
	is_string(text, expected, what);
}

static void
test_memory(void)
{
	Failure failure = {0};
	Secret	secret = {0};

	secret_free(&secret);
	ok(secret.text == NULL, "freeing nothing is nothing");
	ok(secret_copy(&secret, "pass\0word", 9, &failure) && secret.length == 9 &&
		   memcmp(secret.text, "pass\0word", 10) == 0,
	   "a copy, with a NUL after it");
	ok(CRYPTO_secure_allocated(secret.text) == 1, "from the secure heap");
	secret_free(&secret);
	ok(secret.text == NULL && secret.length == 0, "gone");
	ok(secret_copy(&secret, NULL, 100, &failure) && secret.text[0] == '\0' && secret.text[99] == '\0',
	   "zeros");
	secret_free(&secret);
	ok(secret_copy(&secret, "", 0, &failure) && secret.length == 0 && secret.text[0] == '\0', "an empty one");
	secret_free(&secret);
	ok(!secret_copy(&secret, NULL, (size_t) 1 << 40, &failure) && failure.reason == REASON_INTERNAL &&
		   secret.text == NULL,
	   "more than there is: out of memory");
	secret_free(&secret);
}

/* The kernel says of each mapping whether it goes into a core file ("dd" in VmFlags). */
static void
test_core_files(void)
{
	Failure failure = {0};
	Secret	secret;
	FILE   *maps = fopen("/proc/self/smaps", "r");
	char	line[512];
	bool	inside = false;
	bool	kept_out = false;

	secret_copy(&secret, "x", 1, &failure);
	while (maps != NULL && fgets(line, sizeof(line), maps) != NULL)
	{
		unsigned long from;
		unsigned long to;

		if (sscanf(line, "%lx-%lx ", &from, &to) == 2)
			inside = (unsigned long) secret.text >= from && (unsigned long) secret.text < to;
		else if (inside && strncmp(line, "VmFlags:", 8) == 0)
			kept_out = strstr(line, " dd") != NULL;
	}
	if (maps != NULL)
		fclose(maps);
	ok(kept_out, "a secret's memory is kept out of core files");
	secret_free(&secret);
}

static void
test_scrubbing(void)
{
	char long_secret[300];

	scrubbed_is("hunter2", "hunter2", "what is not registered stays");
	is_int((long long) secret_longest(), 0, "no longest yet");
	secret_register("hunter2", 7);
	secret_register("hunter2", 7);
	secret_register("p@ss", 4);
	secret_register("p%40ss", 6);
	secret_register("hunter2-and-more", 16);
	secret_register("ab", 2);
	secret_register("", 0);
	scrubbed_is("hunter2", "***", "the whole text");
	scrubbed_is("a hunter2 b hunter2hunter2 c", "a *** b ****** c", "every place");
	scrubbed_is("hunter2-and-more", "***", "the longer of two first, so that its rest does not stay");
	scrubbed_is("p@ss p%40ss", "*** ***", "raw and percent-encoded");
	scrubbed_is("hunter hunterhunter2", "hunter hunter***", "a beginning is not the whole");
	scrubbed_is("ab", "ab", "values shorter than three bytes are not registered");
	scrubbed_is("", "", "an empty text");
	is_int((long long) secret_longest(), 16, "the longest");
	secret_register("***", 3);
	scrubbed_is("x *** hunter2", "x *** ***", "a secret that is the replacement does not hang us");
	secret_register("abc", 3);
	scrubbed_is("abcabc", "******", "a secret of three bytes");
	memset(long_secret, 'L', sizeof(long_secret) - 1);
	long_secret[sizeof(long_secret) - 1] = '\0';
	secret_register(long_secret, sizeof(long_secret) - 1);
	secret_scrub(long_secret);
	is_string(long_secret, "***", "a long one");
	secret_forget_all();
	scrubbed_is("hunter2", "hunter2", "forgotten");
}

/* When a value cannot be remembered, nothing is let out. */
static void
test_incomplete(void)
{
	size_t huge = (size_t) 3 * 1024 * 1024; /* larger than the secure heap */
	char  *value = malloc(huge);

	memset(value, 'v', huge);
	secret_register(value, huge);
	free(value);
	scrubbed_is("anything at all", "***", "if a secret could not be registered, every text goes");
	secret_forget_all();
	scrubbed_is("anything at all", "anything at all", "until all is forgotten");
}

static void *
scrub_often(void *unused)
{
	(void) unused;
	for (int i = 0; i < 2000; i++)
	{
		char text[] = "with secret-17 in it";

		secret_scrub(text);
	}
	return NULL;
}

/* The transfer thread scrubs while the main thread registers; the sanitizers watch. */
static void
test_threads(void)
{
	pthread_t thread;
	char	  value[32];

	pthread_create(&thread, NULL, scrub_often, NULL);
	for (int i = 0; i < 200; i++)
	{
		int length = snprintf(value, sizeof(value), "secret-%d", i);

		secret_register(value, (size_t) length);
	}
	pthread_join(thread, NULL);
	scrubbed_is("secret-17, secret-170", "***, ***", "registering and scrubbing from two threads");
	secret_forget_all();
}

static void
test_memfd(void)
{
	Failure		  failure = {0};
	char		  content[32] = "";
	char		  path[64];
	struct stat	  st;
	struct rlimit files;
	struct rlimit few;
	int			  reopened;
	int			  fd = secret_memfd("passwords", "h:1:d:u:p\n", 10, &failure);

	ok(fd >= 0, "an anonymous file");
	ok(read(fd, content, sizeof(content)) == 10 && strcmp(content, "h:1:d:u:p\n") == 0,
	   "is read from its beginning");
	ok(fstat(fd, &st) == 0 && (st.st_mode & 0777) == 0600, "with the mode that libpq wants");
	ok(write(fd, "x", 1) < 0 && errno == EPERM && ftruncate(fd, 0) < 0, "sealed: nobody changes it");
	is_int(fcntl(fd, F_GETFD) & FD_CLOEXEC, FD_CLOEXEC, "close-on-exec");
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	reopened = open(path, O_RDONLY | O_CLOEXEC);
	ok(reopened >= 0 && read(reopened, content, sizeof(content)) == 10, "and opens by its path in /proc");
	close(reopened);
	close(fd);

	getrlimit(RLIMIT_NOFILE, &files);
	few = files;
	few.rlim_cur = 3;
	setrlimit(RLIMIT_NOFILE, &few);
	fd = secret_memfd("passwords", "x", 1, &failure);
	setrlimit(RLIMIT_NOFILE, &files);
	ok(fd == -1 && failure.reason == REASON_INTERNAL && strstr(failure.detail, "Too many open files") != NULL,
	   "without a descriptor left: a failure");
}

int
main(void)
{
	test_memory();
	test_core_files();
	test_scrubbing();
	test_incomplete();
	test_threads();
	test_memfd();
	return done_testing();
}
