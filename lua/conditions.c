/* conditions.c - what a rule says must hold: from the table of the rule kit to C, and judged there. */
#include <stdio.h>
#include <stdlib.h>

#include "lua/bind_message.h"
#include "lua/rules_inside.h"

enum { MAX_CONDITIONS = 64, SHOWN_AROUND = 24, SHOWN_MATCH = 100 };

/* --- from the rule kit: { kind, view, header, re } ... --- */

static const char *const kind_names[] = { [COND_MATCH] = "match", [COND_LACKS] = "lacks", [COND_PRESENT] = "present",
	[COND_MISSING] = "missing", [COND_EXPR] = "expr", [COND_CALL] = "call", [COND_IN_MAP] = "in_map" };

static const char *
text_at(lua_State *L, int table, int i)
{
	lua_rawgeti(L, table, i);
	const char *text = luaL_checkstring(L, -1);

	lua_pop(L, 1);                       /* the table keeps it */
	return text;
}

static int
view_number(lua_State *L, struct rules *r, const char *kind, const char *header)
{
	struct view view;

	if (!view_parse(&view, span_of(kind), span_of(header)))
		luaL_error(L, "%s: \"%s\" is no header to look at: NAME, NAME:raw, NAME:addr, NAME:name or NAME:domain", kind, header);
	int number = patterns_view(r->patterns, &view);

	if (number < 0)
		luaL_error(L, "no memory");
	return number;
}

static void
declare_pattern(lua_State *L, struct rules *r, struct condition *c, int at)
{
	c->view = view_number(L, r, text_at(L, at, 2), text_at(L, at, 3));
	lua_rawgeti(L, at, 4);
	c->regex = regex_at(L, -1);
	if (c->regex == NULL)
		luaL_error(L, "a pattern is expected");
	luaL_ref(L, LUA_REGISTRYINDEX);      /* for as long as the state lives */
	c->pattern = patterns_add(r->patterns, c->view, c->regex);
	if (c->pattern < 0)
		luaL_error(L, "no memory");
}

static void
declare_headers(lua_State *L, struct rules *r, struct condition *c, int at)
{
	lua_rawgeti(L, at, 2);
	size_t count = lua_rawlen(L, -1);

	c->views = calloc(count + 1, sizeof *c->views);
	if (c->views == NULL)
		luaL_error(L, "no memory");
	for (size_t i = 0; i < count; i++)
		c->views[c->view_count++] = view_number(L, r, "header", text_at(L, lua_gettop(L), (int)i + 1));
	lua_pop(L, 1);
}

static void
declare_expr(lua_State *L, struct rules *r, struct rule *rule, struct condition *c, int at)
{
	char why[120], text[200];
	size_t bad_at;

	c->expr = expr_parse(span_of(text_at(L, at, 2)), &bad_at, why, sizeof why);
	if (c->expr)
		return;
	snprintf(text, sizeof text, "%s: meta: %s", rule->symbol, why);
	complain(r->complaints, rule->where, "meta", (int)bad_at, text);
}

static void
declare_one(lua_State *L, struct rules *r, struct rule *rule, struct condition *c, int at)
{
	const char *kind = text_at(L, at, 1);
	size_t i = 0;

	while (i < sizeof kind_names / sizeof *kind_names && strcmp(kind_names[i], kind) != 0)
		i++;
	*c = (struct condition){ .kind = (enum condition_kind)i, .pattern = -1, .call = LUA_NOREF };
	switch (c->kind) {
	case COND_MATCH:
	case COND_LACKS:
		declare_pattern(L, r, c, at);
		rule->protect = true;
		break;
	case COND_PRESENT:
	case COND_MISSING:
		declare_headers(L, r, c, at);
		break;
	case COND_EXPR:
		declare_expr(L, r, rule, c, at);
		break;
	case COND_CALL:                      /* the rule kit puts it last (conditions_judge_protected) */
		lua_rawgeti(L, at, 2);
		luaL_checktype(L, -1, LUA_TFUNCTION);
		c->call = luaL_ref(L, LUA_REGISTRYINDEX);
		rule->protect = true;
		break;
	case COND_IN_MAP:
		c->view = view_number(L, r, text_at(L, at, 2), text_at(L, at, 3));
		c->map = strdup(text_at(L, at, 4));
		c->map_index = -1;
		if (c->map == NULL)
			luaL_error(L, "no memory");
		break;
	default:
		luaL_error(L, "no condition \"%s\"", kind);
	}
}

void
conditions_declare(lua_State *L, struct rules *r, struct rule *rule, int index)
{
	size_t count = lua_rawlen(L, index);

	if (count > MAX_CONDITIONS)
		luaL_error(L, "more than %d conditions", MAX_CONDITIONS);
	rule->conditions = calloc(count + 1, sizeof *rule->conditions);
	if (rule->conditions == NULL)
		luaL_error(L, "no memory");
	for (size_t i = 0; i < count; i++) {
		lua_rawgeti(L, index, (lua_Integer)i + 1);
		declare_one(L, r, rule, &rule->conditions[i], lua_gettop(L));
		rule->condition_count++;
		lua_pop(L, 1);
	}
}

void
conditions_free(struct rule *rule)
{
	for (size_t i = 0; i < rule->condition_count; i++) {
		free(rule->conditions[i].views);
		free(rule->conditions[i].map);
		expr_free(rule->conditions[i].expr);
	}
	free(rule->conditions);
}

/* --- evidence: the match with a little of what stands around it --- */

/* Back (or forth) to a character's first byte. */
static size_t
whole_character(struct span s, size_t at, int step)
{
	while (at > 0 && at < s.n && ((unsigned char)s.p[at] & 0xc0) == 0x80)
		at = (size_t)((ptrdiff_t)at + step);
	return at;
}

static struct span
show_match(struct arena *a, const struct view *view, struct span s, size_t first, size_t end)
{
	size_t from = first, to = end;

	while (from > 0 && first - from < SHOWN_AROUND && s.p[from - 1] != '\n')
		from--;
	while (to < s.n && to - end < SHOWN_AROUND && s.p[to] != '\n')
		to++;
	from = whole_character(s, from, 1);
	to = whole_character(s, to, -1);
	struct span match = span_make(s.p + first, end - first);
	bool cut = match.n > SHOWN_MATCH;

	match.n = cut ? whole_character(s, first + SHOWN_MATCH, -1) - first : match.n;
	struct span text = arena_printf(a, "%s%s" SPAN_FMT "[" SPAN_FMT "%s]" SPAN_FMT, view->header, view->header[0] ? ": " : "",
	    (int)(first - from), s.p + from, SPAN_ARG(match), cut ? "..." : "", (int)(cut ? 0 : to - end), s.p + end);
	char *p = (char *)text.p;

	for (size_t i = 0; i < text.n; i++)
		if ((unsigned char)p[i] < 0x20)
			p[i] = ' ';
	return text;
}

/* --- judging --- */

double
symbol_hits(const void *arg, int id)
{
	const struct rules *r = arg;

	if (id < 0)
		return 0;
	if ((size_t)id < r->count)
		return r->at[id].mail == r->mail ? r->at[id].hits : 0;
	return r->outside[(size_t)id - r->count].mail == r->mail;
}

/* How often the pattern matches, at most `most`; the first match is the evidence. */
static int
count_matches(lua_State *L, struct judging *j, const struct condition *c, int most)
{
	struct span *values;
	size_t n = patterns_values(j->r->patterns, c->view, j->scan, &values);
	int hits = 0;

	for (size_t i = 0; i < n && hits < most; i++) {
		size_t from = 0, first, end;

		while (hits < most && regex_next(L, c->regex, values[i], &from, &first, &end))
			if (hits++ == 0)
				j->evidence = show_match(j->scan->arena, patterns_view_of(j->r->patterns, c->view), values[i], first, end);
	}
	return hits;
}

/* Some value of the view stands in the map; the map's line is the evidence. */
static bool
is_in_map(struct judging *j, const struct condition *c)
{
	struct span *values, entry;
	size_t n = patterns_values(j->r->patterns, c->view, j->scan, &values);

	for (size_t i = 0; i < n; i++)
		if (named_map_has(j->r->maps[c->map_index].map, values[i], &entry)) {
			j->evidence = arena_printf(j->scan->arena, SPAN_FMT " in %s: " SPAN_FMT, SPAN_ARG(span_head(values[i], 64)), c->map,
			    SPAN_ARG(span_head(entry, 80)));
			return true;
		}
	return false;
}

static bool
is_present(const struct judging *j, const struct condition *c)
{
	for (size_t i = 0; i < c->view_count; i++)
		if (view_present(patterns_view_of(j->r->patterns, c->views[i]), j->scan))
			return true;
	return false;
}

static bool
holds_expr(struct judging *j, const struct condition *c, int *hits)
{
	double value = expr_eval(c->expr, symbol_hits, j->r);
	struct buf text = { 0 };

	if (value == 0)
		return false;
	*hits = value > 1 && value < 1000000 ? (int)value : 1;
	expr_explain(c->expr, symbol_hits, j->r, &text);
	if (!text.failed)
		j->evidence = arena_copy(j->scan->arena, buf_span(&text));
	buf_free(&text);
	return true;
}

/* All of them but a function of Lua, which comes last. */
void
conditions_judge(lua_State *L, struct judging *j)
{
	const struct rule *rule = j->rule;
	int hits = 1, here;

	j->hits = 0;
	for (size_t i = 0; i < rule->condition_count; i++) {
		const struct condition *c = &rule->conditions[i];

		here = 1;
		switch (c->kind) {
		case COND_MATCH:
			here = patterns_may(j->r->patterns, c->pattern) ? count_matches(L, j, c, rule->max_shots) : 0;
			break;
		case COND_LACKS: {
			struct span *values, kept = j->evidence;
			size_t n = patterns_values(j->r->patterns, c->view, j->scan, &values);

			here = n > 0 && !(patterns_may(j->r->patterns, c->pattern) && count_matches(L, j, c, 1));
			j->evidence = here ? span_head(values[0], MAX_EVIDENCE) : kept;
			break;
		}
		case COND_PRESENT:
			here = is_present(j, c);
			break;
		case COND_MISSING:
			here = !is_present(j, c);
			break;
		case COND_EXPR:
			here = holds_expr(j, c, &here) ? here : 0;
			break;
		case COND_CALL:
			break;
		case COND_IN_MAP:
			here = is_in_map(j, c);
			break;
		}
		if (here == 0)
			return;
		hits = here > hits ? here : hits;
	}
	j->hits = hits;
}

/* The rule's function has said false, true, or its evidence; perhaps after it has waited for answers. */
static int
called(lua_State *L, int status, lua_KContext context)
{
	struct judging *j = (struct judging *)context;
	const struct turn *turn = state_of(L)->turn;
	size_t n = 0;

	(void)status;
	if (!lua_toboolean(L, -1))
		j->hits = 0;
	else if (lua_type(L, -1) == LUA_TSTRING && lua_tolstring(L, -1, &n) && n > 0)
		j->evidence = arena_copy(j->scan->arena, span_make(lua_tostring(L, -1), n));
	else if (turn && turn->shown.n > 0)
		j->evidence = turn->shown;
	return 0;
}

int
conditions_judge_protected(lua_State *L)
{
	struct judging *j = lua_touserdata(L, 1);
	const struct rule *rule = j->rule;

	conditions_judge(L, j);
	if (j->hits == 0 || rule->condition_count == 0 || rule->conditions[rule->condition_count - 1].kind != COND_CALL)
		return 0;
	lua_rawgeti(L, LUA_REGISTRYINDEX, rule->conditions[rule->condition_count - 1].call);
	message_bind(L, j->scan);
	lua_callk(L, 1, 1, (lua_KContext)j, called);
	return called(L, LUA_OK, (lua_KContext)j);
}
