/* key_ring.c: the key file's rule and form, AES-256-GCM, rotation. */
#include "secret.h"

#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tap.h"

#define KEY_A "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f"
#define KEY_B "FFeeDDccBBaa99887766554433221100ffeeddccbbaa99887766554433221100"

/* Made by another implementation (Python's cryptography); docs/secrets.md shows the same one. */
#define VECTOR_URL "postgresql://app:s3cret@db.example.com:5432/shop"
#define VECTOR                                                                                               \
	"AAECAwQFBgcICQoLN22lb6KXp2j8La2knogIHbmltFeCHis8XAXL4GUIbcJtdYCfwKworUCXTcL770dIPvmJOxVdrxXG_B_TFcxfuw"

static char directory[] = "/tmp/custbackup-keys.XXXXXX";
static char path[128];

static const char *
write_key_file(const char *content, size_t length, mode_t mode)
{
	int fd;

	snprintf(path, sizeof(path), "%s/key", directory);
	unlink(path);
	fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0600);
	if (fd < 0 || write(fd, content, length) != (ssize_t) length || fchmod(fd, mode) < 0)
		abort();
	close(fd);
	return path;
}

static KeyRing *
ring_of(const char *content)
{
	return key_ring_load(write_key_file(content, strlen(content), 0600), NULL);
}

static void
loads_file(const char *file, const char *what)
{
	Failure	 failure = {0};
	KeyRing *ring = key_ring_load(file, &failure);

	ok(ring != NULL, "%s: loads%s%s", what, failure.reason ? ": " : "", failure.detail);
	key_ring_free(ring);
}

static void
loads(const char *content, const char *what)
{
	loads_file(write_key_file(content, strlen(content), 0600), what);
}

static void
refused_file(const char *file, const char *expected, const char *what)
{
	Failure	 failure = {0};
	KeyRing *ring = key_ring_load(file, &failure);

	ok(ring == NULL && failure.reason == REASON_CONFIG && strstr(failure.detail, expected) != NULL,
	   "%s: refused (%s)", what, failure.detail);
	ok(strstr(failure.detail, "0102") == NULL, "%s: nothing of a key is said", what);
	key_ring_free(ring);
}

static void
refuses(const char *content, const char *expected, const char *what)
{
	refused_file(write_key_file(content, strlen(content), 0600), expected, what);
}

static void
test_form(void)
{
	char *large = malloc(70000);

	loads(KEY_A, "a key without a newline");
	loads(KEY_A "\n", "a key with one");
	loads(KEY_A "\r\n" KEY_B " \t\r\n", "lines that end as on Windows, or in spaces");
	loads("# made 2026-01-02\n\n  " KEY_A "\n# the old one\n" KEY_B "\n", "comments and blank lines");
	refuses("", "holds no key", "an empty file");
	refuses("\n# nothing\n", "holds no key", "comments alone");
	refuses("0102", "line 1: a key has 64 hex digits, this line has 4 characters", "a short key");
	refuses(KEY_A "0", "this line has 65 characters", "a long key");
	refuses(KEY_A "\n" KEY_A KEY_B "\n", "line 2: a key has 64 hex digits, this line has 128",
			"two keys in a line");
	refuses("000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1g",
			"line 1: something there is not a hex", "a letter that is no digit");
	refuses("\xEF\xBB\xBF" KEY_A, "line 1", "a byte order mark");
	refused_file(write_key_file(KEY_A "\n\0", 66, 0600), "is not text", "a NUL byte");
	memset(large, '\n', 70000);
	refused_file(write_key_file(large, 70000, 0600), "larger than", "a file that is far too large");
	memset(large, '#', 65536);
	refused_file(write_key_file(large, 65536, 0600), "holds no key", "one that is as large as allowed");
	free(large);
}

static void
test_rule(void)
{
	char				other[128];
	static const mode_t bad[] = {0604, 0602, 0601, 0660, 0650, 0644, 0777};
	bool				root = geteuid() == 0;

	refused_file(NULL, "no key file is set", "no setting");
	refused_file("/nonexistent/key", "No such file or directory", "a file that is not there");
	refused_file(directory, "is not a regular file", "a directory");
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		refused_file(write_key_file(KEY_A, 64, bad[i]), "so that others could read it",
					 "a mode that is too wide");
	/* 0640 is root's alone. */
	if (root)
		loads_file(write_key_file(KEY_A, 64, 0640), "root's at 0640");
	else
		refused_file(write_key_file(KEY_A, 64, 0640), "others could read it", "ours at 0640");
	snprintf(other, sizeof(other), "%s/fifo", directory);
	if (mkfifo(other, 0600) < 0)
		abort();
	refused_file(other, "is not a regular file", "a FIFO, without waiting for it");
	unlink(other);
	snprintf(other, sizeof(other), "%s/link", directory);
	write_key_file(KEY_A, 64, 0600);
	if (symlink(path, other) < 0)
		abort();
	loads_file(other, "a symbolic link, as secrets in containers are");
	unlink(other);
	if (root)
	{
		write_key_file(KEY_A, 64, 0600);
		if (chown(path, 12345, (gid_t) -1) < 0)
			abort();
		refused_file(path, "belongs to user id 12345", "another user's file");
	}
}

static void
test_round_trip(void)
{
	Failure	 failure = {0};
	KeyRing *ring = ring_of(KEY_A);
	Secret	 back;
	char	*first = secret_encrypt(ring, VECTOR_URL, strlen(VECTOR_URL), &failure);
	char	*second = secret_encrypt(ring, VECTOR_URL, strlen(VECTOR_URL), &failure);
	char	*empty = secret_encrypt(ring, "", 0, &failure);

	ok(strcmp(first, second) != 0, "two ciphertexts of one URL differ");
	ok(strpbrk(first, "+/=") == NULL, "base64url, without padding");
	ok(secret_decrypt(ring, first, &back, &failure) && strcmp(back.text, VECTOR_URL) == 0, "comes back");
	secret_free(&back);
	ok(secret_decrypt(ring, empty, &back, &failure) && back.length == 0, "so does nothing");
	secret_free(&back);
	free(first);
	free(second);
	free(empty);
	key_ring_free(ring);
}

static void
decrypt_fails(const KeyRing *ring, const char *ciphertext, const char *expected, const char *what)
{
	Failure failure = {0};
	Secret	back = {0};

	ok(!secret_decrypt(ring, ciphertext, &back, &failure) && failure.reason == REASON_DECRYPT &&
		   back.text == NULL && strstr(failure.detail, expected) != NULL,
	   "%s: refused (%s)", what, failure.detail);
}

static void
test_vector(void)
{
	Failure	 failure = {0};
	KeyRing *ring = ring_of(KEY_A);
	Secret	 back;
	char	 text[256];
	bool	 all_refused = true;

	ok(secret_decrypt(ring, VECTOR, &back, &failure) && strcmp(back.text, VECTOR_URL) == 0,
	   "another program's ciphertext");
	secret_free(&back);
	snprintf(text, sizeof(text), "%s%.*s", VECTOR, (int) ((4 - strlen(VECTOR) % 4) % 4), "==");
	ok(secret_decrypt(ring, text, &back, &failure) && strcmp(back.text, VECTOR_URL) == 0,
	   "the same with padding");
	secret_free(&back);

	/* Every character changed, in turn, by its lowest bit. */
	for (size_t i = 0; i < strlen(VECTOR) - 1; i++)
	{
		Failure ignored = {0};

		strcpy(text, VECTOR);
		text[i] = text[i] == 'A' ? 'B' : 'A';
		if (secret_decrypt(ring, text, &back, &ignored) || ignored.reason != REASON_DECRYPT)
			all_refused = false;
	}
	ok(all_refused, "changed anywhere, it is refused");
	strcpy(text, VECTOR);
	text[strlen(VECTOR) - 6] = '\0';
	decrypt_fails(ring, text, "changed or cut", "cut");
	decrypt_fails(ring, "", "too short", "empty");
	decrypt_fails(ring, "AAAA", "too short", "a few bytes");
	decrypt_fails(ring, "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA", "too short",
				  "one byte less than nonce and tag");
	decrypt_fails(ring, VECTOR_URL, "not base64url, from character 11", "a plaintext");
	decrypt_fails(ring, VECTOR "\n", "not base64url", "a newline at its end");
	ok(strstr(failure.detail, "s3cret") == NULL, "no plaintext in a message");
	key_ring_free(ring);
}

static void
test_rotation(void)
{
	Failure	 failure = {0};
	KeyRing *old = ring_of(KEY_A);
	KeyRing *both = ring_of(KEY_B "\n" KEY_A "\n");
	KeyRing *new = ring_of(KEY_B);
	char  *by_old = secret_encrypt(old, "x://y", 5, &failure);
	char  *by_both = secret_encrypt(both, "x://y", 5, &failure);
	Secret back;

	ok(secret_decrypt(both, by_old, &back, &failure),
	   "with the new key in front, the old one still decrypts");
	secret_free(&back);
	ok(secret_decrypt(new, by_both, &back, &failure), "and the new one encrypts");
	secret_free(&back);
	decrypt_fails(new, by_old, "not in the key file (which holds 1)", "after the old key is gone");
	decrypt_fails(old, by_both, "not in the key file", "under a key that never was there");
	free(by_old);
	by_old = secret_encrypt(old, "x://y\0z", 7, &failure);
	ok(!secret_decrypt(old, by_old, &back, &failure) && failure.reason == REASON_BAD_URL && back.text == NULL,
	   "a NUL byte in the plaintext: bad_url");
	free(by_old);
	free(by_both);
	key_ring_free(old);
	key_ring_free(both);
	key_ring_free(new);
	key_ring_free(NULL);
}

int
main(void)
{
	if (mkdtemp(directory) == NULL)
		abort();
	test_form();
	test_rule();
	test_round_trip();
	test_vector();
	test_rotation();
	unlink(path);
	rmdir(directory);
	return done_testing();
}
