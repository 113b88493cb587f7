/* mime.c - the part tree of a mail by the strict reading, its decoded parts, and what is read from them.
 *
 * A work list instead of recursion: a multipart adds its children to the end of the array, and message_parse gets there.
 * Each byte is searched for boundaries once a level, and levels are bounded, so the work is linear in the mail. */
#include "policyd/base/limits.h"
#include "policyd/base/utf8.h"
#include "policyd/mail/decode_odd.h"
#include "policyd/mail/parse.h"

enum { BARE_LOOK = 4096, BARE_LEAST = 24, OUTSIDE = 128 };

struct part *
part_new(struct tree *t, int parent, int depth, struct span raw)
{
	struct message *msg = t->msg;

	if (msg->part_count >= MAX_PARTS || depth > MAX_PART_DEPTH) {
		note_add(t->a, msg, NOTE_LIMIT, msg->part_count >= MAX_PARTS ? SPAN("parts") : SPAN("depth"));
		return NULL;
	}
	ARENA_PUSH(t->a, msg->parts, msg->part_count, t->room);
	struct part *p = &msg->parts[msg->part_count++];

	*p = (struct part){ .parent = parent, .depth = depth, .raw = raw };
	return p;
}

/* A delimiter line of `boundary` at `line`: 1 the next part, 2 the end, 0 neither. */
static int
delimiter(struct span line, struct span boundary)
{
	if (!span_starts(line, SPAN("--")) || !span_starts(span_from(line, 2), boundary))
		return 0;
	struct span rest = span_from(line, 2 + boundary.n);

	if (span_starts(rest, SPAN("--")))
		return 2;
	return span_trim(rest).n == 0 ? 1 : 0;
}

/* Children of a multipart: what stands between its delimiter lines. Without an end, the last one runs to the end. False: there
 * is no delimiter. */
static bool
split(struct tree *t, int index, struct span raw, struct span boundary)
{
	int depth = t->msg->parts[index].depth + 1;
	size_t start = SPAN_NONE, at = 0;
	bool ended = false;

	while (at < raw.n && !ended) {
		size_t lf = span_find_char(span_from(raw, at), '\n');
		size_t next = lf == SPAN_NONE ? raw.n : at + lf + 1, end = at;
		int kind = delimiter(span_make(raw.p + at, next - at), boundary);

		if (kind > 0) {
			ARENA_PUSH(t->a, t->delimiters, t->delimiter_count, t->delimiter_room);
			t->delimiters[t->delimiter_count++] = raw.p + at;
			if (start != SPAN_NONE) {
				if (end > start && raw.p[end - 1] == '\n')
					end--;       /* the line end before the delimiter is its own */
				if (end > start && raw.p[end - 1] == '\r')
					end--;
				if (part_new(t, index, depth, span_make(raw.p + start, end - start)) == NULL)
					return true;
			} else {
				t->msg->odd |= at > OUTSIDE;         /* a preamble that may be more than a greeting */
			}
			start = next;
			ended = kind == 2;
		}
		at = next;
	}
	if (start == SPAN_NONE)
		return false;
	t->msg->odd |= ended && span_trim(span_from(raw, start)).n > OUTSIDE;
	if (!ended && start < raw.n) {
		note_add(t->a, t->msg, NOTE_BROKEN_BOUNDARY, SPAN("no closing delimiter"));
		part_new(t, index, depth, span_make(raw.p + start, raw.n - start));
	}
	return true;
}

/* A multipart in which there is no part: clients show what stands there as a text. */
static void
read_undelimited(struct tree *t, int index)
{
	t->msg->parts[index].kind = PART_TEXT;
	part_read_text(t, index);
}

/* RFC 2045, 6.4 forbids to encode a multipart as a whole; some clients decode it all the same, some do not. */
static void
read_multipart(struct tree *t, int index, struct span boundary)
{
	struct part *p = &t->msg->parts[index];
	struct span raw = p->raw, data = p->data;

	t->msg->odd |= data.p != raw.p;
	if (split(t, index, raw, boundary))
		return;
	if (data.p != raw.p && split(t, index, data, boundary)) {
		note_add(t->a, t->msg, NOTE_AMBIGUOUS_ENCODING, t->msg->parts[index].encoding);
		return;
	}
	note_add(t->a, t->msg, NOTE_BROKEN_BOUNDARY, boundary);
	t->undelimited = true;
	read_undelimited(t, index);
}

static struct span
first_value(const struct header_list *headers, const char *name)
{
	const struct header *h = header_get(headers, span_of(name), 0);

	return h ? h->raw : SPAN("");
}

static void
note_duplicates(struct tree *t, const struct header_list *headers)
{
	static const struct { const char *name; enum mail_note note; } once[] = {
		{ "Content-Type", NOTE_AMBIGUOUS_TYPE }, { "Content-Transfer-Encoding", NOTE_AMBIGUOUS_ENCODING },
	};

	for (size_t i = 0; i < sizeof once / sizeof *once; i++) {
		const struct header *first = header_get(headers, span_of(once[i].name), 0), *more;

		for (size_t n = 1; first && (more = header_get(headers, span_of(once[i].name), n)) != NULL; n++) {
			t->msg->odd = true;
			if (!span_eq_nocase(more->value, first->value))
				note_add(t->a, t->msg, once[i].note, more->value);
		}
	}
}

/* A file, or what claims to be one: there every byte counts. In a text people read past what does not decode. */
static bool
is_file_part(const struct part *p)
{
	return p->file_name.n > 0 || (p->kind == PART_ATTACHMENT && !span_starts(p->type, SPAN("text/"))) || attachment_type(p->data).n > 0;
}

/* Every client skips what is no letter and stops at the end; junk inside, or data behind padding, parts their ways. */
static void
doubt_base64(struct tree *t, struct part *p)
{
	p->doubtful = t->msg->odd = true;
	note_add(t->a, t->msg, NOTE_BROKEN_BASE64, p->file_name);
	if (is_file_part(p))
		note_add(t->a, t->msg, NOTE_AMBIGUOUS_ENCODING, p->file_name.n > 0 ? p->file_name : p->type);
}

static void
doubt_quoted(struct tree *t, struct part *p)
{
	p->doubtful = t->msg->odd = true;
	note_add(t->a, t->msg, NOTE_BROKEN_QP, p->file_name);
	if (is_file_part(p) && !span_starts(p->type, SPAN("text/")))
		note_add(t->a, t->msg, NOTE_AMBIGUOUS_ENCODING, p->file_name.n > 0 ? p->file_name : p->type);
}

static bool
is_identity(struct span encoding)
{
	return span_eq(encoding, SPAN("7bit")) || span_eq(encoding, SPAN("8bit")) || span_eq(encoding, SPAN("binary"));
}

/* Letters of base64 and line ends, as far as one looks, and too many for a word; in a file some junk among them too. */
static bool
is_bare_base64(struct span body, bool file)
{
	size_t letters = 0, others = 0;

	body = span_head(body, BARE_LOOK);
	for (size_t i = 0; i < body.n; i++) {
		char c = body.p[i];

		if (ascii_alnum(c) || c == '+' || c == '/' || c == '=')
			letters++;
		else if (c != '\r' && c != '\n')
			others++;
	}
	return letters >= BARE_LEAST && (others == 0 || (file && others * 4 < letters));
}

/* Something in it may be a file in a coding of its own. */
static bool
holds_block(struct span data)
{
	return span_find(data, SPAN("=ybegin ")) != SPAN_NONE || span_find(data, SPAN("(This file must be converted with BinHex")) != SPAN_NONE;
}

static void
decode_body(struct tree *t, struct part *p)
{
	bool broken = false;

	p->data = p->raw;
	if (span_eq(p->encoding, SPAN("base64"))) {
		p->data = decode_base64(t->a, p->raw, &broken);
		if (broken)
			doubt_base64(t, p);
	} else if (span_eq(p->encoding, SPAN("quoted-printable"))) {
		p->data = decode_quoted(t->a, p->raw, false, &broken);
		if (broken)
			doubt_quoted(t, p);
		else if (is_bare_base64(p->raw, false))
			p->doubtful = t->msg->odd = true;
	} else if (span_eq(p->encoding, SPAN("x-uuencode")) || span_eq(p->encoding, SPAN("uuencode"))) {
		struct span name, data;
		size_t at = 0;

		p->doubtful = t->msg->odd = true;    /* "begin" may be missing, several files may follow each other */
		if (decode_uu_next(t->a, p->raw, &at, &name, &data)) {
			p->data = data;
			if (p->file_name.n == 0)
				p->file_name = name_utf8(t->a, name);
		}
	} else if (p->encoding.n == 0 || is_identity(p->encoding)) {
		if (p->kind != PART_MULTIPART && p->kind != PART_MESSAGE &&
		    (is_bare_base64(p->raw, p->kind == PART_ATTACHMENT) || looks_uu(p->raw)))
			p->doubtful = t->msg->odd = true;    /* some decode what nobody has declared */
	} else {
		p->doubtful = t->msg->odd = true;    /* a name of no encoding: some guess, some show the bytes */
		if (is_file_part(p))
			note_add(t->a, t->msg, NOTE_AMBIGUOUS_ENCODING, p->encoding);
	}
}

/* uuencoded files in the middle of a text are attachments to every client that shows them. */
static void
add_uuencoded(struct tree *t, int index)
{
	struct span name, data, text = t->msg->parts[index].data;
	int depth = t->msg->parts[index].depth + 1;
	size_t at = 0;

	if (span_find(text, SPAN("begin ")) == SPAN_NONE)
		return;
	while (decode_uu_next(t->a, text, &at, &name, &data)) {
		struct part *p = part_new(t, index, depth, data);

		if (p == NULL)
			return;
		p->kind = PART_ATTACHMENT;
		p->type = SPAN("application/octet-stream");
		p->encoding = SPAN("x-uuencode");
		p->disposition = SPAN("attachment");
		p->file_name = name_utf8(t->a, name);
		p->data = data;
	}
}

void
part_read_text(struct tree *t, int index)
{
	struct part *p = &t->msg->parts[index];
	bool unknown, wrong;
	struct span charset = p->charset.n == 0 && p->kind == PART_HTML ? charset_of_html(p->data) : p->charset;
	struct span utf8 = charset_to_utf8(t->a, span_head(p->data, MAX_HTML), charset, &unknown, &wrong);

	if (unknown)
		note_add(t->a, t->msg, NOTE_CHARSET_UNKNOWN, charset);
	if (wrong)
		note_add(t->a, t->msg, NOTE_CHARSET_WRONG, charset);
	if (p->kind == PART_TEXT) {
		p->text = utf8_head(utf8, MAX_TEXT);
		if (span_eq(p->type, SPAN("text/calendar")))
			links_of_calendar(t->a, t->msg, p->text, index);
		else
			links_of_text(t->a, t->msg, p->text, LINK_TEXT, index);
		add_uuencoded(t, index);
		return;
	}
	struct html_result html;

	html_read(t->a, t->msg, utf8, index, &html);
	p = &t->msg->parts[index];
	p->text = html.visible;
	p->hidden = html.hidden;
	if (html.smuggling)
		note_add(t->a, t->msg, NOTE_HTML_SMUGGLING, p->file_name);
	if (html.image_only)
		note_add(t->a, t->msg, NOTE_IMAGE_ONLY, SPAN(""));
}

/* RFC 2046, 5.1.5: in a digest what says nothing is a message. */
static struct span
default_type(const struct tree *t, const struct part *p)
{
	bool digest = p->parent >= 0 && span_eq(t->msg->parts[p->parent].type, SPAN("multipart/digest"));

	return digest ? SPAN("message/rfc822") : SPAN("text/plain");
}

static void
read_headers(struct tree *t, struct part *p, struct content *type)
{
	struct content disposition;
	struct span encoding = header_value(&p->headers, "Content-Transfer-Encoding");
	const struct header *typed = header_get(&p->headers, SPAN("Content-Type"), 0);

	content_parse(t->a, first_value(&p->headers, "Content-Type"), type);
	content_parse(t->a, first_value(&p->headers, "Content-Disposition"), &disposition);
	const struct param *boundary = content_find(type, "boundary");

	if (boundary && boundary->duplicate)
		note_add(t->a, t->msg, NOTE_AMBIGUOUS_BOUNDARY, typed->value);
	if (type->over || disposition.over)
		note_add(t->a, t->msg, NOTE_LIMIT, SPAN("parameters"));
	p->type = type->value.n > 0 && span_find_char(type->value, '/') != SPAN_NONE ? type->value : default_type(t, p);
	p->charset = content_param(type, "charset");
	struct content encoded;

	t->msg->odd |= type->odd || disposition.odd;

	content_parse(t->a, encoding, &encoded);     /* lower case, comments off */
	p->encoding = encoded.value;
	p->doubtful |= type->odd || encoded.odd || !span_eq_nocase(encoded.value, span_trim(encoding));
	t->msg->odd |= p->doubtful;
	p->disposition = disposition.value;
	names_read(t->a, t->msg, p, type, &disposition);
	note_duplicates(t, &p->headers);
}

/* What the part is, by its header. A text with a file name and "attachment" is still read as text. */
static enum part_kind
kind_of(const struct part *p)
{
	static const char *const messages[] = { "message/rfc822", "message/global", "message/news", "message/partial",
	    "message/external-body", "message/rfc2822", "message" };

	if (span_starts(p->type, SPAN("multipart/")))
		return PART_MULTIPART;
	for (size_t i = 0; i < sizeof messages / sizeof *messages; i++)
		if (span_eq(p->type, span_of(messages[i])))
			return PART_MESSAGE;
	if (span_eq(p->type, SPAN("text/html")) || span_eq(p->type, SPAN("text/x-amp-html")) || span_eq(p->type, SPAN("application/xhtml+xml")))
		return PART_HTML;
	if (span_eq(p->type, SPAN("text/plain")) || span_eq(p->type, SPAN("text/calendar")) || (span_starts(p->type, SPAN("text/")) && p->file_name.n == 0))
		return PART_TEXT;
	if (span_ends_nocase(p->file_name, SPAN(".html")) || span_ends_nocase(p->file_name, SPAN(".htm")))
		return PART_HTML;
	return PART_ATTACHMENT;
}

/* "forwarded.eml" as octets, a web archive, a saved mail under a name of another kind: who opens it sees a mail. */
static bool
holds_message(const struct part *p)
{
	static const char *const starts[] = { "MIME-Version:", "Received:", "Return-Path:", "Message-ID:", "From: ", "Content-Type:" };
	struct span ext = name_extension(p->file_name);

	if (span_eq_nocase(ext, SPAN("eml")) || span_eq_nocase(ext, SPAN("mht")) || span_eq_nocase(ext, SPAN("mhtml")))
		return p->real_type.n == 0;
	for (size_t i = 0; i < sizeof starts / sizeof *starts; i++)
		if (span_starts_nocase(p->data, span_of(starts[i])))
			return true;
	return false;
}

void
part_read(struct tree *t, int index)
{
	struct part *p = &t->msg->parts[index];
	struct content type;
	struct span body;

	if (p->type.n > 0) {                 /* made by us, whole: a uuencoded file */
		attachment_read(t, index);
		return;
	}
	bool odd_before = t->msg->odd;

	t->msg->odd = false;
	headers_parse(t->a, t->msg, p->raw, &p->headers, &body);
	p->doubtful = t->msg->odd;           /* clients may take other lines for headers, and find another body */
	t->msg->odd |= odd_before;
	if (index == 0)
		t->msg->headers = p->headers;
	p->raw = body;
	read_headers(t, p, &type);
	p->kind = kind_of(p);
	if (span_eq(p->type, SPAN("message/partial")))
		note_add(t->a, t->msg, NOTE_PARTIAL, SPAN(""));
	if (span_eq(p->type, SPAN("message/external-body")))
		note_add(t->a, t->msg, NOTE_EXTERNAL_BODY, SPAN(""));
	if (span_eq(p->type, SPAN("application/mac-binhex40"))) {
		note_add(t->a, t->msg, NOTE_BINHEX, p->file_name);
		p->doubtful = t->msg->odd = true;
	}
	decode_body(t, p);
	if ((p->kind == PART_TEXT || p->kind == PART_HTML || (p->kind == PART_ATTACHMENT && p->data.p == p->raw.p)) && holds_block(p->data))
		p->doubtful = p->blocks = t->msg->odd = true;
	switch (p->kind) {
	case PART_MULTIPART: {
		struct span boundary = content_param(&type, "boundary");

		if (boundary.n > 0) {
			read_multipart(t, index, boundary);
		} else {
			note_add(t->a, t->msg, NOTE_BROKEN_BOUNDARY, SPAN("none given"));
			read_undelimited(t, index);
		}
		break;
	}
	case PART_MESSAGE:
		part_new(t, index, p->depth + 1, p->data);
		break;
	case PART_TEXT:
	case PART_HTML:
		part_read_text(t, index);
		attachment_read(t, index);
		break;
	case PART_ATTACHMENT:
		attachment_read(t, index);
		if (holds_message(&t->msg->parts[index]))
			part_new(t, index, t->msg->parts[index].depth + 1, t->msg->parts[index].data);
		break;
	}
}
