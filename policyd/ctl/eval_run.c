#include "policyd/ctl/eval_run.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "policyd/base/clock.h"
#include "policyd/ctl/progress.h"
#include "policyd/model/guard.h"

enum { CUSTOMERS_MOST = 64, NODES_MOST = 64 };

bool
nodes_parse(const char *text, struct run *run)
{
	char rest;

	run->lag = 10;
	return sscanf(text, "%d:%d%c", &run->nodes, &run->lag, &rest) <= 2 && run->nodes >= 1 && run->nodes <= NODES_MOST && run->lag >= 1;
}

bool
feedback_parse(const char *text, struct run *run)
{
	static const struct {
		const char *name;
		enum feedback feedback;
		double least, most;          /* of the amount; most 0: none is given */
	} ways[] = {
		{ "immediate", FEEDBACK_IMMEDIATE, 0, 0 },
		{ "delay", FEEDBACK_DELAY, 1, 1e9 },
		{ "share", FEEDBACK_SHARE, 0, 1 },
		{ "first", FEEDBACK_FIRST, 1, 1e9 },
		{ "none", FEEDBACK_NONE, 0, 0 },
		{ "folds", FEEDBACK_FOLDS, 2, 1000 },
	};
	struct span rest = span_of(text), name = span_cut(&rest, ':');
	char *end;

	for (size_t i = 0; i < sizeof ways / sizeof *ways; i++) {
		if (!span_eq(name, span_of(ways[i].name)))
			continue;
		run->feedback = ways[i].feedback;
		run->amount = rest.n ? strtod(rest.p, &end) : 0;
		return ways[i].most > 0 ? rest.n > 0 && *end == '\0' && run->amount >= ways[i].least && run->amount <= ways[i].most : rest.n == 0;
	}
	return false;
}

static double
chance(uint64_t *state)
{
	*state = *state * 6364136223846793005u + 1442695040888963407u;
	return (double)(*state >> 11) * 0x1p-53;
}

static uint64_t
seed_of(const struct sample *s)
{
	uint64_t seed;

	memcpy(&seed, s->digest, sizeof seed);
	return seed;
}

static bool
features_of(const struct sample *s, struct arena *a, struct features *f)
{
	return features_unpack(s->features, a, f);
}

static struct customer *
his_table(struct customer **tables, const struct sample *s)
{
	struct customer **t = &tables[s->source % CUSTOMERS_MOST];

	if (*t == NULL)
		*t = calloc(1, sizeof **t);
	return *t;
}

/* The ledger of a pool, and its nodes. */
struct pool {
	struct entry {
		const struct sample *sample;
		struct lesson_effect effect;
		int label;
	} *ledger;
	size_t count;
	struct node {
		struct table *table;
		size_t place;
	} node[NODES_MOST];
};

static void
pool_close(struct pool *p)
{
	for (int i = 0; i < NODES_MOST; i++)
		table_private_free(p->node[i].table);
	free(p->ledger);
	free(p);
}

static struct pool *
pool_open(const struct run *run, size_t count)
{
	struct pool *p = calloc(1, sizeof *p);
	bool good = p && (p->ledger = calloc(count ? count : 1, sizeof *p->ledger)) != NULL;

	for (int i = 0; good && i < run->nodes; i++)
		if ((good = (p->node[i].table = table_private()) != NULL))
			memcpy(p->node[i].table, run->table, sizeof *run->table);
	if (!good && p)
		pool_close(p);
	return good ? p : NULL;
}

/* As trainer/follow.c does it. */
static void
node_follow(const struct pool *p, struct node *n, struct arena *a)
{
	struct arena_mark mark = arena_mark(a);

	for (; n->place < p->count; n->place++, arena_rewind(a, mark)) {
		const struct entry *e = &p->ledger[n->place];
		struct lesson_effect effect = e->effect;
		struct features f;

		if (features_of(e->sample, a, &f))
			learners_train(n->table, &f, e->label, &effect, seed_of(e->sample));
	}
}

/* The table that scores mail i: of the node whose turn it is. Nodes do not all look at the ledger at the same moment. */
static const struct table *
pool_table(struct run *run, size_t i, struct arena *a)
{
	for (int k = 0; run->pool && k < run->nodes; k++)
		if ((i + (size_t)(k * run->lag / run->nodes)) % (size_t)run->lag == 0)
			node_follow(run->pool, &run->pool->node[k], a);
	return run->pool ? run->pool->node[i % (size_t)run->nodes].table : run->table;
}

static void
teach(struct run *run, struct customer *own, const struct sample *s, const struct features *f, uint64_t *random)
{
	int label = run->noise > 0 && chance(random) < run->noise ? !s->label : s->label;
	struct learner_scores scores;
	struct lesson_effect effect;

	learners_score(run->table, NULL, f, &scores);
	if (run->guard && guard_holds(scores.z, label, seed_of(s))) {
		run->held++;
		return;
	}
	if (own && run->own != OWN_NONE) {
		learners_plan(run->table, &(struct own_tables){ { own } }, f, label, &effect);
		learners_train_customer(own, f, label, &effect, seed_of(s));
	}
	if (run->own != OWN_ONLY) {
		learners_plan(run->table, NULL, f, label, &effect);
		learners_train(run->table, f, label, &effect, seed_of(s));
		if (run->pool)
			run->pool->ledger[run->pool->count++] = (struct entry){ s, effect, label };
		for (int i = 0; i < LEARNERS; i++)
			run->trainings[i] += effect.trained >> i & 1;
	}
	run->lessons++;
}

void
run_train(struct run *run, struct sample *const *order, size_t count, struct arena *a)
{
	struct arena_mark mark = arena_mark(a);
	uint64_t random = run->seed;
	struct features f;

	for (size_t i = 0; i < count; i++) {
		progress("learnt", i, count);
		if (features_of(order[i], a, &f))
			teach(run, NULL, order[i], &f, &random);
		arena_rewind(a, mark);
	}
	progress_end();
}

static void
judge(struct run *run, const struct table *t, struct customer *own, const struct sample *s, const struct features *f, struct judged *out)
{
	struct learner_scores scores;

	learners_score(t, run->own == OWN_NONE ? NULL : &(struct own_tables){ { own } }, f, &scores);
	*out = (struct judged){ scores.z, 1 / (1 + exp(-scores.log_odds)), s->label, seed_of(s) };
}

/* Whether the truth of mail i is told at once. */
static bool
is_told(const struct run *run, size_t i, uint64_t *random)
{
	switch (run->feedback) {
	case FEEDBACK_IMMEDIATE:
		return true;
	case FEEDBACK_SHARE:
		return chance(random) < run->amount;
	case FEEDBACK_FIRST:
		return (double)i < run->amount;
	default:
		return false;
	}
}

static void
test_online(struct run *run, struct sample *const *order, size_t count, struct arena *a)
{
	struct customer *tables[CUSTOMERS_MOST] = { 0 };
	struct arena_mark mark = arena_mark(a);
	size_t delay = run->feedback == FEEDBACK_DELAY ? (size_t)run->amount : 0;
	uint64_t random = run->seed, told = run->seed + 1;

	run->pool = run->nodes ? pool_open(run, count) : NULL;
	for (size_t i = 0; i < count; i++) {
		struct customer *own = run->own == OWN_NONE ? NULL : his_table(tables, order[i]);
		struct features f;

		progress("scored", i, count);
		if (!features_of(order[i], a, &f))
			continue;
		const struct table *table = pool_table(run, i, a);
		int64_t start = clock_cpu_us();

		judge(run, table, own, order[i], &f, &run->judged[i]);
		if (is_told(run, i, &told))
			teach(run, own, order[i], &f, &random);
		run->model_us += clock_cpu_us() - start;
		if (delay && i >= delay && features_of(order[i - delay], a, &f))
			teach(run, own, order[i - delay], &f, &random);
		arena_rewind(a, mark);
	}
	progress_end();
	if (run->pool)
		pool_close(run->pool);
	run->pool = NULL;
	for (int i = 0; i < CUSTOMERS_MOST; i++)
		free(tables[i]);
}

static void
test_folds(struct run *run, struct sample *const *order, size_t count, struct arena *a)
{
	struct arena_mark mark = arena_mark(a);
	size_t folds = (size_t)run->amount;
	uint64_t random = run->seed;
	struct features f;

	for (size_t k = 0; k < folds; k++) {
		table_clear(run->table);
		for (size_t i = 0; i < count; i++, arena_rewind(a, mark)) {
			progress("learnt and scored", k * count + i, folds * count);
			if (i % folds != k && features_of(order[i], a, &f))
				teach(run, NULL, order[i], &f, &random);
		}
		for (size_t i = k; i < count; i += folds, arena_rewind(a, mark))
			if (features_of(order[i], a, &f))
				judge(run, run->table, NULL, order[i], &f, &run->judged[i]);
	}
	progress_end();
}

void
run_test(struct run *run, struct sample *const *order, size_t count, struct arena *a)
{
	run->count = count;
	if (run->feedback == FEEDBACK_FOLDS)
		test_folds(run, order, count, a);
	else
		test_online(run, order, count, a);
}
