/* html.c - one pass over the tags, no tree: what a reader sees in order, what is hidden from him, and the links.
 *
 * A stack of open elements carries the look (style.h) and the names that selectors ask for. It is bounded as browsers
 * bound theirs: what is deeper stands beside the last. Where a <style> comes after text that it may hide, the pass is
 * made once more with all that was learnt. Text that is not part of the page (titles, comments, what only Outlook
 * shows) is kept behind the hidden text, and is no reason for a finding. */
#include <stdlib.h>

#include "policyd/base/limits.h"
#include "policyd/base/utf8.h"
#include "policyd/mail/parse.h"
#include "policyd/mail/style.h"
#include "policyd/mail/tags.h"

enum { SHOWN_ROOM = MAX_EVIDENCE, HIDDEN_MUCH = 60, FEW_LETTERS = 40 };

struct open_tag {
	struct tag tag;
	struct style own;                    /* kept to look again when what is around ends first */
	struct sight look;
	uint64_t around;                     /* with its own */
	bool quiet, hides;
};

struct out {
	char *p;
	size_t n, room;
};

struct page {
	struct arena *a;
	struct message *msg;
	int part;
	struct open_tag *stack;
	size_t depth;
	uint16_t open[TAG_IDS];              /* how many of each are on the stack */
	struct sheet *sheet;
	size_t restyled;                     /* looks made anew; bounded as the sheet's work is */
	struct out visible, hidden, quiet;
	size_t images, letters;
	bool smuggling, late_style, again;
	struct span base;
	struct span link;                    /* of the <a> that is open */
	size_t plain;                        /* visible text from here on is in no link, and not searched for any yet */
	char shown[SHOWN_ROOM];
	size_t shown_n;
};

/* Character references out: a copy only when there are some. */
static struct span
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

/* ---- text ---- */

static void
out_add(struct out *o, const char *bytes, size_t n)
{
	if (o->n + n > o->room)
		return;
	memcpy(o->p + o->n, bytes, n);
	o->n += n;
}

/* Runs of white space are one blank, as a browser shows them; a line end counts for more. */
static void
out_break(struct out *o, char c)
{
	if (o->n == 0)
		return;
	if (o->p[o->n - 1] != ' ' && o->p[o->n - 1] != '\n')
		out_add(o, &c, 1);
	else if (c == '\n')
		o->p[o->n - 1] = '\n';
}

static struct out *
out_of(struct page *p)
{
	const struct open_tag *top = p->depth ? &p->stack[p->depth - 1] : NULL;

	return top == NULL || !(top->hides || top->quiet) ? &p->visible : top->quiet ? &p->quiet : &p->hidden;
}

static void
put(struct page *p, struct out *o, const char *bytes, size_t n)
{
	out_add(o, bytes, n);
	if (o != &p->visible)
		return;
	p->letters += n;
	if (p->link.n > 0 && p->shown_n + n < sizeof p->shown) {
		memcpy(p->shown + p->shown_n, bytes, n);
		p->shown_n += n;
	}
}

static void
put_break(struct page *p, struct out *o, char c)
{
	out_break(o, c);
	if (o == &p->visible && p->link.n > 0 && p->shown_n > 0 && p->shown_n + 1 < sizeof p->shown && p->shown[p->shown_n - 1] != ' ')
		p->shown[p->shown_n++] = ' ';
}

static void
put_text(struct page *p, struct span s, bool references)
{
	struct out *o = out_of(p);

	for (size_t i = 0; i < s.n;) {
		size_t run = i, used;
		uint32_t code;
		char utf8[4];

		while (run < s.n && (unsigned char)s.p[run] > ' ' && s.p[run] != '&')
			run++;
		if (run > i) {
			put(p, o, s.p + i, run - i);
			i = run;
		} else if (s.p[i] == '&') {
			used = references ? html_entity(span_from(s, i), false, &code) : 0;
			if (used == 0)
				put(p, o, "&", 1);
			else if (code == 0xa0 || code == ' ' || code == '\t' || code == '\n')
				put_break(p, o, ' ');
			else
				put(p, o, utf8, utf8_encode(code, utf8));
			i += used ? used : 1;
		} else if (ascii_space(s.p[i]) || s.p[i] == '\f') {
			put_break(p, o, ' ');
			i++;
		} else {
			i++;                         /* control characters are not shown */
		}
	}
}

/* ---- links ---- */

static void
add_link(struct page *p, struct span url, enum link_source source, struct span shown)
{
	if (!p->again)
		link_add_from(p->a, p->msg, p->base, url, source, shown, p->part);
}

/* The text since the last link, for those it names without linking them. */
static void
end_plain(struct page *p)
{
	if (!p->again)
		links_of_text(p->a, p->msg, span_make(p->visible.p + p->plain, p->visible.n - p->plain), LINK_TEXT, p->part);
	p->plain = p->visible.n;
}

static void
end_link(struct page *p)
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
	end_link(p);
	end_plain(p);
	p->link = url;
}

/* url(x), url("x"), @import "x" */
static void
css_links(struct page *p, struct span css)
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

static void
tag_links(struct page *p, const struct tag *tag, const struct attrs *attrs)
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

/* ---- the stack ---- */

static void
pop_to(struct page *p, size_t depth)
{
	while (p->depth > depth) {
		struct open_tag *top = &p->stack[--p->depth];

		p->open[top->tag.number]--;
		if (top->tag.id == T_A)
			end_link(p);
	}
}

static struct sight
sight_at(const struct page *p, size_t depth)
{
	return depth == 0 ? sight_of_page : p->stack[depth - 1].look;
}

/* One that ends while what began in it goes on: </font> inside of a <div>. */
static void
take_out(struct page *p, size_t at)
{
	if (p->stack[at].tag.id == T_A)
		end_link(p);
	p->open[p->stack[at].tag.number]--;
	p->depth--;
	p->restyled += p->depth - at;
	memmove(&p->stack[at], &p->stack[at + 1], (p->depth - at) * sizeof *p->stack);
	for (size_t i = at; i < p->depth; i++) {
		struct sight outer = sight_at(p, i);

		p->stack[i].look = sight_inside(&outer, &p->stack[i].own);
		p->stack[i].hides = sight_hides(&p->stack[i].look);
	}
}

static void
close_tag(struct page *p, const struct tag *tag)
{
	bool over_block = false, table = tag->group == G_CELL || tag->group == G_ROW || tag->group == G_ROWS || (tag->flags & (TAG_TABLE | TAG_FENCE));

	if (tag->flags & TAG_LINE)
		put_break(p, out_of(p), '\n');
	if (p->open[tag->number] == 0)
		return;
	for (size_t i = p->depth; i > 0; i--) {
		const struct tag *at = &p->stack[i - 1].tag;

		if (at->number == tag->number) {
			if (over_block && (tag->flags & TAG_FORMAT) && p->restyled < MAX_STYLE_WORK)
				take_out(p, i - 1);
			else
				pop_to(p, i - 1);
			break;
		}
		if (((at->flags & TAG_FENCE) && !table) || at->id == T_IF)
			break;               /* Outlook's tables are not ours to end */
		if ((at->flags & TAG_TABLE) && !(tag->flags & TAG_FENCE))
			break;
		over_block |= (at->flags & TAG_SPECIAL) != 0;
		if (over_block && !(tag->flags & (TAG_SPECIAL | TAG_FORMAT)))
			break;
	}
	if (tag->group == G_CELL)
		put_break(p, out_of(p), ' ');
}

/* What ends without an end tag: <p> before a block, <li> before <li>. */
static void
close_implied(struct page *p, const struct tag *tag)
{
	bool ends_p = (tag->flags & TAG_ENDS_P) && p->depth > 0;
	unsigned stop = tag->group == G_LI || tag->group == G_DD ? TAG_LIST | TAG_FENCE : TAG_TABLE;

	for (size_t i = p->depth; tag->group != G_NONE && i > 0; i--) {
		const struct tag *at = &p->stack[i - 1].tag;

		if (at->group == tag->group) {
			pop_to(p, i - 1);
			break;
		}
		if (at->flags & stop)
			break;
	}
	for (size_t i = p->depth; ends_p && i > 0; i--) {
		const struct tag *at = &p->stack[i - 1].tag;

		if (at->id == T_P) {
			pop_to(p, i - 1);
			break;
		}
		if (at->flags & TAG_FENCE)
			break;
	}
}

/* What attributes older than CSS say of the look. */
static void
old_style(const struct page *p, const struct tag *tag, const struct attrs *attrs, struct style *s)
{
	const uint64_t old = (uint64_t)1 << A_BGCOLOR | (uint64_t)1 << A_BACKGROUND | (uint64_t)1 << A_HIDDEN | (uint64_t)1 << A_COLOR | (uint64_t)1 << A_TEXT;

	if (tag->id == T_A && attr_has(attrs, A_HREF)) {
		s->set |= STYLE_COLOR;
		s->color = 0xff0000ee;
	}
	if ((tag->id == T_DETAILS || tag->id == T_DIALOG) && !attr_has(attrs, A_OPEN)) {
		s->set |= STYLE_NONE;
		s->on |= STYLE_NONE;
	}
	if ((attrs->set & old) == 0)
		return;
	if (attr_has(attrs, A_BGCOLOR) && style_color(span_trim(attr_text(p->a, attrs->at[A_BGCOLOR])), &s->back))
		s->set |= STYLE_BACK;
	if (attr_has(attrs, A_BACKGROUND)) {
		s->set |= STYLE_BACK;
		s->back = COLOR_UNKNOWN;
	}
	if (attr_has(attrs, A_HIDDEN)) {
		s->set |= STYLE_NONE;
		s->on |= STYLE_NONE;
	}
	enum attr color = tag->id == T_BODY ? A_TEXT : A_COLOR;

	if ((tag->id == T_BODY || tag->id == T_FONT) && attr_has(attrs, color) && style_color(span_trim(attr_text(p->a, attrs->at[color])), &s->color))
		s->set |= STYLE_COLOR;
}

static void
style_of(struct page *p, const struct element *e, const struct tag *tag, const struct attrs *attrs, struct style *s)
{
	struct style important = { 0 };

	old_style(p, tag, attrs, s);
	if (!sheet_empty(p->sheet)) {
		struct style sheet = { 0 };

		if (sheet_style(p->sheet, e, &sheet, &important))
			style_add(s, &sheet);
	}
	if (attr_has(attrs, A_STYLE)) {
		struct span css = attr_text(p->a, attrs->at[A_STYLE]);
		struct style normal = { 0 };

		style_parse(css_plain(p->a, css), &normal, &important);
		style_add(s, &normal);
		css_links(p, css);
	}
	style_add(s, &important);
}

static void
push(struct page *p, const struct tag *tag, struct span name, const struct attrs *attrs)
{
	const struct open_tag *outer;

	if (p->depth == MAX_HTML_DEPTH)
		pop_to(p, p->depth - 1);
	outer = p->depth ? &p->stack[p->depth - 1] : NULL;
	/* A folded <details> hides all but its <summary>. */
	size_t from = tag->id == T_SUMMARY && outer && outer->tag.id == T_DETAILS ? p->depth - 1 : p->depth;
	struct sight around = sight_at(p, from);
	struct element e = { name, attr_raw(attrs, A_ID), attr_raw(attrs, A_CLASS), outer ? outer->around : 0 };
	struct open_tag *top = &p->stack[p->depth++];

	top->tag = *tag;
	top->own = (struct style){ 0 };
	style_of(p, &e, tag, attrs, &top->own);
	top->look = top->own.set ? sight_inside(&around, &top->own) : around;
	top->hides = sight_hides(&top->look);
	top->quiet = (outer && outer->quiet) || (tag->flags & TAG_QUIET);
	top->around = e.around | (sheet_empty(p->sheet) ? 0 : element_bits(&e));
	p->open[tag->number]++;
}

/* ---- tags ---- */

/* A script that builds a file from what is in the page, and has it saved. */
static bool
smuggles(struct span script)
{
	return (span_find(script, SPAN("Blob")) != SPAN_NONE || span_find(script, SPAN("msSaveOrOpenBlob")) != SPAN_NONE) &&
	       (span_find(script, SPAN("atob")) != SPAN_NONE || span_find(script, SPAN("createObjectURL")) != SPAN_NONE ||
	       span_find(script, SPAN("download")) != SPAN_NONE);
}

/* Text of <script>, <style>, <title>, up to its end tag; where that begins. */
static size_t
raw_end(struct span html, size_t at, struct span name)
{
	for (size_t lt; (lt = span_find(span_from(html, at), SPAN("</"))) != SPAN_NONE;) {
		struct span rest = span_from(html, at + lt + 2);

		if (span_starts_nocase(rest, name) && (rest.n == name.n || rest.p[name.n] == '>' || rest.p[name.n] == '/' || ascii_space(rest.p[name.n])))
			return at + lt;
		at += lt + 2;
	}
	return html.n;
}

static size_t
read_raw(struct page *p, struct span html, size_t at, const struct tag *tag, struct span name)
{
	size_t end = raw_end(html, at, name);
	struct span body = span_make(html.p + at, end - at);

	if (tag->id == T_STYLE) {
		if (!p->again && !(p->depth > 1 && p->stack[p->depth - 2].quiet)) {
			sheet_add(p->sheet, body);
			p->late_style |= p->visible.n > 0 || p->hidden.n > 0;
		}
		css_links(p, body);
	} else if (tag->id == T_SCRIPT) {
		p->smuggling |= smuggles(body);
		if (!p->again)
			links_of_text(p->a, p->msg, body, LINK_HTML, p->part);
	} else {
		put_text(p, body, tag->flags & TAG_REFERENCES);
	}
	return end;
}

/* What a field shows. */
static void
read_input(struct page *p, const struct attrs *attrs)
{
	struct span type = attr_raw(attrs, A_TYPE);

	if (span_eq_nocase(type, SPAN("hidden")) || span_eq_nocase(type, SPAN("password")) || attr_has(attrs, A_HIDDEN))
		return;
	put_break(p, out_of(p), ' ');
	put_text(p, attr_raw(attrs, attr_has(attrs, A_VALUE) ? A_VALUE : A_PLACEHOLDER), true);
	put_break(p, out_of(p), ' ');
}

static size_t
open_tag(struct page *p, struct span html, size_t at, struct span name)
{
	struct attrs attrs;
	struct tag tag = tag_find(name);

	at = attrs_read(html, at, &attrs);
	close_implied(p, &tag);
	if (tag.flags & TAG_LINE)
		put_break(p, out_of(p), '\n');
	else if (tag.group == G_CELL)
		put_break(p, out_of(p), ' ');
	if (tag.id == T_IMG)
		p->images++;
	if (attrs.set)
		tag_links(p, &tag, &attrs);
	if (tag.id == T_INPUT)
		read_input(p, &attrs);
	if (tag.flags & TAG_VOID) {
		if (attr_has(&attrs, A_STYLE))
			css_links(p, attr_text(p->a, attrs.at[A_STYLE]));
		return at;
	}
	push(p, &tag, name, &attrs);
	if (tag.id == T_PLAINTEXT) {
		put_text(p, span_from(html, at), false);
		return html.n;
	}
	if (tag.flags & (TAG_RAW | TAG_REFERENCES))
		return read_raw(p, html, at, &tag, name);
	return at;
}

/* "<!--[if mso]>": what Outlook shows is read for its links; its text is kept apart. */
static bool
is_condition(struct span comment)
{
	comment = span_trim(span_head(comment, 64));
	return span_starts_nocase(comment, SPAN("[if ")) && span_find(comment, SPAN("]>")) != SPAN_NONE &&
	       span_find(comment, SPAN("]><!")) == SPAN_NONE;
}

static size_t
read_comment(struct page *p, struct span html, size_t at)
{
	struct span rest = span_from(html, at);
	size_t end = 0;
	struct attrs none = { 0 };
	struct tag condition;

	if (span_starts(rest, SPAN(">")) || span_starts(rest, SPAN("->")))
		return at + (rest.p[0] == '>' ? 1 : 2);
	if (is_condition(rest)) {
		condition = tag_find(SPAN("if"));
		push(p, &condition, SPAN("if"), &none);
		return at + span_find_char(rest, '>') + 1;
	}
	for (size_t hit; (hit = span_find(span_from(rest, end), SPAN("--"))) != SPAN_NONE; end += hit + 1) {
		size_t after = end + hit + 2;

		if (after < rest.n && (rest.p[after] == '>' || (rest.p[after] == '!' && after + 1 < rest.n && rest.p[after + 1] == '>'))) {
			out_break(&p->quiet, '\n');
			out_add(&p->quiet, rest.p, end + hit);
			return at + after + (rest.p[after] == '>' ? 1 : 2);
		}
	}
	out_break(&p->quiet, '\n');
	out_add(&p->quiet, rest.p, rest.n);
	return html.n;
}

/* "<![endif]-->", "<!doctype html>", "<?xml ...>", "</>" */
static size_t
read_odd(struct page *p, struct span html, size_t at)
{
	struct span rest = span_from(html, at);
	size_t gt = span_find_char(rest, '>');

	if (span_starts_nocase(rest, SPAN("<![endif]"))) {
		struct tag condition = tag_find(SPAN("if"));

		close_tag(p, &condition);
	}
	return gt == SPAN_NONE ? html.n : at + gt + 1;
}

static bool
is_letter(char c)
{
	return ascii_lower(c) >= 'a' && ascii_lower(c) <= 'z';
}

static size_t
read_tag(struct page *p, struct span html, size_t at)
{
	struct span rest = span_from(html, at);
	bool closing = rest.n > 1 && rest.p[1] == '/';
	size_t start = at + (closing ? 2 : 1), end = start;

	if (span_starts(rest, SPAN("<!--")))
		return read_comment(p, html, at + 4);
	if (start < html.n && !is_letter(html.p[start])) {
		if (html.p[start] == '!' || html.p[start] == '?' || closing)
			return read_odd(p, html, at);
	}
	if (start >= html.n || !is_letter(html.p[start])) {
		put_text(p, SPAN("<"), false);       /* a lone one is text */
		return at + 1;
	}
	while (end < html.n && html.p[end] != '>' && html.p[end] != '/' && !ascii_space(html.p[end]) && html.p[end] != '\f')
		end++;
	struct span name = span_make(html.p + start, end - start);

	if (!closing)
		return open_tag(p, html, end, name);
	struct tag tag = tag_find(name);
	struct attrs ignored;

	close_tag(p, &tag);
	return attrs_read(html, end, &ignored);
}

static void
read_page(struct page *p, struct span html)
{
	for (size_t at = 0; at < html.n;) {
		size_t lt = span_find_char(span_from(html, at), '<');

		if (lt == SPAN_NONE)
			lt = html.n - at;
		if (lt > 0)
			put_text(p, span_make(html.p + at, lt), true);
		at += lt;
		if (at < html.n)
			at = read_tag(p, html, at);
	}
	end_link(p);
	end_plain(p);
	pop_to(p, 0);
}

static struct out
out_new(struct arena *a, size_t most)
{
	size_t room = (most < MAX_TEXT ? most : MAX_TEXT) + 16;

	return (struct out){ arena_alloc(a, room), 0, room };
}

/* The hidden text, behind it what is no part of the page. */
static struct span
join_hidden(struct arena *a, const struct page *p)
{
	struct out both;

	if (p->quiet.n == 0)
		return span_make(p->hidden.p, p->hidden.n);
	both = out_new(a, p->hidden.n + p->quiet.n + 1);
	out_add(&both, p->hidden.p, p->hidden.n);
	out_break(&both, '\n');
	out_add(&both, p->quiet.p, p->quiet.n);
	return span_make(both.p, both.n);
}

void
html_read(struct arena *a, struct message *msg, struct span html, int part, struct html_result *out)
{
	struct page *p = ARENA_NEW(a, struct page);

	p->a = a;
	p->msg = msg;
	p->part = part;
	p->stack = arena_alloc(a, MAX_HTML_DEPTH * sizeof *p->stack);
	p->sheet = sheet_new(a);
	p->visible = out_new(a, html.n);
	p->hidden = out_new(a, html.n);
	p->quiet = out_new(a, html.n);
	read_page(p, html);
	if (p->late_style && !sheet_empty(p->sheet)) {
		p->visible.n = p->hidden.n = p->quiet.n = p->images = p->letters = 0;
		p->plain = 0;
		p->again = true;
		read_page(p, html);
	}
	if (sheet_over(p->sheet))
		note_add(a, msg, NOTE_LIMIT, SPAN("style rules"));
	if (p->hidden.n >= HIDDEN_MUCH)
		note_add(a, msg, NOTE_HIDDEN_TEXT, span_make(p->hidden.p, p->hidden.n));
	*out = (struct html_result){ span_make(p->visible.p, p->visible.n), join_hidden(a, p), p->smuggling,
	    p->images > 0 && p->letters < FEW_LETTERS };
}
