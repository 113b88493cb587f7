/* stage_score.c - score.lua, once for each policy class. Without a number there is no outcome: the mail is deferred. */
#include <math.h>
#include <stdio.h>

#include "lua/rules_inside.h"
#include "policyd/base/clock.h"
#include "policyd/base/log.h"
#include "policyd/scan/stage.h"

enum { SCORE_MS = 200 };

/* What a class sees: the symbols of all, with its customer's own points where scores{} has them, and those of his own rules
 * that the others do not see. */
struct seen {
	const struct scan *scan;
	const struct rules *r;
	const char *customer;
};

static void
push_symbol(lua_State *L, struct span name, double points, lua_Integer *n)
{
	lua_createtable(L, 0, 2);
	push_span(L, name);
	lua_setfield(L, -2, "name");
	lua_pushnumber(L, points);
	lua_setfield(L, -2, "points");
	lua_rawseti(L, -2, ++*n);
}

static double
customer_points(const struct seen *seen, const struct symbol *s)
{
	double points = s->points;

	for (size_t i = 0; seen->customer[0] && i < seen->r->override_count; i++) {
		const struct override *o = &seen->r->overrides[i];

		if (strcmp(o->customer, seen->customer) == 0 && span_eq(span_of(o->name), s->name) &&
		    (o->context[0] == '\0' || strcmp(o->context, seen->scan->session.context) == 0))
			points = o->points;
	}
	return points;
}

/* Runs protected: memory may be short. */
static int
push_symbols(lua_State *L)
{
	const struct seen *seen = lua_touserdata(L, 1);
	const struct verdict *v = &seen->scan->verdict;
	const struct rules *r = seen->r;
	lua_Integer n = 0;

	lua_createtable(L, (int)v->count, 0);
	for (size_t i = 0; i < v->count; i++)
		push_symbol(L, v->at[i].name, customer_points(seen, &v->at[i]), &n);
	for (size_t i = 0; seen->customer[0] && i < r->count; i++) {
		const struct rule *rule = &r->at[i];

		if (rule->mail == r->mail && rule->hits > 0 && !rule->helper && rule->mode == RULE_ON &&
		    strcmp(r->sets[rule->set].customer, seen->customer) == 0 && verdict_find(v, span_of(rule->symbol)) == NULL)
			push_symbol(L, span_of(rule->symbol), rule->points * (rule->hits < rule->max_shots ? rule->hits : rule->max_shots), &n);
	}
	return 1;
}

/* Does this customer see other symbols or points than everybody? */
static bool
sees_more(const struct rules *r, const char *customer)
{
	for (size_t i = 0; i < r->override_count; i++)
		if (customer[0] && strcmp(r->overrides[i].customer, customer) == 0)
			return true;
	for (size_t i = 1; i < r->set_count; i++)
		if (strcmp(r->sets[i].customer, customer) == 0)
			return true;
	return false;
}

/* score(symbols, class) -> points, bayes points; upvalues none: arguments are function, symbols, class_score */
static int
call_score(lua_State *L)
{
	const struct class_score *c = lua_touserdata(L, 3);

	lua_settop(L, 2);
	lua_createtable(L, 0, 5);
	lua_pushnumber(L, c->log_odds);
	lua_setfield(L, -2, "log_odds");
	lua_pushnumber(L, c->probability);
	lua_setfield(L, -2, "probability");
	lua_pushboolean(L, c->model_known);
	lua_setfield(L, -2, "model_known");
	lua_pushstring(L, dnsbl_mode_names[c->policy->dnsbl]);
	lua_setfield(L, -2, "dnsbl");
	lua_pushstring(L, c->policy->customer);
	lua_setfield(L, -2, "customer");
	lua_call(L, 2, 2);
	return 2;
}

static bool
score_class(struct rules *r, struct class_score *c, char *why, size_t room)
{
	lua_State *L = r->sets[0].state->L;  /* stack: symbols */
	bool numbers;

	lua_pushcfunction(L, call_score);
	lua_rawgeti(L, LUA_REGISTRYINDEX, r->score);
	lua_pushvalue(L, -3);
	lua_pushlightuserdata(L, c);
	if (!state_call(r->sets[0].state, 3, 2, why, room))
		return false;
	c->points = lua_tonumber(L, -2);
	c->bayes_points = lua_tonumber(L, -1);
	numbers = lua_isnumber(L, -2) && lua_isnumber(L, -1) && isfinite(c->points) && isfinite(c->bayes_points);
	lua_pop(L, 2);
	if (!numbers)
		snprintf(why, room, "score.lua did not answer two finite numbers");
	return numbers;
}

/* Without rules (a tool that loaded none): the plain sum, and no points of the model. */
static void
score_plainly(struct scan *scan)
{
	for (size_t i = 0; i < scan->class_count; i++) {
		scan->classes[i].bayes_points = 0;
		scan->classes[i].points = verdict_points(&scan->verdict);
	}
}

static bool
push_seen(const struct scan *scan, struct rules *r, const char *customer, char *why, size_t room)
{
	struct seen seen = { scan, r, customer };
	struct state *state = r->sets[0].state;

	lua_pushcfunction(state->L, push_symbols);
	lua_pushlightuserdata(state->L, &seen);
	return state_call(state, 1, 1, why, room);
}

static bool
score_all(struct scan *scan, struct rules *r, char *why, size_t room)
{
	struct state *state = r->sets[0].state;
	bool ok;

	state_budget(state, MAX_LUA_STEPS, clock_ms() + SCORE_MS);    /* its own time: a slow stage before it must not
	                                                                 leave the mail without points */
	ok = push_seen(scan, r, "", why, room);
	for (size_t i = 0; ok && i < scan->class_count; i++) {
		const char *customer = scan->classes[i].policy->customer;
		bool own = sees_more(r, customer);

		ok = !own || push_seen(scan, r, customer, why, room);
		ok = ok && score_class(r, &scan->classes[i], why, room);
		if (own)
			lua_settop(state->L, 1);
	}
	lua_settop(state->L, 0);
	return ok;
}

enum stage_result
stage_score(struct scan *scan)
{
	struct rules *r = scan->kit->rules;
	char why[300];

	if (r == NULL)
		score_plainly(scan);
	else if (!score_all(scan, r, why, sizeof why)) {
		verdict_unknown(scan->arena, &scan->verdict, SPAN("SCORE"), span_of(why));
		return STAGE_UNKNOWN;
	}
	return STAGE_DONE;
}

bool
score_passes(struct rules *r, struct arena *a, char *why, size_t room)
{
	static const struct { double log_odds; bool known; uint8_t dnsbl; } mails[] = {
		{ 0, false, DNSBL_MODE_SCORE }, { 0.3, true, DNSBL_MODE_REJECT }, { 25, true, DNSBL_MODE_OFF }, { -25, true, DNSBL_MODE_SCORE },
	};
	enum { MAILS = sizeof mails / sizeof *mails };
	struct class_score classes[MAILS];
	struct policy policies[MAILS];
	struct scan *scan = ARENA_NEW(a, struct scan);

	for (size_t i = 0; i < MAILS; i++) {
		policy_default(&policies[i]);
		policies[i].dnsbl = mails[i].dnsbl;
		classes[i] = (struct class_score){ .policy = &policies[i], .log_odds = mails[i].log_odds, .model_known = mails[i].known,
		    .probability = 1 / (1 + exp(-mails[i].log_odds)) };
	}
	*scan = (struct scan){ .arena = a, .classes = classes, .class_count = MAILS };
	verdict_add(a, &scan->verdict, SPAN("DNSBL_EXAMPLE"), 3, SPAN("127.0.0.2"));
	verdict_add(a, &scan->verdict, SPAN("SUBJECT_EXAMPLE"), -0.5, SPAN(""));
	return score_all(scan, r, why, room);
}
