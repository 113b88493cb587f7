#include "policyd/scan/rendered.h"

#include "policyd/base/limits.h"
#include "policyd/base/utf8.h"
#include "policyd/mail/forged.h"
#include "policyd/mail/parse.h"
#include "policyd/mail/sanitize.h"

enum { HTML_READ = 2 * 1024 * 1024 };

/* At most `most` bytes, not cut inside a character. */
static struct span
cut(struct span s, size_t most)
{
	s = span_head(s, most);
	for (size_t back = 0; back < 4 && s.n > back; back++) {
		struct span last = span_from(s, s.n - back - 1);

		if (((unsigned char)last.p[0] & 0xc0) == 0x80)
			continue;
		return utf8_length(last) == 0 ? span_head(s, s.n - back - 1) : s;
	}
	return s;
}

static bool
is_shown(const struct part *p)
{
	return p->reading == 0 && !span_eq(p->disposition, SPAN("attachment"));
}

/* The text parts in their order; without any, what a reader sees of the HTML. */
static void
pack_text_parts(struct buf *b, const struct message *msg)
{
	struct buf text = { 0 };

	for (size_t i = 0; i < msg->strict_count && text.n < RENDERED_TEXT; i++)
		if (msg->parts[i].kind == PART_TEXT && is_shown(&msg->parts[i])) {
			if (text.n > 0)
				buf_add(&text, "\n\n", 2);
			buf_add_span(&text, msg->parts[i].text);
		}
	pack_u8(b, text.n > 0);
	pack_span(b, cut(text.n > 0 ? buf_span(&text) : msg->text, RENDERED_TEXT));
	buf_free(&text);
}

static void
pack_html(struct buf *b, struct arena *a, const struct message *msg)
{
	struct buf html = { 0 };

	for (size_t i = 0; i < msg->strict_count; i++) {
		const struct part *p = &msg->parts[i];
		bool unknown, wrong;

		if (p->kind == PART_HTML && is_shown(p))
			html_sanitize(a, charset_to_utf8(a, span_head(p->data, HTML_READ), p->charset, &unknown, &wrong), &html);
	}
	pack_span(b, buf_span(&html));
	b->failed |= html.failed;
	buf_free(&html);
}

static uint32_t
least(size_t a, size_t b)
{
	return (uint32_t)(a < b ? a : b);
}

/* Does this header say what somebody found out about the sender, and is that somebody us? The mail is kept as it came in: what
 * stands in it in our name came from outside, unless a milter before us has put it there. */
static enum rendered_claim
claim_of(struct arena *a, const struct header *h, struct span ours)
{
	bool results = span_eq_nocase(h->name, SPAN("Authentication-Results")) || span_eq_nocase(h->name, SPAN("ARC-Authentication-Results"));

	if (!results && !span_eq_nocase(h->name, SPAN("Received-SPF")))
		return CLAIM_NONE;
	return ours.n > 0 && h->name.n == strlen("Authentication-Results") && span_eq_nocase(authserv_id_of(a, h->raw), ours) ? CLAIM_OURS : CLAIM_FOREIGN;
}

void
rendered_pack(struct buf *b, struct arena *a, const struct message *msg, const uint8_t digest[32], struct span ours)
{
	uint32_t headers = least(msg->headers.count, RENDERED_HEADERS), parts = least(msg->strict_count, RENDERED_PARTS),
	    links = least(msg->link_count, RENDERED_LINKS);

	pack_span(b, span_make(digest, 32));
	pack_span(b, cut(msg->from.addr, RENDERED_VALUE));
	pack_span(b, cut(msg->from.name, RENDERED_VALUE));
	pack_span(b, cut(msg->subject, RENDERED_VALUE));
	pack_text_parts(b, msg);
	pack_html(b, a, msg);
	pack_u32(b, headers);
	for (uint32_t i = 0; i < headers; i++) {
		pack_span(b, cut(msg->headers.at[i].name, 100));
		pack_span(b, cut(msg->headers.at[i].value, RENDERED_VALUE));
		pack_u8(b, claim_of(a, &msg->headers.at[i], ours));
	}
	pack_u32(b, parts);
	for (uint32_t i = 0; i < parts; i++) {
		const struct part *p = &msg->parts[i];

		pack_span(b, cut(p->type, 200));
		pack_span(b, cut(p->real_type, 200));
		pack_span(b, cut(p->file_name, 400));
		pack_u64(b, p->data.n);
		pack_u32(b, (uint32_t)p->depth);
	}
	pack_u32(b, links);
	for (uint32_t i = 0; i < links; i++) {
		pack_span(b, cut(msg->links[i].url, MAX_LINK));
		pack_span(b, cut(msg->links[i].host, 255));
		pack_span(b, cut(msg->links[i].shown, MAX_EVIDENCE));
		pack_u8(b, msg->links[i].mismatch);
	}
}

bool
rendered_unpack(struct unpack *u, struct rendered *r)
{
	unpack_span(u);                      /* the digest: dispatch has looked at it */
	r->from = unpack_span(u);
	r->from_name = unpack_span(u);
	r->subject = unpack_span(u);
	r->has_text = unpack_u8(u);
	r->text = unpack_span(u);
	r->html = unpack_span(u);
	r->header_count = unpack_u32(u);
	if (r->header_count > RENDERED_HEADERS)
		return false;
	for (uint32_t i = 0; i < r->header_count; i++) {
		r->headers[i].name = unpack_span(u);
		r->headers[i].value = unpack_span(u);
		r->headers[i].claim = unpack_u8(u);
	}
	r->part_count = unpack_u32(u);
	if (r->part_count > RENDERED_PARTS)
		return false;
	for (uint32_t i = 0; i < r->part_count; i++) {
		struct rendered_part *p = &r->parts[i];

		p->type = unpack_span(u);
		p->real_type = unpack_span(u);
		p->name = unpack_span(u);
		p->size = unpack_u64(u);
		p->depth = unpack_u32(u);
	}
	r->link_count = unpack_u32(u);
	if (r->link_count > RENDERED_LINKS)
		return false;
	for (uint32_t i = 0; i < r->link_count; i++) {
		struct rendered_link *l = &r->links[i];

		l->url = unpack_span(u);
		l->host = unpack_span(u);
		l->shown = unpack_span(u);
		l->mismatch = unpack_u8(u);
	}
	return !u->bad;
}
