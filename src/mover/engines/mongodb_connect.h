/*
 * mongodb_connect.h
 *	  Asking the server, by libmongoc, before any tool is started and after it has ended.
 *
 * Each host of the URL is resolved and each of its addresses judged (address.h).  One
 * server is chosen: the primary of a replica set, or what readPreference says; where it
 * is not in the URL, the members that the set itself names are judged and asked too.
 * Everything, the tools included, then goes to that server alone and nowhere else
 * (directConnection): a hostile server cannot send us on.
 *
 * Without TLS, or where the URL gives up verifying, the judged address itself is pinned.
 * With verified TLS the name is kept, since the certificate is made out to it; a name
 * that comes to lead elsewhere meets a server without that certificate.
 *
 * Clients are of libmongoc's single-threaded kind: no thread of its own lives.  Waits
 * for an answer end after a time; a cancelled job is noticed between questions.
 */
#ifndef MONGODB_CONNECT_H
#define MONGODB_CONNECT_H

#include <stdbool.h>

#include <mongoc/mongoc.h>

#include "engines/mongodb_url.h"
#include "failure.h"
#include "secret.h"
#include "settings.h"

#define MONGODB_NAME_SIZE 300

typedef enum MongodbPurpose
{
	MONGODB_FOR_READING,
	MONGODB_FOR_WRITING /* a primary, whatever readPreference says */
} MongodbPurpose;

typedef struct MongodbSession
{
	mongoc_client_t *client;				  /* NULL: none */
	char			 name[MONGODB_NAME_SIZE]; /* "host:port", for messages */
	char			 host[256];				  /* where the tools go: the pinned address, or the name */
	char			 port[6];
	char			 server_version[48]; /* "7.0.14" */
	bool			 is_router;			 /* mongos: a sharded cluster */
	bool			 finishes;			 /* questions are asked to the end, whatever was signalled */
	uint32_t		 code;				 /* with which the server refused the last command; 0: it did not */
} MongodbSession;

/* REASON_UNREACHABLE, REASON_AUTH, or REASON_BAD_URL for an address that a URL may not have. */
extern bool mongodb_connect(MongodbSession *session, MongodbUrl *url, const Settings *settings,
							MongodbPurpose purpose, Failure *failure);

/* Anew, to the same server. */
extern bool mongodb_reconnect(MongodbSession *session, const MongodbUrl *url, const Settings *settings,
							  Failure *failure);

/*
 * One command; *answer is the caller's to bson_destroy, after failures too.  What the
 * server refuses is told as `otherwise`, unless a right lacks or the server is gone.
 */
extern bool mongodb_ask(MongodbSession *session, const char *database, const bson_t *command, bson_t *answer,
						FailureReason otherwise, Failure *failure);

/* A failure of libmongoc's as one of ours; always false. */
extern bool mongodb_fail(MongodbSession *session, const bson_error_t *error, FailureReason otherwise,
						 Failure *failure);
extern void mongodb_disconnect(MongodbSession *session);

#endif
