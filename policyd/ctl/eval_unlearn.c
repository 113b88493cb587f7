#include "policyd/ctl/eval_unlearn.h"

#include <math.h>
#include <stdlib.h>

static const double NEAR_NATS = 0.5;

struct taught {
	const struct sample *sample;
	struct lesson_effect effect;
	bool back;
};

static uint64_t
seed_of(const struct sample *s)
{
	uint64_t seed;

	memcpy(&seed, s->digest, sizeof seed);
	return seed;
}

static void
learn(struct table *t, struct taught *l, bool as_recorded, struct arena *a)
{
	struct arena_mark mark = arena_mark(a);
	struct features f;

	if (features_unpack(l->sample->features, a, &f)) {
		if (!as_recorded)
			learners_plan(t, NULL, &f, l->sample->label, &l->effect);
		learners_train(t, &f, l->sample->label, &l->effect, seed_of(l->sample));
	}
	arena_rewind(a, mark);
}

static void
unlearn(struct table *t, struct taught *l, struct arena *a)
{
	struct arena_mark mark = arena_mark(a);
	struct features f;

	if (features_unpack(l->sample->features, a, &f))
		learners_untrain(t, &f, l->sample->label, &l->effect);
	arena_rewind(a, mark);
}

static void
compare(const struct table *x, const struct table *y, struct sample *const *order, size_t from, size_t count, struct arena *a,
    struct unlearnt *out)
{
	struct arena_mark mark = arena_mark(a);

	for (size_t i = 0; i < 1u << B_BITS; i++) {
		unsigned cx = x->b[i].count[0] + x->b[i].count[1], cy = y->b[i].count[0] + y->b[i].count[1];

		if (cx + cy == 0 || cx >= 127 || cy >= 127)      /* may have been halved */
			continue;
		out->counters++;
		out->counters_differ += memcmp(&x->b[i], &y->b[i], sizeof x->b[i]) != 0;
	}
	for (size_t i = from; i < count; i++, arena_rewind(a, mark)) {
		struct learner_scores sx, sy;
		struct features f;

		if (!features_unpack(order[i]->features, a, &f))
			continue;
		learners_score(x, NULL, &f, &sx);
		learners_score(y, NULL, &f, &sy);
		double apart = fabs(sx.log_odds - sy.log_odds);
		bool flip = (sx.log_odds > 0) != (sy.log_odds > 0);

		out->scored++;
		out->within += apart <= NEAR_NATS;
		out->flips += flip;
		out->flips_beyond += flip && apart > NEAR_NATS;
		out->largest = fmax(out->largest, apart);
	}
}

bool
unlearn_measure(struct sample *const *order, size_t count, double share, uint64_t seed, struct arena *a, struct unlearnt *out)
{
	size_t n = count * 2 / 3;
	struct taught *l = calloc(n ? n : 1, sizeof *l);
	size_t *back = calloc(n ? n : 1, sizeof *back), m = 0;
	struct table *all = table_private(), *without = table_private();
	bool good = l && back && all && without;

	memset(out, 0, sizeof *out);
	for (size_t i = 0; good && i < n; i++) {
		l[i].sample = order[i];
		learn(all, &l[i], false, a);
	}
	for (size_t i = 0; good && i < n; i++) {
		seed = seed * 6364136223846793005u + 1442695040888963407u;
		l[i].back = (double)(seed >> 11) * 0x1p-53 < share;
		if (l[i].back)
			back[m++] = i;
	}
	for (size_t i = m; good && i > 0; i--) {             /* in random order */
		seed = seed * 6364136223846793005u + 1442695040888963407u;
		size_t k = (size_t)(seed >> 33) % i, t = back[i - 1];

		back[i - 1] = back[k];
		back[k] = t;
		unlearn(all, &l[back[i - 1]], a);
	}
	for (size_t i = 0; good && i < n; i++)
		if (!l[i].back)
			learn(without, &l[i], true, a);
	if (good) {
		out->lessons = n;
		out->taken_back = m;
		compare(all, without, order, n, count, a, out);
	}
	table_private_free(all);
	table_private_free(without);
	free(back);
	free(l);
	return good;
}
