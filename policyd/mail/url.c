/* url.c - links as a browser would follow them: obfuscations undone, host folded, registrable domain known. */
#include <arpa/inet.h>
#include <idn2.h>
#include <libpsl.h>
#include <stdio.h>
#include <stdlib.h>

#include "policyd/base/limits.h"
#include "policyd/base/utf8.h"
#include "policyd/mail/parse.h"

const char *const link_source_names[LINK__COUNT] = {
	[LINK_TEXT] = "text", [LINK_HTML] = "html", [LINK_FORM] = "form", [LINK_REFRESH] = "refresh", [LINK_CSS] = "css",
	[LINK_IMAGE] = "image", [LINK_CALENDAR] = "calendar", [LINK_PDF] = "pdf", [LINK_DOCUMENT] = "document",
};

static const psl_ctx_t *suffixes;

void
domain_prepare(void)
{
	if (suffixes == NULL)
		suffixes = psl_builtin();
}

struct span
domain_registrable(struct span host)
{
	char text[MAX_HOST_NAME + 1];
	const char *found;

	domain_prepare();
	if (host.n == 0 || host.n > MAX_HOST_NAME || suffixes == NULL)
		return host;
	memcpy(text, host.p, host.n);
	text[host.n] = '\0';
	found = psl_registrable_domain(suffixes, text);
	return found ? span_from(host, (size_t)(found - text)) : host;
}

static int
hex_value(char c)
{
	return c >= '0' && c <= '9' ? c - '0' : c >= 'A' && c <= 'F' ? c - 'A' + 10 : c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* Percent codes out, soft hyphens and zero-width characters dropped, full-width dots as dots, lower case; A-labels. */
static struct span
clean_host(struct arena *a, struct span raw)
{
	char *p = arena_alloc(a, raw.n + 1);
	size_t n = 0;
	bool ascii = true;

	for (size_t i = 0; i < raw.n;) {
		size_t len;
		uint32_t code = utf8_decode(span_from(raw, i), &len);

		if (raw.p[i] == '%' && i + 2 < raw.n && hex_value(raw.p[i + 1]) >= 0 && hex_value(raw.p[i + 2]) >= 0) {
			p[n++] = ascii_lower((char)(hex_value(raw.p[i + 1]) << 4 | hex_value(raw.p[i + 2])));
			i += 3;
			continue;
		}
		if (len == 0)
			len = 1;
		if (code == 0xad || (code >= 0x200b && code <= 0x200f) || code == 0x2060 || code == 0xfeff) {
			i += len;
			continue;
		}
		if (code == 0x3002 || code == 0xff0e || code == 0xff61) {
			p[n++] = '.';
		} else if (code < 0x80) {
			p[n++] = ascii_lower((char)code);
		} else {
			ascii = false;
			memcpy(p + n, raw.p + i, len);
			n += len;
		}
		i += len;
	}
	while (n > 0 && p[n - 1] == '.')
		n--;
	for (size_t i = 0; i < n; i++)
		ascii &= (unsigned char)p[i] < 0x80;
	p[n] = '\0';
	if (!ascii) {
		char *alabel = NULL;

		if (idn2_to_ascii_8z(p, &alabel, IDN2_NONTRANSITIONAL) == IDN2_OK) {
			struct span host = arena_copy(a, span_of(alabel));

			idn2_free(alabel);
			return host;
		}
	}
	return span_make(p, n);
}

/* Browsers take 3232235777, 0xc0a80101, 0300.0250.1.1 and 192.168.257 for addresses; so do we. */
static bool
odd_ip(struct arena *a, struct span host, struct span *dotted)
{
	uint32_t parts[4];
	size_t count = 0;
	struct span rest = host;

	if (host.n == 0 || host.n > 40)
		return false;
	while (rest.n > 0) {
		struct span label = span_cut(&rest, '.');
		char text[44], *end;

		if (count == 4 || label.n == 0 || label.p[0] < '0' || label.p[0] > '9')
			return false;
		memcpy(text, label.p, label.n);
		text[label.n] = '\0';
		unsigned long long v = strtoull(text, &end, 0);

		if (*end != '\0' || v > 0xffffffffu)
			return false;
		parts[count++] = (uint32_t)v;
	}
	uint32_t ip = 0;

	for (size_t i = 0; i + 1 < count; i++) {
		if (parts[i] > 255)
			return false;
		ip |= parts[i] << (24 - 8 * i);
	}
	ip |= parts[count - 1];
	*dotted = arena_printf(a, "%u.%u.%u.%u", ip >> 24, ip >> 16 & 255, ip >> 8 & 255, ip & 255);
	return true;
}

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

/* The domain a text shows to a reader: "www.bank.example" in "Log in at www.bank.example". Empty if it shows none. */
static struct span
shown_domain(struct arena *a, struct span shown)
{
	struct span best = SPAN("");

	while (shown.n > 0) {
		struct span word = span_cut(&shown, ' ');

		if (span_starts_nocase(word, SPAN("http://")))
			word = span_from(word, 7);
		else if (span_starts_nocase(word, SPAN("https://")))
			word = span_from(word, 8);
		size_t n = 0;

		while (n < word.n && (ascii_alnum(word.p[n]) || word.p[n] == '.' || word.p[n] == '-'))
			n++;
		struct span host = span_head(word, n);

		if (n < word.n && word.p[n] == '@')
			continue;            /* an address, not a place */
		while (host.n > 0 && host.p[host.n - 1] == '.')
			host.n--;
		size_t dot = span_find_last(host, '.');

		if (dot == SPAN_NONE || dot == 0 || host.n - dot < 3)
			continue;
		host = clean_host(a, host);
		struct span domain = domain_registrable(host);

		if (domain.n < host.n || (suffixes && span_find_char(domain, '.') != SPAN_NONE)) {
			char text[MAX_HOST_NAME + 1];

			if (domain.n > MAX_HOST_NAME)
				continue;
			memcpy(text, domain.p, domain.n);
			text[domain.n] = '\0';
			if (psl_is_public_suffix2(suffixes, strrchr(text, '.') ? strrchr(text, '.') + 1 : text,
			    PSL_TYPE_ICANN | PSL_TYPE_NO_STAR_RULE))
				best = domain;
		}
	}
	return best;
}

void
link_add(struct arena *a, struct message *msg, struct span raw, enum link_source source, struct span shown, int part)
{
	struct span clean, rest, scheme;
	char *p;
	size_t n = 0;

	raw = span_trim(raw);
	if (raw.n == 0)
		return;
	if (msg->link_count >= MAX_LINKS) {
		note_add(a, msg, NOTE_LIMIT, SPAN("links"));
		return;
	}
	raw = span_head(raw, MAX_LINK);
	p = arena_alloc(a, raw.n + 1);
	for (size_t i = 0; i < raw.n; i++)
		if (raw.p[i] != '\r' && raw.p[i] != '\n' && raw.p[i] != '\t')
			p[n++] = raw.p[i] == '\\' ? '/' : raw.p[i];
	clean = span_make(p, n);
	size_t colon = span_find_char(clean, ':');

	if (colon == SPAN_NONE || colon > 12) {
		if (source == LINK_TEXT)
			scheme = SPAN("http");
		else if (span_starts(clean, SPAN("//")))
			scheme = SPAN("http"), clean = span_from(clean, 2);
		else
			return;              /* relative: leads nowhere in a mail */
		rest = clean;
	} else {
		scheme = span_head(clean, colon);
		rest = span_from(clean, colon + 1);
		while (rest.n > 0 && rest.p[0] == '/')
			rest = span_from(rest, 1);
	}
	bool web = span_eq_nocase(scheme, SPAN("http")) || span_eq_nocase(scheme, SPAN("https")) || span_eq_nocase(scheme, SPAN("ftp"));

	if (!web)
		return;                      /* mailto:, cid:, data:, javascript: */
	size_t end = 0;

	while (end < rest.n && rest.p[end] != '/' && rest.p[end] != '?' && rest.p[end] != '#')
		end++;
	struct span authority = span_head(rest, end), path = span_from(rest, end);
	size_t at = span_find_last(authority, '@');
	struct link link = { .raw = raw, .source = source, .part = part, .shown = utf8_head(shown, MAX_EVIDENCE) };

	link.has_user = at != SPAN_NONE;
	if (link.has_user)
		authority = span_from(authority, at + 1);
	size_t port = span_find_last(authority, ':');

	if (port != SPAN_NONE && authority.n > 0 && authority.p[authority.n - 1] != ']') {
		uint64_t number;

		if (span_u64(span_from(authority, port + 1), &number) && number < 65536)
			link.port = (uint16_t)number;
		authority = span_head(authority, port);
	}
	link.host = clean_host(a, authority);
	if (!good_host(link.host))
		return;
	struct span dotted;

	if (odd_ip(a, link.host, &dotted)) {
		link.is_ip = true;
		link.host = link.domain = dotted;
	} else if (link.host.p[0] == '[') {
		link.is_ip = true;
		link.domain = link.host;
	} else {
		link.domain = domain_registrable(link.host);
	}
	if (span_find_char(link.host, '.') == SPAN_NONE && !link.is_ip)
		return;
	p = arena_text(a, scheme);
	for (size_t i = 0; i < scheme.n; i++)
		p[i] = ascii_lower(p[i]);
	link.scheme = span_make(p, scheme.n);
	link.path = path;
	link.url = arena_printf(a, SPAN_FMT "://" SPAN_FMT SPAN_FMT, SPAN_ARG(link.scheme), SPAN_ARG(link.host), SPAN_ARG(path));
	struct span said = source == LINK_HTML ? shown_domain(a, shown) : SPAN("");

	if (said.n > 0 && !span_eq(said, link.domain)) {
		link.mismatch = true;
		note_add(a, msg, NOTE_LINK_MISMATCH, arena_printf(a, SPAN_FMT " -> " SPAN_FMT, SPAN_ARG(said), SPAN_ARG(link.domain)));
	}
	if (msg->links == NULL)
		msg->links = ARENA_ARRAY(a, struct link, MAX_LINKS);
	msg->links[msg->link_count++] = link;
}

static bool
url_char(char c)
{
	return (unsigned char)c > 0x20 && c != '<' && c != '>' && c != '"' && c != '\x7f';
}

void
links_of_text(struct arena *a, struct message *msg, struct span text, int part)
{
	static const char *const starts[] = { "http://", "https://", "hxxp://", "ftp://", "www." };

	for (size_t at = 0; at < text.n;) {
		/* Every start has a ':' or a '.' not far behind it: look there first. */
		const char *hit = NULL;
		struct span rest = span_from(text, at);
		size_t colon = span_find(rest, SPAN("://")), www = span_find_nocase(span_head(rest, colon == SPAN_NONE ? rest.n : colon), SPAN("www."));
		size_t start;

		if (www != SPAN_NONE) {
			start = at + www;
			hit = (start == 0 || !ascii_alnum(text.p[start - 1])) ? starts[4] : NULL;
			if (hit == NULL) {
				at = start + 4;
				continue;
			}
		} else if (colon != SPAN_NONE) {
			start = at + colon;
			for (size_t i = 0; i < 4 && hit == NULL; i++) {
				size_t back = strlen(starts[i]) - 3;

				if (start >= back && span_starts_nocase(span_from(text, start - back), span_of(starts[i]))) {
					hit = starts[i];
					start -= back;
				}
			}
			if (hit == NULL) {
				at = at + colon + 3;
				continue;
			}
		} else {
			return;
		}
		size_t end = start;

		while (end < text.n && end - start < MAX_LINK && url_char(text.p[end]))
			end++;
		while (end > start && strchr(".,;:!?)]}'", text.p[end - 1]))
			end--;
		struct span url = span_make(text.p + start, end - start);

		if (span_starts_nocase(url, SPAN("hxxp")))
			url = arena_printf(a, "http" SPAN_FMT, SPAN_ARG(span_from(url, 4)));
		link_add(a, msg, url, LINK_TEXT, SPAN(""), part);
		at = end > start ? end : start + 1;
	}
}
