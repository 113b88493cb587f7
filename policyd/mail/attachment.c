/* attachment.c - one attachment: its type by content and by name, and what that type may hide. The families of types have
 * a reader each (look.h); here is what they have in common. */
#include "policyd/mail/look.h"

#include "policyd/base/limits.h"
#include "policyd/base/utf8.h"

void
look_note(const struct look *l, enum mail_note what)
{
	note_add(l->t->a, l->t->msg, what, l->name.n > 0 ? l->name : l->type);
}

bool
look_afford(const struct look *l, size_t bytes)
{
	if (l->t->unpacked + bytes > MAX_UNPACKED) {
		note_add(l->t->a, l->t->msg, NOTE_LIMIT, SPAN("bytes unpacked"));
		return false;
	}
	l->t->unpacked += bytes;
	return true;
}

void
look_link(const struct look *l, struct span url, enum link_source source)
{
	link_add(l->t->a, l->t->msg, arena_copy(l->t->a, url), source, SPAN(""), l->part);
}

void
look_keep(const struct look *outer, struct span name, struct span data)
{
	struct tree *t = outer->t;
	int reading = t->msg->parts[outer->part].reading, depth = t->msg->parts[outer->part].depth + 1;
	struct part *p = data.n > 0 ? part_new(t, outer->part, depth, arena_copy(t->a, data)) : NULL;
	bool unknown, wrong;

	if (p == NULL)
		return;
	p->reading = reading;
	p->kind = PART_ATTACHMENT;
	p->type = SPAN("application/octet-stream");
	p->disposition = SPAN("attachment");
	p->data = p->raw;
	p->unpacked = true;                  /* looked at by the look that found it */
	p->real_type = attachment_type(p->data);
	p->file_name = arena_copy(t->a, charset_to_utf8(t->a, name, SPAN("utf-8"), &unknown, &wrong));
}

struct archive_member *
look_member(const struct look *outer, struct span name, uint64_t size)
{
	struct message *msg = outer->t->msg;
	struct arena *a = outer->t->a;
	bool unknown, wrong;

	if (msg->entry_count >= MAX_ARCHIVE_ENTRIES) {
		note_add(a, msg, NOTE_LIMIT, SPAN("archive entries"));
		return NULL;
	}
	ARENA_PUSH(a, msg->entries, msg->entry_count, outer->t->entry_room);
	struct archive_member *m = &msg->entries[msg->entry_count++];

	*m = (struct archive_member){ .name = arena_copy(a, charset_to_utf8(a, name, SPAN("utf-8"), &unknown, &wrong)), .size = size,
	    .part = outer->part, .depth = outer->depth + 1 };
	struct look l = { outer->t, outer->part, outer->depth + 1, m->name, SPAN(""), SPAN("") };

	name_read(&l);
	return m;
}

void
look_member_data(const struct look *outer, struct archive_member *m, struct span data)
{
	struct look l = { outer->t, outer->part, outer->depth + 1, m->name, data, SPAN("") };

	m->type = attachment_type(data);
	look_inside(&l);
}

/* HTML and SVG inside an archive: nobody has read them yet. */
static void
read_page(const struct look *l)
{
	struct html_result html = { 0 };
	bool unknown, wrong;
	struct span page = span_head(l->data, MAX_PAGE_INSIDE);

	if (l->depth == 0 && l->t->msg->parts[l->part].kind == PART_HTML)
		return;
	html_read(l->t->a, l->t->msg, arena_copy(l->t->a, charset_to_utf8(l->t->a, page, SPAN("utf-8"), &unknown, &wrong)), l->part, &html);
	if (html.smuggling)
		look_note(l, NOTE_HTML_SMUGGLING);
}

/* A zip at the end of something that begins as something else. */
static void
read_tail(const struct look *l)
{
	size_t start;

	if (span_eq(l->type, SPAN("application/zip")) || !zip_find(l->data, &start) || start == 0)
		return;
	if (l->type.n > 0 && !span_eq(l->type, SPAN("application/x-dosexec")))      /* a program that unpacks itself is nothing new */
		look_note(l, NOTE_POLYGLOT);
	struct look zip = *l;

	zip.type = SPAN("application/zip");
	zip_check(&zip);
	archive_read(&zip);
}

static void
read_by_type(const struct look *l, struct span extension)
{
	if (type_runs(l->type))
		look_note(l, span_eq(l->type, SPAN("application/x-ms-shortcut")) ? NOTE_SHORTCUT : NOTE_EXECUTABLE);
	if (span_eq(l->type, SPAN("application/x-iso9660-image")) || span_eq(l->type, SPAN("application/x-udf-image")) ||
	    span_eq(l->type, SPAN("application/x-vhd")))
		look_note(l, NOTE_DISK_IMAGE);
	if (type_is_archive(l->type))
		archive_read(l);
	else if (span_eq(l->type, SPAN("application/ms-tnef")))
		tnef_read(l);
	else if (span_eq(l->type, SPAN("application/x-ole-storage")))
		ole_read(l);
	else if (span_eq(l->type, SPAN("application/onenote")))
		onenote_read(l);
	else if (span_eq(l->type, SPAN("application/x-mso")))
		look_note(l, NOTE_MACRO);
	else if (span_eq(l->type, SPAN("application/pdf")) || span_find(span_head(l->data, 1024), SPAN("%PDF-")) != SPAN_NONE)
		pdf_read(l);
	else if (l->type.n == 0 || span_eq(l->type, SPAN("text/rtf")))
		office_text_read(l);
	if (l->type.n == 0 && (span_eq(extension, SPAN("html")) || span_eq(extension, SPAN("htm")) || span_eq(extension, SPAN("xhtml")) ||
	    span_eq(extension, SPAN("shtml")) || span_eq(extension, SPAN("svg")) || span_eq(extension, SPAN("hta"))))
		read_page(l);
}

void
look_inside(struct look *l)
{
	struct span extension = file_extension(l->t->a, l->name);

	if (l->depth > MAX_ARCHIVE_DEPTH) {
		note_add(l->t->a, l->t->msg, NOTE_LIMIT, SPAN("archive depth"));
		return;
	}
	l->type = attachment_type(l->data);
	if (type_lies(l->type, extension, l->depth == 0 ? l->t->msg->parts[l->part].type : SPAN("")))
		look_note(l, NOTE_TYPE_MISMATCH);
	read_by_type(l, extension);
	read_tail(l);
}

void
attachment_read(struct tree *t, int part)
{
	struct part *p = &t->msg->parts[part];
	struct look l = { t, part, 0, p->file_name, p->data, SPAN("") };

	p->real_type = attachment_type(p->data);
	if (p->unpacked)
		return;
	name_read(&l);
	if (p->other_name.n > 0) {
		struct look other = l;

		other.name = p->other_name;
		name_read(&other);
	}
	if ((p->kind == PART_TEXT || p->kind == PART_HTML) && p->real_type.n == 0 && p->file_name.n == 0 && p->data.p == p->raw.p)
		return;                      /* a body in the clear: read as text */
	look_inside(&l);
}
