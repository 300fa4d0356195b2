/*
 * s3_sign.c
 *	  AWS Signature Version 4.
 */
#include "stores/s3_sign.h"

#include <stdlib.h>
#include <string.h>

#include <openssl/crypto.h>

#include "stores/s3_encode.h"
#include "text.h"

void
s3_timestamp(time_t time, char timestamp[S3_TIMESTAMP_SIZE])
{
	struct tm utc;

	gmtime_r(&time, &utc);
	strftime(timestamp, S3_TIMESTAMP_SIZE, "%Y%m%dT%H%M%SZ", &utc);
}

static int
compare_fields(const void *a, const void *b)
{
	const S3Field *left = a;
	const S3Field *right = b;
	int			   order = strcmp(left->name, right->name);

	return order != 0 ? order : strcmp(left->value, right->value);
}

/* A sorted copy; NULL: failure. */
static S3Field *
sorted_copy(const S3Field *fields, size_t count, Failure *failure)
{
	S3Field *sorted = malloc((count > 0 ? count : 1) * sizeof(S3Field));

	if (!sorted)
	{
		failure_no_memory(failure);
		return NULL;
	}
	if (count > 0)
		memcpy(sorted, fields, count * sizeof(S3Field));
	qsort(sorted, count, sizeof(S3Field), compare_fields);
	return sorted;
}

char *
s3_query(const S3Field *parameters, size_t count, Failure *failure)
{
	Buffer	 query = {0};
	S3Field *sorted = sorted_copy(parameters, count, failure);

	if (!sorted)
		return NULL;
	for (size_t i = 0; i < count; i++)
	{
		if (i > 0)
			buffer_text(&query, "&");
		s3_uri_encode(&query, sorted[i].name, false);
		buffer_text(&query, "=");
		s3_uri_encode(&query, sorted[i].value, false);
	}
	free(sorted);
	return buffer_take(&query, failure);
}

/* "host;x-amz-date" */
static void
append_signed_names(Buffer *out, const S3Field *sorted, size_t count)
{
	for (size_t i = 0; i < count; i++)
	{
		if (i > 0)
			buffer_text(out, ";");
		buffer_text(out, sorted[i].name);
	}
}

/* Without the blanks around it, runs of blanks as one. */
static void
append_trimmed(Buffer *out, const char *value)
{
	bool pending = false;

	value += strspn(value, " \t");
	for (; *value; value++)
	{
		if (*value == ' ' || *value == '\t')
		{
			pending = true;
			continue;
		}
		if (pending)
			buffer_text(out, " ");
		pending = false;
		buffer_append(out, value, 1);
	}
}

static char *
canonical_request(const S3Signing *signing, const S3Field *sorted, Failure *failure)
{
	Buffer out = {0};

	buffer_format(&out, "%s\n%s\n%s\n", signing->method, signing->path, signing->query);
	for (size_t i = 0; i < signing->header_count; i++)
	{
		buffer_format(&out, "%s:", sorted[i].name);
		append_trimmed(&out, sorted[i].value);
		buffer_text(&out, "\n");
	}
	buffer_text(&out, "\n");
	append_signed_names(&out, sorted, signing->header_count);
	buffer_format(&out, "\n%s", signing->payload_sha256);
	return buffer_take(&out, failure);
}

static bool
hmac_text(const unsigned char *key, size_t key_length, const char *text, unsigned char mac[32])
{
	return s3_hmac_sha256(key, key_length, text, strlen(text), mac);
}

/* HMAC over date, region, service and a constant, each the key of the next; then over the text. */
static bool
signature_hex(const S3Signing *signing, const char *string_to_sign, char hex[S3_SHA256_HEX_SIZE],
			  Failure *failure)
{
	unsigned char key[32];
	char		  date[9] = {0};
	char		 *first;
	size_t		  first_length = 4 + strlen(signing->secret_key);
	bool		  signed_well;

	memcpy(date, signing->timestamp, 8);
	first = malloc(first_length + 1);
	if (!first)
		return failure_no_memory(failure);
	memcpy(first, "AWS4", 4);
	strcpy(first + 4, signing->secret_key);
	signed_well = hmac_text((unsigned char *) first, first_length, date, key) &&
				  hmac_text(key, sizeof(key), signing->region, key) &&
				  hmac_text(key, sizeof(key), signing->service, key) &&
				  hmac_text(key, sizeof(key), "aws4_request", key) &&
				  hmac_text(key, sizeof(key), string_to_sign, key);
	OPENSSL_clear_free(first, first_length + 1);
	if (signed_well)
		text_hex(key, sizeof(key), hex);
	OPENSSL_cleanse(key, sizeof(key));
	return signed_well ||
		   failure_set(failure, REASON_INTERNAL, "could not sign a request: HMAC-SHA256 failed");
}

char *
s3_sign(const S3Signing *signing, Failure *failure)
{
	S3Field		 *sorted = sorted_copy(signing->headers, signing->header_count, failure);
	char		 *canonical = sorted ? canonical_request(signing, sorted, failure) : NULL;
	char		 *string_to_sign = NULL;
	unsigned char digest[32];
	char		  hex[S3_SHA256_HEX_SIZE];
	char		 *authorization = NULL;
	Buffer		  out = {0};

	if (canonical && s3_sha256(canonical, strlen(canonical), digest))
	{
		text_hex(digest, sizeof(digest), hex);
		buffer_format(&out, "AWS4-HMAC-SHA256\n%s\n%.8s/%s/%s/aws4_request\n%s", signing->timestamp,
					  signing->timestamp, signing->region, signing->service, hex);
		string_to_sign = buffer_take(&out, failure);
	}
	else if (canonical)
		failure_set(failure, REASON_INTERNAL, "could not sign a request: SHA-256 failed");
	if (string_to_sign && signature_hex(signing, string_to_sign, hex, failure))
	{
		buffer_format(&out, "AWS4-HMAC-SHA256 Credential=%s/%.8s/%s/%s/aws4_request,SignedHeaders=",
					  signing->access_key, signing->timestamp, signing->region, signing->service);
		append_signed_names(&out, sorted, signing->header_count);
		buffer_format(&out, ",Signature=%s", hex);
		authorization = buffer_take(&out, failure);
	}
	free(string_to_sign);
	free(canonical);
	free(sorted);
	return authorization;
}
