/* stage_score.c - score.lua, once for each policy class. Without a number there is no outcome: the mail is deferred. */
#include <math.h>
#include <stdio.h>

#include "lua/rules_inside.h"
#include "policyd/base/clock.h"
#include "policyd/base/log.h"
#include "policyd/scan/stage.h"

enum { SCORE_MS = 200 };

/* The list of symbols, the same table for every class. Runs protected: memory may be short. */
static int
push_symbols(lua_State *L)
{
	const struct verdict *v = lua_touserdata(L, 1);

	lua_createtable(L, (int)v->count, 0);
	for (size_t i = 0; i < v->count; i++) {
		lua_createtable(L, 0, 2);
		push_span(L, v->at[i].name);
		lua_setfield(L, -2, "name");
		lua_pushnumber(L, v->at[i].points);
		lua_setfield(L, -2, "points");
		lua_rawseti(L, -2, (lua_Integer)i + 1);
	}
	return 1;
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
	lua_State *L = r->state->L;          /* stack: symbols */
	bool numbers;

	lua_pushcfunction(L, call_score);
	lua_rawgeti(L, LUA_REGISTRYINDEX, r->score);
	lua_pushvalue(L, -3);
	lua_pushlightuserdata(L, c);
	if (!state_call(r->state, 3, 2, why, room))
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

enum stage_result
stage_score(struct scan *scan)
{
	struct rules *r = scan->kit->rules;
	char why[300];
	bool ok;

	if (r == NULL) {
		score_plainly(scan);
		return STAGE_DONE;
	}
	state_budget(r->state, MAX_LUA_STEPS, clock_ms() + SCORE_MS);    /* its own time: a slow stage before it must not
	                                                                    leave the mail without points */
	lua_pushcfunction(r->state->L, push_symbols);
	lua_pushlightuserdata(r->state->L, &scan->verdict);
	ok = state_call(r->state, 1, 1, why, sizeof why);
	if (ok) {
		for (size_t i = 0; i < scan->class_count && ok; i++)
			ok = score_class(r, &scan->classes[i], why, sizeof why);
		lua_pop(r->state->L, 1);
	}
	if (ok)
		return STAGE_DONE;
	verdict_unknown(scan->arena, &scan->verdict, SPAN("SCORE"), span_of(why));
	return STAGE_UNKNOWN;
}
