/* spf_macro.c - %{d}, %{ir}.%{v}: what a record says of the mail at hand (RFC 7208, 7). */
#include <stdio.h>
#include <stdlib.h>

#include "policyd/auth/spf_record.h"

enum { LONGEST_NAME = 253, MAX_MACRO_LABELS = 128 };

struct macro {
	char letter;
	bool escape, reverse;                /* upper case: URL escaping; "r" */
	unsigned keep;                       /* right-most parts; 0: all */
	struct span delimiters;              /* "." when there are none */
	size_t size;                         /* bytes of the whole in the text */
};

/* At "%{"; false: it is not well formed. */
static bool
macro_at(struct span text, bool explaining, struct macro *m)
{
	size_t i = 2;

	*m = (struct macro){ .delimiters = SPAN(".") };
	if (i >= text.n)
		return false;
	m->letter = ascii_lower(text.p[i]);
	m->escape = m->letter != text.p[i];
	if (strchr(explaining ? "slodiphvcrt" : "slodiphv", m->letter) == NULL)
		return false;
	i++;
	size_t digits = i;

	for (; i < text.n && text.p[i] >= '0' && text.p[i] <= '9'; i++)
		m->keep = m->keep > MAX_MACRO_LABELS ? m->keep : m->keep * 10 + (unsigned)(text.p[i] - '0');
	if (i > digits && m->keep == 0)
		return false;
	if (i < text.n && ascii_lower(text.p[i]) == 'r') {
		m->reverse = true;
		i++;
	}
	size_t start = i;

	while (i < text.n && text.p[i] && strchr(".-+,/_=", text.p[i]))
		i++;
	if (i > start)
		m->delimiters = span_make(text.p + start, i - start);
	m->size = i + 1;
	return i < text.n && text.p[i] == '}';
}

bool
spf_macros_valid(struct span text, bool explaining)
{
	struct macro m;

	for (size_t i = 0; i < text.n; i++) {
		if ((unsigned char)text.p[i] < 0x20 || (unsigned char)text.p[i] > 0x7e)
			return false;
		if (text.p[i] != '%')
			continue;
		if (i + 1 >= text.n)
			return false;
		if (text.p[i + 1] == '%' || text.p[i + 1] == '_' || text.p[i + 1] == '-')
			i++;
		else if (text.p[i + 1] == '{' && macro_at(span_from(text, i), explaining, &m))
			i += m.size - 1;
		else
			return false;
	}
	return true;
}

bool
spf_wants_validated(struct span text)
{
	return span_find_nocase(text, SPAN("%{p")) != SPAN_NONE;
}

/* The address as %{i} has it: dotted quads, or nibbles between dots. */
static struct span
dotted(struct arena *a, const struct ip *ip)
{
	char *to = arena_alloc(a, 64);
	size_t n = 0;

	if (ip->family == AF_INET)
		return span_make(to, (size_t)snprintf(to, 64, "%u.%u.%u.%u", ip->bytes[0], ip->bytes[1], ip->bytes[2], ip->bytes[3]));
	for (size_t i = 0; i < 16; i++) {
		to[n++] = "0123456789ABCDEF"[ip->bytes[i] >> 4];
		to[n++] = '.';
		to[n++] = "0123456789ABCDEF"[ip->bytes[i] & 15];
		to[n++] = '.';
	}
	return span_make(to, n - 1);
}

static struct span
value_of(struct arena *a, char letter, const struct spf_macros *m)
{
	char text[INET6_ADDRSTRLEN];

	switch (letter) {
	case 's': return m->sender;
	case 'l': return m->local;
	case 'o': return m->sender_domain;
	case 'd': return m->domain;
	case 'h': return m->helo;
	case 'p': return m->validated.n > 0 ? m->validated : SPAN("unknown");
	case 'v': return m->client.family == AF_INET6 ? SPAN("ip6") : SPAN("in-addr");
	case 'i': return dotted(a, &m->client);
	case 'r': return m->receiver.n > 0 ? m->receiver : SPAN("unknown");
	case 't': return arena_printf(a, "%lld", (long long)m->time_s);
	default:
		ip_print(&m->client, text);
		return arena_copy(a, span_of(text));
	}
}

/* Split at the delimiters, turned round, the last `keep` parts joined by dots. */
static struct span
transform(struct arena *a, struct span value, const struct macro *m)
{
	struct span parts[MAX_MACRO_LABELS];
	size_t count = 0, n = 0, start = 0;
	bool as_it_is = !m->reverse && m->keep == 0 && span_eq(m->delimiters, SPAN("."));

	if (as_it_is)
		return value;
	for (size_t i = 0; i <= value.n && count < MAX_MACRO_LABELS; i++)
		if (i == value.n || span_find_char(m->delimiters, value.p[i]) != SPAN_NONE) {
			parts[count++] = span_make(value.p + start, i - start);
			start = i + 1;
		}
	size_t first = m->keep > 0 && m->keep < count ? count - m->keep : 0;
	char *out = arena_alloc(a, value.n + 1);

	for (size_t i = first; i < count; i++) {
		struct span part = parts[m->reverse ? count - 1 - i : i];

		if (i > first)
			out[n++] = '.';
		memcpy(out + n, part.p, part.n);
		n += part.n;
	}
	return span_make(out, n);
}

static struct span
url_escape(struct arena *a, struct span s)
{
	char *out = arena_alloc(a, s.n * 3 + 1);
	size_t n = 0;

	for (size_t i = 0; i < s.n; i++) {
		unsigned char c = (unsigned char)s.p[i];

		if (ascii_alnum(s.p[i]) || (c && strchr("-._~", c))) {
			out[n++] = s.p[i];
		} else {
			out[n++] = '%';
			out[n++] = "0123456789ABCDEF"[c >> 4];
			out[n++] = "0123456789ABCDEF"[c & 15];
		}
	}
	return span_make(out, n);
}

/* RFC 7208, 7.3: labels go from the left until 253 bytes are left. */
static struct span
shorten(struct span name)
{
	while (name.n > LONGEST_NAME) {
		size_t dot = span_find_char(name, '.');

		if (dot == SPAN_NONE)
			break;
		name = span_from(name, dot + 1);
	}
	return name;
}

struct span
spf_expand(struct arena *a, struct span text, const struct spf_macros *m, bool name)
{
	struct span *pieces = ARENA_ARRAY(a, struct span, text.n + 1);
	size_t count = 0, total = 0, n = 0;
	struct macro macro;

	for (size_t i = 0; i < text.n; i++) {
		struct span piece = span_make(text.p + i, 1);

		if (text.p[i] == '%' && i + 1 < text.n) {
			char next = text.p[i + 1];

			if (next == '{' && macro_at(span_from(text, i), true, &macro)) {
				piece = transform(a, value_of(a, macro.letter, m), &macro);
				if (macro.escape)
					piece = url_escape(a, piece);
				i += macro.size - 1;
			} else {
				piece = next == '_' ? SPAN(" ") : next == '-' ? SPAN("%20") : SPAN("%");
				i++;
			}
		}
		pieces[count++] = piece;
		total += piece.n;
		if (total > MAX_SPF_RECORD * 4)      /* a record of nothing but %{s} */
			break;
	}
	char *out = arena_alloc(a, total + 1);

	for (size_t i = 0; i < count; i++) {
		if (pieces[i].n > 0)
			memcpy(out + n, pieces[i].p, pieces[i].n);
		n += pieces[i].n;
	}
	struct span whole = span_make(out, n);

	if (!name)
		return whole;
	if (whole.n > 0 && whole.p[whole.n - 1] == '.')
		whole.n--;
	return shorten(whole);
}
