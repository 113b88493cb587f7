/* host.c - names of hosts as browsers read them, their registrable domain, and whether they pose as others. */
#include <idn2.h>
#include <libpsl.h>
#include <stdlib.h>

#include "policyd/base/limits.h"
#include "policyd/base/utf8.h"
#include "policyd/mail/parse.h"

static const psl_ctx_t *suffixes;

void
domain_prepare(void)
{
	if (suffixes == NULL)
		suffixes = psl_builtin();
}

/* The list has its names as UTF-8 and as A-labels; ours are A-labels. */
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

bool
host_has_suffix(struct span host)
{
	size_t dot = span_find_last(host, '.');
	char text[64];

	domain_prepare();
	if (suffixes == NULL || dot == SPAN_NONE || host.n - dot - 1 >= sizeof text || host.n - dot < 3)
		return false;
	memcpy(text, host.p + dot + 1, host.n - dot - 1);
	text[host.n - dot - 1] = '\0';
	return psl_is_public_suffix2(suffixes, text, PSL_TYPE_ICANN | PSL_TYPE_NO_STAR_RULE);
}

static int
hex_value(char c)
{
	return c >= '0' && c <= '9' ? c - '0' : c >= 'A' && c <= 'F' ? c - 'A' + 10 : c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* %61 is a, as often as it is wrapped (%2561). */
static struct span
percent_decoded(struct arena *a, struct span raw)
{
	for (int round = 0; round < 4 && span_find_char(raw, '%') != SPAN_NONE; round++) {
		char *out = arena_alloc(a, raw.n + 1);
		size_t n = 0;

		for (size_t i = 0; i < raw.n; i++) {
			bool coded = raw.p[i] == '%' && i + 2 < raw.n && hex_value(raw.p[i + 1]) >= 0 && hex_value(raw.p[i + 2]) >= 0;

			out[n++] = coded ? (char)(hex_value(raw.p[i + 1]) << 4 | hex_value(raw.p[i + 2])) : raw.p[i];
			i += coded ? 2 : 0;
		}
		raw = span_make(out, n);
	}
	return raw;
}

/* Letters in fancy dress as plain ones, dots that look like dots as dots, what is invisible gone, case folded (UTS 46). */
static struct span
mapped(struct arena *a, struct span raw)
{
	struct span plain = text_plain(a, span_head(raw, MAX_LINK));
	char *out = arena_alloc(a, plain.n * 2 + 1);
	size_t n = 0;

	for (size_t i = 0, len; i < plain.n; i += len) {
		uint32_t code = utf8_decode(span_from(plain, i), &len);

		len = len ? len : 1;
		if (code == 0x3002 || code == 0xff0e || code == 0xff61 || code == 0x2024)
			code = '.';
		n += code < 0x80 ? (out[n] = ascii_lower((char)code), 1) : utf8_encode(code, out + n);
	}
	out[n] = '\0';
	return span_make(out, n);
}

static struct span
without_invisible(struct arena *a, struct span raw)
{
	char *out = arena_alloc(a, raw.n * 3 + 1);
	size_t n = 0;

	for (size_t i = 0, len; i < raw.n; i += len) {
		uint32_t code = utf8_decode(span_from(raw, i), &len);

		len = len ? len : 1;
		if (letter_is_invisible(code))
			continue;
		if (code == 0x3002 || code == 0xff0e || code == 0xff61)
			code = '.';
		n += code < 0x80 ? (out[n] = ascii_lower((char)code), 1) : utf8_encode(code, out + n);
	}
	out[n] = '\0';
	return span_make(out, n);
}

struct span
host_clean(struct arena *a, struct span raw)
{
	struct span host = percent_decoded(a, span_head(raw, MAX_LINK));
	char *label = NULL;

	if (ascii_length(host) == host.n) {
		char *out = arena_text(a, host);

		for (size_t i = 0; i < host.n; i++)
			out[i] = ascii_lower(out[i]);
		host.p = out;
	} else {
		host = without_invisible(a, host);
		if (ascii_length(host) < host.n) {
			if (idn2_to_ascii_8z(host.p, &label, IDN2_NFC_INPUT | IDN2_NONTRANSITIONAL) != IDN2_OK &&
			    idn2_to_ascii_8z(host.p, &label, IDN2_NFC_INPUT | IDN2_TRANSITIONAL) != IDN2_OK) {
				host = mapped(a, host);      /* no name by the rules; where it leads if they are bent */
				if (idn2_to_ascii_8z(host.p, &label, IDN2_NFC_INPUT | IDN2_NONTRANSITIONAL) != IDN2_OK)
					return host;
			}
			host = arena_copy(a, span_of(label));
			idn2_free(label);
		}
	}
	while (host.n > 0 && host.p[host.n - 1] == '.')
		host.n--;
	while (host.n > 0 && host.p[0] == '.')
		host = span_from(host, 1);
	return host;
}

/* Browsers take 3232235777, 0xc0a80101, 0300.0250.1.1 and 192.168.257 for addresses; so do we. */
bool
host_is_odd_ip(struct arena *a, struct span host, struct span *dotted)
{
	uint64_t parts[4], ip = 0;
	size_t count = 0;

	if (host.n == 0 || host.n > 60 || host.p[0] < '0' || host.p[0] > '9')
		return false;
	for (struct span rest = host; rest.n > 0;) {
		struct span label = span_cut(&rest, '.');
		char text[64], *end;

		if (count == 4 || label.n == 0 || label.p[0] < '0' || label.p[0] > '9')
			return false;
		memcpy(text, label.p, label.n);
		text[label.n] = '\0';
		parts[count] = strtoull(text, &end, 0);
		if ((*end != '\0' && !(label.n == 2 && ascii_lower(text[1]) == 'x')) || parts[count] > 0xffffffffu)
			return false;
		count++;
	}
	for (size_t i = 0; i + 1 < count; i++) {
		if (parts[i] > 255)
			return false;
		ip |= parts[i] << (24 - 8 * i);
	}
	if (parts[count - 1] >= (uint64_t)1 << (8 * (5 - count)))
		return false;
	ip |= parts[count - 1];
	*dotted = arena_printf(a, "%u.%u.%u.%u", (unsigned)(ip >> 24), (unsigned)(ip >> 16 & 255), (unsigned)(ip >> 8 & 255), (unsigned)(ip & 255));
	return true;
}

/* One label in letters. Cyrillic by itself is a name of its own, unless every letter of it is drawn as a Latin one. */
static bool
label_deceives(struct span label, bool foreign_suffix)
{
	size_t latin = 0, other = 0, alike = 0, disguised = 0;

	for (size_t i = 0, len; i < label.n; i += len) {
		uint32_t code = utf8_decode(span_from(label, i), &len);
		enum script script = script_of(code);

		len = len ? len : 1;
		if (script == SCRIPT_NONE || script == SCRIPT_EAST_ASIAN || script == SCRIPT_OTHER)
			continue;
		if (script == SCRIPT_LATIN) {
			latin++;
			disguised += code >= 0x80 && letter_looks_like(code) != 0;
		} else {
			other++;
			alike += letter_looks_like(code) != 0;
		}
	}
	return disguised > 0 || (latin > 0 && other > 0) || (other > 1 && alike == other && !foreign_suffix);
}

bool
host_is_homograph(struct arena *a, struct span host)
{
	char *text, *utf8 = NULL;
	bool found = false;

	if (host.n > MAX_HOST_NAME || (span_find(host, SPAN("xn--")) == SPAN_NONE && ascii_length(host) == host.n))
		return false;
	text = arena_text(a, host);
	if (idn2_to_unicode_8z8z(text, &utf8, 0) != IDN2_OK)
		return false;
	struct span rest = span_of(utf8);
	size_t dot = span_find_last(rest, '.');
	bool foreign = dot != SPAN_NONE && ascii_length(span_from(rest, dot)) < rest.n - dot;

	while (rest.n > 0)
		found |= label_deceives(span_cut(&rest, '.'), foreign);
	idn2_free(utf8);
	return found;
}
