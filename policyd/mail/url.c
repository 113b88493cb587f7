/* url.c - links as a browser would follow them: obfuscations undone, host folded, registrable domain known. */
#include <stdio.h>
#include <stdlib.h>

#include "policyd/base/limits.h"
#include "policyd/base/utf8.h"
#include "policyd/mail/parse.h"

enum { MAX_NESTED = 4 };                     /* links inside of one link that are followed */

const char *const link_source_names[LINK__COUNT] = {
	[LINK_TEXT] = "text", [LINK_HTML] = "html", [LINK_FORM] = "form", [LINK_REFRESH] = "refresh", [LINK_CSS] = "css",
	[LINK_IMAGE] = "image", [LINK_CALENDAR] = "calendar", [LINK_PDF] = "pdf", [LINK_DOCUMENT] = "document",
};

static bool
good_host(struct span host)
{
	if (host.n == 0 || host.n > MAX_HOST_NAME)
		return false;
	for (size_t i = 0; i < host.n; i++)
		if (!ascii_alnum(host.p[i]) && host.p[i] != '.' && host.p[i] != '-' && host.p[i] != '_' && host.p[i] != ':' &&
		    host.p[i] != '[' && host.p[i] != ']')
			return false;
	return true;
}

/* The domain a text shows to a reader: "bank.example" in "Log in at www.bank.example". Empty if it shows none. */
static struct span
shown_domain(struct arena *a, struct span shown)
{
	struct span best = SPAN("");

	shown = text_plain(a, shown);
	while (shown.n > 0) {
		struct span word = span_cut(&shown, ' ');
		size_t scheme = span_find(word, SPAN("://")), n = 0;

		if (scheme != SPAN_NONE)
			word = span_from(word, scheme + 3);
		while (n < word.n && (ascii_alnum(word.p[n]) || word.p[n] == '.' || word.p[n] == '-' || (unsigned char)word.p[n] >= 0x80))
			n++;
		if (n < word.n && word.p[n] == '@')
			continue;                    /* an address, not a place */
		struct span host = span_head(word, n);

		while (host.n > 0 && host.p[host.n - 1] == '.')
			host.n--;
		size_t dot = span_find_last(host, '.');

		if (dot == SPAN_NONE || dot == 0 || host.n - dot < 3)
			continue;
		host = host_clean(a, host);
		if (host_has_suffix(host))
			best = domain_registrable(host);
	}
	return best;
}

/* Tabs and line ends are dropped, backslashes are slashes, as browsers have it. */
static struct span
flattened(struct arena *a, struct span raw)
{
	char *p = arena_alloc(a, raw.n + 1);
	size_t n = 0;

	for (size_t i = 0; i < raw.n; i++)
		if (raw.p[i] != '\r' && raw.p[i] != '\n' && raw.p[i] != '\t')
			p[n++] = raw.p[i] == '\\' ? '/' : raw.p[i];
	return span_make(p, n);
}

static bool
is_web(struct span scheme)
{
	return span_eq_nocase(scheme, SPAN("http")) || span_eq_nocase(scheme, SPAN("https")) || span_eq_nocase(scheme, SPAN("ftp"));
}

/* "http:" off the front; false when it is another scheme, or none: then `*rest` is all. */
static bool
cut_scheme(struct span url, struct span *scheme, struct span *rest)
{
	size_t colon = span_find_char(span_head(url, 24), ':');

	*rest = url;
	*scheme = SPAN("");
	if (colon == SPAN_NONE)
		return false;
	struct span name = span_head(url, colon);

	/* "ht%74p:" and invisible characters inside are not undone by browsers, but cost nothing to be read */
	if (!is_web(name))
		return false;
	*scheme = name;
	*rest = span_from(url, colon + 1);
	return true;
}

static bool
has_other_scheme(struct span url)
{
	for (size_t i = 0; i < url.n && i < 24; i++) {
		if (url.p[i] == ':')
			return i > 1;
		if (!ascii_alnum(url.p[i]) && url.p[i] != '+' && url.p[i] != '-')
			return false;
	}
	return false;
}

static struct span
without_slashes(struct span s)
{
	while (s.n > 0 && s.p[0] == '/')
		s = span_from(s, 1);
	return s;
}

/* "login.php" under <base href="http://evil.example/x/">; empty without a base. */
static struct span
resolved(struct arena *a, struct span base, struct span relative)
{
	struct span scheme, rest;

	base = flattened(a, span_head(span_trim(base), MAX_LINK));
	if (!cut_scheme(base, &scheme, &rest) || relative.n == 0 || relative.p[0] == '#')
		return SPAN("");
	rest = without_slashes(rest);
	size_t end = 0;

	while (end < rest.n && rest.p[end] != '/' && rest.p[end] != '?' && rest.p[end] != '#')
		end++;
	return arena_printf(a, SPAN_FMT "://" SPAN_FMT "/" SPAN_FMT, SPAN_ARG(scheme), SPAN_ARG(span_head(rest, end)), SPAN_ARG(without_slashes(relative)));
}

/* "user@host:80" to host and port. */
static void
read_authority(struct arena *a, struct span authority, struct link *link)
{
	size_t at = span_find_last(authority, '@'), port;

	link->has_user = at != SPAN_NONE;
	if (link->has_user)
		authority = span_from(authority, at + 1);
	port = span_find_last(authority, ':');
	if (port != SPAN_NONE && authority.n > 0 && authority.p[authority.n - 1] != ']') {
		uint64_t number;

		if (span_u64(span_from(authority, port + 1), &number) && number < 65536)
			link->port = (uint16_t)number;
		authority = span_head(authority, port);
	}
	link->host = host_clean(a, authority);
	if (!good_host(link->host) && ascii_length(authority) < authority.n)       /* text that goes on behind the name */
		link->host = host_clean(a, span_head(authority, ascii_length(authority)));
}

static bool
read_host(struct arena *a, struct link *link)
{
	struct span dotted;

	if (!good_host(link->host))
		return false;
	if (host_is_odd_ip(a, link->host, &dotted)) {
		link->is_ip = true;
		link->host = link->domain = dotted;
	} else if (link->host.p[0] == '[') {
		link->is_ip = true;
		link->domain = link->host;
	} else {
		link->domain = domain_registrable(link->host);
	}
	return link->is_ip || span_find_char(link->host, '.') != SPAN_NONE;
}

static void
note_link(struct arena *a, struct message *msg, struct link *link)
{
	struct span said = link->source == LINK_HTML && link->shown.n > 0 ? shown_domain(a, link->shown) : SPAN("");

	if (said.n > 0 && !span_eq(said, link->domain)) {
		link->mismatch = true;
		note_add(a, msg, NOTE_LINK_MISMATCH, arena_printf(a, SPAN_FMT " -> " SPAN_FMT, SPAN_ARG(said), SPAN_ARG(link->domain)));
	}
	if (!link->is_ip && host_is_homograph(a, link->host))
		note_add(a, msg, NOTE_HOMOGRAPH, link->host);
}

enum { LINK_SLOTS = 4 * 1024, PROBES = 64, MANY_LINKS = MAX_LINKS / 2 };
_Static_assert(MAX_LINKS < LINK_SLOTS / 2 + 1, "the table of links is never full");

/* Its place in the table: free, or the same link's from the same kind of place under the same text. Whoever picks names
 * that all want the same place gets none, and his links stand there twice. */
static uint16_t *
slot_of(struct arena *a, struct message *msg, struct span raw, enum link_source source, struct span shown, int part)
{
	size_t at = span_hash(raw, source) % LINK_SLOTS;

	if (msg->link_slots == NULL)
		msg->link_slots = ARENA_ARRAY(a, uint16_t, LINK_SLOTS + 1);
	for (int probe = 0; probe < PROBES; probe++, at = (at + 1) % LINK_SLOTS) {
		const struct link *link;

		if (msg->link_slots[at] == 0)
			return &msg->link_slots[at];
		link = &msg->links[msg->link_slots[at] - 1];
		if (link->source == source && link->part == part && span_eq(link->raw, raw) && span_eq(link->shown, shown))
			return &msg->link_slots[at];
	}
	msg->link_slots[LINK_SLOTS] = 0;
	return &msg->link_slots[LINK_SLOTS];
}

/* Rules count how often a page links what. In the second half of the room a link stands once, so that a digest of a
 * thousand articles is no mail with too many links. */
static bool
is_known(struct arena *a, struct message *msg, struct span raw, enum link_source source, struct span shown, int part)
{
	return msg->link_count >= MANY_LINKS && *slot_of(a, msg, raw, source, shown, part) != 0;
}

static bool
is_full(struct arena *a, struct message *msg)
{
	if (msg->link_count < MAX_LINKS)
		return false;
	note_add(a, msg, NOTE_LIMIT, SPAN("links"));
	return true;
}

/* The next link inside of another's path or query, "http:", "http%3A", "http%253A" all the same; empty: none. */
static struct span
nested_link(struct span *path)
{
	for (size_t hit; (hit = span_find_nocase(*path, SPAN("http"))) != SPAN_NONE;) {
		struct span rest = span_from(*path, hit + 4);
		bool s = rest.n > 0 && ascii_lower(rest.p[0]) == 's';

		*path = rest;
		rest = span_from(rest, s);
		if (span_starts(rest, SPAN(":")) || span_starts_nocase(rest, SPAN("%3a")) || span_starts_nocase(rest, SPAN("%253a")))
			return span_make(rest.p - 4 - s, rest.n + 4 + s);
	}
	return SPAN("");
}

static char
hex_char(struct span s, size_t at)
{
	int v = 0;

	for (size_t i = at + 1; i < at + 3; i++) {
		char c = i < s.n ? ascii_lower(s.p[i]) : 'x';

		if (!((c >= '0' && c <= '9') || (c >= 'a' && c <= 'f')))
			return 0;
		v = v * 16 + (c <= '9' ? c - '0' : c - 'a' + 10);
	}
	return (char)v;
}

/* Percent codes out twice, then up to what ends a value in a query. */
static struct span
unwrapped(struct arena *a, struct span raw)
{
	bool coded = false;

	for (int round = 0; round < 2; round++) {
		char *out = arena_alloc(a, raw.n + 1);
		size_t n = 0;

		for (size_t i = 0; i < raw.n; i++) {
			char c = raw.p[i] == '%' ? hex_char(raw, i) : 0;

			if (c == 0 && round == 0 && raw.p[i] == '&')
				break;
			coded |= c != 0;
			out[n++] = c ? c : raw.p[i];
			i += c ? 2 : 0;
		}
		raw = span_make(out, n);
	}
	size_t end = 0;

	while (end < raw.n && (unsigned char)raw.p[end] > ' ' && raw.p[end] != '"' && raw.p[end] != '<' && (coded || raw.p[end] != '&'))
		end++;
	return span_head(raw, end);
}

/* One link; its path and query in `*path`. False: leads nowhere in the web, or was there before. */
static bool
add_one(struct arena *a, struct message *msg, struct span base, struct span raw, enum link_source source, struct span shown,
    int part, struct span *path)
{
	struct link link = { .source = source, .part = part };
	struct span rest;
	size_t end = 0;

	raw = span_head(span_trim(raw), MAX_LINK);
	while (raw.n > 0 && (unsigned char)raw.p[0] <= ' ')
		raw = span_from(raw, 1);
	shown = utf8_head(shown, MAX_EVIDENCE);
	if (raw.n == 0 || is_known(a, msg, raw, source, shown, part) || is_full(a, msg))
		return false;
	struct span clean = flattened(a, raw);

	if (!cut_scheme(clean, &link.scheme, &rest)) {
		if (span_starts(clean, SPAN("//")) || source == LINK_TEXT) {
			link.scheme = SPAN("http");
		} else if (has_other_scheme(clean)) {
			return false;                /* mailto:, cid:, data:, javascript: */
		} else {
			clean = resolved(a, base, clean);
			if (!cut_scheme(clean, &link.scheme, &rest))
				return false;        /* relative: leads nowhere in a mail */
		}
	}
	rest = without_slashes(rest);
	while (end < rest.n && rest.p[end] != '/' && rest.p[end] != '?' && rest.p[end] != '#')
		end++;
	link.path = span_from(rest, end);
	read_authority(a, span_head(rest, end), &link);
	if (!read_host(a, &link))
		return false;
	char *scheme = arena_text(a, link.scheme);

	for (size_t i = 0; i < link.scheme.n; i++)
		scheme[i] = ascii_lower(scheme[i]);
	link.scheme.p = scheme;
	link.raw = arena_copy(a, raw);
	link.shown = arena_copy(a, shown);
	link.url = arena_printf(a, SPAN_FMT "://" SPAN_FMT SPAN_FMT, SPAN_ARG(link.scheme), SPAN_ARG(link.host), SPAN_ARG(link.path));
	note_link(a, msg, &link);
	ARENA_PUSH(a, msg->links, msg->link_count, msg->link_room);
	msg->links[msg->link_count++] = link;
	*slot_of(a, msg, raw, source, shown, part) = (uint16_t)msg->link_count;
	*path = link.path;
	return true;
}

void
link_add_from(struct arena *a, struct message *msg, struct span base, struct span raw, enum link_source source,
    struct span shown, int part)
{
	struct span path, ignored, inner;

	if (!add_one(a, msg, base, raw, source, shown, part, &path))
		return;
	/* Redirectors carry where they lead to: one hop from each, what is nested deeper stands in the same query. */
	for (int i = 0; i < MAX_NESTED && (inner = nested_link(&path)).n > 0; i++)
		add_one(a, msg, SPAN(""), unwrapped(a, inner), source, SPAN(""), part, &ignored);
}

void
link_add(struct arena *a, struct message *msg, struct span raw, enum link_source source, struct span shown, int part)
{
	link_add_from(a, msg, SPAN(""), raw, source, shown, part);
}

/* ---- what lists of names are asked about ---- */

static bool
leads_on(enum link_source source)
{
	return source != LINK_IMAGE && source != LINK_CSS;
}

size_t
message_hosts(const struct message *msg, struct arena *a, const struct link ***links)
{
	enum { SLOTS = 4 * MAX_HOSTS_TOLD };
	const struct link **list = ARENA_ARRAY(a, const struct link *, MAX_HOSTS_TOLD), **slots = ARENA_ARRAY(a, const struct link *, SLOTS);
	size_t count = 0;

	for (int pictures = 0; pictures < 2; pictures++)
		for (size_t i = 0; i < msg->link_count && count < MAX_HOSTS_TOLD; i++) {
			const struct link *link = &msg->links[i];
			size_t at = span_hash(link->host, 0) % SLOTS;

			if (leads_on(link->source) == (pictures == 1) || link->host.n == 0)
				continue;
			while (slots[at] && !span_eq(slots[at]->host, link->host))
				at = (at + 1) % SLOTS;
			if (slots[at])
				continue;
			slots[at] = list[count++] = link;
		}
	*links = list;
	return count;
}
