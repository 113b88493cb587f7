/* address.c - RFC 5322 addresses as clients show them: groups, comments, quotes; a loop, no recursion. */
#include <idn2.h>
#include <stdlib.h>

#include "policyd/base/limits.h"
#include "policyd/mail/parse.h"

struct scanner {
	struct arena *a;
	struct address *list;
	size_t count, room;
	char *name, *addr;                   /* being collected */
	size_t name_n, addr_n;
	bool in_angle, had_angle;
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

static void
finish(struct scanner *s)
{
	struct span addr = span_trim(span_make(s->addr, s->addr_n)), name = span_trim(span_make(s->name, s->name_n));

	if (!s->had_angle) {                 /* a bare address, or a bare name */
		addr = name;
		name = SPAN("");
		if (span_find_char(addr, '@') == SPAN_NONE) {
			name = addr;
			addr = SPAN("");
		}
	}
	s->name_n = s->addr_n = 0;
	s->in_angle = s->had_angle = false;
	if ((addr.n == 0 && name.n == 0) || s->count >= MAX_ADDRESSES)
		return;
	ARENA_PUSH(s->a, s->list, s->count, s->room);
	struct address *out = &s->list[s->count++];
	size_t at = span_find_last(addr, '@');

	*out = (struct address){ .name = arena_copy(s->a, name) };
	if (at == SPAN_NONE)
		return;
	out->local = arena_copy(s->a, span_head(addr, at));
	out->domain = lower_domain(s->a, span_trim(span_from(addr, at + 1)));
	out->addr = arena_printf(s->a, SPAN_FMT "@" SPAN_FMT, SPAN_ARG(out->local), SPAN_ARG(out->domain));
}

static void
collect(struct scanner *s, char c)
{
	if (s->in_angle)
		s->addr[s->addr_n++] = c;
	else
		s->name[s->name_n++] = c;
}

size_t
addresses_parse(struct arena *a, struct span value, struct address **list)
{
	struct scanner s = { .a = a };
	int comment = 0;
	bool quoted = false;

	value = span_head(value, MAX_HEADER_LINE);
	s.name = arena_alloc(a, value.n + 1);
	s.addr = arena_alloc(a, value.n + 1);
	for (size_t i = 0; i < value.n; i++) {
		char c = value.p[i];

		if (c == '\\' && (quoted || comment > 0) && i + 1 < value.n) {
			if (comment == 0)
				collect(&s, value.p[i + 1]);
			i++;
		} else if (comment > 0) {
			comment += c == '(' ? 1 : c == ')' ? -1 : 0;
		} else if (c == '"') {
			quoted = !quoted;
			if (s.in_angle)
				collect(&s, c);      /* quotes of a local part are part of it */
		} else if (quoted) {
			collect(&s, c);
		} else if (c == '(') {
			comment++;
		} else if (c == '<') {
			s.in_angle = s.had_angle = true;
			s.addr_n = 0;                /* of several <...> the last counts, as most clients have it */
		} else if (c == '>') {
			s.in_angle = false;
		} else if ((c == ',' || c == ';') && !s.in_angle) {
			finish(&s);
		} else if (c == ':' && !s.in_angle) {
			s.name_n = 0;                /* a group's name */
		} else if (c != '\r' && c != '\n') {
			collect(&s, c);
		}
	}
	finish(&s);
	*list = s.list;
	return s.count;
}
