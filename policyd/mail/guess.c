/* guess.c - charsets told by their bytes: marks, escapes, and how often which bytes stand where. */
#include "policyd/base/utf8.h"
#include "policyd/mail/charset.h"
#include "policyd/mail/parse.h"

enum { LOOK = 8192, META_LOOK = 2048 };

const char *
charset_wide(struct span in)
{
	size_t zeros[4] = { 0 }, quarter;

	if (in.n < 2)
		return NULL;
	if (span_starts(in, SPAN("\xff\xfe\0\0")))
		return "utf-32";
	if (span_starts(in, SPAN("\0\0\xfe\xff")))
		return "utf-32";
	if (span_starts(in, SPAN("\xff\xfe")) || span_starts(in, SPAN("\xfe\xff")))
		return "utf-16";
	in = span_head(in, LOOK & ~3);
	if (in.n < 8 || span_find_char(in, '\0') == SPAN_NONE)
		return NULL;
	for (size_t i = 0; i < in.n; i++)
		zeros[i & 3] += in.p[i] == 0;
	quarter = in.n / 4;
	/* Three zeros of four; one of two, as text in Latin letters has. */
	if (zeros[1] * 10 > quarter * 9 && zeros[2] * 10 > quarter * 9 && zeros[3] * 10 > quarter * 9 && zeros[0] * 10 < quarter)
		return "utf-32le";
	if (zeros[0] * 10 > quarter * 9 && zeros[1] * 10 > quarter * 9 && zeros[2] * 10 > quarter * 9 && zeros[3] * 10 < quarter)
		return "utf-32be";
	if ((zeros[1] + zeros[3]) * 10 > quarter * 8 && (zeros[0] + zeros[2]) * 20 < quarter)
		return "utf-16le";
	if ((zeros[0] + zeros[2]) * 10 > quarter * 8 && (zeros[1] + zeros[3]) * 20 < quarter)
		return "utf-16be";
	return NULL;
}

bool
charset_has_escapes(struct span in)
{
	for (size_t hit; (hit = span_find_char(in, 0x1b)) != SPAN_NONE; in = span_from(in, hit + 1))
		if (hit + 2 < in.n && (in.p[hit + 1] == '$' || (in.p[hit + 1] == '(' && (in.p[hit + 2] == 'J' || in.p[hit + 2] == 'I'))))
			return true;
	return false;
}

bool
charset_is_utf8(struct span in)
{
	size_t sequences = 0, longer = 0;

	if (!utf8_valid(in))
		return false;
	in = utf8_head(in, LOOK);
	for (size_t i = ascii_length(in); i < in.n; i += ascii_length(span_from(in, i))) {
		size_t n = utf8_length(span_from(in, i));

		sequences++;
		longer += n > 2;
		i += n ? n : 1;
	}
	return sequences >= 3 && (longer > 0 || sequences >= 8);
}

/* How East Asian bytes stand in pairs. */
struct pairs {
	size_t pairs, broken, low_trail, kana_euc, kana_sjis, hangul, half_kana;
};

static struct pairs
count_pairs(struct span in)
{
	struct pairs c = { 0 };

	for (size_t i = 0; i < in.n; i++) {
		unsigned char lead = (unsigned char)in.p[i], trail = i + 1 < in.n ? (unsigned char)in.p[i + 1] : 0;

		if (lead < 0x80)
			continue;
		if (lead == 0x80 || lead == 0xff || trail < 0x40 || trail == 0x7f || trail == 0xff) {
			c.broken++;
			continue;
		}
		c.pairs++;
		c.low_trail += trail < 0xa1;
		c.kana_euc += (lead == 0xa4 || lead == 0xa5) && trail >= 0xa1;
		c.kana_sjis += (lead == 0x82 && trail >= 0x9f && trail <= 0xf1) || (lead == 0x83 && trail <= 0x96);
		c.hangul += lead >= 0xb0 && lead <= 0xc8 && trail >= 0xa1;
		i++;
	}
	return c;
}

static const char *
guess_pairs(struct span in, size_t high)
{
	struct pairs c = count_pairs(in);
	size_t big5 = 0;

	/* A Western text has its letters beyond ASCII one by one, among many others. */
	if (c.pairs < 2 || c.broken * 20 > c.pairs || high * 4 < in.n)
		return NULL;
	if (c.kana_sjis * 4 > c.pairs)
		return "shift_jis";
	if (c.low_trail == 0) {
		if (c.kana_euc * 4 > c.pairs)
			return "euc-jp";
		return c.hangul * 100 > c.pairs * 88 ? "euc-kr" : "gb18030";
	}
	for (size_t i = 0; i + 1 < in.n; i++) {
		unsigned char lead = (unsigned char)in.p[i], trail = (unsigned char)in.p[i + 1];

		if (lead < 0x80)
			continue;
		big5 += (lead >= 0xa4 && lead <= 0xc6 && (trail < 0x7f || trail >= 0xa1)) || (lead == 0xa1 && trail >= 0x40);
		i++;
	}
	return big5 * 10 > c.pairs * 8 ? "big5" : c.low_trail * 10 > c.pairs * 9 ? NULL : "gb18030";
}

/* Cyrillic has nearly all its letters beyond ASCII, and far more small ones than capitals. */
static const char *
guess_cyrillic(const size_t count[16], size_t high, size_t letters)
{
	size_t windows = count[14] + count[15], koi8 = count[12] + count[13], dos = count[10] + count[14], iso = count[13] + count[14];

	if (high < 4 || high * 10 < (high + letters) * 5)
		return NULL;
	if (windows >= koi8 && windows >= dos && windows >= iso)
		return "windows-1251";
	if (koi8 >= dos && koi8 >= iso)
		return "koi8-r";
	return dos > iso ? "cp866" : "iso-8859-5";
}

const char *
charset_guess(struct span in)
{
	size_t count[16] = { 0 }, high = 0, letters = 0;
	const char *guess;

	if (charset_has_escapes(in))
		return span_find(in, SPAN("\x1b$)C")) != SPAN_NONE ? "iso-2022-kr" : "iso-2022-jp";
	in = span_head(in, LOOK);
	for (size_t i = 0; i < in.n; i++) {
		unsigned char c = (unsigned char)in.p[i];

		count[c >> 4] += c >= 0x80;
		high += c >= 0x80;
		letters += ascii_alnum((char)c);
	}
	guess = guess_cyrillic(count, high, letters);
	if (guess == NULL || count[8] + count[9] + count[10] + count[11] > high / 8) {
		const char *pairs = guess_pairs(in, high);

		guess = pairs ? pairs : guess;
	}
	return guess ? guess : "windows-1252";
}

/* <meta charset="x">, <meta http-equiv=content-type content="text/html; charset=x">: of a page that has it from nobody else */
struct span
charset_of_html(struct span html)
{
	html = span_head(html, META_LOOK);
	for (size_t hit; (hit = span_find_nocase(html, SPAN("charset"))) != SPAN_NONE;) {
		size_t n = 0;

		html = span_trim(span_from(html, hit + 7));
		if (html.n == 0 || html.p[0] != '=')
			continue;
		html = span_trim(span_from(html, 1));
		if (html.n > 0 && (html.p[0] == '"' || html.p[0] == '\''))
			html = span_from(html, 1);
		while (n < html.n && (ascii_alnum(html.p[n]) || html.p[n] == '-' || html.p[n] == '_'))
			n++;
		/* It was read as ASCII, so it is none of the wide ones. */
		return span_starts_nocase(html, SPAN("utf-16")) || span_starts_nocase(html, SPAN("utf-32")) ? SPAN("utf-8") : span_head(html, n);
	}
	return SPAN("");
}
