#include "policyd/store/canonical.h"

#include <idn2.h>
#include <stdio.h>
#include <stdlib.h>
#include <unicase.h>
#include <uninorm.h>
#include <unistr.h>

#include "policyd/base/utf8.h"

/* Lower case; A-labels, so that both forms of an internationalised domain are one; no trailing dot. */
void
canonical_domain(struct span domain, char *to, size_t room)
{
	char text[MAX_ADDRESS + 1];
	char *ascii = NULL;
	size_t n = 0;

	while (domain.n > 0 && domain.p[domain.n - 1] == '.')
		domain.n--;
	for (; n < domain.n && n < sizeof text - 1; n++)
		text[n] = ascii_lower(domain.p[n]);
	text[n] = '\0';
	bool is_ascii = true;

	for (size_t i = 0; i < n; i++)
		is_ascii &= (unsigned char)text[i] < 0x80;
	if (!is_ascii && idn2_to_ascii_8z(text, &ascii, IDN2_NONTRANSITIONAL) == IDN2_OK)
		snprintf(to, room, "%s", ascii);
	else
		snprintf(to, room, "%s", text);
	if (ascii)
		idn2_free(ascii);
}

/* RFC 5321 4.1.2: a Dot-string needs no quotes. */
static bool
is_dot_string(const char *s)
{
	if (s[0] == '\0' || s[0] == '.')
		return false;
	for (size_t i = 0; s[i]; i++)
		if ((s[i] == '.' && (s[i + 1] == '.' || s[i + 1] == '\0')) || (unsigned char)s[i] <= ' ' || s[i] == 0x7f ||
		    strchr("()<>[]:;@\\,\"", s[i]))
			return false;
	return true;
}

/* Simple case folding: one letter for one, so that straße and strasse stay two mailboxes. The dotted and the dotless i are letters
 * of their own (Unicode's CaseFolding.txt has them for Turkish alone). */
static ucs4_t
fold_letter(ucs4_t c)
{
	return c == 0x130 || c == 0x131 ? c : uc_tolower(uc_toupper(c));
}

/* Letter by letter, then NFC, so that both spellings of an accent are one. 0: it does not fit, or is no UTF-8. */
static size_t
fold_utf8(const char *text, size_t n, char *to, size_t room)
{
	uint8_t folded[4 * MAX_ADDRESS + 16];
	size_t at = 0, length = room - 1;

	for (size_t i = 0; i < n;) {
		ucs4_t c;
		int used = u8_mbtouc(&c, (const uint8_t *)text + i, n - i), made;

		if (used <= 0 || (made = u8_uctomb(folded + at, fold_letter(c), (ptrdiff_t)(sizeof folded - at))) <= 0)
			return 0;
		i += (size_t)used;
		at += (size_t)made;
	}
	uint8_t *normal = u8_normalize(UNINORM_NFC, folded, at, NULL, &length);

	if (normal && length < room) {
		memcpy(to, normal, length);
		to[length] = '\0';
	} else {
		length = 0;
	}
	free(normal);
	return length;
}

/* Quoted only where it must be, and folded: MTAs that tell Bob from bob are not met in the wild. */
static void
fold_local(struct span local, char *to, size_t room)
{
	char plain[MAX_ADDRESS + 1], wrapped[2 * MAX_ADDRESS + 3];
	const char *text = plain;
	size_t n = 0;
	bool quoted = local.n >= 2 && local.p[0] == '"' && local.p[local.n - 1] == '"', is_ascii = true;

	if (quoted)
		local = span_make(local.p + 1, local.n - 2);
	for (size_t i = 0; i < local.n && n < sizeof plain - 1; i++) {
		if (quoted && local.p[i] == '\\' && i + 1 < local.n)
			i++;
		is_ascii &= (unsigned char)local.p[i] < 0x80;
		plain[n++] = ascii_lower(local.p[i]);
	}
	plain[n] = '\0';
	if (n > 0 && !is_dot_string(plain)) {
		size_t w = 0;

		wrapped[w++] = '"';
		for (size_t i = 0; i < n; i++) {
			if (plain[i] == '"' || plain[i] == '\\')
				wrapped[w++] = '\\';
			wrapped[w++] = plain[i];
		}
		wrapped[w++] = '"';
		wrapped[w] = '\0';
		text = wrapped;
		n = w;
	}
	if (!is_ascii && utf8_valid(span_make(text, n)) && fold_utf8(text, n, to, room) > 0)
		return;
	snprintf(to, room, "%s", text);
}

/* The common case in one pass: letters, digits and what needs no quotes, one @. 0: it is not that. */
static size_t
plain_address(struct span address, char *to, size_t room)
{
	size_t at = 0;

	if (address.n + 1 > room || address.n < 3)
		return 0;
	for (size_t i = 0; i < address.n; i++) {
		char c = ascii_lower(address.p[i]);
		bool dot = c == '.' && i > 0 && i + 1 < address.n && address.p[i - 1] != '.' && address.p[i - 1] != '@' &&
		    address.p[i + 1] != '@';

		if (c == '@' && at == 0 && i > 0)
			at = i;
		else if (!ascii_alnum(c) && c != '-' && c != '_' && c != '+' && c != '=' && !dot)
			return 0;
		to[i] = c;
	}
	to[address.n] = '\0';
	return at ? address.n : 0;
}

size_t
canonical_address(struct span address, char *to, size_t room)
{
	char local[MAX_ADDRESS + 1], domain[MAX_ADDRESS + 1];

	address = span_trim(address);
	if (address.n >= 2 && address.p[0] == '<' && address.p[address.n - 1] == '>')
		address = span_make(address.p + 1, address.n - 2);
	size_t n = plain_address(address, to, room), at = span_find_last(address, '@');

	if (n > 0)
		return n;
	fold_local(at == SPAN_NONE ? address : span_head(address, at), local, sizeof local);
	if (at == SPAN_NONE) {
		snprintf(to, room, "%s", local);
	} else {
		canonical_domain(span_from(address, at + 1), domain, sizeof domain);
		snprintf(to, room, "%s@%s", local, domain);
	}
	return strlen(to);
}

bool
canonical_domain_good(const char *domain)
{
	size_t n = strlen(domain), label = 0;

	for (size_t i = 0; i < n; i++) {
		if (domain[i] == '.' && label == 0)
			return false;
		if (domain[i] != '.' && !ascii_alnum(domain[i]) && domain[i] != '-' && domain[i] != '_')
			return false;
		label = domain[i] == '.' ? 0 : label + 1;
		if (label > 63)
			return false;
	}
	return n > 0 && n <= 253 && label > 0;
}

void
canonical_split(const char *canonical, char local[MAX_ADDRESS + 1], char domain[MAX_ADDRESS + 1])
{
	const char *at = strrchr(canonical, '@');

	snprintf(local, MAX_ADDRESS + 1, "%.*s", at ? (int)(at - canonical) : (int)strlen(canonical), canonical);
	snprintf(domain, MAX_ADDRESS + 1, "%s", at ? at + 1 : "");
}
