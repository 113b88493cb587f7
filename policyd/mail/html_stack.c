/* html_stack.c - the open elements: what ends when, by its tag or by another's, and how what is inside looks. */
#include "policyd/mail/page.h"

void
page_pop(struct page *p, size_t depth)
{
	while (p->depth > depth) {
		struct open_tag *top = &p->stack[--p->depth];

		p->open[top->tag.number]--;
		if (top->tag.id == T_A)
			page_end_link(p);
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
		page_end_link(p);
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

void
page_close(struct page *p, const struct tag *tag)
{
	bool over_block = false, table = tag->group == G_CELL || tag->group == G_ROW || tag->group == G_ROWS || (tag->flags & (TAG_TABLE | TAG_FENCE));

	if (tag->flags & TAG_LINE)
		page_break(p, page_out(p), '\n');
	if (p->open[tag->number] == 0)
		return;
	for (size_t i = p->depth; i > 0; i--) {
		const struct tag *at = &p->stack[i - 1].tag;

		if (at->number == tag->number) {
			if (over_block && (tag->flags & TAG_FORMAT) && p->restyled < MAX_STYLE_WORK)
				take_out(p, i - 1);
			else
				page_pop(p, i - 1);
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
		page_break(p, page_out(p), ' ');
}

/* What ends without an end tag: <p> before a block, <li> before <li>. */
void
page_close_implied(struct page *p, const struct tag *tag)
{
	bool ends_p = (tag->flags & TAG_ENDS_P) && p->depth > 0;
	unsigned stop = tag->group == G_LI || tag->group == G_DD ? TAG_LIST | TAG_FENCE : TAG_TABLE;

	for (size_t i = p->depth; tag->group != G_NONE && i > 0; i--) {
		const struct tag *at = &p->stack[i - 1].tag;

		if (at->group == tag->group) {
			page_pop(p, i - 1);
			break;
		}
		if (at->flags & stop)
			break;
	}
	for (size_t i = p->depth; ends_p && i > 0; i--) {
		const struct tag *at = &p->stack[i - 1].tag;

		if (at->id == T_P) {
			page_pop(p, i - 1);
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
		page_css_links(p, css);
	}
	style_add(s, &important);
}

void
page_open(struct page *p, const struct tag *tag, struct span name, const struct attrs *attrs)
{
	const struct open_tag *outer;

	if (p->depth == MAX_HTML_DEPTH)
		page_pop(p, p->depth - 1);
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
