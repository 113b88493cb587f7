#include "lua/maps.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

const char *const map_type_names[MAP_TYPE__COUNT] = {
#define MAP_TYPE_NAME(id, name) [id] = name,
	MAP_TYPE_LIST(MAP_TYPE_NAME)
};

struct entry {
	struct span key;                     /* lower case; MAP_CIDR: family, prefix length, masked octets (18 bytes) */
	struct span line;                    /* as written */
};

struct named_map {
	enum map_type type;
	char *text;                          /* what keys and lines point into */
	char *keys;                          /* MAP_CIDR: the packed ones */
	struct entry *at;                    /* sorted by key */
	size_t count;
	bool has_length[2][129];             /* MAP_CIDR: prefix lengths that occur, v4 and v6 */
};

enum { NET_KEY = 18 };

static int
by_key(const void *a, const void *b)
{
	const struct span x = ((const struct entry *)a)->key, y = ((const struct entry *)b)->key;
	int order = memcmp(x.p, y.p, x.n < y.n ? x.n : y.n);

	return order ? order : (x.n > y.n) - (x.n < y.n);
}

static const struct entry *
find(const struct named_map *m, struct span key)
{
	struct entry want = { .key = key };

	return key.n ? bsearch(&want, m->at, m->count, sizeof *m->at, by_key) : NULL;
}

/* Family, length and the address with all bits behind the length cleared. */
static struct span
net_key(char *to, const struct ip *ip, unsigned length)
{
	unsigned bytes = ip->family == AF_INET ? 4 : 16;

	memset(to, 0, NET_KEY);
	to[0] = ip->family == AF_INET ? 4 : 6;
	to[1] = (char)length;
	for (unsigned i = 0; i < bytes && i * 8 < length; i++) {
		unsigned keep = length - i * 8 >= 8 ? 8 : length - i * 8;

		to[2 + i] = (char)(ip->bytes[i] & (0xff << (8 - keep) & 0xff));
	}
	return span_make(to, NET_KEY);
}

static bool
parse_net(struct named_map *m, struct span word, char *to, struct span *key)
{
	struct ip ip;
	struct span rest = word, address = span_cut(&rest, '/');
	uint64_t length;

	if (!ip_parse(address, &ip))
		return false;
	unsigned most = ip.family == AF_INET ? 32 : 128;

	length = most;
	if (address.n < word.n && (!span_u64(rest, &length) || length > most))
		return false;
	m->has_length[ip.family != AF_INET][length] = true;
	*key = net_key(to, &ip, (unsigned)length);
	return true;
}

static bool
fits(enum map_type type, struct span word)
{
	if (type == MAP_DOMAINS)
		return span_find_char(word, '.') != SPAN_NONE && span_find_char(word, '@') == SPAN_NONE;
	return type != MAP_ADDRESSES || span_find_char(word, '.') != SPAN_NONE;
}

struct named_map *
named_map_read(const char *where, enum map_type type, struct span lines, char *why, size_t room)
{
	struct named_map *m = calloc(1, sizeof *m);
	size_t most = 1, number = 0;

	for (size_t i = 0; i < lines.n; i++)
		most += lines.p[i] == '\n';
	snprintf(why, room, "%s: no memory", where);
	if (m == NULL || (m->text = strndup(lines.p ? lines.p : "", lines.n)) == NULL || (m->at = calloc(most + 1, sizeof *m->at)) == NULL ||
	    (type == MAP_CIDR && (m->keys = malloc((most + 1) * NET_KEY)) == NULL)) {
		named_map_free(m);
		return NULL;
	}
	m->type = type;
	for (struct span rest = span_make(m->text, lines.n); rest.n > 0;) {
		struct span line = span_trim(span_cut(&rest, '\n')), word = line;

		number++;
		line = span_trim(span_head(line, span_find_char(line, '#') == SPAN_NONE ? line.n : span_find_char(line, '#')));
		for (word = span_head(line, 0); word.n < line.n && !ascii_space(line.p[word.n]);)
			word.n++;
		if (type == MAP_EXACT)
			word = line;
		if (word.n == 0)
			continue;
		struct entry *e = &m->at[m->count];
		bool good = type == MAP_CIDR ? parse_net(m, word, m->keys + m->count * NET_KEY, &e->key) : fits(type, word);

		if (!good) {
			snprintf(why, room, "%s:%zu: \"" SPAN_FMT "\" where %s is expected", where, number, SPAN_ARG(span_head(word, 60)),
			    type == MAP_CIDR ? "an address or network (192.0.2.0/24)" : type == MAP_DOMAINS ? "a domain" : "an address or domain");
			named_map_free(m);
			return NULL;
		}
		if (type != MAP_CIDR) {
			for (size_t i = 0; i < word.n; i++)
				((char *)word.p)[i] = ascii_lower(word.p[i]);
			e->key = word.n > 1 && word.p[0] == '.' ? span_from(word, 1) : word;
		}
		e->line = line;
		m->count++;
	}
	qsort(m->at, m->count, sizeof *m->at, by_key);
	why[0] = '\0';
	return m;
}

struct named_map *
named_map_load(const char *path, enum map_type type, char *why, size_t room)
{
	FILE *f = fopen(path, "re");
	struct named_map *m = NULL;
	char *text = NULL;
	size_t n = 0, size = 0;

	if (f == NULL) {
		snprintf(why, room, "%s: %s", path, strerror(errno));
		return NULL;
	}
	for (size_t got = 1; got > 0 && n < MAX_MAP_BYTES; n += got) {
		if (n + 65536 > size) {
			char *more = realloc(text, size = size * 2 + 65536);

			if (more == NULL)
				break;
			text = more;
		}
		got = fread(text + n, 1, 65536, f);
	}
	if (text == NULL || n >= MAX_MAP_BYTES)
		snprintf(why, room, "%s: a map of more than %d MB, or no memory", path, MAX_MAP_BYTES >> 20);
	else
		m = named_map_read(path, type, span_make(text, n), why, room);
	free(text);
	fclose(f);
	return m;
}

void
named_map_free(struct named_map *m)
{
	if (m == NULL)
		return;
	free(m->text);
	free(m->keys);
	free(m->at);
	free(m);
}

size_t
named_map_count(const struct named_map *m)
{
	return m->count;
}

/* "a.b.example", "b.example", "example": the first that is there. */
static const struct entry *
find_domain(const struct named_map *m, struct span domain)
{
	for (;;) {
		const struct entry *e = find(m, domain);
		size_t dot = span_find_char(domain, '.');

		if (e || dot == SPAN_NONE)
			return e;
		domain = span_from(domain, dot + 1);
	}
}

static const struct entry *
find_net(const struct named_map *m, struct span value)
{
	struct ip ip;
	char key[NET_KEY];

	if (!ip_parse(value, &ip))
		return NULL;
	for (int length = ip.family == AF_INET ? 32 : 128; length >= 0; length--) {
		const struct entry *e = m->has_length[ip.family != AF_INET][length] ? find(m, net_key(key, &ip, (unsigned)length)) : NULL;

		if (e)
			return e;
	}
	return NULL;
}

bool
named_map_has(const struct named_map *m, struct span value, struct span *entry)
{
	char lower[512];
	const struct entry *e = NULL;
	size_t at;

	value = span_trim(value);
	if (m->type == MAP_CIDR) {
		e = find_net(m, value);
	} else if (value.n > 0 && value.n < sizeof lower) {
		for (size_t i = 0; i < value.n; i++)
			lower[i] = ascii_lower(value.p[i]);
		struct span s = span_make(lower, value.n);

		at = span_find_last(s, '@');
		if (m->type == MAP_EXACT)
			e = find(m, s);
		else if (m->type == MAP_DOMAINS)
			e = find_domain(m, at == SPAN_NONE ? s : span_from(s, at + 1));
		else if ((e = find(m, s)) == NULL && at != SPAN_NONE && (e = find(m, span_from(s, at))) == NULL)
			e = find_domain(m, span_from(s, at + 1));
		else if (e == NULL && at == SPAN_NONE)
			e = find_domain(m, s);
	}
	if (e)
		*entry = e->line;
	return e != NULL;
}
