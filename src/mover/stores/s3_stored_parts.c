/*
 * s3_stored_parts.c
 *	  What CompleteMultipartUpload has to name.
 */
#include "stores/s3_stored_parts.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "stores/buffer.h"

#define FIRST_CAPACITY 32

struct S3StoredPart
{
	char etag[S3_ETAG_SIZE];
	char checksum[S3_DIGEST_BASE64_SIZE];
};

static bool
make_room(S3StoredParts *stored, int64_t count, Failure *failure)
{
	int64_t		  capacity = stored->capacity > 0 ? stored->capacity : FIRST_CAPACITY;
	S3StoredPart *parts;

	if (count <= stored->capacity)
		return true;
	while (capacity < count)
		capacity *= 2;
	parts = realloc(stored->parts, (size_t) capacity * sizeof(S3StoredPart));
	if (!parts)
		return failure_no_memory(failure);
	stored->parts = parts;
	stored->capacity = capacity;
	return true;
}

bool
s3_stored_parts_keep(S3StoredParts *stored, const S3Part *part, Failure *failure)
{
	S3StoredPart *kept;

	if (!make_room(stored, part->number, failure))
		return false;
	kept = &stored->parts[part->number - 1];
	if (!http_header(&part->task.call.answer.http, "etag", kept->etag, sizeof(kept->etag)))
		return failure_set(failure, REASON_STORE, "the store took a part without giving it an ETag");
	snprintf(kept->checksum, sizeof(kept->checksum), "%s", part->task.call.checksum);
	return true;
}

char *
s3_stored_parts_document(const S3StoredParts *stored, int64_t count, S3Checksum checksum, Failure *failure)
{
	Buffer document = {0};

	buffer_text(&document, "<CompleteMultipartUpload xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\">");
	for (int64_t i = 0; i < count; i++)
	{
		const S3StoredPart *part = &stored->parts[i];

		buffer_format(&document, "<Part><PartNumber>%d</PartNumber><ETag>", (int) i + 1);
		for (const char *c = part->etag; *c; c++)
		{
			if (*c == '"')
				buffer_text(&document, "&quot;");
			else if (*c != '<' && *c != '&')
				buffer_append(&document, c, 1);
		}
		buffer_text(&document, "</ETag>");
		if (checksum == S3_CHECKSUM_SHA256)
			buffer_format(&document, "<ChecksumSHA256>%s</ChecksumSHA256>", part->checksum);
		buffer_text(&document, "</Part>");
	}
	buffer_text(&document, "</CompleteMultipartUpload>");
	return buffer_take(&document, failure);
}

void
s3_stored_parts_free(S3StoredParts *stored)
{
	free(stored->parts);
	*stored = (S3StoredParts){0};
}
