#include "policyd/scan/nameset.h"

#include <stdlib.h>

enum { DEFAULT_A = 0x7f000002, LABEL_MOST = 63 };
enum scope { SCOPE_NAME, SCOPE_BELOW };      /* the name itself; everything below it */

struct entry {                               /* an open-addressed table: equal names stand behind one another */
	uint32_t at;                         /* where its name begins in `names`, plus one; 0: free */
	uint32_t a;                          /* 0: it is taken out */
	uint8_t length, scope;
};

struct nameset {
	char *names;                         /* all of them, lower case, one behind the other */
	size_t names_n;
	struct entry *entries;
	size_t room, count;                  /* room is a power of two */
};

static size_t
place(const struct nameset *set, struct span name, enum scope scope)
{
	return span_hash(name, 91 + scope) & (set->room - 1);
}

static bool
same(const struct nameset *set, const struct entry *e, struct span name, enum scope scope)
{
	return e->scope == scope && e->length == name.n && memcmp(set->names + e->at - 1, name.p, name.n) == 0;
}

static void
add(struct nameset *set, struct span name, enum scope scope, uint32_t a)
{
	size_t i = place(set, name, scope), alike = 0;

	for (; set->entries[i].at; i = (i + 1) & (set->room - 1)) {
		struct entry *e = &set->entries[i];

		if (!same(set, e, name, scope))
			continue;
		if (a == 0)
			e->a = 0;            /* an exclusion of the same name wins */
		if (a == 0 || e->a == 0 || e->a == a || ++alike == MAX_DNS_ANSWERS)
			return;
	}
	set->entries[i] = (struct entry){ (uint32_t)(name.p - set->names) + 1, a, (uint8_t)name.n, (uint8_t)scope };
	set->count++;
}

/* ---- one line ---- */

/* "4" is 127.0.0.4; "127.0.0.4" is itself. */
static bool
read_a(struct span text, uint32_t *a)
{
	uint32_t value = 0;
	uint64_t octet;
	int octets = 0;

	if (span_u64(text, &octet) && octet > 0 && octet < 256) {
		*a = 0x7f000000 | (uint32_t)octet;
		return true;
	}
	for (; text.n > 0; octets++) {
		if (octets == 4 || !span_u64(span_cut(&text, '.'), &octet) || octet > 255)
			return false;
		value = value << 8 | (uint32_t)octet;
	}
	*a = value;
	return octets == 4 && value != 0;
}

/* ":127.0.0.4:text" behind a name, or a default: its A record. What has no colon in front is text. */
static bool
read_value(struct span text, uint32_t standard, uint32_t *a)
{
	*a = standard;
	if (text.n == 0 || text.p[0] != ':')
		return true;
	text = span_from(text, 1);
	struct span number = span_trim(span_cut(&text, ':'));

	return number.n == 0 || read_a(number, a);
}

/* Lower case into `names`; empty when it is no name. */
static struct span
read_name(struct nameset *set, struct span raw)
{
	char *to = set->names + set->names_n;
	size_t label = 0;

	if (raw.n > 0 && raw.p[raw.n - 1] == '.')
		raw.n--;
	if (raw.n == 0 || raw.n >= MAX_HOST_NAME)
		return SPAN("");
	for (size_t i = 0; i < raw.n; i++) {
		char c = raw.p[i];

		if (c == '.' ? label == 0 : (unsigned char)c <= ' ' || ++label > LABEL_MOST)
			return SPAN("");
		if (c == '.')
			label = 0;
		to[i] = ascii_lower(c);
	}
	if (label == 0)
		return SPAN("");
	set->names_n += raw.n;
	return span_make(to, raw.n);
}

static size_t
word_length(struct span s)
{
	size_t n = 0;

	while (n < s.n && s.p[n] != ' ' && s.p[n] != '\t')
		n++;
	return n;
}

static bool
read_line(struct nameset *set, struct span line, uint32_t *standard)
{
	bool out = line.p[0] == '!';
	uint32_t a = 0;

	if (line.p[0] == ':')
		return read_value(line, DEFAULT_A, standard);
	line = span_trim(span_from(line, out));
	size_t n = word_length(line);
	struct span word = span_head(line, n), value = span_trim(span_from(line, n));

	if (value.n > 0 && (value.p[0] == '#' || value.p[0] == ';'))
		value.n = 0;
	if (!out && !read_value(value, *standard, &a))
		return false;
	bool star = span_starts(word, SPAN("*.")), dot = !star && word.n > 0 && word.p[0] == '.';
	struct span name = read_name(set, span_from(word, star ? 2 : dot));

	if (name.n == 0)
		return false;
	if (!star)
		add(set, name, SCOPE_NAME, a);
	if (star || dot)
		add(set, name, SCOPE_BELOW, a);
	return true;
}

/* ---- the set ---- */

struct nameset *
nameset_parse(struct span text, size_t *bad_lines)
{
	struct nameset *set = calloc(1, sizeof *set);
	uint32_t standard = DEFAULT_A;
	size_t lines = 1;

	*bad_lines = 0;
	for (size_t i = 0; i < text.n; i++)
		lines += text.p[i] == '\n';
	if (set == NULL || text.n >= UINT32_MAX) {
		free(set);
		return NULL;
	}
	for (set->room = 16; set->room < lines * 4; set->room *= 2)  /* a line makes two entries at most: half are free */
		;
	set->names = malloc(text.n + 1);
	set->entries = calloc(set->room, sizeof *set->entries);
	if (set->names == NULL || set->entries == NULL) {
		nameset_free(set);
		return NULL;
	}
	while (text.n > 0) {
		struct span line = span_trim(span_cut(&text, '\n'));
		bool special = line.n > 0 && (line.p[0] == '$' || (line.n > 1 && line.p[0] == ':' && line.p[1] == '$'));

		if (line.n > 0 && line.p[0] != '#' && line.p[0] != ';' && !special && !read_line(set, line, &standard))
			++*bad_lines;
	}
	return set;
}

void
nameset_free(struct nameset *set)
{
	if (set == NULL)
		return;
	free(set->names);
	free(set->entries);
	free(set);
}

size_t
nameset_count(const struct nameset *set)
{
	return set->count;
}

/* -1: no entry of that scope; 0: taken out. */
static int
look(const struct nameset *set, struct span name, enum scope scope, uint32_t a[MAX_DNS_ANSWERS])
{
	int found = -1;

	for (size_t i = place(set, name, scope); set->entries[i].at; i = (i + 1) & (set->room - 1)) {
		const struct entry *e = &set->entries[i];

		if (!same(set, e, name, scope))
			continue;
		if (e->a == 0)
			return 0;
		found = found < 0 ? 0 : found;
		if (found < MAX_DNS_ANSWERS)
			a[found++] = e->a;
	}
	return found;
}

size_t
nameset_find(const struct nameset *set, struct span name, uint32_t a[MAX_DNS_ANSWERS])
{
	char lower[MAX_HOST_NAME];
	int found;

	if (name.n == 0 || name.n >= sizeof lower)
		return 0;
	for (size_t i = 0; i < name.n; i++)
		lower[i] = ascii_lower(name.p[i]);
	struct span rest = span_make(lower, name.n);

	found = look(set, rest, SCOPE_NAME, a);
	while (found < 0 && rest.n > 0) {
		span_cut(&rest, '.');
		if (rest.n > 0)
			found = look(set, rest, SCOPE_BELOW, a);
	}
	return found > 0 ? (size_t)found : 0;
}
