/* charset.c - bytes to UTF-8 by the charset they claim, when that can be; by what they are, when it cannot.
 *
 * The table below is all that is read; names are compared without case and punctuation ("ISO_8859-1" is iso88591).
 * Charsets of one byte a character are tables of our own, made by iconv once; for the rest the converters are opened
 * before the cage closes, since glibc loads them from files. */
#include <errno.h>
#include <iconv.h>
#include <string.h>

#include "policyd/base/utf8.h"
#include "policyd/mail/charset.h"
#include "policyd/mail/parse.h"

enum { NAMES = 1024, NAME_MOST = 40, MANY_BROKEN = 8 };

enum kind {
	KIND_UTF8,                           /* ASCII too: what is more than it says is UTF-8, or a lie */
	KIND_SINGLE,                         /* one byte a character, ASCII is itself */
	KIND_EBCDIC,                         /* one byte a character, ASCII is not */
	KIND_MULTI,                          /* ASCII is itself */
	KIND_SHIFT,                          /* all bytes are ASCII, some mean something else */
	KIND_WIDE,                           /* two or four bytes a character */
};

static struct converter {
	const char *iconv_name, *names;      /* further names, by blanks */
	enum kind kind;
	iconv_t iconv;
	bool tried, open;
	uint16_t table[256];                 /* KIND_SINGLE, KIND_EBCDIC; 0: no character, but for byte 0 */
} converters[] = {
	{ .iconv_name = "UTF-8", .names = "unicode11utf8 utf8mb4 cp65001 unicode20utf8 xunicode20utf8", .kind = KIND_UTF8 },
	{ .iconv_name = "WINDOWS-1252", .names = "cp1252 iso88591 latin1 l1 ansi cp819 ibm819 isoir100 iso885911987", .kind = KIND_SINGLE },
	{ .iconv_name = "ASCII", .names = "usascii ansix341968 iso646us isoir6 us 8bit 7bit binary default", .kind = KIND_UTF8 },
	{ .iconv_name = "ISO-8859-2", .names = "latin2 l2 isoir101 iso885921987", .kind = KIND_SINGLE },
	{ .iconv_name = "ISO-8859-3", .names = "latin3 l3", .kind = KIND_SINGLE },
	{ .iconv_name = "ISO-8859-4", .names = "latin4 l4", .kind = KIND_SINGLE },
	{ .iconv_name = "ISO-8859-5", .names = "cyrillic isoir144", .kind = KIND_SINGLE },
	{ .iconv_name = "ISO-8859-6", .names = "arabic asmo708 iso88596i iso88596e", .kind = KIND_SINGLE },
	{ .iconv_name = "ISO-8859-7", .names = "greek greek8 ecma118 elot928", .kind = KIND_SINGLE },
	{ .iconv_name = "ISO-8859-8", .names = "hebrew iso88598i iso88598e logical visual", .kind = KIND_SINGLE },
	{ .iconv_name = "ISO-8859-10", .names = "latin6 l6", .kind = KIND_SINGLE },
	{ .iconv_name = "ISO-8859-13", .names = "latin7", .kind = KIND_SINGLE },
	{ .iconv_name = "ISO-8859-14", .names = "latin8", .kind = KIND_SINGLE },
	{ .iconv_name = "ISO-8859-15", .names = "latin9 latin0", .kind = KIND_SINGLE },
	{ .iconv_name = "ISO-8859-16", .names = "latin10", .kind = KIND_SINGLE },
	{ .iconv_name = "WINDOWS-1250", .names = "cp1250 xcp1250", .kind = KIND_SINGLE },
	{ .iconv_name = "WINDOWS-1251", .names = "cp1251 xcp1251", .kind = KIND_SINGLE },
	{ .iconv_name = "WINDOWS-1253", .names = "cp1253", .kind = KIND_SINGLE },
	{ .iconv_name = "WINDOWS-1254", .names = "cp1254 iso88599 latin5 l5 turkish", .kind = KIND_SINGLE },
	{ .iconv_name = "WINDOWS-1255", .names = "cp1255", .kind = KIND_MULTI },
	{ .iconv_name = "WINDOWS-1256", .names = "cp1256", .kind = KIND_SINGLE },
	{ .iconv_name = "WINDOWS-1257", .names = "cp1257", .kind = KIND_SINGLE },
	{ .iconv_name = "WINDOWS-1258", .names = "cp1258", .kind = KIND_MULTI },
	{ .iconv_name = "TCVN-5712", .names = "tcvn tcvn5712", .kind = KIND_MULTI },
	{ .iconv_name = "VISCII", .names = "viscii11", .kind = KIND_SINGLE },
	{ .iconv_name = "TIS-620", .names = "windows874 cp874 iso885911 tis620 thai", .kind = KIND_SINGLE },
	{ .iconv_name = "KOI8-R", .names = "koi8 koi cskoi8r", .kind = KIND_SINGLE },
	{ .iconv_name = "KOI8-U", .names = "koi8ru", .kind = KIND_SINGLE },
	{ .iconv_name = "KOI8-T", .names = "", .kind = KIND_SINGLE },
	{ .iconv_name = "IBM866", .names = "cp866 866", .kind = KIND_SINGLE },
	{ .iconv_name = "IBM437", .names = "cp437 437", .kind = KIND_SINGLE },
	{ .iconv_name = "IBM737", .names = "cp737", .kind = KIND_SINGLE },
	{ .iconv_name = "CP775", .names = "ibm775", .kind = KIND_SINGLE },
	{ .iconv_name = "IBM850", .names = "cp850 850", .kind = KIND_SINGLE },
	{ .iconv_name = "IBM852", .names = "cp852 852", .kind = KIND_SINGLE },
	{ .iconv_name = "IBM855", .names = "cp855", .kind = KIND_SINGLE },
	{ .iconv_name = "IBM857", .names = "cp857", .kind = KIND_SINGLE },
	{ .iconv_name = "CP858", .names = "ibm858 ibm00858", .kind = KIND_SINGLE },
	{ .iconv_name = "IBM862", .names = "cp862", .kind = KIND_SINGLE },
	{ .iconv_name = "IBM864", .names = "cp864", .kind = KIND_SINGLE },
	{ .iconv_name = "MACINTOSH", .names = "mac macroman xmacroman", .kind = KIND_SINGLE },
	{ .iconv_name = "MAC-CYRILLIC", .names = "xmaccyrillic maccyrillic xmacukrainian", .kind = KIND_SINGLE },
	{ .iconv_name = "MAC-CENTRALEUROPE", .names = "macce xmacce xmaccentraleurroman", .kind = KIND_SINGLE },
	{ .iconv_name = "ARMSCII-8", .names = "", .kind = KIND_SINGLE },
	{ .iconv_name = "GEORGIAN-PS", .names = "", .kind = KIND_SINGLE },
	{ .iconv_name = "PT154", .names = "ptcp154 cp154", .kind = KIND_SINGLE },
	{ .iconv_name = "HP-ROMAN8", .names = "hproman8 roman8 r8", .kind = KIND_SINGLE },
	{ .iconv_name = "GB18030", .names = "gbk xgbk gb2312 gb231280 chinese csgb2312 euccn xeuccn cp936 ms936 windows936 gb23121980 isoir58 gb180302005 cngb", .kind = KIND_MULTI },
	{ .iconv_name = "BIG5-HKSCS", .names = "big5 big5hkscs cp950 xbig5 csbig5 cnbig5 big5eten ms950", .kind = KIND_MULTI },
	{ .iconv_name = "EUC-TW", .names = "xeuctw cns11643", .kind = KIND_MULTI },
	{ .iconv_name = "CP932", .names = "shiftjis sjis xsjis mskanji windows31j csshiftjis ms932 shiftjisx0213 windows932", .kind = KIND_MULTI },
	{ .iconv_name = "EUC-JP", .names = "xeucjp eucjpms cp51932 ujis cseucpkdfmtjapanese", .kind = KIND_MULTI },
	{ .iconv_name = "UHC", .names = "euckr ksc56011987 ksc56011989 ksc5601 cp949 ms949 windows949 korean cseuckr isoir149 ksx1001", .kind = KIND_MULTI },
	{ .iconv_name = "JOHAB", .names = "cp1361", .kind = KIND_MULTI },
	{ .iconv_name = "ISO-2022-JP-2", .names = "iso2022jp iso2022jp1 csiso2022jp iso2022jpms cp50220 cp50221 cp50222 jis", .kind = KIND_SHIFT },
	{ .iconv_name = "ISO-2022-JP-3", .names = "iso2022jp2004", .kind = KIND_SHIFT },
	{ .iconv_name = "ISO-2022-KR", .names = "csiso2022kr", .kind = KIND_SHIFT },
	{ .iconv_name = "ISO-2022-CN", .names = "iso2022cnext", .kind = KIND_SHIFT },
	{ .iconv_name = "UTF-7", .names = "unicode11utf7 unicode20utf7 xunicode20utf7 csunicode11utf7 utf7imap", .kind = KIND_SHIFT },
	{ .iconv_name = "UTF-16", .names = "ucs2 iso10646ucs2 unicode csunicode", .kind = KIND_WIDE },
	{ .iconv_name = "UTF-16LE", .names = "ucs2le unicodelittle unicodefffe", .kind = KIND_WIDE },
	{ .iconv_name = "UTF-16BE", .names = "ucs2be unicodebig unicodefeff", .kind = KIND_WIDE },
	{ .iconv_name = "UTF-32", .names = "ucs4 iso10646ucs4", .kind = KIND_WIDE },
	{ .iconv_name = "UTF-32LE", .names = "ucs4le", .kind = KIND_WIDE },
	{ .iconv_name = "UTF-32BE", .names = "ucs4be", .kind = KIND_WIDE },
#define EBCDIC(number) { .iconv_name = "IBM" #number, .names = "cp" #number " " #number, .kind = KIND_EBCDIC }
	{ .iconv_name = "IBM037", .names = "cp037 cp37 ibm37 037 ebcdiccpus ebcdiccpca ebcdiccpnl ebcdiccpwt ebcdic ebcdicus csibm037", .kind = KIND_EBCDIC },
	EBCDIC(273), EBCDIC(277), EBCDIC(278), EBCDIC(280), EBCDIC(284), EBCDIC(285), EBCDIC(297), EBCDIC(424), EBCDIC(500), EBCDIC(870),
	EBCDIC(871), EBCDIC(875), EBCDIC(1026), EBCDIC(1047), EBCDIC(1140), EBCDIC(1141), EBCDIC(1142), EBCDIC(1143), EBCDIC(1144),
	EBCDIC(1145), EBCDIC(1146), EBCDIC(1147), EBCDIC(1148), EBCDIC(1149),
#undef EBCDIC
};
enum { CONVERTERS = sizeof converters / sizeof *converters, UTF8 = 0, WINDOWS_1252 = 1 };

static struct { char name[NAME_MOST]; int converter; } names[NAMES];   /* converter + 1; 0: free */

/* Letters and digits only, in lower case; what is too long is no name. */
static struct span
bare_name(struct span name, char out[NAME_MOST])
{
	size_t n = 0;

	for (size_t i = 0; i < name.n && n < NAME_MOST - 1; i++)
		if (ascii_alnum(name.p[i]))
			out[n++] = ascii_lower(name.p[i]);
	out[n] = '\0';
	return span_make(out, n);
}

static size_t
slot_of(struct span name)
{
	size_t at = span_hash(name, 0) % NAMES;

	while (names[at].converter && !span_eq(span_of(names[at].name), name))
		at = (at + 1) % NAMES;
	return at;
}

static void
add_name(struct span name, int converter)
{
	char bare[NAME_MOST];
	struct span n = bare_name(name, bare);
	size_t at = slot_of(n);

	if (n.n == 0 || names[at].converter)
		return;
	memcpy(names[at].name, bare, n.n + 1);
	names[at].converter = converter + 1;
}

static void
names_prepare(void)
{
	if (names[slot_of(SPAN("utf8"))].converter)
		return;
	for (int i = 0; i < CONVERTERS; i++) {
		add_name(span_of(converters[i].iconv_name), i);
		for (struct span rest = span_of(converters[i].names); rest.n > 0;)
			add_name(span_cut(&rest, ' '), i);
	}
}

static void
make_table(struct converter *c)
{
	for (unsigned byte = 0; byte < 256; byte++) {
		char in = (char)byte, out[8], *from = &in, *to = out;
		size_t left = 1, room = sizeof out, length;

		iconv(c->iconv, NULL, NULL, NULL, NULL);
		if (iconv(c->iconv, &from, &left, &to, &room) != (size_t)-1 && to > out)
			c->table[byte] = (uint16_t)utf8_decode(span_make(out, (size_t)(to - out)), &length);
	}
	for (unsigned byte = 0x80; byte < 0xa0; byte++)      /* browsers take the holes for control characters */
		if (c->table[byte] == 0 && c->kind == KIND_SINGLE)
			c->table[byte] = (uint16_t)byte;
	if (c->kind == KIND_EBCDIC)
		c->table[0x15] = c->table[0x25] = '\n';      /* NEL, LF: line ends both */
}

static struct converter *
opened(struct converter *c)
{
	if (!c->tried) {
		c->tried = true;
		c->iconv = iconv_open("UTF-8", c->iconv_name);
		c->open = c->iconv != (iconv_t)-1;
		if (c->open && (c->kind == KIND_SINGLE || c->kind == KIND_EBCDIC))
			make_table(c);
	}
	return c->open ? c : NULL;
}

void
charset_prepare(void)
{
	names_prepare();
	for (size_t i = 0; i < CONVERTERS; i++)
		opened(&converters[i]);
}

static struct converter *
find(struct span charset)
{
	char bare[NAME_MOST];
	struct span name;

	if (charset.n >= NAME_MOST)
		return NULL;
	names_prepare();
	name = bare_name(charset, bare);
	size_t at = slot_of(name);

	if (names[at].converter == 0 && name.n > 2 && (span_starts(name, SPAN("cs")) || name.p[0] == 'x'))
		at = slot_of(span_from(name, name.p[0] == 'x' ? 1 : 2));     /* "x-gbk", "csISOLatin1" */
	return names[at].converter ? opened(&converters[names[at].converter - 1]) : NULL;
}

static struct span
convert_single(struct arena *a, const struct converter *c, struct span in, size_t *broken)
{
	char *out = arena_alloc(a, in.n * 3 + 4);
	size_t n = 0;

	for (size_t i = 0; i < in.n; i++) {
		unsigned char byte = (unsigned char)in.p[i];
		uint32_t code = c->table[byte];

		*broken += code == 0 && byte != 0;
		n += utf8_encode(code == 0 && byte != 0 ? 0xfffd : code, out + n);
	}
	return span_make(out, n);
}

/* Bytes that do not fit become U+FFFD, one each. */
static struct span
convert_iconv(struct arena *a, struct converter *c, struct span in, size_t *broken)
{
	size_t room = in.n * 4 + 16, left = in.n, out_left = room;
	char *out = arena_alloc(a, room), *to = out, *from = (char *)in.p;

	iconv(c->iconv, NULL, NULL, NULL, NULL);
	while (left > 0 && iconv(c->iconv, &from, &left, &to, &out_left) == (size_t)-1) {
		if (errno == E2BIG || out_left < 3)
			break;
		++*broken;
		memcpy(to, "\xef\xbf\xbd", 3);
		to += 3;
		out_left -= 3;
		from++;
		left--;
	}
	iconv(c->iconv, NULL, NULL, &to, &out_left);         /* what a charset with composed letters still holds */
	return span_make(out, (size_t)(to - out));
}

static struct span
convert(struct arena *a, struct converter *c, struct span in, size_t *broken)
{
	*broken = 0;
	if (c->kind == KIND_SINGLE || c->kind == KIND_EBCDIC)
		return convert_single(a, c, in, broken);
	return convert_iconv(a, c, in, broken);
}

/* By a name of our own choice; as it is when that cannot be. */
static struct span
convert_as(struct arena *a, const char *name, struct span in)
{
	struct converter *c = find(span_of(name));
	size_t broken;
	struct span out = c ? convert(a, c, in, &broken) : in;

	return utf8_valid(out) ? out : convert(a, opened(&converters[WINDOWS_1252]), in, &broken);
}

/* A text in letters of printable ASCII with line ends, that claims to be EBCDIC. */
static bool
is_plain_ascii(struct span in)
{
	size_t printable = 0;

	if (ascii_length(in) < in.n)
		return false;
	for (size_t i = 0; i < in.n; i++)
		printable += (in.p[i] >= ' ' && in.p[i] < 0x7f) || ascii_space(in.p[i]);
	return printable * 20 >= in.n * 19;
}

static struct span
without_bom(struct span in)
{
	return span_starts(in, SPAN("\xef\xbb\xbf")) ? span_from(in, 3) : in;
}

/* Of no charset that we know, or of one whose bytes it has not. */
static struct span
by_content(struct arena *a, struct span in)
{
	return utf8_valid(in) && !charset_has_escapes(in) ? without_bom(in) : convert_as(a, charset_guess(in), in);
}

struct span
charset_to_utf8(struct arena *a, struct span in, struct span charset, bool *unknown, bool *wrong)
{
	struct converter *c;
	const char *wide = charset_wide(in);
	size_t broken;

	*unknown = *wrong = false;
	charset = span_trim(charset);
	c = charset.n > 0 ? find(charset) : NULL;
	*unknown = charset.n > 0 && c == NULL;
	if (wide) {                                  /* a mark, or every second byte 0: no text of another kind has that */
		*wrong = c != NULL && c->kind != KIND_WIDE;
		return convert_as(a, wide, in);
	}
	if (c == NULL || c->kind == KIND_UTF8) {
		struct span out = by_content(a, in);

		*wrong = c != NULL && out.p != in.p && !span_starts(in, SPAN("\xef\xbb\xbf"));
		return out;
	}
	if ((c->kind == KIND_SINGLE || c->kind == KIND_MULTI) && ascii_length(in) == in.n)
		return charset_has_escapes(in) ? by_content(a, in) : in;
	if ((c->kind == KIND_EBCDIC && is_plain_ascii(in)) || ((c->kind == KIND_SINGLE || c->kind == KIND_MULTI) && charset_is_utf8(in))) {
		*wrong = true;
		return without_bom(in);
	}
	struct span out = convert(a, c, in, &broken);

	*wrong = broken > 0;
	return broken * MANY_BROKEN > in.n && c->kind != KIND_SINGLE && c->kind != KIND_WIDE ? by_content(a, in) : out;
}
