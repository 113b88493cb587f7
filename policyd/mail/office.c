/* office.c - documents that can do more than be read: macros, templates from elsewhere, embedded files.
 *
 * Source: [MS-CFB] compound files, [MS-XLS] 2.4.28 BoundSheet8, ECMA-376 part 2 relationships, RTF 1.9.1, [MS-ONESTORE] 2.6.13 */
#include "policyd/base/limits.h"
#include "policyd/mail/look.h"

enum { LOOK_BYTES = 2 * 1024 * 1024, MAX_SECTORS = 1 << 20, MAX_ENTRIES = 4096, ENTRY = 128, BOOK_BYTES = 1024 * 1024,
    MAX_RELATIONS = 500, MAX_FILES = 64 };

/* ---- compound files: a FAT file system in a file ---- */

struct ole {
	struct span s;
	size_t sector;                       /* 512 or 4096 */
	uint32_t directory;
};

static size_t
sector_at(const struct ole *o, uint32_t n)
{
	return ((size_t)n + 1) * o->sector;
}

/* The sector after `n` in its chain; the FAT's own sectors are listed in the header, the rest in a chain of lists. */
static uint32_t
sector_next(const struct ole *o, uint32_t n)
{
	size_t per = o->sector / 4, fat = n / per;
	uint32_t at;

	if (fat < 109) {
		at = little(o->s, 76 + 4 * fat, 4);
	} else {
		uint32_t list = little(o->s, 68, 4);

		for (fat -= 109; fat >= per - 1 && list < MAX_SECTORS; fat -= per - 1)
			list = little(o->s, sector_at(o, list) + o->sector - 4, 4);
		at = list < MAX_SECTORS ? little(o->s, sector_at(o, list) + 4 * fat, 4) : UINT32_MAX;
	}
	return at < MAX_SECTORS ? little(o->s, sector_at(o, at) + 4 * (n % per), 4) : UINT32_MAX;
}

/* A stream of whole sectors: at most `most` bytes of it. */
static struct span
read_chain(const struct ole *o, struct arena *a, uint32_t n, size_t most)
{
	most = most < o->s.n ? most : o->s.n;
	char *out = arena_alloc(a, most + o->sector);
	size_t got = 0;

	for (; n < MAX_SECTORS && got < most && sector_at(o, n) < o->s.n; n = sector_next(o, n)) {
		struct span part = span_head(span_from(o->s, sector_at(o, n)), o->sector);

		memcpy(out + got, part.p, part.n);
		got += part.n;
	}
	return span_make(out, got < most ? got : most);
}

/* Names are UTF-16; those we know are ASCII. */
static struct span
entry_name(struct span entry, char out[33])
{
	size_t n = little(entry, 64, 2) / 2, k = 0;

	for (size_t i = 0; i + 1 < n && i < 32; i++)
		out[k++] = entry.p[2 * i + 1] == 0 ? entry.p[2 * i] : '?';
	return span_make(out, k);
}

/* Excel 4 macros live in sheets of their own kind: BoundSheet8 records, type 1. */
static void
read_book(const struct look *l, const struct ole *o, struct span entry)
{
	size_t size = little(entry, 120, 4);

	if (size < 4096)
		return;                      /* in the mini stream: no workbook is that small */
	struct span s = read_chain(o, l->t->a, little(entry, 116, 4), size < BOOK_BYTES ? size : BOOK_BYTES);

	for (size_t at = 0; at + 4 <= s.n; at += 4 + little(s, at + 2, 2))
		if (little(s, at, 2) == 0x85 && little(s, at + 2, 2) >= 8 && little(s, at + 4 + 5, 1) == 1) {
			look_note(l, NOTE_XLM);
			return;
		}
}

void
ole_read(const struct look *l)
{
	static const struct { const char *name; enum mail_note note; } names[] = {
		{ "_VBA_PROJECT", NOTE_MACRO }, { "_VBA_PROJECT_CUR", NOTE_MACRO }, { "VBA", NOTE_MACRO }, { "Macros", NOTE_MACRO },
		{ "\1Ole10Native", NOTE_OLE_OBJECT }, { "ObjectPool", NOTE_OLE_OBJECT }, { "Package", NOTE_OLE_OBJECT },
		{ "EncryptedPackage", NOTE_ENCRYPTED_DOCUMENT },
	};
	struct ole o = { l->data, little(l->data, 30, 2) == 12 ? 4096 : 512, little(l->data, 48, 4) };
	struct span entries = read_chain(&o, l->t->a, o.directory, MAX_ENTRIES * ENTRY);
	char text[33];

	for (; entries.n >= ENTRY; entries = span_from(entries, ENTRY)) {
		struct span entry = span_head(entries, ENTRY), name = entry_name(entry, text);

		for (size_t i = 0; i < sizeof names / sizeof *names; i++)
			if (span_eq(name, span_of(names[i].name)))
				look_note(l, names[i].note);
		if (span_eq(name, SPAN("Workbook")) || span_eq(name, SPAN("Book")))
			read_book(l, &o, entry);
	}
	/* A directory in pieces, or one that lies: what a macro needs stands in the file all the same. */
	struct span head = span_head(l->data, LOOK_BYTES);

	if (span_find(head, SPAN("_\0V\0B\0A\0_\0P\0R\0O\0J\0E\0C\0T\0")) != SPAN_NONE || span_find(head, SPAN("Attribut\0e VB_")) != SPAN_NONE)
		look_note(l, NOTE_MACRO);
	if (span_find(head, SPAN("E\0n\0c\0r\0y\0p\0t\0e\0d\0P\0a\0c\0k\0a\0g\0e\0")) != SPAN_NONE)
		look_note(l, NOTE_ENCRYPTED_DOCUMENT);
}

/* ---- office documents that are zips ---- */

/* The value of an XML attribute in one tag; entities but for &amp; are left alone. */
static struct span
attribute(struct arena *a, struct span tag, const char *name)
{
	size_t at = span_find_nocase(tag, span_of(name));

	if (at == SPAN_NONE)
		return SPAN("");
	struct span rest = span_from(tag, at + strlen(name));

	while (rest.n > 0 && (ascii_space(rest.p[0]) || rest.p[0] == '='))
		rest = span_from(rest, 1);
	if (rest.n < 2 || (rest.p[0] != '"' && rest.p[0] != '\''))
		return SPAN("");
	size_t end = span_find_char(span_from(rest, 1), rest.p[0]);
	struct span value = span_head(span_from(rest, 1), end == SPAN_NONE ? 0 : end);
	char *out = arena_alloc(a, value.n + 1);
	size_t n = 0;

	for (size_t i = 0; i < value.n; i++) {
		out[n++] = value.p[i];
		if (span_starts(span_from(value, i), SPAN("&amp;")))
			i += 4;
	}
	return span_make(out, n);
}

/* A hyperlink leads where the reader clicks; any other external relation is fetched when the document is opened. */
static void
read_relations(const struct look *l)
{
	struct span rest = span_head(l->data, LOOK_BYTES);

	for (int i = 0; i < MAX_RELATIONS; i++) {
		size_t at = span_find_nocase(rest, SPAN("<Relationship ")), end;

		if (at == SPAN_NONE)
			return;
		rest = span_from(rest, at);
		end = span_find_char(rest, '>');
		struct span tag = span_head(rest, end == SPAN_NONE ? rest.n : end);
		struct arena *a = l->t->a;

		rest = span_from(rest, tag.n);
		if (!span_eq_nocase(attribute(a, tag, "TargetMode"), SPAN("External")))
			continue;
		struct span type = attribute(a, tag, " Type"), target = attribute(a, tag, "Target=");

		look_link(l, target, LINK_DOCUMENT);
		if (!span_ends_nocase(type, SPAN("/hyperlink")) && !span_ends_nocase(type, SPAN("/image")) &&
		    (span_find(target, SPAN("://")) != SPAN_NONE || span_starts(target, SPAN("\\\\")) || span_starts_nocase(target, SPAN("mhtml:"))))
			note_add(a, l->t->msg, NOTE_DOC_EXTERNAL, target);
	}
}

void
office_member_read(const struct look *l)
{
	struct span name = l->name;

	if (span_ends_nocase(name, SPAN("vbaProject.bin")))
		look_note(l, NOTE_MACRO);
	else if (span_find_nocase(name, SPAN("xl/macrosheets/")) != SPAN_NONE && span_ends_nocase(name, SPAN(".xml")))
		look_note(l, NOTE_XLM);
	else if (span_find_nocase(name, SPAN("/embeddings/")) != SPAN_NONE || span_find_nocase(name, SPAN("/activeX/")) != SPAN_NONE)
		look_note(l, NOTE_OLE_OBJECT);
	if (span_ends_nocase(name, SPAN(".rels")))
		read_relations(l);
	if (span_ends_nocase(name, SPAN("word/document.xml")) || span_find_nocase(name, SPAN("xl/externalLinks/")) != SPAN_NONE) {
		struct span text = span_head(l->data, LOOK_BYTES);

		if (span_find(text, SPAN("DDEAUTO")) != SPAN_NONE || span_find(text, SPAN("<ddeLink ")) != SPAN_NONE)
			note_add(l->t->a, l->t->msg, NOTE_DOC_EXTERNAL, SPAN("DDE"));
	}
}

/* ---- RTF; MHTML that is called a document; ActiveMime, which holds macros ---- */

void
office_text_read(const struct look *l)
{
	struct span head = span_head(l->data, LOOK_BYTES), start = span_trim(span_head(head, 64));

	if (span_starts(start, SPAN("{\\rt"))) {
		if (span_find(head, SPAN("\\objdata")) != SPAN_NONE || span_find(head, SPAN("\\objupdate")) != SPAN_NONE ||
		    span_find(head, SPAN("\\objocx")) != SPAN_NONE || span_find(head, SPAN("\\objemb")) != SPAN_NONE ||
		    span_find(head, SPAN("\\objautlink")) != SPAN_NONE)
			look_note(l, NOTE_RTF_OBJECT);
		size_t template = span_find(head, SPAN("{\\*\\template"));

		if (template != SPAN_NONE && span_find(span_head(span_from(head, template), 600), SPAN("://")) != SPAN_NONE)
			note_add(l->t->a, l->t->msg, NOTE_DOC_EXTERNAL, span_head(span_from(head, template), 120));
		return;
	}
	if (span_find(head, SPAN("QWN0aXZlTWlt")) != SPAN_NONE)      /* "ActiveMim" in base64 */
		look_note(l, NOTE_MACRO);
}

/* ---- OneNote: a file behind a GUID and its length ---- */

void
onenote_read(const struct look *l)
{
	static const char guid[] = "\xe7\x16\xe3\xbd\x65\x26\x11\x45\xa4\xc4\x8d\x4d\x0b\x7a\x9e\xac";
	struct span rest = l->data;
	size_t at;

	look_note(l, NOTE_ONENOTE);
	for (int i = 0; i < MAX_FILES && (at = span_find(rest, span_make(guid, 16))) != SPAN_NONE; i++) {
		struct span file = span_head(span_from(rest, at + 36), little(rest, at + 16, 4));
		struct archive_member *m = file.n > 0 ? look_member(l, SPAN(""), file.n) : NULL;

		if (m && look_afford(l, file.n))
			look_member_data(l, m, file);
		rest = span_from(rest, at + 16);
	}
}
