/*
 * main.c
 *	  custbackup: the mover that the background worker starts, and the operator's tool.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <curl/curl.h>
#include <jansson.h>
#include <libpq-fe.h>
#include <openssl/crypto.h>
#include <zlib.h>

#include "commands/command.h"
#include "failure.h"
#include "gzip.h"
#include "protect.h"
#include "version.h"

static const Command commands[] = {
	{"run", command_run, "do one job: JSON in, events out (the worker starts this)"},
	{"keygen", command_keygen, "make a key for connection URLs"},
	{"check-store", command_check_store, "whether and how safely backups can be kept in a store"},
	{"encrypt-url", command_encrypt_url, "encrypt a connection URL for the column connection_url"},
	{"list", command_list, "what lies in a store: no control database needed"},
	{"verify", command_verify, "are a store's backups still what was stored?"},
	{"get", command_get, "fetch a backup to a file or to standard output"},
	{"restore", command_restore, "put a backup from a store into a database"},
};

#define COMMAND_COUNT (sizeof(commands) / sizeof(commands[0]))

static const char examples[] = "\n"
							   "custbackup COMMAND --help says more about each.\n"
							   "\n"
							   "Examples:\n"
							   "  custbackup keygen --output=/etc/custbackup/key\n"
							   "  custbackup encrypt-url --key-file=/etc/custbackup/key < url.txt\n"
							   "  custbackup run --settings-fd=3 3< settings.json < job.json\n"
							   "  custbackup list --store=file:///var/backups/custbackup --since=2d\n"
							   "  custbackup restore --store=s3://bucket/prefix 0b9c71e2 < url.txt\n"
							   "  custbackup --version\n";

static void
print_help(FILE *stream)
{
	fputs("custbackup: backups and exact restores of customers' databases\n"
		  "\n"
		  "Usage: custbackup COMMAND [OPTIONS]\n"
		  "\n"
		  "Commands:\n",
		  stream);
	for (size_t i = 0; i < COMMAND_COUNT; i++)
		fprintf(stream, "  %-12s %s\n", commands[i].name, commands[i].summary);
	fputs(examples, stream);
}

static void
print_version(void)
{
	int libpq = PQlibVersion();

	printf("custbackup " CUSTBACKUP_VERSION " (gzip by %s)\n", gzip_backend());
	printf("libpq %d.%d, OpenSSL %s, libcurl %s, jansson %s, zlib %s\n", libpq / 10000, libpq % 10000,
		   OpenSSL_version(OPENSSL_VERSION_STRING), curl_version_info(CURLVERSION_NOW)->version,
		   jansson_version_str(), zlibVersion());
}

int
main(int argc, char **argv)
{
	Failure failure = {0};

	if (!protect_process(&failure))
	{
		fprintf(stderr, "custbackup: %s\n", failure.detail);
		return EXIT_FAILURE;
	}
	if (argc < 2)
	{
		print_help(stderr);
		return EXIT_USAGE;
	}
	if (strcmp(argv[1], "--version") == 0 || strcmp(argv[1], "-V") == 0)
	{
		print_version();
		return command_print("", "");
	}
	if (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0 || strcmp(argv[1], "help") == 0)
	{
		print_help(stdout);
		return command_print("", "");
	}
	for (size_t i = 0; i < COMMAND_COUNT; i++)
		if (strcmp(argv[1], commands[i].name) == 0)
			return commands[i].run(argc - 1, argv + 1);
	/* It may be a URL that was put in the wrong place: it is not repeated. */
	fputs("custbackup: no such command; 'custbackup --help' lists them\n", stderr);
	return EXIT_USAGE;
}
