/* sweep.c - the readings of clients that are not strict, all at once.
 *
 * One reading per client would multiply: boundary rules times header rules times decoders. So the second reading asks
 * not what the headers mean but what stands in the bytes. Any line "--..." with a header or an empty line after it may
 * be a delimiter; what follows any of the first empty lines of such a segment, or its last header-like line, may be a
 * body; a body is decoded by every way that its letters or its header's words suggest (coding.c). What the strict
 * reading does not have is kept as a part of reading 1, goes to ClamAV as all parts do, and is named when it is a file.
 *
 * It runs only on a mail that gives cause (message.odd): about 6 % of honest mail. Work: each byte is in one segment,
 * each segment has at most BODIES bodies, each of them some decodings; decoded entities are swept again, at most DEPTH deep;
 * all of it counts against a budget of SWEEP_PER_BYTE bytes for each byte of the mail, and MAX_SWEEP. */
#include <stdlib.h>

#include "policyd/base/limits.h"
#include "policyd/mail/sweep.h"

enum { BODIES = 8, DEPTH = 3, HEAD_LINES = 300, QUEUE = 64, SWEEP_PER_BYTE = 64, SWEEP_LEAST = 1024 * 1024 };

struct known {                               /* bytes that are a part already */
	size_t n;
	uint64_t hash;
};

struct sure {                                /* bytes about which the strict reading was of one mind */
	const char *p;
	size_t n;
	bool decoded;
};

struct sweep {
	struct tree *t;
	size_t left;                         /* bytes that may still be decoded */
	size_t strict;                       /* parts of the strict reading */
	struct sure *sure;
	size_t sure_count;
	struct known *known;
	size_t known_count, known_room;
	struct { struct span bytes; int depth; } queue[QUEUE];
	size_t queued;
	int depth;                           /* of what is being swept */
};

struct arena *
sweep_arena(const struct sweep *s)
{
	return s->t->a;
}

void
sweep_limit(struct sweep *s, const char *what)
{
	note_add(s->t->a, s->t->msg, NOTE_LIMIT, span_of(what));
}

struct span
line_at(struct span s, size_t at, size_t *next)
{
	size_t end = at;

	while (end < s.n && s.p[end] != '\n' && s.p[end] != '\r')
		end++;
	*next = end + 1 < s.n && s.p[end] == '\r' && s.p[end + 1] == '\n' ? end + 2 : end + 1;
	*next = *next < s.n ? *next : s.n;
	return span_make(s.p + at, end - at);
}

static bool
is_blank(struct span line)
{
	return span_trim(line).n == 0;
}

/* "Name: ...", with room for what clients forgive: blanks and odd bytes before, a blank before the colon. */
static bool
is_header(struct span line)
{
	size_t colon = span_find_char(span_head(line, 80), ':'), letters = 0;

	if (colon == SPAN_NONE || colon < 2)
		return false;
	for (size_t i = 0; i < colon; i++)
		letters += ascii_alnum(line.p[i]) || line.p[i] == '-';
	return letters + 4 >= colon;
}

/* The same, but it speaks of content: what makes a line of dashes before it a delimiter beyond doubt. */
static bool
is_content(struct span line)
{
	return span_find_nocase(span_head(line, 24), SPAN("content-")) != SPAN_NONE;
}

static bool
is_known(struct sweep *s, struct span data)
{
	struct known k = { data.n, span_hash(data, 7) };

	for (size_t i = 0; i < s->known_count; i++)
		if (s->known[i].n == k.n && s->known[i].hash == k.hash)
			return true;
	ARENA_PUSH(s->t->a, s->known, s->known_count, s->known_room);
	s->known[s->known_count++] = k;
	return false;
}

static struct span
name_of(struct sweep *s, struct span head)
{
	static const char *const where[][2] = { { "Content-Disposition", "filename" }, { "Content-Type", "name" } };
	struct message scratch = { 0 };
	struct header_list headers;
	struct span body, name = SPAN("");

	headers_parse(s->t->a, &scratch, span_head(head, MAX_HEADER_LINE), &headers, &body);
	for (size_t i = 0; i < 2 && name.n == 0; i++) {
		const struct header *h = header_get(&headers, span_of(where[i][0]), 0);
		struct content c;

		if (h == NULL)
			continue;
		content_parse(s->t->a, h->raw, &c);
		name = content_param(&c, where[i][1]);
	}
	return name;
}

bool
is_file(struct span real_type)
{
	return real_type.n > 0 && !span_starts(real_type, SPAN("image/")) && !span_starts(real_type, SPAN("audio/")) &&
	    !span_starts(real_type, SPAN("text/"));
}

bool
sweep_afford(struct sweep *s, size_t bytes)
{
	if (s->left == 0 || s->left < bytes || s->t->msg->part_count >= MAX_PARTS) {
		sweep_limit(s, "readings");
		s->left = 0;
		return false;
	}
	s->left -= bytes;
	return true;
}

/* A line that begins "Content-": there may be an entity in it. (HTML says Content-Type too, but not there.) */
static bool
has_content_header(struct span data)
{
	for (size_t at = 0, hit; (hit = span_find_nocase(span_from(data, at), SPAN("content-"))) != SPAN_NONE; at += hit + 8)
		if (at + hit == 0 || data.p[at + hit - 1] == '\n' || data.p[at + hit - 1] == '\r')
			return true;
	return false;
}

/* A text by its header's words, and by its bytes: who reads the mail this way reads it. */
static enum part_kind
kind_of(struct span head, struct span data)
{
	struct span look = span_head(data, LOOK), words = span_head(head, 16 * LOOK);
	size_t odd = 0;

	for (size_t i = 0; i < look.n; i++)
		odd += (unsigned char)look.p[i] < 0x20 && !ascii_space(look.p[i]);
	if (odd * 50 > look.n || attachment_type(data).n > 0)
		return PART_ATTACHMENT;
	if (span_find_nocase(words, SPAN("text/html")) != SPAN_NONE)
		return PART_HTML;
	return span_find_nocase(words, SPAN("text/plain")) != SPAN_NONE ? PART_TEXT : PART_ATTACHMENT;
}

/* A file name that no part of the strict reading has. */
static bool
is_new_name(const struct sweep *s, struct span name)
{
	if (name_extension(name).n == 0)
		return false;
	for (size_t i = 0; i < s->strict; i++)
		if (!name_differs(s->t->msg->parts[i].file_name, name) || !name_differs(s->t->msg->parts[i].other_name, name))
			return false;
	return true;
}

void
sweep_keep(struct sweep *s, struct span head, struct span data, const char *encoding, struct span name, bool usual)
{
	struct tree *t = s->t;

	if (data.n < LEAST || is_known(s, data))
		return;
	if (s->queued < QUEUE && s->depth < DEPTH && has_content_header(span_head(data, 16 * LOOK))) {
		s->queue[s->queued].bytes = data;
		s->queue[s->queued++].depth = s->depth + 1;
	}
	int index = (int)t->msg->part_count;
	struct part *p = part_new(t, 0, 1, data);

	if (p == NULL)
		return;
	p->reading = 1;
	p->kind = kind_of(head, data);
	p->type = p->kind == PART_HTML ? SPAN("text/html") : p->kind == PART_TEXT ? SPAN("text/plain") : SPAN("application/octet-stream");
	p->encoding = span_of(encoding);
	p->disposition = p->kind == PART_ATTACHMENT ? SPAN("attachment") : SPAN("inline");
	p->data = data;
	p->file_name = name.n > 0 ? name_utf8(t->a, name) : name_of(s, head);
	attachment_read(t, index);
	p = &t->msg->parts[index];
	if (is_file(p->real_type) || is_new_name(s, p->file_name))
		note_add(t->a, t->msg, NOTE_OTHER_READING, p->file_name.n > 0 ? p->file_name : p->real_type);
	if (usual && p->kind != PART_ATTACHMENT)
		part_read_text(t, index);
}

/* Does the strict reading have this very body, or has it decoded the bytes around it, and was of one mind about it? */
static bool
read_strictly(const struct sweep *s, struct span body)
{
	size_t low = 0, high = s->sure_count;

	while (low < high) {                 /* the last that starts at or before the body */
		size_t middle = (low + high) / 2;

		if (s->sure[middle].p <= body.p)
			low = middle + 1;
		else
			high = middle;
	}
	if (low == 0)
		return false;
	const struct sure *sure = &s->sure[low - 1];

	if (body.p >= sure->p + sure->n)
		return false;
	return sure->decoded || (sure->p == body.p && sure->n <= body.n && sure->n + 2 >= body.n);
}

static int
by_start(const void *a, const void *b)
{
	const struct sure *x = a, *y = b;

	return x->p < y->p ? -1 : x->p > y->p;
}

/* Leaves of the strict reading lie beside each other, so that one search finds the only one that may hold a byte. */
static void
sort_strict(struct sweep *s)
{
	s->sure = ARENA_ARRAY(s->t->a, struct sure, s->strict + 1);
	for (size_t i = 0; i < s->strict; i++) {
		const struct part *p = &s->t->msg->parts[i];

		if (!p->doubtful && p->kind != PART_MULTIPART && (p->kind != PART_MESSAGE || p->data.p != p->raw.p))
			s->sure[s->sure_count++] = (struct sure){ p->raw.p, p->raw.n, p->data.p != p->raw.p };
	}
	qsort(s->sure, s->sure_count, sizeof *s->sure, by_start);
}

static void
add_start(size_t starts[BODIES], size_t *count, size_t at)
{
	for (size_t i = 0; i < *count; i++)
		if (starts[i] == at)
			return;
	if (*count < BODIES)
		starts[(*count)++] = at;
}

static void
sweep_segment(struct sweep *s, struct span segment)
{
	size_t starts[BODIES], count = 0, blanks = 0, last_header = SPAN_NONE, next;
	bool other = false;

	for (size_t at = 0, lines = 0; at < segment.n && lines < HEAD_LINES && blanks < 3; at = next, lines++) {
		struct span line = line_at(segment, at, &next);

		if (is_blank(line)) {
			add_start(starts, &count, next);
			blanks++;
		} else if (is_header(line)) {
			last_header = next;
		} else if (!other && blanks == 0 && !ascii_space(line.p[0])) {
			add_start(starts, &count, at);       /* the first line that is none may begin the body, or stand for the empty one */
			add_start(starts, &count, next);
			other = true;
		}
	}
	if (last_header != SPAN_NONE)
		add_start(starts, &count, last_header);
	for (size_t i = 0; i < count && s->left > 0; i++) {
		struct span body = span_from(segment, starts[i]);

		if (!read_strictly(s, body))
			sweep_body(s, span_head(segment, starts[i]), body, i > 0);
	}
}

static void
sweep_bytes(struct sweep *s, struct span bytes)
{
	size_t start = 0, next;

	for (size_t at = 0; at < bytes.n && s->left > 0; at = next) {
		struct span line = line_at(bytes, at, &next);

		if (line.n < 2 || line.p[0] != '-' || line.p[1] != '-')
			continue;
		size_t after, end = at;
		struct span following = line_at(bytes, next, &after);

		if (next < bytes.n && !is_blank(following) && !is_header(following) && !is_content(following) && !span_ends(span_trim(line), SPAN("--")))
			continue;
		if (end > start && bytes.p[end - 1] == '\n')
			end--;
		if (end > start && bytes.p[end - 1] == '\r')
			end--;
		sweep_segment(s, span_make(bytes.p + start, end - start));
		start = next;
	}
	if (s->left > 0)
		sweep_segment(s, span_from(bytes, start));
}

void
sweep_read(struct tree *t)
{
	size_t left = t->msg->raw.n * SWEEP_PER_BYTE + SWEEP_LEAST;
	struct sweep s = { .t = t, .left = left < MAX_SWEEP ? left : MAX_SWEEP, .strict = t->msg->part_count };

	sort_strict(&s);
	for (size_t i = 0; i < s.strict; i++)
		if (t->msg->parts[i].kind != PART_MULTIPART)
			is_known(&s, t->msg->parts[i].data);
	sweep_bytes(&s, t->msg->raw);
	for (size_t i = 0; i < s.strict; i++) {      /* such a file inside a transfer encoding: the raw bytes do not show it */
		const struct part *p = &t->msg->parts[i];

		if (p->blocks && p->data.p != p->raw.p && s.left > 0)
			sweep_body(&s, SPAN(""), p->data, false);
	}
	for (size_t i = 0; i < s.queued && s.left > 0; i++) {
		s.depth = s.queue[i].depth;
		sweep_bytes(&s, s.queue[i].bytes);
	}
}

/* Delimiter-like lines before a content header that no multipart of the strict reading owns: the first of them. */
struct span
sweep_foreign(const struct tree *t)
{
	struct span raw = t->msg->raw;
	size_t at = 0, owned = 0, hit;

	while ((hit = span_find(span_from(raw, at), SPAN("\n--"))) != SPAN_NONE) {
		size_t next, after;
		const char *p = raw.p + at + hit + 1;
		struct span line = line_at(raw, at + hit + 1, &next);

		at = at + hit + 1;
		while (owned < t->delimiter_count && t->delimiters[owned] < p)
			owned++;
		if (owned < t->delimiter_count && t->delimiters[owned] == p)
			continue;
		if (line.n > 2 && next < raw.n && is_content(line_at(raw, next, &after)))
			return line;
	}
	return SPAN("");
}
