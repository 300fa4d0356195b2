/*
 * mongodb_option.c
 *	  The one table of a URL's options.
 */
#include "engines/mongodb_option.h"

#include <stdlib.h>
#include <string.h>

typedef enum Treatment
{
	AUTH_SOURCE,
	AUTH_MECHANISM,
	REPLICA_SET,
	READ_PREFERENCE,
	DIRECT,
	TLS,
	TLS_INSECURE,
	SRV_SERVICE,
	MUST_BE_FALSE,
	PASSED_OVER, /* the application's own affair */
	READS_A_FILE,
	NOT_FROM_HERE
} Treatment;

static const struct
{
	const char *name;
	Treatment	treatment;
} options[] = {
	{"authSource", AUTH_SOURCE},
	{"authMechanism", AUTH_MECHANISM},
	{"replicaSet", REPLICA_SET},
	{"readPreference", READ_PREFERENCE},
	{"directConnection", DIRECT},
	{"tls", TLS},
	{"ssl", TLS},
	{"tlsInsecure", TLS_INSECURE},
	{"tlsAllowInvalidCertificates", TLS_INSECURE},
	{"tlsAllowInvalidHostnames", TLS_INSECURE},
	{"sslAllowInvalidCertificates", TLS_INSECURE},
	{"sslAllowInvalidHostnames", TLS_INSECURE},
	{"srvServiceName", SRV_SERVICE},
	{"loadBalanced", MUST_BE_FALSE},

	{"appName", PASSED_OVER},
	{"compressors", PASSED_OVER},
	{"zlibCompressionLevel", PASSED_OVER},
	{"connectTimeoutMS", PASSED_OVER},
	{"socketTimeoutMS", PASSED_OVER},
	{"timeoutMS", PASSED_OVER},
	{"serverSelectionTimeoutMS", PASSED_OVER},
	{"serverSelectionTryOnce", PASSED_OVER},
	{"serverMonitoringMode", PASSED_OVER},
	{"socketCheckIntervalMS", PASSED_OVER},
	{"waitQueueMultiple", PASSED_OVER},
	{"fsync", PASSED_OVER},
	{"heartbeatFrequencyMS", PASSED_OVER},
	{"localThresholdMS", PASSED_OVER},
	{"maxPoolSize", PASSED_OVER},
	{"minPoolSize", PASSED_OVER},
	{"maxIdleTimeMS", PASSED_OVER},
	{"maxConnecting", PASSED_OVER},
	{"waitQueueTimeoutMS", PASSED_OVER},
	{"retryReads", PASSED_OVER},
	{"retryWrites", PASSED_OVER},
	{"w", PASSED_OVER},
	{"wtimeoutMS", PASSED_OVER},
	{"journal", PASSED_OVER},
	{"readConcernLevel", PASSED_OVER},
	{"maxStalenessSeconds", PASSED_OVER},
	{"readPreferenceTags", PASSED_OVER},
	{"uuidRepresentation", PASSED_OVER},
	{"tlsDisableOCSPEndpointCheck", PASSED_OVER},
	{"tlsDisableCertificateRevocationCheck", PASSED_OVER},
	{"srvMaxHosts", PASSED_OVER},

	{"tlsCertificateKeyFile", READS_A_FILE},
	{"tlsCertificateKeyFilePassword", READS_A_FILE},
	{"tlsCAFile", READS_A_FILE},
	{"tlsCRLFile", READS_A_FILE},
	{"sslClientCertificateKeyFile", READS_A_FILE},
	{"sslClientCertificateKeyPassword", READS_A_FILE},
	{"sslCertificateAuthorityFile", READS_A_FILE},
	{"sslPEMKeyFile", READS_A_FILE},
	{"sslPEMKeyPassword", READS_A_FILE},
	{"sslCAFile", READS_A_FILE},
	{"sslCRLFile", READS_A_FILE},

	{"authMechanismProperties", NOT_FROM_HERE},
	{"gssapiServiceName", NOT_FROM_HERE},
	{"proxyHost", NOT_FROM_HERE},
	{"proxyPort", NOT_FROM_HERE},
	{"proxyUsername", NOT_FROM_HERE},
	{"proxyPassword", NOT_FROM_HERE},
};

#define OPTION_COUNT (sizeof(options) / sizeof(options[0]))

/* By password alone; the others would log in as this machine (AWS, Kerberos, certificate, workload identity). */
static const char *const mechanisms[] = {"SCRAM-SHA-1", "SCRAM-SHA-256", "PLAIN"};

static const char *const preferences[] = {[MONGODB_PRIMARY] = "primary",
										  [MONGODB_PRIMARY_PREFERRED] = "primaryPreferred",
										  [MONGODB_SECONDARY] = "secondary",
										  [MONGODB_SECONDARY_PREFERRED] = "secondaryPreferred",
										  [MONGODB_NEAREST] = "nearest"};

/* Which of two would count differs from driver to driver. */
static bool
refuse_other(const char *name, Failure *failure)
{
	return failure_set(failure, REASON_BAD_URL, "the MongoDB URL says %s twice, and not the same", name);
}

static bool
set_text(char **field, const char *name, const char *value, Failure *failure)
{
	if (*field != NULL)
		return strcmp(*field, value) == 0 || refuse_other(name, failure);
	*field = strdup(value);
	return *field != NULL || failure_no_memory(failure);
}

static bool
set_name(char **field, const char *name, const char *value, Failure *failure)
{
	if (*value == '\0')
		return failure_set(failure, REASON_BAD_URL, "the MongoDB URL's %s is empty", name);
	return set_text(field, name, value, failure);
}

static bool
read_switch(bool *field, const char *name, const char *value, Failure *failure)
{
	*field = strcmp(value, "true") == 0;
	return *field || strcmp(value, "false") == 0 ||
		   failure_set(failure, REASON_BAD_URL, "the MongoDB URL's %s is neither true nor false", name);
}

/* said: was it, before?  "tls" and "ssl" are the same. */
static bool
set_switch(bool *field, bool *said, const char *name, const char *value, Failure *failure)
{
	bool on;

	if (!read_switch(&on, name, value, failure))
		return false;
	if (*said && on != *field)
		return refuse_other(name, failure);
	*said = true;
	*field = on;
	return true;
}

static bool
set_mechanism(MongodbUrl *url, const char *name, const char *value, Failure *failure)
{
	for (size_t i = 0; i < sizeof(mechanisms) / sizeof(mechanisms[0]); i++)
		if (strcmp(value, mechanisms[i]) == 0)
			return set_text(&url->auth_mechanism, name, value, failure);
	if (strcmp(value, "DEFAULT") == 0)
		return true;
	return failure_set(failure, REASON_BAD_URL,
					   "the MongoDB URL's authMechanism is not one that works by password alone: "
					   "SCRAM-SHA-1, SCRAM-SHA-256, PLAIN");
}

static bool
set_preference(MongodbUrl *url, const char *name, const char *value, Failure *failure)
{
	for (size_t i = 0; i < sizeof(preferences) / sizeof(preferences[0]); i++)
		if (strcasecmp(value, preferences[i]) == 0)
		{
			if (url->preference_said && url->preference != (MongodbPreference) i)
				return refuse_other(name, failure);
			url->preference_said = true;
			url->preference = (MongodbPreference) i;
			return true;
		}
	return failure_set(failure, REASON_BAD_URL,
					   "the MongoDB URL's readPreference is none that MongoDB knows");
}

static bool
apply(MongodbUrl *url, const char *name, Treatment treatment, const char *value, Failure *failure)
{
	bool on;

	switch (treatment)
	{
		case AUTH_SOURCE:
			return set_name(&url->auth_source, name, value, failure);
		case AUTH_MECHANISM:
			return set_mechanism(url, name, value, failure);
		case REPLICA_SET:
			return set_name(&url->replica_set, name, value, failure);
		case SRV_SERVICE:
			return set_name(&url->srv_service, name, value, failure);
		case READ_PREFERENCE:
			return set_preference(url, name, value, failure);
		case DIRECT:
			return set_switch(&url->direct, &url->direct_said, name, value, failure);
		case TLS:
			return set_switch(&url->tls, &url->tls_said, name, value, failure);
		case TLS_INSECURE:
			if (!read_switch(&on, name, value, failure))
				return false;
			url->tls_insecure |= on;
			return true;
		case MUST_BE_FALSE:
			if (!read_switch(&on, name, value, failure))
				return false;
			return !on ||
				   failure_set(failure, REASON_BAD_URL, "the MongoDB URL's option %s is not allowed", name);
		case READS_A_FILE:
			return failure_set(failure, REASON_BAD_URL,
							   "the MongoDB URL's option %s would read a file of this machine: not allowed "
							   "(authorities are the operator's setting, custbackup.ca_file)",
							   name);
		case NOT_FROM_HERE:
			return failure_set(failure, REASON_BAD_URL, "the MongoDB URL's option %s is not allowed", name);
		case PASSED_OVER:
			break;
	}
	return true;
}

bool
mongodb_option_set(MongodbUrl *url, const char *name, size_t length, const char *value, Failure *failure)
{
	for (size_t i = 0; i < OPTION_COUNT; i++)
		if (strlen(options[i].name) == length && strncasecmp(options[i].name, name, length) == 0)
			return apply(url, options[i].name, options[i].treatment, value, failure);
	return failure_set(
		failure, REASON_BAD_URL,
		"the MongoDB URL has an option that is not known here (write '?' and '&' in a password as "
		"%%3F and %%26)");
}

bool
mongodb_option_check_txt(const char *text)
{
	while (*text != '\0')
	{
		size_t name = strcspn(text, "=");

		if ((name != strlen("authSource") || strncasecmp(text, "authSource", name) != 0) &&
			(name != strlen("replicaSet") || strncasecmp(text, "replicaSet", name) != 0))
			return false;
		text += strcspn(text, "&");
		text += *text == '&';
	}
	return true;
}

bool
mongodb_options_check(const MongodbUrl *url, Failure *failure)
{
	if (url->auth_mechanism != NULL && strcmp(url->auth_mechanism, "PLAIN") == 0 && !url->tls)
		return failure_set(failure, REASON_BAD_URL,
						   "the MongoDB URL's authMechanism PLAIN would send the password readable: it wants "
						   "tls=true");
	if (url->direct && (url->srv || url->place_count > 1))
		return failure_set(failure, REASON_BAD_URL,
						   "the MongoDB URL has directConnection, which goes with one host alone");
	return true;
}
