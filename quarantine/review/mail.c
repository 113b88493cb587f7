#include "quarantine/review/mail.h"

#include <openssl/evp.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include "policyd/base/utf8.h"
#include "policyd/wire.h"

enum { DELIVER_MS = 90 * 1000, LINE_BYTES = 57 };

void
mail_words(struct buf *to, struct span words, bool html)
{
	struct buf safe = { 0 };

	while (words.n > 0) {
		if (span_starts(words, SPAN("://"))) {
			buf_add(&safe, "[://]", 5);
			words = span_from(words, 3);
		} else if (span_starts_nocase(words, SPAN("www."))) {
			buf_add(&safe, "www[.]", 6);
			words = span_from(words, 4);
		} else {
			buf_add_char(&safe, words.p[0] == '\n' || words.p[0] == '\t' ? ' ' : words.p[0]);
			words = span_from(words, 1);
		}
	}
	if (html) {
		put_escaped(to, buf_span(&safe));
	} else {                             /* the same cleaning; then the few entities back, for plain text has none */
		struct buf escaped = { 0 };

		put_escaped(&escaped, buf_span(&safe));
		for (struct span s = buf_span(&escaped); s.n > 0;) {
			static const struct { struct span entity; char c; } back[] = { { { "&amp;", 5 }, '&' }, { { "&lt;", 4 }, '<' },
			    { { "&gt;", 4 }, '>' }, { { "&quot;", 6 }, '"' }, { { "&#39;", 5 }, '\'' } };
			size_t i = 0;

			while (i < 5 && !span_starts(s, back[i].entity))
				i++;
			buf_add_char(to, i < 5 ? back[i].c : s.p[0]);
			s = span_from(s, i < 5 ? back[i].entity.n : 1);
		}
		buf_free(&escaped);
	}
	buf_free(&safe);
}

static void
add_base64(struct buf *to, struct span bytes)
{
	for (; bytes.n > 0; bytes = span_from(bytes, LINE_BYTES)) {
		struct span line = span_head(bytes, LINE_BYTES);
		unsigned char coded[LINE_BYTES * 2];
		int n = EVP_EncodeBlock(coded, (const unsigned char *)line.p, (int)line.n);

		buf_add(to, coded, (size_t)n);
		buf_add(to, "\r\n", 2);
	}
}

/* RFC 2047, in words of at most 39 bytes each, none cut inside a character. */
static void
add_encoded(struct buf *to, const char *text)
{
	struct span left = span_of(text);
	bool first = true;

	while (left.n > 0) {
		size_t n = 0;
		unsigned char coded[80];

		while (n < left.n) {
			size_t one = utf8_length(span_from(left, n));

			if (n + (one ? one : 1) > 39)
				break;
			n += one ? one : 1;
		}
		EVP_EncodeBlock(coded, (const unsigned char *)left.p, (int)n);
		buf_printf(to, "%s=?utf-8?B?%s?=", first ? "" : "\r\n ", (const char *)coded);
		first = false;
		left = span_from(left, n);
	}
}

static void
add_date(struct buf *to, int64_t now_s)
{
	static const char *const days[] = { "Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat" };
	static const char *const months[] = { "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec" };
	time_t t = (time_t)now_s;
	struct tm tm;

	gmtime_r(&t, &tm);
	buf_printf(to, "Date: %s, %02d %s %04d %02d:%02d:%02d +0000\r\n", days[tm.tm_wday], tm.tm_mday, months[tm.tm_mon], tm.tm_year + 1900,
	    tm.tm_hour, tm.tm_min, tm.tm_sec);
}

static void
compose(const struct review *r, const struct own_mail *m, struct buf *out)
{
	const struct config *c = r->self->config;

	buf_printf(out, "From: ");
	add_encoded(out, m->from_name);
	buf_printf(out, " <%s>\r\nTo: <%s>\r\nSubject: ", c->review_from, m->to);
	add_encoded(out, m->subject);
	buf_printf(out, "\r\n");
	add_date(out, review_time_s(r));
	buf_printf(out, "Message-ID: <%s@%s>\r\nMIME-Version: 1.0\r\nAuto-Submitted: auto-generated\r\n"
	    "X-Auto-Response-Suppress: All\r\nContent-Language: %s\r\n", m->id, c->host_name, language_names[m->language]);
	if (m->unsubscribe)
		buf_printf(out, "List-Unsubscribe: <%s>\r\nList-Unsubscribe-Post: List-Unsubscribe=One-Click\r\n", m->unsubscribe);
	buf_printf(out, "Content-Type: multipart/alternative; boundary=\"=_%s\"\r\n\r\n--=_%s\r\nContent-Type: text/plain; charset=utf-8\r\n"
	    "Content-Transfer-Encoding: base64\r\n\r\n", m->id, m->id);
	add_base64(out, buf_span(&m->text));
	buf_printf(out, "--=_%s\r\nContent-Type: text/html; charset=utf-8\r\nContent-Transfer-Encoding: base64\r\n\r\n", m->id);
	add_base64(out, buf_span(&m->html));
	buf_printf(out, "--=_%s--\r\n", m->id);
	out->failed |= m->text.failed || m->html.failed;
}

struct sending {
	mail_done done;
	void *arg;
	int fd;
};

static void
answered(void *arg, struct packet *answer)
{
	struct sending *s = arg;
	struct unpack u = { answer ? answer->body : SPAN(""), false };
	uint8_t result = unpack_u8(&u);
	char reply[300];

	unpack_u32(&u);
	unpack_text(&u, reply, sizeof reply);
	close(s->fd);
	s->done(s->arg, answer && !u.bad ? result : 2, answer ? reply : "no answer from deliver");
	free(s);
}

bool
mail_send(struct review *r, struct own_mail *m, mail_done done, void *arg)
{
	struct sending *s = calloc(1, sizeof *s);
	struct buf mail = { 0 }, body = { 0 };

	compose(r, m, &mail);
	buf_free(&m->text);
	buf_free(&m->html);
	if (s) {
		*s = (struct sending){ done, arg, mail.failed ? -1 : memfd_sealed("policyd-own-mail", buf_span(&mail)) };
		pack_text(&body, m->id);
		pack_text(&body, r->self->config->review_from);
		pack_text(&body, m->to);
		pack_text(&body, "");
		pack_text(&body, "");
	}
	buf_free(&mail);
	if (s && s->fd >= 0 && link_ask(r->deliver, W_RELEASE, &body, &s->fd, 1, DELIVER_MS, answered, s))
		return true;
	buf_free(&body);
	if (s && s->fd >= 0)
		close(s->fd);
	free(s);
	return false;
}
