/*
 * s3_profile.c
 *	  Credentials from a file in AWS format: [profile], then name = value.
 */
#include "stores/s3_credentials.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

#include <openssl/crypto.h>
#include <sys/stat.h>

#define MAX_FILE_BYTES	(64 * 1024)
#define BYTE_ORDER_MARK "\xEF\xBB\xBF" /* what some editors begin a file with */

/*
 * libpq's rule for private keys: 0600 or less, or root's and 0640 or less.  What is 0600 can be read by its
 * owner, who is us, and by root, who needs the server's own file on the worst day.
 */
static bool
is_private(const struct stat *status)
{
	return (status->st_mode & (status->st_uid == 0 ? 027 : 077)) == 0;
}

/* malloc'ed with OpenSSL's allocator, NUL-terminated; NULL: failure. */
static char *
read_private_file(const char *path, Failure *failure)
{
	struct stat status;
	int			fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	char	   *text = NULL;
	ssize_t		length;

	if (fd < 0 || fstat(fd, &status) < 0)
		failure_set_errno(failure, REASON_CONFIG, "could not read the credentials file \"%s\"", path);
	else if (!S_ISREG(status.st_mode) || status.st_size > MAX_FILE_BYTES)
		failure_set(failure, REASON_CONFIG, "the credentials file \"%s\" is no file of at most 64 KiB", path);
	else if (!is_private(&status))
		failure_set(failure, REASON_CONFIG,
					"the credentials file \"%s\" can be read by others: make it 0600, or root's and 0640",
					path);
	else if ((text = OPENSSL_zalloc(MAX_FILE_BYTES + 1)) == NULL)
		failure_no_memory(failure);
	else if ((length = pread(fd, text, MAX_FILE_BYTES, 0)) < 0)
		failure_set_errno(failure, REASON_CONFIG, "could not read the credentials file \"%s\"", path);
	else if (strlen(text) != (size_t) length)
		failure_set(failure, REASON_CONFIG, "the credentials file \"%s\" is no UTF-8 text", path);
	if (fd >= 0)
		close(fd);
	if (failure->reason == REASON_NONE)
		return text;
	OPENSSL_clear_free(text, MAX_FILE_BYTES + 1);
	return NULL;
}

static char *
trim(char *text)
{
	char *end;

	while (isspace((unsigned char) *text))
		text++;
	end = text + strlen(text);
	while (end > text && isspace((unsigned char) end[-1]))
		end--;
	*end = '\0';
	return text;
}

/* "[name]" or "[profile name]" */
static bool
is_header_of(char *line, const char *profile)
{
	char *end = strchr(line, ']');
	char *name;

	if (!end)
		return false;
	*end = '\0';
	name = trim(line + 1);
	if (strncmp(name, "profile ", 8) == 0)
		name = trim(name + 8);
	return strcmp(name, profile) == 0;
}

/* Without blanks around it, and without a comment behind a blank: no value of ours has one in it. */
static char *
trim_value(char *text)
{
	text = trim(text);
	for (char *c = text; *c; c++)
		if (isspace((unsigned char) c[0]) && (c[1] == '#' || c[1] == ';'))
			*c = '\0';
	return trim(text);
}

typedef struct Profile
{
	bool		found;
	const char *access_key;
	const char *secret_key;
	const char *session_token;
} Profile;

static void
find_profile(char *text, const char *name, Profile *profile)
{
	char *line;
	char *value;
	bool  inside = false;

	if (strncmp(text, BYTE_ORDER_MARK, strlen(BYTE_ORDER_MARK)) == 0)
		text += strlen(BYTE_ORDER_MARK);
	while ((line = strsep(&text, "\n")) != NULL)
	{
		line = trim(line);
		if (line[0] == '[')
		{
			inside = is_header_of(line, name);
			profile->found |= inside;
		}
		if (!inside || line[0] == '#' || line[0] == ';' || (value = strchr(line, '=')) == NULL)
			continue;
		*value++ = '\0';
		line = trim(line);
		value = trim_value(value);
		if (strcasecmp(line, "aws_access_key_id") == 0)
			profile->access_key = value;
		else if (strcasecmp(line, "aws_secret_access_key") == 0)
			profile->secret_key = value;
		else if (strcasecmp(line, "aws_session_token") == 0)
			profile->session_token = value;
	}
}

S3Source
s3_credentials_from_file(const char *path, const char *name, S3Credentials *credentials, Failure *failure)
{
	Profile	 profile = {0};
	char	 whose[512];
	char	*text = read_private_file(path, failure);
	S3Source answer = S3_SOURCE_FAILED;

	if (!text)
		return S3_SOURCE_FAILED;
	snprintf(whose, sizeof(whose), "profile \"%s\" of \"%s\"", name, path);
	find_profile(text, name, &profile);
	if (!profile.found)
		answer = S3_SOURCE_ABSENT;
	else if (!profile.access_key || !profile.secret_key)
		failure_set(
			failure, REASON_CONFIG,
			"profile \"%s\" in \"%s\" lacks aws_access_key_id or aws_secret_access_key (what leads to "
			"others, such as role_arn or credential_process, is not followed)",
			name, path);
	else if (s3_credentials_set(credentials, whose, profile.access_key, profile.secret_key,
								profile.session_token, NULL, failure))
		answer = S3_SOURCE_FOUND;
	OPENSSL_clear_free(text, MAX_FILE_BYTES + 1);
	return answer;
}
