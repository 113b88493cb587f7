/* attachment.c - what a part really is, and what it may do: by its first bytes, its name, and its table of contents. */
#include <archive.h>
#include <archive_entry.h>
#include <stdlib.h>

#include "policyd/base/limits.h"
#include "policyd/mail/parse.h"

enum { RATIO_BOMB = 200, BOMB_BYTES = 100 * 1024 * 1024, MACRO_SEARCH = 2 * 1024 * 1024 };

static const struct { const char *magic; size_t n, at; const char *type; } magics[] = {
	{ "MZ", 2, 0, "application/x-dosexec" }, { "\x7f" "ELF", 4, 0, "application/x-elf" },
	{ "PK\3\4", 4, 0, "application/zip" }, { "PK\5\6", 4, 0, "application/zip" },
	{ "Rar!\x1a\7", 6, 0, "application/x-rar" }, { "7z\xbc\xaf\x27\x1c", 6, 0, "application/x-7z-compressed" },
	{ "\x1f\x8b", 2, 0, "application/gzip" }, { "BZh", 3, 0, "application/x-bzip2" }, { "\xfd" "7zXZ", 5, 0, "application/x-xz" },
	{ "\x28\xb5\x2f\xfd", 4, 0, "application/zstd" }, { "MSCF", 4, 0, "application/vnd.ms-cab-compressed" },
	{ "ustar", 5, 257, "application/x-tar" }, { "CD001", 5, 32769, "application/x-iso9660-image" },
	{ "%PDF-", 5, 0, "application/pdf" }, { "\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", 8, 0, "application/x-ole-storage" },
	{ "{\\rt", 4, 0, "text/rtf" }, { "\x89PNG\r\n", 6, 0, "image/png" }, { "GIF8", 4, 0, "image/gif" },
	{ "\xff\xd8\xff", 3, 0, "image/jpeg" }, { "BM", 2, 0, "image/bmp" }, { "II*\0", 4, 0, "image/tiff" },
	{ "\x4c\0\0\0\x01\x14\x02\0", 8, 0, "application/x-ms-shortcut" },
	{ "\xe4\x52\x5c\x7b\x8c\xd8\xa7\x4d", 8, 0, "application/onenote" }, { "\x78\x9f\x3e\x22", 4, 0, "application/ms-tnef" },
	{ "ITSF", 4, 0, "application/vnd.ms-htmlhelp" }, { "\xca\xfe\xba\xbe", 4, 0, "application/java-vm" },
	{ "#!", 2, 0, "text/x-script" }, { "OggS", 4, 0, "audio/ogg" }, { "ID3", 3, 0, "audio/mpeg" },
};

struct span
attachment_type(struct span data)
{
	for (size_t i = 0; i < sizeof magics / sizeof *magics; i++)
		if (data.n >= magics[i].at + magics[i].n && memcmp(data.p + magics[i].at, magics[i].magic, magics[i].n) == 0)
			return span_of(magics[i].type);
	return SPAN("");
}

static struct span
extension(struct span name)
{
	size_t dot = span_find_last(name, '.');

	return dot == SPAN_NONE || name.n - dot > 10 ? SPAN("") : span_from(name, dot + 1);
}

static bool
in_list(struct span word, const char *list)
{
	struct span rest = span_of(list);

	while (word.n > 0 && rest.n > 0)
		if (span_eq_nocase(span_cut(&rest, ' '), word))
			return true;
	return false;
}

static const char runs[] = "exe scr com pif bat cmd vbs vbe js jse wsf wsh hta lnk ps1 msi cpl jar reg chm dll iso img vhd";
static const char documents[] = "pdf doc docx xls xlsx ppt pptx txt jpg jpeg png gif html htm csv rtf zip mp3 mp4";

/* "invoice.pdf.exe", and names turned around by U+202E. */
static void
read_name(struct arena *a, struct message *msg, struct span name)
{
	struct span last = extension(name), stem = span_head(name, name.n - last.n - (last.n ? 1 : 0));

	if (in_list(last, runs) && in_list(extension(span_trim(stem)), documents))
		note_add(a, msg, NOTE_DOUBLE_EXT, name);
	if (span_find(name, SPAN("\xe2\x80\xae")) != SPAN_NONE || span_find(name, SPAN("\xe2\x80\xad")) != SPAN_NONE)
		note_add(a, msg, NOTE_BIDI_NAME, name);
}

static void
read_members(struct arena *a, struct message *msg, int part, struct archive *ar, uint64_t *unpacked)
{
	struct archive_entry *e;
	int result;

	while ((result = archive_read_next_header(ar, &e)) == ARCHIVE_OK || result == ARCHIVE_WARN) {
		const char *name = archive_entry_pathname(e);
		struct archive_member *m;

		if (msg->entry_count >= MAX_ARCHIVE_ENTRIES) {
			note_add(a, msg, NOTE_LIMIT, SPAN("archive entries"));
			return;
		}
		if (msg->entries == NULL)
			msg->entries = ARENA_ARRAY(a, struct archive_member, MAX_ARCHIVE_ENTRIES);
		m = &msg->entries[msg->entry_count++];
		*m = (struct archive_member){ .name = arena_copy(a, span_of(name ? name : "")), .part = part,
		    .size = archive_entry_size(e) > 0 ? (uint64_t)archive_entry_size(e) : 0,
		    .encrypted = archive_entry_is_encrypted(e) > 0 };
		*unpacked += m->size;
		if (m->encrypted)
			note_add(a, msg, NOTE_ENCRYPTED_ARCHIVE, m->name);
		if (span_ends_nocase(m->name, SPAN("vbaProject.bin")))
			note_add(a, msg, NOTE_MACRO, m->name);
		read_name(a, msg, m->name);
	}
	if (result != ARCHIVE_EOF)
		note_add(a, msg, NOTE_ARCHIVE_BROKEN, msg->parts[part].file_name);
}

/* The table of contents; nothing is unpacked. */
static void
list_archive(struct arena *a, struct message *msg, int part, struct span data)
{
	struct archive *ar = archive_read_new();
	uint64_t unpacked = 0;

	if (ar == NULL)
		return;
	archive_read_support_filter_all(ar);
	archive_read_support_format_zip(ar);
	archive_read_support_format_rar(ar);
	archive_read_support_format_rar5(ar);
	archive_read_support_format_7zip(ar);
	archive_read_support_format_tar(ar);
	archive_read_support_format_cab(ar);
	archive_read_support_format_iso9660(ar);
	if (archive_read_open_memory(ar, data.p, data.n) == ARCHIVE_OK)
		read_members(a, msg, part, ar, &unpacked);
	else
		note_add(a, msg, NOTE_ARCHIVE_BROKEN, msg->parts[part].file_name);
	if (unpacked > BOMB_BYTES && unpacked / RATIO_BOMB > data.n)
		note_add(a, msg, NOTE_ARCHIVE_BOMB, msg->parts[part].file_name);
	archive_read_free(ar);
}

static void
read_content(struct arena *a, struct message *msg, int part)
{
	const struct part *p = &msg->parts[part];
	struct span head = span_head(p->data, MACRO_SEARCH), type = p->real_type;

	if (in_list(type, "application/zip application/x-rar application/x-7z-compressed application/x-tar "
	    "application/vnd.ms-cab-compressed application/x-iso9660-image"))
		list_archive(a, msg, part, p->data);
	if (span_eq(type, SPAN("application/x-ole-storage")) && span_find(head, SPAN("_VBA_PROJECT")) != SPAN_NONE)
		note_add(a, msg, NOTE_MACRO, p->file_name);
	if (span_eq(type, SPAN("application/onenote")))
		note_add(a, msg, NOTE_ONENOTE, p->file_name);
	if (span_eq(type, SPAN("text/rtf")) && (span_find(head, SPAN("\\objdata")) != SPAN_NONE || span_find(head, SPAN("\\object")) != SPAN_NONE))
		note_add(a, msg, NOTE_RTF_OBJECT, p->file_name);
	if (span_eq(type, SPAN("application/pdf")) && (span_find(head, SPAN("/JavaScript")) != SPAN_NONE || span_find(head, SPAN("/JS ")) != SPAN_NONE))
		note_add(a, msg, NOTE_PDF_SCRIPT, p->file_name);
}

void
attachment_read(struct arena *a, struct message *msg, int part)
{
	struct part *p = &msg->parts[part];

	p->real_type = attachment_type(p->data);
	if (p->file_name.n > 0)
		read_name(a, msg, p->file_name);
	if (p->real_type.n > 0 && (in_list(p->real_type, "application/x-dosexec application/x-elf application/x-ms-shortcut")) &&
	    (span_starts(p->type, SPAN("image/")) || span_starts(p->type, SPAN("text/")) || span_starts(p->type, SPAN("audio/")) ||
	    in_list(extension(p->file_name), documents)))
		note_add(a, msg, NOTE_TYPE_MISMATCH, p->file_name);
	read_content(a, msg, part);
}
