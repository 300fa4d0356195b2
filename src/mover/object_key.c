/*
 * object_key.c
 *	  The names of objects.
 */
#include "object_key.h"

#include <stdio.h>
#include <string.h>

#include "text.h"

#define TOKEN_MAX_BYTES	   200
#define UUID_BYTES		   36
#define ATTEMPT_MAX_DIGITS 9

#define DUMP_SUFFIX		".dump.gz"
#define MANIFEST_SUFFIX ".json"

static bool
token_is_safe(const char *token, size_t length)
{
	if (length == 0 || length > TOKEN_MAX_BYTES || token[0] == '.')
		return false;
	for (size_t i = 0; i < length; i++)
	{
		char c = token[i];

		if (!((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '.' ||
			  c == '_' || c == '-'))
			return false;
	}
	return true;
}

bool
object_token_is_safe(const char *token)
{
	return token_is_safe(token, strlen(token));
}

/* As Postgres writes it: one backup has one name. */
static bool
begins_with_our_uuid(const char *text)
{
	if (strlen(text) < UUID_BYTES || !text_is_uuid(text, UUID_BYTES))
		return false;
	for (size_t i = 0; i < UUID_BYTES; i++)
		if (text[i] >= 'A' && text[i] <= 'F')
			return false;
	return true;
}

/* Where the suffix begins, NULL where what stands before it is not ours. */
static const char *
find_suffix(const char *key)
{
	const char *slash = strchr(key, '/');
	const char *rest;

	if (slash == NULL || !token_is_safe(key, (size_t) (slash - key)))
		return NULL;
	rest = slash + 1;
	if (!begins_with_our_uuid(rest))
		return NULL;
	rest += UUID_BYTES;
	if (*rest == '-')
	{
		size_t digits = strspn(rest + 1, "0123456789");

		/* From 2, without leading zeros: one attempt has one name. */
		if (digits == 0 || digits > ATTEMPT_MAX_DIGITS || rest[1] == '0' || (digits == 1 && rest[1] == '1'))
			return NULL;
		rest += 1 + digits;
	}
	return rest;
}

bool
object_key_is_safe(const char *key)
{
	const char *suffix = find_suffix(key);

	return suffix != NULL && (strcmp(suffix, DUMP_SUFFIX) == 0 || strcmp(suffix, MANIFEST_SUFFIX) == 0);
}

bool
object_manifest_key(const char *object_key, char *buffer, size_t capacity)
{
	const char *suffix = find_suffix(object_key);
	int			length;

	if (suffix == NULL || strcmp(suffix, DUMP_SUFFIX) != 0)
		return false;
	length = snprintf(buffer, capacity, "%.*s" MANIFEST_SUFFIX, (int) (suffix - object_key), object_key);
	return length >= 0 && (size_t) length < capacity;
}

bool
object_manifest_key_of_job(const char *object_key, char buffer[OBJECT_KEY_SIZE], Failure *failure)
{
	return object_manifest_key(object_key, buffer, OBJECT_KEY_SIZE) ||
		   failure_set(failure, REASON_CONFIG, "\"%s\" is no key of a backup", object_key);
}
