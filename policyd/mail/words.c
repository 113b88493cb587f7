/* words.c - RFC 2047: encoded words in a header, each decoded once.
 *
 * Words of one charset that follow each other are joined as bytes before they become text: senders cut characters of
 * several bytes between words (the RFC forbids it), and clients show them whole. */
#include "policyd/base/utf8.h"
#include "policyd/mail/parse.h"

enum { ENCODED_WORD = 4096, CHARSET_MOST = 40 };     /* bytes; the RFC allows 75, and programs that ignore it exist */

struct word {
	struct span charset, text;
	bool base64;
	size_t length;                       /* 0: it is none */
};

/* "=?charset*language?B?text?=" at the start of `s` */
static struct word
word_at(struct span s)
{
	struct word w = { 0 };
	struct span rest = span_from(s, 2);
	size_t mark = span_find_char(span_head(rest, CHARSET_MOST + 1), '?'), end;

	if (!span_starts(s, SPAN("=?")) || mark == SPAN_NONE || mark == 0)
		return w;
	w.charset = span_head(rest, mark);
	rest = span_from(rest, mark + 1);
	if (rest.n < 2 || rest.p[1] != '?')
		return w;
	char kind = ascii_lower(rest.p[0]);

	rest = span_from(rest, 2);
	end = span_find(span_head(rest, ENCODED_WORD), SPAN("?="));
	if (end == SPAN_NONE || (kind != 'b' && kind != 'q'))
		return w;
	w.charset = span_head(w.charset, span_find_char(w.charset, '*'));      /* RFC 2231, 5 */
	w.base64 = kind == 'b';
	w.text = span_head(rest, end);
	w.length = (size_t)(rest.p - s.p) + end + 2;
	return w;
}

struct decoder {
	struct arena *a;
	char *out, *bytes;                   /* text; and what is decoded of the run of words in work */
	size_t n, room, bytes_n;
	struct span charset;
};

static void
add_text(struct decoder *d, struct span text)
{
	text = span_head(text, d->room - d->n);
	if (text.n > 0)
		memcpy(d->out + d->n, text.p, text.n);
	d->n += text.n;
}

/* No line end, and no NUL, that was not one in the mail, gets into a value. */
static void
end_run(struct decoder *d)
{
	bool unknown, wrong;
	size_t start = d->n;

	if (d->bytes_n == 0)
		return;
	add_text(d, charset_to_utf8(d->a, span_make(d->bytes, d->bytes_n), d->charset, &unknown, &wrong));
	d->bytes_n = 0;
	for (size_t i = start; i < d->n; i++)
		if (d->out[i] == '\r' || d->out[i] == '\n' || d->out[i] == '\0')
			d->out[i] = ' ';
}

static void
add_word(struct decoder *d, const struct word *w)
{
	bool broken;
	struct span bytes;

	if (!span_eq_nocase(w->charset, d->charset))
		end_run(d);
	d->charset = w->charset;
	bytes = w->base64 ? decode_base64(d->a, w->text, &broken) : decode_quoted(d->a, w->text, true, &broken);
	if (bytes.n > 0)
		memcpy(d->bytes + d->bytes_n, bytes.p, bytes.n);
	d->bytes_n += bytes.n;               /* decoded is never longer than encoded */
}

static bool
is_blank(struct span s)
{
	return span_trim(s).n == 0;
}

struct span
header_decode(struct arena *a, struct span raw)
{
	struct decoder d = { .a = a };
	bool after_word = false, unknown, wrong;

	if (span_find(raw, SPAN("=?")) == SPAN_NONE)
		return charset_to_utf8(a, raw, SPAN("utf-8"), &unknown, &wrong);
	d.room = raw.n * 4 + 16;             /* one byte of a charset is at most four of UTF-8 */
	d.out = arena_alloc(a, d.room);
	d.bytes = arena_alloc(a, raw.n + 1);
	for (size_t at = 0; at < raw.n;) {
		struct span rest = span_from(raw, at);
		struct word w = word_at(rest);

		if (w.length > 0) {
			add_word(&d, &w);
			at += w.length;
			after_word = true;
			continue;
		}
		size_t next = span_find(span_from(rest, 1), SPAN("=?"));
		struct span plain = next == SPAN_NONE ? rest : span_head(rest, next + 1);

		at += plain.n;
		/* White space between two encoded words is not shown. */
		if (after_word && at < raw.n && is_blank(plain) && word_at(span_from(raw, at)).length > 0)
			continue;
		end_run(&d);
		add_text(&d, charset_to_utf8(a, plain, SPAN("utf-8"), &unknown, &wrong));
		after_word = false;
	}
	end_run(&d);
	return span_make(d.out, d.n);
}
