/*
 * s3_url_test.c
 *	  Addresses of buckets: every option, what is refused, and the paths and hosts that come of it;
 *	  how an object is cut into parts.
 */
#include <stdlib.h>

#include "stores/s3_authority.h"
#include "stores/s3_parts.h"
#include "stores/s3_url.h"
#include "tap.h"

static void
addressed(const char *text, const char *host, const char *path)
{
	S3Url	url;
	Failure failure = {0};
	char   *got;

	if (!ok(s3_url_parse(&url, text, false, &failure), "%s is taken", text))
	{
		printf("# %s\n", failure.detail);
		return;
	}
	got = s3_url_host(&url, &failure);
	is_string(got, host, "its host");
	free(got);
	got = s3_url_path(&url, "t/a b+c%~.gz", &failure);
	is_string(got, path, "its path");
	free(got);
	s3_url_free(&url);
}

static void
refused(const char *text, const char *because)
{
	S3Url	url;
	Failure failure = {0};

	if (!ok(!s3_url_parse(&url, text, false, &failure) && failure.reason == REASON_CONFIG &&
				strstr(failure.detail, because),
			"%s is refused: %s", text, because))
		printf("# %s\n", failure.detail);
}

static void
addresses(void)
{
	addressed("s3://bucket", "bucket.s3.us-east-1.amazonaws.com", "/t/a%20b%2Bc%25~.gz");
	addressed("s3://bucket/a/b?region=eu-west-1", "bucket.s3.eu-west-1.amazonaws.com",
			  "/a/b/t/a%20b%2Bc%25~.gz");
	addressed("s3://with.dots?region=eu-west-1", "s3.eu-west-1.amazonaws.com",
			  "/with.dots/t/a%20b%2Bc%25~.gz");
	addressed("s3://bucket?region=cn-north-1", "bucket.s3.cn-north-1.amazonaws.com.cn",
			  "/t/a%20b%2Bc%25~.gz");
	addressed("s3://bucket/?endpoint=https://minio.example:9000/", "minio.example:9000",
			  "/bucket/t/a%20b%2Bc%25~.gz");
	addressed("s3://bucket/p?endpoint=https://gate.example/s3/&style=virtual", "bucket.gate.example",
			  "/s3/p/t/a%20b%2Bc%25~.gz");
	addressed("s3://bucket/%2B%25%3D%7E%20%C3%A9/?endpoint=https%3A%2F%2Fx.example%3A443", "x.example",
			  "/bucket/%2B%25%3D~%20%C3%A9/t/a%20b%2Bc%25~.gz");
	addressed("s3://bucket?endpoint=http://[::1]:9000", "[::1]:9000", "/bucket/t/a%20b%2Bc%25~.gz");
	addressed("s3://bucket?endpoint=http://127.0.0.1:80", "127.0.0.1", "/bucket/t/a%20b%2Bc%25~.gz");
}

static void
bad_addresses(void)
{
	refused("s3:/bucket", "s3://bucket/prefix");
	refused("s3://b", "no bucket's name");
	refused("s3://key:secret@bucket", "credentials do not belong here");
	refused("s3://bucket?secret_key=x", "no option \"secret_key\"");
	refused("s3://bucket?region=a&region=b", "twice");
	refused("s3://bucket?region=", "plain text");
	refused("s3://bucket?region=a%0Ab", "plain text");
	refused("s3://bucket?region=elsewhere.example/", "letters, digits and ._-");
	refused("s3://bucket?region=x%40elsewhere.example&endpoint=https://minio.example", "letters, digits");
	refused("s3://bucket?region", "name=value");
	refused("s3://bucket?region=%zz", "name=value");
	refused("s3://bucket?style=dns", "|path|virtual|");
	refused("s3://bucket?style=path%7Cvirtual", "|path|virtual|");
	refused("s3://with.dots?style=virtual", "use style=path");
	refused("s3://bucket?style=virtual&endpoint=https://192.0.2.1:9000", "is an address");
	refused("s3://bucket?style=virtual&endpoint=https://[2001:db8::1]", "is an address");
	refused("s3://bucket?endpoint=ftp://x", "https://");
	refused("s3://bucket?endpoint=https://user@x", "only host, port and path");
	refused("s3://bucket?endpoint=https://x:99999", "no host and port");
	refused("s3://bucket?endpoint=https://[1::2::3]", "no host and port");
	refused("s3://bucket?endpoint=https://[::1]58080", "no host and port");
	refused("s3://bucket?endpoint=http://minio.example", "without TLS");
	refused("s3://bucket?endpoint=http://127.0.0.1.example", "without TLS");
	refused("s3://bucket?parallel=0", "from 1 to 32");
	refused("s3://bucket?part_size=1MiB", "from 5242880");
	refused("s3://bucket?part_size=16MB", "a number");
	refused("s3://bucket?payload=unsigned&endpoint=http://localhost", "https only");
	refused("s3://bucket?payload=unsigned&checksum=none", "unseen");
	refused("s3://bucket?lock_days=3", "lock_days wants lock=");
	refused("s3://bucket?sse_kms_key_id=x", "aws:kms");
	refused("s3://bucket/a//b", "prefix");
	refused("s3://bucket/../b", "prefix");
	refused("s3://bucket/a%00b", "prefix");
	refused("s3://bucket/a%0Ab", "prefix");
	refused("s3://bucket/a%FFb", "prefix");
	refused("s3://bucket#x", "s3://bucket/prefix");
	ok(!s3_authority_is_loopback("localhost.example"),
	   "a name that only begins like localhost is not loopback");
	ok(s3_authority_is_loopback("127.9.9.9:80") && s3_authority_is_loopback("[::1]"), "127/8 and ::1 are");
}

/* The region also leads to STS, which gets a token. */
static void
region_of_environment(void)
{
	setenv("AWS_DEFAULT_REGION", "eu-west-3", 1);
	addressed("s3://bucket", "bucket.s3.eu-west-3.amazonaws.com", "/t/a%20b%2Bc%25~.gz");
	setenv("AWS_REGION", "eu-west-2", 1);
	addressed("s3://bucket", "bucket.s3.eu-west-2.amazonaws.com", "/t/a%20b%2Bc%25~.gz");
	setenv("AWS_REGION", "elsewhere.example/", 1);
	refused("s3://bucket", "AWS_REGION");
	setenv("AWS_REGION", "", 1);
	addressed("s3://bucket", "bucket.s3.eu-west-3.amazonaws.com", "/t/a%20b%2Bc%25~.gz");
	unsetenv("AWS_REGION");
	unsetenv("AWS_DEFAULT_REGION");
}

static void
options(void)
{
	S3Url	url;
	Failure failure = {0};

	ok(s3_url_parse(
		   &url,
		   "s3://bucket?checksum=md5&part_size=64MiB&part_growth=no&parallel=7&if_none_match=no&sse=aws:kms&"
		   "sse_kms_key_id=k&storage_class=STANDARD_IA&lock=COMPLIANCE&lock_days=30&tries=3&retry_time=9&"
		   "connect_timeout=4&min_speed=5KiB&min_speed_time=6&payload=unsigned",
		   false, &failure),
	   "all options at once");
	ok(url.checksum == S3_CHECKSUM_MD5 && url.unsigned_payload && !url.if_none_match && !url.part_growth,
	   "choices are taken");
	is_int(url.part_size, 64 * S3_MIB, "part_size");
	is_int(url.parallel * 1000 + url.tries * 100 + url.retry_time * 10 + url.connect_timeout, 7394,
		   "numbers");
	is_int(url.min_speed * 10 + url.min_speed_time, 51206, "speeds");
	ok(strcmp(url.sse, "aws:kms") == 0 && strcmp(url.sse_kms_key_id, "k") == 0 &&
		   strcmp(url.storage_class, "STANDARD_IA") == 0 && strcmp(url.lock, "COMPLIANCE") == 0 &&
		   url.lock_days == 30,
	   "texts");
	s3_url_free(&url);
	ok(s3_url_parse(&url, "s3://bucket?endpoint=https://id.r2.cloudflarestorage.com", false, &failure) &&
		   !url.part_growth && !url.virtual_host,
	   "Cloudflare's parts are of one size");
	s3_url_free(&url);
	ok(s3_url_parse(&url, "s3://bucket?endpoint=http://minio.example", true, &failure),
	   "allow_http allows http");
	s3_url_free(&url);
}

static void
parts(void)
{
	S3Url	   url = {.part_growth = true};
	S3PartPlan plan;
	Failure	   failure = {0};

	ok(s3_part_plan(&plan, &url, -1, &failure) && plan.size == 8 * S3_MIB, "8 MiB where nothing is expected");
	is_int(s3_part_capacity(&plan), S3_MAX_OBJECT_BYTES, "and yet 5 TiB are possible");
	is_int(s3_part_size(&plan, 5000), 8 * S3_MIB, "uniform up to part 5,000");
	is_int(s3_part_size(&plan, 5001), 16 * S3_MIB, "then growing");
	is_int(s3_part_size(&plan, 10001), 0, "no part 10,001");
	ok(s3_part_plan(&plan, &url, INT64_C(1) << 40, &failure) && plan.size * 5000 >= INT64_C(1) << 40,
	   "1 TiB fits before growth begins");
	ok(s3_part_plan(&plan, &url, S3_MAX_OBJECT_BYTES, &failure) && plan.size <= S3_MAX_PART_BYTES,
	   "5 TiB expected");
	ok(!s3_part_plan(&plan, &url, S3_MAX_OBJECT_BYTES + 1, &failure) && failure.reason == REASON_STORE,
	   "one byte more is refused");
	url.part_growth = false;
	failure = (Failure){0};
	ok(s3_part_plan(&plan, &url, INT64_C(1) << 40, &failure) && s3_part_capacity(&plan) >= INT64_C(2) << 40,
	   "without growth there is room for twice what is expected");
	is_int(s3_part_size(&plan, 1), s3_part_size(&plan, 10000), "and all parts are of one size");
	url.part_size = S3_MIN_PART_BYTES;
	ok(s3_part_plan(&plan, &url, S3_MIN_PART_BYTES * 10000, &failure), "exactly 10,000 parts");
	ok(!s3_part_plan(&plan, &url, S3_MIN_PART_BYTES * 10000 + 1, &failure) &&
		   strstr(failure.detail, "set a larger part_size="),
	   "10,001 would-be parts are refused before anything is sent");
}

int
main(void)
{
	unsetenv("AWS_REGION");
	unsetenv("AWS_DEFAULT_REGION");
	addresses();
	bad_addresses();
	region_of_environment();
	options();
	parts();
	return done_testing();
}
