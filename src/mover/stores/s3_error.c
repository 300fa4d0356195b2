/*
 * s3_error.c
 *	  The one table of S3 errors.
 */
#include "stores/s3_error.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <time.h>

#include <sys/random.h>

#include <curl/curl.h>

#include "stores/s3_xml.h"

#define MILLISECOND			INT64_C(1000000)
#define LONGEST_BACKOFF		(20000 * MILLISECOND)
#define LONGEST_RETRY_AFTER INT64_C(60)

#define EXPIRED		  "the session token has expired; put a new one there"
#define UNKNOWN_KEY	  "the store does not know this access key; correct it, or make it there"
#define FOREIGN_TOKEN "the session token does not belong to this access key; correct both"
#define CLOCK		  "this host's clock is off; set it right"
#define RIGHTS		  "the credentials lack a right that this needs (docs/stores.md lists them)"
#define REGION		  "the bucket is in another region; set region= (and the endpoint) in the store's URL"
#define OPTION                                                                                               \
	"the store does not know something that the URL's options ask for (docs/stores.md has notes on each "    \
	"provider)"
#define NO_KMS_KEY		   "there is no key as sse_kms_key_id names it; correct it in the store's URL"
#define FULL			   "the store has no space left for this account or bucket; raise its quota, or let backups expire"
#define GONE			   "the object is not there"
#define CHANGED_ON_THE_WAY "bytes changed on the way"
#define BUSY			   "the store asks to slow down"

static const S3ErrorRule rules[] = {
	/* Worth another try */
	{"BadDigest", S3_AGAIN, REASON_NONE, CHANGED_ON_THE_WAY},
	{"ConditionalRequestConflict", S3_AGAIN, REASON_NONE, "another request touched the same key"},
	{"IDPCommunicationError", S3_AGAIN, REASON_NONE, "the identity provider did not answer"},
	{"IncompleteBody", S3_AGAIN, REASON_NONE, "the connection broke"},
	{"InternalError", S3_AGAIN, REASON_NONE, "the store failed"},
	{"OperationAborted", S3_AGAIN, REASON_NONE, "another request touched the same key"},
	{"RequestTimeout", S3_AGAIN, REASON_NONE, "the connection was too slow"},
	{"XAmzContentChecksumMismatch", S3_AGAIN, REASON_NONE, CHANGED_ON_THE_WAY},
	{"XAmzContentSHA256Mismatch", S3_AGAIN, REASON_NONE, CHANGED_ON_THE_WAY},
	{"XMinioServerNotInitialized", S3_AGAIN, REASON_NONE, "the store is starting"},
	{"BandwidthLimitExceeded", S3_AGAIN_SLOWLY, REASON_NONE, BUSY},
	{"RequestLimitExceeded", S3_AGAIN_SLOWLY, REASON_NONE, BUSY},
	{"ServiceUnavailable", S3_AGAIN_SLOWLY, REASON_NONE, BUSY},
	{"SlowDown", S3_AGAIN_SLOWLY, REASON_NONE, BUSY},
	{"SlowDownRead", S3_AGAIN_SLOWLY, REASON_NONE, BUSY},
	{"SlowDownWrite", S3_AGAIN_SLOWLY, REASON_NONE, BUSY},
	{"Throttling", S3_AGAIN_SLOWLY, REASON_NONE, BUSY},
	{"ThrottlingException", S3_AGAIN_SLOWLY, REASON_NONE, BUSY},
	{"TooManyRequests", S3_AGAIN_SLOWLY, REASON_NONE, BUSY},

	/* Credentials */
	{"ExpiredToken", S3_NEW_CREDENTIALS, REASON_STORE, EXPIRED},
	{"ExpiredTokenException", S3_NEW_CREDENTIALS, REASON_STORE, EXPIRED},
	{"TokenRefreshRequired", S3_NEW_CREDENTIALS, REASON_STORE, EXPIRED},
	{"InvalidAccessKeyId", S3_BAD_CREDENTIALS, REASON_STORE, UNKNOWN_KEY},
	{"XAdminUserNotFound", S3_BAD_CREDENTIALS, REASON_STORE, UNKNOWN_KEY},
	{"InvalidClientTokenId", S3_BAD_CREDENTIALS, REASON_STORE, UNKNOWN_KEY},
	{"InvalidIdentityToken", S3_BAD_CREDENTIALS, REASON_STORE, "the web identity's token was refused"},
	{"InvalidSecurity", S3_BAD_CREDENTIALS, REASON_STORE, "the credentials were refused"},
	{"InvalidToken", S3_BAD_CREDENTIALS, REASON_STORE, FOREIGN_TOKEN},
	{"InvalidTokenId", S3_BAD_CREDENTIALS, REASON_STORE, FOREIGN_TOKEN},
	{"RequestTimeTooSkewed", S3_FINAL, REASON_STORE, CLOCK},
	{"RequestExpired", S3_FINAL, REASON_STORE, CLOCK},
	{"SignatureDoesNotMatch", S3_BAD_CREDENTIALS, REASON_STORE,
	 "the secret key is wrong (or something between here and the store changes requests); correct it"},

	/* Rights and settings that the operator mends */
	{"AccessDenied", S3_BAD_CREDENTIALS, REASON_STORE, RIGHTS},
	{"AccessForbidden", S3_BAD_CREDENTIALS, REASON_STORE, RIGHTS},
	{"AllAccessDisabled", S3_BAD_CREDENTIALS, REASON_STORE, RIGHTS},
	{"UnauthorizedAccess", S3_BAD_CREDENTIALS, REASON_STORE, RIGHTS},
	{"AccountProblem", S3_FINAL, REASON_STORE, "the account is suspended or unpaid"},
	{"AuthorizationHeaderMalformed", S3_FINAL, REASON_STORE, REGION},
	{"IllegalLocationConstraintException", S3_FINAL, REASON_STORE, REGION},
	{"InvalidRegion", S3_FINAL, REASON_STORE, REGION},
	{"PermanentRedirect", S3_FINAL, REASON_STORE, REGION},
	{"TemporaryRedirect", S3_FINAL, REASON_STORE, REGION},
	{"InvalidBucketName", S3_FINAL, REASON_STORE, "the store's URL names no legal bucket"},
	{"NoSuchBucket", S3_FINAL, REASON_STORE,
	 "there is no such bucket (or it is in another account); make it, or correct the store's URL"},
	{"InvalidArgument", S3_FINAL, REASON_STORE, OPTION},
	{"InvalidRequest", S3_FINAL, REASON_STORE, OPTION},
	{"InvalidStorageClass", S3_FINAL, REASON_STORE, OPTION},
	{"NotImplemented", S3_FINAL, REASON_STORE, OPTION},
	{"MissingContentMD5", S3_FINAL, REASON_STORE, OPTION},
	{"KMS.DisabledException", S3_FINAL, REASON_STORE,
	 "the key of sse_kms_key_id is switched off; switch it on, or name another in the store's URL"},
	{"KMS.NotFoundException", S3_FINAL, REASON_STORE, NO_KMS_KEY},
	{"kms:KeyNotFound", S3_FINAL, REASON_STORE, NO_KMS_KEY},
	{"EntityTooLarge", S3_FINAL, REASON_STORE,
	 "a part is larger than the store allows; set part_size= in the store's URL"},
	{"EntityTooSmall", S3_FINAL, REASON_STORE,
	 "a part is smaller than the store allows; set part_size= in the store's URL"},
	{"QuotaExceeded", S3_FINAL, REASON_STORE, FULL},
	{"InsufficientCapacity", S3_FINAL, REASON_STORE, FULL},
	{"XMinioAdminBucketQuotaExceeded", S3_FINAL, REASON_STORE, FULL},
	{"XMinioStorageFull", S3_FINAL, REASON_STORE, FULL},
	{"InvalidBucketState", S3_FINAL, REASON_STORE,
	 "the bucket's versioning or object lock does not allow this"},
	{"ObjectLocked", S3_FINAL, REASON_STORE, "object lock protects it"},
	{"InvalidObjectState", S3_FINAL, REASON_STORE,
	 "the object lies in an archive class; bring it back there first"},

	/* What is not there, or not what it was */
	{"NoSuchKey", S3_FINAL, REASON_INTEGRITY, GONE},
	{"NoSuchVersion", S3_FINAL, REASON_INTEGRITY, GONE},
	{"NoSuchUpload", S3_FINAL, REASON_UPLOAD, "the upload is not there: somebody aborted it"},
	{"InvalidPart", S3_FINAL, REASON_UPLOAD, "the store has lost a part"},
	{"PreconditionFailed", S3_FINAL, REASON_NONE, "the object is not as it was expected to be"},
	{"InvalidRange", S3_FINAL, REASON_INTEGRITY, "the object is shorter than it was"},
};

/* Of what never became an answer. */
static const S3ErrorRule transport_rules[] = {
	[HTTP_NOT_REACHED] = {"", S3_AGAIN, REASON_NONE,
						  "the store cannot be reached; check endpoint= in the store's URL, its name in DNS, "
						  "and firewalls"},
	[HTTP_BROKEN] = {"", S3_AGAIN, REASON_NONE,
					 "the connection broke; where it always does, check endpoint= in the store's URL and "
					 "what stands between"},
	[HTTP_SLOW] = {"", S3_AGAIN, REASON_NONE,
				   "the connection is too slow (min_speed= in the store's URL), or nobody answers there"},
	[HTTP_UNTRUSTED] = {"", S3_FINAL, REASON_STORE,
						"the store's certificate is not to be trusted: it must be valid today, for the "
						"endpoint's name, and of an authority that this host knows or that the setting "
						"ca_file names"},
	[HTTP_NO_CA] = {"", S3_FINAL, REASON_CONFIG,
					"the file of certificates to trust is missing, cannot be read by this user, or holds "
					"none; check the setting ca_file"},
	[HTTP_NO_TLS] = {"", S3_FINAL, REASON_STORE,
					 "what answers at the endpoint speaks no TLS 1.2 or newer; check endpoint= in the "
					 "store's URL (a store without TLS is http://, and wants the setting allow_http unless "
					 "it is this host)"},
	[HTTP_NO_HTTP] = {"", S3_FINAL, REASON_STORE,
					  "what answers at the endpoint does not speak HTTP; check endpoint= in the store's URL"},
	[HTTP_PROXY_REFUSED] = {"", S3_FINAL, REASON_CONFIG,
							"the proxy does not let us through to the store; check the setting proxy, user "
							"and password in it, and the proxy's own rules"},
	[HTTP_TOO_LARGE] = {"", S3_FINAL, REASON_STORE,
						"the answer is far larger than such an answer can be; check endpoint= in the "
						"store's URL"},
	[HTTP_STOPPED] = {"", S3_FINAL, REASON_DOWNLOAD, "what arrived could not be kept"},
};

static const S3ErrorRule transient = {"", S3_AGAIN, REASON_NONE, "the store failed"};
static const S3ErrorRule throttled = {"", S3_AGAIN_SLOWLY, REASON_NONE, BUSY};
static const S3ErrorRule elsewhere = {"", S3_FINAL, REASON_STORE, REGION};
static const S3ErrorRule redirected = {
	"", S3_FINAL, REASON_STORE,
	"the endpoint sends us to another address, which is never followed; check endpoint= in the store's URL"};
static const S3ErrorRule refused = {"", S3_BAD_CREDENTIALS, REASON_STORE,
									"access is refused without a word why: the credentials may lack a right "
									"(docs/stores.md lists them), or a proxy or firewall stands in between"};
static const S3ErrorRule unknown_code = {"", S3_FINAL, REASON_STORE, "the store refuses"};
static const S3ErrorRule not_s3 = {
	"", S3_FINAL, REASON_STORE,
	"what answers at the endpoint does not speak S3; check endpoint= in the store's URL"};

const S3ErrorRule *
s3_error_rule(const HttpAnswer *answer, const S3Error *error)
{
	for (size_t i = 0; i < sizeof(rules) / sizeof(rules[0]); i++)
		if (strcmp(rules[i].code, error->code) == 0)
			return &rules[i];
	if (answer->status == 407)
		return s3_transport_rule(HTTP_PROXY_REFUSED);
	if (answer->status == 429 || answer->status == 503)
		return &throttled;
	if (answer->status >= 500 || answer->status == 408)
		return &transient;
	if (answer->status >= 300 && answer->status < 400)
		return error->region[0] != '\0' ? &elsewhere : &redirected;
	if (error->is_page)
		return &not_s3;
	if (error->code[0] != '\0')
		return &unknown_code;
	return answer->status == 401 || answer->status == 403 ? &refused : &not_s3;
}

const S3ErrorRule *
s3_transport_rule(HttpOutcome outcome)
{
	return &transport_rules[outcome];
}

static bool
take_error_element(void *context, const char *path, const char *text)
{
	S3Error	   *error = context;
	const char *name = strrchr(path, '/');
	/* STS wraps it: ErrorResponse/Error/Code. */
	bool is_error = strncmp(path, "Error/", 6) == 0 || strncmp(path, "ErrorResponse/", 14) == 0;

	if (!is_error || !name)
		return true;
	if (strcmp(name, "/Code") == 0)
		snprintf(error->code, sizeof(error->code), "%s", text);
	else if (strcmp(name, "/Message") == 0)
		snprintf(error->message, sizeof(error->message), "%s", text);
	else if (strcmp(name, "/Region") == 0)
		snprintf(error->region, sizeof(error->region), "%s", text);
	else if (strcmp(name, "/RequestId") == 0)
		snprintf(error->request_id, sizeof(error->request_id), "%s", text);
	return true;
}

/*
 * A success or a refusal in HTML comes from somebody else: a console, a portal, a proxy.  An
 * empty body proves nothing, and a server in trouble may have a balancer in front that says so.
 */
static bool
is_page(const HttpAnswer *answer, const S3Error *error)
{
	char type[32];
	char length[32];

	if (error->code[0] != '\0' || answer->status < 200 || answer->status >= 500 ||
		!http_header(answer, "content-type", type, sizeof(type)) || strncasecmp(type, "text/html", 9) != 0)
		return false;
	/* A HEAD's answer has a length and no body. */
	return answer->body_length > 0 ||
		   (answer->status < 300 && http_header(answer, "content-length", length, sizeof(length)) &&
			strcmp(length, "0") != 0);
}

bool
s3_error_read(const HttpAnswer *answer, S3Error *error)
{
	*error = (S3Error){0};
	/* A long list need not be read twice: it holds no such element. */
	if (answer->body && memmem(answer->body, answer->body_length, "<Error", 6))
		s3_xml_parse(answer->body, answer->body_length, take_error_element, error);
	if (error->region[0] == '\0')
		http_header(answer, "x-amz-bucket-region", error->region, sizeof(error->region));
	if (error->request_id[0] == '\0')
		http_header(answer, "x-amz-request-id", error->request_id, sizeof(error->request_id));
	error->is_page = is_page(answer, error);
	return error->code[0] != '\0' || error->is_page || answer->status < 200 || answer->status >= 300;
}

int64_t
s3_clock_skew(const HttpAnswer *answer)
{
	char   date[64];
	time_t theirs;

	if (!http_header(answer, "date", date, sizeof(date)))
		return 0;
	theirs = curl_getdate(date, NULL);
	return theirs > 0 ? (int64_t) time(NULL) - (int64_t) theirs : 0;
}

static int64_t
random_below(int64_t limit)
{
	uint64_t number;

	if (getrandom(&number, sizeof(number), 0) != sizeof(number))
		return limit / 2;
	return (int64_t) (number % (uint64_t) limit);
}

/* What Retry-After says, as seconds or as a date by the server's own clock; 0: nothing. */
static int64_t
asked_seconds(const HttpAnswer *answer)
{
	char	text[64];
	char   *end;
	int64_t asked;
	time_t	date;

	if (!http_header(answer, "retry-after", text, sizeof(text)))
		return 0;
	asked = strtoll(text, &end, 10);
	if (end == text || *end != '\0')
	{
		date = curl_getdate(text, NULL);
		asked = date > 0 ? (int64_t) date - ((int64_t) time(NULL) - s3_clock_skew(answer)) : 0;
	}
	if (asked < 0)
		return 0;
	return asked < LONGEST_RETRY_AFTER ? asked : LONGEST_RETRY_AFTER;
}

int64_t
s3_backoff(S3Verdict verdict, int64_t tries, const HttpAnswer *answer)
{
	int64_t longest = (verdict == S3_AGAIN_SLOWLY ? 500 : 100) * MILLISECOND;

	while (--tries > 0 && longest < LONGEST_BACKOFF)
		longest *= 2;
	if (longest > LONGEST_BACKOFF)
		longest = LONGEST_BACKOFF;
	return asked_seconds(answer) * 1000 * MILLISECOND + random_below(longest) + 1;
}
