#include "policyd/base/limits.h"
#include "policyd/mail/parse.h"

/* One line's end: CRLF, LF, or a bare CR that is not followed by LF. `*next` is where the next line starts. */
static size_t
line_end(struct span s, size_t at, size_t *next)
{
	size_t lf = span_find_char(span_from(s, at), '\n');

	if (lf == SPAN_NONE) {
		*next = s.n;
		return s.n;
	}
	*next = at + lf + 1;
	return lf > 0 && s.p[at + lf - 1] == '\r' ? at + lf - 1 : at + lf;
}

static bool
name_char(char c)
{
	return c > 0x20 && c < 0x7f && c != ':';
}

/* Value without folds and control characters; encoded words and 8-bit bytes as UTF-8. */
static struct span
value_of(struct arena *a, struct span raw)
{
	char *flat = arena_alloc(a, raw.n + 1);
	size_t n = 0;

	for (size_t i = 0; i < raw.n; i++) {
		char c = raw.p[i];

		if (c == '\r' || c == '\n')
			continue;
		flat[n++] = c == '\t' || c == '\0' ? ' ' : c;
	}
	return header_decode(a, span_trim(span_make(flat, n)));
}

void
headers_parse(struct arena *a, struct message *msg, struct span raw, struct header_list *out, struct span *body)
{
	size_t room = 0, at = 0;

	*out = (struct header_list){ 0 };
	while (at < raw.n) {
		size_t next, end = line_end(raw, at, &next), colon = at;

		if (end == at) {                     /* the empty line */
			at = next;
			break;
		}
		while (colon < end && name_char(raw.p[colon]))
			colon++;
		size_t name_end = colon;

		while (colon < end && (raw.p[colon] == ' ' || raw.p[colon] == '\t'))
			colon++;
		if (colon == end || raw.p[colon] != ':' || name_end == at) {
			if (at == 0 && span_starts(raw, SPAN("From "))) {    /* an mbox line */
				at = next;
				continue;
			}
			/* Not a header: the body has begun without its empty line, or it is rubbish among headers.
			 * Clients differ; headers after it still count when they look like some. */
			note_add(a, msg, NOTE_BROKEN_HEADER, span_make(raw.p + at, end - at));
			size_t peek = next, peek_end = line_end(raw, next, &peek);
			struct span following = span_make(raw.p + next, peek_end - next);
			size_t c = span_find_char(following, ':');

			msg->odd = true;
			if (raw.p[at] != ' ' && raw.p[at] != '\t' && (c == SPAN_NONE || c == 0 || c > 60))
				break;
			at = next;
			continue;
		}
		msg->odd |= colon > name_end;        /* "Name :" is a header to most, not to all */
		for (size_t i = at; i < name_end; i++)
			msg->odd |= !ascii_alnum(raw.p[i]) && raw.p[i] != '-' && raw.p[i] != '_' && raw.p[i] != '.';      /* "Content-Type(x):" */
		while (next < raw.n && (raw.p[next] == ' ' || raw.p[next] == '\t')) {     /* folds */
			size_t fold = next, fold_end = line_end(raw, next, &next);

			if (span_trim(span_make(raw.p + fold, fold_end - fold)).n == 0)
				msg->odd = true;     /* a fold of blanks only is an empty line to some */

			end = fold_end;
		}
		if (out->count >= MAX_HEADERS || at > MAX_HEADER_BYTES) {
			note_add(a, msg, NOTE_LIMIT, SPAN("headers"));
			at = next;
			continue;
		}
		ARENA_PUSH(a, out->at, out->count, room);
		struct header *h = &out->at[out->count++];

		h->name = span_make(raw.p + at, name_end - at);
		h->raw = span_head(span_make(raw.p + colon + 1, end - colon - 1), MAX_HEADER_LINE);
		h->value = value_of(a, h->raw);
		msg->odd |= (size_t)(end - colon - 1) > h->raw.n;
		at = next;
	}
	*body = span_from(raw, at);
}

const struct header *
header_get(const struct header_list *headers, struct span name, size_t nth)
{
	for (size_t i = 0; i < headers->count; i++)
		if (span_eq_nocase(headers->at[i].name, name) && nth-- == 0)
			return &headers->at[i];
	return NULL;
}

struct span
header_value(const struct header_list *headers, const char *name)
{
	const struct header *h = header_get(headers, span_of(name), 0);

	return h ? h->value : SPAN("");
}
