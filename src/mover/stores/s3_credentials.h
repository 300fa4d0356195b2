/*
 * s3_credentials.h
 *	  Who we are to an object store, and for how long.
 *
 * Sources, the first that has something wins:
 *	  1. the profile of the store's name in the file of the setting credentials_file
 *	  2. AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY, AWS_SESSION_TOKEN
 *	  3. a web identity: AWS_WEB_IDENTITY_TOKEN_FILE and AWS_ROLE_ARN
 *	  4. a container's: AWS_CONTAINER_CREDENTIALS_FULL_URI or _RELATIVE_URI
 *	  5. the instance's, by its metadata service, version 2
 *
 * What expires is fetched anew five minutes before it does.  Every value is
 * registered with secret.h, so that no text that leaves the process can hold it.
 */
#ifndef S3_CREDENTIALS_H
#define S3_CREDENTIALS_H

#include <stdbool.h>
#include <stdint.h>

#include "failure.h"
#include "settings.h"
#include "stores/http.h"

typedef struct S3Credentials
{
	char   *access_key;
	char   *secret_key;
	char   *session_token; /* NULL: none */
	int64_t expires;	   /* seconds since 1970; 0: never */
} S3Credentials;

typedef struct S3CredentialChain S3CredentialChain;

/* name: the store's; region: for STS.  Both and the settings are borrowed.  Asks nobody yet. */
extern S3CredentialChain *s3_credentials_open(const char *name, const char *region, const Settings *settings,
											  Failure *failure);

/*
 * Credentials that are good for five minutes more, borrowed until the next call.
 * anew: those at hand were refused as expired.  NULL: REASON_STORE or REASON_CONFIG.
 */
extern const S3Credentials *s3_credentials_get(S3CredentialChain *chain, bool anew, Failure *failure);

/* "profile 'x' of /file", "the environment", ...: where they came from. */
extern const char *s3_credentials_origin(const S3CredentialChain *chain);
extern void		   s3_credentials_close(S3CredentialChain *chain);

/* For the sources: copies and registers; a failure names whose they are, and frees what was copied. */
extern bool s3_credentials_set(S3Credentials *credentials, const char *whose, const char *access_key,
							   const char *secret_key, const char *session_token, const char *expiration,
							   Failure *failure);

typedef enum S3Source
{
	S3_SOURCE_FAILED = -1,
	S3_SOURCE_ABSENT = 0, /* nothing configured here: the next one */
	S3_SOURCE_FOUND = 1
} S3Source;

/* s3_profile.c */
extern S3Source s3_credentials_from_file(const char *path, const char *profile, S3Credentials *credentials,
										 Failure *failure);

/* s3_credentials_remote.c */
extern S3Source s3_credentials_from_web_identity(HttpClient *http, const char *region,
												 S3Credentials *credentials, Failure *failure);
extern S3Source s3_credentials_from_container(HttpClient *http, S3Credentials *credentials, Failure *failure);
extern S3Source s3_credentials_from_instance(HttpClient *http, S3Credentials *credentials, Failure *failure);

#endif
