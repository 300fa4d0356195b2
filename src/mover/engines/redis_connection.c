/*
 * redis_connection.c
 *	  Sockets and TLS, and waits that can be cancelled.
 */
#include "engines/redis_connection.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>

#include "address.h"
#include "cancel.h"
#include "clock.h"

#define CONNECT_TIMEOUT_MS 10000
#define SEND_TIMEOUT_MS	   120000
#define FINISH_TIMEOUT_MS  3000

/* What a server says that refuses it is an alert's name, or less. */
#define CLIENT_CERTIFICATE                                                                                   \
	"; it asks its clients for a certificate, and a URL gives none (its tls-auth-clients would have to be "  \
	"no)"

struct RedisConnection
{
	RedisPatience patience;
	int			  fd;
	SSL_CTX		 *tls_context;
	SSL			 *tls;
	bool		  certificate_is_asked_for;
	const char	 *loss; /* NULL: nothing to say of it */
	char		  name[300];
};

/* Waits for the socket.  *ready false: the time is over. */
static bool
wait_for(RedisConnection *connection, short events, int64_t deadline, bool *ready, Failure *failure)
{
	for (;;)
	{
		struct pollfd fds[2] = {{.fd = connection->fd, .events = events},
								{.fd = cancel_fd(), .events = POLLIN}};
		bool		  heeds = connection->patience == REDIS_HEEDS_CANCEL;
		int64_t		  left = deadline - clock_milliseconds();
		int			  count;

		if (!heeds && left > FINISH_TIMEOUT_MS)
			deadline -= left - FINISH_TIMEOUT_MS;
		left = deadline - clock_milliseconds();
		count = poll(fds, heeds ? 2 : 1, left < 0 ? 0 : (int) left);

		if (count < 0 && errno != EINTR)
			return failure_set_errno(failure, REASON_INTERNAL, "poll");
		if (heeds && cancel_requested())
			return cancel_failure(failure);
		*ready = count > 0 && fds[0].revents != 0;
		if (*ready || left <= 0)
			return true;
	}
}

static bool
connect_to(RedisConnection *connection, const Address *address, Failure *failure)
{
	int		  error = 0;
	socklen_t size = sizeof(error);
	int		  on = 1;
	bool	  ready = false;

	connection->fd = socket(address->sockaddr.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (connection->fd < 0)
		return failure_set_errno(failure, REASON_INTERNAL, "socket");
	if (connect(connection->fd, (const struct sockaddr *) &address->sockaddr, address->length) != 0)
	{
		if (errno != EINPROGRESS)
			return failure_set_errno(failure, REASON_UNREACHABLE, "connecting to Redis at %s (%s)",
									 connection->name, address->text);
		if (!wait_for(connection, POLLOUT, clock_milliseconds() + CONNECT_TIMEOUT_MS, &ready, failure))
			return false;
		if (!ready)
			return failure_set(failure, REASON_UNREACHABLE,
							   "connecting to Redis at %s (%s): no answer within %d s", connection->name,
							   address->text, CONNECT_TIMEOUT_MS / 1000);
		if (getsockopt(connection->fd, SOL_SOCKET, SO_ERROR, &error, &size) != 0)
			error = errno;
		if (error != 0)
		{
			errno = error;
			return failure_set_errno(failure, REASON_UNREACHABLE, "connecting to Redis at %s (%s)",
									 connection->name, address->text);
		}
	}
	setsockopt(connection->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
	setsockopt(connection->fd, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof(on));
	return true;
}

static bool
connect_to_any(RedisConnection *connection, const RedisUrl *url, const Settings *settings, Failure *failure)
{
	Address *addresses;
	size_t	 count;
	bool	 connected = false;

	if (!address_resolve(url->host, url->port, settings->allow_local_targets, &addresses, &count, failure))
		return false;
	for (size_t i = 0; i < count && !connected; i++)
	{
		Failure attempt = {0};

		connected = connect_to(connection, &addresses[i], &attempt);
		if (connected)
			break;
		if (connection->fd >= 0)
			close(connection->fd);
		connection->fd = -1;
		if (i + 1 == count || attempt.reason == REASON_CANCELLED)
		{
			failure_set(failure, attempt.reason, "%s", attempt.detail);
			break;
		}
	}
	free(addresses);
	return connected;
}

static const char *
tls_error(RedisConnection *connection, int result)
{
	static char	  text[256];
	long		  verdict = connection->tls != NULL ? SSL_get_verify_result(connection->tls) : X509_V_OK;
	unsigned long code = ERR_peek_error();

	if (verdict != X509_V_OK)
		snprintf(text, sizeof(text), "the certificate is not trusted: %s",
				 X509_verify_cert_error_string(verdict));
	else if (code != 0)
		ERR_error_string_n(code, text, sizeof(text));
	else
		snprintf(text, sizeof(text), "%s",
				 result == SSL_ERROR_SYSCALL && errno != 0 ? strerror(errno) : "the connection was closed");
	return text;
}

/* What explains a refusal that comes instead of the first answer. */
static const char *
demand(const RedisConnection *connection)
{
	bool trusted = connection->tls != NULL && SSL_get_verify_result(connection->tls) == X509_V_OK;

	return trusted && connection->certificate_is_asked_for ? CLIENT_CERTIFICATE : "";
}

/*
 * After an SSL call gave `result`: waits for what it wants.  *again: call once more;
 * *closed: the other side has ended.  *timed_out as wait_for's ready, inverted.
 */
static bool
tls_wait(RedisConnection *connection, int result, int64_t deadline, bool *closed, bool *timed_out,
		 Failure *failure)
{
	int	 wanted = SSL_get_error(connection->tls, result);
	bool ready = true;

	*closed = false;
	*timed_out = false;
	switch (wanted)
	{
		case SSL_ERROR_WANT_READ:
		case SSL_ERROR_WANT_WRITE:
			if (!wait_for(connection, wanted == SSL_ERROR_WANT_READ ? POLLIN : POLLOUT, deadline, &ready,
						  failure))
				return false;
			*timed_out = !ready;
			return true;
		case SSL_ERROR_ZERO_RETURN:
			*closed = true;
			return true;
		case SSL_ERROR_SSL:
			/* Redis closes without a goodbye. */
			if (ERR_GET_REASON(ERR_peek_error()) == SSL_R_UNEXPECTED_EOF_WHILE_READING)
			{
				*closed = true;
				return true;
			}
			break;
		case SSL_ERROR_SYSCALL:
			if (errno == 0 || errno == ECONNRESET || errno == EPIPE)
			{
				*closed = true;
				return true;
			}
			break;
		default:
			break;
	}
	return failure_set(failure, REASON_UNREACHABLE, "TLS with Redis at %s: %s%s", connection->name,
					   tls_error(connection, wanted), demand(connection));
}

/* A URL names no certificate of ours. */
static int
note_demand(SSL *tls, X509 **certificate, EVP_PKEY **key)
{
	RedisConnection *connection = SSL_get_app_data(tls);

	(void) certificate;
	(void) key;
	connection->certificate_is_asked_for = true;
	return 0;
}

static bool
tls_context_open(RedisConnection *connection, const Settings *settings, Failure *failure)
{
	connection->tls_context = SSL_CTX_new(TLS_client_method());
	if (connection->tls_context == NULL)
		return failure_set(failure, REASON_INTERNAL, "OpenSSL: %s", tls_error(connection, 0));
	SSL_CTX_set_min_proto_version(connection->tls_context, TLS1_2_VERSION);
	SSL_CTX_set_verify(connection->tls_context, SSL_VERIFY_PEER, NULL);
	SSL_CTX_set_client_cert_cb(connection->tls_context, note_demand);
	SSL_CTX_set_mode(connection->tls_context, SSL_MODE_ENABLE_PARTIAL_WRITE |
												  SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER | SSL_MODE_AUTO_RETRY);
	if (settings->ca_file != NULL)
	{
		if (SSL_CTX_load_verify_locations(connection->tls_context, settings->ca_file, NULL) != 1)
			return failure_set(failure, REASON_CONFIG, "ca_file %s cannot be used: %s", settings->ca_file,
							   tls_error(connection, 0));
	}
	else if (SSL_CTX_set_default_verify_paths(connection->tls_context) != 1)
		return failure_set(failure, REASON_CONFIG, "the system's certificate authorities cannot be read: %s",
						   tls_error(connection, 0));
	return true;
}

static bool
tls_open(RedisConnection *connection, const RedisUrl *url, const Settings *settings, Failure *failure)
{
	int64_t			deadline = clock_milliseconds() + CONNECT_TIMEOUT_MS;
	struct in6_addr literal;
	bool			is_literal;

	ERR_clear_error();
	if (!tls_context_open(connection, settings, failure))
		return false;
	connection->tls = SSL_new(connection->tls_context);
	if (connection->tls == NULL || SSL_set_fd(connection->tls, connection->fd) != 1 ||
		SSL_set_app_data(connection->tls, connection) != 1)
		return failure_set(failure, REASON_INTERNAL, "OpenSSL: %s", tls_error(connection, 0));
	is_literal =
		inet_pton(AF_INET, url->host, &literal) == 1 || inet_pton(AF_INET6, url->host, &literal) == 1;
	if (is_literal ? X509_VERIFY_PARAM_set1_ip_asc(SSL_get0_param(connection->tls), url->host) != 1
				   : SSL_set1_host(connection->tls, url->host) != 1 ||
						 SSL_set_tlsext_host_name(connection->tls, url->host) != 1)
		return failure_set(failure, REASON_INTERNAL, "OpenSSL: %s", tls_error(connection, 0));
	for (;;)
	{
		bool closed;
		bool timed_out;
		int	 result;

		ERR_clear_error();
		errno = 0;
		result = SSL_connect(connection->tls);
		if (result == 1)
			return true;
		if (!tls_wait(connection, result, deadline, &closed, &timed_out, failure))
			return false;
		if (closed || timed_out)
			return failure_set(failure, REASON_UNREACHABLE, "TLS with Redis at %s: %s", connection->name,
							   timed_out ? "no answer"
										 : "the server closed the connection (does it speak TLS?)");
	}
}

RedisConnection *
redis_connection_open(const RedisUrl *url, const Settings *settings, RedisPatience patience, Failure *failure)
{
	RedisConnection *connection = calloc(1, sizeof(*connection));

	if (connection == NULL)
	{
		failure_no_memory(failure);
		return NULL;
	}
	connection->fd = -1;
	connection->patience = patience;
	snprintf(connection->name, sizeof(connection->name), "%s:%s", url->host, url->port);
	if (connect_to_any(connection, url, settings, failure) &&
		(!url->tls || tls_open(connection, url, settings, failure)))
		return connection;
	redis_connection_close(connection);
	return NULL;
}

void
redis_connection_explain_loss(RedisConnection *connection, const char *explanation)
{
	connection->loss = explanation;
}

bool
redis_connection_lost(const RedisConnection *connection, Failure *failure)
{
	return failure_set(failure, REASON_UNREACHABLE, "Redis at %s closed the connection%s%s", connection->name,
					   demand(connection), connection->loss != NULL ? connection->loss : "");
}

/* One try of each kind: the bytes moved, 0: closed, -1: *failure or the deadline (*timed_out). */
static ssize_t
send_some(RedisConnection *connection, const void *bytes, size_t length, int64_t deadline, bool *timed_out,
		  Failure *failure)
{
	*timed_out = false;
	for (;;)
	{
		bool	closed = false;
		bool	ready = false;
		ssize_t sent;

		errno = 0;
		if (connection->tls != NULL)
		{
			ERR_clear_error();
			sent = SSL_write(connection->tls, bytes, length > INT32_MAX ? INT32_MAX : (int) length);
			if (sent > 0)
				return sent;
			if (!tls_wait(connection, (int) sent, deadline, &closed, timed_out, failure) || *timed_out)
				return -1;
			if (closed)
				return 0;
			continue;
		}
		sent = send(connection->fd, bytes, length, MSG_NOSIGNAL);
		if (sent >= 0)
			return sent;
		if (errno == EPIPE || errno == ECONNRESET)
			return 0;
		if (errno != EAGAIN && errno != EINTR)
		{
			failure_set_errno(failure, REASON_UNREACHABLE, "sending to Redis at %s", connection->name);
			return -1;
		}
		if (!wait_for(connection, POLLOUT, deadline, &ready, failure))
			return -1;
		if (!ready)
		{
			*timed_out = true;
			return -1;
		}
	}
}

bool
redis_connection_send(RedisConnection *connection, const void *bytes, size_t length, Failure *failure)
{
	const char *at = bytes;
	bool		timed_out;

	while (length > 0)
	{
		ssize_t sent =
			send_some(connection, at, length, clock_milliseconds() + SEND_TIMEOUT_MS, &timed_out, failure);

		if (sent == 0)
			return redis_connection_lost(connection, failure);
		if (sent < 0)
			return timed_out
					   ? failure_set(failure, REASON_UNREACHABLE, "Redis at %s has taken nothing for %d s",
									 connection->name, SEND_TIMEOUT_MS / 1000)
					   : false;
		at += sent;
		length -= (size_t) sent;
	}
	return true;
}

static ssize_t
receive_some(RedisConnection *connection, void *buffer, size_t capacity, int64_t deadline, bool *timed_out,
			 Failure *failure)
{
	*timed_out = false;
	for (;;)
	{
		bool	closed = false;
		bool	ready = false;
		ssize_t received;

		errno = 0;
		if (connection->tls != NULL)
		{
			ERR_clear_error();
			received = SSL_read(connection->tls, buffer, capacity > INT32_MAX ? INT32_MAX : (int) capacity);
			if (received > 0)
			{
				connection->certificate_is_asked_for = false;
				return received;
			}
			if (!tls_wait(connection, (int) received, deadline, &closed, timed_out, failure) || *timed_out)
				return -1;
			if (closed)
				return 0;
			continue;
		}
		received = recv(connection->fd, buffer, capacity, 0);
		if (received >= 0)
			return received;
		if (errno == ECONNRESET)
			return 0;
		if (errno != EAGAIN && errno != EINTR)
		{
			failure_set_errno(failure, REASON_UNREACHABLE, "receiving from Redis at %s", connection->name);
			return -1;
		}
		if (!wait_for(connection, POLLIN, deadline, &ready, failure))
			return -1;
		if (!ready)
		{
			*timed_out = true;
			return -1;
		}
	}
}

bool
redis_connection_receive(RedisConnection *connection, void *buffer, size_t capacity, size_t *length,
						 int wait_ms, bool *timed_out, Failure *failure)
{
	bool	late;
	ssize_t received =
		receive_some(connection, buffer, capacity, clock_milliseconds() + wait_ms, &late, failure);

	*length = received > 0 ? (size_t) received : 0;
	if (timed_out != NULL)
		*timed_out = late;
	if (received >= 0 || (late && timed_out != NULL))
		return true;
	return late ? failure_set(failure, REASON_UNREACHABLE, "Redis at %s has not answered for %d s",
							  connection->name, wait_ms / 1000)
				: false;
}

void
redis_connection_close(RedisConnection *connection)
{
	if (connection == NULL)
		return;
	SSL_free(connection->tls);
	SSL_CTX_free(connection->tls_context);
	if (connection->fd >= 0)
		close(connection->fd);
	free(connection);
}

const char *
redis_connection_name(const RedisConnection *connection)
{
	return connection->name;
}
