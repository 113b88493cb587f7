/* order.c - who looks at whom: expressions bound to rules, cycles found, rules put in order and to their anchors. */
#include <stdio.h>
#include <stdlib.h>

#include "lua/rules_inside.h"
#include "policyd/base/nearest.h"

/* --- names to ids: a hash of chains over the rules --- */

struct names {
	int *bucket, *next;
	size_t mask;
};

static bool
names_open(struct names *n, const struct rules *r)
{
	size_t size = 64;

	while (size < r->count * 2)
		size *= 2;
	n->mask = size - 1;
	n->bucket = malloc(size * sizeof *n->bucket);
	n->next = malloc((r->count + 1) * sizeof *n->next);
	if (n->bucket == NULL || n->next == NULL)
		return false;
	for (size_t i = 0; i < size; i++)
		n->bucket[i] = -1;
	for (size_t i = 0; i < r->count; i++) {
		size_t b = span_hash(span_of(r->at[i].symbol), 0) & n->mask;

		n->next[i] = n->bucket[b];
		n->bucket[b] = (int)i;
	}
	return true;
}

static void
names_close(struct names *n)
{
	free(n->bucket);
	free(n->next);
}

/* As a rule of that set sees it: its own customer's rules, then everybody's. */
static int
names_find(const struct names *n, const struct rules *r, struct span name, int set)
{
	int shared = -1;

	for (int i = n->bucket[span_hash(name, 0) & n->mask]; i >= 0; i = n->next[i])
		if (span_eq(span_of(r->at[i].symbol), name)) {
			if (r->at[i].set == set)
				return i;
			shared = r->at[i].set == 0 ? i : shared;
		}
	return shared;
}

/* --- symbols that C finds --- */

static bool
found_by_c(struct span name)
{
	static const char *const families[] = { "DNSBL_", "SPF_", "DKIM_", "DMARC_", "ARC_", "AUTH_", "URIBL_", "CLAMAV_", "REPUTATION_",
	    "RATE_", "GREYLIST_", "RDNS_" };
	static const char *const single[] = { "VIRUS", "OVERSIZE", "SOFT_MARKER", "HELO_NOT_FQDN", "HELO_LITERAL", "HELO_LITERAL_WRONG",
	    "HELO_IS_US" };

	for (size_t i = 0; i < NOTE__COUNT; i++)
		if (span_eq(span_of(mail_note_names[i]), name))
			return true;
	for (size_t i = 0; i < sizeof families / sizeof *families; i++)
		if (span_starts(name, span_of(families[i])))
			return true;
	for (size_t i = 0; i < sizeof single / sizeof *single; i++)
		if (span_eq(span_of(single[i]), name))
			return true;
	return span_ends(name, SPAN("_UNKNOWN"));
}

static int
outside_id(struct rules *r, struct span name)
{
	for (size_t i = 0; i < r->outside_count; i++)
		if (span_eq(span_of(r->outside[i].name), name))
			return (int)(r->count + i);
	if (r->outside_count == r->outside_room) {
		size_t room = r->outside_room ? r->outside_room * 2 : 64;
		struct outside *more = realloc(r->outside, room * sizeof *more);

		if (more == NULL)
			return -1;
		r->outside = more;
		r->outside_room = room;
	}
	struct outside *o = &r->outside[r->outside_count];

	*o = (struct outside){ .mail = 0 };
	snprintf(o->name, sizeof o->name, SPAN_FMT, SPAN_ARG(name));
	return (int)(r->count + r->outside_count++);
}

/* The known symbol nearest to a mistyped one, of rules and notes. */
static const char *
near_symbol(const struct rules *r, const struct rule *but, const char *typed)
{
	const char **all = malloc((r->count + NOTE__COUNT) * sizeof *all), *near = NULL;
	size_t n = 0;

	for (size_t i = 0; all && i < r->count; i++)
		if (&r->at[i] != but)
			all[n++] = r->at[i].symbol;
	for (size_t i = 0; all && i < NOTE__COUNT; i++)
		all[n++] = mail_note_names[i];
	if (all)
		near = nearest_name(typed, all, n);
	free(all);
	return near;
}

/* The id of a symbol that `rule` asks for; a complaint when nothing finds it. */
static int
resolve(struct rules *r, const struct names *names, const struct rule *rule, struct span name)
{
	int id = names_find(names, r, name, rule->set);
	char word[80], text[300];
	const char *near;

	if (id >= 0)
		return id;
	if (found_by_c(name))
		return outside_id(r, name);
	snprintf(word, sizeof word, SPAN_FMT, SPAN_ARG(name));
	near = near_symbol(r, rule, word);
	snprintf(text, sizeof text, "%s: asks for %s, which nothing finds%s%s%s", rule->symbol, word, near ? "; did you mean " : "",
	    near ? near : "", near ? "?" : "");
	complain(r->complaints, rule->where, word, -1, text);
	return -1;
}

/* Points for what nothing finds: no mistake, a rule may come and go, but worth a look. */
static void
look_at_scores(struct rules *r, const struct names *names)
{
	for (size_t i = 0; i < r->override_count; i++) {
		const struct override *o = &r->overrides[i];
		struct span name = span_of(o->name);
		char text[300];
		const char *near;
		bool known = found_by_c(name) || span_starts(name, SPAN("BAYES"));

		for (size_t set = 0; set < r->set_count && !known; set++)
			known = names_find(names, r, name, (int)set) >= 0;
		if (known)
			continue;
		near = near_symbol(r, NULL, o->name);
		snprintf(text, sizeof text, "scores: nothing finds %s%s%s%s", o->name, near ? "; did you mean " : "", near ? near : "", near ? "?" : "");
		warn(r->complaints, o->where, o->name, text);
	}
}

/* The map of that name as a rule sees it: its own customer's, then everybody's. -1 after a complaint. */
static int
resolve_map(struct rules *r, const struct rule *rule, const char *name)
{
	const char *names[MAX_MAPS], *near;
	int found = -1;
	size_t n = 0;
	char text[300];

	for (size_t i = 0; i < r->map_count; i++) {
		const struct rule_map *m = &r->maps[i];

		if (m->set != 0 && m->set != rule->set)
			continue;
		names[n++] = m->name;
		if (strcmp(m->name, name) == 0 && (found < 0 || m->set != 0))
			found = (int)i;
	}
	if (found >= 0)
		return found;
	near = nearest_name(name, names, n);
	snprintf(text, sizeof text, "%s: no map is called %s%s%s%s", rule->symbol, name, near ? "; did you mean " : "", near ? near : "",
	    near ? "?" : "");
	complain(r->complaints, rule->where, name, -1, text);
	return -1;
}

/* --- the order: depth first, by what each looks at --- */

struct walk {
	struct rules *r;
	int **looks_at;                      /* of each rule, ended by -1 */
	char *state;                         /* 0 new, 1 on the way, 2 placed */
	int *path;
	size_t path_count, placed;
};

static bool
bind_names(struct rules *r, const struct names *names, size_t i, int **out)
{
	struct rule *rule = &r->at[i];
	size_t room = rule->depend_count + 1, n = 0;

	for (size_t k = 0; k < rule->condition_count; k++)
		room += rule->conditions[k].expr ? expr_symbol_count(rule->conditions[k].expr) : 0;
	int *list = malloc(room * sizeof *list);

	if (list == NULL)
		return false;
	for (size_t k = 0; k < rule->condition_count; k++)
		if (rule->conditions[k].kind == COND_IN_MAP)
			rule->conditions[k].map_index = resolve_map(r, rule, rule->conditions[k].map);
	for (size_t k = 0; k < rule->map_count; k++)
		rule->maps[k] = resolve_map(r, rule, rule->map_names[k]);
	for (size_t k = 0; k < rule->condition_count; k++) {
		struct expr *e = rule->conditions[k].expr;

		for (size_t s = 0; e && s < expr_symbol_count(e); s++) {
			int id = resolve(r, names, rule, expr_symbol(e, s));

			expr_bind(e, s, id);
			rule->late = true;
			if (id >= 0 && (size_t)id < r->count)
				list[n++] = id;
		}
	}
	for (size_t k = 0; k < rule->depend_count; k++) {
		int id = resolve(r, names, rule, span_of(rule->depends[k]));

		rule->late = true;
		if (id >= 0 && (size_t)id < r->count)
			list[n++] = id;
	}
	list[n] = -1;
	*out = list;
	return true;
}

static void
complain_cycle(struct walk *w, int back_to)
{
	struct buf text = { 0 };
	size_t from = 0;

	while (w->path[from] != back_to)
		from++;
	buf_printf(&text, "%s: looks at itself:", w->r->at[back_to].symbol);
	for (size_t i = from; i < w->path_count; i++)
		buf_printf(&text, " %s ->", w->r->at[w->path[i]].symbol);
	buf_printf(&text, " %s", w->r->at[back_to].symbol);
	buf_add_char(&text, '\0');
	int next = w->path_count > from + 1 ? w->path[from + 1] : back_to;

	if (!text.failed)
		complain(w->r->complaints, w->r->at[back_to].where, w->r->at[next].symbol, -1, text.p);
	buf_free(&text);
}

/* Without recursion: a chain of metas may be as long as there are rules. */
static void
place(struct walk *w, int start)
{
	int *at = w->path;                   /* the path; how far each has looked stands in its list: taken ones are dropped */
	int **looks_at = w->looks_at;

	w->path_count = 0;
	at[w->path_count++] = start;
	w->state[start] = 1;
	while (w->path_count > 0) {
		int i = at[w->path_count - 1], next = *looks_at[i];

		if (next < 0) {
			w->state[i] = 2;
			w->r->order[w->placed++] = i;
			w->path_count--;
			continue;
		}
		looks_at[i]++;
		if (w->state[next] == 1)
			complain_cycle(w, next);
		else if (w->state[next] == 0) {
			w->state[next] = 1;
			at[w->path_count++] = next;
		}
	}
}

static void
sort_rules(struct walk *w)
{
	struct rules *r = w->r;

	for (size_t i = 0; i < r->count; i++)            /* early ones as they were written */
		if (!r->at[i].late) {
			w->state[i] = 2;
			r->order[w->placed++] = (int)i;
		}
	r->early = w->placed;
	for (size_t i = 0; i < r->count; i++)
		if (w->state[i] == 0)
			place(w, (int)i);
}

/* A rule that looks at one that may wait for answers is judged after the round in which that one gets them. `looks_at` as it was
 * before place() ate it. */
static void
find_levels(struct rules *r, int *const *looks_at)
{
	r->levels = 1;
	for (size_t p = 0; p < r->count; p++) {
		struct rule *rule = &r->at[r->order[p]];

		for (const int *on = looks_at[r->order[p]]; *on >= 0; on++) {
			int level = r->at[*on].level + ((r->at[*on].needs & NEED_WAITS) != 0);

			rule->level = level > rule->level ? level : rule->level;
		}
		r->levels = rule->level + 1 > r->levels ? rule->level + 1 : r->levels;
	}
}

/* --- anchors: a rule is judged only when the rarest thing it needs may be there --- */

static int
anchor_of(const struct rules *r, const struct rule *rule)
{
	for (size_t k = 0; k < rule->condition_count; k++) {
		const struct condition *c = &rule->conditions[k];

		if (c->kind == COND_MATCH && strcmp(patterns_way(r->patterns, c->pattern), "pcre") != 0)
			return c->pattern;
	}
	return -1;
}

static bool
anchor_rules(struct rules *r)
{
	r->pattern_count = patterns_info(r->patterns).patterns;
	r->by_pattern = malloc((r->pattern_count + 1) * sizeof *r->by_pattern);
	if (r->by_pattern == NULL)
		return false;
	for (size_t i = 0; i < r->pattern_count; i++)
		r->by_pattern[i] = -1;
	for (size_t p = 0; p < r->count; p++) {
		int i = r->order[p];
		int anchor = anchor_of(r, &r->at[i]);

		r->place[i] = (int)p;
		r->at[i].anchor = anchor;
		if (anchor < 0) {
			r->always[r->always_count++] = (int)p;
			continue;
		}
		r->by_pattern[anchor] = i;       /* each rule has patterns of its own */
	}
	return true;
}

void
rules_order(struct rules *r)
{
	struct walk w = { .r = r };
	struct names names = { 0 };
	int **starts = calloc(r->count + 1, sizeof *starts);
	size_t n = r->count + 1;
	bool ok;

	r->order = malloc(n * sizeof *r->order);
	r->always = malloc(n * sizeof *r->always);
	r->place = malloc(n * sizeof *r->place);
	r->todo = malloc(n * sizeof *r->todo);
	w.looks_at = calloc(n, sizeof *w.looks_at);
	w.state = calloc(n, 1);
	w.path = malloc(n * sizeof *w.path);
	ok = r->order && r->always && r->place && r->todo && w.looks_at && w.state && w.path && starts && names_open(&names, r);
	for (size_t i = 0; ok && i < r->count; i++) {
		ok = bind_names(r, &names, i, &starts[i]);
		w.looks_at[i] = starts[i];
	}
	if (ok) {
		look_at_scores(r, &names);
		sort_rules(&w);
		find_levels(r, starts);
		ok = anchor_rules(r);
	}
	if (!ok)
		complain(r->complaints, NULL, NULL, -1, "rules: no memory");
	for (size_t i = 0; starts && i < r->count; i++)
		free(starts[i]);
	names_close(&names);
	free(starts);
	free(w.looks_at);
	free(w.state);
	free(w.path);
}
