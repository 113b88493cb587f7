/* message.c - a mail as a whole: the strict reading, the others where there is cause, what all parts say together. */
#include <stdlib.h>

#include "policyd/base/limits.h"
#include "policyd/base/utf8.h"
#include "policyd/mail/parse.h"
#include "policyd/mail/prepare.h"

#define NOTE_NAME(id, symbol) [id] = symbol,
const char *const mail_note_names[NOTE__COUNT] = { MAIL_NOTE_LIST(NOTE_NAME) };

void
mail_prepare(void)
{
	charset_prepare();
	domain_prepare();
}

void
note_add(struct arena *a, struct message *msg, enum mail_note what, struct span evidence)
{
	for (size_t i = 0; i < msg->note_count; i++)
		if (msg->notes[i].what == what) {
			msg->notes[i].times++;
			return;
		}
	bool unknown, wrong;
	struct span utf8 = charset_to_utf8(a, span_head(evidence, MAX_EVIDENCE), SPAN("utf-8"), &unknown, &wrong);

	if (msg->notes == NULL)
		msg->notes = ARENA_ARRAY(a, struct note, NOTE__COUNT);
	msg->notes[msg->note_count++] = (struct note){ what, arena_copy(a, utf8_head(utf8, MAX_EVIDENCE)), 1 };
}

bool
message_noted(const struct message *msg, enum mail_note what)
{
	for (size_t i = 0; i < msg->note_count; i++)
		if (msg->notes[i].what == what)
			return true;
	return false;
}

/* Is this text only another form of one that is read already? (multipart/alternative: the richest last part counts) */
static bool
is_lesser_alternative(const struct message *msg, size_t i)
{
	const struct part *p = &msg->parts[i];

	if (p->parent < 0 || p->kind != PART_TEXT || !span_eq(msg->parts[p->parent].type, SPAN("multipart/alternative")))
		return false;
	for (size_t k = i + 1; k < msg->part_count; k++)
		if (msg->parts[k].parent == p->parent && msg->parts[k].kind == PART_HTML && msg->parts[k].text.n > 0)
			return true;
	return false;
}

static struct span
gather(struct arena *a, const struct message *msg, bool hidden)
{
	size_t total = 0, n = 0;

	for (size_t i = 0; i < msg->part_count; i++)
		total += (hidden ? msg->parts[i].hidden.n : msg->parts[i].text.n) + 1;
	char *out = arena_alloc(a, total + 1);

	for (size_t i = 0; i < msg->part_count; i++) {
		struct span s = hidden ? msg->parts[i].hidden : msg->parts[i].text;

		if (s.n == 0 || (!hidden && is_lesser_alternative(msg, i)) || n + s.n > MAX_TEXT)
			continue;
		memcpy(out + n, s.p, s.n);
		n += s.n;
		out[n++] = '\n';
	}
	return span_make(out, n);
}

static int
by_address(const void *a, const void *b)
{
	const char *x = *(const char *const *)a, *y = *(const char *const *)b;

	return x < y ? -1 : x > y;
}

/* CR without LF, where some clients see a line end and others do not. */
static bool
has_bare_cr(struct span s)
{
	for (size_t at = 0, hit; (hit = span_find_char(span_from(s, at), '\r')) != SPAN_NONE; at += hit + 1)
		if (at + hit + 1 == s.n || s.p[at + hit + 1] != '\n')
			return true;
	return false;
}

/* After the strict reading: does anything give cause for others, and where do they differ? */
static void
read_otherwise(struct tree *t)
{
	struct message *msg = t->msg;

	msg->strict_count = msg->part_count;
	if (t->delimiter_count > 0)
		qsort(t->delimiters, t->delimiter_count, sizeof *t->delimiters, by_address);
	struct span foreign = sweep_foreign(t);

	if (has_bare_cr(msg->raw)) {
		note_add(t->a, msg, NOTE_BARE_LINE_END, SPAN(""));
		msg->odd = true;
	}
	if (foreign.n > 0) {
		msg->odd = true;
		if (t->undelimited)
			note_add(t->a, msg, NOTE_AMBIGUOUS_BOUNDARY, foreign);
	}
	if (msg->odd || message_noted(msg, NOTE_BROKEN_BOUNDARY) || message_noted(msg, NOTE_BROKEN_HEADER) || span_find_char(msg->raw, '\0') != SPAN_NONE) {
		msg->odd = true;
		sweep_read(t);
	}
}

static void
note_raw(struct arena *a, struct message *msg)
{
	static const char *const once[] = { "From", "Subject", "Date", "To", "Message-ID", "Reply-To", "Sender" };
	size_t header_end = (size_t)(msg->parts[0].raw.p - msg->raw.p);
	struct span head = span_head(msg->raw, header_end);

	if (span_find_char(msg->raw, '\0') != SPAN_NONE)
		note_add(a, msg, NOTE_NUL, SPAN(""));
	for (size_t i = 0; i < head.n; i++)
		if ((unsigned char)head.p[i] >= 0x80) {
			note_add(a, msg, NOTE_8BIT_HEADER, SPAN(""));
			break;
		}
	for (size_t i = 0; i < sizeof once / sizeof *once; i++)
		if (header_get(&msg->headers, span_of(once[i]), 1))
			note_add(a, msg, NOTE_DUPLICATE_HEADER, span_of(once[i]));
}

void
message_parse(struct arena *a, struct span raw, struct message *msg)
{
	struct tree t = { .a = a, .msg = msg };

	*msg = (struct message){ .raw = raw };
	part_new(&t, -1, 0, raw);
	for (size_t i = 0; i < msg->part_count; i++)
		part_read(&t, (int)i);
	read_otherwise(&t);
	msg->subject = header_value(&msg->headers, "Subject");
	author_read(a, msg);
	note_raw(a, msg);
	msg->text = gather(a, msg, false);
	msg->hidden = gather(a, msg, true);
	text_notes(a, msg);
}
