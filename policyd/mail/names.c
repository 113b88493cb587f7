/* names.c - what a part's file is called: to a strict reader, and to clients that read its headers otherwise.
 *
 * A system opens a file by what follows the last dot, so names are compared by that: two readings that both end in ".pdf"
 * are one name to those who open it, "a.txt" beside "a.exe" are not. */
#include <stdlib.h>
#include <uninorm.h>

#include "policyd/base/limits.h"
#include "policyd/mail/parse.h"

struct span
name_extension(struct span name)
{
	while (name.n > 0 && (ascii_space(name.p[name.n - 1]) || name.p[name.n - 1] == '.' || name.p[name.n - 1] == '"'))
		name.n--;                    /* systems drop them */
	size_t dot = span_find_last(name, '.');

	if (dot == SPAN_NONE || name.n - dot > MAX_EXTENSION + 1)
		return SPAN("");
	struct span after = span_from(name, dot + 1);

	return span_find_char(after, ' ') == SPAN_NONE && span_find_char(after, '/') == SPAN_NONE ? after : SPAN("");
}

bool
name_differs(struct span name, struct span other)
{
	struct span a = name_extension(name), b = name_extension(other);

	return b.n > 0 && !span_eq_nocase(a, b);
}

struct span
name_utf8(struct arena *a, struct span name)
{
	bool unknown, wrong;

	return charset_to_utf8(a, name, SPAN("utf-8"), &unknown, &wrong);
}

/* ".ｅｘｅ", or ".exe" with a Cyrillic letter: shown as one thing, and another to programs. */
static bool
is_confusable(struct span name)
{
	struct span ext = name_extension(name);
	bool ascii = false, other = false;
	size_t n = 0;

	for (size_t i = 0; i < ext.n; i++) {
		ascii |= ascii_alnum(ext.p[i]);
		other |= (unsigned char)ext.p[i] >= 0x80;
	}
	if (!other)
		return false;
	uint8_t *normal = u8_normalize(UNINORM_NFKC, (const uint8_t *)ext.p, ext.n, NULL, &n);
	bool plain = normal != NULL && n > 0;

	for (size_t i = 0; plain && i < n; i++)
		plain = ascii_alnum((char)normal[i]);
	free(normal);
	return plain || ascii;
}

/* Another reading of the name; the first that makes it another kind of file is kept. "report" beside "report.pdf" is no
 * contradiction: the fuller one counts. */
static void
add_reading(struct arena *a, struct message *msg, struct part *p, struct span name)
{
	if (name.n == 0)
		return;
	if (p->file_name.n == 0 || (name_extension(p->file_name).n == 0 && span_starts(name, p->file_name))) {
		p->file_name = name;
		return;
	}
	if (!name_differs(p->file_name, name))
		return;
	if (p->other_name.n == 0)
		p->other_name = name;
	note_add(a, msg, NOTE_AMBIGUOUS_NAME, name);
}

static void
add_param(struct arena *a, struct message *msg, struct part *p, const struct content *c, const char *name)
{
	const struct param *param = content_find(c, name);

	if (param == NULL)
		return;
	add_reading(a, msg, p, param->value);
	add_reading(a, msg, p, param->other);
	if (p->other_name.n == 0 && name_differs(p->file_name, param->plain))
		p->other_name = param->plain;
	if (param->ambiguous)
		note_add(a, msg, NOTE_AMBIGUOUS_NAME, param->value);
}

void
names_read(struct arena *a, struct message *msg, struct part *p, const struct content *type, const struct content *disposition)
{
	static const struct { const char *header, *param; } again[] = { { "Content-Disposition", "filename" }, { "Content-Type", "name" } };
	const struct header *h;

	add_param(a, msg, p, disposition, "filename");
	add_param(a, msg, p, type, "name");
	add_param(a, msg, p, type, "filename");      /* in the wrong header; some take it there */
	add_param(a, msg, p, disposition, "name");
	for (size_t i = 0; i < sizeof again / sizeof *again; i++)         /* the header stands there twice: some take the last */
		for (size_t nth = 1; nth < MAX_REPEATED && (h = header_get(&p->headers, span_of(again[i].header), nth)) != NULL; nth++) {
			struct content c;

			content_parse(a, h->raw, &c);
			add_param(a, msg, p, &c, again[i].param);
		}
	if (is_confusable(p->file_name) || is_confusable(p->other_name))
		note_add(a, msg, NOTE_CONFUSABLE_FILE, p->file_name);
}
