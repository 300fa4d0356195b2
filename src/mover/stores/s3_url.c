/*
 * s3_url.c
 *	  s3://bucket/prefix?option=value&...
 *
 * One table names every option, what it may be, and where it goes; defaults that
 * depend on others (endpoint, style, growth) are worked out when all are known.
 */
#include "stores/s3_url.h"

#include <errno.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include "stores/buffer.h"
#include "stores/s3_authority.h"
#include "stores/s3_encode.h"
#include "text.h"

#define REGION_CHARACTERS "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-"

/* What the options say, before defaults that depend on each other. */
typedef struct Parsing
{
	S3Url *url;
	char  *endpoint;
	char  *style;
	char  *checksum;
	char  *payload;
	char  *part_growth;
	char  *if_none_match;
} Parsing;

typedef enum OptionKind
{
	OPTION_TEXT,  /* a text of Parsing */
	OPTION_VALUE, /* a text of S3Url that becomes a header's value */
	OPTION_NUMBER /* a number of S3Url */
} OptionKind;

typedef struct Option
{
	const char *name;
	OptionKind	kind;
	size_t		offset;
	const char *choices; /* "|a|b|", NULL: any text */
	int64_t		lowest;
	int64_t		highest;
} Option;

#define TEXT(field, choices)		   OPTION_TEXT, offsetof(Parsing, field), choices, 0, 0
#define VALUE(field, choices)		   OPTION_VALUE, offsetof(S3Url, field), choices, 0, 0
#define NUMBER(field, lowest, highest) OPTION_NUMBER, offsetof(S3Url, field), NULL, lowest, highest

static const Option options[] = {
	{"endpoint", TEXT(endpoint, NULL)},
	{"region", VALUE(region, NULL)},
	{"style", TEXT(style, "|path|virtual|")},
	{"checksum", TEXT(checksum, "|sha256|md5|none|")},
	{"payload", TEXT(payload, "|signed|unsigned|")},
	{"part_size", NUMBER(part_size, S3_MIN_PART_BYTES, S3_MAX_PART_BYTES)},
	{"part_growth", TEXT(part_growth, "|yes|no|")},
	{"parallel", NUMBER(parallel, 1, 32)},
	{"if_none_match", TEXT(if_none_match, "|yes|no|")},
	{"sse", VALUE(sse, "|AES256|aws:kms|aws:kms:dsse|")},
	{"sse_kms_key_id", VALUE(sse_kms_key_id, NULL)},
	{"storage_class", VALUE(storage_class, NULL)},
	{"lock", VALUE(lock, "|GOVERNANCE|COMPLIANCE|")},
	{"lock_days", NUMBER(lock_days, 1, 36500)},
	{"tries", NUMBER(tries, 1, 100)},
	{"retry_time", NUMBER(retry_time, 1, 3600)},
	{"connect_timeout", NUMBER(connect_timeout, 1, 300)},
	{"min_speed", NUMBER(min_speed, 1, S3_MAX_PART_BYTES)},
	{"min_speed_time", NUMBER(min_speed_time, 1, 3600)},
};

static bool
keep(char **where, const char *text, size_t length, Failure *failure)
{
	free(*where);
	*where = strndup(text, length);
	return *where || failure_no_memory(failure);
}

/* Digits, then nothing, KiB, MiB or GiB; -1: neither. */
static int64_t
parse_number(const char *text)
{
	static const struct
	{
		const char *suffix;
		int64_t		factor;
	} units[] = {{"", 1}, {"KiB", 1024}, {"MiB", S3_MIB}, {"GiB", 1024 * S3_MIB}};
	char	 *end;
	long long number;

	errno = 0;
	number = strtoll(text, &end, 10);
	if (text[0] < '0' || text[0] > '9' || errno != 0)
		return -1;
	for (size_t i = 0; i < sizeof(units) / sizeof(units[0]); i++)
		if (strcmp(end, units[i].suffix) == 0 && number <= INT64_MAX / units[i].factor)
			return number * units[i].factor;
	return -1;
}

/* Printable ASCII: it goes into a header. */
static bool
is_header_value(const char *text)
{
	if (text[0] == '\0')
		return false;
	for (const char *c = text; *c; c++)
		if (*c < '!' || *c > '~')
			return false;
	return true;
}

static bool
is_choice(const char *choices, const char *value)
{
	const char *at = choices;
	size_t		length = strlen(value);

	if (length == 0 || strchr(value, '|'))
		return false;
	while ((at = strstr(at, value)) != NULL)
	{
		if (at[-1] == '|' && at[length] == '|')
			return true;
		at++;
	}
	return false;
}

static bool
set_option(Parsing *parsing, const Option *option, const char *value, Failure *failure)
{
	char   *base = option->kind == OPTION_TEXT ? (char *) parsing : (char *) parsing->url;
	int64_t number;

	if (option->kind == OPTION_NUMBER)
	{
		number = parse_number(value);
		if (number < option->lowest || number > option->highest)
			return failure_set(failure, REASON_CONFIG,
							   "store URL: %s=%s: a number from %lld to %lld is wanted", option->name, value,
							   (long long) option->lowest, (long long) option->highest);
		*(int64_t *) (base + option->offset) = number;
		return true;
	}
	if (!is_header_value(value) || (option->choices && !is_choice(option->choices, value)))
		return failure_set(failure, REASON_CONFIG, "store URL: %s=%s: %s%s", option->name, value,
						   option->choices ? "one of these is wanted: "
										   : "plain text without blanks is wanted",
						   option->choices ? option->choices : "");
	return keep((char **) (base + option->offset), value, strlen(value), failure);
}

static bool
parse_option(Parsing *parsing, char *text, uint32_t *given, Failure *failure)
{
	char *equals = strchr(text, '=');

	if (!equals || !s3_uri_decode(equals + 1, false))
		return failure_set(failure, REASON_CONFIG,
						   "store URL: \"%s\": an option is name=value, percent-encoded", text);
	*equals = '\0';
	for (size_t i = 0; i < sizeof(options) / sizeof(options[0]); i++)
	{
		if (strcmp(options[i].name, text) != 0)
			continue;
		if (*given & (UINT32_C(1) << i))
			return failure_set(failure, REASON_CONFIG, "store URL: option \"%s\" is given twice", text);
		*given |= UINT32_C(1) << i;
		return set_option(parsing, &options[i], equals + 1, failure);
	}
	return failure_set(
		failure, REASON_CONFIG,
		"store URL: there is no option \"%s\" (docs/stores.md lists them; credentials do not belong here)",
		text);
}

static bool
parse_options(Parsing *parsing, const char *query, Failure *failure)
{
	char	*copy = strdup(query);
	char	*position = copy;
	char	*option;
	uint32_t given = 0;
	bool	 parsed = true;

	if (!copy)
		return failure_no_memory(failure);
	while (parsed && (option = strsep(&position, "&")) != NULL)
		parsed = option[0] == '\0' || parse_option(parsing, option, &given, failure);
	free(copy);
	return parsed;
}

static bool
is_bucket_name(const char *name)
{
	size_t length = strlen(name);

	return length >= 3 && length <= 63 && name[0] != '.' && name[0] != '-' &&
		   strspn(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.-_") == length;
}

/* A name that a certificate for *.host covers and that DNS takes. */
static bool
is_host_label(const char *name)
{
	return strspn(name, "abcdefghijklmnopqrstuvwxyz0123456789-") == strlen(name);
}

static bool
is_prefix(const char *prefix)
{
	const char *segment = prefix;

	for (const char *c = prefix; *c; c++)
		if ((unsigned char) *c < ' ' || *c == 0x7f)
			return false;
	while (*segment)
	{
		size_t length = strcspn(segment, "/");

		if (length == 0 || (length == 1 && segment[0] == '.') ||
			(length == 2 && segment[0] == '.' && segment[1] == '.'))
			return false;
		segment += length;
		segment += *segment == '/';
	}
	/* A key has 1024 bytes, of UTF-8: what is none some stores take, and then never list. */
	return strlen(prefix) <= 700 && text_is_utf8(prefix);
}

static bool
parse_bucket_and_prefix(S3Url *url, const char *text, size_t length, Failure *failure)
{
	const char *slash = memchr(text, '/', length);
	size_t		bucket_length = slash ? (size_t) (slash - text) : length;
	char	   *prefix;

	if (memchr(text, '@', bucket_length) || memchr(text, ':', bucket_length))
		return failure_set(
			failure, REASON_CONFIG,
			"store URL: credentials do not belong here; see docs/stores.md on where they come from");
	if (!keep(&url->bucket, text, bucket_length, failure))
		return false;
	if (!is_bucket_name(url->bucket))
		return failure_set(failure, REASON_CONFIG, "store URL: \"%s\" is no bucket's name", url->bucket);
	/* Room for the '/' at its end. */
	prefix = calloc(1, length - bucket_length + 2);
	if (!prefix)
		return failure_no_memory(failure);
	if (slash)
		memcpy(prefix, slash + 1, length - bucket_length - 1);
	url->prefix = prefix;
	if (!s3_uri_decode(prefix, false) || !is_prefix(prefix))
		return failure_set(
			failure, REASON_CONFIG,
			"store URL: the prefix must be percent-encoded UTF-8, without empty, '.' or '..' segments and "
			"control characters, at most 700 bytes");
	if (prefix[0] != '\0' && prefix[strlen(prefix) - 1] != '/')
		strcat(prefix, "/");
	return true;
}

/* https://host:port/path, the path without '/' at its end; ports that go without saying are dropped. */
static bool
parse_endpoint(S3Url *url, const char *endpoint, Failure *failure)
{
	const char *authority;
	const char *default_port;
	size_t		length;
	size_t		path_length;

	url->https = strncmp(endpoint, "https://", 8) == 0;
	if (!url->https && strncmp(endpoint, "http://", 7) != 0)
		return failure_set(failure, REASON_CONFIG, "store URL: endpoint=%s: it begins with https://",
						   endpoint);
	authority = endpoint + (url->https ? 8 : 7);
	length = strcspn(authority, "/?#");
	path_length = strlen(authority + length);
	while (path_length > 0 && authority[length + path_length - 1] == '/')
		path_length--;
	if (strpbrk(authority, "?#@") || !keep(&url->base_path, authority + length, path_length, failure) ||
		!keep(&url->authority, authority, length, failure))
		return failure_set(failure, REASON_CONFIG,
						   "store URL: endpoint=%s: only host, port and path may stand here", endpoint);
	if (!s3_authority_is_legal(url->authority))
		return failure_set(failure, REASON_CONFIG, "store URL: endpoint=%s: this is no host and port",
						   endpoint);
	default_port = url->https ? ":443" : ":80";
	if (length > strlen(default_port) &&
		strcmp(url->authority + length - strlen(default_port), default_port) == 0)
		url->authority[length - strlen(default_port)] = '\0';
	return true;
}

static bool
ends_with(const char *text, const char *end)
{
	size_t length = strlen(text);
	size_t end_length = strlen(end);

	return length >= end_length && strcmp(text + length - end_length, end) == 0;
}

/*
 * What the URL says, else the environment.  It becomes part of a host's name, to which
 * credentials go: nothing in it may end that name.
 */
static bool
settle_region(S3Url *url, Failure *failure)
{
	const char *region = url->region;

	if (!region)
		region = getenv("AWS_REGION");
	if (!region || region[0] == '\0')
		region = getenv("AWS_DEFAULT_REGION");
	if (!region || region[0] == '\0')
		region = "us-east-1";
	if (strspn(region, REGION_CHARACTERS) != strlen(region))
		return failure_set(
			failure, REASON_CONFIG,
			"store URL: region=%s (or AWS_REGION, AWS_DEFAULT_REGION): letters, digits and ._- "
			"are wanted",
			region);
	return url->region || keep(&url->region, region, strlen(region), failure);
}

/* The endpoint, and what depends on it. */
static bool
settle_address(Parsing *parsing, bool allow_http, Failure *failure)
{
	S3Url *url = parsing->url;
	Buffer amazon = {0};
	bool   is_amazon;

	if (!settle_region(url, failure))
		return false;
	if (!parsing->endpoint)
	{
		buffer_format(&amazon, "https://s3.%s.amazonaws.com%s", url->region,
					  strncmp(url->region, "cn-", 3) == 0 ? ".cn" : "");
		parsing->endpoint = buffer_take(&amazon, failure);
	}
	if (!parsing->endpoint || !parse_endpoint(url, parsing->endpoint, failure))
		return false;
	if (!url->https && !allow_http && !s3_authority_is_loopback(url->authority))
		return failure_set(
			failure, REASON_CONFIG,
			"store URL: endpoint=%s: without TLS only to this host itself, unless the setting allow_http "
			"allows it",
			parsing->endpoint);
	is_amazon = ends_with(url->authority, ".amazonaws.com") || ends_with(url->authority, ".amazonaws.com.cn");
	if (parsing->style)
		url->virtual_host = strcmp(parsing->style, "virtual") == 0;
	else
		url->virtual_host = is_amazon && is_host_label(url->bucket);
	if (url->virtual_host && !is_host_label(url->bucket))
		return failure_set(
			failure, REASON_CONFIG,
			"store URL: style=virtual: bucket \"%s\" cannot be part of a host's name; use style=path",
			url->bucket);
	if (url->virtual_host && s3_authority_is_address(url->authority))
		return failure_set(
			failure, REASON_CONFIG,
			"store URL: style=virtual: endpoint=%s is an address, and a bucket's name can stand "
			"before a name alone; use style=path",
			parsing->endpoint);
	/* Cloudflare wants parts of one length. */
	if (parsing->part_growth)
		url->part_growth = strcmp(parsing->part_growth, "yes") == 0;
	else
		url->part_growth = !ends_with(url->authority, ".r2.cloudflarestorage.com");
	return true;
}

static bool
settle_protection(Parsing *parsing, Failure *failure)
{
	S3Url *url = parsing->url;

	if (parsing->checksum && strcmp(parsing->checksum, "md5") == 0)
		url->checksum = S3_CHECKSUM_MD5;
	else if (parsing->checksum && strcmp(parsing->checksum, "none") == 0)
		url->checksum = S3_CHECKSUM_NONE;
	url->unsigned_payload = parsing->payload && strcmp(parsing->payload, "unsigned") == 0;
	url->if_none_match = !parsing->if_none_match || strcmp(parsing->if_none_match, "yes") == 0;
	if (url->unsigned_payload && !url->https)
		return failure_set(failure, REASON_CONFIG, "store URL: payload=unsigned is for https only");
	if (url->unsigned_payload && url->checksum == S3_CHECKSUM_NONE)
		return failure_set(
			failure, REASON_CONFIG,
			"store URL: payload=unsigned with checksum=none would let a changed byte pass unseen");
	if (url->lock_days > 0 && !url->lock)
		return failure_set(failure, REASON_CONFIG, "store URL: lock_days wants lock=");
	if (url->lock && url->checksum == S3_CHECKSUM_NONE)
		return failure_set(failure, REASON_CONFIG,
						   "store URL: object lock wants a checksum with each upload");
	if (url->sse_kms_key_id && (!url->sse || strncmp(url->sse, "aws:kms", 7) != 0))
		return failure_set(failure, REASON_CONFIG, "store URL: sse_kms_key_id wants sse=aws:kms");
	return true;
}

bool
s3_url_parse(S3Url *parsed, const char *url, bool allow_http, Failure *failure)
{
	Parsing		parsing = {.url = parsed};
	const char *query = strchr(url, '?');
	size_t		length = query ? (size_t) (query - url) : strlen(url);
	bool		fine;

	*parsed = (S3Url){.parallel = 4,
					  .tries = 8,
					  .retry_time = 100,
					  .connect_timeout = 10,
					  .min_speed = 1024,
					  .min_speed_time = 30};
	if (strncmp(url, "s3://", 5) != 0 || strchr(url, '#'))
		return failure_set(failure, REASON_CONFIG, "store URL: s3://bucket/prefix?option=value is wanted");
	fine = parse_bucket_and_prefix(parsed, url + 5, length - 5, failure) &&
		   parse_options(&parsing, query ? query + 1 : "", failure) &&
		   settle_address(&parsing, allow_http, failure) && settle_protection(&parsing, failure);
	free(parsing.endpoint);
	free(parsing.style);
	free(parsing.checksum);
	free(parsing.payload);
	free(parsing.part_growth);
	free(parsing.if_none_match);
	if (!fine)
		s3_url_free(parsed);
	return fine;
}

void
s3_url_free(S3Url *parsed)
{
	free(parsed->bucket);
	free(parsed->prefix);
	free(parsed->authority);
	free(parsed->base_path);
	free(parsed->region);
	free(parsed->sse);
	free(parsed->sse_kms_key_id);
	free(parsed->storage_class);
	free(parsed->lock);
	*parsed = (S3Url){0};
}

char *
s3_url_path(const S3Url *url, const char *key, Failure *failure)
{
	Buffer path = {0};

	buffer_text(&path, url->base_path);
	buffer_text(&path, "/");
	if (!url->virtual_host)
	{
		s3_uri_encode(&path, url->bucket, false);
		if (key)
			buffer_text(&path, "/");
	}
	if (key)
	{
		s3_uri_encode(&path, url->prefix, true);
		s3_uri_encode(&path, key, true);
	}
	return buffer_take(&path, failure);
}

char *
s3_url_host(const S3Url *url, Failure *failure)
{
	Buffer host = {0};

	if (url->virtual_host)
		buffer_format(&host, "%s.", url->bucket);
	buffer_text(&host, url->authority);
	return buffer_take(&host, failure);
}
