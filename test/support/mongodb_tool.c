/*
 * mongodb_tool.c
 *	  What the tests say to a MongoDB server: mongodb_tool URI.
 *
 * Each line of stdin is a database, a blank, and a command in extended JSON; each
 * answer is one line of canonical extended JSON on stdout.  A database "?NAME" with
 * a collection's name as a JSON text instead of a command prints all its documents by
 * _id, one a line; a database "=" prints a JSON document as BSON in hex.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <mongoc/mongoc.h>

static int
print_documents(mongoc_client_t *client, const char *database, const char *name)
{
	mongoc_collection_t *collection = mongoc_client_get_collection(client, database, name);
	bson_t				*filter = bson_new();
	bson_t				*options = BCON_NEW("sort", "{", "_id", BCON_INT32(1), "}");
	mongoc_cursor_t		*cursor = mongoc_collection_find_with_opts(collection, filter, options, NULL);
	const bson_t		*document;
	bson_error_t		 error;
	bool				 failed;

	while (mongoc_cursor_next(cursor, &document))
	{
		char *text = bson_as_canonical_extended_json(document, NULL);

		puts(text);
		bson_free(text);
	}
	failed = mongoc_cursor_error(cursor, &error);
	if (failed)
		fprintf(stderr, "%s\n", error.message);
	mongoc_cursor_destroy(cursor);
	bson_destroy(options);
	bson_destroy(filter);
	mongoc_collection_destroy(collection);
	return failed;
}

/* A text of JSON; the caller's to free. */
static char *
unquote(const char *json)
{
	char		 wrapped[4096];
	bson_error_t error;
	bson_iter_t	 field;
	bson_t		*document;
	char		*text = NULL;

	snprintf(wrapped, sizeof(wrapped), "{\"text\": %s}", json);
	document = bson_new_from_json((const uint8_t *) wrapped, -1, &error);
	if (document != NULL && bson_iter_init_find(&field, document, "text"))
		text = bson_iter_dup_utf8(&field, NULL);
	if (document != NULL)
		bson_destroy(document);
	return text;
}

static int
print_collection(mongoc_client_t *client, const char *database, const char *json)
{
	char *name = unquote(json);
	int	  failed = name == NULL || print_documents(client, database, name);

	bson_free(name);
	return failed;
}

static int
run_command(mongoc_client_t *client, const char *database, const char *json)
{
	bson_error_t error;
	bson_t		 answer;
	bson_t		*command = bson_new_from_json((const uint8_t *) json, -1, &error);
	bool		 good;
	char		*text;

	if (command == NULL)
	{
		fprintf(stderr, "%s\n", error.message);
		return 1;
	}
	good = mongoc_client_command_simple(client, database, command, NULL, &answer, &error);
	text = bson_as_canonical_extended_json(&answer, NULL);
	puts(text);
	if (!good)
		fprintf(stderr, "%s\n", error.message);
	bson_free(text);
	bson_destroy(&answer);
	bson_destroy(command);
	return good ? 0 : 1;
}

static int
print_hex(const char *json)
{
	bson_error_t error;
	bson_t		*document = bson_new_from_json((const uint8_t *) json, -1, &error);

	if (document == NULL)
	{
		fprintf(stderr, "%s\n", error.message);
		return 1;
	}
	for (uint32_t i = 0; i < document->len; i++)
		printf("%02x", bson_get_data(document)[i]);
	puts("");
	bson_destroy(document);
	return 0;
}

static int
obey(mongoc_client_t *client, const char *database, const char *what)
{
	if (strcmp(database, "=") == 0)
		return print_hex(what);
	return database[0] == '?' ? print_collection(client, database + 1, what)
							  : run_command(client, database, what);
}

int
main(int argc, char **argv)
{
	char			*line = NULL;
	size_t			 size = 0;
	ssize_t			 length;
	int				 failed = 0;
	mongoc_client_t *client;

	mongoc_init();
	mongoc_log_set_handler(NULL, NULL);
	client = argc == 2 ? mongoc_client_new(argv[1]) : NULL;
	if (client == NULL)
	{
		fprintf(stderr, "usage: mongodb_tool URI\n");
		return 2;
	}
	while ((length = getline(&line, &size, stdin)) > 0)
	{
		char *blank = strchr(line, ' ');

		line[length - (line[length - 1] == '\n')] = '\0';
		if (blank == NULL)
			continue;
		*blank = '\0';
		failed |= obey(client, line, blank + 1);
	}
	free(line);
	mongoc_client_destroy(client);
	mongoc_cleanup();
	return failed;
}
