/* address.c - RFC 5322 addresses as clients show them: groups, comments, quotes; a loop, no recursion.
 *
 * What the grammar allows is read by it. What it does not is read as most clients do, and `odd` says that others may see
 * another address: text behind the angle brackets, two pairs of them, a backslash outside of quotes, a quote, comment or
 * bracket never closed, a route before the address, two '@'. */
#include <idn2.h>
#include <stdlib.h>

#include "policyd/base/limits.h"
#include "policyd/mail/parse.h"

struct text {
	char *p;
	size_t n;
};

struct scanner {
	struct arena *a;
	struct address_list *list;
	size_t room;
	struct text name, addr, comment;     /* being collected */
	bool in_angle, had_angle, in_group;
};

static struct span
lower_domain(struct arena *a, struct span domain)
{
	char *p = arena_text(a, domain), *utf8 = NULL;

	for (size_t i = 0; i < domain.n; i++)
		p[i] = ascii_lower(p[i]);
	while (domain.n > 0 && p[domain.n - 1] == '.')
		p[--domain.n] = '\0';
	if (span_find(span_make(p, domain.n), SPAN("xn--")) == SPAN_NONE)
		return span_make(p, domain.n);
	if (idn2_to_unicode_8z8z(p, &utf8, 0) != IDN2_OK)
		return span_make(p, domain.n);
	struct span shown = arena_copy(a, span_of(utf8));

	idn2_free(utf8);
	return shown;
}

static struct span
taken(struct text *text)
{
	struct span s = span_trim(span_make(text->p, text->n));

	text->n = 0;
	return s;
}

/* "<@relay.example,@other.example:user@host>": RFC 5321 lets the route be ignored. */
static struct span
without_route(struct scanner *s, struct span addr)
{
	size_t colon = span_find_char(addr, ':');

	if (addr.n == 0 || addr.p[0] != '@' || colon == SPAN_NONE)
		return addr;
	s->list->odd = true;
	return span_trim(span_from(addr, colon + 1));
}

/* Two '@' outside of quotes: programs take the first or the last. */
static bool
has_two_signs(struct span addr)
{
	bool quoted = false;
	int signs = 0;

	for (size_t i = 0; i < addr.n; i++) {
		if (addr.p[i] == '\\')
			i++;
		else if (addr.p[i] == '"')
			quoted = !quoted;
		else
			signs += addr.p[i] == '@' && !quoted;
	}
	return signs > 1;
}

static void
finish(struct scanner *s)
{
	struct span name = taken(&s->name), addr = taken(&s->addr), comment = taken(&s->comment);

	if (!s->had_angle && span_find_char(name, '@') != SPAN_NONE) {
		addr = name;                         /* a bare address, its comment for a name */
		name = SPAN("");
	}
	if (name.n == 0)
		name = comment;
	s->in_angle = s->had_angle = false;
	addr = without_route(s, addr);
	if ((addr.n == 0 && name.n == 0) || s->list->count >= MAX_ADDRESSES)
		return;
	ARENA_PUSH(s->a, s->list->at, s->list->count, s->room);
	struct address *out = &s->list->at[s->list->count++];
	size_t at = span_find_last(addr, '@');

	s->list->odd |= has_two_signs(addr);
	*out = (struct address){ .name = header_decode(s->a, arena_copy(s->a, name)) };
	if (at == SPAN_NONE)
		return;
	out->local = arena_copy(s->a, span_head(addr, at));
	out->domain = lower_domain(s->a, span_trim(span_from(addr, at + 1)));
	out->addr = arena_printf(s->a, SPAN_FMT "@" SPAN_FMT, SPAN_ARG(out->local), SPAN_ARG(out->domain));
}

static void
collect(struct scanner *s, char c)
{
	struct text *to = s->in_angle ? &s->addr : &s->name;

	if (s->had_angle && !s->in_angle && !ascii_space(c))
		s->list->odd = true;                 /* "<a@b> c@d" */
	to->p[to->n++] = c;
}

/* `c` outside of quotes and comments. */
static void
special(struct scanner *s, char c)
{
	switch (c) {
	case '<':
		s->list->odd |= s->had_angle;
		s->in_angle = s->had_angle = true;
		s->addr.n = 0;                       /* of several <...> the last counts, as most clients have it */
		break;
	case '>':
		s->in_angle = false;
		break;
	case ',':
		finish(s);
		break;
	case ';':
		finish(s);
		s->list->odd |= !s->in_group;
		s->list->group |= s->in_group;
		s->in_group = false;
		break;
	case ':':
		s->list->odd |= s->in_group;         /* groups do not nest */
		s->in_group = true;           /* or somebody's "Re: me <a@b>" */
		s->name.n = s->comment.n = 0;
		break;
	case '\\':
		s->list->odd = true;
		break;
	default:
		if (c != '\r' && c != '\n')
			collect(s, c);
	}
}

void
addresses_read(struct arena *a, struct span value, struct address_list *list)
{
	struct scanner s = { .a = a, .list = list };
	int depth = 0;
	bool quoted = false;

	*list = (struct address_list){ 0 };
	value = span_head(value, MAX_HEADER_LINE);
	s.name.p = arena_alloc(a, value.n + 1);
	s.addr.p = arena_alloc(a, value.n + 1);
	s.comment.p = arena_alloc(a, value.n + 1);
	for (size_t i = 0; i < value.n; i++) {
		char c = value.p[i];

		if (c == '\\' && (quoted || depth > 0) && i + 1 < value.n) {
			if (depth == 0)
				collect(&s, value.p[i + 1]);
			i++;
		} else if (depth > 0) {
			depth += c == '(' ? 1 : c == ')' ? -1 : 0;
			if (depth > 0)
				s.comment.p[s.comment.n++] = c;
		} else if (c == '"') {
			quoted = !quoted;
			if (s.in_angle)
				collect(&s, c);              /* quotes of a local part are part of it */
		} else if (quoted) {
			if (c != '\r' && c != '\n')
				collect(&s, c);
		} else if (c == '(') {
			depth = 1;
			s.comment.n = 0;
		} else if (s.in_angle && (c == ',' || c == ';' || c == ':')) {
			collect(&s, c);
		} else {
			special(&s, c);
		}
	}
	list->odd |= quoted || depth > 0 || s.in_angle;
	finish(&s);
}

size_t
addresses_parse(struct arena *a, struct span value, struct address **list)
{
	struct address_list all;

	addresses_read(a, value, &all);
	*list = all.at;
	return all.count;
}
