/* author.c - From: whom a reader sees as the author, and whether two readers would see two of them.
 *
 * Everything that some program takes for a From field counts: a field with a blank before its colon, one whose name is
 * folded, one that stands behind a blank or a bare CR. More than one of them, or one that can be read in two ways, is
 * FROM_AMBIGUOUS: DMARC may then have been asked about another author than the one shown. */
#include "policyd/base/limits.h"
#include "policyd/mail/parse.h"

/* Fields that list names of fields, folded wherever it suits them. */
static bool
lists_names(struct span field)
{
	return span_starts_nocase(field, SPAN("DKIM-")) || span_starts_nocase(field, SPAN("ARC-")) ||
	       span_starts_nocase(field, SPAN("DomainKey-")) || span_starts_nocase(field, SPAN("X-Google-DKIM"));
}

/* "From" with blanks around it up to its colon, and an address behind that: its value; empty: no such line. */
static struct span
from_field(struct span line, bool *split)
{
	struct span rest = span_trim(line);

	*split = false;
	if (!span_starts_nocase(rest, SPAN("From")))
		return SPAN("");
	rest = span_from(rest, 4);
	while (rest.n > 0 && ascii_space(rest.p[0]))
		rest = span_from(rest, 1);
	*split = rest.n == 0;                        /* the colon may stand in the next line */
	if (rest.n == 0 || rest.p[0] != ':' || span_find_char(rest, '@') == SPAN_NONE)
		return SPAN("");
	return span_from(rest, 1);
}

/* Lines of the header block that are a From field to some, and to the strict reading are none. */
static void
note_hidden_fields(struct arena *a, struct message *msg)
{
	struct span head = span_head(msg->raw, (size_t)(msg->parts[0].raw.p - msg->raw.p)), field = SPAN("");
	bool split = false;

	head = span_head(head, MAX_HEADER_BYTES);
	while (head.n > 0) {
		struct span line = span_cut(&head, '\n');
		bool fold = line.n > 0 && (line.p[0] == ' ' || line.p[0] == '\t'), ignored;

		if (split && span_starts(span_trim(line), SPAN(":")) && span_find_char(line, '@') != SPAN_NONE)
			note_add(a, msg, NOTE_FROM_AMBIGUOUS, span_trim(line));
		split = false;
		if (!fold)
			field = line;
		struct span part = line;

		for (size_t cr; (cr = span_find_char(part, '\r')) != SPAN_NONE && cr + 1 < part.n;) {
			part = span_from(part, cr + 1);
			if (from_field(part, &ignored).n > 0)
				note_add(a, msg, NOTE_FROM_AMBIGUOUS, span_trim(part));
		}
		/* The strict reading has seen those that begin a line and have their colon. */
		struct span value = from_field(line, &split);

		if (fold && value.n > 0 && !lists_names(field))
			note_add(a, msg, NOTE_FROM_AMBIGUOUS, span_trim(line));
	}
}

/* "service@bank.example" as the name of another domain's address, in whatever letters. */
static void
note_name(struct arena *a, struct message *msg)
{
	struct plain_counts counts;
	struct span name = text_plain_counted(a, msg->from.name, &counts), ours = domain_registrable(msg->from.domain);

	if (counts.mixed > 0 || counts.obfuscated > 0 || counts.turns > 0)
		note_add(a, msg, NOTE_CONFUSABLE_NAME, msg->from.name);
	for (size_t at; (at = span_find_char(name, '@')) != SPAN_NONE; name = span_from(name, at + 1)) {
		struct span after = span_from(name, at + 1);
		size_t n = 0;

		while (n < after.n && (ascii_alnum(after.p[n]) || after.p[n] == '.' || after.p[n] == '-' || (unsigned char)after.p[n] >= 0x80))
			n++;
		struct span domain = host_clean(a, span_head(after, n));

		if (domain.n < 4 || span_find_char(domain, '.') == SPAN_NONE || span_eq(domain_registrable(domain), ours))
			continue;
		note_add(a, msg, NOTE_DISPLAY_SPOOF, msg->from.name);
	}
}

static void
note_control(struct arena *a, struct message *msg, struct span raw)
{
	for (size_t i = 0; i < raw.n; i++) {
		unsigned char c = (unsigned char)raw.p[i];
		bool line_end = c == '\n' || (c == '\r' && i + 1 < raw.n && raw.p[i + 1] == '\n');

		if ((c < 0x20 && c != '\t' && !line_end && !(c == '\r' && i + 1 == raw.n)) || c == 0x7f) {
			note_add(a, msg, NOTE_CONTROL_CHAR, SPAN("From"));
			return;
		}
	}
}

void
author_read(struct arena *a, struct message *msg)
{
	const struct header *from = header_get(&msg->headers, SPAN("From"), 0), *second = header_get(&msg->headers, SPAN("From"), 1);
	struct address_list list = { 0 };

	if (from)
		addresses_read(a, from->raw, &list);
	if (list.count == 0 || list.at[0].addr.n == 0)
		note_add(a, msg, NOTE_FROM_MISSING, SPAN(""));
	if (second)
		note_add(a, msg, NOTE_FROM_AMBIGUOUS, second->value);
	note_hidden_fields(a, msg);
	if (list.count == 0)
		return;
	msg->from = list.at[0];
	if (list.odd || list.group)
		note_add(a, msg, NOTE_FROM_AMBIGUOUS, from->value);
	for (size_t i = 1; i < list.count; i++)
		if (!span_eq(list.at[i].domain, list.at[0].domain))
			note_add(a, msg, NOTE_FROM_AMBIGUOUS, list.at[i].addr.n > 0 ? list.at[i].addr : list.at[i].name);
	note_control(a, msg, from->raw);
	note_name(a, msg);
	if (host_is_homograph(a, msg->from.domain))
		note_add(a, msg, NOTE_FROM_HOMOGRAPH, msg->from.domain);
}
