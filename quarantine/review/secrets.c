/* secrets.c - random bytes, MACs, and the small files of this process. */
#include <errno.h>
#include <fcntl.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <openssl/rand.h>
#include <openssl/sha.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "policyd/base/log.h"
#include "policyd/base/utf8.h"
#include "quarantine/review/review.h"

void
random_hex(char *to, size_t bytes)
{
	uint8_t raw[64];

	if (bytes > sizeof raw || RAND_bytes(raw, (int)bytes) != 1)
		abort();                     /* without chance nothing here is safe */
	for (size_t i = 0; i < bytes; i++)
		snprintf(to + 2 * i, 3, "%02x", raw[i]);
}

void
mac_hex(const uint8_t key[SECRET_BYTES], const char *purpose, const char *text, char to[65])
{
	uint8_t mac[EVP_MAX_MD_SIZE];
	unsigned n = 0;
	struct buf b = { 0 };

	buf_printf(&b, "%s\n%s", purpose, text);
	if (b.failed || HMAC(EVP_sha256(), key, SECRET_BYTES, (const unsigned char *)b.p, b.n, mac, &n) == NULL || n != 32)
		abort();
	for (size_t i = 0; i < 32; i++)
		snprintf(to + 2 * i, 3, "%02x", mac[i]);
	buf_free(&b);
}

/* Until the next call. */
const char *
style_hash(const char *style)
{
	static char hash[64];
	uint8_t digest[SHA256_DIGEST_LENGTH];
	unsigned char coded[48];

	SHA256((const unsigned char *)style, strlen(style), digest);
	EVP_EncodeBlock(coded, digest, sizeof digest);
	snprintf(hash, sizeof hash, "sha256-%s", (const char *)coded);
	return hash;
}

bool
same_secret(const char *a, const char *b)
{
	size_t n = strlen(a);

	return n == strlen(b) && CRYPTO_memcmp(a, b, n) == 0;
}

bool
file_replace(const char *path, const char *bytes, size_t n)
{
	char fresh[REVIEW_PATH_ROOM + 8];

	snprintf(fresh, sizeof fresh, "%s.new", path);
	int fd = open(fresh, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);
	bool good = fd >= 0;

	for (size_t at = 0; good && at < n;) {
		ssize_t put_bytes = write(fd, bytes + at, n - at);

		good = put_bytes > 0 || (put_bytes < 0 && errno == EINTR);
		at += put_bytes > 0 ? (size_t)put_bytes : 0;
	}
	good = good && fsync(fd) == 0;
	if (fd >= 0)
		close(fd);
	good = good && rename(fresh, path) == 0;
	if (good) {                          /* the name, too */
		char dir[REVIEW_PATH_ROOM];
		char *slash;

		snprintf(dir, sizeof dir, "%s", path);
		if ((slash = strrchr(dir, '/')) != NULL)
			*slash = '\0';
		int d = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

		good = d >= 0 && fsync(d) == 0;
		if (d >= 0)
			close(d);
	}
	if (!good)
		log_error("review: %s: cannot be written: %s", path, strerror(errno));
	return good;
}

json_t *
file_json(const char *path)
{
	json_error_t bad;
	json_t *value = json_load_file(path, 0, &bad);

	if (value == NULL && json_error_code(&bad) != json_error_cannot_open_file)
		log_error("review: %s:%d: %s", path, bad.line, bad.text);
	return value;
}

json_t *
json_safe(const char *text)
{
	json_t *value = json_string(text);
	struct buf clean = { 0 };

	if (value)
		return value;
	for (struct span left = span_of(text); left.n > 0;) {
		size_t n = utf8_length(left);

		buf_add(&clean, n ? left.p : "?", n ? n : 1);
		left = span_from(left, n ? n : 1);
	}
	value = json_stringn(clean.p ? clean.p : "", clean.n);
	buf_free(&clean);
	return value ? value : json_string("");
}

bool
secret_open(struct review *r, char *why, size_t room)
{
	char path[REVIEW_PATH_ROOM];

	snprintf(path, sizeof path, "%s/review/secret", r->self->config->state);
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);

	if (fd < 0 && errno == ENOENT) {
		if (RAND_bytes(r->secret, sizeof r->secret) == 1 && file_replace(path, (const char *)r->secret, sizeof r->secret))
			return true;
	} else if (fd >= 0) {
		bool good = read(fd, r->secret, sizeof r->secret) == (ssize_t)sizeof r->secret;

		close(fd);
		if (good)
			return true;
	}
	snprintf(why, room, "%s: cannot be read or made; remove it if it is damaged (links in mails become void)", path);
	return false;
}
