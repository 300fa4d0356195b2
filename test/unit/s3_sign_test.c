/*
 * s3_sign_test.c
 *	  Signature Version 4 against the examples that the Amazon S3 API Reference publishes,
 *	  and the encodings underneath against texts that hold what is special in a URI.
 */
#include <stdlib.h>

#include "stores/s3_encode.h"
#include "stores/s3_sign.h"
#include "tap.h"
#include "text.h"

#define EMPTY_SHA256 "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
#define HOST                                                                                                 \
	{                                                                                                        \
		"host", "examplebucket.s3.amazonaws.com"                                                             \
	}
#define DATE                                                                                                 \
	{                                                                                                        \
		"x-amz-date", "20130524T000000Z"                                                                     \
	}

static void
check(const char *method, const char *path, const S3Field *query, size_t query_count, const S3Field *headers,
	  size_t header_count, const char *payload, const char *expected)
{
	Failure	  failure = {0};
	char	 *query_text = s3_query(query, query_count, &failure);
	S3Signing signing = {.method = method,
						 .path = path,
						 .query = query_text,
						 .headers = headers,
						 .header_count = header_count,
						 .payload_sha256 = payload,
						 .timestamp = "20130524T000000Z",
						 .region = "us-east-1",
						 .service = "s3",
						 .access_key = "AKIAIOSFODNN7EXAMPLE",
						 .secret_key = "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"};
	char	 *authorization = s3_sign(&signing, &failure);

	is_string(authorization, expected, path);
	free(authorization);
	free(query_text);
}

static void
published_examples(void)
{
	static const char put_payload[] = "44ce7dd67c959e0d3524ffac1771dfbba87d2b6b4b4e99e42034a8b803f8b072";
	const S3Field	  get[] = {HOST, {"range", "bytes=0-9"}, {"x-amz-content-sha256", EMPTY_SHA256}, DATE};
	const S3Field	  put[] = {{"date", "Fri, 24 May 2013 00:00:00 GMT"},
							   HOST,
							   DATE,
							   {"x-amz-storage-class", "REDUCED_REDUNDANCY"},
							   {"x-amz-content-sha256", put_payload}};
	const S3Field	  plain[] = {HOST, {"x-amz-content-sha256", EMPTY_SHA256}, DATE};
	const S3Field	  lifecycle[] = {{"lifecycle", ""}};
	const S3Field	  list[] = {{"prefix", "J"}, {"max-keys", "2"}};

#define CREDENTIAL "AWS4-HMAC-SHA256 Credential=AKIAIOSFODNN7EXAMPLE/20130524/us-east-1/s3/aws4_request,"
	check("GET", "/test.txt", NULL, 0, get, 4, EMPTY_SHA256,
		  CREDENTIAL "SignedHeaders=host;range;x-amz-content-sha256;x-amz-date,"
					 "Signature=f0e8bdb87c964420e857bd35b5d6ed310bd44f0170aba48dd91039c6036bdb41");
	check("PUT", "/test%24file.text", NULL, 0, put, 5, put_payload,
		  CREDENTIAL "SignedHeaders=date;host;x-amz-content-sha256;x-amz-date;x-amz-storage-class,"
					 "Signature=98ad721746da40c64f1a55b78f14c238d841ea1380cd77a1b5971af0ece108bd");
	check("GET", "/", lifecycle, 1, plain, 3, EMPTY_SHA256,
		  CREDENTIAL "SignedHeaders=host;x-amz-content-sha256;x-amz-date,"
					 "Signature=fea454ca298b7da1c68078a5d1bdbfbbe0d65c699e0f91ac7a200a0136783543");
	check("GET", "/", list, 2, plain, 3, EMPTY_SHA256,
		  CREDENTIAL "SignedHeaders=host;x-amz-content-sha256;x-amz-date,"
					 "Signature=34b48302e7b5fa45bde8084f4b7868a86f0a534bc59db6670ed5711ef69dc6f7");
}

static void
encodings(void)
{
	Failure		  failure = {0};
	Buffer		  buffer = {0};
	char		 *text;
	char		  bad[][8] = {"%", "%4", "%zz", "a%00b"};
	unsigned char digest[32];
	char		  hex[S3_SHA256_HEX_SIZE];
	char		  base64[S3_DIGEST_BASE64_SIZE];
	char		  timestamp[S3_TIMESTAMP_SIZE];

	s3_uri_encode(&buffer, "a/b +%=~\xc3\xa9", true);
	text = buffer_take(&buffer, &failure);
	is_string(text, "a/b%20%2B%25%3D~%C3%A9", "a key keeps its slashes, all else is escaped");
	ok(s3_uri_decode(text, false), "and is decoded");
	is_string(text, "a/b +%=~\xc3\xa9", "to what it was");
	free(text);
	s3_uri_encode(&buffer, "up/load+id==", false);
	text = buffer_take(&buffer, &failure);
	is_string(text, "up%2Fload%2Bid%3D%3D", "a query's value has its slashes escaped");
	free(text);
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		ok(!s3_uri_decode(bad[i], false), "bad escape %zu is refused", i);
	text = strdup("a+b%2Bc");
	ok(s3_uri_decode(text, true), "a list's keys decode");
	is_string(text, "a b+c", "with their spaces");
	free(text);

	s3_sha256("Welcome to Amazon S3.", 21, digest);
	text_hex(digest, 32, hex);
	is_string(hex, "44ce7dd67c959e0d3524ffac1771dfbba87d2b6b4b4e99e42034a8b803f8b072", "sha256 in hex");
	s3_sha256("", 0, digest);
	s3_base64(digest, 32, base64);
	is_string(base64, "47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=", "sha256 in base64");
	s3_timestamp(1369353600, timestamp);
	is_string(timestamp, "20130524T000000Z", "a timestamp");
}

int
main(void)
{
	published_examples();
	encodings();
	return done_testing();
}
