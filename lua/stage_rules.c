/* stage_rules.c - the rules over one mail: the views gone over once for all patterns, then each rule that may hold, under its own
 * budget, and all under one. */
#include <stdio.h>
#include <stdlib.h>

#include "lua/bind_message.h"
#include "lua/rules_inside.h"
#include "policyd/base/clock.h"
#include "policyd/base/log.h"
#include "policyd/base/metrics.h"
#include "policyd/scan/stage.h"

/* --- the breaker --- */

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
	metrics_add(M_RULE_OFF, 1);
	log_error("%s: rule %s failed %d times within %d s; it is off for %d s; fix it and reload", r->at[i].where,
	    r->at[i].symbol, RULE_BREAKER_FAILS, RULE_BREAKER_MS / 1000, RULE_BREAKER_MS / 1000);
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

/* --- one rule --- */

/* In a canary's share? By the mail's own identity, so that a retry, another node, a second look say the same. */
static bool
in_share(const struct scan *scan, const struct rule *rule)
{
	struct span id = header_value(&scan->message.headers, "Message-ID");

	if (id.n == 0)
		id = span_head(scan->message.raw, 65536);
	return span_hash(id, span_hash(span_of(rule->symbol), 1)) % 100 < (uint64_t)rule->share;
}

static double
points_of(const struct scan *scan, const struct rules *r, const struct rule *rule)
{
	double points = rule->points;

	for (size_t i = 0; i < r->override_count; i++) {
		const struct override *o = &r->overrides[i];

		if (o->customer[0] == '\0' && strcmp(o->name, rule->symbol) == 0 &&
		    (o->context[0] == '\0' || strcmp(o->context, scan->session.context) == 0))
			points = o->points;
	}
	return points;
}

/* What C has found before the rules weighs what scores{} says, if they name it. */
static void
weigh_found(struct scan *scan, const struct rules *r)
{
	for (size_t i = 0; i < r->override_count; i++) {
		const struct override *o = &r->overrides[i];
		struct symbol *s = o->customer[0] == '\0' && (o->context[0] == '\0' || strcmp(o->context, scan->session.context) == 0) ?
		    (struct symbol *)verdict_find(&scan->verdict, span_of(o->name)) : NULL;

		if (s)
			s->points = o->points;
	}
}

/* One customer's rule: seen by him only. In company its points count for him (stage_score.c), and its name is nobody else's. */
static bool
is_shown(const struct scan *scan, const struct rule_set *set)
{
	for (size_t i = 0; set->customer[0] && i < scan->class_count; i++)
		if (strcmp(scan->classes[i].policy->customer, set->customer) != 0)
			return false;
	return true;
}

static void
found(struct scan *scan, struct rules *r, struct rule *rule, const struct judging *j)
{
	double points;

	rule->mail = r->mail;
	rule->hits = j->hits;
	if (rule->helper || !is_shown(scan, &r->sets[rule->set]))
		return;
	points = points_of(scan, r, rule) * (j->hits < rule->max_shots ? j->hits : rule->max_shots);
	bool counts = rule->mode == RULE_ON || (rule->mode == RULE_CANARY && in_share(scan, rule));

	verdict_add(scan->arena, &scan->verdict, span_of(rule->symbol), counts ? points : 0, j->evidence);
	if (!counts)
		verdict_hold(&scan->verdict, span_of(rule->symbol), points);
}

static void
run_rule(struct scan *scan, size_t i, int64_t now_ms, int64_t end_ms)
{
	struct rules *r = scan->kit->rules;
	struct rule *rule = &r->at[i];
	struct state *state = r->sets[rule->set].state;
	struct judging j = { .scan = scan, .r = r, .rule = rule };
	char why[300];

	if (!rule->protect) {
		conditions_judge(state->L, &j);
	} else {
		state_budget(state, MAX_LUA_STEPS, now_ms + MAX_RULE_MS < end_ms ? now_ms + MAX_RULE_MS : end_ms);
		lua_pushcfunction(state->L, conditions_judge_protected);
		lua_pushlightuserdata(state->L, &j);
		if (!state_call(state, 1, 0, why, sizeof why)) {
			failed(scan, i, why, now_ms);
			return;
		}
	}
	if (j.hits > 0)
		found(scan, r, rule, &j);
}

/* --- which rules, in which order --- */

static void
may_hold(void *arg, int pattern)
{
	struct rules *r = arg;

	if (r->by_pattern[pattern] >= 0)
		r->todo[r->todo_count++] = r->place[r->by_pattern[pattern]];
}

static int
by_place(const void *a, const void *b)
{
	return *(const int *)a - *(const int *)b;
}

/* The rules whose pattern may be there, and those that are always judged, merged in order. */
static void
choose(struct rules *r, const struct scan *scan)
{
	size_t hit, n;

	r->todo_count = 0;
	patterns_scan(r->patterns, scan, may_hold, r);
	hit = r->todo_count;
	qsort(r->todo, hit, sizeof *r->todo, by_place);
	r->todo_count = n = hit + r->always_count;
	for (size_t a = r->always_count; a > 0;)         /* from the end, in place */
		r->todo[--n] = hit > 0 && r->todo[hit - 1] > r->always[a - 1] ? r->todo[--hit] : r->always[--a];
}

static void
mark_outside(struct rules *r, const struct scan *scan)
{
	for (size_t i = 0; i < r->outside_count; i++)
		if (verdict_find(&scan->verdict, span_of(r->outside[i].name)))
			r->outside[i].mail = r->mail;
}

static bool
has_customer(const struct scan *scan, const char *customer)
{
	for (size_t i = 0; i < scan->class_count; i++)
		if (strcmp(scan->classes[i].policy->customer, customer) == 0)
			return true;
	return false;
}

struct left_out {                            /* the first rule that was not judged, and why */
	const char *symbol, *why;
};

/* All rules of one set, in order. */
static void
run_set(struct scan *scan, int set, int64_t end_ms, struct left_out *left)
{
	struct rules *r = scan->kit->rules;

	for (size_t k = 0; k < r->todo_count; k++) {
		size_t i = (size_t)r->order[r->todo[k]];
		int64_t now_ms, start_us;

		if (r->at[i].set != set || r->at[i].mode == RULE_OFF)
			continue;
		now_ms = clock_ms();
		if (now_ms >= end_ms) {
			*left = (struct left_out){ r->at[i].symbol, "out of time at " };
			return;
		}
		if (is_off(&r->breakers[i], now_ms)) {
			if (left->symbol == NULL)
				*left = (struct left_out){ r->at[i].symbol, "switched off after failures: " };
			continue;
		}
		start_us = r->timed ? clock_us() : 0;
		run_rule(scan, i, now_ms, end_ms);
		if (r->timed)
			r->at[i].spent_us += clock_us() - start_us;
	}
}

enum stage_result
stage_rules(struct scan *scan)
{
	struct rules *r = scan->kit->rules;
	struct left_out left = { 0 };

	if (r == NULL)
		return STAGE_DONE;
	int64_t start_us = clock_cpu_us();

	r->mail++;
	weigh_found(scan, r);
	choose(r, scan);
	mark_outside(r, scan);
	run_set(scan, 0, scan->deadline_ms, &left);
	for (size_t set = 1; set < r->set_count; set++) {        /* a time of his own for each: none can use up another's */
		int64_t end_ms = clock_ms() + MAX_CUSTOMER_MS;

		if (has_customer(scan, r->sets[set].customer))
			run_set(scan, (int)set, end_ms, &left);
	}
	for (size_t set = 0; set < r->set_count; set++)
		message_unbind(r->sets[set].state->L);
	r->spent_us += clock_cpu_us() - start_us;
	if (left.symbol == NULL)
		return STAGE_DONE;
	verdict_unknown(scan->arena, &scan->verdict, SPAN("RULES"), arena_printf(scan->arena, "%s%s", left.why, left.symbol));
	return STAGE_UNKNOWN;
}
