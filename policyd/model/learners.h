/* learners.h - three cheap learners over a set of features, each calibrated to log-odds, added.
 *
 * A   online logistic regression over words and structure
 * B   Robinson-Fisher evidence over words and pairs
 * C   online logistic regression over byte runs of the beginning
 * whole = .8 L_A + 1.2 L_B + .5 L_C;  z = max(whole, passage - 4);  probability = sigma(platt_a z + platt_b)
 *
 * passage is the same sum for the mail's worst passage: headers, structure and one of up to eight passages of its text, the
 * others left out. A payload under innocent prose, or with ham words strewn below it, leaves one passage in which it stands
 * alone. Measured: 300 of the commonest ham words made 52 % of spam pass the sum over all text, and 0.5 % more pass this.
 *
 * With own tables on top of the global one, a customer's and on that a mailbox': A adds all tables' weights, B takes what the
 * tables below say as prior of the next, and each L is mixed from the histograms by how much was taught there. Nobody starts
 * cold.
 *
 * Source  A: Goodman and Yih 2006; B: Robinson 2003 ("A Statistical Approach to the Spam Problem"), its terms added as
 *         log-odds and divided by the square root of their number; C: Sculley and Wachman 2007 (there an SVM);
 *         calibration by cumulative counts; Platt 1999, online
 * Units   log-odds in nats, positive is spam
 *
 * Deterministic: the same lessons in the same order give the same tables bit by bit, on any machine (exact.h).
 */
#ifndef POLICYD_MODEL_LEARNERS_H
#define POLICYD_MODEL_LEARNERS_H

#include "policyd/model/customer.h"
#include "policyd/model/features.h"
#include "policyd/model/table.h"

struct learner_scores {
	double s[LEARNERS];                  /* raw */
	double l[LEARNERS];                  /* calibrated log-odds */
	double whole;                        /* their weighted sum */
	double passage;                      /* the same for the worst passage, in the light of all that is not text */
	double z;                            /* max(whole, passage - 4) */
	double log_odds;                     /* platt_a z + platt_b */
};

/* What one lesson did or is to do to one table: enough to take it back. */
struct lesson_effect {
	uint8_t trained;                     /* bit per LEARNER_* */
	uint16_t bin[LEARNERS];              /* where its scores fell */
	float g[LEARNERS];                   /* gradient: of A and C (B has none) */
	float z;
};

enum { TRAIN_ALL_BELOW = 400 };              /* lessons of the rarer class; then near errors only */

/* Own tables on top of everybody's, the nearest last; NULL where there is none. */
enum { OWN_CUSTOMER, OWN_MAILBOX, OWN_LAYERS };
struct own_tables {
	const struct customer *at[OWN_LAYERS];
};

/* Everybody's opinion, or with own tables on top (NULL: none). */
void learners_score(const struct table *t, const struct own_tables *own, const struct features *f, struct learner_scores *out);

/* What a lesson would do now to the global table, or to the nearest own one: near errors only, once enough has been seen. */
void learners_plan(const struct table *t, const struct own_tables *own, const struct features *f, int label, struct lesson_effect *effect);

/* One labelled message to the global table. Which learners are trained is the plan's; gradients, bins and z are those of the
 * present table and replace the plan's. Where none is trained the plan's are used and `f` may be NULL: only the calibration
 * learns. `seed` drives the stochastic rounding, so that a rebuild gives the same table. */
void learners_train(struct table *t, const struct features *f, int label, struct lesson_effect *effect, uint64_t seed);
/* Takes back what `effect` says was done: B's counters exactly unless they were halved since, calibration by the same bin, of
 * A what no other lesson shares; C keeps it. Small models are made anew soon after (trainer/rebuild.h), which leaves no trace. */
void learners_untrain(struct table *t, const struct features *f, int label, const struct lesson_effect *effect);

/* The same to a customer's table. All is additive there: the order of lessons does not matter, and taking one back leaves
 * no trace but in weights and counters that were full. */
void learners_train_customer(struct customer *c, const struct features *f, int label, const struct lesson_effect *effect, uint64_t seed);
void learners_untrain_customer(struct customer *c, const struct features *f, int label, const struct lesson_effect *effect, uint64_t seed);

#endif
