/* structure.c - the shape of a mail: links, parts, markup, letter classes, order of headers, who claims to have sent it. */
#include <stdlib.h>

#include "policyd/model/features.h"

enum { LINKS_READ = 40, TAGS_READ = 400, SHAPE_MOST = 48, PATH_WORDS = 8 };

static unsigned long
log2_of(size_t n)
{
	unsigned long bits = 0;

	while (n > 1) {
		n >>= 1;
		bits++;
	}
	return bits;
}

/* "Re: 50% OFF" -> "Aa: 0% A": letters, digits, bytes above ASCII as classes, runs collapsed. */
static struct span
shape_of(struct span s, char out[SHAPE_MOST])
{
	size_t n = 0;
	char last = 0;

	for (size_t i = 0; i < s.n && n < SHAPE_MOST; i++) {
		unsigned char c = (unsigned char)s.p[i];
		char k = c >= 'A' && c <= 'Z' ? 'A' : c >= 'a' && c <= 'z' ? 'a' : c >= '0' && c <= '9' ? '0' : c >= 0x80 ? 'h' : (char)c;

		if (k != last)
			out[n++] = k;
		last = k;
	}
	return span_make(out, n);
}

static struct span
tld_of(struct span host)
{
	size_t dot = span_find_last(host, '.');

	return dot == SPAN_NONE ? host : span_from(host, dot + 1);
}

static size_t
count_char(struct span s, char c)
{
	size_t n = 0;

	for (size_t i = 0; i < s.n; i++)
		n += s.p[i] == c;
	return n;
}

static size_t
count_digits(struct span s)
{
	size_t n = 0;

	for (size_t i = 0; i < s.n; i++)
		n += s.p[i] >= '0' && s.p[i] <= '9';
	return n;
}

static void
path_features(struct feature_maker *m, struct span path)
{
	size_t query = span_find_char(path, '?');
	struct span rest = query == SPAN_NONE ? path : span_head(path, query);

	feature_number(m, true, "url-path-len", log2_of(path.n + 1));
	feature_number(m, true, "url-query", query != SPAN_NONE);
	size_t dot = span_find_last(rest, '.');

	if (dot != SPAN_NONE && rest.n - dot < 8)
		feature_add(m, true, "url-ext", span_from(rest, dot + 1));
	for (int i = 0; rest.n > 0 && i < PATH_WORDS; i++) {
		struct span word = span_cut(&rest, '/');

		if (word.n > 0 && word.n < 24)
			feature_add(m, true, "url-word", word);
	}
}

static void
link_features(struct feature_maker *m, const struct message *msg)
{
	size_t mismatches = 0;

	for (size_t i = 0; i < msg->link_count && i < LINKS_READ; i++) {
		const struct link *l = &msg->links[i];
		struct span host = l->host, first = span_cut(&host, '.');

		feature_add(m, true, "url-host", l->host);
		feature_add(m, true, "url-domain", l->domain);
		feature_add(m, true, "url-tld", tld_of(l->host));
		feature_add(m, true, "url-label", first);
		feature_number(m, true, "url-digits", log2_of(count_digits(l->host) + 1));
		feature_number(m, true, "url-dots", count_char(l->host, '.'));
		feature_number(m, true, "url-len", log2_of(l->host.n));
		feature_add(m, true, "url-source", span_of(link_source_names[l->source]));
		if (l->is_ip) {
			size_t dot = span_find_last(l->host, '.');

			feature_add(m, true, "url-net", dot == SPAN_NONE ? l->host : span_head(l->host, dot));
		}
		if (l->port)
			feature_number(m, true, "url-port", l->port);
		if (l->has_user)
			feature_number(m, true, "url-user", 1);
		mismatches += l->mismatch;
		path_features(m, l->path);
	}
	feature_number(m, true, "urls", log2_of(msg->link_count + 1));
	feature_number(m, true, "url-mismatch", log2_of(mismatches + 1));
}

static void
part_features(struct feature_maker *m, const struct message *msg)
{
	char tree[64];
	size_t n = 0;

	for (size_t i = 0; i < msg->strict_count && i < 30; i++) {
		const struct part *p = &msg->parts[i];
		size_t dot = span_find_last(p->file_name, '.');
		char shape[SHAPE_MOST];

		feature_add(m, true, "part-type", p->type);
		feature_add(m, true, "part-charset", p->charset);
		feature_add(m, true, "part-encoding", p->encoding);
		feature_add(m, true, "part-disposition", p->disposition);
		feature_number(m, true, "part-size", log2_of(p->data.n + 1));
		feature_add(m, true, "part-real", p->real_type);
		if (p->file_name.n > 0) {
			feature_add(m, true, "file-ext", dot == SPAN_NONE ? SPAN("none") : span_from(p->file_name, dot + 1));
			feature_add(m, true, "file-shape", shape_of(p->file_name, shape));
		}
		if (n + 2 < sizeof tree) {
			tree[n++] = (char)('a' + (p->depth < 20 ? p->depth : 20));
			tree[n++] = (char)('0' + p->kind);
		}
	}
	feature_add(m, true, "tree", span_make(tree, n));
	feature_number(m, true, "parts", msg->strict_count < 20 ? msg->strict_count : 20);
	for (size_t i = 0; i < msg->note_count; i++)
		feature_add(m, true, "note", span_of(mail_note_names[msg->notes[i].what]));
	for (size_t i = 0; i < msg->entry_count && i < 20; i++)
		feature_add(m, true, "entry-ext", tld_of(msg->entries[i].name));
}

/* Names of the first tags, alone and in twos and threes, and their attributes. */
static void
html_features(struct feature_maker *m, struct span html)
{
	struct span last = SPAN(""), before = SPAN("");
	char gram[96];
	int tags = 0;

	for (size_t i = 0; i < html.n && tags < TAGS_READ; i++) {
		if (html.p[i] != '<')
			continue;
		size_t end = i + 1;

		while (end < html.n && end - i < 16 && (ascii_alnum(html.p[end]) || html.p[end] == '/' || html.p[end] == '!'))
			end++;
		struct span tag = span_make(html.p + i + 1, end - i - 1);

		if (tag.n == 0)
			continue;
		tags++;
		feature_add(m, true, "tag", tag);
		size_t n = 0;
		const struct span gram_parts[3] = { before, last, tag };

		for (int k = 0; k < 3; k++) {
			struct span t = span_head(gram_parts[k], 16);

			memcpy(gram + n, t.p ? t.p : "", t.n);
			n += t.n;
			gram[n++] = '>';
		}
		feature_add(m, true, "tag3", span_make(gram, n));
		feature_add(m, true, "tag2", span_make(gram + before.n + 1, n - before.n - 1));
		before = span_head(last, 16);
		last = span_head(tag, 16);
		/* attributes as written: tag.name=value, 24 bytes of it */
		while (end < html.n && html.p[end] != '>') {
			while (end < html.n && (ascii_space(html.p[end]) || html.p[end] == '/'))
				end++;
			size_t start = end;

			while (end < html.n && html.p[end] != '>' && !ascii_space(html.p[end]))
				end++;
			if (end > start)
				feature_add(m, true, "attr", span_head(span_make(html.p + start, end - start), 24));
			if (end - i > 2000)
				break;
		}
		i = end;
	}
	feature_number(m, true, "tags", log2_of((size_t)tags + 1));
}

static void
letter_features(struct feature_maker *m, const struct message *msg)
{
	size_t upper = 0, lower = 0, digit = 0, high = 0, markup = 0;
	struct span text = span_head(msg->text, 20000);

	for (size_t i = 0; i < text.n; i++) {
		unsigned char c = (unsigned char)text.p[i];

		upper += c >= 'A' && c <= 'Z';
		lower += c >= 'a' && c <= 'z';
		digit += c >= '0' && c <= '9';
		high += c >= 0x80;
	}
	for (size_t i = 0; i < msg->part_count; i++)
		if (msg->parts[i].kind == PART_HTML)
			markup += msg->parts[i].data.n;
	size_t all = upper + lower + digit + high + 1;

	feature_number(m, true, "upper", upper * 16 / all);
	feature_number(m, true, "digit", digit * 16 / all);
	feature_number(m, true, "high", high * 8 / all);
	feature_number(m, true, "text-size", log2_of(msg->text.n + 1));
	feature_number(m, true, "markup", log2_of(markup / (text.n + 1) + 1));
	feature_number(m, true, "hidden", log2_of(msg->hidden.n + 1));
	feature_add(m, true, "language", span_of(msg->language));
}

static struct address
address_of(struct arena *a, const struct message *msg, const char *name)
{
	const struct header *h = header_get(&msg->headers, span_of(name), 0);
	struct address *list;

	if (h && addresses_parse(a, h->raw, &list) > 0)
		return list[0];
	return (struct address){ 0 };
}

static void
sender_features(struct feature_maker *m, struct arena *a, const struct message *msg)
{
	static const char *const names[] = { "From", "Reply-To", "Return-Path", "To", "Sender" };
	struct span from = msg->from.domain, id = header_value(&msg->headers, "Message-ID");
	char shape[SHAPE_MOST];
	size_t at = span_find_last(id, '@');
	struct span id_host = at == SPAN_NONE ? SPAN("") : span_from(id, at + 1);

	if (id_host.n > 0 && id_host.p[id_host.n - 1] == '>')
		id_host.n--;
	for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
		struct address one = address_of(a, msg, names[i]);
		char view[32] = "domain-";

		memcpy(view + 7, names[i], strlen(names[i]) + 1);
		feature_add(m, i < 2, view, one.domain);
		feature_add(m, i < 2, view, tld_of(one.domain));
		if (i > 0)
			feature_number(m, true, view, 10 + span_eq(one.domain, from) + 2 * (one.addr.n == 0));
	}
	feature_add(m, false, "id-domain", id_host);
	feature_number(m, true, "id-is-from", span_eq_nocase(id_host, from));
	feature_add(m, true, "shape-from", shape_of(header_value(&msg->headers, "From"), shape));
	feature_add(m, true, "shape-subject", shape_of(msg->subject, shape));
	feature_add(m, true, "shape-date", shape_of(header_value(&msg->headers, "Date"), shape));
	feature_add(m, true, "shape-id", shape_of(id, shape));
	feature_add(m, true, "shape-local", shape_of(msg->from.local, shape));
	feature_add(m, true, "mailer", span_head(header_value(&msg->headers, "X-Mailer"), 24));
	feature_add(m, true, "agent", span_head(header_value(&msg->headers, "User-Agent"), 24));
}

static void
date_features(struct feature_maker *m, const struct message *msg)
{
	struct span date = header_value(&msg->headers, "Date");
	size_t colon = span_find_char(date, ':'), zone = span_find_last(date, '+');

	if (zone == SPAN_NONE)
		zone = span_find_last(date, '-');
	if (colon != SPAN_NONE && colon >= 2)
		feature_add(m, true, "hour", span_make(date.p + colon - 2, 2));
	if (zone != SPAN_NONE)
		feature_add(m, true, "zone", span_head(span_from(date, zone), 5));
}

/* Whom the MTAs before us saw. */
static void
received_features(struct feature_maker *m, const struct message *msg)
{
	unsigned long hops = 0;

	for (size_t i = 0; i < msg->headers.count; i++) {
		const struct header *h = &msg->headers.at[i];
		struct span v = span_head(h->value, 500);

		if (!span_eq_nocase(h->name, SPAN("Received")))
			continue;
		hops++;
		size_t from = span_find(v, SPAN("from ")), open = span_find_char(v, '['), with = span_find(v, SPAN(" with "));

		if (from != SPAN_NONE) {
			struct span rest = span_from(v, from + 5);

			feature_add(m, false, "helo", domain_registrable(span_cut(&rest, ' ')));
		}
		if (open != SPAN_NONE) {
			struct span rest = span_from(v, open + 1), ip = span_cut(&rest, ']');

			for (size_t dot = span_find_last(ip, '.'); dot != SPAN_NONE && ip.n < 16; dot = span_find_last(ip, '.')) {
				ip = span_head(ip, dot);
				feature_add(m, false, "net", ip);
			}
		}
		if (with != SPAN_NONE) {
			struct span rest = span_from(v, with + 6);

			feature_add(m, false, "with", span_cut(&rest, ' '));
		}
	}
	feature_number(m, false, "hops", hops);
}

/* Which headers, and in which order: programs have habits. */
static void
order_features(struct feature_maker *m, const struct message *msg)
{
	static const char *const usual[] = { "Date", "Message-ID", "To", "Subject", "From", "MIME-Version", "Cc", "Received",
	    "List-Id", "List-Unsubscribe", "In-Reply-To", "References", "Precedence", "DKIM-Signature" };
	uint64_t last = 0, before = 0;

	for (size_t i = 0; i < msg->headers.count && i < 80; i++) {
		struct span name = msg->headers.at[i].name;
		uint64_t h = span_hash(name, 23);
		uint64_t gram[3] = { before, last, h };

		feature_add(m, true, "header", name);
		feature_add(m, false, "header3", span_make(gram, sizeof gram));
		feature_add(m, false, "header2", span_make(gram + 1, 2 * sizeof *gram));
		before = last;
		last = h;
	}
	for (size_t i = 0; i < sizeof usual / sizeof *usual; i++)
		if (header_get(&msg->headers, span_of(usual[i]), 0) == NULL)
			feature_add(m, true, "missing", span_of(usual[i]));
}

void
structure_extract(struct feature_maker *m, struct arena *a, const struct message *msg)
{
	link_features(m, msg);
	part_features(m, msg);
	for (size_t i = 0; i < msg->part_count; i++)
		if (msg->parts[i].kind == PART_HTML) {
			html_features(m, span_head(msg->parts[i].data, 20000));
			break;
		}
	letter_features(m, msg);
	sender_features(m, a, msg);
	date_features(m, msg);
	received_features(m, msg);
	order_features(m, msg);
}
