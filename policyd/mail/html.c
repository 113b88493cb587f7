/* html.c - one pass over the tags, no tree: what a reader sees in order, what is hidden from him, and the links.
 *
 * A stack of open elements carries the style that matters (shown or not); it is bounded, and what is deeper than it
 * inherits from its top, so nothing deep is dropped. Attributes are read once, at most HTML_ATTRS of a tag. */
#include <stdlib.h>
#include <string.h>

#include "policyd/base/limits.h"
#include "policyd/base/utf8.h"
#include "policyd/mail/parse.h"

enum { STACK = 256, HTML_ATTRS = 64, NAME_ROOM = 16, SHOWN_ROOM = MAX_EVIDENCE };

struct open_tag {
	char name[NAME_ROOM];
	struct hiding {
		bool gone;                   /* with all that is inside: display, opacity, a box of no height */
		bool small, unseen, blank;   /* font size, visibility, colour: what is inside may set them anew */
	} hiding;
};

struct attr {
	struct span name, value;             /* value: raw, entities in */
};

struct page {
	struct arena *a;
	struct message *msg;
	int part;
	struct open_tag stack[STACK];
	size_t depth;
	char *visible, *hide;
	size_t visible_n, hidden_n, images, letters;
	bool smuggling;
	/* the <a> that is open */
	struct span link;
	char shown[SHOWN_ROOM];
	size_t shown_n;
};

static const struct { const char *name; uint32_t code; } entities[] = {
	{ "amp", '&' }, { "lt", '<' }, { "gt", '>' }, { "quot", '"' }, { "apos", '\'' }, { "nbsp", 0xa0 }, { "copy", 0xa9 },
	{ "reg", 0xae }, { "trade", 0x2122 }, { "euro", 0x20ac }, { "pound", 0xa3 }, { "yen", 0xa5 }, { "cent", 0xa2 },
	{ "sect", 0xa7 }, { "deg", 0xb0 }, { "middot", 0xb7 }, { "bull", 0x2022 }, { "hellip", 0x2026 }, { "ndash", 0x2013 },
	{ "mdash", 0x2014 }, { "lsquo", 0x2018 }, { "rsquo", 0x2019 }, { "ldquo", 0x201c }, { "rdquo", 0x201d },
	{ "laquo", 0xab }, { "raquo", 0xbb }, { "times", 0xd7 }, { "shy", 0xad }, { "zwnj", 0x200c }, { "zwj", 0x200d },
	{ "auml", 0xe4 }, { "ouml", 0xf6 }, { "uuml", 0xfc }, { "Auml", 0xc4 }, { "Ouml", 0xd6 }, { "Uuml", 0xdc },
	{ "szlig", 0xdf }, { "eacute", 0xe9 }, { "egrave", 0xe8 }, { "agrave", 0xe0 }, { "aacute", 0xe1 }, { "ccedil", 0xe7 },
	{ "ntilde", 0xf1 }, { "oacute", 0xf3 }, { "iacute", 0xed }, { "uacute", 0xfa }, { "colon", ':' }, { "sol", '/' },
	{ "period", '.' }, { "commat", '@' }, { "num", '#' }, { "lpar", '(' }, { "rpar", ')' }, { "Tab", '\t' }, { "NewLine", '\n' },
	{ "ensp", 0x2002 }, { "emsp", 0x2003 }, { "thinsp", 0x2009 }, { "rarr", 0x2192 }, { "larr", 0x2190 },
};

/* U+00A0 to U+00FF in order (HTML 4, section 24.2). */
static const char *const latin_entities[96] = {
	"nbsp", "iexcl", "cent", "pound", "curren", "yen", "brvbar", "sect", "uml", "copy", "ordf", "laquo",
	"not", "shy", "reg", "macr", "deg", "plusmn", "sup2", "sup3", "acute", "micro", "para", "middot",
	"cedil", "sup1", "ordm", "raquo", "frac14", "frac12", "frac34", "iquest", "Agrave", "Aacute", "Acirc",
	"Atilde", "Auml", "Aring", "AElig", "Ccedil", "Egrave", "Eacute", "Ecirc", "Euml", "Igrave", "Iacute",
	"Icirc", "Iuml", "ETH", "Ntilde", "Ograve", "Oacute", "Ocirc", "Otilde", "Ouml", "times", "Oslash",
	"Ugrave", "Uacute", "Ucirc", "Uuml", "Yacute", "THORN", "szlig", "agrave", "aacute", "acirc", "atilde",
	"auml", "aring", "aelig", "ccedil", "egrave", "eacute", "ecirc", "euml", "igrave", "iacute", "icirc",
	"iuml", "eth", "ntilde", "ograve", "oacute", "ocirc", "otilde", "ouml", "divide", "oslash", "ugrave",
	"uacute", "ucirc", "uuml", "yacute", "thorn", "yuml",
};

size_t
html_entity(struct span s, uint32_t *code)
{
	size_t n = 1;

	if (s.n < 3 || s.p[0] != '&')
		return 0;
	if (s.p[1] == '#') {
		bool hex = s.n > 3 && (s.p[2] == 'x' || s.p[2] == 'X');
		uint32_t v = 0;
		size_t digits = 0;

		for (n = hex ? 3 : 2; n < s.n && digits < 10; n++, digits++) {
			char c = ascii_lower(s.p[n]);
			uint32_t d = c >= '0' && c <= '9' ? (uint32_t)(c - '0') : hex && c >= 'a' && c <= 'f' ? (uint32_t)(c - 'a' + 10) : 99;

			if (d == 99)
				break;
			v = v > 0x110000 ? v : v * (hex ? 16 : 10) + d;
		}
		if (digits == 0)
			return 0;
		*code = v == 0 || v > 0x10ffff || (v >= 0xd800 && v < 0xe000) ? 0xfffd : v;
		return n < s.n && s.p[n] == ';' ? n + 1 : n;
	}
	while (n < s.n && n < 12 && ascii_alnum(s.p[n]))
		n++;
	for (size_t i = 0; i < sizeof entities / sizeof *entities; i++)
		if (span_eq(span_make(s.p + 1, n - 1), span_of(entities[i].name))) {
			*code = entities[i].code;
			return n < s.n && s.p[n] == ';' ? n + 1 : n;
		}
	for (uint32_t i = 0; i < 96; i++)
		if (span_eq(span_make(s.p + 1, n - 1), span_of(latin_entities[i]))) {
			*code = 0xa0 + i;
			return n < s.n && s.p[n] == ';' ? n + 1 : n;
		}
	return 0;
}

/* Entities out; also tabs and line ends, which browsers drop from addresses. */
static struct span
attr_text(struct arena *a, struct span raw)
{
	char *out = arena_alloc(a, raw.n * 2 + 4);
	size_t n = 0;

	for (size_t i = 0; i < raw.n;) {
		uint32_t code;
		size_t used = html_entity(span_from(raw, i), &code);

		if (used > 0) {
			n += utf8_encode(code, out + n);
			i += used;
		} else {
			out[n++] = raw.p[i++];
		}
	}
	return span_make(out, n);
}

static bool
is_hidden(const struct page *p)
{
	const struct hiding *h;

	if (p->depth == 0)
		return false;
	h = &p->stack[p->depth - 1].hiding;
	return h->gone || h->small || h->unseen || h->blank;
}

static void
put(struct page *p, const char *bytes, size_t n)
{
	if (is_hidden(p)) {
		if (p->hidden_n + n <= MAX_TEXT) {
			memcpy(p->hide + p->hidden_n, bytes, n);
			p->hidden_n += n;
		}
		return;
	}
	if (p->visible_n + n <= MAX_TEXT) {
		memcpy(p->visible + p->visible_n, bytes, n);
		p->visible_n += n;
	}
	if (p->link.n > 0 && p->shown_n + n < sizeof p->shown) {
		memcpy(p->shown + p->shown_n, bytes, n);
		p->shown_n += n;
	}
	p->letters += n;
}

/* Blocks and line breaks end a line; runs of white space are one blank, as a browser shows them. */
static void
put_break(struct page *p, char c)
{
	char *out = is_hidden(p) ? p->hide : p->visible;
	size_t *n = is_hidden(p) ? &p->hidden_n : &p->visible_n;

	if (*n == 0 || *n >= MAX_TEXT)
		return;
	if (out[*n - 1] == ' ' || out[*n - 1] == '\n') {
		if (c == '\n')
			out[*n - 1] = '\n';
		return;
	}
	out[(*n)++] = c;
	if (p->link.n > 0 && p->shown_n > 0 && p->shown_n + 1 < sizeof p->shown)
		p->shown[p->shown_n++] = ' ';
}

static void
put_text(struct page *p, struct span s)
{
	for (size_t i = 0; i < s.n;) {
		uint32_t code;
		char utf8[4];
		size_t used = s.p[i] == '&' ? html_entity(span_from(s, i), &code) : 0;

		if (used > 0) {
			if (code == 0xa0)
				put_break(p, ' ');
			else
				put(p, utf8, utf8_encode(code, utf8));
			i += used;
		} else if (ascii_space(s.p[i])) {
			put_break(p, ' ');
			i++;
		} else {
			size_t run = i;

			while (run < s.n && s.p[run] != '&' && !ascii_space(s.p[run]))
				run++;
			if (run == i)
				run++;
			put(p, s.p + i, run - i);
			i = run;
		}
	}
}

static struct span
find_attr(const struct attr *attrs, size_t count, const char *name)
{
	for (size_t i = 0; i < count; i++)
		if (span_eq_nocase(attrs[i].name, span_of(name)))
			return attrs[i].value;
	return (struct span){ NULL, 0 };
}

/* The value of one CSS property in a style attribute, trimmed; empty when it is not there. */
static struct span
css_value(struct span style, const char *property)
{
	while (style.n > 0) {
		struct span value = span_cut(&style, ';'), name = span_trim(span_cut(&value, ':'));

		if (span_eq_nocase(name, span_of(property)))
			return span_trim(value);
	}
	return SPAN("");
}

/* A length that nobody can read: 0, or under 3 px or pt. */
static bool
tiny(struct span value)
{
	char text[16];
	double n;
	char *end;

	if (value.n == 0 || value.n >= sizeof text)
		return false;
	memcpy(text, value.p, value.n);
	text[value.n] = '\0';
	n = strtod(text, &end);
	if (end == text)
		return false;
	struct span unit = span_trim(span_of(end));

	if (n == 0)
		return true;
	return n > 0 && n < 3 && (span_starts_nocase(unit, SPAN("px")) || span_starts_nocase(unit, SPAN("pt")));
}

/* "transparent", or #rrggbbaa with next to no aa. */
static bool
see_through(struct span color)
{
	return span_eq_nocase(color, SPAN("transparent")) ||
	       (color.n == 9 && color.p[0] == '#' && (color.p[7] == '0' || color.p[7] == '1'));
}

/* What a style makes of the hiding of what stands around it. Newsletters set font-size:0 on a cell, to be rid of
 * gaps, and a size on each thing in it: what is inherited can be undone. */
static void
style_hides(struct arena *a, struct span raw, struct hiding *h)
{
	struct span style = attr_text(a, raw), color = css_value(style, "color"), back = css_value(style, "background-color"),
	            size = css_value(style, "font-size"), visibility = css_value(style, "visibility");

	if (style.n == 0)
		return;
	if (back.n == 0)
		back = css_value(style, "background");
	if (size.n > 0)
		h->small = tiny(size);
	if (visibility.n > 0)
		h->unseen = span_starts_nocase(visibility, SPAN("hidden"));
	if (color.n > 0)
		h->blank = span_eq_nocase(color, back) || see_through(color);
	h->gone = h->gone || span_starts_nocase(css_value(style, "display"), SPAN("none")) ||
	          span_eq(css_value(style, "opacity"), SPAN("0")) ||
	          (tiny(css_value(style, "max-height")) && span_starts_nocase(css_value(style, "overflow"), SPAN("hidden"))) ||
	          span_starts_nocase(css_value(style, "mso-hide"), SPAN("all")) ||
	          span_starts(css_value(style, "text-indent"), SPAN("-999")) || span_starts(css_value(style, "left"), SPAN("-999"));
}

static bool
in_list(struct span name, const char *list)
{
	struct span rest = span_of(list);

	while (rest.n > 0)
		if (span_eq_nocase(span_cut(&rest, ' '), name))
			return true;
	return false;
}

static void
end_link(struct page *p)
{
	if (p->link.n == 0)
		return;
	link_add(p->a, p->msg, p->link, LINK_HTML, span_trim(arena_copy(p->a, span_make(p->shown, p->shown_n))), p->part);
	p->link = SPAN("");
	p->shown_n = 0;
}

static void
tag_links(struct page *p, struct span name, const struct attr *attrs, size_t count)
{
	static const struct { const char *tags, *attr; enum link_source source; } where[] = {
		{ "area base link", "href", LINK_HTML }, { "form", "action", LINK_FORM }, { "button input", "formaction", LINK_FORM },
		{ "img input iframe frame embed script video audio source", "src", LINK_IMAGE }, { "object", "data", LINK_IMAGE },
		{ "body table td th", "background", LINK_IMAGE },
	};
	struct span href = find_attr(attrs, count, "href");

	if (span_eq_nocase(name, SPAN("a")) && href.n > 0) {
		end_link(p);
		p->link = attr_text(p->a, href);
		p->shown_n = 0;
	}
	for (size_t i = 0; i < sizeof where / sizeof *where; i++) {
		struct span value = find_attr(attrs, count, where[i].attr);

		if (value.n > 0 && in_list(name, where[i].tags))
			link_add(p->a, p->msg, attr_text(p->a, value), where[i].source, SPAN(""), p->part);
	}
	if (span_eq_nocase(name, SPAN("meta")) && span_eq_nocase(find_attr(attrs, count, "http-equiv"), SPAN("refresh"))) {
		struct span content = attr_text(p->a, find_attr(attrs, count, "content"));
		size_t at = span_find_nocase(content, SPAN("url="));

		if (at != SPAN_NONE)
			link_add(p->a, p->msg, span_trim(span_from(content, at + 4)), LINK_REFRESH, SPAN(""), p->part);
	}
}

/* "<name a=b c='d'>": the attributes; returns where the tag ends. */
static size_t
read_attrs(struct span html, size_t at, struct attr *attrs, size_t *count, bool *self_closed)
{
	*count = 0;
	*self_closed = false;
	while (at < html.n && html.p[at] != '>') {
		if (ascii_space(html.p[at]) || html.p[at] == '/') {
			*self_closed = html.p[at] == '/';
			at++;
			continue;
		}
		*self_closed = false;
		size_t start = at;

		while (at < html.n && html.p[at] != '=' && html.p[at] != '>' && html.p[at] != '/' && !ascii_space(html.p[at]))
			at++;
		struct attr attr = { span_make(html.p + start, at - start), { "", 0 } };

		while (at < html.n && ascii_space(html.p[at]))
			at++;
		if (at < html.n && html.p[at] == '=') {
			at++;
			while (at < html.n && ascii_space(html.p[at]))
				at++;
			char quote = at < html.n && (html.p[at] == '"' || html.p[at] == '\'') ? html.p[at] : 0;

			start = quote ? ++at : at;
			if (quote) {
				size_t end = span_find_char(span_from(html, at), quote);

				at = end == SPAN_NONE ? html.n : at + end;
			} else {
				while (at < html.n && html.p[at] != '>' && !ascii_space(html.p[at]))
					at++;
			}
			attr.value = span_make(html.p + start, at - start);
			if (quote && at < html.n)
				at++;
		} else if (attr.name.n == 0) {
			at++;
		}
		if (*count < HTML_ATTRS)
			attrs[(*count)++] = attr;
	}
	return at < html.n ? at + 1 : html.n;
}

static void
copy_name(char to[NAME_ROOM], struct span name)
{
	size_t n = name.n < NAME_ROOM - 1 ? name.n : NAME_ROOM - 1;

	for (size_t i = 0; i < n; i++)
		to[i] = ascii_lower(name.p[i]);
	to[n] = '\0';
}

static void
close_tag(struct page *p, struct span name)
{
	char lower[NAME_ROOM];

	copy_name(lower, name);
	if (strcmp(lower, "a") == 0)
		end_link(p);
	for (size_t i = p->depth; i > 0 && i + 32 > p->depth; i--)       /* misnested ones are looked for only so deep */
		if (strcmp(p->stack[i - 1].name, lower) == 0) {
			p->depth = i - 1;
			return;
		}
}

/* Text of <script> and <style>, up to its end tag. */
static size_t
skip_raw(struct page *p, struct span html, size_t at, struct span name)
{
	struct span rest = span_from(html, at);
	size_t end = 0;

	for (;;) {
		size_t lt = span_find(span_from(rest, end), SPAN("</"));

		if (lt == SPAN_NONE) {
			end = rest.n;
			break;
		}
		end += lt;
		if (span_starts_nocase(span_from(rest, end + 2), name))
			break;
		end += 2;
	}
	struct span body = span_head(rest, end);

	if (span_eq_nocase(name, SPAN("script")))
		p->smuggling |= (span_find(body, SPAN("Blob")) != SPAN_NONE || span_find(body, SPAN("msSaveOrOpenBlob")) != SPAN_NONE) &&
		    (span_find(body, SPAN("atob")) != SPAN_NONE || span_find(body, SPAN("createObjectURL")) != SPAN_NONE ||
		    span_find(body, SPAN("download")) != SPAN_NONE);
	return at + end;
}

static size_t
open_tag(struct page *p, struct span html, size_t at, struct span name)
{
	struct attr attrs[HTML_ATTRS];
	size_t count;
	bool closed;

	at = read_attrs(html, at, attrs, &count, &closed);
	if (in_list(name, "br p div tr li table ul ol h1 h2 h3 h4 h5 h6 hr blockquote pre title td th option center"))
		put_break(p, in_list(name, "td th") ? ' ' : '\n');
	if (span_eq_nocase(name, SPAN("img")))
		p->images++;
	tag_links(p, name, attrs, count);
	if (in_list(name, "br hr img input meta link base area col embed source wbr param"))
		return at;
	if (!closed && in_list(name, "script style"))
		return skip_raw(p, html, at, name);
	struct hiding hiding = { 0 };
	struct span size = find_attr(attrs, count, "size");

	if (p->depth > 0)
		hiding = p->stack[p->depth - 1].hiding;
	if (span_eq_nocase(name, SPAN("font")) && size.n > 0)
		hiding.small = span_eq(size, SPAN("0")) || span_eq(size, SPAN("-7"));
	hiding.gone = hiding.gone || in_list(name, "title noembed template") || find_attr(attrs, count, "hidden").p != NULL;
	style_hides(p->a, find_attr(attrs, count, "style"), &hiding);
	if (p->depth < STACK) {
		copy_name(p->stack[p->depth].name, name);
		p->stack[p->depth++].hiding = hiding;
	}
	if (closed && p->depth > 0)
		p->depth--;
	return at;
}

static size_t
skip_comment(struct page *p, struct span html, size_t at)
{
	size_t end = span_find(span_from(html, at), SPAN("-->"));

	(void)p;
	return end == SPAN_NONE ? html.n : at + end + 3;
}

void
html_read(struct arena *a, struct message *msg, struct span html, int part, struct html_result *out)
{
	struct page *p = ARENA_NEW(a, struct page);
	size_t at = 0;

	p->a = a;
	p->msg = msg;
	p->part = part;
	p->visible = arena_alloc(a, html.n * 2 + 16);
	p->hide = arena_alloc(a, html.n * 2 + 16);
	while (at < html.n) {
		size_t lt = span_find_char(span_from(html, at), '<');

		if (lt == SPAN_NONE)
			lt = html.n - at;
		if (lt > 0)
			put_text(p, span_make(html.p + at, lt));
		at += lt;
		if (at >= html.n)
			break;
		struct span rest = span_from(html, at);

		if (span_starts(rest, SPAN("<!--"))) {
			at = skip_comment(p, html, at + 4);
			continue;
		}
		bool closing = rest.n > 1 && rest.p[1] == '/';
		size_t start = at + (closing ? 2 : 1), end = start;

		while (end < html.n && (ascii_alnum(html.p[end]) || html.p[end] == ':' || html.p[end] == '-'))
			end++;
		if (end == start && start < html.n && (html.p[start] == '!' || html.p[start] == '?' || closing)) {
			size_t gt = span_find_char(rest, '>');

			at = gt == SPAN_NONE ? html.n : at + gt + 1;
		} else if (end == start) {
			put_text(p, SPAN("<"));      /* a lone one is text */
			at++;
		} else if (closing) {
			size_t gt = span_find_char(span_from(html, end), '>');

			close_tag(p, span_make(html.p + start, end - start));
			at = gt == SPAN_NONE ? html.n : end + gt + 1;
		} else {
			at = open_tag(p, html, end, span_make(html.p + start, end - start));
		}
	}
	end_link(p);
	*out = (struct html_result){ span_make(p->visible, p->visible_n), span_make(p->hide, p->hidden_n), p->smuggling,
	    p->images > 0 && p->letters < 40 };
}
