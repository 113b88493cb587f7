/* stage_rules.c - every rule over one mail, each under its own budget and all under one. */
#include <stdio.h>

#include "lua/bind_message.h"
#include "lua/rules_inside.h"
#include "policyd/base/clock.h"
#include "policyd/base/log.h"
#include "policyd/base/metrics.h"
#include "policyd/scan/stage.h"

static bool
is_off(struct breaker *b, int64_t now_ms)
{
	return atomic_load_explicit(&b->off_until_ms, memory_order_relaxed) > now_ms;
}

/* Several workers may count at once; being one off is no harm. */
static void
count_failure(struct rules *r, size_t i, int64_t now_ms)
{
	struct breaker *b = &r->breakers[i];

	if (now_ms - atomic_load(&b->first_ms) > RULE_BREAKER_MS) {
		atomic_store(&b->first_ms, now_ms);
		atomic_store(&b->fails, 0);
	}
	if (atomic_fetch_add(&b->fails, 1) + 1 < RULE_BREAKER_FAILS)
		return;
	atomic_store(&b->off_until_ms, now_ms + RULE_BREAKER_MS);
	atomic_store(&b->fails, 0);
	log_error("%s: rule %s failed %d times in a row of mails; it is off for %d s; fix it and reload", r->at[i].where,
	    r->at[i].symbol, RULE_BREAKER_FAILS, RULE_BREAKER_MS / 1000);
}

static void
failed(struct scan *scan, size_t i, const char *why, int64_t now_ms)
{
	struct rules *r = scan->kit->rules;

	metrics_add(M_RULE_FAILED, 1);
	log_error("%s: %s: rule %s failed: %s", scan->envelope.queue_id[0] ? scan->envelope.queue_id : "-", r->at[i].where,
	    r->at[i].symbol, why);
	verdict_add(scan->arena, &scan->verdict, SPAN("RULE_FAILED"), 0,
	    arena_printf(scan->arena, "%s: %s", r->at[i].symbol, why));
	count_failure(r, i, now_ms);
}

static void
run_rule(struct scan *scan, size_t i, int64_t now_ms)
{
	struct rules *r = scan->kit->rules;
	const struct rule *rule = &r->at[i];
	lua_State *L = r->state->L;
	char why[300];
	int64_t end_ms = now_ms + MAX_RULE_MS;

	state_budget(r->state, MAX_LUA_STEPS, end_ms < scan->deadline_ms ? end_ms : scan->deadline_ms);
	lua_rawgeti(L, LUA_REGISTRYINDEX, rule->run);
	message_bind(L, scan);
	if (!state_call(r->state, 1, 1, why, sizeof why)) {
		failed(scan, i, why, now_ms);
		return;
	}
	if (lua_toboolean(L, -1)) {
		size_t n = 0;
		const char *evidence = lua_type(L, -1) == LUA_TSTRING ? lua_tolstring(L, -1, &n) : NULL;

		verdict_add(scan->arena, &scan->verdict, span_of(rule->symbol), rule->points, span_make(evidence, n));
	}
	lua_pop(L, 1);
}

enum stage_result
stage_rules(struct scan *scan)
{
	struct rules *r = scan->kit->rules;
	const char *left_out = NULL;
	bool out_of_time = false;

	if (r == NULL)
		return STAGE_DONE;
	for (int late = 0; late <= 1 && !out_of_time; late++)
		for (size_t i = 0; i < r->count; i++) {
			int64_t now_ms;

			if (r->at[i].late != late)
				continue;
			now_ms = clock_ms();
			if (now_ms >= scan->deadline_ms) {
				out_of_time = true;
				left_out = r->at[i].symbol;
				break;
			}
			if (is_off(&r->breakers[i], now_ms)) {
				left_out = left_out ? left_out : r->at[i].symbol;
				continue;
			}
			int64_t start_us = r->timed ? clock_us() : 0;

			run_rule(scan, i, now_ms);
			if (r->timed)
				r->at[i].spent_us += clock_us() - start_us;
		}
	message_unbind(r->state->L);
	if (left_out == NULL)
		return STAGE_DONE;
	verdict_unknown(scan->arena, &scan->verdict, SPAN("RULES"), arena_printf(scan->arena, "%s%s",
	    out_of_time ? "out of time at " : "switched off after failures: ", left_out));
	return STAGE_UNKNOWN;
}
