#include "policyd/scan/status.h"

#include <openssl/evp.h>

enum { FOLD = 72, TESTS_MOST = 900 };

void
status_write(struct buf *out, const struct status *s, const char *eol)
{
	struct span rest = s->tests;
	size_t line, start;
	bool first = true;

	buf_printf(out, "%s, score=%.2f", s->flag ? "Yes" : "No", s->points);
	if (s->has_required)
		buf_printf(out, " required=%.1f", s->required);
	buf_printf(out, " ref=%s%s\ttests=[", s->reference, eol);
	line = start = out->n;
	while (rest.n > 0) {
		struct span item = span_cut(&rest, ',');

		if (!first)
			buf_add_char(out, ',');
		first = false;
		if (out->n - start > TESTS_MOST) {
			buf_add_span(out, SPAN("..."));
			break;
		}
		if (out->n - line + item.n > FOLD) {
			buf_printf(out, "%s\t", eol);
			line = out->n;
		}
		buf_add_span(out, item);
	}
	buf_add_char(out, ']');
}

void
status_tests(struct buf *out, struct span value, struct span without)
{
	size_t from = span_find(value, SPAN("tests=["));
	struct span list = from == SPAN_NONE ? SPAN("") : span_from(value, from + 7);
	size_t end = span_find_char(list, ']');

	list = end == SPAN_NONE ? SPAN("") : span_head(list, end);
	while (list.n > 0) {
		struct span item = span_trim(span_cut(&list, ',')), rest = item;

		if (item.n == 0 || span_eq(span_cut(&rest, '='), without))
			continue;
		if (out->n > 0)
			buf_add_char(out, ',');
		buf_add_span(out, item);
	}
}

void
status_tag(struct buf *out, struct span tag)
{
	unsigned char encoded[128];

	for (size_t i = 0; i < tag.n; i++) {
		if ((unsigned char)tag.p[i] < 0x80)
			continue;
		EVP_EncodeBlock(encoded, (const unsigned char *)tag.p, (int)span_head(tag, 63).n);
		buf_printf(out, "=?UTF-8?B?%s?= ", (const char *)encoded);
		return;
	}
	buf_add_span(out, tag);
}
