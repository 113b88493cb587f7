#include "lua/view.h"

#include <arpa/inet.h>
#include <stdio.h>

#include "lua/relays.h"

#define VIEW_NAME(id, name) [id] = name,
const char *const view_names[VIEW__COUNT] = { VIEW_LIST(VIEW_NAME) };
static const char *const part_names[AS__COUNT] = { [AS_VALUE] = "", [AS_RAW] = "raw", [AS_ADDR] = "addr",
	[AS_NAME] = "name", [AS_DOMAIN] = "domain" };

bool
view_parse(struct view *v, struct span kind, struct span header)
{
	struct span name = span_cut(&header, ':');
	size_t i = 0, part = 0;

	while (i < VIEW__COUNT && !span_eq(span_of(view_names[i]), kind))
		i++;
	while (part < AS__COUNT && !span_eq(span_of(part_names[part]), header))
		part++;
	if (i == VIEW__COUNT || part == AS__COUNT || name.n >= sizeof v->header)
		return false;
	*v = (struct view){ .kind = (enum view_kind)i, .as = (enum view_as)part };
	snprintf(v->header, sizeof v->header, SPAN_FMT, SPAN_ARG(name));
	if (v->kind == VIEW_MIME && v->as > AS_RAW)
		return false;
	return (name.n > 0) == (v->kind == VIEW_HEADER || v->kind == VIEW_MIME);
}

bool
view_same(const struct view *a, const struct view *b)
{
	return a->kind == b->kind && a->as == b->as && span_eq_nocase(span_of(a->header), span_of(b->header));
}

struct values {
	struct arena *arena;
	struct span *at;
	size_t count, room;
};

static void
add(struct values *v, struct span value)
{
	if (v->count == MAX_VIEW_VALUES)
		return;
	if (v->count == v->room) {
		size_t room = v->room ? v->room * 4 : 4;

		v->at = arena_grow(v->arena, v->at, v->room * sizeof *v->at, room * sizeof *v->at);
		v->room = room;
	}
	v->at[v->count++] = value;
}

/* A text that grows by lines up to MAX_RULE_SUBJECT. */
struct lines {
	struct arena *arena;
	char *p;
	size_t n, room;
};

static void
put(struct lines *l, struct span s)
{
	if (s.n > MAX_RULE_SUBJECT - l->n)
		s.n = MAX_RULE_SUBJECT - l->n;
	if (l->n + s.n > l->room) {
		size_t room = l->room ? l->room : 1024;

		while (room < l->n + s.n)
			room *= 2;
		l->p = arena_grow(l->arena, l->p, l->room, room);
		l->room = room;
	}
	if (s.n > 0)
		memcpy(l->p + l->n, s.p, s.n);
	l->n += s.n;
}

static void
put_line(struct lines *l, struct span s)
{
	if (s.n == 0 || s.n + 1 > MAX_RULE_SUBJECT - l->n)
		return;
	put(l, s);
	put(l, SPAN("\n"));
}

static struct span
lines_span(const struct lines *l)
{
	return span_make(l->p ? l->p : "", l->n);
}

/* --- headers --- */

static void
address_values(struct values *v, const struct view *view, const struct header *h)
{
	struct address *list;
	size_t count = addresses_parse(v->arena, h->raw, &list);

	for (size_t i = 0; i < count; i++) {
		struct span s = view->as == AS_ADDR ? list[i].addr : view->as == AS_NAME ? list[i].name : list[i].domain;

		if (s.n == 0)
			continue;
		add(v, s);
		return;                      /* the first that has one */
	}
}

static void
header_values(struct values *v, const struct view *view, const struct header_list *headers, struct span name)
{
	for (size_t i = 0; i < headers->count; i++) {
		const struct header *h = &headers->at[i];

		if (!span_eq_nocase(h->name, name))
			continue;
		if (view->as == AS_VALUE)
			add(v, h->value);
		else if (view->as == AS_RAW)
			add(v, h->raw);
		else
			address_values(v, view, h);
	}
}

static void
all_headers(struct values *v, const struct view *view, const struct header_list *headers)
{
	struct lines l = { .arena = v->arena };

	for (size_t i = 0; i < headers->count; i++) {
		put(&l, headers->at[i].name);
		put(&l, view->as == AS_RAW ? SPAN(":") : SPAN(": "));
		put(&l, view->as == AS_RAW ? headers->at[i].raw : headers->at[i].value);
		put(&l, SPAN("\n"));
	}
	add(v, lines_span(&l));
}

static const struct { const char *name, *headers[4]; } kin[] = {
	{ "ToCc", { "To", "Cc" } },
	{ "MESSAGEID", { "Message-Id", "Resent-Message-Id", "X-Message-Id" } },
};

/* As the MTA said; of a mail from a file, as its Return-Path does. */
static struct span
envelope_from(const struct scan *scan)
{
	struct address *list;
	const struct header *path = header_get(&scan->message.headers, SPAN("Return-Path"), 0);

	if (scan->envelope.sender[0] || scan->session.context[0] || path == NULL)
		return span_of(scan->envelope.sender);
	return addresses_parse(scan->arena, path->raw, &list) > 0 ? list[0].addr : SPAN("");
}

static void
named_values(struct values *v, const struct view *view, const struct scan *scan)
{
	const struct header_list *headers = &scan->message.headers;
	struct span name = span_of(view->header);

	if (span_eq(name, SPAN("ALL")) || span_eq(name, SPAN("ALL-EXTERNAL")) || span_eq(name, SPAN("ALL-UNTRUSTED"))) {
		all_headers(v, view, headers);
		return;
	}
	if (span_eq(name, SPAN("EnvelopeFrom"))) {
		add(v, envelope_from(scan));
		return;
	}
	for (int which = 0; which < RELAYS__COUNT; which++)
		if (span_eq(name, span_of(relays_names[which]))) {
			add(v, relays_text(v->arena, headers, (enum relays)which));
			return;
		}
	for (size_t i = 0; i < sizeof kin / sizeof *kin; i++)
		if (span_eq(span_of(kin[i].name), name)) {
			for (size_t k = 0; k < 4 && kin[i].headers[k]; k++)
				header_values(v, view, headers, span_of(kin[i].headers[k]));
			return;
		}
	header_values(v, view, headers, name);
}

/* --- text --- */

static struct span
head_and_tail(struct arena *a, struct span s)
{
	enum { HEAD = MAX_RULE_SUBJECT / 4 * 3, TAIL = MAX_RULE_SUBJECT - HEAD - 1 };

	if (s.n <= MAX_RULE_SUBJECT)
		return s;
	char *p = arena_alloc(a, MAX_RULE_SUBJECT);

	memcpy(p, s.p, HEAD);
	p[HEAD] = '\n';
	memcpy(p + HEAD + 1, s.p + s.n - TAIL, TAIL);
	return span_make(p, MAX_RULE_SUBJECT);
}

/* One value a paragraph: the subject, then the text between empty lines, blanks made one, a line end behind; a longer one
 * than LONGEST in pieces. */
static void
paragraph_values(struct values *v, struct span subject, struct span text)
{
	enum { LONGEST = 2048 };
	char *out = arena_alloc(v->arena, subject.n + 2 * text.n + 3);

	for (int part = 0; part <= 1; part++) {
		struct span s = part ? span_head(text, 4 * MAX_RULE_SUBJECT) : subject;
		size_t start = 0, n = 0;
		bool blank = false;
		int breaks = 0;

		for (size_t i = 0; i <= s.n; i++) {
			unsigned char c = i < s.n ? (unsigned char)s.p[i] : '\n';
			bool hard = c == 0xc2 && i + 1 < s.n && (unsigned char)s.p[i + 1] == 0xa0;    /* no-break space */

			i += hard;
			if (i < s.n && (hard || c == ' ' || c == '\t' || c == '\r' || c == '\n' || c == '\v' || c == '\f')) {
				blank = true;
				breaks += c == '\n';
				continue;
			}
			bool end = i >= s.n || (part && breaks > 1) || (blank && n - start > LONGEST);

			if (end && n > start) {
				out[n++] = '\n';
				add(v, span_make(out + start, n - start));
				start = n;
			} else if (blank && i < s.n) {
				out[n++] = ' ';
			}
			blank = false;
			breaks = 0;
			if (i < s.n)
				out[n++] = s.p[i];
		}
		out += n;
	}
}

static struct span
raw_text(struct arena *a, const struct message *msg)
{
	struct lines l = { .arena = a };

	for (size_t i = 0; i < msg->strict_count; i++) {
		const struct part *p = &msg->parts[i];

		if (p->kind == PART_TEXT || p->kind == PART_HTML) {
			if (l.n > 0)
				put(&l, SPAN("\n"));
			put(&l, p->data);
		}
	}
	return lines_span(&l);
}

static struct span
links(struct arena *a, const struct message *msg)
{
	struct lines l = { .arena = a };

	for (size_t i = 0; i < msg->link_count; i++)
		put_line(&l, msg->links[i].url);
	return lines_span(&l);
}

static struct span
file_names(struct arena *a, const struct message *msg)
{
	struct lines l = { .arena = a };

	for (size_t i = 0; i < msg->part_count; i++)
		put_line(&l, msg->parts[i].file_name);
	for (size_t i = 0; i < msg->entry_count; i++)
		put_line(&l, msg->entries[i].name);
	return lines_span(&l);
}

static struct span
attachments(struct arena *a, const struct message *msg)
{
	struct lines l = { .arena = a };

	for (size_t i = 0; i < msg->part_count; i++) {
		const struct part *p = &msg->parts[i];

		if (p->kind == PART_ATTACHMENT || p->file_name.n > 0)
			put_line(&l, arena_printf(a, SPAN_FMT " " SPAN_FMT " " SPAN_FMT, SPAN_ARG(p->type),
			    SPAN_ARG(p->real_type.n ? p->real_type : SPAN("-")), SPAN_ARG(p->file_name)));
	}
	return lines_span(&l);
}

static void
client_value(struct values *v, const struct scan *scan)
{
	char address[INET6_ADDRSTRLEN];

	if (scan->session.client.family == 0)
		return;
	ip_print(&scan->session.client, address);
	add(v, arena_copy(v->arena, span_of(address)));
}

size_t
view_values(const struct view *view, const struct scan *scan, struct span **values)
{
	const struct message *msg = &scan->message;
	struct values v = { .arena = scan->arena };

	switch (view->kind) {
	case VIEW_HEADER:     named_values(&v, view, scan); break;
	case VIEW_MIME:
		for (size_t i = 0; i < msg->strict_count; i++)
			header_values(&v, view, &msg->parts[i].headers, span_of(view->header));
		break;
	case VIEW_SUBJECT:    add(&v, msg->subject); break;
	case VIEW_BODY:       add(&v, head_and_tail(v.arena, msg->text)); break;
	case VIEW_HIDDEN:     add(&v, head_and_tail(v.arena, msg->hidden)); break;
	case VIEW_RAWBODY:    add(&v, raw_text(v.arena, msg)); break;
	case VIEW_FULL:       add(&v, span_head(msg->raw, MAX_RULE_SUBJECT)); break;
	case VIEW_URI:        add(&v, links(v.arena, msg)); break;
	case VIEW_FILE_NAME:  add(&v, file_names(v.arena, msg)); break;
	case VIEW_ATTACHMENT: add(&v, attachments(v.arena, msg)); break;
	case VIEW_PARAGRAPH:  paragraph_values(&v, msg->subject, msg->text); break;
	case VIEW_CLIENT:     client_value(&v, scan); break;
	case VIEW_HOST:
		for (size_t i = 0; i < msg->link_count; i++)
			add(&v, msg->links[i].host);
		break;
	case VIEW__COUNT:     break;
	}
	*values = v.at;
	return v.count;
}

bool
view_present(const struct view *view, const struct scan *scan)
{
	struct span *values;

	if (view->kind == VIEW_HEADER && view->as == AS_VALUE && header_get(&scan->message.headers, span_of(view->header), 0))
		return true;
	size_t count = view_values(view, scan, &values);

	for (size_t i = 0; i < count; i++)
		if (view->kind == VIEW_HEADER || view->kind == VIEW_MIME || values[i].n > 0)
			return true;
	return false;
}
