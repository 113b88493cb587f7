#include "quarantine/review/peer_seal.h"

#include <stdlib.h>

static const char request_purpose[] = "policyd peer request 1", reply_purpose[] = "policyd peer reply 1";

enum { PURPOSE_ROOM = 64 };

/* A fresh nonce and what was sealed behind it; `plain` is not needed any more. */
static bool
seal(const uint8_t key[CRYPT_KEY], struct span with, struct span plain, uint8_t nonce[CRYPT_NONCE], struct buf *out)
{
	if (!crypt_random(nonce, CRYPT_NONCE) || !buf_reserve(out, CRYPT_NONCE + plain.n + CRYPT_TAG))
		return false;
	memcpy(out->p + out->n, nonce, CRYPT_NONCE);
	if (!crypt_seal(key, nonce, with, plain, (uint8_t *)out->p + out->n + CRYPT_NONCE))
		return false;
	out->n += CRYPT_NONCE + plain.n + CRYPT_TAG;
	return true;
}

static bool
open_sealed(const uint8_t key[CRYPT_KEY], struct span with, struct span sealed, struct buf *plain)
{
	struct span text = span_from(sealed, CRYPT_NONCE);

	if (sealed.n < CRYPT_NONCE + CRYPT_TAG || !buf_reserve(plain, text.n))
		return false;
	if (!crypt_open(key, (const uint8_t *)sealed.p, with, text, (uint8_t *)plain->p))
		return false;
	plain->n = text.n - CRYPT_TAG;
	return true;
}

/* What a reply is sealed with: what it is, and to which question. */
static struct span
reply_to(char bound[PURPOSE_ROOM], const uint8_t asked[CRYPT_NONCE])
{
	memcpy(bound, reply_purpose, sizeof reply_purpose);
	memcpy(bound + sizeof reply_purpose, asked, CRYPT_NONCE);
	return span_make(bound, sizeof reply_purpose + CRYPT_NONCE);
}

bool
peer_seal_request(const uint8_t key[CRYPT_KEY], const json_t *request, uint8_t nonce[CRYPT_NONCE], struct buf *out)
{
	char *text = json_dumps(request, JSON_COMPACT);
	bool good = text && seal(key, span_of(request_purpose), span_of(text), nonce, out);

	free(text);
	return good;
}

bool
peer_open_request(const uint8_t key[CRYPT_KEY], struct span sealed, uint8_t nonce[CRYPT_NONCE], json_t **request)
{
	struct buf plain = { 0 };
	bool good = open_sealed(key, span_of(request_purpose), sealed, &plain);

	*request = good ? json_loadb(plain.p, plain.n, JSON_REJECT_DUPLICATES, NULL) : NULL;
	if (good)
		memcpy(nonce, sealed.p, CRYPT_NONCE);
	buf_free(&plain);
	return json_is_object(*request);
}

bool
peer_seal_reply(const uint8_t key[CRYPT_KEY], const uint8_t asked[CRYPT_NONCE], const json_t *reply, struct span mail, struct buf *out)
{
	char *text = json_dumps(reply, JSON_COMPACT), bound[PURPOSE_ROOM];
	size_t n = text ? strlen(text) : 0;
	struct buf plain = { 0 };
	uint8_t nonce[CRYPT_NONCE];

	for (int i = 0; i < 4; i++)
		buf_add_char(&plain, (char)(n >> 8 * i));
	buf_add(&plain, text ? text : "", n);
	buf_add_span(&plain, mail);
	bool good = text && n <= UINT32_MAX && !plain.failed && seal(key, reply_to(bound, asked), buf_span(&plain), nonce, out);

	buf_free(&plain);
	free(text);
	return good;
}

bool
peer_open_reply(const uint8_t key[CRYPT_KEY], const uint8_t asked[CRYPT_NONCE], struct span sealed, struct buf *plain, json_t **reply,
    struct span *mail)
{
	char bound[PURPOSE_ROOM];
	size_t n = 0;

	*reply = NULL;
	*mail = SPAN("");
	if (!open_sealed(key, reply_to(bound, asked), sealed, plain) || plain->n < 4)
		return false;
	for (int i = 0; i < 4; i++)
		n |= (size_t)(uint8_t)plain->p[i] << 8 * i;
	if (n > plain->n - 4)
		return false;
	*reply = json_loadb(plain->p + 4, n, 0, NULL);
	*mail = span_from(buf_span(plain), 4 + n);
	return json_is_object(*reply);
}
