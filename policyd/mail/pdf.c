/* pdf.c - what a PDF does by itself, where it leads, what is packed into it.
 *
 * No object model: names and strings are looked for wherever they stand, in the file and in its compressed object streams
 * (annotations live there since PDF 1.5). Names may spell letters as "#4a". Source: ISO 32000-1, 7.3, 7.5.7, 12.6. */
#include <zlib.h>

#include "policyd/base/limits.h"
#include "policyd/mail/look.h"

enum { DICTIONARY = 1024, STREAM_BYTES = 4 * 1024 * 1024, MAX_STREAMS = 4000, NAME = 24, ALL_WORDS = 64 * 1024 * 1024 };

static int
hex(char c)
{
	return c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

/* The name behind a '/', "#xx" decoded, cut to NAME. `*used`: its bytes as written. */
static struct span
pdf_name(struct span s, char out[NAME], size_t *used)
{
	size_t n = 0, i = 0;

	while (i < s.n && !ascii_space(s.p[i]) && s.p[i] != '\0' && strchr("()<>[]{}/%", s.p[i]) == NULL) {
		char c = s.p[i++];

		if (c == '#' && i + 1 < s.n && hex(s.p[i]) >= 0 && hex(s.p[i + 1]) >= 0) {
			c = (char)(hex(s.p[i]) << 4 | hex(s.p[i + 1]));
			i += 2;
		}
		if (n < NAME)
			out[n++] = c;
		else if (i > 200)
			break;
	}
	*used = i;
	return span_make(out, n);
}

/* A string object: (text with \escapes) or <hex>; at most MAX_LINK bytes of it. */
static struct span
pdf_string(struct arena *a, struct span s)
{
	while (s.n > 0 && ascii_space(s.p[0]))
		s = span_from(s, 1);
	if (s.n == 0 || (s.p[0] != '(' && s.p[0] != '<'))
		return SPAN("");
	char *out = arena_alloc(a, MAX_LINK);
	size_t n = 0;
	bool is_hex = s.p[0] == '<';
	int depth = 1, high = -1;

	for (size_t i = 1; i < s.n && n < MAX_LINK; i++) {
		char c = s.p[i];

		if (is_hex) {
			if (c == '>')
				break;
			if (hex(c) >= 0 && high < 0)
				high = hex(c);
			else if (hex(c) >= 0) {
				out[n++] = (char)(high << 4 | hex(c));
				high = -1;
			}
			continue;
		}
		if (c == '\\' && i + 1 < s.n) {
			c = s.p[++i];
			if (c >= '0' && c <= '7') {
				int value = 0, digits = 0;

				for (; digits < 3 && i < s.n && s.p[i] >= '0' && s.p[i] <= '7'; digits++, i++)
					value = value * 8 + s.p[i] - '0';
				i--;
				c = (char)value;
			} else if (c == '\n' || c == '\r') {
				continue;
			}
		} else if (c == '(') {
			depth++;
		} else if (c == ')' && --depth == 0) {
			break;
		}
		if (c != '\0')               /* UTF-16 strings: links are ASCII all the same */
			out[n++] = c;
	}
	return span_make(out, n);
}

static void
read_words(const struct look *l, struct span s)
{
	static const struct { const char *name; enum mail_note note; } names[] = {
		{ "JavaScript", NOTE_PDF_SCRIPT }, { "JS", NOTE_PDF_SCRIPT }, { "Launch", NOTE_PDF_LAUNCH }, { "OpenAction", NOTE_PDF_ACTION },
		{ "AA", NOTE_PDF_ACTION }, { "EmbeddedFile", NOTE_PDF_EMBEDDED }, { "EmbeddedFiles", NOTE_PDF_EMBEDDED },
		{ "RichMedia", NOTE_PDF_EMBEDDED }, { "XFA", NOTE_PDF_ACTION }, { "Encrypt", NOTE_ENCRYPTED_DOCUMENT },
	};
	char text[NAME];

	for (size_t at = 0, hit, used; (hit = span_find_char(span_from(s, at), '/')) != SPAN_NONE; at += hit + 1 + used) {
		struct span rest = span_from(s, at + hit + 1), name = pdf_name(rest, text, &used);

		for (size_t i = 0; i < sizeof names / sizeof *names; i++)
			if (span_eq(name, span_of(names[i].name)))
				look_note(l, names[i].note);
		if (span_eq(name, SPAN("URI")) || span_eq(name, SPAN("F"))) {
			struct span target = pdf_string(l->t->a, span_from(rest, used));

			if (target.n > 0 && (span_eq(name, SPAN("URI")) || span_find(target, SPAN("://")) != SPAN_NONE))
				look_link(l, target, LINK_PDF);
		}
	}
}

/* Does the dictionary before a stream hold that name, however it is spelt? */
static bool
has_name(struct span dictionary, const char *wanted)
{
	char text[NAME];

	for (size_t at = 0, hit, used; (hit = span_find_char(span_from(dictionary, at), '/')) != SPAN_NONE; at += hit + 1 + used)
		if (span_eq(pdf_name(span_from(dictionary, at + hit + 1), text, &used), span_of(wanted)))
			return true;
	return false;
}

/* zlib data at the start of `s`, as far as it goes, at most STREAM_BYTES. */
static struct span
inflate_some(const struct look *l, struct span s)
{
	z_stream z = { .next_in = (Bytef *)(uintptr_t)s.p, .avail_in = (uInt)(s.n < UINT32_MAX ? s.n : UINT32_MAX) };
	size_t room = s.n < STREAM_BYTES / 16 ? s.n * 16 + 4096 : STREAM_BYTES;
	char *out;

	if (!look_afford(l, room) || inflateInit(&z) != Z_OK)
		return SPAN("");
	out = arena_alloc(l->t->a, room);
	z.next_out = (Bytef *)out;
	z.avail_out = (uInt)room;
	inflate(&z, Z_SYNC_FLUSH);
	inflateEnd(&z);
	return span_make(out, room - z.avail_out);
}

static struct span
dictionary_before(struct span s, size_t at)
{
	struct span before = span_head(s, at);
	size_t object;

	before = span_from(before, before.n > DICTIONARY ? before.n - DICTIONARY : 0);
	while ((object = span_find(before, SPAN("endobj"))) != SPAN_NONE)     /* the last object's is ours */
		before = span_from(before, object + 6);
	return before;
}

void
pdf_read(const struct look *l)
{
	struct span s = span_head(l->data, ALL_WORDS);
	size_t at = 0, hit;
	int files = 0;

	read_words(l, s);
	for (int i = 0; (hit = span_find(span_from(s, at), SPAN("stream"))) != SPAN_NONE; i++) {
		size_t start = at + hit + 6;

		if (i == MAX_STREAMS) {
			note_add(l->t->a, l->t->msg, NOTE_LIMIT, SPAN("streams of a PDF"));
			return;
		}
		while (start < s.n && (s.p[start] == '\r' || s.p[start] == '\n'))
			start++;
		struct span dictionary = dictionary_before(s, at + hit), body = span_from(s, start);
		size_t end = span_find(body, SPAN("endstream"));
		bool objects = has_name(dictionary, "ObjStm"), file = has_name(dictionary, "EmbeddedFile");

		body = span_head(body, end == SPAN_NONE ? body.n : end);
		at = start + body.n + (end == SPAN_NONE ? 0 : 9);
		if (!objects && !file)
			continue;
		if (has_name(dictionary, "FlateDecode") || has_name(dictionary, "Fl"))
			body = inflate_some(l, body);
		if (objects)
			read_words(l, body);
		struct archive_member *m = file && body.n > 0 && files++ < 64 ? look_member(l, SPAN(""), body.n) : NULL;

		if (m)
			look_member_data(l, m, body);
	}
}
