/*
 * encrypt_url.c
 *	  custbackup encrypt-url: a connection URL on standard input, its ciphertext on standard output.
 *
 * Not in SQL, where a statement log would keep the plaintext, and not from an
 * argument, which every user of the host can read in /proc.
 */
#include "command.h"

#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cancel.h"
#include "read_url.h"
#include "secret.h"

#define NAME "encrypt-url"

static const char help[] = "Usage: custbackup encrypt-url [--key-file=FILE] < FILE-WITH-URL\n"
						   "\n"
						   "Reads one connection URL from standard input and prints what belongs into the\n"
						   "column connection_url: base64url(nonce || ciphertext || tag), AES-256-GCM under\n"
						   "the key file's first key.  One newline at the end is not part of the URL.  The\n"
						   "URL is never taken from the command line; at a terminal it is asked for and not\n"
						   "shown.  How a platform's own code does the same: docs/secrets.md.\n"
						   "\n"
						   "Schemes: postgresql, postgres, mongodb, mongodb+srv, redis, rediss, valkey,\n"
						   "valkeys\n"
						   "\n"
						   "Example:\n"
						   "  custbackup encrypt-url --key-file=/etc/custbackup/key < url.txt\n"
						   "\n" COMMAND_SETTINGS_HELP;

static const char *const schemes[] = {"postgresql://", "postgres://", "mongodb://", "mongodb+srv://",
									  "redis://",	   "rediss://",	  "valkey://",	"valkeys://"};

/* The mover judges the rest when it knows the resource's type; nothing of the URL is ever printed. */
static bool
check_url(const Secret *url, Failure *failure)
{
	if (url->length == 0)
		return failure_set(failure, REASON_BAD_URL, "standard input holds no URL");
	for (size_t i = 0; i < url->length; i++)
		if ((unsigned char) url->text[i] <= ' ' || url->text[i] == 0x7F)
			return failure_set(
				failure, REASON_BAD_URL,
				"byte %zu of the URL is a space or a control character: encode it as %%%02X, and give one "
				"URL alone",
				i + 1, (unsigned) (unsigned char) url->text[i]);
	for (size_t i = 0; i < sizeof(schemes) / sizeof(schemes[0]); i++)
	{
		size_t length = strlen(schemes[i]);

		if (strncasecmp(url->text, schemes[i], length) == 0 && url->length > length)
			return true;
	}
	return failure_set(failure, REASON_BAD_URL,
					   "standard input is no URL that begins with postgresql://, postgres://, "
					   "mongodb://, mongodb+srv://, redis://, rediss://, valkey:// or valkeys://");
}

static bool
encrypt(const Settings *settings, char **ciphertext, Failure *failure)
{
	KeyRing *ring;
	Secret	 url = {0};

	/* Before anybody has typed a password for nothing. */
	ring = key_ring_load(settings->key_file, failure);
	if (ring == NULL)
		return false;
	if (read_url(&url, failure) && check_url(&url, failure))
		*ciphertext = secret_encrypt(ring, url.text, url.length, failure);
	secret_free(&url);
	key_ring_free(ring);
	return *ciphertext != NULL;
}

static int
encrypt_and_print(const Settings *settings)
{
	Failure failure = {0};
	char   *ciphertext = NULL;
	char   *line;
	int		status;

	if (!encrypt(settings, &ciphertext, &failure))
		return command_failed(NAME, &failure);
	if (asprintf(&line, "%s\n", ciphertext) < 0)
	{
		free(ciphertext);
		failure_no_memory(&failure);
		return command_failed(NAME, &failure);
	}
	status = command_print(NAME, line);
	free(line);
	free(ciphertext);
	return status;
}

int
command_encrypt_url(int argc, char **argv)
{
	static const struct option options[] = {
		COMMAND_SETTINGS_OPTIONS, {"help", no_argument, NULL, 'h'}, {NULL, 0, NULL, 0}};
	Settings settings = {0};
	Failure	 failure = {0};
	int		 code;
	int		 status = -1;

	/* A terminal that was told to show nothing is told otherwise before we end. */
	if (!cancel_install(&failure) || !command_read_settings(&settings, &failure))
		status = command_failed(NAME, &failure);
	while (status < 0 && (code = getopt_long(argc, argv, "h", options, NULL)) != -1)
	{
		if (code == 'h')
			status = command_print(NAME, help);
		else if (code < COMMAND_FIRST_SETTING)
			status = command_usage_error(NAME, "that option is none of its own");
		else if (!command_take_setting(&settings, code, optarg, &failure))
			status = command_failed(NAME, &failure);
	}
	if (status < 0 && optind < argc)
		status = command_usage_error(
			NAME, "the URL is read from standard input, never from the command line, which every user "
				  "of this host can read and which shells keep.  If what was given there holds a "
				  "password, change that password now.");
	if (status < 0)
		status = encrypt_and_print(&settings);
	settings_free(&settings);
	return status;
}
