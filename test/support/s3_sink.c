/*
 * s3_sink.c
 *	  A store that keeps nothing, for benchmarks: what is measured against it is the client.
 *
 *	  s3_sink PORT	serves 127.0.0.1 until it is ended
 *
 * Bodies are discarded in the kernel; checksums and signatures are nobody's
 * concern.  Of each key the length and the attempt's id are remembered, so that
 * HEAD finds what was sent; GET gives as many zero bytes, ranges too.
 */
#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <arpa/inet.h>
#include <netinet/tcp.h>
#include <sys/socket.h>

#define HEAD_BYTES (64 * 1024)
#define KEYS	   64
#define XML		   "Content-Type: application/xml\r\n"
#define MODIFIED   "Last-Modified: Thu, 01 Jan 2026 00:00:00 GMT\r\n"
#define ATTEMPT	   "x-amz-meta-custbackup-attempt"

typedef struct Kept
{
	char	  path[512];
	char	  attempt[64];
	long long bytes;
	bool	  whole; /* false: only parts of it came */
} Kept;

typedef struct Connection
{
	int	   socket;
	char   head[HEAD_BYTES + 1]; /* of a request, and what was read behind it */
	size_t have;
	size_t head_length;
	char   method[16];
	char   path[512]; /* without the query */
	char   query[1024];
} Connection;

static Kept			   kept[KEYS];
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static char			   zeros[1024 * 1024];

/* The caller holds the lock.  The oldest entry makes room. */
static Kept *
find(const char *path, bool make)
{
	static int next;

	for (int i = 0; i < KEYS; i++)
		if (strcmp(kept[i].path, path) == 0)
			return &kept[i];
	if (!make)
		return NULL;
	next = (next + 1) % KEYS;
	kept[next] = (Kept){0};
	snprintf(kept[next].path, sizeof(kept[next].path), "%s", path);
	return &kept[next];
}

/* Copies a header's value; "" when it is not there. */
static void
header(const Connection *connection, const char *name, char *value, size_t capacity)
{
	size_t		length = strlen(name);
	const char *line = connection->head;

	value[0] = '\0';
	while ((line = strstr(line, "\r\n")) != NULL && line[2] != '\r')
	{
		line += 2;
		if (strncasecmp(line, name, length) == 0 && line[length] == ':')
		{
			line += length + 1 + strspn(line + length + 1, " ");
			snprintf(value, capacity, "%.*s", (int) strcspn(line, "\r"), line);
			return;
		}
	}
}

static bool
send_all(const Connection *connection, const char *bytes, size_t length)
{
	while (length > 0)
	{
		ssize_t sent = send(connection->socket, bytes, length, MSG_NOSIGNAL);

		if (sent <= 0)
			return false;
		bytes += sent;
		length -= (size_t) sent;
	}
	return true;
}

static bool
answer(const Connection *connection, const char *status, const char *headers, const char *body)
{
	char text[4096];
	int	 length =
		snprintf(text, sizeof(text), "HTTP/1.1 %s\r\nServer: sink\r\n%sContent-Length: %zu\r\n\r\n%s", status,
				 headers, strlen(body), body);

	return send_all(connection, text, (size_t) length);
}

static bool
read_head(Connection *connection)
{
	char *end;
	char *query;

	while ((end = strstr(connection->head, "\r\n\r\n")) == NULL)
	{
		ssize_t got = connection->have == HEAD_BYTES
						  ? 0
						  : recv(connection->socket, connection->head + connection->have,
								 HEAD_BYTES - connection->have, 0);

		if (got <= 0)
			return false;
		connection->have += (size_t) got;
		connection->head[connection->have] = '\0';
	}
	connection->head_length = (size_t) (end + 4 - connection->head);
	connection->query[0] = '\0';
	if (sscanf(connection->head, "%15s %511s", connection->method, connection->path) != 2)
		return false;
	query = strchr(connection->path, '?');
	if (query)
	{
		*query++ = '\0';
		snprintf(connection->query, sizeof(connection->query), "%s", query);
	}
	return true;
}

/* Takes the body, so that the next request's head is what comes next. */
static bool
discard_body(Connection *connection, long long length)
{
	char	  expect[64];
	long long left = length - (long long) (connection->have - connection->head_length);

	header(connection, "expect", expect, sizeof(expect));
	if (expect[0] != '\0' && !send_all(connection, "HTTP/1.1 100 Continue\r\n\r\n", 25))
		return false;
	while (left > 0)
	{
		size_t	wanted = left < 4 * 1024 * 1024 ? (size_t) left : 4 * 1024 * 1024;
		ssize_t got = recv(connection->socket, NULL, wanted, MSG_TRUNC);

		if (got <= 0)
			return false;
		left -= got;
	}
	/* Nobody sends a request before the last one was answered. */
	connection->have = 0;
	connection->head[0] = '\0';
	return true;
}

static bool
give(const Connection *connection, const Kept *found, const char *range)
{
	long long first = 0;
	long long last = found->bytes - 1;
	char	  head[512];
	int		  length;
	bool	  ranged = sscanf(range, "bytes=%lld-%lld", &first, &last) == 2;

	length = snprintf(head, sizeof(head),
					  "HTTP/1.1 %s\r\nETag: \"sink\"\r\n" MODIFIED "%s: %s\r\nContent-Length: %lld\r\n\r\n",
					  ranged ? "206 Partial Content" : "200 OK", ATTEMPT,
					  found->attempt[0] ? found->attempt : "-", last - first + 1);
	if (!send_all(connection, head, (size_t) length) || strcmp(connection->method, "HEAD") == 0)
		return length > 0;
	for (long long left = last - first + 1; left > 0; left -= (long long) sizeof(zeros))
		if (!send_all(connection, zeros, left < (long long) sizeof(zeros) ? (size_t) left : sizeof(zeros)))
			return false;
	return true;
}

static bool
look(const Connection *connection, const char *range)
{
	Kept *found;
	Kept  copy = {0};

	pthread_mutex_lock(&lock);
	found = find(connection->path, false);
	if (found && found->whole)
		copy = *found;
	pthread_mutex_unlock(&lock);
	if (copy.whole)
		return give(connection, &copy, range);
	if (strcmp(connection->method, "HEAD") == 0)
		return answer(connection, "404 Not Found", "", "");
	if (strstr(connection->query, "prefix=") || strstr(connection->query, "uploads"))
		return answer(connection, "200 OK", XML, "<ListBucketResult/>");
	return answer(connection, "404 Not Found", XML, "<Error><Code>NoSuchKey</Code></Error>");
}

static bool
take(const Connection *connection, long long length, const char *attempt)
{
	bool  is_put = strcmp(connection->method, "PUT") == 0;
	bool  is_part = strstr(connection->query, "partNumber=") != NULL;
	Kept *found;

	pthread_mutex_lock(&lock);
	found = find(connection->path, true);
	if (is_put)
	{
		found->bytes = is_part ? found->bytes + length : length;
		found->whole = !is_part;
	}
	else
		found->whole = strstr(connection->query, "uploadId=") != NULL;
	if (!is_part && attempt[0] != '\0')
		snprintf(found->attempt, sizeof(found->attempt), "%s", attempt);
	pthread_mutex_unlock(&lock);
	if (is_put)
		return answer(connection, "200 OK", "ETag: \"sink\"\r\n", "");
	return answer(
		connection, "200 OK", XML,
		strstr(connection->query, "uploadId=")
			? "<CompleteMultipartUploadResult><ETag>\"sink\"</ETag></CompleteMultipartUploadResult>"
			: "<InitiateMultipartUploadResult><UploadId>sink</UploadId></InitiateMultipartUploadResult>");
}

static bool
forget(const Connection *connection)
{
	Kept *found;

	pthread_mutex_lock(&lock);
	found = find(connection->path, false);
	if (found)
		*found = (Kept){0};
	pthread_mutex_unlock(&lock);
	return answer(connection, "204 No Content", "", "");
}

static void *
serve(void *context)
{
	Connection *connection = context;
	bool		fine = true;

	while (fine && read_head(connection))
	{
		char length[32];
		char attempt[64];
		char range[64];

		header(connection, "content-length", length, sizeof(length));
		header(connection, ATTEMPT, attempt, sizeof(attempt));
		header(connection, "range", range, sizeof(range));
		fine = discard_body(connection, atoll(length));
		if (!fine)
			break;
		if (strcmp(connection->method, "PUT") == 0 || strcmp(connection->method, "POST") == 0)
			fine = take(connection, atoll(length), attempt);
		else if (strcmp(connection->method, "DELETE") == 0)
			fine = forget(connection);
		else
			fine = look(connection, range);
	}
	close(connection->socket);
	free(connection);
	return NULL;
}

int
main(int argc, char **argv)
{
	struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK)}};
	int				   listener = socket(AF_INET, SOCK_STREAM, 0);
	int				   yes = 1;

	address.sin_port = htons((unsigned short) (argc > 1 ? atoi(argv[1]) : 0));
	setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof(yes));
	if (argc != 2 || bind(listener, (struct sockaddr *) &address, sizeof(address)) < 0 ||
		listen(listener, 64) < 0)
	{
		perror("usage: s3_sink PORT");
		return 1;
	}
	for (;;)
	{
		Connection *connection = calloc(1, sizeof(*connection));
		pthread_t	thread;

		if (!connection)
			return 1;
		connection->socket = accept(listener, NULL, NULL);
		if (connection->socket < 0)
		{
			free(connection);
			continue;
		}
		setsockopt(connection->socket, IPPROTO_TCP, TCP_NODELAY, &yes, sizeof(yes));
		if (pthread_create(&thread, NULL, serve, connection) != 0)
			return 1;
		pthread_detach(thread);
	}
}
