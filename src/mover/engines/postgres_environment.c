/*
 * postgres_environment.c
 *	  The environment of pg_dump, pg_restore and psql, and their password file.
 */
#include "postgres_tools.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* Where coreutils keeps it on Debian and Red Hat. */
#define STDBUF_LIBRARY "/usr/libexec/coreutils/libstdbuf.so"

static bool __attribute__((format(printf, 2, 3)))
add_variable(PostgresEnvironment *environment, const char *format, ...)
{
	va_list args;
	int		length;

	if (environment->count == POSTGRES_ENVIRONMENT_MAX)
		return false;
	va_start(args, format);
	length = vasprintf(&environment->variables[environment->count], format, args);
	va_end(args);
	if (length < 0)
	{
		environment->variables[environment->count] = NULL;
		return false;
	}
	environment->count++;
	return true;
}

/* In a password file ':' separates and '\' escapes both. */
static char *
append_escaped(char *to, const char *field, char end)
{
	for (; *field != '\0'; field++)
	{
		if (*field == ':' || *field == '\\')
			*to++ = '\\';
		*to++ = *field;
	}
	*to++ = end;
	return to;
}

/* One line, for the one place that the tools are sent to. */
static bool
make_password_file(PostgresEnvironment *environment, const PostgresUrl *url, const PostgresSession *session,
				   Failure *failure)
{
	size_t size = 2 * (strlen(session->host) + strlen(session->port) + strlen(url->database) +
					   strlen(url->user) + url->password.length) +
				  6;
	char *line = malloc(size);
	char *at = line;
	char *password;

	if (line == NULL)
		return failure_no_memory(failure);
	at = append_escaped(at, session->host, ':');
	at = append_escaped(at, session->port, ':');
	at = append_escaped(at, url->database, ':');
	at = append_escaped(at, url->user, ':');
	password = at;
	at = append_escaped(at, url->password.text, '\n');
	/* As it is escaped here, it is another spelling of the secret. */
	secret_register(password, (size_t) (at - 1 - password));
	environment->password_fd = secret_memfd("custbackup-pgpass", line, (size_t) (at - line), failure);
	explicit_bzero(line, size);
	free(line);
	return environment->password_fd >= 0;
}

/* HOME names nothing: no psqlrc, no certificate, no password file of the operating system's user. */
static bool
add_basics(PostgresEnvironment *environment)
{
	return add_variable(environment, "PATH=/usr/bin:/bin") && add_variable(environment, "LC_ALL=C") &&
		   add_variable(environment, "HOME=/nonexistent") &&
		   add_variable(environment, "PGSYSCONFDIR=/nonexistent") &&
		   add_variable(environment, "PGAPPNAME=" POSTGRES_APPLICATION_NAME) &&
		   add_variable(environment, "PGGSSENCMODE=disable") &&
		   add_variable(environment, "PGCONNECT_TIMEOUT=%d", POSTGRES_CONNECT_SECONDS);
}

static bool
add_place(PostgresEnvironment *environment, const PostgresUrl *url, const PostgresSession *session)
{
	return add_variable(environment, "PGHOST=%s", session->host) &&
		   add_variable(environment, "PGHOSTADDR=%s", session->hostaddr) &&
		   add_variable(environment, "PGPORT=%s", session->port) &&
		   add_variable(environment, "PGUSER=%s", url->user) &&
		   add_variable(environment, "PGDATABASE=%s", url->database) &&
		   (environment->password_fd < 0
				? add_variable(environment, "PGPASSFILE=/dev/null/none")
				: add_variable(environment, "PGPASSFILE=/proc/self/fd/%d", environment->password_fd));
}

static bool
add_tls(PostgresEnvironment *environment, const PostgresUrl *url, const Settings *settings)
{
	static const char *const names[][2] = {
		{"sslmode", "PGSSLMODE"},
		{"sslsni", "PGSSLSNI"},
		{"ssl_min_protocol_version", "PGSSLMINPROTOCOLVERSION"},
		{"ssl_max_protocol_version", "PGSSLMAXPROTOCOLVERSION"},
		{"channel_binding", "PGCHANNELBINDING"},
		{"require_auth", "PGREQUIREAUTH"},
	};
	const char *mode = postgres_url_option(url, "sslmode");

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
	{
		const char *value = postgres_url_option(url, names[i][0]);

		if (value != NULL && !add_variable(environment, "%s=%s", names[i][1], value))
			return false;
	}
	return mode == NULL || strncmp(mode, "verify", 6) != 0 ||
		   add_variable(environment, "PGSSLROOTCERT=%s", postgres_ca_file(settings));
}

bool
postgres_environment_make(PostgresEnvironment *environment, const PostgresUrl *url,
						  const PostgresSession *session, const Settings *settings, Failure *failure)
{
	memset(environment, 0, sizeof(*environment));
	environment->password_fd = -1;
	if (url->password.text != NULL && !make_password_file(environment, url, session, failure))
		return false;
	if (add_basics(environment) && add_place(environment, url, session) &&
		add_tls(environment, url, settings))
		return true;
	postgres_environment_free(environment);
	return failure_no_memory(failure);
}

void
postgres_environment_buffer_stdout(PostgresEnvironment *environment)
{
	if (access(STDBUF_LIBRARY, R_OK) == 0 && add_variable(environment, "_STDBUF_O=65536"))
		(void) add_variable(environment, "LD_PRELOAD=" STDBUF_LIBRARY);
}

void
postgres_environment_free(PostgresEnvironment *environment)
{
	for (int i = 0; i < environment->count; i++)
		free(environment->variables[i]);
	/* A zeroed one, never made, has descriptor 0: that is not ours. */
	if (environment->password_fd > 0)
		close(environment->password_fd);
	memset(environment, 0, sizeof(*environment));
	environment->password_fd = -1;
}
