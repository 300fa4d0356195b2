/*
 * part_digest_test.c
 *	  A stream's sha256 and its parts', by both ways, against OpenSSL's of the same bytes.
 */
#include <stdlib.h>

#include <openssl/evp.h>

#include "part_digest.h"
#include "sha256_twice.h"
#include "tap.h"
#include "text.h"

#define STREAM_BYTES 100000

static unsigned char stream[STREAM_BYTES];

static void
expect(const unsigned char *bytes, size_t length, char text[DIGEST_TEXT_SIZE])
{
	unsigned char hash[EVP_MAX_MD_SIZE];

	EVP_Digest(bytes, length, hash, NULL, EVP_sha256(), NULL);
	text_hex(hash, 32, text);
}

/* Adds in steps of `step` bytes, ends a part every `part_bytes`. */
static bool
cut(PartDigest *digest, size_t total, size_t part_bytes, size_t step)
{
	Failure		  failure = {0};
	unsigned char hash[PART_DIGEST_BYTES];
	char		  got[DIGEST_TEXT_SIZE];
	char		  wanted[DIGEST_TEXT_SIZE];
	size_t		  begun = 0;
	size_t		  done = 0;
	bool		  same = true;

	while (begun < total || total == 0)
	{
		size_t end = begun + part_bytes < total ? begun + part_bytes : total;

		for (; done < end; done += step < end - done ? step : end - done)
			if (!part_digest_add(digest, stream + done, step < end - done ? step : end - done, &failure))
				return false;
		part_digest_end_part(digest, hash, &failure);
		text_hex(hash, sizeof(hash), got);
		expect(stream + begun, end - begun, wanted);
		same = same && strcmp(got, wanted) == 0;
		begun = end;
		if (total == 0)
			break;
	}
	part_digest_finish(digest, got, &failure);
	expect(stream, total, wanted);
	return same && strcmp(got, wanted) == 0;
}

static void
all_lengths(bool portable, const char *name)
{
	static const size_t part_bytes[] = {64, 100, 4096, 4095, 65536, STREAM_BYTES};
	static const size_t steps[] = {1, 63, 64, 65, 1000, STREAM_BYTES};
	Failure				failure = {0};
	PartDigest		   *digest;
	bool				same = true;

	for (size_t total = 0; same && total <= 260; total++)
		for (size_t part = 1; same && part <= 130; part += 21)
		{
			digest = part_digest_open(portable, &failure);
			same = cut(digest, total, part, 17);
			part_digest_close(digest);
		}
	ok(same, "%s: streams of 0 to 260 bytes in parts of 1 to 127", name);
	for (size_t i = 0; i < sizeof(part_bytes) / sizeof(part_bytes[0]); i++)
	{
		same = true;
		for (size_t j = 0; j < sizeof(steps) / sizeof(steps[0]); j++)
		{
			digest = part_digest_open(portable, &failure);
			same = same && cut(digest, STREAM_BYTES, part_bytes[i], steps[j]);
			part_digest_close(digest);
		}
		ok(same, "%s: parts of %zu bytes, added in pieces of any size", name, part_bytes[i]);
	}
}

int
main(void)
{
	for (size_t i = 0; i < STREAM_BYTES; i++)
		stream[i] = (unsigned char) (i * 2654435761u >> 13);
	printf("# both at once: %s\n", sha256_twice_available() ? "yes" : "not on this processor");
	all_lengths(false, "as the processor can");
	all_lengths(true, "portable");
	return done_testing();
}
