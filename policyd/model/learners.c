#include "policyd/model/learners.h"

#include <math.h>

#include "policyd/model/exact.h"

/* Constants as measured over several corpora and five orders of each; names as in the papers. */
static const double A_RATE = 8, A_STEP = 1024, C_RATE = 0.012, C_STEP = 8192, DAMP = 0.1, DAMP_AT = 3;
static const double B_S = 0.0178, B_X = 0.52, B_LEAST = 0.45;
static const double CAL_K[LEARNERS] = { 3, 5, 3 }, CAL_SLOPE = 0.001, WEIGHT[LEARNERS] = { 0.8, 1.2, 0.5 };
/* A passage speaks for the mail when it is worse than the whole by more than this. */
static const double PASSAGE = 4;
static const double NEAR = 5, PLATT_RATE = 0.02, Z_CLIP = 12;
/* A customer's: rates count as if CUSTOMER_RATES messages of the global ones had been his; half his own histogram's word
 * at CUSTOMER_HALF messages of his rarer class. A feature that he alone has seen takes several of his mails to count
 * (CUSTOMER_NEW): with everybody's B_S one was enough, and three splits of open corpora did worse than without him. */
static const double CUSTOMER_S = 0.2, CUSTOMER_NEW = 1.5, CUSTOMER_RATES = 5, CUSTOMER_HALF = 500;

static double
sigma(double s)
{
	return 1 / (1 + exact_exp(-s));
}

/* ---- weights of A and C ---- */

static double
weights_sum(const int16_t *w, int bits, const struct feature_set *set)
{
	long sum = 0;

	for (uint32_t i = 0; i < set->count; i++)
		sum += w[set->hash[i] & ((1u << bits) - 1)];
	return (double)sum;
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

/* Adds `units` to each weight, what is below one unit by chance. `sign` -1 takes the very same steps back. */
static void
weights_add(int16_t *w, int bits, const struct feature_set *set, double units, int sign, uint64_t *random)
{
	double whole = floor(units), part = units - whole;

	for (uint32_t i = 0; i < set->count; i++) {
		int16_t *at = &w[set->hash[i] & ((1u << bits) - 1)];
		double v = *at + sign * (whole + ((double)(next_random(random) >> 11) * 0x1p-53 < part));

		*at = (int16_t)(v > INT16_MAX ? INT16_MAX : v < INT16_MIN ? INT16_MIN : v);
	}
}

static double
a_scale(const struct features *f)
{
	uint32_t n = f->words.count + f->structure.count;

	return n ? 1 / sqrt(n) : 0;
}

static void
a_step(int16_t *w, int bits, const struct features *f, double g, int sign, uint64_t seed)
{
	double units = A_RATE * g * a_scale(f) * A_STEP;

	weights_add(w, bits, &f->words, units, sign, &seed);
	weights_add(w, bits, &f->structure, units, sign, &seed);
}

static void
c_step(struct table *t, const struct features *f, double g, int sign, uint64_t seed)
{
	seed = ~seed;
	weights_add(t->c, C_BITS, &f->grams, C_RATE * g * C_STEP, sign, &seed);
}

static double
gradient(double s, int label)
{
	double g = label - sigma(s);

	/* A label that contradicts what is certain is more often a wrong label than a lesson. */
	return (label == SPAM) != (s > 0) && fabs(s) > DAMP_AT ? g * DAMP : g;
}

/* ---- B ---- */

struct rates {                               /* 1 / messages counted, per class */
	double per[2];
};

static struct rates
rates_of(const uint32_t trained[2])
{
	return (struct rates){ { trained[HAM] ? 1.0 / trained[HAM] : 0, trained[SPAM] ? 1.0 / trained[SPAM] : 0 } };
}

static double
share_of_spam(double ham, double spam)
{
	return ham + spam > 0 ? spam / (ham + spam) : 0.5;
}

/* f of one feature by the global counters; B_X where it was never seen. */
static double
b_global(const struct evidence *e, const struct rates *r)
{
	unsigned c = e->count[SPAM] + e->count[HAM];

	return (B_S * B_X + c * share_of_spam(e->count[HAM] * r->per[HAM], e->count[SPAM] * r->per[SPAM])) / (B_S + c);
}

struct b_sum {
	double sum;
	unsigned used;
};

static void
b_use(struct b_sum *b, double f)
{
	if (fabs(f - 0.5) >= B_LEAST) {
		b->sum += exact_log(f / (1 - f));
		b->used++;
	}
}

/* With whose eyes a mail is looked at: everybody's, with own tables on top. */
struct eye {
	const struct table *t;
	struct rates rates;
	struct layer {
		const struct customer *c;
		double own;                  /* how much its own histograms count, 0 to 1 */
	} layer[OWN_LAYERS];
	int layers;
};

static struct eye
eye_of(const struct table *t, const struct own_tables *own)
{
	struct eye eye = { .t = t, .rates = rates_of(t->trained) };

	for (int i = 0; own && i < OWN_LAYERS; i++) {
		const struct customer *c = own->at[i];
		double rarer = c == NULL ? 0 : c->seen[HAM] < c->seen[SPAM] ? c->seen[HAM] : c->seen[SPAM];

		if (c)
			eye.layer[eye.layers++] = (struct layer){ c, rarer / (rarer + CUSTOMER_HALF) };
	}
	return eye;
}

/* A customer's counts over the global rates: one who taught ham only has not made every common word a ham word. `f` is what
 * the tables below say, and `seen` whether they have seen the feature. */
static double
b_own(const struct evidence *e, const struct evidence *own, const struct customer *c, const struct rates *rates, bool seen, double f)
{
	double n = own->count[SPAM] + own->count[HAM], strength = seen ? CUSTOMER_S : CUSTOMER_NEW;
	double ham = (own->count[HAM] + CUSTOMER_RATES * e->count[HAM] * rates->per[HAM]) / (c->trained[HAM] + CUSTOMER_RATES);
	double spam = (own->count[SPAM] + CUSTOMER_RATES * e->count[SPAM] * rates->per[SPAM]) / (c->trained[SPAM] + CUSTOMER_RATES);

	return (strength * f + n * share_of_spam(ham, spam)) / (strength + n);
}

/* Where a customer's table counts a feature: in two places, of which the lower count is nearer the truth. All stays a sum,
 * and a feature of his that shares one place with another is not mistaken for it. */
static void
own_places(uint32_t hash, uint32_t at[2])
{
	at[0] = hash & ((1u << CUSTOMER_B_BITS) - 1);
	at[1] = (hash * 0x9e3779b1u) >> (32 - CUSTOMER_B_BITS);
}

static struct evidence
own_evidence(const struct customer *c, uint32_t hash)
{
	struct evidence e;
	uint32_t at[2];

	own_places(hash, at);
	for (int label = HAM; label <= SPAM; label++) {
		uint8_t x = c->b[at[0]].count[label], y = c->b[at[1]].count[label];

		e.count[label] = x < y ? x : y;
	}
	return e;
}

static void
b_add(const struct eye *eye, const struct feature_set *set, struct b_sum *b)
{
	for (uint32_t i = 0; i < set->count; i++) {
		const struct evidence *e = &eye->t->b[set->hash[i] & ((1u << B_BITS) - 1)];
		bool seen = e->count[SPAM] + e->count[HAM] > 0;
		double f = seen ? b_global(e, &eye->rates) : B_X;

		for (int k = 0; k < eye->layers; k++) {
			struct evidence own = own_evidence(eye->layer[k].c, set->hash[i]);

			if (own.count[SPAM] + own.count[HAM] == 0)
				continue;
			f = b_own(e, &own, eye->layer[k].c, &eye->rates, seen, f);
			seen = true;
		}
		if (seen)
			b_use(b, f);
	}
}

static void
count_one(struct evidence *e, int label, int by)
{
	if (by < 0) {
		e->count[label] -= e->count[label] > 0;
		return;
	}
	if (e->count[SPAM] + e->count[HAM] >= 255) {
		e->count[SPAM] /= 2;
		e->count[HAM] /= 2;
	}
	e->count[label]++;
}

static void
b_count(struct table *t, const struct feature_set *set, int label, int by)
{
	for (uint32_t i = 0; i < set->count; i++)
		count_one(&t->b[set->hash[i] & ((1u << B_BITS) - 1)], label, by);
}

static void
b_count_own(struct customer *c, const struct feature_set *set, int label, int by)
{
	for (uint32_t i = 0; i < set->count; i++) {
		uint32_t at[2];

		own_places(set->hash[i], at);
		count_one(&c->b[at[0]], label, by);
		count_one(&c->b[at[1]], label, by);
	}
}

/* ---- calibration ---- */

static int
bin_of(int learner, double s)
{
	int bin = (int)((s / (CAL_K[learner] + fabs(s)) + 1) / 2 * CALIBRATION_BINS);

	return bin < 0 ? 0 : bin >= CALIBRATION_BINS ? CALIBRATION_BINS - 1 : bin;
}

/* How much more often spam than ham lies on this side of the score. */
static double
calibrated(const struct calibration *c, int learner, double s)
{
	int bin = bin_of(learner, s);
	uint64_t spam_below = 0, ham_above = 0;

	for (int i = 0; i <= bin; i++)
		spam_below += c->bins[SPAM][i];
	for (int i = bin; i < CALIBRATION_BINS; i++)
		ham_above += c->bins[HAM][i];
	return exact_log(((double)spam_below + 0.5) / (c->total[SPAM] + 1.0)) - exact_log(((double)ham_above + 0.5) / (c->total[HAM] + 1.0)) +
	    CAL_SLOPE * s / (CAL_K[learner] + fabs(s));
}

static double
calibrated_customer(const struct customer *c, int learner, double s)
{
	int bin = bin_of(learner, s) * CUSTOMER_BINS / CALIBRATION_BINS;
	unsigned spam_below = 0, ham_above = 0, spam = 0, ham = 0;

	for (int i = 0; i < CUSTOMER_BINS; i++) {
		spam += c->bins[learner][SPAM][i];
		ham += c->bins[learner][HAM][i];
		spam_below += i <= bin ? c->bins[learner][SPAM][i] : 0;
		ham_above += i >= bin ? c->bins[learner][HAM][i] : 0;
	}
	return exact_log((spam_below + 0.5) / (spam + 1.0)) - exact_log((ham_above + 0.5) / (ham + 1.0));
}

static void
bin_take(struct calibration *c, int label, int bin)
{
	/* Where a rebuild put it elsewhere, the nearest one that has any. */
	for (int d = 0; d < CALIBRATION_BINS && c->total[label] > 0; d++)
		for (int side = -1; side <= 1; side += 2) {
			int at = bin + side * d;

			if (at < 0 || at >= CALIBRATION_BINS || c->bins[label][at] == 0)
				continue;
			c->bins[label][at]--;
			c->total[label]--;
			return;
		}
}

/* ---- all three ---- */

static double
eye_calibrated(const struct eye *eye, int learner, double s)
{
	double l = calibrated(&eye->t->calibration[learner], learner, s);

	for (int k = 0; k < eye->layers; k++)
		if (eye->layer[k].own > 0)
			l = eye->layer[k].own * calibrated_customer(eye->layer[k].c, learner, s) + (1 - eye->layer[k].own) * l;
	return l;
}

/* What adds up over the passages of a mail. */
struct sums {
	double a;
	uint32_t n;
	struct b_sum b;
};

static void
look(const struct eye *eye, const struct feature_set *words, const struct feature_set *pairs, struct sums *to)
{
	to->a += weights_sum(eye->t->a, A_BITS, words);
	for (int k = 0; k < eye->layers; k++)
		to->a += weights_sum(eye->layer[k].c->a, CUSTOMER_A_BITS, words);
	to->n += words->count;
	if (pairs) {
		b_add(eye, words, &to->b);
		b_add(eye, pairs, &to->b);
	}
}

static struct sums
together(const struct sums *x, const struct sums *y)
{
	return (struct sums){ x->a + y->a, x->n + y->n, { x->b.sum + y->b.sum, x->b.used + y->b.used } };
}

/* Scores of A, B and C, their log-odds, and the sum of these. */
static double
judge(const struct eye *eye, const struct sums *sums, double c, double s[LEARNERS], double l[LEARNERS])
{
	bool counted = eye->t->trained[SPAM] > 0 && eye->t->trained[HAM] > 0;
	double z = 0;

	s[LEARNER_A] = sums->n ? sums->a / A_STEP / sqrt(sums->n) : 0;
	s[LEARNER_B] = counted && sums->b.used ? sums->b.sum / sqrt(sums->b.used) : 0;
	s[LEARNER_C] = c / C_STEP;
	for (int i = 0; i < LEARNERS; i++) {
		l[i] = eye_calibrated(eye, i, s[i]);
		z += WEIGHT[i] * l[i];
	}
	return z;
}

void
learners_score(const struct table *t, const struct own_tables *own, const struct features *f, struct learner_scores *out)
{
	struct eye eye = eye_of(t, own);
	struct feature_set words = features_outside(&f->words), pairs = features_outside(&f->pairs), site = features_site(&f->words);
	struct feature_set site_pairs = features_site(&f->pairs), grams = features_outside(&f->grams), site_grams = features_site(&f->grams);
	struct sums outside = { 0 }, whole, passage[FEATURES_WINDOWS];
	double c = weights_sum(t->c, C_BITS, &grams) + weights_sum(t->c, C_BITS, &site_grams), s[LEARNERS], l[LEARNERS];
	int passages = 0;

	look(&eye, &words, &pairs, &outside);
	look(&eye, &site, &site_pairs, &outside);
	look(&eye, &f->structure, NULL, &outside);
	whole = outside;
	for (int w = 0; w < FEATURES_WINDOWS; w++) {
		words = features_passage(&f->words, w);
		pairs = features_passage(&f->pairs, w);
		if (words.count + pairs.count == 0)
			continue;
		passage[passages] = (struct sums){ 0 };
		look(&eye, &words, &pairs, &passage[passages]);
		whole = together(&whole, &passage[passages++]);
	}
	out->whole = judge(&eye, &whole, weights_sum(t->c, C_BITS, &f->grams), out->s, out->l);
	out->passage = -HUGE_VAL;
	for (int i = 0; i < passages; i++) {
		struct sums one = together(&outside, &passage[i]);

		out->passage = fmax(out->passage, judge(&eye, &one, c, s, l));
	}
	out->z = fmax(out->whole, out->passage - PASSAGE);
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

/* While lessons are few, each is worth training on. */
static bool
is_young(const struct table *t)
{
	return t->seen[HAM] < TRAIN_ALL_BELOW || t->seen[SPAM] < TRAIN_ALL_BELOW;
}

static void
plan(const struct learner_scores *scores, bool all, int label, struct lesson_effect *effect)
{

	effect->trained = 0;
	for (int i = 0; i < LEARNERS; i++) {
		bool near = (label == SPAM) != (scores->l[i] > 0) || fabs(scores->l[i]) < NEAR;

		effect->trained |= all || near ? 1u << i : 0;
		effect->bin[i] = (uint16_t)bin_of(i, scores->s[i]);
		effect->g[i] = (float)gradient(scores->s[i], label);
	}
	effect->z = (float)scores->z;
}

void
learners_plan(const struct table *t, const struct own_tables *own, const struct features *f, int label, struct lesson_effect *effect)
{
	struct learner_scores scores;

	learners_score(t, own, f, &scores);
	plan(&scores, own == NULL && is_young(t), label, effect);    /* an own table holds what everybody's does not know */
}

void
learners_train(struct table *t, const struct features *f, int label, struct lesson_effect *effect, uint64_t seed)
{
	struct learner_scores scores;
	uint8_t trained = effect->trained;

	if (trained) {
		learners_score(t, NULL, f, &scores);
		plan(&scores, is_young(t), label, effect);
		effect->trained = trained;
	}
	for (int i = 0; i < LEARNERS; i++) {
		t->calibration[i].bins[label][effect->bin[i]]++;
		t->calibration[i].total[label]++;
	}
	platt(t, (double)effect->z, label);
	if (trained & 1u << LEARNER_A)
		a_step(t->a, A_BITS, f, effect->g[LEARNER_A], 1, seed);
	if (trained & 1u << LEARNER_C)
		c_step(t, f, effect->g[LEARNER_C], 1, seed);
	if (trained & 1u << LEARNER_B) {
		b_count(t, &f->words, label, 1);
		b_count(t, &f->pairs, label, 1);
		t->trained[label]++;
	}
	t->seen[label]++;
	t->lessons++;
}

/* Of A's step what this lesson alone has taught: on words that no lesson left in B has. The rest is shared with lessons that
 * have since adjusted to it; subtracting it from them too takes more than was given (measured: 2 % of the lessons taken
 * back by their recorded steps moved every score by 4 nats, this way by 0.2). */
static void
a_take_back(struct table *t, const struct features *f, double g)
{
	double units = A_RATE * g * a_scale(f) * A_STEP;

	for (uint32_t i = 0; i < f->words.count; i++) {
		const struct evidence *e = &t->b[f->words.hash[i] & ((1u << B_BITS) - 1)];
		int16_t *at = &t->a[f->words.hash[i] & ((1u << A_BITS) - 1)];
		double v = *at - rint(units);

		if (e->count[SPAM] + e->count[HAM] == 0)
			*at = (int16_t)(v > INT16_MAX ? INT16_MAX : v < INT16_MIN ? INT16_MIN : v);
	}
}

void
learners_untrain(struct table *t, const struct features *f, int label, const struct lesson_effect *effect)
{
	if (effect->trained & 1u << LEARNER_B && t->trained[label] > 0) {
		b_count(t, &f->words, label, -1);
		b_count(t, &f->pairs, label, -1);
		t->trained[label]--;
	}
	if (effect->trained & 1u << LEARNER_A)
		a_take_back(t, f, (double)effect->g[LEARNER_A]);
	for (int i = 0; i < LEARNERS; i++)
		bin_take(&t->calibration[i], label, effect->bin[i]);
	if (t->seen[label] > 0)
		t->seen[label]--;
}

static void
change_customer(struct customer *c, const struct features *f, int label, const struct lesson_effect *effect, int sign, uint64_t seed)
{
	if (effect->trained & 1u << LEARNER_A)
		a_step(c->a, CUSTOMER_A_BITS, f, effect->g[LEARNER_A], sign, seed);
	if (effect->trained & 1u << LEARNER_B && (sign > 0 || c->trained[label] > 0)) {
		b_count_own(c, &f->words, label, sign);
		b_count_own(c, &f->pairs, label, sign);
		c->trained[label] += (uint32_t)sign;
	}
	for (int i = 0; i < LEARNERS; i++) {
		uint16_t *at = &c->bins[i][label][effect->bin[i] % CALIBRATION_BINS * CUSTOMER_BINS / CALIBRATION_BINS];

		if (sign > 0 ? *at < UINT16_MAX : *at > 0)
			*at = (uint16_t)(*at + sign);
	}
	if (sign > 0 || c->seen[label] > 0)
		c->seen[label] += (uint32_t)sign;
}

void
learners_train_customer(struct customer *c, const struct features *f, int label, const struct lesson_effect *effect, uint64_t seed)
{
	change_customer(c, f, label, effect, 1, seed);
}

void
learners_untrain_customer(struct customer *c, const struct features *f, int label, const struct lesson_effect *effect, uint64_t seed)
{
	change_customer(c, f, label, effect, -1, seed);
}
