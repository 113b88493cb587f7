/* params.c - "type/subtype; name=value" with comments, quotes, RFC 2231 continuations and encoded words. */
#include <stdlib.h>

#include "policyd/base/limits.h"
#include "policyd/mail/parse.h"

struct piece {                               /* name*2*=value before it is put together */
	struct span name, value;
	int number;                          /* -1: no continuation */
	bool encoded, bad_number;
	enum { AS_MEANT, ODD, CUT } end;     /* of its value: ODD elsewhere for some clients, CUT: more of it follows for some */
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

/* Quotes or escapes where the grammar has none: clients find another end or other letters. */
static struct span
take_value(struct arena *a, struct span s, size_t *at, struct piece *p)
{
	size_t n = 0, end = *at + 1;
	bool quoted = *at < s.n && s.p[*at] == '"', odd = false, cut = false;

	while (end < s.n && s.p[end] != (quoted ? '"' : ';'))
		end += s.p[end] == '\\' && quoted ? 2 : 1;
	char *out = arena_alloc(a, (end < s.n ? end : s.n) - (*at < s.n ? *at : s.n) + 1);

	if (quoted) {
		for (++*at; *at < s.n && s.p[*at] != '"'; ++*at) {
			if (s.p[*at] == '\\' && *at + 1 < s.n)
				++*at;
			odd |= s.p[*at] == '"' || s.p[*at] == ';';
			if (s.p[*at] != '\r' && s.p[*at] != '\n')
				out[n++] = s.p[*at];
		}
		odd |= *at >= s.n;
		for (++*at; *at < s.n && s.p[*at] != ';'; ++*at)
			cut |= !ascii_space(s.p[*at]);
		p->end = cut ? CUT : odd ? ODD : p->end;
		return span_make(out, n);
	}
	for (; *at < s.n && s.p[*at] != ';'; ++*at) {
		char c = s.p[*at];

		odd |= c == '"' || c == '\\' || c == '(' || (c == '\'' && n == 0 && *at + 1 < s.n && s.p[*at + 1] != '\'');
		out[n++] = c;
	}
	p->end = odd ? ODD : p->end;
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
	size_t comment = span_find_char(raw, '(');
	uint64_t number;

	*p = (struct piece){ .number = -1, .end = comment != SPAN_NONE ? ODD : AS_MEANT };
	raw = span_trim(span_head(raw, comment));
	struct span rest = lower(a, raw), name = span_cut(&rest, '*');

	p->name = name;
	if (name.n == raw.n)
		return;
	struct span digits = span_cut(&rest, '*');

	p->encoded = raw.n > 0 && raw.p[raw.n - 1] == '*';
	if (digits.n > 0 && span_u64(digits, &number) && number < MAX_PARAMS)
		p->number = (int)number;
	else
		p->bad_number = digits.n > 0;
}

static bool
same_param(const struct piece *a, const struct piece *b)
{
	return span_eq(a->name, b->name);
}

static bool
is_plain(const struct piece *p)
{
	return p->number < 0 && !p->encoded;
}

/* The piece of that name and number, of a plain or an extended kind; NULL: none. The first counts. */
static const struct piece *
piece_find(const struct piece *pieces, size_t count, const struct piece *like, int number, bool plain)
{
	for (size_t i = 0; i < count; i++)
		if (same_param(&pieces[i], like) && pieces[i].number == number && is_plain(&pieces[i]) == plain)
			return &pieces[i];
	return NULL;
}

/* name*0, name*1, ... in the order of their numbers, which need not be that of the header. The charset stands in the
 * first. Some clients want them from 0 without a gap, some in the order written: then the value is ambiguous. */
static struct span
join_pieces(struct arena *a, const struct piece *pieces, size_t count, const struct piece *like, bool *ambiguous)
{
	struct span out = { NULL, 0 }, charset = SPAN("");
	const struct piece *by_number[MAX_PARAMS] = { NULL }, *p, *before = NULL;
	int expected = 0;
	bool unknown, wrong;

	for (size_t i = count; i-- > 0;)
		if (same_param(&pieces[i], like) && pieces[i].number >= 0)
			by_number[pieces[i].number] = &pieces[i];
	for (int number = 0; number < MAX_PARAMS; number++) {
		if ((p = by_number[number]) == NULL)
			continue;
		struct span value = p->value, rest = value;

		*ambiguous |= number != expected++ || (before && p < before);
		if (p->encoded && before == NULL) {
			struct span name = span_cut(&rest, '\'');

			if (name.n < value.n) {
				charset = name;
				span_cut(&rest, '\'');
				value = rest;
			}
		} else if (p->encoded) {
			*ambiguous |= span_find_char(value, '\'') != SPAN_NONE;
		}
		before = p;
		if (p->encoded)
			value = percent_decode(a, value);
		char *text = arena_grow(a, (void *)out.p, out.n, out.n + value.n + 1);

		memcpy(text + out.n, value.p ? value.p : "", value.n);
		out = span_make(text, out.n + value.n);
	}
	return charset_to_utf8(a, out, charset, &unknown, &wrong);
}

static struct span
extended_value(struct arena *a, struct span value)
{
	struct span rest = value, charset = span_cut(&rest, '\'');
	bool unknown, wrong;

	if (charset.n == value.n)
		return charset_to_utf8(a, percent_decode(a, value), SPAN(""), &unknown, &wrong);
	span_cut(&rest, '\'');
	return charset_to_utf8(a, percent_decode(a, rest), charset, &unknown, &wrong);
}

/* A value that is quoted oddly ends elsewhere for some; but with one dot in it, it is the same kind of file to all, or none. */
static bool
one_end(struct span value)
{
	size_t dot = span_find_char(value, '.');

	struct span ext = dot == SPAN_NONE || dot != span_find_last(value, '.') ? SPAN("") : span_from(value, dot + 1);

	for (size_t i = 0; i < ext.n; i++)
		if (!ascii_alnum(ext.p[i]))
			return false;
	return ext.n > 0;
}

/* RFC 2231 and 6266: name*= before all, then name*0= name*1= ..., then name=. Clients that do not know the extended
 * forms show the plain one; those that know both agree on the order only for name*=. */
static struct param
assemble(struct arena *a, const struct piece *pieces, size_t count, const struct piece *like)
{
	const struct piece *whole = piece_find(pieces, count, like, -1, false), *plain = piece_find(pieces, count, like, -1, true);
	struct param out = { .name = like->name };
	struct span plain_last = SPAN("");
	bool numbered = false, odd = false;
	const struct piece *before;

	for (size_t i = 0; i < count; i++)
		if (same_param(&pieces[i], like)) {
			numbered |= pieces[i].number >= 0;
			odd |= pieces[i].end == ODD;
			before = piece_find(pieces, i, like, pieces[i].number, is_plain(&pieces[i]));
			/* more behind the quotes; "name*x", which is no number; the same piece twice, which some join */
			out.ambiguous |= pieces[i].end == CUT || pieces[i].bad_number ||
			    (before && pieces[i].number >= 0 && !span_eq(before->value, pieces[i].value));
			if (is_plain(&pieces[i]))
				plain_last = header_decode(a, pieces[i].value);
		}
	if (whole) {
		out.plain = plain_last;
		out.value = extended_value(a, whole->value);
		out.ambiguous |= numbered;
	} else if (numbered) {
		bool first = piece_find(pieces, count, like, 0, false) != NULL;

		out.value = join_pieces(a, pieces, count, like, &out.ambiguous);
		out.other = plain_last;
		if (plain && !first) {
			out.other = out.value;
			out.value = header_decode(a, plain->value);
		}
	} else {
		out.value = header_decode(a, plain->value);
		out.other = plain_last;
	}
	out.ambiguous |= odd && !one_end(out.value);
	return out;
}

/* Is there anything in it that only a full parser takes as meant? Most clients have none. */
static bool
is_odd(struct span raw)
{
	size_t quotes = 0, hit = span_find_nocase(raw, SPAN("boundary"));
	bool quoted = false;

	for (size_t i = 0; i < raw.n; i++) {
		unsigned char c = (unsigned char)raw.p[i];

		if (c == '"') {
			quotes++;
			quoted = !quoted;
		} else if (c == '\\' || c == 0x7f || (c < 0x20 && !ascii_space((char)c))) {
			return true;
		} else if (!quoted && (c == '(' || (c == '=' && i > 0 && ascii_space(raw.p[i - 1])))) {
			return true;
		} else if (c == '=' && i + 1 < raw.n && (raw.p[i + 1] == '?' || (!quoted && ascii_space(raw.p[i + 1])))) {
			return true;
		}
	}
	if (quotes % 2 != 0)
		return true;
	if (hit == SPAN_NONE)
		return false;
	struct span after = span_from(raw, hit + 8);

	return after.n == 0 || after.p[0] != '=' || !span_starts_nocase(span_trim(raw), SPAN("multipart/")) ||
	       span_find_nocase(after, SPAN("boundary=")) != SPAN_NONE;
}

void
content_parse(struct arena *a, struct span raw, struct content *out)
{
	struct piece pieces[MAX_PARAMS];
	size_t count = 0, at = skip_blank(raw, 0), start = at;

	*out = (struct content){ .odd = is_odd(raw) };
	while (at < raw.n && raw.p[at] != ';' && raw.p[at] != '(' && !ascii_space(raw.p[at]))
		at++;
	out->value = lower(a, span_make(raw.p + start, at - start));
	at = skip_blank(raw, at);
	if (at < raw.n && raw.p[at] != ';') {
		out->odd = true;
		at--;                        /* "multipart/mixed boundary=b": the ";" was forgotten */
	}
	while (at < raw.n && count < MAX_PARAMS) {
		size_t name_start = at = skip_blank(raw, at + 1);

		while (at < raw.n && raw.p[at] != ';' && !ascii_space(raw.p[at]) && ((unsigned char)raw.p[at] < 0x20 || (unsigned char)raw.p[at] >= 0x7f))
			name_start = at = skip_blank(raw, at + 1);           /* junk before a name, which is no part of it to most */
		while (at < raw.n && raw.p[at] != '=' && raw.p[at] != ';')
			at++;
		struct span name = span_trim(span_make(raw.p + name_start, at - name_start));

		if (at >= raw.n || raw.p[at] == ';' || name.n == 0) {
			/* "name=a;.zip": some clients take what has no "=" for more of the value before it */
			if (count > 0 && name.n > 0 && at >= raw.n)
				pieces[count - 1].end = span_find_char(name, '.') != SPAN_NONE ? CUT : pieces[count - 1].end;
			while (at < raw.n && raw.p[at] != ';')
				at++;
			continue;
		}
		at = skip_blank(raw, at + 1);
		piece_name(a, name, &pieces[count]);
		pieces[count].value = take_value(a, raw, &at, &pieces[count]);
		count++;
	}
	out->over = count == MAX_PARAMS && at < raw.n;
	for (size_t i = 0; i < count; i++) {
		struct param *known = NULL;

		for (size_t k = 0; k < out->count && known == NULL; k++)
			if (span_eq(out->params[k].name, pieces[i].name))
				known = &out->params[k];
		if (known == NULL && out->count < sizeof out->params / sizeof *out->params)
			out->params[out->count++] = assemble(a, pieces, count, &pieces[i]);
		for (size_t k = 0; known && k < i; k++)
			known->duplicate |= same_param(&pieces[k], &pieces[i]) && pieces[i].number == pieces[k].number &&
			    pieces[i].encoded == pieces[k].encoded && !span_eq(pieces[i].value, pieces[k].value);
	}
	out->odd |= out->over;
}

const struct param *
content_find(const struct content *c, const char *name)
{
	for (size_t i = 0; i < c->count; i++)
		if (span_eq(c->params[i].name, span_of(name)))
			return &c->params[i];
	return NULL;
}

struct span
content_param(const struct content *c, const char *name)
{
	const struct param *p = content_find(c, name);

	return p ? p->value : SPAN("");
}
