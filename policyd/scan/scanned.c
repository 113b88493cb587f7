#include "policyd/scan/scanned.h"

#include <stdlib.h>

#include "policyd/auth/results.h"
#include "policyd/base/utf8.h"
#include "policyd/mail/forged.h"
#include "policyd/wire.h"

enum { LIST_ID_MOST = 200, TEXT_HASHED = 400, TEXT_LEAST = 40 };

static void
pack_forged(struct buf *b, const struct scan *scan)
{
	struct forged *forged;
	size_t count = message_forged(&scan->message, scan_forged_id(scan), scan->arena, &forged);

	if (count > SCANNED_MAX_FORGED)
		count = SCANNED_MAX_FORGED;
	pack_u32(b, (uint32_t)count);
	for (size_t i = 0; i < count; i++) {
		pack_span(b, forged[i].name);
		pack_u32(b, forged[i].nth);
	}
}

/* Where a milter before us writes these headers, it has its own; ours would contradict it. */
static void
pack_auth(struct buf *b, const struct scan *scan)
{
	static const struct auth nobody;
	const struct config *c = scan->kit ? scan->kit->config : NULL;
	const struct auth *auth = scan->auth ? scan->auth : &nobody;
	struct buf results = { 0 };

	if (c && c->auth && c->auth_results && !c->authserv_guarded && scan->auth)
		results_write(&results, span_of(c->authserv_id), c->auth_results, &scan->session, &scan->envelope, auth);
	pack_span(b, span_make(auth, sizeof *auth));
	pack_span(b, buf_span(&results));
	b->failed |= results.failed;
	buf_free(&results);
}

/* RFC 2919: "Words for people <announce.shop.example>". */
static struct span
list_id(const struct message *m)
{
	struct span value = header_value(&m->headers, "List-Id");
	size_t open = span_find_last(value, '<'), end = span_find_last(value, '>');
	struct span id = open != SPAN_NONE && end != SPAN_NONE && open < end ? span_make(value.p + open + 1, end - open - 1) : SPAN("");

	for (size_t i = 0; i < id.n; i++)
		if (!ascii_alnum(id.p[i]) && !strchr(".-_", id.p[i]))
			return SPAN("");
	return id.n < LIST_ID_MOST ? id : SPAN("");
}

/* What the mails of one run have in common though each has another number, name or link in it: the letters of its first lines.
 * 0: too few to tell. */
static uint64_t
text_hash(struct span text)
{
	char letters[TEXT_HASHED];
	size_t n = 0;

	for (size_t i = 0; i < text.n && n < sizeof letters; i++) {
		char c = ascii_lower(text.p[i]);

		if ((c >= 'a' && c <= 'z') || (unsigned char)c >= 0x80)
			letters[n++] = c;
	}
	return n < TEXT_LEAST ? 0 : span_hash(span_make(letters, n), 0x74657874);
}

void
scanned_pack(struct buf *b, const struct scan *scan, const uint8_t digest[32], uint64_t cpu_us, bool retire)
{
	const struct verdict *v = &scan->verdict;
	const struct header *subject = header_get(&scan->message.headers, SPAN("Subject"), 0);

	pack_u32(b, (uint32_t)v->count);
	for (size_t i = 0; i < v->count; i++)
		wire_pack_symbol(b, &v->at[i]);
	pack_u32(b, v->classes);
	pack_u8(b, v->defer);
	pack_span(b, v->defer_reason);
	pack_u32(b, (uint32_t)scan->class_count);
	for (size_t i = 0; i < scan->class_count; i++) {
		const struct class_score *c = &scan->classes[i];

		pack_f64(b, c->points);
		pack_f64(b, c->bayes_points);
		pack_f64(b, c->probability);
		pack_u8(b, c->model_known);
		pack_span(b, utf8_head(c->banned, MAX_EVIDENCE));
		pack_u8(b, c->strippable);
	}
	pack_span(b, span_make(digest, 32));
	pack_span(b, span_head(header_value(&scan->message.headers, "Message-ID"), 998));
	pack_span(b, span_head(scan->message.from.addr, MAX_ADDRESS));
	pack_span(b, span_head(scan->message.subject, 998));
	pack_span(b, subject ? span_head(subject->raw, MAX_HEADER_LINE) : SPAN(""));
	pack_span(b, list_id(&scan->message));
	pack_u64(b, text_hash(scan->message.text));
	pack_forged(b, scan);
	pack_auth(b, scan);
	pack_u64(b, cpu_us);
	pack_u8(b, retire);
}

/* An array of `count` elements that may be none; NULL only when memory is short. */
static void *
array(uint32_t count, size_t size)
{
	return calloc(count ? count : 1, size);
}

bool
scanned_unpack(struct unpack *u, struct scanned *s)
{
	*s = (struct scanned){ 0 };
	s->symbol_count = unpack_u32(u);
	if (s->symbol_count > MAX_FINDINGS || (s->symbols = array(s->symbol_count, sizeof *s->symbols)) == NULL)
		return false;
	for (uint32_t i = 0; i < s->symbol_count; i++)
		wire_unpack_symbol(u, &s->symbols[i]);
	s->classes = unpack_u32(u);
	s->defer = unpack_u8(u);
	s->defer_reason = unpack_span(u);
	s->score_count = unpack_u32(u);
	if (u->bad || s->score_count > MAX_RECIPIENTS ||
	    (s->scores = array(s->score_count, sizeof *s->scores)) == NULL) {
		scanned_free(s);
		return false;
	}
	for (uint32_t i = 0; i < s->score_count; i++) {
		s->scores[i].points = unpack_f64(u);
		s->scores[i].bayes_points = unpack_f64(u);
		s->scores[i].probability = unpack_f64(u);
		s->scores[i].model_known = unpack_u8(u);
		s->scores[i].banned = unpack_span(u);
		s->scores[i].strippable = unpack_u8(u);
	}
	struct span digest = unpack_span(u);

	if (digest.n == sizeof s->digest)
		memcpy(s->digest, digest.p, digest.n);
	s->message_id = unpack_span(u);
	s->from = unpack_span(u);
	s->subject = unpack_span(u);
	s->subject_raw = unpack_span(u);
	s->list_id = unpack_span(u);
	s->text_hash = unpack_u64(u);
	s->forged_count = unpack_u32(u);
	if (s->forged_count > SCANNED_MAX_FORGED)
		u->bad = true;
	for (uint32_t i = 0; !u->bad && i < s->forged_count; i++) {
		s->forged[i].name = unpack_span(u);
		s->forged[i].nth = unpack_u32(u);
	}
	struct span auth = unpack_span(u);

	if (auth.n == sizeof s->auth)
		memcpy(&s->auth, auth.p, auth.n);
	else
		u->bad = true;
	u->bad |= !auth_valid(&s->auth);
	s->results = unpack_span(u);
	s->cpu_us = unpack_u64(u);
	s->retire = unpack_u8(u);
	if (u->bad || digest.n != sizeof s->digest) {
		scanned_free(s);
		return false;
	}
	return true;
}

void
scanned_free(struct scanned *s)
{
	free(s->symbols);
	free(s->scores);
	s->symbols = NULL;
	s->scores = NULL;
}
