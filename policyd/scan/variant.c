#include "policyd/scan/variant.h"

#include <math.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <stdio.h>
#include <stdlib.h>

enum { MAC_BYTES = 10, REFERENCE_BYTES = 9, REFERENCE_LETTERS = 14, DAY_S = 86400 };
enum { FLAG_FILTERED = 1, FLAG_SPAM = 2, FLAG_STRIP = 4, FLAG_MODEL = 8, FLAG_REQUIRED = 16 };

static const char letters[] = "abcdefghijklmnopqrstuvwxyz234567";

static void
add_base32(struct buf *b, struct span bytes)
{
	uint32_t bits = 0;
	int n = 0;

	for (size_t i = 0; i < bytes.n; i++) {
		bits = bits << 8 | (unsigned char)bytes.p[i];
		for (n += 8; n >= 5; n -= 5)
			buf_add_char(b, letters[bits >> (n - 5) & 31]);
	}
	if (n > 0)
		buf_add_char(b, letters[bits << (5 - n) & 31]);
}

/* Bits behind the last whole byte must be zero, so that there is one spelling of each token. */
static bool
read_base32(struct span text, uint8_t *to, size_t room, size_t *n_out)
{
	uint32_t bits = 0;
	size_t n = 0;
	int have = 0;

	for (size_t i = 0; i < text.n; i++) {
		const char *at = text.p[i] ? strchr(letters, ascii_lower(text.p[i])) : NULL;

		if (at == NULL || n >= room)
			return false;
		bits = (bits << 5 | (uint32_t)(at - letters)) & 0xfff;
		have += 5;
		if (have >= 8) {
			have -= 8;
			to[n++] = (uint8_t)(bits >> have);
		}
	}
	*n_out = n;
	return have < 5 && (bits & ((1u << have) - 1)) == 0;
}

static void
add_number(struct buf *b, double points)
{
	int64_t hundredths = llround(points * 100);
	uint64_t zigzag = hundredths < 0 ? (uint64_t)(-hundredths) * 2 - 1 : (uint64_t)hundredths * 2;

	for (; zigzag >= 0x80; zigzag >>= 7)
		buf_add_char(b, (char)(zigzag | 0x80));
	buf_add_char(b, (char)zigzag);
}

static bool
take_byte(struct span *from, uint8_t *to)
{
	if (from->n == 0)
		return false;
	*to = (uint8_t)from->p[0];
	*from = span_from(*from, 1);
	return true;
}

static bool
take_number(struct span *from, double *to)
{
	uint64_t zigzag = 0;
	uint8_t byte = 0x80;

	for (int shift = 0; byte & 0x80; shift += 7) {
		if (shift > 56 || !take_byte(from, &byte))
			return false;
		zigzag |= (uint64_t)(byte & 0x7f) << shift;
	}
	*to = (zigzag & 1 ? -(double)(zigzag / 2 + 1) : (double)(zigzag / 2)) / 100;
	return true;
}

/* 14 letters of five bits, as the broker makes them, in nine bytes. */
static void
add_reference(struct buf *b, const char *reference)
{
	uint32_t bits = 0;
	int have = 0;

	for (size_t i = 0; i < REFERENCE_LETTERS; i++) {
		const char *at = *reference ? strchr(letters, ascii_lower(*reference++)) : NULL;

		bits = bits << 5 | (uint32_t)(at ? at - letters : 0);
		for (have += 5; have >= 8; have -= 8)
			buf_add_char(b, (char)(bits >> (have - 8)));
	}
	buf_add_char(b, (char)(bits << (8 - have)));
}

static bool
take_reference(struct span *from, char to[VARIANT_REFERENCE])
{
	static const char upper[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";
	uint32_t bits = 0;
	int have = 0;
	size_t n = 0;

	if (from->n < REFERENCE_BYTES)
		return false;
	for (size_t i = 0; i < REFERENCE_BYTES; i++) {
		bits = bits << 8 | (unsigned char)from->p[i];
		for (have += 8; have >= 5 && n < REFERENCE_LETTERS; have -= 5)
			to[n++] = upper[bits >> (have - 5) & 31];
	}
	to[n] = '\0';
	*from = span_from(*from, REFERENCE_BYTES);
	return true;
}

void
variant_pack(struct buf *b, const struct variant *v)
{
	size_t tag = strlen(v->subject_tag);

	buf_add_char(b, (char)((v->filtered ? FLAG_FILTERED : 0) | (v->flag ? FLAG_SPAM : 0) | (v->strip ? FLAG_STRIP : 0) |
	    (v->model_known ? FLAG_MODEL : 0) | (v->has_required ? FLAG_REQUIRED : 0)));
	add_number(b, v->points);
	add_number(b, v->model_known ? v->bayes_points : 0);
	add_number(b, v->has_required ? v->required : 0);
	buf_add_char(b, (char)v->undo);
	buf_add_char(b, (char)tag);
	buf_add(b, v->subject_tag, tag);
	add_reference(b, v->reference);
}

bool
variant_unpack(struct span *from, struct variant *v)
{
	uint8_t flags, tag;

	*v = (struct variant){ 0 };
	if (!take_byte(from, &flags) || !take_number(from, &v->points) || !take_number(from, &v->bayes_points) ||
	    !take_number(from, &v->required) || !take_byte(from, &v->undo) || !take_byte(from, &tag) || tag >= sizeof v->subject_tag ||
	    from->n < tag)
		return false;
	memcpy(v->subject_tag, from->p, tag);
	*from = span_from(*from, tag);
	v->filtered = flags & FLAG_FILTERED;
	v->flag = flags & FLAG_SPAM;
	v->strip = flags & FLAG_STRIP;
	v->model_known = flags & FLAG_MODEL;
	v->has_required = flags & FLAG_REQUIRED;
	return take_reference(from, v->reference);
}

static void
mac(const uint8_t key[SECRET_BYTES], const char *what, struct span bytes, uint8_t to[32])
{
	struct buf all = { 0 };
	unsigned int n = 0;

	buf_add(&all, what, strlen(what) + 1);
	buf_add_span(&all, bytes);
	if (all.failed || HMAC(EVP_sha256(), key, SECRET_BYTES, (const unsigned char *)all.p, all.n, to, &n) == NULL)
		abort();                     /* without it nothing of this may go out */
	buf_free(&all);
}

static bool
finish(const uint8_t key[SECRET_BYTES], const char *kind, struct buf *body, const char *domain, char to[TOKEN_ROOM])
{
	struct buf text = { 0 };
	uint8_t code[32];
	bool good;

	mac(key, kind, buf_span(body), code);
	buf_add(body, code, MAC_BYTES);
	buf_printf(&text, "%s", kind);
	add_base32(&text, buf_span(body));
	buf_printf(&text, "@%s", domain);
	good = !body->failed && !text.failed && text.n <= TOKEN_MOST;
	if (good)
		snprintf(to, TOKEN_ROOM, SPAN_FMT, SPAN_ARG(buf_span(&text)));
	buf_free(&text);
	return good;
}

bool
token_make(const uint8_t key[SECRET_BYTES], const struct variant *v, struct span recipient, const char *domain, int64_t now_s,
    char to[TOKEN_ROOM])
{
	struct buf body = { 0 };
	uint16_t day = (uint16_t)(now_s / DAY_S + TOKEN_DAYS);

	variant_pack(&body, v);
	buf_add_char(&body, (char)(day >> 8));
	buf_add_char(&body, (char)day);
	buf_add_span(&body, recipient);
	bool good = finish(key, "v1", &body, domain, to);

	buf_free(&body);
	return good;
}

bool
token_fits(size_t tag, size_t recipient, size_t domain)
{
	size_t most = 1 + 3 * 4 + 2 + tag + REFERENCE_BYTES + 2 + recipient + MAC_BYTES;     /* a number of points has at most 4 bytes */

	return recipient <= MAX_ADDRESS && 2 + (most * 8 + 4) / 5 + 1 + domain <= TOKEN_MOST;
}

bool
token_probe(const uint8_t key[SECRET_BYTES], uint64_t nonce, const char *domain, char to[TOKEN_ROOM])
{
	struct buf body = { 0 };

	buf_add(&body, &nonce, sizeof nonce);
	bool good = finish(key, "p1", &body, domain, to);

	buf_free(&body);
	return good;
}

enum token_state
token_read(const uint8_t key[SECRET_BYTES], struct span local, int64_t now_s, struct variant *v, char recipient[MAX_ADDRESS + 1],
    uint64_t *nonce)
{
	uint8_t bytes[TOKEN_MOST], code[32];
	bool probe = span_starts_nocase(local, SPAN("p1"));
	size_t n = 0;

	if (!(probe || span_starts_nocase(local, SPAN("v1"))) || !read_base32(span_from(local, 2), bytes, sizeof bytes, &n) || n < MAC_BYTES)
		return TOKEN_BAD;
	struct span body = span_make(bytes, n - MAC_BYTES);

	mac(key, probe ? "p1" : "v1", body, code);
	if (CRYPTO_memcmp(code, bytes + body.n, MAC_BYTES) != 0)
		return TOKEN_BAD;
	if (probe) {
		if (body.n != sizeof *nonce)
			return TOKEN_BAD;
		memcpy(nonce, body.p, sizeof *nonce);
		return TOKEN_PROBE;
	}
	if (!variant_unpack(&body, v) || body.n < 3 || body.n - 2 > MAX_ADDRESS)
		return TOKEN_BAD;
	int64_t day = (unsigned char)body.p[0] << 8 | (unsigned char)body.p[1];

	snprintf(recipient, MAX_ADDRESS + 1, SPAN_FMT, SPAN_ARG(span_from(body, 2)));
	return now_s / DAY_S > day ? TOKEN_EXPIRED : TOKEN_GOOD;
}

void
trace_make(const uint8_t key[SECRET_BYTES], const char *reference, char to[TRACE_ROOM])
{
	struct buf text = { 0 };
	uint8_t code[32];

	mac(key, "trace", span_of(reference), code);
	add_base32(&text, span_make(code, MAC_BYTES));
	snprintf(to, TRACE_ROOM, "%.14s-" SPAN_FMT, reference, SPAN_ARG(buf_span(&text)));
	buf_free(&text);
}

bool
trace_good(const uint8_t key[SECRET_BYTES], struct span trace)
{
	char reference[VARIANT_REFERENCE], want[TRACE_ROOM];

	snprintf(reference, sizeof reference, SPAN_FMT, SPAN_ARG(span_head(trace, VARIANT_REFERENCE - 1)));
	trace_make(key, reference, want);
	return trace.n == strlen(want) && CRYPTO_memcmp(trace.p, want, trace.n) == 0;
}
