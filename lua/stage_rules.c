/* stage_rules.c - the rules over one mail: the views gone over once for all patterns, then each rule that may hold, under its own
 * budget, and all under one. Rules that ask DNS or Redis wait side by side (asking.h). */
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

/* A rule that is being judged; one that waits for answers stands in the list. */
struct running {
	struct turn turn;                    /* first: how Lua knows it */
	struct judging judging;
	size_t rule;
	lua_State *co;
	int ref;
	int64_t steps_left, left_ms;         /* of its own budget */
};

struct left_out {                            /* the first rule that was not judged, or not to its end, and why */
	const char *symbol, *why;
	struct span what;
};

struct run {                                 /* of all rules over one mail */
	struct scan *scan;
	struct rules *r;
	struct left_out left;
	struct asking *asking;
	struct turn *first, **last;          /* of those that wait */
	int64_t left_ms[MAX_RULE_SETS];      /* a time of his own for each customer: none can use up another's */
};

static int64_t
least(int64_t a, int64_t b)
{
	return a < b ? a : b;
}

static void
leave_out(struct run *run, const struct rule *rule, const char *why, struct span what)
{
	if (run->left.symbol == NULL)
		run->left = (struct left_out){ rule->symbol, why, what };
}

/* Let a rule that may wait go on, from its start or from an answer. */
static void
go_on(struct run *run, struct running *now, int args, int64_t now_ms)
{
	struct rule *rule = &run->r->at[now->rule];
	struct state *state = run->r->sets[rule->set].state;
	char why[300];

	state->rule = rule;
	state->turn = &now->turn;
	state_budget(state, now->steps_left, now_ms + least(now->left_ms, run->left_ms[rule->set]));
	enum state_run how = state_resume(state, now->co, args, why, sizeof why);

	state->rule = NULL;
	state->turn = NULL;
	now->steps_left = state->steps_left;
	now->left_ms -= clock_ms() - now_ms;
	if (how == RUN_WAITS) {
		now->turn.next = NULL;
		*run->last = &now->turn;
		run->last = &now->turn.next;
		return;
	}
	luaL_unref(state->L, LUA_REGISTRYINDEX, now->ref);
	if (now->turn.unknown.n > 0)
		leave_out(run, rule, "no answer for ", now->turn.unknown);
	if (how == RUN_FAILED)
		failed(run->scan, now->rule, why, now_ms);
	else if (now->judging.hits > 0)
		found(run->scan, run->r, rule, &now->judging);
}

static void
start_waiting(struct run *run, size_t i, int64_t now_ms)
{
	struct rule *rule = &run->r->at[i];
	struct rule_set *set = &run->r->sets[rule->set];
	struct running *now = ARENA_NEW(run->scan->arena, struct running);

	if (run->asking == NULL)
		run->asking = asking_open(run->scan);
	*now = (struct running){ .turn = { .asking = run->asking, .set = rule->set, .customer = span_of(set->customer) },
	    .judging = { .scan = run->scan, .r = run->r, .rule = rule }, .rule = i, .steps_left = MAX_LUA_STEPS, .left_ms = MAX_RULE_MS };
	state_budget(set->state, MAX_LUA_STEPS, now_ms + MAX_RULE_MS);
	now->co = state_thread(set->state, &now->ref);
	if (now->co == NULL) {
		failed(run->scan, i, "stopped: over the memory of its rule set", now_ms);
		return;
	}
	lua_pushcfunction(now->co, conditions_judge_protected);
	lua_pushlightuserdata(now->co, &now->judging);
	go_on(run, now, 1, now_ms);
}

static void
run_rule(struct run *run, size_t i, int64_t now_ms)
{
	struct rules *r = run->r;
	struct rule *rule = &r->at[i];
	struct state *state = r->sets[rule->set].state;
	struct judging j = { .scan = run->scan, .r = r, .rule = rule };
	char why[300];

	if (rule->needs & NEED_WAITS) {
		start_waiting(run, i, now_ms);
		return;
	}
	if (!rule->protect) {
		conditions_judge(state->L, &j);
	} else {
		state_budget(state, MAX_LUA_STEPS, now_ms + least(MAX_RULE_MS, run->left_ms[rule->set]));
		state->rule = rule;
		lua_pushcfunction(state->L, conditions_judge_protected);
		lua_pushlightuserdata(state->L, &j);
		bool ok = state_call(state, 1, 0, why, sizeof why);

		state->rule = NULL;
		if (!ok) {
			failed(run->scan, i, why, now_ms);
			return;
		}
	}
	if (j.hits > 0)
		found(run->scan, r, rule, &j);
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

/* Most rules take a microsecond, and the clock is looked at again when one has taken more than that, or after a few. */
static bool
was_long(const struct rules *r, size_t i)
{
	return r->at[i].protect && r->sets[r->at[i].set].state->steps_left < MAX_LUA_STEPS - STATE_HOOK_STEPS / 2;
}

/* All rules of one set and level, in order. */
static void
run_set(struct run *run, int set, int level)
{
	enum { EVERY = 16 };
	struct rules *r = run->r;
	int64_t now_ms = clock_ms();
	const int64_t end_ms = now_ms + run->left_ms[set];
	size_t since = 0;

	for (size_t k = 0; k < r->todo_count; k++) {
		size_t i = (size_t)r->order[r->todo[k]];
		int64_t start_us;

		if (r->at[i].set != set || r->at[i].level != level || r->at[i].mode == RULE_OFF)
			continue;
		if (since++ % EVERY == 0)
			now_ms = clock_ms();
		run->left_ms[set] = end_ms - now_ms;
		if (now_ms >= end_ms) {
			leave_out(run, &r->at[i], "out of time at ", (struct span){ 0 });
			return;
		}
		if (is_off(&r->breakers[i], now_ms)) {
			leave_out(run, &r->at[i], "switched off after failures: ", (struct span){ 0 });
			continue;
		}
		start_us = r->timed ? clock_us() : 0;
		run_rule(run, i, now_ms);
		if (r->timed)
			r->at[i].spent_us += clock_us() - start_us;
		if (was_long(r, i) || (r->at[i].needs & NEED_WAITS))
			since = 0;
	}
	run->left_ms[set] = end_ms - clock_ms();
}

/* Those that wait get their answers, and go on, and perhaps ask more. It ends: who waits again has asked something new, and that
 * is bounded. */
static void
run_waiting(struct run *run)
{
	while (run->first) {
		struct turn *list = run->first, *next;

		asking_wait(run->asking);
		run->first = NULL;
		run->last = &run->first;
		for (struct turn *turn = list; turn; turn = next) {
			struct running *now = (struct running *)turn;
			int set = run->r->at[now->rule].set;
			int64_t now_ms = clock_ms();

			next = turn->next;
			if (run->left_ms[set] > 0) {
				go_on(run, now, 0, now_ms);
			} else {
				luaL_unref(run->r->sets[set].state->L, LUA_REGISTRYINDEX, now->ref);
				leave_out(run, &run->r->at[now->rule], "out of time at ", (struct span){ 0 });
			}
			run->left_ms[set] -= clock_ms() - now_ms;
		}
	}
}

static bool
is_wanted(const struct scan *scan, const struct rules *r, size_t set)
{
	return set == 0 || has_customer(scan, r->sets[set].customer);
}

enum stage_result
stage_rules(struct scan *scan)
{
	struct rules *r = scan->kit->rules;

	if (r == NULL)
		return STAGE_DONE;
	int64_t start_us = clock_cpu_us();
	struct run *run = ARENA_NEW(scan->arena, struct run);

	*run = (struct run){ .scan = scan, .r = r, .last = &run->first };
	for (size_t set = 0; set < r->set_count; set++)
		run->left_ms[set] = set ? MAX_CUSTOMER_MS : least(MAX_RULES_MS, scan->deadline_ms - clock_ms());
	r->mail++;
	weigh_found(scan, r);
	choose(r, scan);
	mark_outside(r, scan);
	for (int level = 0; level < r->levels; level++) {
		for (size_t set = 0; set < r->set_count; set++)
			if (is_wanted(scan, r, set))
				run_set(run, (int)set, level);
		run_waiting(run);
	}
	for (size_t set = 0; set < r->set_count; set++)
		message_unbind(r->sets[set].state->L);
	r->spent_us += clock_cpu_us() - start_us;
	if (run->left.symbol == NULL)
		return STAGE_DONE;
	verdict_unknown(scan->arena, &scan->verdict, SPAN("RULES"), run->left.what.n == 0 ?
	    arena_printf(scan->arena, "%s%s", run->left.why, run->left.symbol) :
	    arena_printf(scan->arena, "%s: %s" SPAN_FMT, run->left.symbol, run->left.why, SPAN_ARG(span_head(run->left.what, 100))));
	return STAGE_UNKNOWN;
}
