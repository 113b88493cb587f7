/* html.c - one pass over the tags, no tree: what a reader sees in order, what is hidden from him, and the links.
 *
 * A stack of open elements carries the look (style.h) and the names that selectors ask for. It is bounded as browsers
 * bound theirs: what is deeper stands beside the last. Where a <style> comes after text that it may hide, the pass is
 * made once more with all that was learnt. Text that is not part of the page (titles, comments, what only Outlook
 * shows) is kept behind the hidden text, and is no reason for a finding. */
#include "policyd/base/utf8.h"
#include "policyd/mail/page.h"

enum { HIDDEN_MUCH = 60, FEW_LETTERS = 40 };

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

struct out *
page_out(struct page *p)
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

void
page_break(struct page *p, struct out *o, char c)
{
	out_break(o, c);
	if (o == &p->visible && p->link.n > 0 && p->shown_n > 0 && p->shown_n + 1 < sizeof p->shown && p->shown[p->shown_n - 1] != ' ')
		p->shown[p->shown_n++] = ' ';
}

static void
put_text(struct page *p, struct span s, bool references)
{
	struct out *o = page_out(p);

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
				page_break(p, o, ' ');
			else
				put(p, o, utf8, utf8_encode(code, utf8));
			i += used ? used : 1;
		} else if (ascii_space(s.p[i]) || s.p[i] == '\f') {
			page_break(p, o, ' ');
			i++;
		} else {
			i++;                         /* control characters are not shown */
		}
	}
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
		page_css_links(p, body);
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
	page_break(p, page_out(p), ' ');
	put_text(p, attr_raw(attrs, attr_has(attrs, A_VALUE) ? A_VALUE : A_PLACEHOLDER), true);
	page_break(p, page_out(p), ' ');
}

static size_t
open_tag(struct page *p, struct span html, size_t at, struct span name)
{
	struct attrs attrs;
	struct tag tag = tag_find(name);

	at = attrs_read(html, at, &attrs);
	page_close_implied(p, &tag);
	if (tag.flags & TAG_LINE)
		page_break(p, page_out(p), '\n');
	else if (tag.group == G_CELL)
		page_break(p, page_out(p), ' ');
	if (tag.id == T_IMG)
		p->images++;
	if (attrs.set)
		page_links(p, &tag, &attrs);
	if (tag.id == T_INPUT)
		read_input(p, &attrs);
	if (tag.flags & TAG_VOID) {
		if (attr_has(&attrs, A_STYLE))
			page_css_links(p, attr_text(p->a, attrs.at[A_STYLE]));
		return at;
	}
	page_open(p, &tag, name, &attrs);
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
		page_open(p, &condition, SPAN("if"), &none);
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

		page_close(p, &condition);
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

	page_close(p, &tag);
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
	page_end_link(p);
	page_end_plain(p);
	page_pop(p, 0);
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
