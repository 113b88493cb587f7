/* sheet.c - <style>: the rules that have a say in what is seen, found by the last part of their selector.
 *
 * "table.outer td.x > .hide" is kept under ".hide"; "table", ".outer", "td", ".x" must stand around: that is asked of one
 * word of bits (struct element, around), so an element costs a look-up for its name, its id, each of its classes. */
#include "policyd/base/limits.h"
#include "policyd/mail/style.h"

enum { BUCKETS = 512, MAX_SELF = 6, MAX_HITS = 48, MAX_NESTED = 8 };

struct rule {
	uint32_t key;                        /* hash of the simple selector it is found by */
	int next;                            /* in the same bucket; -1: none */
	uint32_t also[MAX_SELF];             /* what else the element itself must be */
	uint8_t also_count;
	uint16_t weight;                     /* specificity: ids, classes, names, 4 bits each */
	uint64_t around;
	struct style normal, important;
};

struct sheet {
	struct arena *a;
	struct rule *rules;
	size_t count, room;
	int heads[BUCKETS];
	size_t work;
	bool over;
};

/* A simple selector: 'e' div, '.' class, '#' id, '*' anything. Names of elements are in any case. */
static uint32_t
hash_of(char kind, struct span name)
{
	uint32_t h = 2166136261u ^ (unsigned char)kind;

	for (size_t i = 0; i < name.n; i++)
		h = (h ^ (unsigned char)(kind == 'e' ? ascii_lower(name.p[i]) : name.p[i])) * 16777619u;
	return h ^ h >> 15;
}

static uint64_t
bit_of(uint32_t hash)
{
	return (uint64_t)1 << (hash >> 3 & 63);
}

struct sheet *
sheet_new(struct arena *a)
{
	struct sheet *s = ARENA_NEW(a, struct sheet);

	s->a = a;
	memset(s->heads, -1, sizeof s->heads);
	return s;
}

bool
sheet_empty(const struct sheet *s)
{
	return s->count == 0;
}

bool
sheet_over(const struct sheet *s)
{
	return s->over;
}

static bool
name_char(char c)
{
	return ascii_alnum(c) || c == '-' || c == '_' || c == '\\' || (unsigned char)c >= 0x80;
}

static struct span
cut_name(struct span *rest)
{
	size_t n = 0;

	while (n < rest->n && name_char(rest->p[n]))
		n++;
	struct span name = span_head(*rest, n);

	*rest = span_from(*rest, n);
	return name;
}

/* "[class~=x]", "[class="x"]", "[id=x]" as ".x" and "#x"; other attributes are not ours to know: 0. */
static uint32_t
attribute_hash(struct span *rest)
{
	struct span inside = span_from(*rest, 1), name = cut_name(&inside);
	char kind = span_eq_nocase(name, SPAN("class")) ? '.' : span_eq_nocase(name, SPAN("id")) ? '#' : 0;
	size_t end = span_find_char(inside, ']');

	*rest = span_from(*rest, end == SPAN_NONE ? rest->n : 1 + name.n + end + 1);
	if (end == SPAN_NONE || kind == 0)
		return 0;
	inside = span_head(inside, end);
	if (inside.n > 0 && inside.p[0] == '~')
		inside = span_from(inside, 1);
	if (inside.n == 0 || inside.p[0] != '=')
		return 0;
	inside = span_trim(span_from(inside, 1));
	if (inside.n > 1 && (inside.p[0] == '"' || inside.p[0] == '\''))
		inside = span_head(span_from(inside, 1), inside.n - 2);
	return hash_of(kind, inside);
}

/* One selector without commas. False: it may never match, or says something that one pass cannot know. */
static bool
read_selector(struct span text, struct rule *r)
{
	uint32_t compound[MAX_SELF + 1];
	size_t n = 0;
	bool any = false;

	*r = (struct rule){ 0 };
	for (text = span_trim(text); text.n > 0;) {
		char c = text.p[0];
		uint32_t hash = 0;

		if (ascii_space(c) || c == '>') {    /* what stood before is around the element */
			for (size_t i = 0; i < n; i++)
				r->around |= bit_of(compound[i]);
			n = 0;
			any = false;
			text = span_from(text, 1);
			continue;
		}
		if (c == '*') {
			text = span_from(text, 1);
			any = true;
			continue;
		}
		if (c == '.' || c == '#') {
			text = span_from(text, 1);
			struct span name = cut_name(&text);

			if (name.n == 0)
				return false;
			hash = hash_of(c, name);
			r->weight += c == '#' ? 256 : 16;
		} else if (c == '[') {
			hash = attribute_hash(&text);
			r->weight += 16;
			if (hash == 0)
				return false;
		} else if (name_char(c)) {
			hash = hash_of('e', cut_name(&text));
			r->weight += 1;
		} else {
			return false;        /* siblings, :hover, ::before */
		}
		if (n > MAX_SELF)
			return false;
		compound[n++] = hash;
	}
	if (n == 0) {
		r->key = hash_of('*', SPAN(""));
		return any;
	}
	r->key = compound[n - 1];
	r->also_count = (uint8_t)(n - 1);
	memcpy(r->also, compound, (n - 1) * sizeof *compound);
	return true;
}

static void
add_rules(struct sheet *s, struct span selectors, struct span declarations)
{
	struct style normal = { 0 }, important = { 0 };

	style_parse(declarations, &normal, &important);
	if (normal.set == 0 && important.set == 0)
		return;
	while (selectors.n > 0) {
		struct rule rule;

		if (!read_selector(span_cut(&selectors, ','), &rule))
			continue;
		if (s->count == MAX_STYLE_RULES) {
			s->over = true;
			return;
		}
		if (s->count == s->room) {
			size_t room = s->room ? s->room * 2 : 32;

			s->rules = arena_grow(s->a, s->rules, s->room * sizeof *s->rules, room * sizeof *s->rules);
			s->room = room;
		}
		rule.normal = normal;
		rule.important = important;
		rule.next = s->heads[rule.key % BUCKETS];
		s->heads[rule.key % BUCKETS] = (int)s->count;
		s->rules[s->count++] = rule;
	}
}

/* Does "@media ..." hold for somebody who reads mail on a usual screen, in light colours? */
static bool
media_holds(struct span prelude)
{
	static const char *const others[] = { "max-width", "max-device-width", "dark", "print", "speech", "aural", "not ", "orientation",
		"width <", "width<" };

	if (!span_starts_nocase(prelude, SPAN("@media")))
		return span_starts_nocase(prelude, SPAN("@supports")) || span_starts_nocase(prelude, SPAN("@layer"));
	for (size_t i = 0; i < sizeof others / sizeof *others; i++)
		if (span_find_nocase(prelude, span_of(others[i])) != SPAN_NONE)
			return false;
	return true;
}

void
sheet_add(struct sheet *s, struct span css)
{
	int nested = 0, skipped = -1;                /* depth of open @ blocks; the one that does not hold for us */

	css = css_plain(s->a, css);
	while (css.n > 0) {
		size_t n = 0;

		while (n < css.n && css.p[n] != '{' && css.p[n] != '}' && css.p[n] != ';')
			n++;
		struct span prelude = span_trim(span_head(css, n));
		char c = n < css.n ? css.p[n] : '}';

		css = span_from(css, n + 1);
		if (c == '}') {
			nested -= nested > 0;
			if (nested <= skipped)
				skipped = -1;
			continue;
		}
		if (c == ';')
			continue;                    /* @import, @charset */
		while (span_starts(prelude, SPAN("<!--")) || span_starts(prelude, SPAN("-->")))
			prelude = span_trim(span_from(prelude, prelude.p[0] == '<' ? 4 : 3));
		if (prelude.n > 0 && prelude.p[0] == '@' && !span_starts_nocase(prelude, SPAN("@font-face")) &&
		    !span_starts_nocase(prelude, SPAN("@page"))) {
			if (skipped < 0 && (nested >= MAX_NESTED || !media_holds(prelude)))
				skipped = nested;
			nested++;
			continue;
		}
		size_t end = span_find_char(css, '}');
		struct span declarations = end == SPAN_NONE ? css : span_head(css, end);

		css = span_from(css, declarations.n + 1);
		if (skipped < 0 && prelude.n > 0 && prelude.p[0] != '@')
			add_rules(s, prelude, declarations);
	}
}

/* Classes of an element, the first MAX_SELF * 4 of them. */
enum { MAX_CLASSES = MAX_SELF * 4 };

static size_t
class_hashes(const struct element *e, uint32_t *out)
{
	struct span rest = e->classes;
	size_t count = 0;

	while (rest.n > 0 && count < MAX_CLASSES) {
		size_t start = 0, end;

		while (start < rest.n && ascii_space(rest.p[start]))
			start++;
		for (end = start; end < rest.n && !ascii_space(rest.p[end]);)
			end++;
		if (end > start)
			out[count++] = hash_of('.', span_make(rest.p + start, end - start));
		rest = span_from(rest, end);
	}
	return count;
}

struct own {                                 /* all that selectors can call one element */
	uint32_t at[MAX_CLASSES + 3];
	size_t count;
};

static void
own_hashes(const struct element *e, struct own *own)
{
	own->count = class_hashes(e, own->at);
	own->at[own->count++] = hash_of('e', e->name);
	if (e->id.n > 0)
		own->at[own->count++] = hash_of('#', span_trim(e->id));
}

uint64_t
element_bits(const struct element *e)
{
	struct own own;
	uint64_t bits = 0;

	own_hashes(e, &own);
	for (size_t i = 0; i < own.count; i++)
		bits |= bit_of(own.at[i]);
	return bits;
}

static bool
is_also(const struct rule *r, const struct own *own)
{
	for (size_t i = 0; i < r->also_count; i++) {
		size_t k = 0;

		while (k < own->count && own->at[k] != r->also[i])
			k++;
		if (k == own->count)
			return false;
	}
	return true;
}

/* Into `hits`, in the order of the cascade: specificity, then place. When there are too many the weakest fall out. */
static size_t
insert_hit(const struct sheet *s, int *hits, size_t count, int hit)
{
	const struct rule *r = s->rules;
	size_t at = count;

	while (at > 0 && (r[hits[at - 1]].weight > r[hit].weight || (r[hits[at - 1]].weight == r[hit].weight && hits[at - 1] > hit)))
		at--;
	if (count == MAX_HITS) {
		if (at == 0)
			return count;
		memmove(hits, hits + 1, (at - 1) * sizeof *hits);
		hits[at - 1] = hit;
		return count;
	}
	memmove(hits + at + 1, hits + at, (count - at) * sizeof *hits);
	hits[at] = hit;
	return count + 1;
}

bool
sheet_style(struct sheet *s, const struct element *e, struct style *normal, struct style *important)
{
	int hits[MAX_HITS];
	size_t count = 0;
	struct own own;

	own_hashes(e, &own);
	own.at[own.count++] = hash_of('*', SPAN(""));
	for (size_t i = 0; i < own.count; i++)
		for (int at = s->heads[own.at[i] % BUCKETS]; at >= 0; at = s->rules[at].next) {
			const struct rule *r = &s->rules[at];

			if (++s->work > MAX_STYLE_WORK) {
				s->over = true;
				return false;
			}
			if (r->key == own.at[i] && (r->around & ~e->around) == 0 && is_also(r, &own))
				count = insert_hit(s, hits, count, at);
		}
	for (size_t i = 0; i < count; i++) {
		style_add(normal, &s->rules[hits[i]].normal);
		style_add(important, &s->rules[hits[i]].important);
	}
	return count > 0;
}
