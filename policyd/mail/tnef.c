/* tnef.c - winmail.dat: what Outlook wraps attachments in.
 *
 *   u32 0x223e9f78 | u16 key | attributes:  u8 level | u32 id | u32 length | bytes | u16 checksum
 *
 * A file is an attAttachRendData, then its title (a short name), its data, and MAPI properties with the long name.
 * Source: [MS-OXTNEF]. */
#include "policyd/base/limits.h"
#include "policyd/mail/look.h"

enum { ATT_TITLE = 0x00018010, ATT_DATA = 0x0006800f, ATT_REND = 0x00069002, ATT_PROPS = 0x00069005, LONG_NAME = 0x3707,
    MAX_FILES = 200, MAX_PROPS = 256, NAME_MOST = 1000 };

struct tnef_file {
	struct span name, data;
};

/* UTF-16 (type 0x1f) or bytes of some code page (0x1e), to UTF-8, up to the NUL. */
static struct span
text_of(struct arena *a, struct span value, bool wide)
{
	bool unknown, wrong;
	struct span s = charset_to_utf8(a, span_head(value, NAME_MOST), wide ? SPAN("utf-16le") : SPAN("windows-1252"), &unknown, &wrong);
	size_t nul = span_find_char(s, '\0');

	return nul == SPAN_NONE ? s : span_head(s, nul);
}

/* Bytes of one value of a MAPI type of fixed size; 0: it brings its own length. */
static size_t
fixed_size(uint32_t type)
{
	switch (type) {
	case 0x0002: case 0x000b: case 0x0003: case 0x0004: case 0x000a: case 0x0001: return 4;
	case 0x0005: case 0x0006: case 0x0007: case 0x0014: case 0x0040: return 8;
	case 0x0048: return 16;
	default: return 0;
	}
}

/* The named properties' names stand before their value. */
static size_t
skip_named(struct span s, size_t at)
{
	if (little(s, at + 16, 4) == 0)
		return at + 24;
	return at + 24 + (((size_t)little(s, at + 20, 4) + 3) & ~(size_t)3);
}

static struct span
long_name(struct arena *a, struct span s)
{
	size_t at = 4;
	uint32_t count = little(s, 0, 4);

	for (uint32_t i = 0; i < count && i < MAX_PROPS && at + 8 <= s.n; i++) {
		uint32_t type = little(s, at, 2), id = little(s, at + 2, 2), values = 1;

		at += 4;
		if (id >= 0x8000)
			at = skip_named(s, at);
		size_t fixed = fixed_size(type & 0xfff);

		if (fixed == 0 || (type & 0x1000)) {
			values = little(s, at, 4);
			at += 4;
		}
		for (uint32_t v = 0; v < values && v < MAX_PROPS && at < s.n; v++) {
			size_t length = fixed;

			if (fixed == 0) {
				length = little(s, at, 4);
				at += 4;
			}
			if (id == LONG_NAME && length <= s.n && at < s.n)
				return text_of(a, span_head(span_from(s, at), length), (type & 0xfff) == 0x1f);
			if (length > s.n)
				return SPAN("");
			at += (length + 3) & ~(size_t)3;
		}
	}
	return SPAN("");
}

static void
file_end(const struct look *l, struct tnef_file *file)
{
	if (file->name.n > 0 || file->data.n > 0) {
		struct archive_member *m = look_member(l, file->name, file->data.n);

		if (m && file->data.n > 0 && look_afford(l, file->data.n)) {
			look_keep(l, m->name, file->data);
			look_member_data(l, m, file->data);
		}
	}
	*file = (struct tnef_file){ SPAN(""), SPAN("") };
}

void
tnef_read(const struct look *l)
{
	struct span s = l->data;
	struct tnef_file file = { SPAN(""), SPAN("") };
	int files = 0;

	for (size_t at = 6; at + 9 < s.n;) {
		uint32_t id = little(s, at + 1, 4);
		size_t length = little(s, at + 5, 4);
		struct span value = span_head(span_from(s, at + 9), length);

		if (id == ATT_REND || (id == ATT_DATA && file.data.n > 0)) {
			file_end(l, &file);
			if (++files > MAX_FILES) {
				note_add(l->t->a, l->t->msg, NOTE_LIMIT, SPAN("files in TNEF"));
				return;
			}
		}
		if (id == ATT_TITLE)
			file.name = text_of(l->t->a, value, false);
		else if (id == ATT_DATA)
			file.data = value;
		else if (id == ATT_PROPS) {
			struct span name = long_name(l->t->a, value);

			file.name = name.n > 0 ? name : file.name;
		}
		if (value.n < length) {
			look_note(l, NOTE_ARCHIVE_BROKEN);
			break;
		}
		at += 9 + length + 2;
	}
	file_end(l, &file);
}
