/*
 * s3_client.c
 *	  One request to the store, over all its tries.
 */
#include "stores/s3_client.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <openssl/evp.h>

#include "cancel.h"
#include "stores/buffer.h"
#include "stores/s3_authority.h"
#include "text.h"

#define SECOND				INT64_C(1000000000)
#define CLEANING_UP_SECONDS 4
#define FEWEST_TRIES		3
/* Of a range: fewer bytes than these are no progress. */
#define WORTHWHILE_BYTES (64 * 1024)
#define EMPTY_SHA256	 "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"

void
s3_request_header(S3Request *request, const char *name, const char *value)
{
	request->headers[request->header_count++] = (S3Field){name, value};
}

void
s3_request_parameter(S3Request *request, const char *name, const char *value)
{
	request->parameters[request->parameter_count++] = (S3Field){name, value};
}

void
s3_answer_free(S3Answer *answer)
{
	http_answer_free(&answer->http);
	answer->error = (S3Error){0};
}

void
s3_call_forget_try(S3Call *call)
{
	s3_answer_free(&call->answer);
	free(call->url);
	free(call->authorization);
	call->url = NULL;
	call->authorization = NULL;
}

/* ---- signing ---------------------------------------------------------------------------------- */

static bool
digest_body(const HttpBody *body, const EVP_MD *kind, unsigned char *digest)
{
	EVP_MD_CTX *context;
	char		buffer[64 * 1024];
	int64_t		done = 0;
	bool		fine;

	if (body->bytes || body->length == 0)
		return EVP_Digest(body->bytes, (size_t) body->length, digest, NULL, kind, NULL) == 1;
	context = EVP_MD_CTX_new();
	fine = context && EVP_DigestInit_ex(context, kind, NULL) == 1;
	while (fine && done < body->length)
	{
		size_t	wanted = sizeof(buffer);
		ssize_t got;

		if ((int64_t) wanted > body->length - done)
			wanted = (size_t) (body->length - done);
		got = pread(body->fd, buffer, wanted, body->offset + done);
		if (got < 0 && errno == EINTR)
			continue;
		fine = got > 0 && EVP_DigestUpdate(context, buffer, (size_t) got) == 1;
		done += got;
	}
	fine = fine && EVP_DigestFinal_ex(context, digest, NULL) == 1;
	EVP_MD_CTX_free(context);
	return fine;
}

/* Hashes the body once for all tries, and once for signature and checksum. */
static bool
digest_once(const S3Client *client, S3Call *call, Failure *failure)
{
	const S3Request		*request = call->request;
	S3Checksum			 checksum = request->checksummed ? client->url.checksum : S3_CHECKSUM_NONE;
	bool				 is_signed = !(request->checksummed && client->url.unsigned_payload);
	const unsigned char *sha256 = request->body_sha256;
	unsigned char		 digest[EVP_MAX_MD_SIZE];

	if (call->digested)
		return true;
	strcpy(call->payload, request->body.length == 0 ? EMPTY_SHA256 : S3_UNSIGNED_PAYLOAD);
	if ((is_signed && request->body.length > 0) || checksum == S3_CHECKSUM_SHA256)
	{
		if (!sha256 && !digest_body(&request->body, EVP_sha256(), digest))
			return failure_set_errno(failure, REASON_INTERNAL, "could not hash what is to be sent");
		if (is_signed)
			text_hex(sha256 ? sha256 : digest, 32, call->payload);
		if (checksum == S3_CHECKSUM_SHA256)
			s3_base64(sha256 ? sha256 : digest, 32, call->checksum);
	}
	if (checksum == S3_CHECKSUM_MD5)
	{
		if (!digest_body(&request->body, EVP_md5(), digest))
			return failure_set_errno(failure, REASON_INTERNAL, "could not hash what is to be sent");
		s3_base64(digest, 16, call->checksum);
	}
	call->digested = true;
	return true;
}

static bool
make_url(const S3Client *client, S3Call *call, const char *path, const char *query, Failure *failure)
{
	Buffer url = {0};

	buffer_format(&url, "http%s://%s%s", client->url.https ? "s" : "", client->host, path);
	if (query[0] != '\0')
		buffer_format(&url, "?%s", query);
	call->url = buffer_take(&url, failure);
	return call->url != NULL;
}

/* `host` is sent as it was signed: of an address with more zeros than needed libcurl would make a shorter one. */
static bool
sign_headers(const S3Client *client, S3Call *call, const S3Credentials *credentials, const char *path,
			 const char *query, Failure *failure)
{
	const S3Request *request = call->request;
	S3Field			 fields[S3_MAX_HEADERS + 8];
	size_t			 count = 0;
	S3Signing		 signing = {.method = request->method,
								.path = path,
								.query = query,
								.headers = fields,
								.payload_sha256 = call->payload,
								.timestamp = call->timestamp,
								.region = client->url.region,
								.service = "s3",
								.access_key = credentials->access_key,
								.secret_key = credentials->secret_key};

	s3_timestamp(time(NULL), call->timestamp);
	fields[count++] = (S3Field){"host", client->host};
	fields[count++] = (S3Field){"x-amz-date", call->timestamp};
	fields[count++] = (S3Field){"x-amz-content-sha256", call->payload};
	if (credentials->session_token)
		fields[count++] = (S3Field){"x-amz-security-token", credentials->session_token};
	if (call->checksum[0] != '\0')
		fields[count++] =
			(S3Field){client->url.checksum == S3_CHECKSUM_MD5 ? "content-md5" : "x-amz-checksum-sha256",
					  call->checksum};
	for (size_t i = 0; i < request->header_count; i++)
		fields[count++] = request->headers[i];
	if (request->receive)
	{
		snprintf(call->range, sizeof(call->range), "bytes=%lld-%lld",
				 (long long) (request->range_offset + call->received),
				 (long long) (request->range_offset + request->range_length - 1));
		fields[count++] = (S3Field){"range", call->range};
	}
	signing.header_count = count;
	call->authorization = s3_sign(&signing, failure);
	if (!call->authorization)
		return false;
	for (size_t i = 0; i < count; i++)
		call->headers[i] = (HttpHeader){fields[i].name, fields[i].value};
	call->headers[count] = (HttpHeader){"authorization", call->authorization};
	call->http.headers = call->headers;
	call->http.header_count = count + 1;
	return true;
}

/* More than was asked for is no range of ours. */
static bool
receive(void *context, const void *bytes, size_t length)
{
	S3Call			*call = context;
	const S3Request *request = call->request;
	int64_t			 offset = request->range_offset + call->received;

	if ((int64_t) length > request->range_length - call->received)
		return false;
	call->received += (int64_t) length;
	return request->receive(request->context, offset, bytes, length);
}

/* Nanoseconds that cleaning up may still take: whoever cancelled a job kills it soon. */
static int64_t
cleaning_time_left(S3Client *client)
{
	int64_t now = monotonic_nanoseconds();

	if (!cancel_requested())
		return CLEANING_UP_SECONDS * SECOND;
	if (client->cleaned_until == 0)
		client->cleaned_until = now + CLEANING_UP_SECONDS * SECOND;
	return client->cleaned_until - now;
}

bool
s3_call_sign(S3Client *client, S3Call *call, Failure *failure)
{
	const S3Request		*request = call->request;
	const S3Credentials *credentials = s3_credentials_get(client->credentials, call->renew, failure);
	char				*path = NULL;
	char				*query = NULL;
	bool				 made;

	call->renewed |= call->renew;
	call->renew = false;
	if (call->begun == 0)
		call->begun = monotonic_nanoseconds();
	call->tries++;
	call->received_before = call->received;
	call->http = (HttpRequest){
		.method = request->method,
		.body = request->body,
		.max_answer = request->max_answer > 0 ? request->max_answer : S3_SMALL_ANSWER,
		.receive = request->receive ? receive : NULL,
		.receive_status = 206,
		.context = call,
		.connect_timeout = request->even_cancelled ? 2 : client->url.connect_timeout,
		.total_timeout = request->even_cancelled ? cleaning_time_left(client) / SECOND + 1 : 0,
		.min_speed = client->url.min_speed,
		.min_speed_time = request->patience > 0 ? request->patience : client->url.min_speed_time,
		/* Another host's loopback is not what is meant, and what has no TLS stays here. */
		.direct = s3_authority_is_loopback(client->url.authority),
		.once = request->is_undone || strcmp(request->method, "POST") == 0,
	};
	made = credentials && digest_once(client, call, failure) &&
		   (path = s3_url_path(&client->url, request->key, failure)) != NULL &&
		   (query = s3_query(request->parameters, request->parameter_count, failure)) != NULL &&
		   make_url(client, call, path, query, failure) &&
		   sign_headers(client, call, credentials, path, query, failure);
	call->http.url = call->url;
	free(path);
	free(query);
	return made;
}

/* ---- judging ---------------------------------------------------------------------------------- */

static bool
is_expected(const S3Call *call)
{
	const S3Request *request = call->request;
	char			 code[sizeof(call->answer.error.code) + 2];

	/* A HEAD cannot say why; whoever sends one looks at the status. */
	if (strcmp(request->method, "HEAD") == 0 && call->answer.http.status < 500 &&
		call->answer.http.status != 429 && !call->answer.error.is_page)
		return true;
	if (!request->expected || call->answer.error.code[0] == '\0')
		return false;
	snprintf(code, sizeof(code), "|%s|", call->answer.error.code);
	return strstr(request->expected, code) != NULL;
}

/* What the store answered, in its own words. */
static void
quote(const S3Answer *answer, Buffer *said)
{
	const S3Error *error = &answer->error;
	char		   location[256];

	if (answer->http.outcome != HTTP_ANSWERED)
		buffer_text(said, answer->http.error);
	else if (error->code[0] != '\0')
		buffer_format(said, "%s: %s", error->code, error->message);
	else
		buffer_format(said, "HTTP status %d%s", answer->http.status,
					  error->is_page ? ", a page of HTML" : "");
	if (answer->http.status >= 300 && answer->http.status < 400 &&
		http_header(&answer->http, "location", location, sizeof(location)))
		buffer_format(said, ", to %.*s", (int) strcspn(location, "?#"), location);
	if (error->request_id[0] != '\0')
		buffer_format(said, ", request %s", error->request_id);
}

/* 'could not read bucket/key: the store asks to slow down (SlowDown: ...), 8 tries in 20 s' */
static void
explain(const S3Client *client, const S3Call *call, const S3ErrorRule *rule, Failure *failure)
{
	const S3Answer *answer = &call->answer;
	const S3Error  *error = &answer->error;
	const char	   *proxy = client->settings->proxy;
	Buffer			said = {0};
	int64_t			seconds = (monotonic_nanoseconds() - call->begun) / SECOND;

	quote(answer, &said);
	if (answer->http.outcome == HTTP_NOT_REACHED && !call->http.direct && proxy && proxy[0] != '\0')
		buffer_text(&said, "; by way of the setting proxy");
	if (rule->verdict == S3_BAD_CREDENTIALS || rule->verdict == S3_NEW_CREDENTIALS)
		buffer_format(&said, "; the credentials are those of %s", s3_credentials_origin(client->credentials));
	if (error->region[0] != '\0' && strcmp(error->region, client->url.region) != 0)
		buffer_format(&said, "; the bucket's region is %s, the URL says %s", error->region,
					  client->url.region);
	if (strncmp(error->code, "RequestTimeTooSkewed", 20) == 0 && s3_clock_skew(&answer->http) != 0)
		buffer_format(&said, "; it is %lld s %s the store's", (long long) llabs(s3_clock_skew(&answer->http)),
					  s3_clock_skew(&answer->http) > 0 ? "ahead of" : "behind");
	if (call->tries > 1)
		buffer_format(&said, "; %lld tries in %lld s", (long long) call->tries, (long long) seconds);
	failure_set(failure, rule->reason != REASON_NONE ? rule->reason : call->request->when,
				"could not %s %s%s%s%s: %s (%s)", call->request->what, client->url.bucket,
				call->request->key ? "/" : "", call->request->key ? client->url.prefix : "",
				call->request->key ? call->request->key : "", rule->advice, said.text ? said.text : "");
	buffer_free(&said);
}

/* By its own word; one that says nothing is taken for what was asked for. */
static bool
is_another_range(const S3Call *call)
{
	const S3Request *request = call->request;
	char			 value[64];
	long long		 first;
	long long		 last;

	return http_header(&call->answer.http, "content-range", value, sizeof(value)) &&
		   (sscanf(value, "bytes %lld-%lld", &first, &last) != 2 ||
			first != request->range_offset + call->received_before ||
			last >= request->range_offset + request->range_length);
}

/* Whole, or broken off; what has arrived of it is kept, so a try that brought much was not in vain. */
static void
judge_range(S3Call *call, int64_t now)
{
	HttpAnswer *answer = &call->answer.http;
	int64_t		arrived = call->received - call->received_before;

	if (is_another_range(call))
	{
		call->received = call->received_before;
		answer->outcome = HTTP_BROKEN;
		snprintf(answer->error, sizeof(answer->error), "another range than %s arrived", call->range);
		return;
	}
	if (answer->outcome == HTTP_STOPPED)
		return;
	if (call->received == call->request->range_length)
	{
		answer->outcome = HTTP_ANSWERED;
		return;
	}
	if (answer->outcome == HTTP_ANSWERED)
	{
		answer->outcome = HTTP_BROKEN;
		snprintf(answer->error, sizeof(answer->error), "%lld of %lld bytes arrived", (long long) arrived,
				 (long long) (call->request->range_length - call->received_before));
	}
	if (arrived >= WORTHWHILE_BYTES)
	{
		call->tries = 1;
		call->begun = now;
	}
}

/*
 * Tries and time have an end.  But a large part takes its time, and is not lost with
 * the first connection that breaks.
 */
static bool
is_enough(S3Client *client, const S3Call *call)
{
	const S3Request *request = call->request;
	int64_t			 tries = request->tries > 0 ? request->tries : client->url.tries;
	int64_t			 in_any_case = request->patience > 0 ? 1 : FEWEST_TRIES;

	if (request->even_cancelled && cancel_requested())
		return call->not_before - monotonic_nanoseconds() > cleaning_time_left(client);
	return call->tries >= tries ||
		   (call->tries >= in_any_case && call->not_before - call->begun > client->url.retry_time * SECOND);
}

/* NULL: it is done. */
static const S3ErrorRule *
rule_of(S3Call *call)
{
	static const S3ErrorRule no_ranges = {
		"", S3_FINAL, REASON_STORE,
		"the store, or a proxy in front of it, does not give ranges of an object"};
	static const S3ErrorRule no_word = {"", S3_AGAIN, REASON_NONE,
										"the store does not say whether it has done it"};
	const char				*says = call->request->says;
	S3Answer				*answer = &call->answer;
	bool is_error = answer->http.outcome == HTTP_ANSWERED && s3_error_read(&answer->http, &answer->error);

	if (is_error)
		return is_expected(call) ? NULL : s3_error_rule(&answer->http, &answer->error);
	if (call->request->receive && answer->http.status == 200)
		return &no_ranges;
	if (answer->http.outcome != HTTP_ANSWERED)
		return s3_transport_rule(answer->http.outcome);
	return says && !(answer->http.body && strstr(answer->http.body, says)) ? &no_word : NULL;
}

/* What was refused, or never sent, was not carried out. */
static bool
may_be_done(const HttpAnswer *answer)
{
	if (answer->outcome != HTTP_ANSWERED)
		return answer->outcome != HTTP_NOT_REACHED;
	return (answer->status >= 200 && answer->status < 300) || answer->status == 409 || answer->status >= 500;
}

S3Verdict
s3_call_judge(S3Client *client, S3Call *call, Failure *failure)
{
	S3Answer		  *answer = &call->answer;
	const S3ErrorRule *rule;
	S3Verdict		   verdict;
	int64_t			   now = monotonic_nanoseconds();

	if (call->request->receive && answer->http.status == 206)
		judge_range(call, now);
	rule = rule_of(call);
	if (!rule)
		return S3_DONE;
	verdict = rule->verdict == S3_BAD_CREDENTIALS ? S3_FINAL : rule->verdict;
	if (verdict == S3_NEW_CREDENTIALS)
	{
		call->renew = true;
		if (call->renewed)
			verdict = S3_FINAL;
	}
	call->not_before = now + s3_backoff(verdict, call->tries, &answer->http);
	if (is_enough(client, call))
		verdict = S3_FINAL;
	call->unheard |= may_be_done(&answer->http);
	if (verdict != S3_FINAL)
		return S3_AGAIN;
	explain(client, call, rule, failure);
	return S3_FINAL;
}

bool
s3_wait_until(S3Client *client, int64_t monotonic, bool watch_cancel, Failure *failure)
{
	int64_t left;

	while ((left = monotonic - monotonic_nanoseconds()) > 0)
		if (!http_drive(client->http, (int) (left / 1000000) + 1, watch_cancel, failure))
			return false;
	return true;
}

bool
s3_perform(S3Client *client, const S3Request *request, S3Answer *answer, Failure *failure)
{
	S3Call	  call = {.request = request};
	S3Verdict verdict = S3_AGAIN;
	bool	  watch = !request->even_cancelled;

	*answer = (S3Answer){0};
	if (request->even_cancelled && cleaning_time_left(client) <= 0)
		return failure_set(failure, request->when,
						   "could not %s %s/%s%s: the job was cancelled, and its time is up", request->what,
						   client->url.bucket, client->url.prefix, request->key ? request->key : "");
	while (verdict == S3_AGAIN)
	{
		s3_call_forget_try(&call);
		if (!s3_wait_until(client, call.not_before, watch, failure) ||
			(call.unheard && request->is_undone && !request->is_undone(request->context, failure)) ||
			!s3_call_sign(client, &call, failure) ||
			!http_perform(client->http, &call.http, &call.answer.http, watch, failure))
		{
			answer->unheard = call.unheard || may_be_done(&call.answer.http);
			s3_call_forget_try(&call);
			return false;
		}
		verdict = s3_call_judge(client, &call, failure);
	}
	*answer = call.answer;
	answer->tries = call.tries;
	answer->unheard = call.unheard;
	call.answer = (S3Answer){0};
	s3_call_forget_try(&call);
	if (verdict == S3_DONE)
		return true;
	s3_answer_free(answer);
	return false;
}
