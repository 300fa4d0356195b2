/*
 * mongodb_connect.c
 *	  From a URL to a session with one judged server, and commands on it.
 */
#include "engines/mongodb_connect.h"

#include <stdlib.h>
#include <string.h>

#include "address.h"
#include "cancel.h"
#include "engines/mongodb_srv.h"

#define ASK_TIMEOUT_MS 60000

/* The server's own codes. */
#define CODE_UNAUTHORIZED		   13
#define CODE_AUTHENTICATION_FAILED 18
#define CODE_ATLAS				   8000

/* What a server says of itself in its first answer. */
typedef enum Role
{
	ROLE_STANDALONE,
	ROLE_ROUTER,
	ROLE_PRIMARY,
	ROLE_SECONDARY,
	ROLE_OTHER /* an arbiter, or a member that is starting */
} Role;

bool
mongodb_fail(MongodbSession *session, const bson_error_t *error, FailureReason otherwise, Failure *failure)
{
	FailureReason reason = otherwise;

	session->code = error->domain == MONGOC_ERROR_SERVER ? error->code : 0;
	if (error->domain == MONGOC_ERROR_SERVER_SELECTION || error->domain == MONGOC_ERROR_STREAM)
		reason = REASON_UNREACHABLE;
	if ((error->domain == MONGOC_ERROR_CLIENT && error->code == MONGOC_ERROR_CLIENT_AUTHENTICATE) ||
		(error->domain == MONGOC_ERROR_SERVER &&
		 (error->code == CODE_UNAUTHORIZED || error->code == CODE_AUTHENTICATION_FAILED ||
		  error->code == CODE_ATLAS)))
		reason = REASON_AUTH;
	return failure_set(failure, reason, "MongoDB at %s: %s", session->name, error->message);
}

bool
mongodb_ask(MongodbSession *session, const char *database, const bson_t *command, bson_t *answer,
			FailureReason otherwise, Failure *failure)
{
	bson_error_t error;

	session->code = 0;
	if (cancel_requested() && !session->finishes)
	{
		bson_init(answer);
		return cancel_failure(failure);
	}
	return mongoc_client_command_simple(session->client, database, command, NULL, answer, &error) ||
		   mongodb_fail(session, &error, otherwise, failure);
}

/* libmongoc is silent: what it has to say it says by errors. */
static void
set_up_library(void)
{
	static bool done;

	if (done)
		return;
	mongoc_init();
	mongoc_log_set_handler(NULL, NULL);
	done = true;
}

static bool
open_client(MongodbSession *session, const MongodbUrl *url, const Settings *settings, Failure *failure)
{
	Secret		  text = {0};
	bson_error_t  error = {0};
	mongoc_uri_t *uri;

	set_up_library();
	if (!mongodb_url_write(url, settings, session->host, session->port, true, &text, failure))
		return false;
	uri = mongoc_uri_new_with_error(text.text, &error);
	secret_free(&text);
	if (uri == NULL)
		return failure_set(failure, REASON_BAD_URL, "the MongoDB URL is refused: %s", error.message);
	mongoc_uri_set_option_as_int32(uri, MONGOC_URI_SOCKETTIMEOUTMS, ASK_TIMEOUT_MS);
	session->client = mongoc_client_new_from_uri_with_error(uri, &error);
	mongoc_uri_destroy(uri);
	if (session->client == NULL)
		return failure_set(failure, REASON_BAD_URL, "the MongoDB URL is refused: %s", error.message);
	mongoc_client_set_error_api(session->client, MONGOC_ERROR_API_VERSION_2);
	mongoc_client_set_appname(session->client, "custbackup");
	return true;
}

/* Logs in on the way. */
static bool
ask_version(MongodbSession *session, Failure *failure)
{
	bson_t		command = BSON_INITIALIZER;
	bson_t		answer;
	bson_iter_t field;
	bool		good;

	BSON_APPEND_INT32(&command, "buildInfo", 1);
	good = mongodb_ask(session, "admin", &command, &answer, REASON_UNREACHABLE, failure);
	if (good && bson_iter_init_find(&field, &answer, "version") && BSON_ITER_HOLDS_UTF8(&field))
		snprintf(session->server_version, sizeof(session->server_version), "%s",
				 bson_iter_utf8(&field, NULL));
	bson_destroy(&answer);
	bson_destroy(&command);
	return good;
}

static Role
role_of(const mongoc_server_description_t *server)
{
	static const struct
	{
		const char *type;
		Role		role;
	} roles[] = {{"Standalone", ROLE_STANDALONE},
				 {"Mongos", ROLE_ROUTER},
				 {"RSPrimary", ROLE_PRIMARY},
				 {"RSSecondary", ROLE_SECONDARY}};
	const char *type = mongoc_server_description_type(server);

	for (size_t i = 0; i < sizeof(roles) / sizeof(roles[0]); i++)
		if (strcmp(type, roles[i].type) == 0)
			return roles[i].role;
	return ROLE_OTHER;
}

/* The members that a replica set names: to be judged as any other, unfit ones are passed over. */
static bool
add_members(MongodbUrl *queue, const bson_t *hello, Failure *failure)
{
	bson_iter_t field;
	bson_iter_t each;

	if (!bson_iter_init_find(&field, hello, "hosts") || !BSON_ITER_HOLDS_ARRAY(&field) ||
		!bson_iter_recurse(&field, &each))
		return true;
	while (bson_iter_next(&each) && queue->place_count < MONGODB_MAX_HOSTS)
	{
		Failure		ignored = {0};
		UrlPlace	place;
		uint32_t	length;
		const char *text = BSON_ITER_HOLDS_UTF8(&each) ? bson_iter_utf8(&each, &length) : NULL;
		bool		added;

		if (text == NULL || !mongodb_place_parse(&place, text, length, &ignored))
			continue;
		added = mongodb_url_add_place(queue, &place, failure);
		free(place.host);
		if (!added)
			return false;
	}
	return true;
}

static bool
is_of_set(const MongodbSession *session, const MongodbUrl *url, const bson_t *hello, Failure *failure)
{
	bson_iter_t field;
	const char *set = "";

	if (url->replica_set == NULL)
		return true;
	if (bson_iter_init_find(&field, hello, "setName") && BSON_ITER_HOLDS_UTF8(&field))
		set = bson_iter_utf8(&field, NULL);
	return strcmp(set, url->replica_set) == 0 ||
		   failure_set(failure, REASON_UNREACHABLE,
					   "MongoDB at %s is not of the replica set %s that the URL names", session->name,
					   url->replica_set);
}

/* Which server answers at one judged address?  The client stays open. */
static bool
try_address(MongodbSession *session, const MongodbUrl *url, const Settings *settings, Role *role,
			MongodbUrl *queue, Failure *failure)
{
	bson_error_t				 error;
	mongoc_server_description_t *server;
	bool						 good;

	if (!open_client(session, url, settings, failure))
		return false;
	server = mongoc_client_select_server(session->client, false, NULL, &error);
	if (server == NULL)
		return mongodb_fail(session, &error, REASON_UNREACHABLE, failure);
	*role = role_of(server);
	good = is_of_set(session, url, mongoc_server_description_hello_response(server), failure) &&
		   (*role != ROLE_PRIMARY && *role != ROLE_SECONDARY && *role != ROLE_OTHER
				? true
				: add_members(queue, mongoc_server_description_hello_response(server), failure));
	mongoc_server_description_destroy(server);
	session->is_router = *role == ROLE_ROUTER;
	return good;
}

/* Every address of the place is judged, before one of them is tried. */
static bool
try_place(MongodbSession *session, const MongodbUrl *url, const UrlPlace *place, const Settings *settings,
		  Role *role, MongodbUrl *queue, Failure *failure)
{
	Address *addresses = NULL;
	size_t	 count = 0;
	bool	 by_name = url->tls && !url->tls_insecure;
	bool	 good = false;

	if (!address_resolve(place->host, place->port, settings->allow_local_targets, &addresses, &count,
						 failure))
		return false;
	snprintf(session->name, sizeof(session->name), "%s:%s", place->host, place->port);
	snprintf(session->port, sizeof(session->port), "%s", place->port);
	for (size_t i = 0; i < count && !good; i++)
	{
		Failure attempt = {0};

		snprintf(session->host, sizeof(session->host), "%s", by_name ? place->host : addresses[i].text);
		good = try_address(session, url, settings, role, queue, &attempt);
		if (good || by_name || attempt.reason != REASON_UNREACHABLE || i + 1 == count)
		{
			if (!good)
				failure_set(failure, attempt.reason, "%s", attempt.detail);
			break;
		}
		mongodb_disconnect(session);
	}
	free(addresses);
	return good;
}

static bool
suits(const MongodbUrl *url, MongodbPurpose purpose, Role role)
{
	MongodbPreference preference = purpose == MONGODB_FOR_WRITING ? MONGODB_PRIMARY : url->preference;

	if (role == ROLE_STANDALONE || role == ROLE_ROUTER || role == ROLE_PRIMARY)
		return role != ROLE_PRIMARY ||
			   (preference != MONGODB_SECONDARY && preference != MONGODB_SECONDARY_PREFERRED);
	if (role == ROLE_SECONDARY)
		return (url->direct && purpose == MONGODB_FOR_READING) || preference == MONGODB_SECONDARY ||
			   preference == MONGODB_SECONDARY_PREFERRED || preference == MONGODB_NEAREST;
	return false;
}

/* Better than none at all, where the URL says "preferred". */
static bool
serves(const MongodbUrl *url, MongodbPurpose purpose, Role role)
{
	if (purpose == MONGODB_FOR_WRITING)
		return false;
	return (url->preference == MONGODB_PRIMARY_PREFERRED && role == ROLE_SECONDARY) ||
		   (url->preference == MONGODB_SECONDARY_PREFERRED && role == ROLE_PRIMARY) ||
		   (url->direct && (role == ROLE_PRIMARY || role == ROLE_SECONDARY));
}

/* A place that must not be is refused behind one that has answered, too. */
static bool
judge(const UrlPlace *places, size_t count, const Settings *settings, Failure *failure)
{
	for (size_t i = 0; i < count; i++)
	{
		Failure	 attempt = {0};
		Address *addresses = NULL;
		size_t	 address_count = 0;

		address_resolve(places[i].host, places[i].port, settings->allow_local_targets, &addresses,
						&address_count, &attempt);
		free(addresses);
		if (attempt.reason != REASON_NONE && attempt.reason != REASON_UNREACHABLE)
			return failure_set(failure, attempt.reason, "%s", attempt.detail);
	}
	return true;
}

/*
 * *session is connected to the best server there is.  The first of `own` places are the
 * URL's: an address there that must not be ends it all; the first failure tells why.
 */
static bool
choose(MongodbSession *session, const MongodbUrl *url, const Settings *settings, MongodbPurpose purpose,
	   MongodbUrl *queue, Failure *failure)
{
	size_t		   own = queue->place_count;
	MongodbSession fallback = {0};
	Failure		   first = {0};

	for (size_t i = 0; i < queue->place_count; i++)
	{
		Failure attempt = {0};
		Role	role = ROLE_OTHER;

		if (cancel_requested())
			return cancel_failure(failure);
		if (try_place(session, url, &queue->places[i], settings, &role, queue, &attempt))
		{
			if (suits(url, purpose, role))
				return i >= own || judge(&queue->places[i + 1], own - i - 1, settings, failure);
			if (fallback.port[0] == '\0' && serves(url, purpose, role))
				fallback = *session;
			fallback.client = NULL;
		}
		else if (i < own && attempt.reason != REASON_UNREACHABLE)
			return failure_set(failure, attempt.reason, "%s", attempt.detail);
		else if (first.reason == REASON_NONE && i < own)
			first = attempt;
		mongodb_disconnect(session);
	}
	if (fallback.port[0] != '\0')
	{
		*session = fallback;
		return open_client(session, url, settings, failure);
	}
	if (first.reason != REASON_NONE)
		return failure_set(failure, first.reason, "%s", first.detail);
	return failure_set(
		failure, REASON_UNREACHABLE, "none of the servers that answered for the MongoDB URL is a %s",
		purpose == MONGODB_FOR_READING && url->preference == MONGODB_SECONDARY ? "secondary" : "primary");
}

bool
mongodb_connect(MongodbSession *session, MongodbUrl *url, const Settings *settings, MongodbPurpose purpose,
				Failure *failure)
{
	MongodbUrl queue = {0};
	bool	   good;

	*session = (MongodbSession){0};
	good = !url->srv || mongodb_srv_resolve(url, failure);
	for (size_t i = 0; good && i < url->place_count; i++)
		good = mongodb_url_add_place(&queue, &url->places[i], failure);
	good = good && choose(session, url, settings, purpose, &queue, failure) && ask_version(session, failure);
	mongodb_url_free(&queue);
	if (!good)
		mongodb_disconnect(session);
	return good;
}

bool
mongodb_reconnect(MongodbSession *session, const MongodbUrl *url, const Settings *settings, Failure *failure)
{
	mongodb_disconnect(session);
	if (open_client(session, url, settings, failure) && ask_version(session, failure))
		return true;
	mongodb_disconnect(session);
	return false;
}

void
mongodb_disconnect(MongodbSession *session)
{
	if (session->client != NULL)
		mongoc_client_destroy(session->client);
	session->client = NULL;
}
