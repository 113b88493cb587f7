#include "quarantine/store/record.h"

#include <openssl/evp.h>
#include <stdio.h>
#include <stdlib.h>
#include <zstd.h>

enum { ZSTD_LEVEL = 3, ZSTD_LEVEL_LARGE = 1, LARGE = 32 * 1024, SUM_AT = 48, SUM = 16, SLOT = CRYPT_NONCE + CRYPT_KEY + CRYPT_TAG };

static const uint8_t meta_nonce[CRYPT_NONCE] = { 1 }, body_nonce[CRYPT_NONCE] = { 2 };

static void
put(uint8_t *to, uint64_t value, int bytes)
{
	for (int i = 0; i < bytes; i++)
		to[i] = (uint8_t)(value >> 8 * i);
}

static uint64_t
get(const uint8_t *from, int bytes)
{
	uint64_t value = 0;

	for (int i = 0; i < bytes; i++)
		value |= (uint64_t)from[i] << 8 * i;
	return value;
}

static void
checksum(const uint8_t *record, size_t length, uint8_t sum[SUM])
{
	uint8_t digest[EVP_MAX_MD_SIZE];
	EVP_MD_CTX *ctx = EVP_MD_CTX_new();
	unsigned n;

	EVP_DigestInit_ex(ctx, EVP_sha256(), NULL);
	EVP_DigestUpdate(ctx, record, SUM_AT);
	EVP_DigestUpdate(ctx, record + RECORD_HEAD, length - RECORD_HEAD);
	EVP_DigestFinal_ex(ctx, digest, &n);
	EVP_MD_CTX_free(ctx);
	memcpy(sum, digest, SUM);
}

/* Its tables are kept: making them anew costs more than a small mail. */
static size_t
pack(uint8_t *to, size_t room, struct span mail)
{
	static ZSTD_CCtx *ctx;

	if (ctx == NULL)
		ctx = ZSTD_createCCtx();
	return ctx ? ZSTD_compressCCtx(ctx, to, room, mail.p, mail.n, mail.n < LARGE ? ZSTD_LEVEL : ZSTD_LEVEL_LARGE) : (size_t)-1;
}

bool
record_build(const struct record *r, struct span mail, const struct key *key, struct buf *out, char *why, size_t room)
{
	size_t start = out->n, bound = mail.n ? ZSTD_compressBound(mail.n) : 0, packed = 0;
	uint8_t own[CRYPT_KEY], nonce[CRYPT_NONCE];

	if (mail.n > RECORD_BODY_MOST || !buf_reserve(out, RECORD_HEAD + SLOT + r->meta.n + bound + 2 * CRYPT_TAG)) {
		snprintf(why, room, "no memory");
		return false;
	}
	uint8_t *head = (uint8_t *)out->p + start, *slot = head + RECORD_HEAD, *meta = slot + SLOT, *body = meta + r->meta.n + CRYPT_TAG;

	if (mail.n)
		packed = pack(body, bound, mail);
	memset(head, 0, RECORD_HEAD);
	put(head, RECORD_MAGIC, 4);
	put(head + 4, RECORD_VERSION, 2);
	put(head + 6, r->type, 2);
	put(head + 12, key->id, 4);
	put(head + 16, r->seq, 8);
	put(head + 24, (uint64_t)r->time_ms, 8);
	put(head + 32, r->meta.n, 4);
	put(head + 36, packed, 4);
	put(head + 40, mail.n, 8);
	struct span bound_to = span_make(head, SUM_AT);
	bool good = !ZSTD_isError(packed) && crypt_random(own, sizeof own) && crypt_random(nonce, sizeof nonce);

	memcpy(slot, nonce, sizeof nonce);
	good = good && crypt_seal(key->bytes, nonce, bound_to, span_make(own, sizeof own), slot + CRYPT_NONCE) &&
	    crypt_seal(own, meta_nonce, bound_to, r->meta, meta) && crypt_seal(own, body_nonce, bound_to, span_make(body, packed), body);
	crypt_forget(own, sizeof own);
	if (!good) {
		snprintf(why, room, "a record cannot be sealed");
		return false;
	}
	size_t length = RECORD_HEAD + SLOT + r->meta.n + packed + 2 * CRYPT_TAG;

	checksum(head, length, head + SUM_AT);
	out->n += length;
	return true;
}

uint64_t
record_length(const uint8_t head[RECORD_HEAD], uint16_t *version)
{
	if (get(head, 4) != RECORD_MAGIC)
		return 0;
	*version = (uint16_t)get(head + 4, 2);
	return RECORD_HEAD + SLOT + get(head + 32, 4) + get(head + 36, 4) + 2 * CRYPT_TAG;
}

bool
record_open(struct buf *bytes, const struct keys *keys, struct record *r, char *why, size_t room)
{
	uint8_t *head = (uint8_t *)bytes->p, *slot = head + RECORD_HEAD, *meta = slot + SLOT, sum[SUM], own[CRYPT_KEY];
	uint16_t version = 0;

	if (bytes->n < RECORD_HEAD + SLOT + 2 * CRYPT_TAG || record_length(head, &version) != bytes->n || version != RECORD_VERSION) {
		snprintf(why, room, "damaged: its head is not one");
		return false;
	}
	size_t meta_n = get(head + 32, 4), body_n = get(head + 36, 4);
	uint8_t *body = meta + meta_n + CRYPT_TAG;
	struct span bound_to = span_make(head, SUM_AT);

	checksum(head, bytes->n, sum);
	if (memcmp(sum, head + SUM_AT, SUM) != 0) {
		snprintf(why, room, "damaged: its checksum is wrong");
		return false;
	}
	const struct key *key = keys_find(keys, (uint32_t)get(head + 12, 4));

	if (key == NULL) {
		snprintf(why, room, "it cannot be opened: key %08x is not in quarantine/keys; policyctl restore brings it back from a backup",
		    (unsigned)get(head + 12, 4));
		return false;
	}
	bool good = crypt_open(key->bytes, slot, bound_to, span_make(slot + CRYPT_NONCE, CRYPT_KEY + CRYPT_TAG), own) &&
	    crypt_open(own, meta_nonce, bound_to, span_make(meta, meta_n + CRYPT_TAG), meta) &&
	    crypt_open(own, body_nonce, bound_to, span_make(body, body_n + CRYPT_TAG), body);

	crypt_forget(own, sizeof own);
	if (!good) {
		snprintf(why, room, "damaged: it is not what was sealed");
		return false;
	}
	*r = (struct record){ .type = (uint16_t)get(head + 6, 2), .seq = get(head + 16, 8), .time_ms = (int64_t)get(head + 24, 8),
	    .size = get(head + 40, 8), .meta = span_make(meta, meta_n), .body = span_make(body, body_n) };
	return true;
}

bool
record_unpack(const struct record *r, struct buf *mail, char *why, size_t room)
{
	if (r->size > RECORD_BODY_MOST || !buf_reserve(mail, r->size + 1)) {
		snprintf(why, room, "no memory");
		return false;
	}
	size_t n = r->size ? ZSTD_decompress(mail->p + mail->n, r->size, r->body.p, r->body.n) : 0;

	if (ZSTD_isError(n) || n != r->size) {
		snprintf(why, room, "damaged: it cannot be unpacked");
		return false;
	}
	mail->n += n;
	return true;
}
