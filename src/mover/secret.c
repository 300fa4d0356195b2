/*
 * secret.c
 *	  The memory that plaintext lives in, and the list of what must never be printed.
 *
 * Memory comes from OpenSSL's secure heap: one mapping with guard pages, locked
 * where RLIMIT_MEMLOCK allows, kept out of core files, wiped when freed.
 */
#include "secret.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <openssl/crypto.h>

#include "fd.h"

#define SECURE_HEAP_BYTES	 (2 * 1024 * 1024)
#define SECURE_HEAP_SMALLEST 32
#define SHORTEST_REGISTERED	 3
#define REPLACEMENT			 "***"

#ifndef MFD_NOEXEC_SEAL
#define MFD_NOEXEC_SEAL 0x0008U
#endif

/* What must not be printed, longest first.  The transfer thread scrubs too. */
static struct
{
	pthread_mutex_t mutex;
	Secret		   *values;
	size_t			count;
	bool			incomplete; /* a value could not be remembered: nothing can be vouched for */
} registry = {.mutex = PTHREAD_MUTEX_INITIALIZER};

bool
secret_copy(Secret *secret, const char *text, size_t length, Failure *failure)
{
	/* 2: could not lock it, the rest of the protection stands.  0: plain wiped memory. */
	if (!CRYPTO_secure_malloc_initialized())
		(void) CRYPTO_secure_malloc_init(SECURE_HEAP_BYTES, SECURE_HEAP_SMALLEST);

	secret->length = 0;
	secret->text = OPENSSL_secure_malloc(length + 1);
	if (secret->text == NULL)
		return failure_no_memory(failure);
	if (text != NULL)
		memcpy(secret->text, text, length);
	else
		memset(secret->text, 0, length);
	secret->text[length] = '\0';
	secret->length = length;
	return true;
}

void
secret_free(Secret *secret)
{
	OPENSSL_secure_clear_free(secret->text, secret->length + 1);
	secret->text = NULL;
	secret->length = 0;
}

static bool
is_registered(const char *value, size_t length)
{
	for (size_t i = 0; i < registry.count; i++)
		if (registry.values[i].length == length && memcmp(registry.values[i].text, value, length) == 0)
			return true;
	return false;
}

/* A value that is part of another must be replaced after it. */
static bool
insert_by_length(const char *value, size_t length)
{
	Secret *values = realloc(registry.values, (registry.count + 1) * sizeof(Secret));
	Secret	secret;
	size_t	at = 0;

	if (values == NULL)
		return false;
	registry.values = values;
	if (!secret_copy(&secret, value, length, NULL))
		return false;
	while (at < registry.count && values[at].length >= length)
		at++;
	memmove(values + at + 1, values + at, (registry.count - at) * sizeof(Secret));
	values[at] = secret;
	registry.count++;
	return true;
}

void
secret_register(const char *value, size_t length)
{
	if (length < SHORTEST_REGISTERED)
		return;
	pthread_mutex_lock(&registry.mutex);
	if (!is_registered(value, length) && !insert_by_length(value, length))
		registry.incomplete = true;
	pthread_mutex_unlock(&registry.mutex);
}

static void
scrub_value(char *text, const Secret *secret)
{
	const size_t replacement = strlen(REPLACEMENT);
	size_t		 left = strlen(text);

	for (;;)
	{
		char *found = memmem(text, left, secret->text, secret->length);

		if (found == NULL)
			return;
		left -= (size_t) (found - text) + secret->length;
		memset(found, REPLACEMENT[0], replacement);
		text = found + replacement;
		memmove(text, found + secret->length, left + 1);
	}
}

void
secret_scrub(char *text)
{
	pthread_mutex_lock(&registry.mutex);
	for (size_t i = 0; i < registry.count; i++)
		scrub_value(text, &registry.values[i]);
	if (registry.incomplete && strlen(text) >= strlen(REPLACEMENT))
		strcpy(text, REPLACEMENT);
	pthread_mutex_unlock(&registry.mutex);
}

size_t
secret_longest(void)
{
	size_t longest;

	pthread_mutex_lock(&registry.mutex);
	longest = registry.count > 0 ? registry.values[0].length : 0;
	pthread_mutex_unlock(&registry.mutex);
	return longest;
}

void
secret_forget_all(void)
{
	pthread_mutex_lock(&registry.mutex);
	for (size_t i = 0; i < registry.count; i++)
		secret_free(&registry.values[i]);
	free(registry.values);
	registry.values = NULL;
	registry.count = 0;
	registry.incomplete = false;
	pthread_mutex_unlock(&registry.mutex);
}

int
secret_memfd(const char *name, const char *text, size_t length, Failure *failure)
{
	const int seals = F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE;
	int		  fd = memfd_create(name, MFD_CLOEXEC | MFD_ALLOW_SEALING | MFD_NOEXEC_SEAL);

	/* Kernels before 6.3 do not know the flag. */
	if (fd < 0 && errno == EINVAL)
		fd = memfd_create(name, MFD_CLOEXEC | MFD_ALLOW_SEALING);
	if (fd < 0)
	{
		failure_set_errno(failure, REASON_INTERNAL, "could not make an anonymous file for \"%s\"", name);
		return -1;
	}
	/* libpq ignores a password file that others could read. */
	if (fchmod(fd, 0600) < 0 || !fd_write_all(fd, text, length) || lseek(fd, 0, SEEK_SET) < 0 ||
		fcntl(fd, F_ADD_SEALS, seals) < 0)
	{
		failure_set_errno(failure, REASON_INTERNAL, "could not fill the anonymous file for \"%s\"", name);
		close(fd);
		return -1;
	}
	return fd;
}
