/*
 * postgres_connect.h
 *	  Asking the server, by libpq, before any tool is started and beside it.
 *
 * Each host of the URL is resolved, each address judged (address.h) and tried in
 * turn; the one that answered is pinned, and the tools are sent there and nowhere
 * else.  libpq gets everything as explicit parameters: nothing from this
 * process's environment, no service file, no password file, no client
 * certificate of the operating system's user.
 *
 * Why a connection failed is told by SQLSTATE and by the stage it had reached,
 * never by the message, which comes in the server's language.
 *
 * Every wait watches cancel_fd() and ends after a time.
 */
#ifndef POSTGRES_CONNECT_H
#define POSTGRES_CONNECT_H

#include <stdbool.h>
#include <stdint.h>

#include <libpq-fe.h>

#include "address.h"
#include "failure.h"
#include "postgres_url.h"
#include "settings.h"

/* Seconds for one address to answer, and for one of our own questions. */
#define POSTGRES_CONNECT_SECONDS 10
#define POSTGRES_ASK_SECONDS	 60

/* Under which we and the tools appear in pg_stat_activity. */
#define POSTGRES_APPLICATION_NAME "custbackup"

/* An address that a host of the URL resolved to, judged. */
typedef struct PostgresAddress
{
	const PostgresPlace *place;
	char				 hostaddr[ADDRESS_TEXT_SIZE];
} PostgresAddress;

/* All zeroes at first. */
typedef struct PostgresSession
{
	PostgresAddress *addresses; /* where the URL leads; NULL: not looked for, or done with */
	size_t			 address_count;
	PGconn			*connection;				  /* NULL: none */
	const char		*host;						  /* as in the URL, for TLS and messages; the URL's */
	char			 hostaddr[ADDRESS_TEXT_SIZE]; /* what was judged and answered */
	char			 port[6];
	int				 version;			 /* 150020 */
	char			 server_version[48]; /* "15.20" */
	bool			 uncancellable;		 /* questions are asked to the end, whatever was signalled */
} PostgresSession;

/* Where a restore goes must take writes: of a list, the primary is chosen. */
typedef enum PostgresPurpose
{
	POSTGRES_FOR_READING,
	POSTGRES_FOR_WRITING
} PostgresPurpose;

/*
 * Resolves and judges; goes nowhere yet.  The first address is pinned, and where
 * address_count is 1, that is where postgres_connect() goes.
 */
extern bool postgres_resolve(PostgresSession *session, const PostgresUrl *url, const Settings *settings,
							 Failure *failure);

/* Resolves where nobody has. */
extern bool postgres_connect(PostgresSession *session, const PostgresUrl *url, const Settings *settings,
							 PostgresPurpose purpose, Failure *failure);

/* Anew, to the same pinned address. */
extern bool postgres_reconnect(PostgresSession *session, const PostgresUrl *url, const Settings *settings,
							   Failure *failure);

/*
 * Another one beside it, which is closed at once: what a tool may have met that could not
 * connect, by code (a limit of connections, above all).
 */
extern bool postgres_connect_beside(const PostgresSession *session, const PostgresUrl *url,
									const Settings *settings, Failure *failure);

/*
 * One statement with up to four text parameters (NULL ends them early); the
 * result is the caller's to PQclear.  NULL: failure; what the server said is told
 * as `otherwise`, unless its SQLSTATE says that a right lacks or the server is gone.
 */
extern PGresult *postgres_ask(PostgresSession *session, const char *sql, const char *const *values,
							  int value_count, FailureReason otherwise, Failure *failure);

/*
 * A field of an answer as text.  A server may answer with fewer rows or columns than
 * it was asked for: what is not there is empty, as NULL is.
 */
extern const char *postgres_value(const PGresult *result, int row, int column);

/*
 * Waits until the connection's socket has one of the events.  *in_time false: it had
 * not by the deadline (of clock_milliseconds()), and the failure is not set.
 */
extern bool postgres_wait(const PostgresSession *session, short events, int64_t deadline, bool *in_time,
						  Failure *failure);

/* The trust anchors that sslmode=verify-* is held against: settings' own, or the system's. */
extern const char *postgres_ca_file(const Settings *settings);
extern void		   postgres_disconnect(PostgresSession *session);

#endif
