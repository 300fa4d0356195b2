/*
 * job_fuzzer.c
 *	  What comes from outside as JSON: a job from a runner, a manifest from a bucket
 *	  that others may write to.  What is accepted holds what the rest relies on.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "job.h"
#include "manifest.h"
#include "object_key.h"
#include "text.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void
must(bool holds)
{
	if (!holds)
		abort();
}

static void
try_job(const char *text, size_t length)
{
	Failure failure = {0};
	Job		job;

	if (!job_parse(&job, text, length, &failure))
	{
		must(failure.reason == REASON_CONFIG && failure.detail[0] != '\0' && job.job_id == NULL);
		return;
	}
	must(object_key_is_safe(job.object_key) && object_token_is_safe(job.resource.token));
	must(text_is_uuid(job.job_id, strlen(job.job_id)) &&
		 text_is_uuid(job.attempt_id, strlen(job.attempt_id)));
	must(job.kind == JOB_BACKUP || (job.raw_bytes >= 0 && text_is_hex(job.sha256, 64)));
	for (int i = 0; i < job.previous_count; i++)
		must(object_key_is_safe(job.previous[i].key));
	job_free(&job);
}

static void
try_manifest(const char *text, size_t length)
{
	Failure	 failure = {0};
	Manifest manifest;

	if (!manifest_parse(&manifest, NULL, text, length, &failure))
	{
		must(failure.reason == REASON_INTEGRITY && failure.detail[0] != '\0' && manifest.key == NULL);
		return;
	}
	must(object_key_is_safe(manifest.key) && object_token_is_safe(manifest.token));
	must(text_is_hex(manifest.sha256, 64) && manifest.raw_bytes >= 0 && json_is_object(manifest.counts));
	manifest_free(&manifest);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	try_job((const char *) data, size);
	try_manifest((const char *) data, size);
	return 0;
}
