/*
 * s3_error_test.c
 *	  What an answer means, and XML from a server that does not mean well.
 */
#include <stdlib.h>

#include "stores/s3_error.h"
#include "stores/s3_xml.h"
#include "tap.h"

static const S3ErrorRule *
rule_of(int status, const char *headers, const char *body, S3Error *error)
{
	HttpAnswer answer = {.status = status,
						 .headers = (char *) headers,
						 .body = (char *) body,
						 .body_length = body ? strlen(body) : 0};

	return s3_error_read(&answer, error) ? s3_error_rule(&answer, error) : NULL;
}

static void
judged(int status, const char *code, S3Verdict verdict, FailureReason reason)
{
	char			   body[256];
	S3Error			   error;
	const S3ErrorRule *rule;

	snprintf(body, sizeof(body),
			 "<?xml version=\"1.0\"?>\n<Error><Code>%s</Code><Message>m</Message><Region>r</Region></Error>",
			 code);
	rule = rule_of(status, NULL, code[0] ? body : NULL, &error);
	ok(rule && rule->verdict == verdict && rule->reason == reason, "%d %s", status, code);
}

static void
codes(void)
{
	S3Error			   error;
	const S3ErrorRule *rule;

	judged(400, "BadDigest", S3_AGAIN, REASON_NONE);
	judged(400, "RequestTimeout", S3_AGAIN, REASON_NONE);
	judged(400, "IncompleteBody", S3_AGAIN, REASON_NONE);
	judged(400, "ExpiredToken", S3_NEW_CREDENTIALS, REASON_STORE);
	judged(400, "IDPCommunicationError", S3_AGAIN, REASON_NONE);
	judged(403, "RequestTimeTooSkewed", S3_FINAL, REASON_STORE);
	judged(403, "SignatureDoesNotMatch", S3_BAD_CREDENTIALS, REASON_STORE);
	judged(403, "", S3_BAD_CREDENTIALS, REASON_STORE);
	judged(404, "NoSuchKey", S3_FINAL, REASON_INTEGRITY);
	judged(404, "NoSuchBucket", S3_FINAL, REASON_STORE);
	judged(409, "ConditionalRequestConflict", S3_AGAIN, REASON_NONE);
	judged(412, "PreconditionFailed", S3_FINAL, REASON_NONE);
	judged(418, "NeverHeardOf", S3_FINAL, REASON_STORE);
	judged(500, "InternalError", S3_AGAIN, REASON_NONE);
	judged(500, "NeverHeardOf", S3_AGAIN, REASON_NONE);
	judged(503, "SlowDown", S3_AGAIN_SLOWLY, REASON_NONE);
	judged(429, "", S3_AGAIN_SLOWLY, REASON_NONE);
	judged(301, "PermanentRedirect", S3_FINAL, REASON_STORE);
	judged(307, "", S3_FINAL, REASON_STORE);
	judged(200, "InternalError", S3_AGAIN, REASON_NONE);
	ok(rule_of(200, NULL, "<CompleteMultipartUploadResult/>", &error) == NULL,
	   "200 without an error is none");
	ok(rule_of(200, NULL, "  \n <Error><Code>SlowDown</Code></Error>", &error) != NULL,
	   "200 with white space first");
	ok(rule_of(200, NULL, " \n\n <?xml version=\"1.0\"?>\n<Error><Code>SlowDown</Code></Error>", &error) !=
		   NULL,
	   "also before a declaration");
	rule = rule_of(404, NULL, "<html><body>Not found<br></body></html>", &error);
	ok(rule && strstr(rule->advice, "does not speak S3"),
	   "a web server's page is told from a store's answer");
	rule = rule_of(200, "Content-Type: text/html; charset=utf-8\r\n", "<html></html>", &error);
	ok(rule && strstr(rule->advice, "does not speak S3"), "also under a status of 200");
	rule = rule_of(200, "content-type: text/html\r\ncontent-length: 7\r\n", NULL, &error);
	ok(rule && strstr(rule->advice, "does not speak S3"), "also where it was only asked for its length");
	ok(rule_of(200, "content-type: text/html\r\ncontent-length: 0\r\n", NULL, &error) == NULL,
	   "an answer without a body may have any type");
	rule = rule_of(503, "content-type: text/html\r\n", "<html></html>", &error);
	ok(rule && rule->verdict == S3_AGAIN_SLOWLY, "a balancer's page about a store in trouble is none");
	rule = rule_of(302, "location: https://login.example/\r\n", "<html></html>", &error);
	ok(rule && strstr(rule->advice, "another address"), "a redirect is no region's");
	rule_of(301, "HTTP/1.1 301 x\r\nX-Amz-Bucket-Region: eu-central-1\r\nx-amz-request-id:  R1 \r\n\r\n",
			NULL, &error);
	is_string(error.region, "eu-central-1", "the region from a header, in any case");
	is_string(error.request_id, "R1", "the request's id");
}

static void
waiting(void)
{
	HttpAnswer none = {0};
	HttpAnswer asks = {.headers = "HTTP/1.1 503 x\r\nRetry-After: 3\r\n"};
	HttpAnswer asks_too_much = {.headers = "Retry-After: 999999999999\r\n"};
	HttpAnswer asks_by_date = {.headers = "Date: Thu, 26 Nov 2026 02:00:00 GMT\r\n"
										  "Retry-After: Thu, 26 Nov 2026 02:00:07 GMT\r\n"};
	HttpAnswer asks_in_vain = {.headers = "Date: Thu, 26 Nov 2026 02:00:00 GMT\r\n"
										  "Retry-After: Thu, 26 Nov 2026 01:00:00 GMT\r\n"};
	bool	   within = true;
	bool	   differs = false;
	int64_t	   first = s3_backoff(S3_AGAIN, 5, &none);

	for (int i = 0; i < 100; i++)
	{
		int64_t wait = s3_backoff(S3_AGAIN, 5, &none);

		within = within && wait > 0 && wait <= INT64_C(1600000000);
		differs = differs || wait != first;
	}
	ok(within && differs, "the fifth try waits up to 1.6 s, by chance");
	ok(s3_backoff(S3_AGAIN, 100, &none) <= INT64_C(20000000001), "and never longer than 20 s");
	ok(s3_backoff(S3_AGAIN, 1, &asks) >= INT64_C(3000000000), "Retry-After is honoured");
	ok(s3_backoff(S3_AGAIN, 1, &asks_by_date) >= INT64_C(6000000000) &&
		   s3_backoff(S3_AGAIN, 1, &asks_by_date) <= INT64_C(8200000000),
	   "also as a date, by the store's clock");
	ok(s3_backoff(S3_AGAIN, 1, &asks_in_vain) <= INT64_C(100000001),
	   "a date that has passed asks for nothing");
	ok(s3_backoff(S3_AGAIN, 1, &asks_too_much) <= INT64_C(61000000000), "up to a minute");
}

static bool
count(void *context, const char *path, const char *text)
{
	(void) path;
	(void) text;
	(*(int *) context)++;
	return true;
}

static bool
parses(const char *text)
{
	int elements = 0;

	return s3_xml_parse(text, strlen(text), count, &elements);
}

static void
hostile_xml(void)
{
	char  deep[4096] = "";
	char *fat = malloc(S3_XML_MAX_TEXT + 100);

	ok(parses("<a xmlns=\"x\"><b>1 &lt; 2</b></a>"), "plain XML is read");
	ok(!parses("<!DOCTYPE a [<!ENTITY b \"bb\">]><a>&b;</a>"), "a document type is refused");
	ok(!parses("<!DOCTYPE a SYSTEM \"file:///etc/passwd\"><a/>"), "also one from elsewhere");
	ok(!parses("<a>&undefined;</a>"), "an entity that nobody defined is refused");
	ok(!parses("<a><b></a>") && !parses("") && !parses("plain"), "what is not XML is refused");
	for (int i = 0; i < 17; i++)
		strcat(deep, "<a>");
	for (int i = 0; i < 17; i++)
		strcat(deep, "</a>");
	ok(!parses(deep), "nesting deeper than 16 is refused");
	memset(fat, 'x', S3_XML_MAX_TEXT + 100);
	memcpy(fat, "<a>", 3);
	strcpy(fat + 3 + S3_XML_MAX_TEXT + 1, "</a>");
	ok(!parses(fat), "a text that is too long is refused");
	strcpy(fat + 3 + S3_XML_MAX_TEXT, "</a>");
	ok(parses(fat), "the longest is read");
	free(fat);
}

int
main(void)
{
	codes();
	waiting();
	hostile_xml();
	return done_testing();
}
