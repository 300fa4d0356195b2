/*
 * http_answer.c
 *	  What an answer says: how far the exchange came, and its headers.
 */
#include "stores/http_answer.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

/* A handshake that the two could not agree on, rather than one that broke; libcurl has the same code for both. */
static bool
is_disagreement(const char *error)
{
	static const char *const signs[] = {
		"wrong version number", "packet length too long", "http request",			"unsupported protocol",
		"protocol version",		"handshake failure",	  "no protocols available", "no ciphers available"};

	for (size_t i = 0; i < sizeof(signs) / sizeof(signs[0]); i++)
		if (strstr(error, signs[i]))
			return true;
	return false;
}

/* A connection that was never made takes no request. */
static bool
nothing_was_sent(CURL *easy)
{
	long bytes = 0;

	return curl_easy_getinfo(easy, CURLINFO_REQUEST_SIZE, &bytes) == CURLE_OK && bytes == 0;
}

/* What a proxy answers to CONNECT; libcurl has the same code for it as for a connection that broke, or was never made. */
static bool
is_refused_by_proxy(CURL *easy)
{
	long status = 0;

	return curl_easy_getinfo(easy, CURLINFO_HTTP_CONNECTCODE, &status) == CURLE_OK && status >= 400 &&
		   status < 500;
}

HttpOutcome
http_outcome(CURL *easy, CURLcode code, const char *error)
{
	switch (code)
	{
		case CURLE_OK:
			return HTTP_ANSWERED;
		case CURLE_COULDNT_RESOLVE_PROXY:
		case CURLE_COULDNT_RESOLVE_HOST:
			return HTTP_NOT_REACHED;
		case CURLE_COULDNT_CONNECT:
			return is_refused_by_proxy(easy) ? HTTP_PROXY_REFUSED : HTTP_NOT_REACHED;
		case CURLE_SSL_CACERT_BADFILE:
			return HTTP_NO_CA;
		case CURLE_PEER_FAILED_VERIFICATION:
		case CURLE_SSL_CERTPROBLEM:
		case CURLE_SSL_CIPHER:
		case CURLE_SSL_ISSUER_ERROR:
			return HTTP_UNTRUSTED;
		case CURLE_UNSUPPORTED_PROTOCOL:
		case CURLE_WEIRD_SERVER_REPLY:
		case CURLE_URL_MALFORMAT:
		case CURLE_BAD_CONTENT_ENCODING:
			return HTTP_NO_HTTP;
		case CURLE_SSL_CONNECT_ERROR:
			return is_disagreement(error) ? HTTP_NO_TLS : HTTP_BROKEN;
		case CURLE_OPERATION_TIMEDOUT:
			if (strstr(error, "too slow"))
				return HTTP_SLOW;
			return nothing_was_sent(easy) ? HTTP_NOT_REACHED : HTTP_BROKEN;
		default:
			return is_refused_by_proxy(easy) ? HTTP_PROXY_REFUSED : HTTP_BROKEN;
	}
}

bool
http_header(const HttpAnswer *answer, const char *name, char *value, size_t capacity)
{
	size_t		name_length = strlen(name);
	const char *line = answer->headers ? answer->headers : "";
	const char *end;

	value[0] = '\0';
	for (; *line; line = *end ? end + 1 : end)
	{
		end = line + strcspn(line, "\n");
		if (strncasecmp(line, name, name_length) != 0 || line[name_length] != ':')
			continue;
		line += name_length + 1;
		line += strspn(line, " \t");
		while (end > line && strchr(" \t\r\n", end[-1]))
			end--;
		snprintf(value, capacity, "%.*s", (int) (end - line), line);
		return true;
	}
	return false;
}

void
http_answer_free(HttpAnswer *answer)
{
	free(answer->headers);
	free(answer->body);
	*answer = (HttpAnswer){0};
}
