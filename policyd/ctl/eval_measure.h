/* eval_measure.h - how good are these scores: figures, and whether two runs differ.
 *
 * 1-ROCA%  100 x the share of (ham, spam) pairs that are ranked the wrong way, ties half (Cormack and Lynam 2005)
 * LAM%     logistic average of ham and spam misclassification at z > 0, (k + .5) / (n + 1)
 * miss     % of spam missed at the threshold where 0.1 % (0.01 %) of ham is misclassified
 * ECE      expected calibration error: |mean probability - share of spam| over 15 bins of probability, by their mails
 */
#ifndef POLICYD_CTL_EVAL_MEASURE_H
#define POLICYD_CTL_EVAL_MEASURE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { RELIABILITY_BINS = 15 };

struct judged {                              /* one mail, scored */
	double z, probability;
	int label;                           /* HAM or SPAM: the truth */
	uint64_t id;                         /* the same mail in another run */
};

struct figures {
	size_t count[2], wrong[2];
	double roca, lam, miss_01, miss_001, ece, brier;
	struct {
		double mean, spam;           /* mean probability, share of spam */
		size_t count;
	} reliability[RELIABILITY_BINS];
};

void figures_of(const struct judged *j, size_t count, struct figures *out);

/* How often, in resamples of the mails, each run is better: a paired bootstrap of the differences a - b. */
struct difference {
	double mean, low, high;              /* 95 % interval */
	double p;                            /* two-sided: how likely if they were equal */
};
bool bootstrap(const struct judged *a, const struct judged *b, size_t count, int resamples, uint64_t seed, struct difference *roca,
    struct difference *lam);

/* ROC and reliability of up to 4 runs as one SVG. */
struct plotted {
	const char *name;
	const struct judged *at;
	size_t count;
};
bool plot_write(const char *path, const struct plotted *runs, size_t count);

#endif
