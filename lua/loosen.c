#include "lua/loosen.h"

#include <ctype.h>
#include <stdlib.h>

#include "policyd/base/buf.h"

enum { LONG_REPEAT = 64 };

/* Behind the escape, class, comment or quotation that begins at `i`: nothing in it is a repeat. */
static size_t
skip_literal(struct span s, size_t i)
{
	if (s.p[i] == '\\' && i + 1 < s.n && s.p[i + 1] == 'Q') {
		size_t end = span_find(span_from(s, i), SPAN("\\E"));

		return end == SPAN_NONE ? s.n : i + end + 2;
	}
	if (s.p[i] == '\\') {
		bool braced = i + 2 < s.n && s.p[i + 2] == '{' && strchr("xopPgkN", s.p[i + 1]);
		size_t end = braced ? span_find_char(span_from(s, i), '}') : SPAN_NONE;

		return end != SPAN_NONE ? i + end + 1 : i + 2 < s.n ? i + 2 : s.n;
	}
	if (span_starts(span_from(s, i), SPAN("(?#"))) {
		size_t end = span_find_char(span_from(s, i), ')');

		return end == SPAN_NONE ? s.n : i + end + 1;
	}
	if (s.p[i] != '[')
		return i + 1;
	for (i += 1 + (i + 1 < s.n && s.p[i + 1] == '^'), i += i < s.n && s.p[i] == ']'; i < s.n && s.p[i] != ']'; i++) {
		if (s.p[i] == '\\')
			i++;
		else if (span_starts(span_from(s, i), SPAN("[:")) && span_find(span_from(s, i), SPAN(":]")) != SPAN_NONE)
			i += span_find(span_from(s, i), SPAN(":]")) + 1;
	}
	return i < s.n ? i + 1 : s.n;
}

/* "{2,900}" at s: its numbers, and its length; 0: it is no repeat. most -1: without end. */
static size_t
read_repeat(struct span s, long *least, long *most)
{
	char *end;

	if (s.n < 3 || !isdigit((unsigned char)s.p[1]))
		return 0;
	*least = *most = strtol(s.p + 1, &end, 10);
	if (*end == ',')
		*most = isdigit((unsigned char)end[1]) ? strtol(end + 1, &end, 10) : (end++, -1);
	return *end == '}' ? (size_t)(end - s.p) + 1 : 0;
}

char *
pattern_loosen(struct span s)
{
	struct buf out = { 0 };

	for (size_t i = 0, next; i < s.n; i = next) {
		long least, most;
		size_t repeat = s.p[i] == '{' ? read_repeat(span_from(s, i), &least, &most) : 0;

		next = repeat ? i + repeat : skip_literal(s, i);
		if (repeat && (most > LONG_REPEAT || least > LONG_REPEAT))
			buf_printf(&out, "{%ld,}", least < LONG_REPEAT ? least : LONG_REPEAT);
		else
			buf_add(&out, s.p + i, next - i);
	}
	buf_add_char(&out, '\0');
	if (out.failed)
		buf_free(&out);
	return out.p;
}
