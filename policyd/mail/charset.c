#include <errno.h>
#include <iconv.h>
#include <string.h>

#include "policyd/base/utf8.h"
#include "policyd/mail/parse.h"

/* What mail uses. Converters are opened before the cage closes: glibc loads them from files. */
static struct converter {
	const char *names;                   /* space separated, lower case; the first is iconv's */
	iconv_t iconv;
	bool open;
} converters[] = {
	{ "windows-1252 cp1252 iso-8859-1 latin1 us-ascii ascii ansi_x3.4-1968 x-ansi", 0, false },
	{ "iso-8859-2 latin2", 0, false }, { "iso-8859-3", 0, false }, { "iso-8859-4", 0, false },
	{ "iso-8859-5", 0, false }, { "iso-8859-6", 0, false }, { "iso-8859-7", 0, false },
	{ "iso-8859-8 iso-8859-8-i", 0, false }, { "iso-8859-9", 0, false }, { "iso-8859-10", 0, false },
	{ "iso-8859-11", 0, false }, { "iso-8859-13", 0, false }, { "iso-8859-14", 0, false }, { "iso-8859-15 latin9", 0, false },
	{ "iso-8859-16", 0, false },
	{ "windows-1250 cp1250", 0, false }, { "windows-1251 cp1251", 0, false }, { "windows-1253", 0, false },
	{ "windows-1254", 0, false }, { "windows-1255", 0, false }, { "windows-1256", 0, false }, { "windows-1257", 0, false },
	{ "windows-1258", 0, false }, { "koi8-r koi8", 0, false }, { "koi8-u", 0, false }, { "cp866 ibm866", 0, false },
	{ "cp437 ibm437", 0, false }, { "cp850 ibm850", 0, false }, { "macintosh", 0, false },
	{ "gb18030 gbk gb2312 x-gbk cp936 gb_2312-80", 0, false }, { "hz-gb-2312 hz", 0, false }, { "big5 big5-hkscs cp950", 0, false },
	{ "shift_jis sjis shift-jis cp932 windows-31j ms_kanji", 0, false }, { "euc-jp x-euc-jp", 0, false },
	{ "iso-2022-jp csiso2022jp iso-2022-jp-ms", 0, false }, { "euc-kr ks_c_5601-1987 cp949 ksc5601 uhc", 0, false },
	{ "iso-2022-kr", 0, false }, { "tis-620 windows-874 cp874", 0, false },
	{ "utf-7 unicode-1-1-utf-7", 0, false }, { "utf-16", 0, false }, { "utf-16le", 0, false }, { "utf-16be", 0, false },
	{ "utf-32", 0, false }, { "utf-32le", 0, false }, { "utf-32be", 0, false },
};

static void
open_converter(struct converter *c)
{
	char name[64];
	struct span rest = span_of(c->names), first = span_cut(&rest, ' ');

	memcpy(name, first.p, first.n);
	name[first.n] = '\0';
	c->iconv = iconv_open("UTF-8", name);
	c->open = c->iconv != (iconv_t)-1;
}

void
charset_prepare(void)
{
	for (size_t i = 0; i < sizeof converters / sizeof *converters; i++)
		if (!converters[i].open)
			open_converter(&converters[i]);
}

static struct converter *
find(struct span charset)
{
	for (size_t i = 0; i < sizeof converters / sizeof *converters; i++) {
		struct span rest = span_of(converters[i].names);

		while (rest.n > 0)
			if (span_eq_nocase(span_cut(&rest, ' '), charset)) {
				if (!converters[i].open)
					open_converter(&converters[i]);
				return converters[i].open ? &converters[i] : NULL;
			}
	}
	return NULL;
}

/* Bytes that do not fit become U+FFFD, one each. */
static struct span
convert(struct arena *a, struct converter *c, struct span in, bool *wrong)
{
	size_t room = in.n * 4 + 16, left = in.n, out_left = room;
	char *out = arena_alloc(a, room), *to = out, *from = (char *)in.p;

	iconv(c->iconv, NULL, NULL, NULL, NULL);
	while (left > 0) {
		if (iconv(c->iconv, &from, &left, &to, &out_left) != (size_t)-1)
			break;
		if (errno == E2BIG || out_left < 3)
			break;
		*wrong = true;
		memcpy(to, "\xef\xbf\xbd", 3);
		to += 3;
		out_left -= 3;
		from++;
		left--;
	}
	return span_make(out, (size_t)(to - out));
}

static bool
is_ascii(struct span s)
{
	for (size_t i = 0; i < s.n; i++)
		if ((unsigned char)s.p[i] >= 0x80)
			return false;
	return true;
}

/* UTF-16 without its mark is big-endian (RFC 2781, 4.3), unless what says so is text: most high bytes are 0 then. */
static bool
is_little_endian(struct span s)
{
	size_t even = 0, odd = 0;

	for (size_t i = 0; i + 1 < s.n && i < 4096; i += 2) {
		even += s.p[i] == 0;
		odd += s.p[i + 1] == 0;
	}
	return odd > even;
}

struct span
charset_to_utf8(struct arena *a, struct span in, struct span charset, bool *unknown, bool *wrong)
{
	bool says_utf8 = span_eq_nocase(charset, SPAN("utf-8")) || span_eq_nocase(charset, SPAN("utf8"));
	struct converter *c;

	*unknown = *wrong = false;
	charset = span_trim(charset);
	if (!converters[0].open)
		open_converter(&converters[0]);      /* the last resort */
	if (says_utf8 || charset.n == 0 || span_eq_nocase(charset, SPAN("us-ascii"))) {
		if (is_ascii(in) || utf8_valid(in))
			return in;
		*wrong = charset.n > 0;
		return convert(a, &converters[0], in, &(bool){ false });
	}
	c = find(charset);
	if (c == NULL) {
		*unknown = true;
		return is_ascii(in) || utf8_valid(in) ? in : convert(a, &converters[0], in, &(bool){ false });
	}
	if (span_eq_nocase(charset, SPAN("utf-16")) && in.n > 1 && !span_starts(in, SPAN("\xff\xfe")) && !span_starts(in, SPAN("\xfe\xff")))
		c = find(is_little_endian(in) ? SPAN("utf-16le") : SPAN("utf-16be"));
	if (c == NULL)
		return in;
	/* ASCII is itself in all of them but those that shift or are wide. */
	bool stateless = !span_starts_nocase(charset, SPAN("utf")) && !span_starts_nocase(charset, SPAN("iso-2022")) &&
	    !span_starts_nocase(charset, SPAN("hz")) && !span_starts_nocase(charset, SPAN("unicode")) &&
	    !span_starts_nocase(charset, SPAN("csiso2022"));

	if (stateless && is_ascii(in))
		return in;
	return convert(a, c, in, wrong);
}
