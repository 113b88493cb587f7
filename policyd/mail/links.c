/* links.c - links in running text: with a scheme, or bare names of hosts as mail programs make them clickable.
 *
 * Every link has a ':' or a '.', so only these are stopped at. What was looked at is not looked at again: linear. */
#include "policyd/base/limits.h"
#include "policyd/base/utf8.h"
#include "policyd/mail/parse.h"

enum { SCHEME_MOST = 5, LABEL_MOST = 24 };

static bool
host_char(char c)
{
	return ascii_alnum(c) || c == '-' || c == '_';
}

/* Quotes and the punctuation of East Asia end a link, as does what cannot be shown. */
static bool
ends_link(struct span rest, size_t *length)
{
	uint32_t code = utf8_decode(rest, length);

	if (*length == 0)
		return true;
	return code < 0xa0 || code == 0xa0 || code == 0xab || code == 0xbb || (code >= 0x2018 && code <= 0x201f) || code == 0x2028 || code == 0x2029 ||
	       code == 0x3000 || code == 0x3001 || (code >= 0x3003 && code <= 0x301f) || code == 0xff01 || code == 0xff08 ||
	       code == 0xff09 || code == 0xff0c || code == 0xff1a || code == 0xff1b || code == 0xff1c || code == 0xff1e || code == 0xff1f;
}

/* From `at` over all that a link may have. */
static size_t
link_end(struct span text, size_t at)
{
	size_t start = at, length;

	while (at < text.n && at - start < MAX_LINK) {
		char c = text.p[at];

		if ((unsigned char)c >= 0x80) {
			if (ends_link(span_from(text, at), &length))
				break;
			at += length;
		} else if ((unsigned char)c > 0x20 && c != '<' && c != '>' && c != '"' && c != 0x7f && c != '`') {
			at++;
		} else {
			break;
		}
	}
	while (at > start && memchr(".,;:!?)]}'*|", text.p[at - 1], 12))
		at--;
	return at;
}

/* "[.]", "(.)": dots as people write them who do not want to be followed */
static size_t
bracketed_dot(struct span text, size_t at)
{
	if (at + 2 >= text.n || text.p[at + 1] != '.')
		return 0;
	return (text.p[at] == '[' && text.p[at + 2] == ']') || (text.p[at] == '(' && text.p[at + 2] == ')') ||
	    (text.p[at] == '{' && text.p[at + 2] == '}') ? 3 : 0;
}

static size_t
invisible_at(struct span text, size_t at)
{
	size_t length;

	if ((unsigned char)text.p[at] < 0x80)
		return 0;
	return letter_is_invisible(utf8_decode(span_from(text, at), &length)) ? length : 0;
}

/* Where a name of a host ends that goes on at `at`. */
static size_t
host_end(struct span text, size_t at)
{
	size_t start = at;

	while (at < text.n && at - start < MAX_HOST_NAME * 4) {
		size_t n = host_char(text.p[at]) ? 1 : bracketed_dot(text, at);

		if (n == 0 && text.p[at] == '.' && at + 1 < text.n && (host_char(text.p[at + 1]) || invisible_at(text, at + 1)))
			n = 1;
		if (n == 0)
			n = invisible_at(text, at);
		if (n == 0)
			break;
		at += n;
	}
	return at;
}

/* Brackets around dots, and what cannot be seen, out. */
static struct span
without_disguise(struct arena *a, struct span raw)
{
	char *out = arena_alloc(a, raw.n + 1);
	size_t n = 0;

	for (size_t i = 0; i < raw.n;) {
		size_t dot = bracketed_dot(raw, i), invisible = invisible_at(raw, i);

		if (dot)
			out[n++] = '.';
		else if (!invisible)
			out[n++] = raw.p[i];
		i += dot ? dot : invisible ? invisible : 1;
	}
	return span_make(out, n);
}

/* Names of files and ends of sentences look like hosts of two labels; these suffixes are too often one of the two. */
static bool
is_doubtful(struct span host)
{
	static const char *const files[] = { "md", "sh", "py", "rs", "zip", "mov", "pl", "ps", "cc", "so", "do", "ai", "app", "is", "it", "at",
		"in", "to", "no", "me", "my", "be", "am", "as", "us", "id", "by", "he", "of" };
	size_t dot = span_find_last(host, '.');

	if (span_find_char(span_head(host, dot), '.') != SPAN_NONE)
		return false;
	for (size_t i = 0; i < sizeof files / sizeof *files; i++)
		if (span_eq(span_from(host, dot + 1), span_of(files[i])))
			return true;
	return false;
}

static bool
is_host(struct arena *a, struct span raw, bool has_path)
{
	size_t dot = span_find_last(raw, '.');

	if (dot == SPAN_NONE || dot == 0 || raw.n - dot - 1 > LABEL_MOST || raw.n - dot < 3 || raw.n > MAX_HOST_NAME)
		return false;
	for (size_t i = dot + 1; i < raw.n; i++)
		if (!ascii_alnum(raw.p[i]) && raw.p[i] != '-')
			return false;
	if (raw.p[dot + 1] >= '0' && raw.p[dot + 1] <= '9')
		return false;
	/* "end.Next": a name is not begun with a capital after a dot */
	if (raw.p[dot + 1] >= 'A' && raw.p[dot + 1] <= 'Z' && !(raw.p[dot - 1] >= 'A' && raw.p[dot - 1] <= 'Z') && !has_path)
		return false;
	struct span host = host_clean(a, raw);

	return host_has_suffix(host) && (has_path || !is_doubtful(host));
}

struct reader {
	struct arena *a;
	struct message *msg;
	struct span text;
	enum link_source source;
	int part;
	size_t floor;                        /* what lies before is read */
};

/* "<http://long.example/li\nnk>": in angle brackets a link goes on over line ends (RFC 3986, appendix C). */
static struct span
joined(const struct reader *r, size_t start, size_t *end)
{
	struct span rest = span_head(span_from(r->text, start), MAX_LINK);
	size_t close = span_find_char(rest, '>'), n = 0;
	char *out;

	if (close == SPAN_NONE || *end - start >= close)
		return SPAN("");
	out = arena_alloc(r->a, close + 1);
	for (size_t i = 0; i < close; i++) {
		if (rest.p[i] == '<' || rest.p[i] == '"')
			return SPAN("");
		if (ascii_space(rest.p[i])) {
			size_t after = i;

			while (after < close && ascii_space(rest.p[after]))
				after++;
			if (span_find_char(span_make(rest.p + i, after - i), '\n') == SPAN_NONE)
				return SPAN("");     /* a blank within a line: no link goes over it */
			i = after - 1;
			continue;
		}
		out[n++] = rest.p[i];
	}
	*end = start + close;
	return span_make(out, n);
}

static size_t
read_schemed(struct reader *r, size_t colon)
{
	static const struct { const char *name; size_t letters; } schemes[] = { { "https", 5 }, { "http", 4 }, { "hxxps", 5 }, { "hxxp", 4 }, { "ftp", 3 } };
	struct span text = r->text;

	if (colon + 2 >= text.n || (text.p[colon + 1] != '/' && text.p[colon + 1] != '\\') ||
	    (text.p[colon + 2] != '/' && text.p[colon + 2] != '\\'))
		return colon + 1;
	for (size_t i = 0; i < sizeof schemes / sizeof *schemes; i++) {
		size_t n = schemes[i].letters, end = link_end(text, colon), start = colon - n;

		if (colon < r->floor + n || !span_eq_nocase(span_make(text.p + start, n), span_of(schemes[i].name)))
			continue;
		struct span url = span_make(text.p + start, end > start ? end - start : 0), wrapped = SPAN("");

		if (r->source != LINK_HTML && start > 0 && (text.p[start - 1] == '<' || (start > 4 && span_eq_nocase(span_make(text.p + start - 5, 5), SPAN("<URL:")))))
			wrapped = joined(r, start, &end);
		if (wrapped.n > 0)
			url = wrapped;
		if (i == 2 || i == 3)                /* hxxp://a[.]b */
			url = arena_printf(r->a, "http" SPAN_FMT, SPAN_ARG(without_disguise(r->a, span_from(url, 4))));
		else if (span_find(span_head(url, 128), SPAN("[.]")) != SPAN_NONE)
			url = without_disguise(r->a, url);
		link_add(r->a, r->msg, url, r->source, SPAN(""), r->part);
		return end > colon ? end : colon + 1;
	}
	return colon + 1;
}

static size_t
read_bare(struct reader *r, size_t dot)
{
	struct span text = r->text;
	size_t start = dot, end, stop;

	if (dot + 1 >= text.n)
		return text.n;
	if (dot > 0 && memchr("[({", text.p[dot - 1], 3))
		start--;
	while (start > r->floor && (host_char(text.p[start - 1]) || ((unsigned char)text.p[start - 1] >= 0x80 && dot - start < MAX_HOST_NAME)))
		start--;
	while (start < dot && (unsigned char)text.p[start] >= 0x80 && !invisible_at(text, start))
		start++;                             /* letters of another script stand before the name */
	end = host_end(text, start);
	if (end <= dot + 1 || start == dot)
		return end > dot ? end : dot + 1;
	if ((start > 0 && (text.p[start - 1] == '@' || text.p[start - 1] == '/' || text.p[start - 1] == '.')) || (end < text.n && text.p[end] == '@'))
		return end;
	struct span host = span_make(text.p + start, end - start);
	bool path = end < text.n && (text.p[end] == '/' || text.p[end] == '?');

	if (!span_starts_nocase(host, SPAN("www.")) && !is_host(r->a, without_disguise(r->a, host), path))
		return end;
	stop = path || (end + 1 < text.n && text.p[end] == ':' && text.p[end + 1] >= '0' && text.p[end + 1] <= '9') ? link_end(text, end) : end;
	if (stop < end)
		stop = end;
	host = without_disguise(r->a, host);
	link_add(r->a, r->msg, stop == end ? host : arena_printf(r->a, SPAN_FMT SPAN_FMT, SPAN_ARG(host), SPAN_ARG(span_make(text.p + end, stop - end))),
	    r->source, SPAN(""), r->part);
	return stop;
}

/* The next '.' or ':' at or after `at`; the end when there is none. */
static size_t
next_mark(struct span text, size_t at, bool dots)
{
	while (at < text.n && text.p[at] != ':' && (!dots || text.p[at] != '.'))
		at++;
	return at;
}

void
links_of_text(struct arena *a, struct message *msg, struct span text, enum link_source source, int part)
{
	struct reader r = { a, msg, text, source, part, 0 };

	for (size_t at = 0; (at = next_mark(text, at, source == LINK_TEXT)) < text.n;) {
		size_t next = text.p[at] == ':' ? read_schemed(&r, at) : read_bare(&r, at);

		if (next > at + 1 || text.p[at] == '.')
			r.floor = next;
		at = next;
	}
}

/* Long lines are folded, commas and line ends escaped (RFC 5545, 3.1 and 3.3.11). */
void
links_of_calendar(struct arena *a, struct message *msg, struct span text, int part)
{
	char *out = arena_alloc(a, text.n + 1);
	size_t n = 0;

	for (size_t i = 0; i < text.n; i++) {
		char c = text.p[i], next = i + 1 < text.n ? text.p[i + 1] : '\n';

		if (c == '\r')
			continue;
		if (c == '\n' && (next == ' ' || next == '\t')) {
			i++;
			continue;
		}
		if (c == '\\' && (next == 'n' || next == 'N')) {
			out[n++] = '\n';
			i++;
		} else if (c == '\\' && (next == ',' || next == ';')) {
			out[n++] = next;
			i++;
		} else {
			out[n++] = c;
		}
	}
	links_of_text(a, msg, span_make(out, n), LINK_CALENDAR, part);
}
