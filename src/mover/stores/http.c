/*
 * http.c
 *	  HTTP by libcurl's multi interface.
 */
#include "stores/http.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <curl/curl.h>

#include "cancel.h"
#include "secret.h"
#include "stores/buffer.h"
#include "stores/http_answer.h"

#define MAX_HEADER_BYTES (64 * 1024)
#define MILLISECOND		 INT64_C(1000000)

struct HttpClient
{
	CURLM		   *multi;
	const Settings *settings;
	Bandwidth	   *bandwidth;
	HttpExchange   *exchanges; /* all that are under way */
};

struct HttpExchange
{
	HttpClient		  *client;
	HttpExchange	  *next;
	CURL			  *easy;
	const HttpRequest *request;
	HttpAnswer		  *answer;
	void			  *owner;
	struct curl_slist *header_lines;
	Buffer			   headers;
	Buffer			   body;
	int64_t			   sent;	  /* bytes of the body handed to libcurl */
	int64_t			   resume_at; /* monotonic nanoseconds; while paused for the bandwidth's sake */
	bool			   paused;
	bool			   answer_too_large;
	bool			   receiver_stopped;
	char			   error[CURL_ERROR_SIZE];
};

/* 'http://user:password@proxy': none of it belongs into libcurl's sentences. */
static void
register_proxy_credentials(const char *proxy)
{
	const char *begin = proxy ? strstr(proxy, "://") : NULL;
	const char *at;
	const char *colon;

	begin = begin ? begin + 3 : proxy;
	at = begin ? strrchr(begin, '@') : NULL;
	colon = at ? memchr(begin, ':', (size_t) (at - begin)) : NULL;
	if (colon)
		secret_register(colon + 1, (size_t) (at - colon - 1));
}

HttpClient *
http_client_open(const Settings *settings, Bandwidth *bandwidth, Failure *failure)
{
	HttpClient *client = calloc(1, sizeof(*client));

	/* libcurl counts: each success here wants one cleanup. */
	if (client && curl_global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK)
	{
		free(client);
		failure_set(failure, REASON_INTERNAL, "libcurl could not be initialized");
		return NULL;
	}
	if (client)
	{
		register_proxy_credentials(settings->proxy);
		client->settings = settings;
		client->bandwidth = bandwidth;
		client->multi = curl_multi_init();
	}
	if (!client || !client->multi)
	{
		if (client)
			curl_global_cleanup();
		free(client);
		failure_no_memory(failure);
		return NULL;
	}
	return client;
}

void
http_client_close(HttpClient *client)
{
	if (!client)
		return;
	while (client->exchanges)
		http_end(client->exchanges);
	curl_multi_cleanup(client->multi);
	curl_global_cleanup();
	free(client);
}

/* True: the caller must pause.  Otherwise `bytes` are taken from the bucket. */
static bool
must_pause(HttpExchange *exchange, size_t bytes)
{
	if (!exchange->client->bandwidth)
		return false;
	if (monotonic_nanoseconds() < exchange->resume_at)
	{
		exchange->paused = true;
		return true;
	}
	exchange->resume_at = monotonic_nanoseconds() + bandwidth_take(exchange->client->bandwidth, bytes);
	return false;
}

static size_t
give_body(char *buffer, size_t size, size_t count, void *context)
{
	HttpExchange   *exchange = context;
	const HttpBody *body = &exchange->request->body;
	size_t			length = size * count;
	ssize_t			got;

	if ((int64_t) length > body->length - exchange->sent)
		length = (size_t) (body->length - exchange->sent);
	if (length == 0)
		return 0;
	if (must_pause(exchange, length))
		return CURL_READFUNC_PAUSE;
	if (body->bytes)
		memcpy(buffer, body->bytes + exchange->sent, length);
	else
	{
		do
			got = pread(body->fd, buffer, length, body->offset + exchange->sent);
		while (got < 0 && errno == EINTR);
		if (got <= 0)
			return CURL_READFUNC_ABORT;
		length = (size_t) got;
	}
	exchange->sent += (int64_t) length;
	return length;
}

/* libcurl begins again when a connection that it kept turns out to be dead. */
static int
rewind_body(void *context, curl_off_t offset, int origin)
{
	HttpExchange *exchange = context;

	if (origin != SEEK_SET || offset < 0 || offset > exchange->request->body.length)
		return CURL_SEEKFUNC_FAIL;
	exchange->sent = offset;
	return CURL_SEEKFUNC_OK;
}

static size_t
take_header(char *line, size_t size, size_t count, void *context)
{
	HttpExchange *exchange = context;
	size_t		  length = size * count;

	/* After an interim answer (100 Continue) the headers begin anew. */
	if (length >= 5 && strncmp(line, "HTTP/", 5) == 0)
		buffer_free(&exchange->headers);
	if (exchange->headers.length + length > MAX_HEADER_BYTES)
	{
		exchange->answer_too_large = true;
		return 0;
	}
	buffer_append(&exchange->headers, line, length);
	return length;
}

static size_t
take_body(char *bytes, size_t size, size_t count, void *context)
{
	HttpExchange	  *exchange = context;
	const HttpRequest *request = exchange->request;
	size_t			   length = size * count;
	long			   status = 0;

	if (must_pause(exchange, length))
		return CURL_WRITEFUNC_PAUSE;
	curl_easy_getinfo(exchange->easy, CURLINFO_RESPONSE_CODE, &status);
	if (request->receive && status == request->receive_status)
	{
		exchange->receiver_stopped = !request->receive(request->context, bytes, length);
		return exchange->receiver_stopped ? 0 : length;
	}
	if (exchange->body.length + length > request->max_answer)
	{
		exchange->answer_too_large = true;
		return 0;
	}
	buffer_append(&exchange->body, bytes, length);
	return length;
}

static bool
make_header_lines(HttpExchange *exchange)
{
	const HttpRequest *request = exchange->request;
	Buffer			   line = {0};
	struct curl_slist *lines;
	/* Parts go at once: no question first whether they are welcome. */
	bool made = (exchange->header_lines = curl_slist_append(NULL, "Expect:")) != NULL;

	for (size_t i = 0; made && i < request->header_count; i++)
	{
		buffer_free(&line);
		buffer_format(&line, "%s: %s", request->headers[i].name, request->headers[i].value);
		lines = line.no_memory ? NULL : curl_slist_append(exchange->header_lines, line.text);
		if (lines)
			exchange->header_lines = lines;
		made = lines != NULL;
	}
	buffer_free(&line);
	return made;
}

static void
set_transport_options(CURL *easy, const HttpClient *client, const HttpRequest *request)
{
	const Settings *settings = client->settings;
	size_t			piece = bandwidth_piece(client->bandwidth);

	curl_easy_setopt(easy, CURLOPT_NOSIGNAL, 1L);
	curl_easy_setopt(easy, CURLOPT_PROTOCOLS_STR, "http,https");
	curl_easy_setopt(easy, CURLOPT_FOLLOWLOCATION, 0L);
	curl_easy_setopt(easy, CURLOPT_HTTP_VERSION, (long) CURL_HTTP_VERSION_1_1);
	curl_easy_setopt(easy, CURLOPT_PATH_AS_IS, 1L);
	curl_easy_setopt(easy, CURLOPT_TCP_KEEPALIVE, 1L);
	curl_easy_setopt(easy, CURLOPT_SSLVERSION, (long) CURL_SSLVERSION_TLSv1_2);
	if (settings->ca_file)
		curl_easy_setopt(easy, CURLOPT_CAINFO, settings->ca_file);
	/* "": not even the environment's. */
	curl_easy_setopt(easy, CURLOPT_PROXY, settings->proxy && !request->direct ? settings->proxy : "");
	curl_easy_setopt(easy, CURLOPT_NOPROXY, "");
	curl_easy_setopt(easy, CURLOPT_CONNECTTIMEOUT, (long) request->connect_timeout);
	curl_easy_setopt(easy, CURLOPT_TIMEOUT, (long) request->total_timeout);
	/* Our own limit must not look like a slow network. */
	curl_easy_setopt(easy, CURLOPT_LOW_SPEED_LIMIT,
					 settings->max_bandwidth > 0 ? 1L : (long) request->min_speed);
	curl_easy_setopt(easy, CURLOPT_LOW_SPEED_TIME, (long) request->min_speed_time);
	curl_easy_setopt(easy, CURLOPT_BUFFERSIZE, (long) piece);
	curl_easy_setopt(easy, CURLOPT_UPLOAD_BUFFERSIZE, (long) piece);
}

static void
set_request_options(HttpExchange *exchange)
{
	CURL			  *easy = exchange->easy;
	const HttpRequest *request = exchange->request;

	curl_easy_setopt(easy, CURLOPT_URL, request->url);
	curl_easy_setopt(easy, CURLOPT_PRIVATE, exchange);
	curl_easy_setopt(easy, CURLOPT_ERRORBUFFER, exchange->error);
	curl_easy_setopt(easy, CURLOPT_HTTPHEADER, exchange->header_lines);
	curl_easy_setopt(easy, CURLOPT_HEADERFUNCTION, take_header);
	curl_easy_setopt(easy, CURLOPT_HEADERDATA, exchange);
	curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, take_body);
	curl_easy_setopt(easy, CURLOPT_WRITEDATA, exchange);
	if (strcmp(request->method, "HEAD") == 0)
		curl_easy_setopt(easy, CURLOPT_NOBODY, 1L);
	else if (strcmp(request->method, "PUT") == 0 || strcmp(request->method, "POST") == 0)
	{
		curl_easy_setopt(easy, CURLOPT_UPLOAD, 1L);
		curl_easy_setopt(easy, CURLOPT_INFILESIZE_LARGE, (curl_off_t) request->body.length);
		curl_easy_setopt(easy, CURLOPT_READFUNCTION, give_body);
		curl_easy_setopt(easy, CURLOPT_READDATA, exchange);
		curl_easy_setopt(easy, CURLOPT_SEEKFUNCTION, rewind_body);
		curl_easy_setopt(easy, CURLOPT_SEEKDATA, exchange);
	}
	/* Only the word that is sent; what libcurl does was set above. */
	if (strcmp(request->method, "HEAD") != 0)
		curl_easy_setopt(easy, CURLOPT_CUSTOMREQUEST, request->method);
	/*
	 * Where a connection that was used before breaks without an answer, libcurl sends
	 * the request once more by itself.
	 */
	if (request->once)
		curl_easy_setopt(easy, CURLOPT_FRESH_CONNECT, 1L);
}

HttpExchange *
http_begin(HttpClient *client, const HttpRequest *request, HttpAnswer *answer, void *owner, Failure *failure)
{
	HttpExchange *exchange = calloc(1, sizeof(*exchange));

	*answer = (HttpAnswer){0};
	if (!exchange)
	{
		failure_no_memory(failure);
		return NULL;
	}
	exchange->client = client;
	exchange->request = request;
	exchange->answer = answer;
	exchange->owner = owner;
	exchange->next = client->exchanges;
	client->exchanges = exchange;
	exchange->easy = curl_easy_init();
	if (exchange->easy && make_header_lines(exchange))
	{
		set_transport_options(exchange->easy, client, request);
		set_request_options(exchange);
		if (curl_multi_add_handle(client->multi, exchange->easy) == CURLM_OK)
			return exchange;
	}
	http_end(exchange);
	failure_no_memory(failure);
	return NULL;
}

bool
http_body_is_sent(const HttpExchange *exchange)
{
	return exchange->sent == exchange->request->body.length;
}

void
http_end(HttpExchange *exchange)
{
	HttpExchange **link = &exchange->client->exchanges;

	while (*link != exchange)
		link = &(*link)->next;
	*link = exchange->next;
	if (exchange->easy)
	{
		curl_multi_remove_handle(exchange->client->multi, exchange->easy);
		curl_easy_cleanup(exchange->easy);
	}
	curl_slist_free_all(exchange->header_lines);
	buffer_free(&exchange->headers);
	buffer_free(&exchange->body);
	free(exchange);
}

/* Lets go on what has waited long enough; returns the milliseconds until the next may. */
static int
resume_paused(HttpClient *client, int milliseconds)
{
	int64_t now = monotonic_nanoseconds();

	for (HttpExchange *exchange = client->exchanges; exchange; exchange = exchange->next)
	{
		int64_t left = exchange->resume_at - now;

		if (!exchange->paused)
			continue;
		if (left <= 0)
		{
			exchange->paused = false;
			curl_easy_pause(exchange->easy, CURLPAUSE_CONT);
			milliseconds = 0;
		}
		else if (left / MILLISECOND + 1 < milliseconds)
			milliseconds = (int) (left / MILLISECOND) + 1;
	}
	return milliseconds;
}

static int
count_exchanges(const HttpClient *client)
{
	int count = 0;

	for (const HttpExchange *exchange = client->exchanges; exchange; exchange = exchange->next)
		count++;
	return count;
}

bool
http_drive(HttpClient *client, int milliseconds, bool watch_cancel, Failure *failure)
{
	struct curl_waitfd cancel = {.fd = watch_cancel ? cancel_fd() : -1, .events = CURL_WAIT_POLLIN};
	int				   running = 0;
	CURLMcode		   code = curl_multi_perform(client->multi, &running);

	milliseconds = resume_paused(client, milliseconds);
	/* What is finished already makes no socket ready any more. */
	if (running < count_exchanges(client))
		milliseconds = 0;
	if (code == CURLM_OK && milliseconds > 0)
		code = curl_multi_poll(client->multi, &cancel, cancel.fd >= 0, milliseconds, NULL);
	if (code == CURLM_OK)
		code = curl_multi_perform(client->multi, &running);
	if (watch_cancel && cancel_requested())
		return cancel_failure(failure);
	return code == CURLM_OK ||
		   failure_set(failure, REASON_INTERNAL, "libcurl: %s", curl_multi_strerror(code));
}

static HttpOutcome
outcome_of(const HttpExchange *exchange, CURLcode code)
{
	if (exchange->answer_too_large)
		return HTTP_TOO_LARGE;
	if (exchange->receiver_stopped)
		return HTTP_STOPPED;
	return http_outcome(exchange->easy, code, exchange->error);
}

void *
http_finished(HttpClient *client)
{
	CURLMsg *message;
	int		 left;

	while ((message = curl_multi_info_read(client->multi, &left)) != NULL)
	{
		HttpExchange *exchange = NULL;
		HttpAnswer	 *answer;
		CURLcode	  code = message->data.result;
		long		  status = 0;
		void		 *owner;

		if (message->msg != CURLMSG_DONE)
			continue;
		curl_easy_getinfo(message->easy_handle, CURLINFO_PRIVATE, (char **) &exchange);
		curl_easy_getinfo(message->easy_handle, CURLINFO_RESPONSE_CODE, &status);
		answer = exchange->answer;
		answer->outcome = outcome_of(exchange, code);
		answer->status = (int) status;
		if (code != CURLE_OK)
			snprintf(answer->error, sizeof(answer->error), "%.500s",
					 exchange->error[0] != '\0' ? exchange->error : curl_easy_strerror(code));
		answer->headers = exchange->headers.text;
		answer->body = exchange->body.text;
		answer->body_length = exchange->body.length;
		exchange->headers = (Buffer){0};
		exchange->body = (Buffer){0};
		owner = exchange->owner;
		http_end(exchange);
		return owner;
	}
	return NULL;
}

/*
 * The job was cancelled.  A server that has a whole body acts on it although the connection
 * is gone, so its answer is waited for, a while.  False: it did not come.
 */
static bool
let_land(HttpClient *client, HttpExchange *exchange)
{
	int64_t deadline = monotonic_nanoseconds() + HTTP_LANDING_TIME;
	Failure ignored = {0};

	while (exchange->request->body.length > 0 && http_body_is_sent(exchange) &&
		   monotonic_nanoseconds() < deadline && http_drive(client, 50, false, &ignored))
		if (http_finished(client))
			return true;
	return false;
}

bool
http_perform(HttpClient *client, const HttpRequest *request, HttpAnswer *answer, bool watch_cancel,
			 Failure *failure)
{
	HttpExchange *exchange = http_begin(client, request, answer, answer, failure);

	if (!exchange)
		return false;
	while (!http_finished(client))
	{
		if (http_drive(client, 1000, watch_cancel, failure))
			continue;
		if (let_land(client, exchange))
		{
			*failure = (Failure){0};
			return true;
		}
		answer->outcome = http_body_is_sent(exchange) ? HTTP_BROKEN : HTTP_NOT_REACHED;
		http_end(exchange);
		return false;
	}
	return true;
}

void
http_wake(HttpClient *client)
{
	curl_multi_wakeup(client->multi);
}
