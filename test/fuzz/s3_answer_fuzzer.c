/*
 * s3_answer_fuzzer.c
 *	  What a store that does not mean well may say: headers up to an empty line, then a body; and
 *	  the same bytes as a store's URL.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "stores/s3_error.h"
#include "stores/s3_url.h"
#include "stores/s3_xml.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static bool
check_element(void *context, const char *path, const char *text)
{
	size_t *longest = context;

	if (strlen(path) + strlen(text) > *longest)
		*longest = strlen(path) + strlen(text);
	return true;
}

static void
read_answer(char *text, size_t size)
{
	char	  *body = strstr(text, "\n\n");
	HttpAnswer answer = {.status = 200 + (int) (size % 400), .headers = text};
	S3Error	   error;
	size_t	   longest = 0;
	char	   value[16];

	if (body)
	{
		*body = '\0';
		answer.body = body + 2;
		answer.body_length = size - (size_t) (body + 2 - text);
	}
	s3_error_read(&answer, &error);
	if (!s3_error_rule(&answer, &error) || s3_backoff(S3_AGAIN, 3, &answer) <= 0)
		abort();
	s3_clock_skew(&answer);
	http_header(&answer, "etag", value, sizeof(value));
	s3_xml_parse(answer.body, answer.body_length, check_element, &longest);
	if (longest > 5000)
		abort();
}

static void
read_url(const char *text)
{
	S3Url	url;
	Failure failure = {0};
	char   *path;

	if (!s3_url_parse(&url, text, false, &failure))
	{
		if (failure.reason == REASON_NONE)
			abort();
		return;
	}
	path = s3_url_path(&url, "t/id.json", &failure);
	if (!path || path[0] != '/' || strpbrk(path, " \r\n?#"))
		abort();
	free(path);
	s3_url_free(&url);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char *text = malloc(size + 1);

	memcpy(text, data, size);
	text[size] = '\0';
	read_url(text);
	read_answer(text, size);
	free(text);
	return 0;
}
