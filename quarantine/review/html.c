/* html.c - the writer of pages: no text reaches one but through put(), which escapes all that is not our own format. */
#include <stdarg.h>
#include <stdio.h>
#include <time.h>

#include "policyd/base/utf8.h"
#include "quarantine/review/review.h"

/* Directions and invisible letters by which a stranger's text would turn or hide what stands beside it. */
static bool
is_trick(uint32_t code)
{
	return (code >= 0x202a && code <= 0x202e) || (code >= 0x2066 && code <= 0x2069) || code == 0x200e || code == 0x200f ||
	    code == 0x061c || (code >= 0x80 && code < 0xa0) || code == 0xfeff || code == 0x2028 || code == 0x2029;
}

void
put_escaped(struct buf *b, struct span s)
{
	for (size_t i = 0, n; i < s.n; i += n) {
		unsigned char c = (unsigned char)s.p[i];

		n = 1;
		if (c >= 0x80) {
			uint32_t code = utf8_decode(span_from(s, i), &n);

			if (n == 0 || is_trick(code)) {
				n = n ? n : 1;
				buf_add(b, "\xef\xbf\xbd", 3);
			} else {
				buf_add(b, s.p + i, n);
			}
			continue;
		}
		switch (c) {
		case '&':
			buf_add(b, "&amp;", 5);
			break;
		case '<':
			buf_add(b, "&lt;", 4);
			break;
		case '>':
			buf_add(b, "&gt;", 4);
			break;
		case '"':
			buf_add(b, "&quot;", 6);
			break;
		case '\'':
			buf_add(b, "&#39;", 5);
			break;
		default:
			if (c == '\r')
				break;
			if ((c < 0x20 && c != '\n' && c != '\t') || c == 0x7f)
				buf_add(b, "\xef\xbf\xbd", 3);
			else
				buf_add_char(b, (char)c);
		}
	}
}

void
put(struct call *c, const char *format, ...)
{
	struct buf *b = &c->out;
	va_list args;

	va_start(args, format);
	for (const char *p = format; *p; p++) {
		if (*p != '%') {
			const char *end = strchr(p, '%');
			size_t n = end ? (size_t)(end - p) : strlen(p);

			buf_add(b, p, n);
			p += n - 1;
			continue;
		}
		switch (*++p) {
		case 's': {
			const char *text = va_arg(args, const char *);

			put_escaped(b, span_of(text ? text : ""));
			break;
		}
		case 'S':
			put_escaped(b, va_arg(args, struct span));
			break;
		case 't':
			put_escaped(b, span_of(text_in(c->language, va_arg(args, enum text))));
			break;
		case 'd':
			buf_printf(b, "%lld", va_arg(args, long long));
			break;
		case 'f':
			buf_printf(b, "%.1f", va_arg(args, double));
			break;
		default:
			buf_add_char(b, '%');
		}
	}
	va_end(args);
}

void
put_time(struct call *c, int64_t time_s)
{
	time_t t = (time_t)time_s;
	char iso[32], shown[32];
	struct tm utc, local;

	gmtime_r(&t, &utc);
	localtime_r(&t, &local);
	strftime(iso, sizeof iso, "%Y-%m-%dT%H:%M:%SZ", &utc);
	strftime(shown, sizeof shown, c->language == LANGUAGE_DE ? "%d.%m.%Y %H:%M" : "%Y-%m-%d %H:%M", &local);
	put(c, "<time datetime=\"%s\">%s</time>", iso, shown);
}
