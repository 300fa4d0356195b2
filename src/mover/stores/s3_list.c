/*
 * s3_list.c
 *	  What lies in a bucket that is ours.
 */
#include "stores/s3_list.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "cancel.h"
#include "object_key.h"
#include "stores/buffer.h"
#include "stores/s3_object.h"
#include "stores/s3_xml.h"
#include "utc.h"

#define PAGE_ENTRIES 1000
/* 1,000 keys of 1,024 bytes, each byte escaped, and what stands around them. */
#define MAX_PAGE_BYTES (8 * 1024 * 1024)

typedef struct Entry
{
	char   *key; /* as the answer has it */
	char   *upload_id;
	int64_t bytes;
	int64_t time;
} Entry;

/* One answer, to either question. */
typedef struct Page
{
	const char *entry_path; /* "ListBucketResult/Contents" */
	size_t		entry_path_length;
	Entry	   *entries;
	size_t		count;
	size_t		capacity;
	Entry		current;
	bool		url_encoded;
	bool		truncated;
	char	   *next_key; /* the token, or the key to go on after */
	char	   *next_upload;
	bool		no_memory;
} Page;

static void
free_entry(Entry *entry)
{
	free(entry->key);
	free(entry->upload_id);
	*entry = (Entry){0};
}

static void
free_page(Page *page)
{
	for (size_t i = 0; i < page->count; i++)
		free_entry(&page->entries[i]);
	free_entry(&page->current);
	free(page->entries);
	free(page->next_key);
	free(page->next_upload);
}

static void
keep_text(Page *page, char **where, const char *text)
{
	free(*where);
	*where = strdup(text);
	page->no_memory |= *where == NULL;
}

static int64_t
parse_time(const char *text)
{
	int64_t seconds;

	return utc_parse(text, &seconds) ? seconds : 0;
}

static void
end_entry(Page *page)
{
	Entry *entries = page->entries;

	if (!page->current.key)
	{
		free_entry(&page->current);
		return;
	}
	/* A store need not keep to the number that it was asked for. */
	if (page->count == page->capacity)
	{
		page->capacity = page->capacity > 0 ? 2 * page->capacity : PAGE_ENTRIES;
		entries = reallocarray(page->entries, page->capacity, sizeof(Entry));
		page->no_memory |= entries == NULL;
	}
	if (!entries)
		return;
	page->entries = entries;
	entries[page->count++] = page->current;
	page->current = (Entry){0};
}

static bool
take_element(void *context, const char *path, const char *text)
{
	Page	   *page = context;
	const char *name = strrchr(path, '/');

	if (strcmp(path, page->entry_path) == 0)
		end_entry(page);
	else if (strncmp(path, page->entry_path, page->entry_path_length) == 0 &&
			 path[page->entry_path_length] == '/')
	{
		name = path + page->entry_path_length + 1;
		if (strcmp(name, "Key") == 0)
			keep_text(page, &page->current.key, text);
		else if (strcmp(name, "UploadId") == 0)
			keep_text(page, &page->current.upload_id, text);
		else if (strcmp(name, "Size") == 0)
			page->current.bytes = strtoll(text, NULL, 10);
		else if (strcmp(name, "LastModified") == 0 || strcmp(name, "Initiated") == 0)
			page->current.time = parse_time(text);
	}
	else if (!name || strchr(path, '/') != name)
		return !page->no_memory;
	else if (strcmp(name, "/EncodingType") == 0)
		page->url_encoded = strcmp(text, "url") == 0;
	else if (strcmp(name, "/IsTruncated") == 0)
		page->truncated = strcmp(text, "true") == 0;
	else if (strcmp(name, "/NextContinuationToken") == 0 || strcmp(name, "/NextKeyMarker") == 0)
		keep_text(page, &page->next_key, text);
	else if (strcmp(name, "/NextUploadIdMarker") == 0)
		keep_text(page, &page->next_upload, text);
	return !page->no_memory;
}

/* Sends the request and reads the page; root: the element that the answer must have. */
static bool
read_page(S3Client *client, const S3Request *request, Page *page, Failure *failure)
{
	S3Answer answer;
	bool	 parsed;

	if (!s3_perform(client, request, &answer, failure))
		return false;
	parsed = s3_xml_parse(answer.http.body, answer.http.body_length, take_element, page);
	if (page->no_memory)
		failure_no_memory(failure);
	else if (!parsed || !memmem(answer.http.body, answer.http.body_length, page->entry_path,
								strcspn(page->entry_path, "/")))
		parsed = failure_set(
			failure, REASON_STORE,
			"what answers at the endpoint gave no list of bucket %s; check endpoint= in the store's URL",
			client->url.bucket);
	s3_answer_free(&answer);
	return parsed && !page->no_memory;
}

/* Is there another page?  One that cannot be asked for is a failure: half a list looks like a whole one. */
static bool
has_another(const S3Client *client, const Page *page, const char *key, const char *upload, Failure *failure)
{
	if (!page->truncated)
		return false;
	/* The same place twice would go round for ever. */
	if (!page->next_key || (key && strcmp(key, page->next_key) == 0 &&
							(!page->next_upload || (upload && strcmp(upload, page->next_upload) == 0))))
		return failure_set(failure, REASON_STORE,
						   "the store says that its list of bucket %s goes on, but not how: it is not whole",
						   client->url.bucket);
	return true;
}

/* The key relative to the store, where it is one of ours; NULL otherwise.  Points into the entry. */
static const char *
our_key(const S3Client *client, const Page *page, Entry *entry)
{
	size_t		prefix_length = strlen(client->url.prefix);
	const char *key;

	if (page->url_encoded && !s3_uri_decode(entry->key, true))
		return NULL;
	if (strncmp(entry->key, client->url.prefix, prefix_length) != 0)
		return NULL;
	key = entry->key + prefix_length;
	return object_key_is_safe(key) ? key : NULL;
}

bool
s3_list(S3Client *client, const char *prefix, StoreVisitor visitor, void *context, Failure *failure)
{
	Buffer full_prefix = {0};
	char  *token = NULL;
	bool   go_on = true;

	buffer_format(&full_prefix, "%s%s", client->url.prefix, prefix ? prefix : "");
	if (full_prefix.no_memory)
		return failure_no_memory(failure);
	while (go_on)
	{
		Page	  page = {.entry_path = "ListBucketResult/Contents"};
		S3Request request = {
			.what = "list",
			.when = REASON_STORE,
			.method = "GET",
			.parameters = {{"list-type", "2"}, {"encoding-type", "url"}, {"max-keys", "1000"}},
			.parameter_count = 3,
			.max_answer = MAX_PAGE_BYTES};

		page.entry_path_length = strlen(page.entry_path);
		s3_request_parameter(&request, "prefix", full_prefix.text);
		if (token)
			s3_request_parameter(&request, "continuation-token", token);
		go_on = read_page(client, &request, &page, failure);
		for (size_t i = 0; go_on && i < page.count; i++)
		{
			const char *key = our_key(client, &page, &page.entries[i]);

			go_on = !key || visitor(context, key, page.entries[i].bytes, page.entries[i].time, failure);
		}
		go_on = go_on && has_another(client, &page, token, NULL, failure);
		free(token);
		token = page.next_key;
		page.next_key = NULL;
		free_page(&page);
	}
	free(token);
	buffer_free(&full_prefix);
	return failure->reason == REASON_NONE;
}

bool
s3_list_uploads(S3Client *client, S3UploadVisitor visitor, void *context, Failure *failure)
{
	char *key_marker = NULL;
	char *upload_marker = NULL;
	bool  go_on = true;

	while (go_on)
	{
		Page	  page = {.entry_path = "ListMultipartUploadsResult/Upload"};
		S3Request request = {
			.what = "list the unfinished uploads of",
			.when = REASON_STORE,
			.method = "GET",
			.parameters = {{"uploads", ""}, {"encoding-type", "url"}, {"max-uploads", "1000"}},
			.parameter_count = 3,
			.max_answer = MAX_PAGE_BYTES};

		page.entry_path_length = strlen(page.entry_path);
		if (key_marker)
			s3_request_parameter(&request, "key-marker", key_marker);
		if (upload_marker)
			s3_request_parameter(&request, "upload-id-marker", upload_marker);
		go_on = read_page(client, &request, &page, failure);
		for (size_t i = 0; go_on && i < page.count; i++)
		{
			const char *key = our_key(client, &page, &page.entries[i]);

			if (key && page.entries[i].upload_id)
				go_on = visitor(context, key, page.entries[i].upload_id, page.entries[i].time, failure);
		}
		if (go_on && page.truncated && page.next_key && page.url_encoded)
			s3_uri_decode(page.next_key, true);
		go_on = go_on && has_another(client, &page, key_marker, upload_marker, failure);
		free(key_marker);
		free(upload_marker);
		key_marker = page.next_key;
		upload_marker = page.next_upload;
		page.next_key = page.next_upload = NULL;
		free_page(&page);
	}
	free(key_marker);
	free(upload_marker);
	return failure->reason == REASON_NONE;
}

typedef struct Unknown
{
	S3Client   *client;
	const char *key;
	const char *keep;
} Unknown;

static bool
abort_unknown(void *context, const char *key, const char *upload_id, int64_t begun, Failure *failure)
{
	const Unknown *unknown = context;

	(void) begun;
	if (strcmp(key, unknown->key) != 0 || (unknown->keep && strcmp(upload_id, unknown->keep) == 0))
		return true;
	return s3_object_abort(unknown->client, key, upload_id, cancel_requested(), failure);
}

bool
s3_abort_uploads(S3Client *client, const char *key, const char *keep, Failure *failure)
{
	Unknown unknown = {.client = client, .key = key, .keep = keep};

	return s3_list_uploads(client, abort_unknown, &unknown, failure);
}
