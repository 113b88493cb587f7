/* learners.h - two cheap learners over a set of features, each calibrated to log-odds, added.
 *
 * A   online logistic regression over words and structure
 * B   Robinson-Fisher evidence over words and pairs
 * z = L_A + L_B;  probability = sigma(platt_a z + platt_b)
 *
 * Source  A: Goodman and Yih 2006; B: Robinson 2003 ("A Statistical Approach to the Spam Problem"), its terms added as
 *         log-odds and divided by the square root of their number; calibration by cumulative counts; Platt 1999, online
 * Units   log-odds in nats, positive is spam
 */
#ifndef POLICYD_MODEL_LEARNERS_H
#define POLICYD_MODEL_LEARNERS_H

#include "policyd/model/features.h"
#include "policyd/model/table.h"

struct learner_scores {
	double s[LEARNERS];                  /* raw */
	double l[LEARNERS];                  /* calibrated log-odds */
	double z;                            /* their sum */
	double log_odds;                     /* platt_a z + platt_b */
};

void learners_score(const struct table *t, const struct features *f, struct learner_scores *out);

/* Which learners a lesson would train now (bit per LEARNER_*): near errors only, once enough has been seen. */
unsigned learners_would_train(const struct table *t, const struct features *f, int label);

/* One labelled message. `seed` drives the stochastic rounding, so that a rebuild gives the same table.
 * Returns which learners were trained. */
unsigned learners_train(struct table *t, const struct features *f, int label, uint64_t seed);

/* Take back what learners_train(t, f, label, seed) with result `trained` did, as far as it can be: B's counters exactly
 * unless they were halved since, A by the opposite step, calibration by the bins of the present score. */
void learners_untrain(struct table *t, const struct features *f, int label, unsigned trained, uint64_t seed);

#endif
