/* html_links.c - where a page leads: <a>, images, forms, CSS, refreshes, scripts, and addresses that are mere text. */
#include "policyd/base/utf8.h"
#include "policyd/mail/page.h"

/* Character references out: a copy only when there are some. */
struct span
attr_text(struct arena *a, struct span raw)
{
	size_t at = span_find_char(raw, '&'), n = 0;
	char *out;

	if (at == SPAN_NONE)
		return raw;
	out = arena_alloc(a, raw.n + 4);             /* no reference is shorter than what it stands for */
	for (size_t i = 0; i < raw.n;) {
		uint32_t code;
		size_t used = raw.p[i] == '&' ? html_entity(span_from(raw, i), true, &code) : 0;

		if (used > 0) {
			n += utf8_encode(code, out + n);
			i += used;
		} else {
			out[n++] = raw.p[i++];
		}
	}
	return span_make(out, n);
}

static void
add_link(struct page *p, struct span url, enum link_source source, struct span shown)
{
	if (!p->again)
		link_add_from(p->a, p->msg, p->base, url, source, shown, p->part);
}

/* The text since the last link, for those it names without linking them. */
void
page_end_plain(struct page *p)
{
	if (!p->again)
		links_of_text(p->a, p->msg, span_make(p->visible.p + p->plain, p->visible.n - p->plain), LINK_TEXT, p->part);
	p->plain = p->visible.n;
}

void
page_end_link(struct page *p)
{
	if (p->link.n == 0)
		return;
	add_link(p, p->link, LINK_HTML, span_trim(span_make(p->shown, p->shown_n)));
	p->link = SPAN("");
	p->shown_n = 0;
	p->plain = p->visible.n;
}

static void
begin_link(struct page *p, struct span url)
{
	page_end_link(p);
	page_end_plain(p);
	p->link = url;
}

/* url(x), url("x"), @import "x" */
void
page_css_links(struct page *p, struct span css)
{
	for (size_t at = 0, hit; (hit = span_find_char(span_from(css, at), '(')) != SPAN_NONE;) {
		at += hit + 1;
		if (at < 4 || !span_eq_nocase(span_make(css.p + at - 4, 3), SPAN("url")))
			continue;
		struct span rest = span_head(span_from(css, at), MAX_LINK);
		size_t end = span_find_char(rest, ')');
		struct span url = span_trim(span_head(rest, end == SPAN_NONE ? 0 : end));

		if (url.n > 1 && (url.p[0] == '"' || url.p[0] == '\''))
			url = span_head(span_from(url, 1), url.n - 2);
		add_link(p, url, LINK_CSS, SPAN(""));
	}
	for (size_t at = 0, hit; (hit = span_find_char(span_from(css, at), '@')) != SPAN_NONE;) {
		at += hit + 1;
		if (!span_starts_nocase(span_from(css, at), SPAN("import")))
			continue;
		struct span url = span_trim(span_head(span_from(css, at + 6), MAX_LINK));

		if (url.n > 1 && (url.p[0] == '"' || url.p[0] == '\'')) {
			size_t end = span_find_char(span_from(url, 1), url.p[0]);

			add_link(p, span_head(span_from(url, 1), end), LINK_CSS, SPAN(""));
		}
	}
}

/* "a.png 1x, b.png 2x" */
static void
srcset_links(struct page *p, struct span set)
{
	while (set.n > 0) {
		struct span one = span_trim(span_cut(&set, ',')), url = span_cut(&one, ' ');

		add_link(p, url, LINK_IMAGE, SPAN(""));
	}
}

/* content="0; url='http://...'" */
static void
refresh_link(struct page *p, struct span content)
{
	size_t at = span_find_nocase(content, SPAN("url"));
	struct span rest = span_trim(span_from(content, at == SPAN_NONE ? content.n : at + 3));

	if (rest.n == 0 || rest.p[0] != '=') {       /* "0;http://..." does as well */
		size_t semicolon = span_find_char(content, ';');

		rest = semicolon == SPAN_NONE ? SPAN("") : span_from(content, semicolon);
	}
	rest = span_trim(span_from(rest, 1));
	if (rest.n > 1 && (rest.p[0] == '"' || rest.p[0] == '\''))
		rest = span_head(span_from(rest, 1), span_find_char(span_from(rest, 1), rest.p[0]));
	add_link(p, rest, LINK_REFRESH, SPAN(""));
}

void
page_links(struct page *p, const struct tag *tag, const struct attrs *attrs)
{
	static const struct { enum attr attr; enum link_source source; } plain[] = {
		{ A_SRC, LINK_IMAGE }, { A_ACTION, LINK_FORM }, { A_FORMACTION, LINK_FORM }, { A_BACKGROUND, LINK_IMAGE },
		{ A_POSTER, LINK_IMAGE }, { A_DATA, LINK_IMAGE }, { A_LOWSRC, LINK_IMAGE }, { A_DYNSRC, LINK_IMAGE }, { A_CITE, LINK_HTML },
		{ A_PING, LINK_HTML }, { A_LONGDESC, LINK_HTML }, { A_CODEBASE, LINK_HTML }, { A_MANIFEST, LINK_HTML },
	};
	enum attr href = attr_has(attrs, A_HREF) ? A_HREF : A_XLINK_HREF;

	if (attr_has(attrs, href)) {
		struct span url = attr_text(p->a, attrs->at[href]);

		if (tag->id == T_BASE && p->base.n == 0)
			p->base = url;
		if (tag->id == T_A)
			begin_link(p, url);
		else
			add_link(p, url, LINK_HTML, SPAN(""));
	}
	for (size_t i = 0; i < sizeof plain / sizeof *plain; i++)
		if (attr_has(attrs, plain[i].attr))
			add_link(p, attr_text(p->a, attrs->at[plain[i].attr]), plain[i].source, SPAN(""));
	if (attr_has(attrs, A_SRCSET))
		srcset_links(p, attr_text(p->a, attrs->at[A_SRCSET]));
	if (attr_has(attrs, A_ON) && !p->again)
		links_of_text(p->a, p->msg, attr_text(p->a, attrs->at[A_ON]), LINK_HTML, p->part);
	if (tag->id == T_META && span_eq_nocase(span_trim(attr_text(p->a, attr_raw(attrs, A_HTTP_EQUIV))), SPAN("refresh")))
		refresh_link(p, attr_text(p->a, attr_raw(attrs, A_CONTENT)));
}
