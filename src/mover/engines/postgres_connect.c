/*
 * postgres_connect.c
 *	  libpq, asynchronously.
 *
 * libpq before 17 keeps the SQLSTATE of a refused connection to itself.  But a
 * connection that is being made already has a verbosity: at PQERRORS_SQLSTATE the
 * error text that libpq composes ends in the severity and the five characters,
 * and nothing that anybody translated.
 */
#include "postgres_connect.h"

#include <ctype.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "clock.h"

#define MAX_PARAMETERS 32
#define NO_FILE		   "/dev/null/none" /* surely absent, for whoever may be looking */

typedef struct Parameters
{
	const char *keywords[MAX_PARAMETERS + 1];
	const char *values[MAX_PARAMETERS + 1];
	int			count;
} Parameters;

const char *
postgres_ca_file(const Settings *settings)
{
	static const char *const system_files[] = {
		"/etc/ssl/certs/ca-certificates.crt",
		"/etc/pki/tls/certs/ca-bundle.crt",
		"/etc/ssl/cert.pem",
	};

	if (settings->ca_file != NULL)
		return settings->ca_file;
	for (size_t i = 0; i < sizeof(system_files) / sizeof(system_files[0]); i++)
	{
		if (access(system_files[i], R_OK) == 0)
			return system_files[i];
	}
	return NO_FILE;
}

static void
add_parameter(Parameters *parameters, const char *keyword, const char *value)
{
	if (value == NULL || parameters->count == MAX_PARAMETERS)
		return;
	parameters->keywords[parameters->count] = keyword;
	parameters->values[parameters->count++] = value;
}

/* dbname comes last and is not expanded: a database may be called "host=elsewhere". */
static void
fill_parameters(Parameters *parameters, const PostgresSession *session, const PostgresUrl *url,
				const Settings *settings, PostgresPurpose purpose)
{
	static const char *const passed_on[] = {
		"sslmode",		   "sslsni",	  "ssl_min_protocol_version", "ssl_max_protocol_version",
		"channel_binding", "require_auth"};
	const char *mode = postgres_url_option(url, "sslmode");
	const char *attributes = postgres_url_option(url, "target_session_attrs");

	memset(parameters, 0, sizeof(*parameters));
	add_parameter(parameters, "host", session->host);
	add_parameter(parameters, "hostaddr", session->hostaddr);
	add_parameter(parameters, "port", session->port);
	add_parameter(parameters, "user", url->user);
	add_parameter(parameters, "password", url->password.text != NULL ? url->password.text : "");
	for (size_t i = 0; i < sizeof(passed_on) / sizeof(passed_on[0]); i++)
		add_parameter(parameters, passed_on[i], postgres_url_option(url, passed_on[i]));
	if (purpose == POSTGRES_FOR_WRITING && url->place_count > 1)
		attributes = "read-write";
	add_parameter(parameters, "target_session_attrs", attributes);
	add_parameter(parameters, "passfile", NO_FILE);
	add_parameter(parameters, "sslcert", NO_FILE);
	add_parameter(parameters, "sslkey", NO_FILE);
	add_parameter(parameters, "sslrootcert",
				  mode != NULL && strncmp(mode, "verify", 6) == 0 ? postgres_ca_file(settings) : NO_FILE);
	add_parameter(parameters, "gssencmode", "disable");
	add_parameter(parameters, "application_name", POSTGRES_APPLICATION_NAME);
	add_parameter(parameters, "client_encoding", "UTF8");
	add_parameter(parameters, "keepalives_idle", "30");
	add_parameter(parameters, "keepalives_interval", "10");
	add_parameter(parameters, "dbname", url->database);
}

/* The five characters at the end of the first line that has them: "FATAL:  28P01". */
static const char *
message_sqlstate(const char *message)
{
	static char code[6];
	const char *found = NULL;

	for (const char *at = strstr(message, ":  "); at != NULL; at = strstr(at + 1, ":  "))
	{
		size_t length = 0;

		while (isdigit((unsigned char) at[3 + length]) || isupper((unsigned char) at[3 + length]))
			length++;
		if (length == 5 && (at[8] == '\n' || at[8] == '\0'))
			found = at + 3;
	}
	if (found == NULL)
		return NULL;
	memcpy(code, found, 5);
	code[5] = '\0';
	return code;
}

/* What a server that answered meant by refusing us. */
static bool
refused(const PostgresSession *session, const PostgresUrl *url, const char *sqlstate, Failure *failure)
{
	const char *where = session->host;

	if (strncmp(sqlstate, "28", 2) == 0)
		return failure_set(
			failure, REASON_AUTH,
			"%s refused role \"%s\" (%s): the password, the role or pg_hba.conf does not allow it", where,
			url->user, sqlstate);
	if (strcmp(sqlstate, "42501") == 0)
		return failure_set(failure, REASON_AUTH,
						   "role \"%s\" may not CONNECT to database \"%s\" on %s (42501)", url->user,
						   url->database, where);
	if (strcmp(sqlstate, "3D000") == 0)
		return failure_set(failure, REASON_UNREACHABLE, "%s has no database \"%s\" (3D000)", where,
						   url->database);
	if (strcmp(sqlstate, "53300") == 0)
		return failure_set(failure, REASON_UNREACHABLE,
						   "%s has no connection left for role \"%s\" (53300): a job takes two at once",
						   where, url->user);
	if (strcmp(sqlstate, "57P03") == 0)
		return failure_set(failure, REASON_UNREACHABLE, "%s is starting up or shutting down (57P03)", where);
	return failure_set(failure, REASON_UNREACHABLE, "%s refused the connection with SQLSTATE %s", where,
					   sqlstate);
}

/* Without a SQLSTATE, the stage tells; libpq's own words are added, which are in our language. */
static bool
explain_failure(const PostgresSession *session, const PostgresUrl *url, ConnStatusType reached,
				Failure *failure)
{
	const char *message = PQerrorMessage(session->connection);
	const char *sqlstate = message_sqlstate(message);

	if (sqlstate != NULL)
		return refused(session, url, sqlstate, failure);
	if (PQconnectionNeedsPassword(session->connection))
		return failure_set(failure, REASON_AUTH,
						   "%s asks for a password, and the URL of role \"%s\" has none", session->host,
						   url->user);
	/* It did not even begin to connect. */
	if (reached == CONNECTION_BAD && strncmp(message, "invalid ", 8) == 0)
		return failure_set(failure, REASON_BAD_URL,
						   "a parameter of the URL has a value that libpq refuses: %s", message);
	if (reached == CONNECTION_STARTED)
		return failure_set(failure, REASON_UNREACHABLE, "could not reach %s (%s), port %s: %s", session->host,
						   session->hostaddr, session->port, message);
	if (reached == CONNECTION_SSL_STARTUP)
		return failure_set(
			failure, REASON_UNREACHABLE, "no TLS connection with %s, port %s (sslmode %s): %s", session->host,
			session->port,
			postgres_url_option(url, "sslmode") ? postgres_url_option(url, "sslmode") : "prefer", message);
	if (reached == CONNECTION_AUTH_OK || reached == CONNECTION_MADE ||
		reached == CONNECTION_AWAITING_RESPONSE)
		return failure_set(failure, REASON_UNREACHABLE, "%s, port %s, ended the conversation: %s",
						   session->host, session->port, message);
	return failure_set(failure, REASON_UNREACHABLE, "%s, port %s: %s", session->host, session->port, message);
}

/* Drives libpq to the end; *reached is the last stage that was seen. */
static bool
drive_connection(PostgresSession *session, const PostgresUrl *url, Failure *failure)
{
	int64_t					  deadline = clock_milliseconds() + POSTGRES_CONNECT_SECONDS * 1000;
	ConnStatusType			  reached = PQstatus(session->connection);
	PostgresPollingStatusType polling = PGRES_POLLING_WRITING;
	bool					  in_time;

	PQsetErrorVerbosity(session->connection, PQERRORS_SQLSTATE);
	while (reached != CONNECTION_BAD)
	{
		if (!postgres_wait(session, polling == PGRES_POLLING_READING ? POLLIN : POLLOUT, deadline, &in_time,
						   failure))
			return false;
		if (!in_time)
			return failure_set(failure, REASON_UNREACHABLE, "no answer from %s (%s), port %s, within %d s",
							   session->host, session->hostaddr, session->port, POSTGRES_CONNECT_SECONDS);
		polling = PQconnectPoll(session->connection);
		if (polling == PGRES_POLLING_OK)
			return true;
		if (polling == PGRES_POLLING_FAILED)
			break;
		reached = PQstatus(session->connection);
	}
	return explain_failure(session, url, reached, failure);
}

/*
 * What the customer's own settings must not decide: where names are looked up, how
 * long our questions may take, whether an idle session is ended.  Bytes come in
 * the database's own encoding, as in an archive that pg_dump makes of it.
 */
static bool
settle_session(PostgresSession *session, Failure *failure)
{
	PGresult *result;

	result =
		postgres_ask(session,
					 "SELECT pg_catalog.set_config('search_path', '', false),"
					 " pg_catalog.set_config('statement_timeout', '60s', false),"
					 " pg_catalog.set_config('lock_timeout', '10s', false),"
					 " pg_catalog.set_config('idle_in_transaction_session_timeout', '0', false),"
					 " pg_catalog.set_config('client_encoding', pg_catalog.getdatabaseencoding(), false),"
					 " pg_catalog.current_setting('server_version'),"
					 " CASE WHEN pg_catalog.current_setting('idle_session_timeout', true) IS NOT NULL"
					 " THEN pg_catalog.set_config('idle_session_timeout', '0', false) END,"
					 " CASE WHEN pg_catalog.current_setting('transaction_timeout', true) IS NOT NULL"
					 " THEN pg_catalog.set_config('transaction_timeout', '0', false) END",
					 NULL, 0, REASON_UNREACHABLE, failure);
	if (result == NULL)
		return false;
	snprintf(session->server_version, sizeof(session->server_version), "%.*s",
			 (int) strcspn(postgres_value(result, 0, 5), " "), postgres_value(result, 0, 5));
	PQclear(result);
	session->version = PQserverVersion(session->connection);
	return true;
}

/* libpq would print them on stderr, as they come: a server may put into them whatever we told it. */
static void
ignore_notice(void *context, const PGresult *notice)
{
	(void) context;
	(void) notice;
}

static bool
try_address(PostgresSession *session, const PostgresUrl *url, const Settings *settings,
			PostgresPurpose purpose, Failure *failure)
{
	Parameters parameters;

	fill_parameters(&parameters, session, url, settings, purpose);
	session->connection = PQconnectStartParams(parameters.keywords, parameters.values, 0);
	if (session->connection == NULL)
		return failure_no_memory(failure);
	(void) PQsetNoticeReceiver(session->connection, ignore_notice, NULL);
	if (drive_connection(session, url, failure) && settle_session(session, failure))
		return true;
	PQfinish(session->connection);
	session->connection = NULL;
	return false;
}

/*
 * libpq fills what it is not told from PG* variables and from a service file that
 * one of them names.  A URL says everything, so they are taken away from us.  The
 * URL's own options name them: libpq's defaults would be looked up only to be dropped.
 */
static void
forget_environment(const PostgresUrl *url)
{
	unsetenv("PGSERVICE");
	unsetenv("PGSERVICEFILE");
	unsetenv("PGSYSCONFDIR");
	for (const PQconninfoOption *option = url->options; option->keyword != NULL; option++)
	{
		if (option->envvar != NULL)
			unsetenv(option->envvar);
	}
}

static void
pin(PostgresSession *session, const PostgresPlace *place, const char *hostaddr)
{
	session->host = place->host;
	memcpy(session->port, place->port, sizeof(session->port));
	memcpy(session->hostaddr, hostaddr, sizeof(session->hostaddr));
}

/* The first of all is pinned. */
static bool
add_addresses(PostgresSession *session, const PostgresPlace *place, const Address *found, size_t count,
			  Failure *failure)
{
	PostgresAddress *grown =
		realloc(session->addresses, (session->address_count + count + 1) * sizeof(PostgresAddress));

	if (grown == NULL)
		return failure_no_memory(failure);
	session->addresses = grown;
	for (size_t i = 0; i < count; i++)
	{
		if (session->address_count == 0)
			pin(session, place, found[i].text);
		grown[session->address_count].place = place;
		memcpy(grown[session->address_count++].hostaddr, found[i].text, ADDRESS_TEXT_SIZE);
	}
	return true;
}

/*
 * Every host is judged before one is gone to: a list with one local address in it
 * is refused whole.  A name that does not resolve is passed over where another does.
 */
bool
postgres_resolve(PostgresSession *session, const PostgresUrl *url, const Settings *settings, Failure *failure)
{
	Failure unresolved = {0};

	for (size_t i = 0; i < url->place_count; i++)
	{
		const PostgresPlace *place = &url->places[i];
		Address				*found = NULL;
		size_t				 count = 0;
		Failure				 why = {0};
		bool				 added;

		if (!address_resolve(place->host, place->port, settings->allow_local_targets, &found, &count, &why))
		{
			unresolved = why;
			if (why.reason != REASON_UNREACHABLE)
				return failure_set(failure, why.reason, "%s", why.detail);
			continue;
		}
		added = add_addresses(session, place, found, count, failure);
		free(found);
		if (!added)
			return false;
	}
	return session->address_count > 0 || failure_set(failure, unresolved.reason, "%s", unresolved.detail);
}

static void
forget_addresses(PostgresSession *session)
{
	free(session->addresses);
	session->addresses = NULL;
	session->address_count = 0;
}

bool
postgres_connect(PostgresSession *session, const PostgresUrl *url, const Settings *settings,
				 PostgresPurpose purpose, Failure *failure)
{
	Failure last = {0};
	bool	connected = false;

	forget_environment(url);
	if (session->address_count == 0 && !postgres_resolve(session, url, settings, failure))
		return false;
	for (size_t i = 0; i < session->address_count && !connected; i++)
	{
		pin(session, session->addresses[i].place, session->addresses[i].hostaddr);
		memset(&last, 0, sizeof(last));
		connected = try_address(session, url, settings, purpose, &last);
		/* A role that was refused is not tried elsewhere, as libpq does. */
		if (last.reason != REASON_UNREACHABLE)
			break;
	}
	forget_addresses(session);
	return connected || failure_set(failure, last.reason, "%s", last.detail);
}

bool
postgres_reconnect(PostgresSession *session, const PostgresUrl *url, const Settings *settings,
				   Failure *failure)
{
	postgres_disconnect(session);
	return try_address(session, url, settings, POSTGRES_FOR_READING, failure);
}

bool
postgres_connect_beside(const PostgresSession *session, const PostgresUrl *url, const Settings *settings,
						Failure *failure)
{
	PostgresSession beside = *session;
	bool			connected = try_address(&beside, url, settings, POSTGRES_FOR_READING, failure);

	PQfinish(beside.connection);
	return connected;
}

void
postgres_disconnect(PostgresSession *session)
{
	PQfinish(session->connection);
	session->connection = NULL;
	forget_addresses(session);
}
