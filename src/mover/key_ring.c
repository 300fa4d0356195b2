/*
 * key_ring.c
 *	  The key file, and AES-256-GCM under its keys.
 *
 * A message never says what stands in the file: a line's number is enough to
 * find it, and a half-right key in a log is a key that must be changed.
 */
#include "secret.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/rand.h>

#include "base64url.h"
#include "text.h"

#define KEY_BYTES		   32
#define KEY_DIGITS		   (2 * KEY_BYTES)
#define NONCE_BYTES		   12
#define TAG_BYTES		   16
#define KEY_FILE_MAX_BYTES (64 * 1024)

struct KeyRing
{
	Secret keys; /* KEY_BYTES each, in the file's order */
	size_t count;
};

/* libpq's rule for private keys: ours and 0600 or less, or root's and 0640 or less. */
static bool
check_key_file(const struct stat *st, const char *path, Failure *failure)
{
	if (!S_ISREG(st->st_mode))
		return failure_set(failure, REASON_CONFIG, "key file \"%s\" is not a regular file", path);
	if (st->st_uid != geteuid() && st->st_uid != 0)
		return failure_set(
			failure, REASON_CONFIG,
			"key file \"%s\" belongs to user id %u: it must be owned by the user that runs custbackup "
			"(user id %u) or by root",
			path, (unsigned) st->st_uid, (unsigned) geteuid());
	if (st->st_uid == 0 ? (st->st_mode & (S_IWGRP | S_IXGRP | S_IRWXO)) != 0
						: (st->st_mode & (S_IRWXG | S_IRWXO)) != 0)
		return failure_set(
			failure, REASON_CONFIG,
			"key file \"%s\" has mode %04o, so that others could read it: it must be 0600 or less, or "
			"0640 or less if root owns it (chmod, and rotate the key if anybody may have)",
			path, (unsigned) (st->st_mode & 07777));
	if (st->st_size > KEY_FILE_MAX_BYTES)
		return failure_set(failure, REASON_CONFIG,
						   "key file \"%s\" is larger than %d bytes: it holds one key of %d "
						   "hex digits a line",
						   path, KEY_FILE_MAX_BYTES, KEY_DIGITS);
	return true;
}

static bool
read_key_file(const char *path, Secret *content, Failure *failure)
{
	struct stat st;
	size_t		length = 0;
	ssize_t		got = 0;

	/* A FIFO must not hang us before it is refused. */
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);

	if (fd < 0)
	{
		failure_set_errno(failure, REASON_CONFIG, "could not open key file \"%s\" as user id %lu", path,
						  (unsigned long) geteuid());
		return false;
	}
	if (fstat(fd, &st) < 0)
		failure_set_errno(failure, REASON_CONFIG, "could not look at key file \"%s\"", path);
	else if (check_key_file(&st, path, failure) && secret_copy(content, NULL, KEY_FILE_MAX_BYTES, failure))
	{
		while (length < KEY_FILE_MAX_BYTES &&
			   ((got = read(fd, content->text + length, KEY_FILE_MAX_BYTES - length)) > 0 ||
				(got < 0 && errno == EINTR)))
			length += got > 0 ? (size_t) got : 0;
		if (got < 0)
		{
			failure_set_errno(failure, REASON_CONFIG, "could not read key file \"%s\"", path);
			secret_free(content);
		}
		else
			content->text[length] = '\0';
	}
	close(fd);
	if (content->text == NULL)
		return false;
	if (strlen(content->text) != length)
	{
		secret_free(content);
		failure_set(failure, REASON_CONFIG,
					"key file \"%s\" is not text: it holds one key of %d hex digits a line", path,
					KEY_DIGITS);
		return false;
	}
	return true;
}

/* Adds the key of one line; blank lines and lines that begin with '#' hold none. */
static bool
add_line(KeyRing *ring, const char *line, size_t length, int number, const char *path, Failure *failure)
{
	unsigned char *key = (unsigned char *) ring->keys.text + ring->count * KEY_BYTES;

	while (length > 0 && strchr(" \t\r", line[length - 1]) != NULL)
		length--;
	while (length > 0 && (*line == ' ' || *line == '\t'))
	{
		line++;
		length--;
	}
	if (length == 0 || *line == '#')
		return true;
	if (length != KEY_DIGITS)
		return failure_set(failure, REASON_CONFIG,
						   "key file \"%s\", line %d: a key has %d hex digits, this line has %zu "
						   "characters (custbackup keygen makes one)",
						   path, number, KEY_DIGITS, length);
	if (!text_is_hex(line, length))
		return failure_set(failure, REASON_CONFIG,
						   "key file \"%s\", line %d: something there is not a hex digit", path, number);
	for (size_t i = 0; i < KEY_BYTES; i++)
		key[i] = (unsigned char) (text_hex_value(line[2 * i]) << 4 | text_hex_value(line[2 * i + 1]));
	ring->count++;
	return true;
}

static bool
parse_keys(KeyRing *ring, const char *content, const char *path, Failure *failure)
{
	int number = 1;

	/* Every key needs its line, so that half the file's size holds all of them. */
	if (!secret_copy(&ring->keys, NULL, KEY_FILE_MAX_BYTES / 2 + KEY_BYTES, failure))
		return false;
	for (const char *line = content;; number++)
	{
		size_t length = strcspn(line, "\n");

		if (!add_line(ring, line, length, number, path, failure))
			return false;
		if (line[length] == '\0')
			break;
		line += length + 1;
	}
	if (ring->count == 0)
		return failure_set(failure, REASON_CONFIG,
						   "key file \"%s\" holds no key (custbackup keygen makes one)", path);
	return true;
}

KeyRing *
key_ring_load(const char *path, Failure *failure)
{
	KeyRing *ring;
	Secret	 content = {0};
	bool	 parsed;

	if (path == NULL)
	{
		failure_set(failure, REASON_CONFIG, "no key file is set (custbackup.key_file, or --key-file)");
		return NULL;
	}
	ring = calloc(1, sizeof(KeyRing));
	if (ring == NULL)
	{
		failure_no_memory(failure);
		return NULL;
	}
	parsed = read_key_file(path, &content, failure) && parse_keys(ring, content.text, path, failure);
	secret_free(&content);
	if (!parsed)
	{
		key_ring_free(ring);
		return NULL;
	}
	return ring;
}

void
key_ring_free(KeyRing *ring)
{
	if (ring == NULL)
		return;
	secret_free(&ring->keys);
	free(ring);
}

static const unsigned char *
ring_key(const KeyRing *ring, size_t number)
{
	return (const unsigned char *) ring->keys.text + number * KEY_BYTES;
}

/* *right: whether the tag was.  False: OpenSSL could not even try. */
static bool
open_sealed(const unsigned char *key, const unsigned char *sealed, size_t length, Secret *plaintext,
			bool *right)
{
	EVP_CIPHER_CTX		*context = EVP_CIPHER_CTX_new();
	const unsigned char *body = sealed + NONCE_BYTES;
	int					 body_length = (int) (length - NONCE_BYTES - TAG_BYTES);
	unsigned char		*to = (unsigned char *) plaintext->text;
	int					 written;
	bool				 tried;

	tried = context != NULL && EVP_DecryptInit_ex(context, EVP_aes_256_gcm(), NULL, key, sealed) == 1 &&
			EVP_DecryptUpdate(context, to, &written, body, body_length) == 1 &&
			EVP_CIPHER_CTX_ctrl(context, EVP_CTRL_GCM_SET_TAG, TAG_BYTES, (void *) (body + body_length)) == 1;
	*right = tried && EVP_DecryptFinal_ex(context, to + written, &written) == 1;
	EVP_CIPHER_CTX_free(context);
	return tried;
}

static bool
decrypt_sealed(const KeyRing *ring, const unsigned char *sealed, size_t length, Secret *plaintext,
			   Failure *failure)
{
	if (length < NONCE_BYTES + TAG_BYTES)
		return failure_set(failure, REASON_DECRYPT,
						   "the stored connection URL is too short to be a ciphertext: %zu "
						   "bytes, and nonce and tag alone have %d",
						   length, NONCE_BYTES + TAG_BYTES);
	if (!secret_copy(plaintext, NULL, length - NONCE_BYTES - TAG_BYTES, failure))
		return false;
	for (size_t i = 0; i < ring->count; i++)
	{
		bool right;

		if (!open_sealed(ring_key(ring, i), sealed, length, plaintext, &right))
		{
			secret_free(plaintext);
			return failure_set(failure, REASON_INTERNAL, "OpenSSL could not decrypt");
		}
		if (!right)
			continue;
		if (strlen(plaintext->text) == plaintext->length)
			return true;
		secret_free(plaintext);
		return failure_set(failure, REASON_BAD_URL, "the connection URL has a NUL byte in it");
	}
	secret_free(plaintext);
	return failure_set(failure, REASON_DECRYPT,
					   "the stored connection URL does not decrypt: it was changed or cut, or "
					   "encrypted under a key that is not in the key file (which holds %zu)",
					   ring->count);
}

bool
secret_decrypt(const KeyRing *ring, const char *ciphertext, Secret *plaintext, Failure *failure)
{
	size_t		   characters = strlen(ciphertext);
	size_t		   length;
	unsigned char *sealed = malloc(base64url_decoded_size(characters));
	bool		   decrypted;

	*plaintext = (Secret){0};
	if (sealed == NULL)
		return failure_no_memory(failure);
	if (base64url_decode(ciphertext, characters, sealed, &length))
		decrypted = decrypt_sealed(ring, sealed, length, plaintext, failure);
	else
		decrypted = failure_set(failure, REASON_DECRYPT,
								"the stored connection URL is not base64url, from character %zu "
								"on: it must be what custbackup encrypt-url prints",
								length + 1);
	free(sealed);
	return decrypted;
}

/* nonce || ciphertext || tag into `sealed`. */
static bool
seal(const unsigned char *key, const char *plaintext, size_t length, unsigned char *sealed)
{
	EVP_CIPHER_CTX *context = EVP_CIPHER_CTX_new();
	unsigned char  *body = sealed + NONCE_BYTES;
	int				written;
	bool			done;

	done = context != NULL && RAND_bytes(sealed, NONCE_BYTES) == 1 &&
		   EVP_EncryptInit_ex(context, EVP_aes_256_gcm(), NULL, key, sealed) == 1 &&
		   EVP_EncryptUpdate(context, body, &written, (const unsigned char *) plaintext, (int) length) == 1 &&
		   EVP_EncryptFinal_ex(context, body + written, &written) == 1 &&
		   EVP_CIPHER_CTX_ctrl(context, EVP_CTRL_GCM_GET_TAG, TAG_BYTES, body + length) == 1;
	EVP_CIPHER_CTX_free(context);
	return done;
}

char *
secret_encrypt(const KeyRing *ring, const char *plaintext, size_t length, Failure *failure)
{
	size_t		   sealed_length = NONCE_BYTES + length + TAG_BYTES;
	unsigned char *sealed = malloc(sealed_length);
	char		  *text = NULL;

	if (sealed == NULL)
		failure_no_memory(failure);
	else if (!seal(ring_key(ring, 0), plaintext, length, sealed))
		failure_set(failure, REASON_INTERNAL, "OpenSSL could not encrypt");
	else if ((text = base64url_encode(sealed, sealed_length)) == NULL)
		failure_no_memory(failure);
	free(sealed);
	return text;
}
