/*
 * s3_credentials_remote.c
 *	  Credentials that somebody near gives us for a while: STS for a web identity,
 *	  a container's agent, an instance's metadata service.
 *
 * The last two are http by their nature: only loopback and the link-local
 * addresses that these services have are asked, and never through a proxy.
 */
#include "stores/s3_credentials.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

#include <jansson.h>

#include "secret.h"
#include "stores/buffer.h"
#include "stores/s3_authority.h"
#include "stores/s3_encode.h"
#include "stores/s3_error.h"
#include "stores/s3_xml.h"

#define MAX_ANSWER_BYTES (64 * 1024)
#define MAX_TOKEN_BYTES	 (32 * 1024)
#define TRIES			 3
#define MOST_WORDS		 200 /* bytes of an answer in no format of ours */

/* Who gives them, and what to look at when he does not. */
typedef struct Giver
{
	const char *name;
	const char *advice;
} Giver;

static const Giver sts = {"AssumeRoleWithWebIdentity", "check AWS_ROLE_ARN, the role's trust policy, and "
													   "AWS_ENDPOINT_URL_STS or the region"};
static const Giver agent = {"the container's agent",
							"check AWS_CONTAINER_CREDENTIALS_FULL_URI or _RELATIVE_URI, and its token"};
static const Giver instance = {"the instance's metadata service",
							   "check the instance's role, or set AWS_EC2_METADATA_DISABLED=true"};

static bool
is_worth_another_try(const HttpAnswer *answer, const S3Error *error)
{
	S3Verdict verdict = s3_error_rule(answer, error)->verdict;

	return answer->outcome != HTTP_ANSWERED || verdict == S3_AGAIN || verdict == S3_AGAIN_SLOWLY;
}

/* No credentials, in the giver's own words. */
static void
explain(const Giver *giver, const HttpAnswer *answer, const S3Error *error, Failure *failure)
{
	if (answer->outcome != HTTP_ANSWERED)
		failure_set(failure, REASON_STORE, "%s gave no credentials; %s (%s)", giver->name, giver->advice,
					answer->error);
	else if (error->code[0] != '\0')
		failure_set(failure, REASON_STORE, "%s gave no credentials; %s (HTTP status %d, %s: %s)", giver->name,
					giver->advice, answer->status, error->code, error->message);
	else
		failure_set(failure, REASON_STORE, "%s gave no credentials; %s (HTTP status %d%s%.*s)", giver->name,
					giver->advice, answer->status, answer->body_length > 0 ? ": " : "",
					answer->body_length < MOST_WORDS ? (int) answer->body_length : MOST_WORDS,
					answer->body_length > 0 ? answer->body : "");
}

/*
 * Sends a request, again when that may help; the answer is the caller's to free.  False: failure,
 * and of the answer the status alone is left.
 */
static bool
ask(HttpClient *http, HttpRequest *request, const Giver *giver, HttpAnswer *answer, Failure *failure)
{
	int		status;
	S3Error error;
	int64_t wait;

	request->max_answer = MAX_ANSWER_BYTES;
	request->total_timeout = 10;
	request->min_speed = 1;
	request->min_speed_time = 10;
	for (int tried = 1;; tried++)
	{
		if (!http_perform(http, request, answer, true, failure))
			return false;
		if (answer->outcome == HTTP_ANSWERED && answer->status == 200)
			return true;
		s3_error_read(answer, &error);
		if (tried == TRIES || !is_worth_another_try(answer, &error))
			break;
		wait = s3_backoff(S3_AGAIN, tried, answer);
		http_answer_free(answer);
		if (!http_drive(http, (int) (wait / 1000000), true, failure))
			return false;
	}
	explain(giver, answer, &error, failure);
	status = answer->status;
	http_answer_free(answer);
	answer->status = status;
	return false;
}

/* A token that somebody renews in a file; malloc'ed, without the newline at its end; NULL: failure. */
static char *
read_token_file(const char *path, Failure *failure)
{
	int		fd = open(path, O_RDONLY | O_CLOEXEC);
	char   *text = calloc(1, MAX_TOKEN_BYTES + 1);
	ssize_t length = fd >= 0 && text ? read(fd, text, MAX_TOKEN_BYTES) : -1;

	if (!text)
		failure_no_memory(failure);
	else if (length < 0)
		failure_set_errno(failure, REASON_CONFIG, "could not read the token file \"%s\"", path);
	else if (length == 0)
		failure_set(failure, REASON_CONFIG, "the token file \"%s\" is empty", path);
	if (fd >= 0)
		close(fd);
	if (length <= 0)
	{
		free(text);
		return NULL;
	}
	text[strcspn(text, "\r\n")] = '\0';
	secret_register(text, strlen(text));
	return text;
}

/* Plain http may lead there: this host itself, and the addresses that these services have. */
static bool
is_near(const char *url)
{
	static const char *const link_local[] = {"169.254.170.2", "169.254.170.23", "[fd00:ec2::23]",
											 "169.254.169.254", "[fd00:ec2::254]"};
	const char				*authority = url + strlen("http://");
	char					 host[300];

	if (strncmp(url, "http://", 7) != 0)
		return false;
	/* A user's name in front, or one that is cut off here, is none of theirs. */
	if (snprintf(host, sizeof(host), "%.*s", (int) strcspn(authority, "/?#"), authority) >=
			(int) sizeof(host) ||
		strchr(host, '@'))
		return false;
	if (s3_authority_is_loopback(host))
		return true;
	for (size_t i = 0; i < sizeof(link_local) / sizeof(link_local[0]); i++)
	{
		size_t length = strlen(link_local[i]);

		if (strncmp(host, link_local[i], length) == 0 && (host[length] == '\0' || host[length] == ':'))
			return true;
	}
	return false;
}

/* ---- a web identity --------------------------------------------------------------------------- */

typedef struct Assumed
{
	char access_key[256];
	char secret_key[512];
	char session_token[S3_XML_MAX_TEXT + 1];
	char expiration[64];
} Assumed;

static bool
take_assumed(void *context, const char *path, const char *text)
{
	Assumed	   *assumed = context;
	const char *name = strstr(path, "/Credentials/");

	if (!name)
		return true;
	name += strlen("/Credentials/");
	if (strcmp(name, "AccessKeyId") == 0)
		snprintf(assumed->access_key, sizeof(assumed->access_key), "%s", text);
	else if (strcmp(name, "SecretAccessKey") == 0)
		snprintf(assumed->secret_key, sizeof(assumed->secret_key), "%s", text);
	else if (strcmp(name, "SessionToken") == 0)
		snprintf(assumed->session_token, sizeof(assumed->session_token), "%s", text);
	else if (strcmp(name, "Expiration") == 0)
		snprintf(assumed->expiration, sizeof(assumed->expiration), "%s", text);
	return true;
}

/* The form that AssumeRoleWithWebIdentity takes; malloc'ed; NULL: failure. */
static char *
assume_form(const char *role, const char *token, Failure *failure)
{
	const char *session = getenv("AWS_ROLE_SESSION_NAME");
	Buffer		form = {0};

	buffer_text(&form, "Action=AssumeRoleWithWebIdentity&Version=2011-06-15&RoleArn=");
	s3_uri_encode(&form, role, false);
	buffer_text(&form, "&RoleSessionName=");
	s3_uri_encode(&form, session && session[0] != '\0' ? session : "custbackup", false);
	buffer_text(&form, "&WebIdentityToken=");
	s3_uri_encode(&form, token, false);
	return buffer_take(&form, failure);
}

/* AWS_ENDPOINT_URL_STS, as the AWS tools know it, or the region's own. */
static char *
sts_url(const char *region, Failure *failure)
{
	const char *endpoint = getenv("AWS_ENDPOINT_URL_STS");
	Buffer		url = {0};

	if (!endpoint || endpoint[0] == '\0')
		buffer_format(&url, "https://sts.%s.amazonaws.com%s/", region,
					  strncmp(region, "cn-", 3) == 0 ? ".cn" : "");
	else if (strncmp(endpoint, "https://", 8) == 0 || is_near(endpoint))
		buffer_text(&url, endpoint);
	else
	{
		failure_set(failure, REASON_CONFIG, "AWS_ENDPOINT_URL_STS=%s: without TLS only to this host itself",
					endpoint);
		return NULL;
	}
	return buffer_take(&url, failure);
}

S3Source
s3_credentials_from_web_identity(HttpClient *http, const char *region, S3Credentials *credentials,
								 Failure *failure)
{
	static const HttpHeader headers[] = {{"content-type", "application/x-www-form-urlencoded"}};
	const char			   *token_file = getenv("AWS_WEB_IDENTITY_TOKEN_FILE");
	const char			   *role = getenv("AWS_ROLE_ARN");
	char				   *token;
	char				   *form = NULL;
	char				   *url = NULL;
	HttpAnswer				answer = {0};
	Assumed					assumed = {0};
	S3Source				found = S3_SOURCE_FAILED;

	if (!token_file || token_file[0] == '\0')
		return S3_SOURCE_ABSENT;
	if (!role || role[0] == '\0')
	{
		failure_set(failure, REASON_CONFIG,
					"AWS_WEB_IDENTITY_TOKEN_FILE is set, and AWS_ROLE_ARN, which names the role, is not");
		return S3_SOURCE_FAILED;
	}
	token = read_token_file(token_file, failure);
	if (token && (url = sts_url(region, failure)) != NULL &&
		(form = assume_form(role, token, failure)) != NULL)
	{
		HttpRequest request = {.method = "POST",
							   .url = url,
							   .headers = headers,
							   .header_count = 1,
							   .body = {.bytes = form, .length = (int64_t) strlen(form)},
							   .connect_timeout = 10,
							   .direct = is_near(url)};

		if (ask(http, &request, &sts, &answer, failure))
		{
			/* Half of an answer would be half of the credentials. */
			if (!s3_xml_parse(answer.body, answer.body_length, take_assumed, &assumed))
				failure_set(failure, REASON_STORE, "%s gave something else than credentials; %s", sts.name,
							sts.advice);
			else if (s3_credentials_set(credentials, "the web identity", assumed.access_key,
										assumed.secret_key, assumed.session_token, assumed.expiration,
										failure))
				found = S3_SOURCE_FOUND;
			http_answer_free(&answer);
		}
	}
	free(form);
	free(url);
	free(token);
	return found;
}

/* ---- JSON, as containers and instances give it ------------------------------------------------ */

/* A text of it, "" where there is none. */
static const char *
json_text(const json_t *document, const char *name)
{
	const char *text = json_string_value(json_object_get(document, name));

	return text ? text : "";
}

static bool
set_from_json(const HttpAnswer *answer, const Giver *giver, S3Credentials *credentials, Failure *failure)
{
	json_t	   *document = json_loadb(answer->body ? answer->body : "", answer->body_length, 0, NULL);
	const char *code = json_text(document, "Code");
	bool		set;

	/* Of what is no credentials, only what says why is repeated. */
	if (json_text(document, "AccessKeyId")[0] == '\0')
		set = failure_set(failure, REASON_STORE, "%s gave something else than credentials; %s%s%s%s%s",
						  giver->name, giver->advice, code[0] != '\0' ? " (" : "", code,
						  code[0] != '\0' ? ") " : "", json_text(document, "Message"));
	else
		set = s3_credentials_set(credentials, giver->name, json_text(document, "AccessKeyId"),
								 json_text(document, "SecretAccessKey"), json_text(document, "Token"),
								 json_text(document, "Expiration"), failure);
	json_decref(document);
	return set;
}

/* ---- a container ------------------------------------------------------------------------------ */

/* *token: malloc'ed or NULL for none. */
static bool
container_token(char **token, Failure *failure)
{
	const char *file = getenv("AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE");
	const char *text = getenv("AWS_CONTAINER_AUTHORIZATION_TOKEN");

	*token = NULL;
	if (file && file[0] != '\0')
		return (*token = read_token_file(file, failure)) != NULL;
	if (!text || text[0] == '\0')
		return true;
	if (strpbrk(text, "\r\n"))
		return failure_set(failure, REASON_CONFIG, "AWS_CONTAINER_AUTHORIZATION_TOKEN holds a newline");
	secret_register(text, strlen(text));
	return (*token = strdup(text)) != NULL || failure_no_memory(failure);
}

S3Source
s3_credentials_from_container(HttpClient *http, S3Credentials *credentials, Failure *failure)
{
	const char *full = getenv("AWS_CONTAINER_CREDENTIALS_FULL_URI");
	const char *relative = getenv("AWS_CONTAINER_CREDENTIALS_RELATIVE_URI");
	char		url[1024];
	char	   *token;
	HttpHeader	header = {.name = "authorization"};
	HttpRequest request = {
		.method = "GET", .url = url, .headers = &header, .connect_timeout = 2, .direct = true};
	HttpAnswer answer = {0};
	S3Source   found = S3_SOURCE_FAILED;

	if ((!full || full[0] == '\0') && (!relative || relative[0] != '/'))
		return S3_SOURCE_ABSENT;
	snprintf(url, sizeof(url), "%s%s", relative && relative[0] == '/' ? "http://169.254.170.2" : full,
			 relative && relative[0] == '/' ? relative : "");
	if (strncmp(url, "https://", 8) != 0 && !is_near(url))
	{
		failure_set(
			failure, REASON_CONFIG,
			"AWS_CONTAINER_CREDENTIALS_FULL_URI=%s: without TLS only to this host or the container's agent",
			url);
		return S3_SOURCE_FAILED;
	}
	if (!container_token(&token, failure))
		return S3_SOURCE_FAILED;
	header.value = token;
	request.header_count = token && token[0] != '\0' ? 1 : 0;
	if (ask(http, &request, &agent, &answer, failure))
	{
		if (set_from_json(&answer, &agent, credentials, failure))
			found = S3_SOURCE_FOUND;
		http_answer_free(&answer);
	}
	free(token);
	return found;
}

/* ---- an instance ------------------------------------------------------------------------------ */

/* A path of the metadata service; the answer is the caller's.  token "": asks for one. */
static bool
ask_instance(HttpClient *http, const char *base, const char *path, const char *token, HttpAnswer *answer,
			 Failure *failure)
{
	char		url[1024];
	HttpHeader	header = {.name = "x-aws-ec2-metadata-token", .value = token};
	HttpRequest request = {.method = "GET",
						   .url = url,
						   .headers = &header,
						   .header_count = 1,
						   .body = {.bytes = ""},
						   .connect_timeout = 1,
						   .direct = true};

	/* It may end with '/', and each path begins with one. */
	snprintf(url, sizeof(url), "%.*s%s", (int) strlen(base) - (base[strlen(base) - 1] == '/'), base, path);
	if (token[0] == '\0')
	{
		request.method = "PUT";
		header = (HttpHeader){.name = "x-aws-ec2-metadata-token-ttl-seconds", .value = "21600"};
	}
	return ask(http, &request, &instance, answer, failure);
}

static S3Source
from_instance_with_token(HttpClient *http, const char *base, const char *token, S3Credentials *credentials,
						 Failure *failure)
{
	static const char directory[] = "/latest/meta-data/iam/security-credentials/";
	char			  path[512];
	HttpAnswer		  answer = {0};
	Failure			  refusal = {0};
	bool			  set;

	if (!ask_instance(http, base, directory, token, &answer, &refusal))
	{
		/* An instance without a role. */
		if (answer.status == 404)
			return S3_SOURCE_ABSENT;
		failure_set(failure, refusal.reason, "%s", refusal.detail);
		return S3_SOURCE_FAILED;
	}
	snprintf(path, sizeof(path), "%s%.*s", directory, (int) strcspn(answer.body ? answer.body : "", "\r\n"),
			 answer.body ? answer.body : "");
	http_answer_free(&answer);
	if (!ask_instance(http, base, path, token, &answer, failure))
		return S3_SOURCE_FAILED;
	set = set_from_json(&answer, &instance, credentials, failure);
	http_answer_free(&answer);
	return set ? S3_SOURCE_FOUND : S3_SOURCE_FAILED;
}

S3Source
s3_credentials_from_instance(HttpClient *http, S3Credentials *credentials, Failure *failure)
{
	const char *disabled = getenv("AWS_EC2_METADATA_DISABLED");
	const char *base = getenv("AWS_EC2_METADATA_SERVICE_ENDPOINT");
	HttpAnswer	answer = {0};
	Failure		unreachable = {0};
	char		token[512];

	if (disabled && strcasecmp(disabled, "true") == 0)
		return S3_SOURCE_ABSENT;
	if (!base || base[0] == '\0')
		base = "http://169.254.169.254";
	if (!is_near(base))
	{
		failure_set(failure, REASON_CONFIG,
					"AWS_EC2_METADATA_SERVICE_ENDPOINT=%s is no metadata service's address", base);
		return S3_SOURCE_FAILED;
	}
	/* Nobody answers there: this is no instance, and nothing has failed. */
	if (!ask_instance(http, base, "/latest/api/token", "", &answer, &unreachable))
	{
		if (unreachable.reason != REASON_CANCELLED)
			return S3_SOURCE_ABSENT;
		failure_set(failure, unreachable.reason, "%s", unreachable.detail);
		return S3_SOURCE_FAILED;
	}
	snprintf(token, sizeof(token), "%.*s", (int) strcspn(answer.body ? answer.body : "", "\r\n"),
			 answer.body ? answer.body : "");
	secret_register(token, strlen(token));
	http_answer_free(&answer);
	if (token[0] == '\0')
		return S3_SOURCE_ABSENT;
	return from_instance_with_token(http, base, token, credentials, failure);
}
