/*
 * redis_connection.h
 *	  Bytes to and from a Redis server: TCP to a judged and pinned address, TLS where
 *	  the URL says rediss.
 *
 * Everything that may wait watches cancel_fd(), unless it has to finish.  TLS verifies the certificate and
 * the host's name, against the settings' ca_file or the system's authorities.
 */
#ifndef REDIS_CONNECTION_H
#define REDIS_CONNECTION_H

#include <stdbool.h>
#include <stddef.h>

#include "engines/redis_url.h"
#include "failure.h"
#include "settings.h"

typedef struct RedisConnection RedisConnection;

typedef enum RedisPatience
{
	REDIS_HEEDS_CANCEL, /* ends when the job is cancelled */
	REDIS_FINISHES		/* goes on, for a few seconds: to undo, or to find out what happened */
} RedisPatience;

/* NULL: REASON_UNREACHABLE, or REASON_BAD_URL for an address that a URL may not have. */
extern RedisConnection *redis_connection_open(const RedisUrl *url, const Settings *settings,
											  RedisPatience patience, Failure *failure);

/* Sends all. */
extern bool redis_connection_send(RedisConnection *connection, const void *bytes, size_t length,
								  Failure *failure);

/*
 * Receives some.  *length 0: the server has closed the connection.  wait_ms bounds
 * the wait for the first byte; *timed_out then, where the caller asks (not NULL), else a failure.
 */
extern bool redis_connection_receive(RedisConnection *connection, void *buffer, size_t capacity,
									 size_t *length, int wait_ms, bool *timed_out, Failure *failure);

/* What the next one adds to its sentence.  A literal. */
extern void redis_connection_explain_loss(RedisConnection *connection, const char *explanation);

/* Sets the failure of a connection that the server has closed, and returns false. */
extern bool redis_connection_lost(const RedisConnection *connection, Failure *failure);
extern void redis_connection_close(RedisConnection *connection);

/* "host:port", for messages. */
extern const char *redis_connection_name(const RedisConnection *connection);

#endif
