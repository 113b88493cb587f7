/* rules_tune.c - policyctl tune: points for all rules, fitted to labelled mail; a diff to be read, never a change by itself.
 *
 * Model    log-odds of spam = b + sum of w[symbol] over the symbols found: logistic regression, for points add up as log-odds do
 *          (score.lua: one point is about one nat)
 * Signs    a rule of spam keeps w >= 0, a nice one w <= 0; what C found, and rules that fire on fewer than LEAST_HITS mails, keep
 *          the points they have
 * Penalty  lambda * sum |w|: what adds nothing beside the others falls to 0; lambda by k-fold cross-validation (folds by the order of
 *          the index, blockwise: the same campaign stays on one side)
 * Weights  ham counts HAM_WEIGHT times, for a false positive costs more than a spam that comes through
 * Method   coordinate descent with a bound on each step (Genkin, Lewis, Madigan 2007, section 4), which keeps signs by clipping
 */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "policyd/ctl/rules_measure.h"

enum { LEAST_HITS = 3, FOLDS = 5, MAX_ROUNDS = 200 };
static const double HAM_WEIGHT = 10.0, MOST_POINTS = 2.5;

struct problem {
	const struct measured *m;
	const struct mail_list *list;
	bool *fixed;                         /* per symbol */
	double *w;                           /* per symbol; points */
	double b;
	double *margin;                      /* per mail: b + sum w */
	size_t *start, *mails;               /* the mails that have symbol i: mails[start[i] .. start[i + 1]) */
	int fold;                            /* left out; -1: none */
};

static bool
is_out(const struct problem *p, size_t mail)
{
	return !p->m->mails[mail].read || (p->fold >= 0 && (int)(mail * FOLDS / p->m->mail_count) == p->fold);
}

static double
label(const struct problem *p, size_t mail)
{
	return p->list->at[mail].spam ? 1 : -1;
}

static double
weight(const struct problem *p, size_t mail)
{
	return p->list->at[mail].spam ? 1 : HAM_WEIGHT;
}

/* Mails by symbol. */
static bool
invert(struct problem *p)
{
	const struct measured *m = p->m;
	size_t *fill = calloc(m->symbol_count + 1, sizeof *fill);

	p->start = calloc(m->symbol_count + 2, sizeof *p->start);
	p->mails = calloc(m->hit_count + 1, sizeof *p->mails);
	if (fill == NULL || p->start == NULL || p->mails == NULL) {
		free(fill);
		return false;
	}
	for (size_t i = 0; i < m->hit_count; i++)
		p->start[m->hits[i].symbol + 1]++;
	for (size_t i = 0; i < m->symbol_count; i++)
		p->start[i + 1] += p->start[i];
	for (size_t mail = 0; mail < m->mail_count; mail++)
		for (size_t k = 0; k < m->mails[mail].count; k++) {
			uint32_t s = m->hits[m->mails[mail].first + k].symbol;

			p->mails[p->start[s] + fill[s]++] = mail;
		}
	free(fill);
	return true;
}

/* Gradient and curvature of the loss along one weight; `all` mails for the constant b. */
static void
derivative(const struct problem *p, const size_t *mails, size_t count, double *first, double *second)
{
	*first = 0;
	*second = 0;
	for (size_t i = 0; i < count; i++) {
		size_t mail = mails ? mails[i] : i;

		if (is_out(p, mail))
			continue;
		double y = label(p, mail), q = 1 / (1 + exp(y * p->margin[mail]));

		*first -= weight(p, mail) * y * q;
		*second += weight(p, mail) * q * (1 - q);
	}
}

static void
move(struct problem *p, const size_t *mails, size_t count, double by)
{
	for (size_t i = 0; i < count; i++)
		p->margin[mails ? mails[i] : i] += by;
}

static double
clip(double x, double low, double high)
{
	return x < low ? low : x > high ? high : x;
}

/* One weight, one bounded Newton step; returns how far it went. */
static double
step(struct problem *p, size_t s, double lambda)
{
	const size_t *mails = p->mails + p->start[s];
	size_t count = p->start[s + 1] - p->start[s];
	double first, second, sign = p->m->symbols[s].nice ? -1 : 1;

	derivative(p, mails, count, &first, &second);
	first += sign * lambda;
	double to = p->w[s] + clip(-first / (second + 1e-6), -0.5, 0.5);

	to = sign > 0 ? clip(to, 0, MOST_POINTS) : clip(to, -MOST_POINTS, 0);
	double by = to - p->w[s];

	p->w[s] = to;
	move(p, mails, count, by);
	return fabs(by);
}

static void
fit(struct problem *p, double lambda, int fold)
{
	double first, second, moved = 1;

	p->fold = fold;
	p->b = -2;
	for (size_t s = 0; s < p->m->symbol_count; s++)
		p->w[s] = p->fixed[s] ? p->m->symbols[s].points : 0;
	for (size_t mail = 0; mail < p->m->mail_count; mail++) {
		p->margin[mail] = p->b;
		for (size_t k = 0; k < p->m->mails[mail].count; k++)
			p->margin[mail] += p->w[p->m->hits[p->m->mails[mail].first + k].symbol];
	}
	for (int round = 0; round < MAX_ROUNDS && moved > 0.01; round++) {
		moved = 0;
		derivative(p, NULL, p->m->mail_count, &first, &second);
		double by = clip(-first / (second + 1e-6), -0.5, 0.5);

		p->b += by;
		move(p, NULL, p->m->mail_count, by);
		for (size_t s = 0; s < p->m->symbol_count; s++)
			if (!p->fixed[s]) {
				double step_by = step(p, s, lambda);

				moved = step_by > moved ? step_by : moved;
			}
	}
}

/* Loss over the fold left out, or over all. */
static double
loss(const struct problem *p, int fold)
{
	double sum = 0, n = 0;

	for (size_t mail = 0; mail < p->m->mail_count; mail++) {
		bool in = fold < 0 || (int)(mail * FOLDS / p->m->mail_count) == fold;

		if (!p->m->mails[mail].read || !in)
			continue;
		sum += weight(p, mail) * log1p(exp(-label(p, mail) * p->margin[mail]));
		n += weight(p, mail);
	}
	return n > 0 ? sum / n : 0;
}

static double
choose_lambda(struct problem *p)
{
	static const double lambdas[] = { 1, 3, 10, 30, 100 };
	double best = lambdas[0], least = HUGE_VAL;

	for (size_t i = 0; i < sizeof lambdas / sizeof *lambdas; i++) {
		double sum = 0;

		for (int fold = 0; fold < FOLDS; fold++) {
			fit(p, lambdas[i], fold);
			sum += loss(p, fold) / FOLDS;
		}
		printf("# penalty %-4g: cross-validated loss %.4f\n", lambdas[i], sum);
		if (sum < least) {
			least = sum;
			best = lambdas[i];
		}
	}
	return best;
}

/* Points of mails outside their own fold: what is honestly to be expected. */
static bool
held_out_points(struct problem *p, double lambda, double *points)
{
	for (int fold = 0; fold < FOLDS; fold++) {
		fit(p, lambda, fold);
		for (size_t mail = 0; mail < p->m->mail_count; mail++)
			if ((int)(mail * FOLDS / p->m->mail_count) == fold)
				points[mail] = p->margin[mail] - p->b;
	}
	return true;
}

static void
print_thresholds(const struct problem *p, const double *points)
{
	static const double at[] = { 2, 3, 4, 5, 6, 7, 8, 10, 15 };

	printf("# rules alone, each mail scored by points fitted without its fold:\n# threshold   ham at or above it      spam at or above it\n");
	for (size_t t = 0; t < sizeof at / sizeof *at; t++) {
		uint32_t over[2] = { 0 };

		for (size_t mail = 0; mail < p->m->mail_count; mail++)
			over[p->list->at[mail].spam] += p->m->mails[mail].read && points[mail] >= at[t];
		printf("# %9g   %6u of %u (%.3f %%)   %6u of %u (%.2f %%)\n", at[t], over[0], p->m->of[0], 100.0 * over[0] / (p->m->of[0] + 1e-9),
		    over[1], p->m->of[1], 100.0 * over[1] / (p->m->of[1] + 1e-9));
	}
}

/* The fitted points as a diff of scores{}: what stands in the files now, and what would. */
static void
print_scores(const struct problem *p)
{
	printf("scores {\n");
	for (size_t s = 0; s < p->m->symbol_count; s++) {
		const struct measured_symbol *symbol = &p->m->symbols[s];
		double to = round(p->w[s] * 10) / 10;

		if (!p->fixed[s] && fabs(to - symbol->points) >= 0.05)
			printf("  %s = %g,%*s-- was %g; ham %u, spam %u\n", symbol->name, to, (int)(34 - strlen(symbol->name)) > 0 ?
			    (int)(34 - strlen(symbol->name)) : 1, "", symbol->points, symbol->hits[0], symbol->hits[1]);
	}
	printf("}\n");
}

int
rules_tune(const struct config *config, char *const *indexes, int index_count, const struct rules_options *o)
{
	struct mail_list list = { 0 };
	struct measured m = { 0 };
	struct rules *rules = rules_tool_load(config);
	struct problem p = { .m = &m, .list = &list };
	double *points = NULL;
	int code = 1;
	bool ok = rules != NULL;

	for (int i = 0; ok && i < index_count; i++)
		ok = mail_list_read(&list, indexes[i]);
	if (ok && rules_measure(rules, config, &list, o->jobs, false, &m)) {
		p.fixed = calloc(m.symbol_count + 1, sizeof *p.fixed);
		p.w = calloc(m.symbol_count + 1, sizeof *p.w);
		p.margin = calloc(m.mail_count + 1, sizeof *p.margin);
		points = calloc(m.mail_count + 1, sizeof *points);
		if (p.fixed && p.w && p.margin && points && invert(&p)) {
			for (size_t s = 0; s < m.symbol_count; s++)
				p.fixed[s] = m.symbols[s].rule < 0 || m.symbols[s].helper || fabs(m.symbols[s].points) > 50 ||
				    m.symbols[s].hits[0] + m.symbols[s].hits[1] < LEAST_HITS;
			double lambda = o->penalty > 0 ? o->penalty : choose_lambda(&p);

			held_out_points(&p, lambda, points);
			fit(&p, lambda, -1);
			printf("# penalty %g; %u ham, %u spam; loss on them %.4f\n", lambda, m.of[0], m.of[1], loss(&p, -1));
			print_thresholds(&p, points);
			print_scores(&p);
			code = m.failed_jobs > 0;
		}
	}
	free(points);
	free(p.fixed);
	free(p.w);
	free(p.margin);
	free(p.start);
	free(p.mails);
	measured_free(&m);
	mail_list_free(&list);
	rules_free(rules);
	return code;
}
