/*
 * s3_credentials.c
 *	  The chain of sources, and renewal.
 */
#include "stores/s3_credentials.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <openssl/crypto.h>

#include "secret.h"
#include "utc.h"

#define RENEW_BEFORE_SECONDS 300
/* Whoever gives no new ones is not asked at each request, as long as those at hand serve. */
#define RENEW_AGAIN_SECONDS 30

struct S3CredentialChain
{
	const char	   *name;
	const char	   *region;
	const Settings *settings;
	HttpClient	   *http; /* its own: the store's may be busy in another thread */
	S3Credentials	current;
	int64_t			renew_after; /* seconds since 1970; 0: no renewal has failed */
	char			origin[512];
};

S3CredentialChain *
s3_credentials_open(const char *name, const char *region, const Settings *settings, Failure *failure)
{
	S3CredentialChain *chain = calloc(1, sizeof(*chain));

	if (!chain)
	{
		failure_no_memory(failure);
		return NULL;
	}
	chain->name = name;
	chain->region = region;
	chain->settings = settings;
	chain->http = http_client_open(settings, NULL, failure);
	if (chain->http)
		return chain;
	free(chain);
	return NULL;
}

static void
wipe(char **text)
{
	if (*text)
		OPENSSL_clear_free(*text, strlen(*text));
	*text = NULL;
}

static void
credentials_free(S3Credentials *credentials)
{
	free(credentials->access_key);
	wipe(&credentials->secret_key);
	wipe(&credentials->session_token);
	*credentials = (S3Credentials){0};
}

void
s3_credentials_close(S3CredentialChain *chain)
{
	if (!chain)
		return;
	http_client_close(chain->http);
	credentials_free(&chain->current);
	free(chain);
}

const char *
s3_credentials_origin(const S3CredentialChain *chain)
{
	return chain->origin;
}

/* What OPENSSL_clear_free() may free. */
static char *
copy_secret(const char *text)
{
	secret_register(text, strlen(text));
	return OPENSSL_strdup(text);
}

/* Into a header or a signature: no blanks, no control characters. */
static bool
is_plain(const char *text)
{
	for (const char *c = text; *c; c++)
		if (*c <= ' ' || *c > '~')
			return false;
	return text[0] != '\0';
}

bool
s3_credentials_set(S3Credentials *credentials, const char *whose, const char *access_key,
				   const char *secret_key, const char *session_token, const char *expiration,
				   Failure *failure)
{
	bool has_token = session_token && session_token[0] != '\0';

	*credentials = (S3Credentials){0};
	if (!access_key || !secret_key || !is_plain(access_key) || !is_plain(secret_key) ||
		(has_token && !is_plain(session_token)))
		return failure_set(
			failure, REASON_CONFIG,
			"credentials of %s: access key, secret key or session token is missing, empty or holds blanks",
			whose);
	if (expiration && expiration[0] != '\0' && !utc_parse(expiration, &credentials->expires))
		return failure_set(failure, REASON_STORE, "credentials of %s: \"%s\" is no time of expiry", whose,
						   expiration);
	credentials->access_key = strdup(access_key);
	credentials->secret_key = copy_secret(secret_key);
	credentials->session_token = has_token ? copy_secret(session_token) : NULL;
	if (credentials->access_key && credentials->secret_key && (!has_token || credentials->session_token))
		return true;
	credentials_free(credentials);
	return failure_no_memory(failure);
}

static S3Source
from_environment(S3Credentials *credentials, Failure *failure)
{
	const char *access_key = getenv("AWS_ACCESS_KEY_ID");
	const char *secret_key = getenv("AWS_SECRET_ACCESS_KEY");

	/* Set to nothing is not set; half of them is a mistake, and nobody else's credentials are taken instead. */
	if ((!access_key || access_key[0] == '\0') && (!secret_key || secret_key[0] == '\0'))
		return S3_SOURCE_ABSENT;
	if (!s3_credentials_set(credentials, "the environment (AWS_ACCESS_KEY_ID and what belongs to it)",
							access_key, secret_key, getenv("AWS_SESSION_TOKEN"), NULL, failure))
		return S3_SOURCE_FAILED;
	return S3_SOURCE_FOUND;
}

static S3Source
ask(S3CredentialChain *chain, int source, S3Credentials *credentials, Failure *failure)
{
	const char *file = chain->settings->credentials_file;

	switch (source)
	{
		case 0:
			snprintf(chain->origin, sizeof(chain->origin), "profile \"%s\" of \"%s\"", chain->name,
					 file ? file : "");
			return file && file[0] != '\0' ? s3_credentials_from_file(file, chain->name, credentials, failure)
										   : S3_SOURCE_ABSENT;
		case 1:
			snprintf(chain->origin, sizeof(chain->origin), "the environment (AWS_ACCESS_KEY_ID)");
			return from_environment(credentials, failure);
		case 2:
			snprintf(chain->origin, sizeof(chain->origin), "the web identity (AWS_WEB_IDENTITY_TOKEN_FILE)");
			return s3_credentials_from_web_identity(chain->http, chain->region, credentials, failure);
		case 3:
			snprintf(chain->origin, sizeof(chain->origin), "the container (AWS_CONTAINER_CREDENTIALS_*)");
			return s3_credentials_from_container(chain->http, credentials, failure);
		default:
			snprintf(chain->origin, sizeof(chain->origin), "the instance's metadata");
			return s3_credentials_from_instance(chain->http, credentials, failure);
	}
}

static bool
ask_all(S3CredentialChain *chain, S3Credentials *credentials, Failure *failure)
{
	S3Source answer = S3_SOURCE_ABSENT;

	for (int source = 0; source < 5 && answer == S3_SOURCE_ABSENT; source++)
		answer = ask(chain, source, credentials, failure);
	if (answer == S3_SOURCE_ABSENT)
		failure_set(failure, REASON_CONFIG,
					"no credentials for store \"%s\": no such profile in %s%s%s, nothing in "
					"AWS_ACCESS_KEY_ID, no web "
					"identity, no container's agent, no instance's role",
					chain->name, chain->settings->credentials_file ? "\"" : "",
					chain->settings->credentials_file ? chain->settings->credentials_file
													  : "credentials_file (which is not set)",
					chain->settings->credentials_file ? "\"" : "");
	return answer == S3_SOURCE_FOUND;
}

/* They do not run out soon; or they still serve, and new ones were refused a moment ago. */
static bool
is_good_for_now(const S3CredentialChain *chain, int64_t now)
{
	const S3Credentials *current = &chain->current;

	if (!current->access_key)
		return false;
	return current->expires == 0 || current->expires - RENEW_BEFORE_SECONDS > now ||
		   (current->expires > now && chain->renew_after > now);
}

const S3Credentials *
s3_credentials_get(S3CredentialChain *chain, bool anew, Failure *failure)
{
	S3Credentials *current = &chain->current;
	S3Credentials  fetched = {0};
	Failure		   renewal = {0};
	int64_t		   now = time(NULL);

	if (!anew && is_good_for_now(chain, now))
		return current;
	if (ask_all(chain, &fetched, &renewal))
	{
		credentials_free(current);
		*current = fetched;
		chain->renew_after = 0;
		return current;
	}
	/* The old ones serve as long as they do: whoever gives them may be back by then. */
	if (current->access_key && !anew && current->expires > now)
	{
		chain->renew_after = (int64_t) time(NULL) + RENEW_AGAIN_SECONDS;
		return current;
	}
	failure_set(failure, renewal.reason, "%s", renewal.detail);
	return NULL;
}
