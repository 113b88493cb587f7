#include "policyd/model/learners.h"

#include <math.h>

/* Constants as measured on three corpora; names as in the papers. */
static const double A_RATE = 5, A_STEP = 1024, A_DAMP = 0.1, A_DAMP_AT = 2;
static const double B_S = 0.0178, B_X = 0.52, B_LEAST = 0.45;
static const double CAL_K[LEARNERS] = { 3, 5 }, CAL_SLOPE = 0.001;
static const double NEAR = 5, PLATT_RATE = 0.02, Z_CLIP = 12;
enum { TRAIN_ALL_BELOW = 5000 };

static double
sigma(double s)
{
	return s > 40 ? 1 : s < -40 ? 0 : 1 / (1 + exp(-s));
}

/* ---- A ---- */

static double
a_sum(const int16_t *w, const struct feature_set *set)
{
	long sum = 0;

	for (uint32_t i = 0; i < set->count; i++)
		sum += w[set->hash[i] & ((1u << A_BITS) - 1)];
	return (double)sum / A_STEP;
}

static double
a_score(const struct table *t, const struct features *f, double *x)
{
	uint32_t n = f->words.count + f->structure.count;

	*x = n ? 1 / sqrt(n) : 0;
	return *x * (a_sum(t->a, &f->words) + a_sum(t->a, &f->structure));
}

/* splitmix64: chance that a rebuild repeats. */
static uint64_t
next_random(uint64_t *state)
{
	uint64_t z = *state += 0x9e3779b97f4a7c15u;

	z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
	z = (z ^ z >> 27) * 0x94d049bb133111ebu;
	return z ^ z >> 31;
}

static void
a_add(int16_t *w, const struct feature_set *set, double step, uint64_t *random)
{
	double units = step * A_STEP, whole = floor(units), part = units - whole;

	for (uint32_t i = 0; i < set->count; i++) {
		int16_t *at = &w[set->hash[i] & ((1u << A_BITS) - 1)];
		double v = *at + whole + ((double)(next_random(random) >> 11) * 0x1p-53 < part);

		*at = (int16_t)(v > INT16_MAX ? INT16_MAX : v < INT16_MIN ? INT16_MIN : v);
	}
}

static void
a_train(struct table *t, const struct features *f, double g, double x, uint64_t seed)
{
	double step = A_RATE * g * x;

	a_add(t->a, &f->words, step, &seed);
	a_add(t->a, &f->structure, step, &seed);
}

static double
a_gradient(double s, int label)
{
	double g = label - sigma(s);

	/* A label that contradicts what is certain is more often a wrong label than a lesson. */
	return (label == SPAM) != (s > 0) && fabs(s) > A_DAMP_AT ? g * A_DAMP : g;
}

/* ---- B ---- */

static void
b_sum(const struct table *t, const struct feature_set *set, double *sum, unsigned *used)
{
	double per_spam = t->trained[SPAM] ? 1.0 / t->trained[SPAM] : 0, per_ham = t->trained[HAM] ? 1.0 / t->trained[HAM] : 0;

	for (uint32_t i = 0; i < set->count; i++) {
		const struct evidence *e = &t->b[set->hash[i] & ((1u << B_BITS) - 1)];
		unsigned c = e->count[SPAM] + e->count[HAM];
		double a, b, f;

		if (c == 0)
			continue;
		a = e->count[SPAM] * per_spam;
		b = e->count[HAM] * per_ham;
		f = (B_S * B_X + c * (a + b > 0 ? a / (a + b) : 0.5)) / (B_S + c);
		if (fabs(f - 0.5) < B_LEAST)
			continue;
		*sum += log(f / (1 - f));
		++*used;
	}
}

static double
b_score(const struct table *t, const struct features *f)
{
	double sum = 0;
	unsigned used = 0;

	if (t->trained[SPAM] == 0 || t->trained[HAM] == 0)
		return 0;
	b_sum(t, &f->words, &sum, &used);
	b_sum(t, &f->pairs, &sum, &used);
	return used ? sum / sqrt(used) : 0;
}

static void
b_count(struct table *t, const struct feature_set *set, int label, int by)
{
	for (uint32_t i = 0; i < set->count; i++) {
		struct evidence *e = &t->b[set->hash[i] & ((1u << B_BITS) - 1)];

		if (by > 0) {
			if (e->count[SPAM] + e->count[HAM] >= 255) {
				e->count[SPAM] /= 2;
				e->count[HAM] /= 2;
			}
			e->count[label]++;
		} else if (e->count[label] > 0) {
			e->count[label]--;
		}
	}
}

/* ---- calibration ---- */

static int
bin_of(int learner, double s, double *t)
{
	*t = s / (CAL_K[learner] + fabs(s));

	int bin = (int)((*t + 1) / 2 * CALIBRATION_BINS);

	return bin < 0 ? 0 : bin >= CALIBRATION_BINS ? CALIBRATION_BINS - 1 : bin;
}

/* How much more often spam than ham lies on this side of the score. */
static double
calibrated(const struct calibration *c, int learner, double s)
{
	double t, spam_below = 0, ham_above = 0;
	int bin = bin_of(learner, s, &t);

	for (int i = 0; i <= bin; i++)
		spam_below += c->bins[SPAM][i];
	for (int i = bin; i < CALIBRATION_BINS; i++)
		ham_above += c->bins[HAM][i];
	return log((spam_below + 0.5) / (c->total[SPAM] + 1.0)) - log((ham_above + 0.5) / (c->total[HAM] + 1.0)) + CAL_SLOPE * t;
}

static void
calibrate(struct calibration *c, int learner, double s, int label)
{
	double t;

	c->bins[label][bin_of(learner, s, &t)]++;
	c->total[label]++;
}

void
learners_score(const struct table *t, const struct features *f, struct learner_scores *out)
{
	double x;

	out->s[LEARNER_A] = a_score(t, f, &x);
	out->s[LEARNER_B] = b_score(t, f);
	out->z = 0;
	for (int i = 0; i < LEARNERS; i++) {
		out->l[i] = calibrated(&t->calibration[i], i, out->s[i]);
		out->z += out->l[i];
	}
	out->log_odds = t->platt_a * out->z + t->platt_b;
}

static void
platt(struct table *t, double z, int label)
{
	z = z > Z_CLIP ? Z_CLIP : z < -Z_CLIP ? -Z_CLIP : z;
	double g = sigma(t->platt_a * z + t->platt_b) - label;

	t->platt_a -= PLATT_RATE * g * z / (1 + fabs(z));
	t->platt_b -= PLATT_RATE * g;
	if (t->platt_a < 0.05)
		t->platt_a = 0.05;
}

static unsigned
which(const struct table *t, const struct learner_scores *scores, int label)
{
	unsigned bits = 0;
	bool all = t->seen[HAM] + t->seen[SPAM] < TRAIN_ALL_BELOW;

	for (int i = 0; i < LEARNERS; i++) {
		bool near = (label == SPAM) != (scores->l[i] > 0) || fabs(scores->l[i]) < NEAR;

		bits |= (all || near) ? 1u << i : 0;
	}
	return bits;
}

unsigned
learners_would_train(const struct table *t, const struct features *f, int label)
{
	struct learner_scores scores;

	learners_score(t, f, &scores);
	return which(t, &scores, label);
}

unsigned
learners_train(struct table *t, const struct features *f, int label, uint64_t seed)
{
	struct learner_scores scores;
	unsigned trained;
	double x;

	learners_score(t, f, &scores);
	a_score(t, f, &x);
	trained = which(t, &scores, label);
	for (int i = 0; i < LEARNERS; i++)
		calibrate(&t->calibration[i], i, scores.s[i], label);
	platt(t, scores.z, label);
	if (trained & 1u << LEARNER_A)
		a_train(t, f, a_gradient(scores.s[LEARNER_A], label), x, seed);
	if (trained & 1u << LEARNER_B) {
		b_count(t, &f->words, label, 1);
		b_count(t, &f->pairs, label, 1);
		t->trained[label]++;
	}
	t->seen[label]++;
	t->lessons++;
	return trained;
}

void
learners_untrain(struct table *t, const struct features *f, int label, unsigned trained, uint64_t seed)
{
	struct learner_scores scores;
	double x, bin;

	learners_score(t, f, &scores);
	a_score(t, f, &x);
	if (trained & 1u << LEARNER_A)
		a_train(t, f, -a_gradient(scores.s[LEARNER_A], label), x, seed);
	if (trained & 1u << LEARNER_B && t->trained[label] > 0) {
		b_count(t, &f->words, label, -1);
		b_count(t, &f->pairs, label, -1);
		t->trained[label]--;
	}
	for (int i = 0; i < LEARNERS; i++) {
		struct calibration *c = &t->calibration[i];
		uint32_t *at = &c->bins[label][bin_of(i, scores.s[i], &bin)];

		if (*at > 0 && c->total[label] > 0) {
			--*at;
			c->total[label]--;
		}
	}
	if (t->seen[label] > 0)
		t->seen[label]--;
}
