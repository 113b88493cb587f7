#include "quarantine/review/http_parse.h"

static enum http_parsed
bad(int *status, int code)
{
	*status = code;
	return HTTP_BAD;
}

/* RFC 9110 5.6.2 */
static bool
is_token(struct span s)
{
	for (size_t i = 0; i < s.n; i++)
		if (!ascii_alnum(s.p[i]) && strchr("!#$%&'*+-.^_`|~", s.p[i]) == NULL)
			return false;
	return s.n > 0 && memchr(s.p, '\0', s.n) == NULL;
}

static enum http_method
method_of(struct span name)
{
	static const struct { const char *name; enum http_method method; } names[] = {
		{ "GET", HTTP_GET }, { "HEAD", HTTP_HEAD }, { "POST", HTTP_POST }, { "PUT", HTTP_PUT }, { "DELETE", HTTP_DELETE },
	};

	for (size_t i = 0; i < sizeof names / sizeof *names; i++)
		if (span_eq(name, span_of(names[i].name)))
			return names[i].method;
	return HTTP_OTHER;
}

/* The next line, which must end in CRLF; false at the empty line or past the end. */
static bool
next_line(struct span *rest, struct span *line)
{
	size_t end = span_find(*rest, SPAN("\r\n"));

	if (end == SPAN_NONE)
		return false;
	*line = span_head(*rest, end);
	*rest = span_from(*rest, end + 2);
	return true;
}

static int
parse_request_line(struct span line, struct http_head *head)
{
	struct span rest = line, method = span_cut(&rest, ' '), target = span_cut(&rest, ' ');

	if (!is_token(method))
		return 400;
	if (!span_eq(rest, SPAN("HTTP/1.1")) && !span_eq(rest, SPAN("HTTP/1.0")))
		return span_starts(rest, SPAN("HTTP/")) ? 505 : 400;
	if (target.n > MAX_HTTP_TARGET)
		return 414;
	if (target.n == 0 || target.p[0] != '/')
		return 400;
	for (size_t i = 0; i < target.n; i++)
		if ((unsigned char)target.p[i] <= 0x20 || (unsigned char)target.p[i] >= 0x7f || target.p[i] == '#')
			return 400;
	head->method = method_of(method);
	head->keep = span_eq(rest, SPAN("HTTP/1.1"));
	head->query = target;
	head->path = span_cut(&head->query, '?');
	return 0;
}

static bool
value_good(struct span value)
{
	for (size_t i = 0; i < value.n; i++)
		if (((unsigned char)value.p[i] < 0x20 && value.p[i] != '\t') || value.p[i] == 0x7f)
			return false;
	return true;
}

/* What the fields say of the message itself. */
static int
check_fields(struct http_head *head)
{
	bool host = false, length = false;

	for (size_t i = 0; i < head->field_count; i++) {
		const struct http_field *f = &head->fields[i];
		uint64_t bytes;

		if (span_eq_nocase(f->name, SPAN("transfer-encoding")))
			return 501;
		if (span_eq_nocase(f->name, SPAN("content-length"))) {
			if (length || f->value.n > 10 || !span_u64(f->value, &bytes))
				return 400;
			if (bytes > MAX_HTTP_BODY)
				return 413;
			length = true;
			head->body_bytes = (size_t)bytes;
		} else if (span_eq_nocase(f->name, SPAN("host"))) {
			if (host)
				return 400;
			host = true;
		} else if (span_eq_nocase(f->name, SPAN("connection")) && span_find_nocase(f->value, SPAN("close")) != SPAN_NONE) {
			head->keep = false;
		} else if (span_eq_nocase(f->name, SPAN("expect"))) {
			if (!span_eq_nocase(f->value, SPAN("100-continue")))
				return 417;
			head->wants_continue = true;
		}
	}
	return host || !head->keep ? 0 : 400;
}

enum http_parsed
http_parse(struct span bytes, struct http_head *head, size_t *head_bytes, int *status)
{
	struct span seen = span_head(bytes, MAX_HTTP_HEAD), rest, line;
	size_t end = span_find(seen, SPAN("\r\n\r\n"));
	int code;

	memset(head, 0, sizeof *head);
	if (end == SPAN_NONE)
		return bytes.n >= MAX_HTTP_HEAD ? bad(status, 431) : HTTP_MORE;
	*head_bytes = end + 4;
	rest = span_head(seen, end + 2);
	if (!next_line(&rest, &line))
		return bad(status, 400);
	if ((code = parse_request_line(line, head)) != 0)
		return bad(status, code);
	while (next_line(&rest, &line)) {
		struct span value = line, name = span_cut(&value, ':');

		if (name.n == line.n || !is_token(name) || !value_good(value))
			return bad(status, 400);
		if (head->field_count == MAX_HTTP_HEADERS)
			return bad(status, 431);
		head->fields[head->field_count++] = (struct http_field){ name, span_trim(value) };
	}
	code = check_fields(head);
	return code ? bad(status, code) : HTTP_WHOLE;
}

struct span
http_field(const struct http_head *head, const char *name)
{
	for (size_t i = 0; i < head->field_count; i++)
		if (span_eq_nocase(head->fields[i].name, span_of(name)))
			return head->fields[i].value;
	return SPAN("");
}

static int
hex(char c)
{
	c = ascii_lower(c);
	return c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

static bool
decode(struct span s, char *to, size_t room)
{
	size_t n = 0;

	for (size_t i = 0; i < s.n; i++) {
		int c = (unsigned char)s.p[i];

		if (c == '+') {
			c = ' ';
		} else if (c == '%') {
			int high = i + 2 < s.n ? hex(s.p[i + 1]) : -1, low = i + 2 < s.n ? hex(s.p[i + 2]) : -1;

			if (high < 0 || low < 0)
				return false;
			c = high * 16 + low;
			i += 2;
		}
		if (c == 0 || n + 1 >= room)
			return false;
		to[n++] = (char)c;
	}
	to[n] = '\0';
	return true;
}

bool
form_nth(struct span form, const char *name, size_t nth, char *to, size_t room)
{
	to[0] = '\0';
	while (form.n > 0) {
		struct span value = span_cut(&form, '&'), key = span_cut(&value, '=');

		if (!span_eq(key, span_of(name)) || nth-- > 0)
			continue;
		if (decode(value, to, room))
			return true;
		to[0] = '\0';
		return false;
	}
	return false;
}

bool
form_value(struct span form, const char *name, char *to, size_t room)
{
	return form_nth(form, name, 0, to, room);
}

bool
cookie_value(struct span cookies, const char *name, char *to, size_t room)
{
	to[0] = '\0';
	while (cookies.n > 0) {
		struct span value = span_trim(span_cut(&cookies, ';')), key = span_cut(&value, '=');

		if (!span_eq(key, span_of(name)) || value.n >= room)
			continue;
		memcpy(to, value.p ? value.p : "", value.n);
		to[value.n] = '\0';
		return true;
	}
	return false;
}
