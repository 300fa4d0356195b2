/*
 * s3_encode.c
 *	  URI escapes, hex, base64, digests.
 */
#include "stores/s3_encode.h"

#include <string.h>

#include <openssl/evp.h>
#include <openssl/hmac.h>

#include "text.h"

static bool
is_unreserved(char c)
{
	return (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-' ||
		   c == '.' || c == '_' || c == '~';
}

void
s3_uri_encode(Buffer *out, const char *text, bool keep_slash)
{
	for (const char *c = text; *c; c++)
	{
		if (is_unreserved(*c) || (keep_slash && *c == '/'))
			buffer_append(out, c, 1);
		else
			buffer_format(out, "%%%02X", (unsigned char) *c);
	}
}

bool
s3_uri_decode(char *text, bool plus_is_space)
{
	char *out = text;

	for (const char *in = text; *in; in++)
	{
		if (*in == '%')
		{
			int high = text_hex_value(in[1]);
			int low = high < 0 ? -1 : text_hex_value(in[2]);

			if (low < 0 || (high == 0 && low == 0))
				return false;
			*out++ = (char) (high * 16 + low);
			in += 2;
		}
		else
			*out++ = plus_is_space && *in == '+' ? ' ' : *in;
	}
	*out = '\0';
	return true;
}

void
s3_base64(const unsigned char *bytes, size_t length, char *out)
{
	EVP_EncodeBlock((unsigned char *) out, bytes, (int) length);
}

bool
s3_sha256(const void *bytes, size_t length, unsigned char digest[32])
{
	return EVP_Digest(bytes, length, digest, NULL, EVP_sha256(), NULL) == 1;
}

bool
s3_hmac_sha256(const void *key, size_t key_length, const void *bytes, size_t length, unsigned char mac[32])
{
	return HMAC(EVP_sha256(), key, (int) key_length, bytes, length, mac, NULL) != NULL;
}
