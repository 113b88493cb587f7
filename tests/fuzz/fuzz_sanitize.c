/* fuzz_sanitize.c - a stranger's HTML made harmless: what comes out is only what the list allows, and every tag is closed. */
#include "policyd/mail/parse.h"
#include "policyd/mail/prepare.h"
#include "policyd/mail/sanitize.h"
#include "tests/fuzz/fuzz.h"

static const char *const allowed[] = { "p", "div", "span", "b", "strong", "i", "em", "u", "s", "small", "sub", "sup", "blockquote", "pre", "code", "ul",
    "ol", "li", "dl", "dt", "dd", "h1", "h2", "h3", "h4", "h5", "h6", "table", "thead", "tbody", "tfoot", "tr", "td", "th", "caption", "br", "hr" };
static const char *const attributes[] = { " colspan=\"", " rowspan=\"", " align=\"", " dir=\"", " class=\"" };

/* The tag at the start of `s`: its bytes. */
static size_t
check_tag(struct span s, int *open)
{
	size_t n = s.n > 1 && s.p[1] == '/' ? 2 : 1, start = n, i;

	while (n < s.n && ascii_alnum(s.p[n]))
		n++;
	struct span name = span_make(s.p + start, n - start);

	for (i = 0; i < sizeof allowed / sizeof *allowed && !span_eq(name, span_of(allowed[i]));)
		i++;
	FUZZ_PROMISE(i < sizeof allowed / sizeof *allowed);
	if (!span_eq(name, SPAN("br")) && !span_eq(name, SPAN("hr")))
		*open += start == 2 ? -1 : 1;
	FUZZ_PROMISE(*open >= 0);
	while (n < s.n && s.p[n] == ' ') {
		for (i = 0; i < sizeof attributes / sizeof *attributes && !span_starts(span_from(s, n), span_of(attributes[i]));)
			i++;
		FUZZ_PROMISE(i < sizeof attributes / sizeof *attributes && start == 1);
		n += strlen(attributes[i]);
		while (n < s.n && ascii_alnum(s.p[n]))
			n++;
		FUZZ_PROMISE(n < s.n && s.p[n] == '"');
		n++;
	}
	FUZZ_PROMISE(n < s.n && s.p[n] == '>');
	return n + 1;
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct arena *a = arena_open(MAX_SCAN_MEMORY);
	struct buf out = { 0 };
	bool unknown, wrong;
	int open = 0;

	mail_prepare();
	html_sanitize(a, charset_to_utf8(a, fuzz_input(a, data, size), SPAN("utf-8"), &unknown, &wrong), &out);
	fuzz_utf8(buf_span(&out));
	FUZZ_PROMISE(out.n < SANITIZE_MOST + 64 * 1024);
	for (struct span s = buf_span(&out); s.n > 0;) {
		size_t bracket = span_find_char(s, '<');

		FUZZ_PROMISE(span_find_char(span_head(s, bracket == SPAN_NONE ? s.n : bracket), '>') == SPAN_NONE);
		if (bracket == SPAN_NONE)
			break;
		s = span_from(s, bracket);
		s = span_from(s, check_tag(s, &open));
	}
	FUZZ_PROMISE(open == 0);
	buf_free(&out);
	arena_close(a);
	return 0;
}
