#include "quarantine/review/voucher.h"

#include <errno.h>
#include <fcntl.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <openssl/rand.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "policyd/base/log.h"

enum { TOKEN_VERSION = 1, MAC_BYTES = 16, CHANCE_BYTES = 12, PACKED_MOST = 700 };

static json_t *used;                         /* chance -> when it would have expired; also those out of tries */
static json_t *tries;                        /* chance -> wrong numbers so far */
static int used_fd = -1;

/* ---- base64url, without padding ---- */

static const char letters[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

static size_t
encode(const uint8_t *bytes, size_t n, char *to)
{
	size_t out = 0;

	for (size_t i = 0; i < n; i += 3) {
		uint32_t v = (uint32_t)bytes[i] << 16 | (i + 1 < n ? (uint32_t)bytes[i + 1] << 8 : 0) | (i + 2 < n ? bytes[i + 2] : 0);

		for (int k = 0; k < 4 && (size_t)k <= (n - i < 3 ? n - i : 3); k++)
			to[out++] = letters[v >> (18 - 6 * k) & 63];
	}
	to[out] = '\0';
	return out;
}

/* Only what encode() writes: another spelling of the same bytes is another token, and void. */
static bool
decode(struct span text, uint8_t *to, size_t room, size_t *n)
{
	char again[PACKED_MOST * 2];
	uint32_t bits = 0;
	int have = 0;

	*n = 0;
	for (size_t i = 0; i < text.n; i++) {
		const char *at = text.p[i] ? strchr(letters, text.p[i]) : NULL;

		if (at == NULL || *n == room)
			return false;
		bits = bits << 6 | (uint32_t)(at - letters);
		have += 6;
		if (have >= 8) {
			have -= 8;
			to[(*n)++] = (uint8_t)(bits >> have);
		}
	}
	return encode(to, *n, again) == text.n && memcmp(again, text.p, text.n) == 0;
}

static void
mac_of(const struct review *r, const uint8_t *bytes, size_t n, uint8_t mac[MAC_BYTES])
{
	uint8_t key[EVP_MAX_MD_SIZE], whole[EVP_MAX_MD_SIZE];
	unsigned length = 0;

	/* A key of its own: a MAC made for another purpose is no token. */
	if (HMAC(EVP_sha256(), r->secret, SECRET_BYTES, (const unsigned char *)"token key 1", 11, key, &length) == NULL ||
	    HMAC(EVP_sha256(), key, 32, bytes, n, whole, &length) == NULL)
		abort();
	memcpy(mac, whole, MAC_BYTES);
}

static void
code_of(const struct review *r, const struct voucher *t, char code[CODE_ROOM])
{
	char mac[65];
	unsigned long long number;

	mac_hex(r->secret, "code", t->chance, mac);
	mac[12] = '\0';
	number = strtoull(mac, NULL, 16);
	if (t->purpose == TOKEN_SIGN_IN)
		snprintf(code, CODE_ROOM, "%06llu", number % 1000000);
	else
		snprintf(code, CODE_ROOM, "%04llu", number % 10000);
}

void
voucher_make(struct review *r, struct voucher *t, char to[TOKEN_ROOM], char code[CODE_ROOM])
{
	struct buf b = { 0 };
	uint8_t chance[CHANCE_BYTES], mac[MAC_BYTES];

	if (RAND_bytes(chance, sizeof chance) != 1)
		abort();
	for (size_t i = 0; i < sizeof chance; i++)
		snprintf(t->chance + 2 * i, 3, "%02x", chance[i]);
	pack_u8(&b, TOKEN_VERSION);
	pack_u8(&b, r->secret[0]);           /* which key: after a change of the secret old ones are void at once */
	pack_u8(&b, (uint8_t)t->purpose);
	pack_u64(&b, (uint64_t)t->made_s);
	pack_u64(&b, (uint64_t)t->expires_s);
	pack_text(&b, t->mailbox);
	pack_text(&b, t->customer);
	pack_text(&b, t->id);
	pack_u32(&b, t->n);
	buf_add(&b, chance, sizeof chance);
	to[0] = '\0';
	if (!b.failed && (b.n + MAC_BYTES) * 4 / 3 + 8 < TOKEN_ROOM) {
		mac_of(r, (const uint8_t *)b.p, b.n, mac);
		size_t n = encode((const uint8_t *)b.p, b.n, to);

		to[n++] = '.';
		encode(mac, sizeof mac, to + n);
	}
	if (code)
		code_of(r, t, code);
	buf_free(&b);
}

bool
voucher_read(struct review *r, const char *text, enum voucher_purpose purpose, struct voucher *t)
{
	uint8_t bytes[PACKED_MOST], given[MAC_BYTES + 2], want[MAC_BYTES];
	struct span rest = span_of(text), body = span_cut(&rest, '.');
	size_t n, mac_n;

	*t = (struct voucher){ 0 };
	if (!decode(body, bytes, sizeof bytes, &n) || n < CHANCE_BYTES || !decode(rest, given, sizeof given, &mac_n) || mac_n != MAC_BYTES)
		return false;
	mac_of(r, bytes, n, want);
	if (CRYPTO_memcmp(want, given, MAC_BYTES) != 0)
		return false;
	struct unpack u = { span_make(bytes, n), false };
	uint8_t version = unpack_u8(&u), key = unpack_u8(&u);

	t->purpose = unpack_u8(&u);
	t->made_s = (int64_t)unpack_u64(&u);
	t->expires_s = (int64_t)unpack_u64(&u);
	unpack_text(&u, t->mailbox, sizeof t->mailbox);
	unpack_text(&u, t->customer, sizeof t->customer);
	unpack_text(&u, t->id, sizeof t->id);
	t->n = unpack_u32(&u);
	if (u.bad || u.left.n != CHANCE_BYTES || version != TOKEN_VERSION || key != r->secret[0] || t->purpose != purpose)
		return false;
	for (size_t i = 0; i < CHANCE_BYTES; i++)
		snprintf(t->chance + 2 * i, 3, "%02x", (unsigned char)u.left.p[i]);
	return review_time_s(r) <= t->expires_s && json_object_get(used, t->chance) == NULL;
}

bool
voucher_use(struct review *r, const struct voucher *t)
{
	char line[80];
	int n = snprintf(line, sizeof line, "%s %lld\n", t->chance, (long long)t->expires_s);

	(void)r;
	if (write(used_fd, line, (size_t)n) != n || fdatasync(used_fd) < 0) {
		log_error("review: used.log: %s", strerror(errno));
		return false;
	}
	json_object_set_new(used, t->chance, json_integer(t->expires_s));
	json_object_del(tries, t->chance);
	return true;
}

bool
voucher_code_good(struct review *r, const struct voucher *t, const char *code)
{
	char want[CODE_ROOM];
	json_int_t wrong = json_integer_value(json_object_get(tries, t->chance)) + 1;

	code_of(r, t, want);
	if (same_secret(want, code))
		return true;
	json_object_set_new(tries, t->chance, json_integer(wrong));
	if (wrong >= TOKEN_TRIES)
		voucher_use(r, t);
	return false;
}

/* What has not expired goes into a fresh file. */
bool
vouchers_open(struct review *r, char *why, size_t room)
{
	char path[REVIEW_PATH_ROOM], chance[32];
	long long expires;
	struct buf kept = { 0 };

	snprintf(path, sizeof path, "%s/review/used.log", r->self->config->state);
	used = json_object();
	tries = json_object();
	FILE *f = fopen(path, "re");

	while (f && fscanf(f, "%31s %lld\n", chance, &expires) == 2)
		if (expires >= review_time_s(r)) {
			json_object_set_new(used, chance, json_integer(expires));
			buf_printf(&kept, "%s %lld\n", chance, expires);
		}
	if (f)
		fclose(f);
	bool good = !kept.failed && file_replace(path, kept.p ? kept.p : "", kept.n);

	buf_free(&kept);
	used_fd = good ? open(path, O_WRONLY | O_APPEND | O_CLOEXEC | O_NOFOLLOW) : -1;
	if (used_fd < 0)
		snprintf(why, room, "%s: %s", path, strerror(errno));
	return used_fd >= 0;
}
