/* params.c - "type/subtype; name=value" with comments, quotes, RFC 2231 continuations and encoded words. */
#include <stdlib.h>

#include "policyd/mail/parse.h"

enum { PIECES = 64 };

struct piece {                               /* name*2*=value before it is put together */
	struct span name, value;
	int number;                          /* -1: no continuation */
	bool encoded;
};

/* White space and comments; comments nest, and are counted, not descended into. */
static size_t
skip_blank(struct span s, size_t at)
{
	int depth = 0;

	for (; at < s.n; at++) {
		char c = s.p[at];

		if (c == '\\' && depth > 0)
			at++;
		else if (c == '(')
			depth++;
		else if (c == ')' && depth > 0)
			depth--;
		else if (depth == 0 && !ascii_space(c))
			break;
	}
	return at < s.n ? at : s.n;
}

static struct span
take_value(struct arena *a, struct span s, size_t *at)
{
	char *out = arena_alloc(a, s.n + 1);
	size_t n = 0;

	if (*at < s.n && s.p[*at] == '"') {
		for (++*at; *at < s.n && s.p[*at] != '"'; ++*at) {
			if (s.p[*at] == '\\' && *at + 1 < s.n)
				++*at;
			if (s.p[*at] != '\r' && s.p[*at] != '\n')
				out[n++] = s.p[*at];
		}
		++*at;
		while (*at < s.n && s.p[*at] != ';')
			++*at;
		return span_make(out, n);
	}
	while (*at < s.n && s.p[*at] != ';')
		out[n++] = s.p[(*at)++];
	return span_trim(span_make(out, n));
}

static struct span
lower(struct arena *a, struct span s)
{
	char *p = arena_text(a, s);

	for (size_t i = 0; i < s.n; i++)
		p[i] = ascii_lower(p[i]);
	return span_make(p, s.n);
}

static int
hex_value(char c)
{
	return c >= '0' && c <= '9' ? c - '0' : c >= 'A' && c <= 'F' ? c - 'A' + 10 : c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

static struct span
percent_decode(struct arena *a, struct span s)
{
	char *p = arena_alloc(a, s.n + 1);
	size_t n = 0;

	for (size_t i = 0; i < s.n; i++) {
		if (s.p[i] == '%' && i + 2 < s.n && hex_value(s.p[i + 1]) >= 0 && hex_value(s.p[i + 2]) >= 0) {
			p[n++] = (char)(hex_value(s.p[i + 1]) << 4 | hex_value(s.p[i + 2]));
			i += 2;
		} else {
			p[n++] = s.p[i];
		}
	}
	return span_make(p, n);
}

static void
piece_name(struct arena *a, struct span raw, struct piece *p)
{
	struct span rest = lower(a, raw), name = span_cut(&rest, '*');
	uint64_t number;

	*p = (struct piece){ .name = name, .number = -1 };
	if (name.n == raw.n)
		return;
	struct span digits = span_cut(&rest, '*');

	p->encoded = raw.p[raw.n - 1] == '*';
	if (digits.n > 0 && span_u64(digits, &number) && number < PIECES)
		p->number = (int)number;
}

static bool
same_param(const struct piece *a, const struct piece *b)
{
	return span_eq(a->name, b->name);
}

/* All pieces of one name, in the order of their numbers: the charset stands in the first. */
static struct span
assemble(struct arena *a, const struct piece *pieces, size_t count, size_t first)
{
	struct span out = { NULL, 0 }, charset = SPAN("");
	bool unknown, wrong;

	if (pieces[first].number < 0 && !pieces[first].encoded)
		return header_decode(a, pieces[first].value);
	for (int number = -1; number < PIECES; number++)
		for (size_t i = first; i < count; i++) {
			struct span value = pieces[i].value;

			if (!same_param(&pieces[i], &pieces[first]) || pieces[i].number != number ||
			    (number < 0 && !pieces[i].encoded))
				continue;
			if (pieces[i].encoded && (number <= 0)) {
				struct span rest = value, name = span_cut(&rest, '\'');

				if (name.n < value.n) {
					charset = name;
					span_cut(&rest, '\'');
					value = rest;
				}
			}
			if (pieces[i].encoded)
				value = percent_decode(a, value);
			char *p = arena_grow(a, (void *)out.p, out.n, out.n + value.n + 1);

			memcpy(p + out.n, value.p ? value.p : "", value.n);
			out = span_make(p, out.n + value.n);
			break;
		}
	return charset_to_utf8(a, out, charset, &unknown, &wrong);
}

void
content_parse(struct arena *a, struct span raw, struct content *out)
{
	struct piece pieces[PIECES];
	size_t count = 0, at = skip_blank(raw, 0), start = at;

	*out = (struct content){ 0 };
	while (at < raw.n && raw.p[at] != ';' && raw.p[at] != '(')
		at++;
	out->value = lower(a, span_trim(span_make(raw.p + start, at - start)));
	while (at < raw.n && raw.p[at] != ';')
		at++;
	while (at < raw.n && count < PIECES) {
		size_t name_start = at = skip_blank(raw, at + 1);

		while (at < raw.n && raw.p[at] != '=' && raw.p[at] != ';')
			at++;
		struct span name = span_trim(span_make(raw.p + name_start, at - name_start));

		if (at >= raw.n || raw.p[at] == ';' || name.n == 0) {
			while (at < raw.n && raw.p[at] != ';')
				at++;
			continue;
		}
		at = skip_blank(raw, at + 1);
		piece_name(a, name, &pieces[count]);
		pieces[count++].value = take_value(a, raw, &at);
	}
	for (size_t i = 0; i < count; i++) {
		bool known = false;

		for (size_t k = 0; k < i; k++)
			if (same_param(&pieces[k], &pieces[i])) {
				known = true;
				out->duplicate |= pieces[i].number < 0 && pieces[k].number < 0 && pieces[i].encoded == pieces[k].encoded &&
				    !span_eq(pieces[i].value, pieces[k].value);
			}
		if (!known && out->count < sizeof out->params / sizeof *out->params)
			out->params[out->count++] = (struct param){ pieces[i].name, assemble(a, pieces, count, i) };
	}
}

struct span
content_param(const struct content *c, const char *name)
{
	for (size_t i = 0; i < c->count; i++)
		if (span_eq(c->params[i].name, span_of(name)))
			return c->params[i].value;
	return SPAN("");
}
