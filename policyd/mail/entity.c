/* entity.c - character references of HTML as browsers read them: all names, numbers of any length, ';' left out. */
#include "policyd/mail/parse.h"

static const struct entity {
	const char *name;
	uint32_t code;
	bool legacy;                         /* read without its ';' too */
} entities[] = {
#define X(name, code) { #name, code, false },
#define L(name, code) { #name, code, true },
#include "policyd/mail/entities.h"
#undef X
#undef L
};

enum { NAME_MOST = 31, LEGACY_MOST = 6 };

/* What &#128; to &#159; mean: windows-1252, as everybody who writes them thinks. */
static const uint16_t windows[32] = {
	0x20ac, 0x81, 0x201a, 0x192, 0x201e, 0x2026, 0x2020, 0x2021, 0x2c6, 0x2030, 0x160, 0x2039, 0x152, 0x8d, 0x17d, 0x8f,
	0x90, 0x2018, 0x2019, 0x201c, 0x201d, 0x2022, 0x2013, 0x2014, 0x2dc, 0x2122, 0x161, 0x203a, 0x153, 0x9d, 0x17e, 0x178,
};

static const struct entity *
find(const char *name, size_t n)
{
	size_t low = 0, high = sizeof entities / sizeof *entities;

	while (low < high) {
		size_t middle = (low + high) / 2;
		int order = strncmp(entities[middle].name, name, n);

		if (order == 0 && entities[middle].name[n] == '\0')
			return &entities[middle];
		if (order < 0)
			low = middle + 1;
		else
			high = middle;
	}
	return NULL;
}

static size_t
numeric(struct span s, uint32_t *code)
{
	bool hex = s.n > 3 && (s.p[2] == 'x' || s.p[2] == 'X');
	size_t start = hex ? 3 : 2, n = start;
	uint32_t v = 0;

	for (; n < s.n; n++) {
		char c = ascii_lower(s.p[n]);
		uint32_t digit = c >= '0' && c <= '9' ? (uint32_t)(c - '0') : hex && c >= 'a' && c <= 'f' ? (uint32_t)(c - 'a' + 10) : 99;

		if (digit == 99)
			break;
		v = v > 0x10ffff ? v : v * (hex ? 16 : 10) + digit;
	}
	if (n == start)
		return 0;
	if (v >= 0x80 && v < 0xa0)
		v = windows[v - 0x80];
	*code = v == 0 || v > 0x10ffff || (v >= 0xd800 && v < 0xe000) ? 0xfffd : v;
	return n < s.n && s.p[n] == ';' ? n + 1 : n;
}

size_t
html_entity(struct span s, bool in_attribute, uint32_t *code)
{
	const struct entity *found;
	size_t n = 1;

	if (s.n < 3 || s.p[0] != '&')
		return 0;
	if (s.p[1] == '#')
		return numeric(s, code);
	while (n < s.n && n <= NAME_MOST && ascii_alnum(s.p[n]))
		n++;
	if (n < s.n && s.p[n] == ';' && (found = find(s.p + 1, n - 1)) != NULL) {
		*code = found->code;
		return n + 1;
	}
	for (size_t most = n - 1 < LEGACY_MOST ? n - 1 : LEGACY_MOST; most >= 2; most--) {       /* "&ampx", "&copy2024" */
		found = find(s.p + 1, most);
		if (found == NULL || !found->legacy)
			continue;
		char next = 1 + most < s.n ? s.p[1 + most] : ' ';

		if (in_attribute && (next == '=' || ascii_alnum(next)))
			return 0;            /* "?a=1&copy=2" */
		*code = found->code;
		return 1 + most;
	}
	return 0;
}
