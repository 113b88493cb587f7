/* filename.c - what a file's name promises, as the system that opens it would read it. */
#include "policyd/base/utf8.h"
#include "policyd/mail/look.h"

enum { NAME_MOST = 4096, EXTENSION_MOST = 12 };

static const char runs[] = "exe scr com pif bat cmd vbs vbe js jse wsf wsh wsc hta lnk ps1 msi msp cpl jar reg chm dll iso img vhd vhdx "
    "scf url xll application appref-ms gadget inf msc sct settingcontent-ms search-ms library-ms ade adp";
static const char documents[] = "pdf doc docx xls xlsx ppt pptx txt jpg jpeg png gif html htm csv rtf zip mp3 mp4 wav avi tif eml xml odt";

static bool
in_list(struct span word, const char *list)
{
	struct span rest = span_of(list);

	while (word.n > 0 && rest.n > 0)
		if (span_eq_nocase(span_cut(&rest, ' '), word))
			return true;
	return false;
}

/* One character as file systems and eyes take it: full-width letters and dots are letters and dots, and what has no
 * width is not there (0). */
static uint32_t
fold(uint32_t c)
{
	if (c >= 0xff01 && c <= 0xff5e)
		return c - 0xff01 + '!';
	if (c == 0x2024 || c == 0x3002 || c == 0xff61)
		return '.';
	if (c == 0xad || (c >= 0x200b && c <= 0x200f) || (c >= 0x202a && c <= 0x202e) || (c >= 0x2060 && c <= 0x2069) || c == 0xfeff)
		return 0;
	return c == 0xa0 || (c >= 0x2000 && c <= 0x200a) || c == 0x3000 ? ' ' : c;
}

/* The last NAME_MOST bytes of the name, folded, without the folders before it, without the stream behind it ("::$DATA"),
 * without the dots and blanks at its end that Windows drops. */
static struct span
base_name(struct arena *a, struct span name)
{
	if (name.n > NAME_MOST)
		name = span_from(name, name.n - NAME_MOST);
	char *out = arena_alloc(a, name.n + 1);
	size_t n = 0;

	for (size_t i = 0, used; i < name.n; i += used ? used : 1) {
		uint32_t c = fold(utf8_decode(span_from(name, i), &used));

		if (used == 0 || c == 0)
			continue;
		n += utf8_encode(c, out + n);            /* never longer than what was read */
	}
	struct span s = span_make(out, n);

	for (size_t at = s.n; at > 0; at--)
		if (s.p[at - 1] == '/' || s.p[at - 1] == '\\') {
			s = span_from(s, at);
			break;
		}
	size_t colon = span_find_char(s, ':');

	if (colon != SPAN_NONE && colon > 1)
		s.n = colon;
	while (s.n > 0 && (s.p[s.n - 1] == '.' || ascii_space(s.p[s.n - 1])))
		s.n--;
	return s;
}

static struct span
last_extension(struct span base)
{
	size_t dot = span_find_last(base, '.');

	return dot == SPAN_NONE || base.n - dot - 1 > EXTENSION_MOST ? SPAN("") : span_from(base, dot + 1);
}

struct span
file_extension(struct arena *a, struct span name)
{
	struct span s = last_extension(base_name(a, name));
	char *lower = arena_alloc(a, s.n + 1);

	for (size_t i = 0; i < s.n; i++)
		lower[i] = ascii_lower(s.p[i]);
	return span_make(lower, s.n);
}

static bool
has_fullwidth_letter(struct span name)
{
	for (size_t i = 0, used; i < name.n; i += used ? used : 1) {
		uint32_t c = utf8_decode(span_from(name, i), &used);

		if (used > 0 && c >= 0xff01 && c <= 0xff5e && ascii_alnum((char)(c - 0xff01 + '!')))
			return true;
	}
	return false;
}

/* "invoice.pdf      .exe"; names turned around by U+202E; letters that only look like an extension. */
void
name_read(const struct look *l)
{
	struct arena *a = l->t->a;
	struct span base = base_name(a, l->name), last = last_extension(base);

	if (l->name.n == 0)
		return;
	if (in_list(last, runs)) {
		struct span stem = span_trim(span_head(base, base.n - last.n - 1));

		if (in_list(last_extension(stem), documents))
			look_note(l, NOTE_DOUBLE_EXT);
		size_t dot = span_find_last(l->name, '.');

		if (has_fullwidth_letter(dot == SPAN_NONE ? l->name : span_from(l->name, dot)))
			look_note(l, NOTE_CONFUSABLE_FILE);
	}
	static const char *const turns[] = { "\xe2\x80\xae", "\xe2\x80\xad", "\xe2\x80\xab", "\xe2\x81\xa7", "\xe2\x81\xa6" };

	for (size_t i = 0; i < sizeof turns / sizeof *turns; i++)
		if (span_find(l->name, span_of(turns[i])) != SPAN_NONE)
			look_note(l, NOTE_BIDI_NAME);
}
