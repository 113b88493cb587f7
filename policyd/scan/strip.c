#include "policyd/scan/strip.h"

#include "policyd/base/utf8.h"
#include "policyd/scan/banned.h"
#include "policyd/scan/rewrite.h"

enum { NAME_MOST = 100 };

static bool
in_mail(const struct message *msg, struct span s)
{
	return s.p >= msg->raw.p && s.p + s.n <= msg->raw.p + msg->raw.n;
}

/* The part of the strict reading in whose bytes part `i` lies: itself, or the archive or mail it came out of; -1: none. */
static int
carrier(const struct message *msg, int i)
{
	while (i >= 0 && (msg->parts[i].unpacked || msg->parts[i].reading != 0 || msg->parts[i].kind == PART_MULTIPART || !in_mail(msg, msg->parts[i].raw)))
		i = msg->parts[i].parent;
	return i;
}

/* Which parts go; false: one that is banned lies in none that could. */
static bool
mark(struct arena *a, const struct message *msg, const char *list, bool *gone)
{
	bool all = true;

	for (size_t i = 0; i < msg->part_count; i++) {
		const struct part *p = &msg->parts[i];
		int at = -1;

		if (p->kind == PART_MULTIPART || (!banned_file(a, p->file_name, p->real_type, list) && !banned_file(a, p->other_name, p->real_type, list)))
			continue;
		if ((at = carrier(msg, (int)i)) >= 0)
			gone[at] = true;
		all &= at >= 0;
	}
	for (size_t i = 0; i < msg->entry_count; i++) {
		int at = -1;

		if (!banned_file(a, msg->entries[i].name, msg->entries[i].type, list))
			continue;
		if ((at = carrier(msg, msg->entries[i].part)) >= 0)
			gone[at] = true;
		all &= at >= 0;
	}
	return all;
}

static bool
inside_one(const struct message *msg, int i, const bool *gone)
{
	while ((i = msg->parts[i].parent) >= 0)
		if (gone[i])
			return true;
	return false;
}

/* The sender chose these words: no line ends, nothing that ends the quotes. */
static void
add_shown(struct buf *out, struct span s)
{
	s = utf8_head(s, NAME_MOST);
	for (size_t i = 0; i < s.n; i++)
		buf_add_char(out, (unsigned char)s.p[i] < 0x20 || s.p[i] == 0x7f || s.p[i] == '"' ? '?' : s.p[i]);
}

static void
add_note(struct buf *out, const struct part *p, const char *reference)
{
	buf_add_span(out, SPAN("Content-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: 8bit\r\nContent-Disposition: inline\r\n\r\nThe file \""));
	add_shown(out, p->file_name);
	buf_add_span(out, SPAN("\" ("));
	add_shown(out, p->real_type.n ? p->real_type : p->type);
	buf_printf(out, ") has been taken out of this mail:\r\nfiles of this kind are not let through here. The mail as it came is kept;\r\n"
	    "ask for it by the reference %s.", reference);
}

/* A mail that is nothing but the file: its headers stay, but for those that say what the body is. */
static void
replace_all(struct buf *out, const struct message *msg, const char *reference)
{
	struct span rest = msg->raw, header, name;

	while (rewrite_next_header(&rest, &header, &name))
		if (!span_starts_nocase(name, SPAN("Content-")) && !span_eq_nocase(name, SPAN("MIME-Version")))
			buf_add_span(out, header);
	buf_add_span(out, SPAN("MIME-Version: 1.0\r\n"));
	add_note(out, &msg->parts[0], reference);
	buf_add_span(out, SPAN("\r\n"));
}

/* From its first header to the end of its body. Line ends before a boundary belong to the boundary. */
static void
replace_part(struct buf *out, const struct message *msg, const struct part *p, const char **at, const char *reference)
{
	const char *start = p->headers.count > 0 && in_mail(msg, p->headers.at[0].name) ? p->headers.at[0].name.p : p->raw.p;
	const char *end = p->raw.p + p->raw.n, *all = msg->raw.p + msg->raw.n;

	if (start < *at)
		return;
	buf_add(out, *at, (size_t)(start - *at));
	add_note(out, p, reference);
	if (end < all && *end != '\r' && *end != '\n')
		buf_add_span(out, SPAN("\r\n"));
	*at = end;
}

static bool
is_clean(struct arena *a, struct span mail, const char *list)
{
	struct message *again = ARENA_NEW(a, struct message);

	message_parse(a, mail, again);
	return !banned_any(a, again, list);
}

bool
strip_mail(struct arena *a, struct buf *out, const struct message *msg, const char *banned_types, const char *reference)
{
	bool *gone = ARENA_ARRAY(a, bool, msg->part_count + 1), any = false;
	const char *at = msg->raw.p;

	if (!mark(a, msg, banned_types, gone))
		return false;
	for (size_t i = 0; i < msg->strict_count; i++) {
		if (!gone[i] || inside_one(msg, (int)i, gone))
			continue;
		any = true;
		if (i == 0)
			replace_all(out, msg, reference);
		else
			replace_part(out, msg, &msg->parts[i], &at, reference);
	}
	if (!any)
		return false;
	if (!gone[0])
		buf_add(out, at, (size_t)(msg->raw.p + msg->raw.n - at));
	return !out->failed && is_clean(a, buf_span(out), banned_types);
}
