#include "policyd/mail/sanitize.h"

#include "policyd/base/utf8.h"
#include "policyd/mail/parse.h"

enum { NAME_MOST = 15, HOST_SHOWN = 100 };

enum kind {
	KEEP,                                /* the element as it is */
	VOID,                                /* the element, which has no end */
	SHOW,                                /* only what is in it */
	GONE,                                /* with all that is in it, up to its end tag */
	LINK, IMAGE,
};

static const struct element {
	const char *name, *as;               /* what it is written as; NULL: the same */
	enum kind kind;
} elements[] = {
	{ "a", "span", LINK }, { "img", NULL, IMAGE }, { "p", NULL, KEEP }, { "div", NULL, KEEP }, { "span", NULL, KEEP }, { "font", "span", KEEP },
	{ "b", NULL, KEEP }, { "strong", NULL, KEEP }, { "i", NULL, KEEP }, { "em", NULL, KEEP }, { "u", NULL, KEEP }, { "s", NULL, KEEP },
	{ "small", NULL, KEEP }, { "big", "b", KEEP }, { "sub", NULL, KEEP }, { "sup", NULL, KEEP }, { "center", "div", KEEP },
	{ "blockquote", NULL, KEEP }, { "pre", NULL, KEEP }, { "code", NULL, KEEP }, { "tt", "code", KEEP }, { "ul", NULL, KEEP },
	{ "ol", NULL, KEEP }, { "li", NULL, KEEP }, { "dl", NULL, KEEP }, { "dt", NULL, KEEP }, { "dd", NULL, KEEP }, { "h1", NULL, KEEP },
	{ "h2", NULL, KEEP }, { "h3", NULL, KEEP }, { "h4", NULL, KEEP }, { "h5", NULL, KEEP }, { "h6", NULL, KEEP }, { "table", NULL, KEEP },
	{ "thead", NULL, KEEP }, { "tbody", NULL, KEEP }, { "tfoot", NULL, KEEP }, { "tr", NULL, KEEP }, { "td", NULL, KEEP },
	{ "th", NULL, KEEP }, { "caption", NULL, KEEP }, { "br", NULL, VOID }, { "hr", NULL, VOID },
	{ "script", NULL, GONE }, { "style", NULL, GONE }, { "title", NULL, GONE }, { "textarea", NULL, GONE }, { "xmp", NULL, GONE },
	{ "iframe", NULL, GONE }, { "noembed", NULL, GONE }, { "noframes", NULL, GONE }, { "noscript", NULL, GONE }, { "plaintext", NULL, GONE },
	{ "template", NULL, GONE }, { "svg", NULL, GONE }, { "math", NULL, GONE }, { "object", NULL, GONE }, { "applet", NULL, GONE },
	{ "audio", NULL, GONE }, { "video", NULL, GONE }, { "canvas", NULL, GONE }, { "select", NULL, GONE }, { "button", NULL, GONE },
};

struct cleaner {
	struct arena *a;
	struct buf *out;
	const struct element *open[SANITIZE_DEPTH];
	struct span hosts[SANITIZE_DEPTH];   /* of an open link */
	size_t depth;
};

static const struct element *
element_of(struct span name)
{
	char low[NAME_MOST + 1];
	size_t n = 0;

	if (name.n > NAME_MOST)
		return NULL;
	for (; n < name.n; n++)
		low[n] = ascii_lower(name.p[n]);
	low[n] = '\0';
	for (size_t i = 0; i < sizeof elements / sizeof *elements; i++)
		if (strcmp(elements[i].name, low) == 0)
			return &elements[i];
	return NULL;
}

static bool
is_full(const struct cleaner *c)
{
	return c->out->n > SANITIZE_MOST;
}

static void
put_code(struct cleaner *c, uint32_t code)
{
	char utf8[4];

	switch (code) {
	case '\r':
		return;
	case '&':
		buf_add(c->out, "&amp;", 5);
		return;
	case '<':
		buf_add(c->out, "&lt;", 4);
		return;
	case '>':
		buf_add(c->out, "&gt;", 4);
		return;
	case '"':
		buf_add(c->out, "&quot;", 6);
		return;
	case '\'':
		buf_add(c->out, "&#39;", 5);
		return;
	}
	if ((code < 0x20 && code != '\n' && code != '\t') || (code >= 0x7f && code < 0xa0) || (code >= 0x202a && code <= 0x202e) ||
	    (code >= 0x2066 && code <= 0x2069))
		code = 0xfffd;
	buf_add(c->out, utf8, utf8_encode(code, utf8));
}

static void
put_text(struct cleaner *c, struct span s)
{
	while (s.n > 0 && !is_full(c)) {
		uint32_t code;
		size_t used = s.p[0] == '&' ? html_entity(s, false, &code) : 0;

		if (used == 0) {
			code = utf8_decode(s, &used);
			used = used ? used : 1;
		}
		put_code(c, code);
		s = span_from(s, used);
	}
}

/* ---- attributes ---- */

/* The next one of a tag's inside; false: there is none. */
static bool
next_attr(struct span *rest, struct span *name, struct span *value)
{
	size_t n = 0;

	while (rest->n > 0 && (ascii_space(rest->p[0]) || rest->p[0] == '/' || rest->p[0] == '\f'))
		*rest = span_from(*rest, 1);
	if (rest->n == 0)
		return false;
	while (n < rest->n && (n == 0 || rest->p[n] != '=') && !ascii_space(rest->p[n]) && rest->p[n] != '/')
		n++;
	*name = span_head(*rest, n);
	*rest = span_from(*rest, n);
	*value = SPAN("");
	struct span look = *rest;

	while (look.n > 0 && ascii_space(look.p[0]))
		look = span_from(look, 1);
	if (look.n == 0 || look.p[0] != '=')
		return true;
	look = span_from(look, 1);
	while (look.n > 0 && ascii_space(look.p[0]))
		look = span_from(look, 1);
	if (look.n > 0 && (look.p[0] == '"' || look.p[0] == '\'')) {
		char quote = look.p[0];

		look = span_from(look, 1);
		size_t end = span_find_char(look, quote);

		*value = end == SPAN_NONE ? look : span_head(look, end);
		*rest = end == SPAN_NONE ? SPAN("") : span_from(look, end + 1);
		return true;
	}
	for (n = 0; n < look.n && !ascii_space(look.p[n]);)
		n++;
	*value = span_head(look, n);
	*rest = span_from(look, n);
	return true;
}

static struct span
attr_of(struct span inside, const char *wanted)
{
	struct span name, value;

	while (next_attr(&inside, &name, &value))
		if (span_eq_nocase(name, span_of(wanted)))
			return value;
	return SPAN("");
}

static bool
is_number(struct span s)
{
	for (size_t i = 0; i < s.n; i++)
		if (s.p[i] < '0' || s.p[i] > '9')
			return false;
	return s.n > 0 && s.n <= 4;
}

/* Those that only lay out a table or turn a line; their values from a closed set. */
static void
put_attrs(struct cleaner *c, struct span inside)
{
	static const char *const numbers[] = { "colspan", "rowspan" };
	static const char *const words[] = { "left", "right", "center", "ltr", "rtl" };
	static const char *const worded[] = { "align", "dir" };

	for (size_t i = 0; i < 2; i++) {
		struct span value = attr_of(inside, numbers[i]);

		if (is_number(value) && value.n <= 2)
			buf_printf(c->out, " %s=\"" SPAN_FMT "\"", numbers[i], SPAN_ARG(value));
	}
	for (size_t i = 0; i < 2; i++) {
		struct span value = attr_of(inside, worded[i]);

		for (size_t k = 0; k < sizeof words / sizeof *words; k++)
			if (span_eq_nocase(value, span_of(words[k])))
				buf_printf(c->out, " %s=\"%s\"", worded[i], words[k]);
	}
}

/* Where an address leads: its host, or its scheme when that is what matters. */
static struct span
host_of(struct cleaner *c, struct span raw)
{
	char *plain = arena_alloc(c->a, raw.n * 4 + 1);
	size_t n = 0;

	while (raw.n > 0) {                  /* entities out; what browsers drop from addresses, too */
		uint32_t code;
		size_t used = raw.p[0] == '&' ? html_entity(raw, true, &code) : 0;

		if (used == 0) {
			code = (unsigned char)raw.p[0];
			used = 1;
			if (code > ' ')
				plain[n++] = raw.p[0];
		} else if (code > ' ') {
			n += utf8_encode(code, plain + n);
		}
		raw = span_from(raw, used);
	}
	struct span url = span_make(plain, n);
	size_t colon = span_find_char(url, ':');

	if (colon == SPAN_NONE)
		return span_head(url, HOST_SHOWN);
	if (!span_eq_nocase(span_head(url, colon), SPAN("http")) && !span_eq_nocase(span_head(url, colon), SPAN("https")))
		return span_head(url, HOST_SHOWN);
	struct span rest = span_from(url, colon + 1);

	while (rest.n > 0 && (rest.p[0] == '/' || rest.p[0] == '\\'))
		rest = span_from(rest, 1);
	for (n = 0; n < rest.n && strchr("/\\?#", rest.p[n]) == NULL;)
		n++;
	rest = span_head(rest, n);
	size_t at = span_find_last(rest, '@');

	return span_head(at == SPAN_NONE ? rest : span_from(rest, at + 1), HOST_SHOWN);
}

/* ---- elements ---- */

static void
close_top(struct cleaner *c)
{
	const struct element *e = c->open[--c->depth];

	if (e->kind == LINK && c->hosts[c->depth].n > 0) {
		buf_add(c->out, "</span> <span class=\"to\">[", 26);
		for (struct span s = c->hosts[c->depth]; s.n > 0;) {
			size_t used;
			uint32_t code = utf8_decode(s, &used);

			put_code(c, code);
			s = span_from(s, used ? used : 1);
		}
		buf_add(c->out, "]</span>", 8);
		return;
	}
	buf_printf(c->out, "</%s>", e->as ? e->as : e->name);
}

static void
open_tag(struct cleaner *c, const struct element *e, struct span inside)
{
	if (e->kind == IMAGE) {
		struct span alt = span_trim(attr_of(inside, "alt"));

		buf_add(c->out, "<span class=\"img\">[", 19);
		put_text(c, alt.n ? span_head(alt, 200) : SPAN("\xf0\x9f\x96\xbc"));
		buf_add(c->out, "]</span>", 8);
		return;
	}
	if (e->kind == VOID) {
		buf_printf(c->out, "<%s>", e->name);
		return;
	}
	if (c->depth == SANITIZE_DEPTH)
		return;
	if (e->kind == LINK) {
		for (size_t i = 0; i < c->depth; i++)        /* links do not nest */
			if (c->open[i]->kind == LINK)
				return;
		buf_add(c->out, "<span class=\"link\">", 19);
		c->hosts[c->depth] = host_of(c, attr_of(inside, "href"));
	} else {
		buf_printf(c->out, "<%s", e->as ? e->as : e->name);
		put_attrs(c, inside);
		buf_add_char(c->out, '>');
	}
	c->open[c->depth++] = e;
}

static void
close_tag(struct cleaner *c, const struct element *e)
{
	size_t i = c->depth;

	while (i > 0 && c->open[i - 1] != e)
		i--;
	while (i > 0 && c->depth >= i)
		close_top(c);
}

/* Behind the end tag of an element whose inside is not for us; the end when there is none. */
static struct span
skip_element(struct span s, const char *name)
{
	size_t length = strlen(name);

	for (size_t i = 0; i + length + 2 <= s.n; i++) {
		if (s.p[i] != '<' || s.p[i + 1] != '/' || !span_starts_nocase(span_from(s, i + 2), span_of(name)))
			continue;
		struct span after = span_from(s, i + 2 + length);

		if (after.n > 0 && ascii_alnum(after.p[0]))
			continue;
		size_t end = span_find_char(after, '>');

		return end == SPAN_NONE ? SPAN("") : span_from(after, end + 1);
	}
	return SPAN("");
}

/* The '>' that ends a tag: not one inside quotes. */
static size_t
tag_end(struct span s)
{
	char quote = 0;

	for (size_t i = 0; i < s.n; i++) {
		if (quote && s.p[i] == quote)
			quote = 0;
		else if (!quote && (s.p[i] == '"' || s.p[i] == '\'') && i > 0 && (s.p[i - 1] == '=' || ascii_space(s.p[i - 1])))
			quote = s.p[i];
		else if (!quote && s.p[i] == '>')
			return i;
	}
	return span_find_char(s, '>');       /* a quote that never ends quotes nothing */
}

/* What stands at a '<'; the rest behind it. */
static struct span
read_markup(struct cleaner *c, struct span s)
{
	bool end_tag = s.n > 1 && s.p[1] == '/';
	struct span inside = span_from(s, end_tag ? 2 : 1);
	size_t n = 0;

	if (span_starts(s, SPAN("<!--"))) {
		size_t end = span_find(span_from(s, 4), SPAN("-->"));

		return end == SPAN_NONE ? SPAN("") : span_from(s, 4 + end + 3);
	}
	if (s.n > 1 && (s.p[1] == '!' || s.p[1] == '?')) {
		size_t end = span_find_char(s, '>');

		return end == SPAN_NONE ? SPAN("") : span_from(s, end + 1);
	}
	if (inside.n == 0 || !((inside.p[0] | 32) >= 'a' && (inside.p[0] | 32) <= 'z')) {
		put_code(c, '<');
		return span_from(s, 1);
	}
	size_t end = tag_end(inside);

	if (end == SPAN_NONE)
		return SPAN("");             /* an unfinished tag shows nothing */
	while (n < end && !ascii_space(inside.p[n]) && inside.p[n] != '/' && inside.p[n] != '\f')
		n++;
	const struct element *e = element_of(span_head(inside, n));
	struct span rest = span_from(inside, end + 1);

	if (e && end_tag && (e->kind == KEEP || e->kind == LINK))
		close_tag(c, e);
	else if (e && !end_tag && e->kind == GONE)
		return skip_element(rest, e->name);
	else if (e && !end_tag)
		open_tag(c, e, span_from(span_head(inside, end), n));
	return rest;
}

void
html_sanitize(struct arena *a, struct span html, struct buf *out)
{
	struct cleaner c = { .a = a, .out = out };

	while (html.n > 0 && !is_full(&c)) {
		size_t text = span_find_char(html, '<');

		text = text == SPAN_NONE ? html.n : text;
		put_text(&c, span_head(html, text));
		html = span_from(html, text);
		if (html.n > 0 && !is_full(&c))
			html = read_markup(&c, html);
	}
	while (c.depth > 0)
		close_top(&c);
}
