/* eval_run.h - the ways of classifying and being told the truth: one pass over labelled mails.
 *
 * immediate  classify, then train with the truth (TREC)            delay:N   the truth comes N mails later
 * share:F    it comes for a share F of the mails, by chance         first:N   for the first N only
 * none       it never comes: a frozen model                         folds:K   trained on K - 1 parts, tested on the K-th
 *
 * With `nodes`, each mail is scored by the next of several nodes, as behind MX records of equal weight: each has a table of its
 * own, made of the ledger's lessons in their order, and takes in what is new each `lag` mails of the whole pool only.
 */
#ifndef POLICYD_CTL_EVAL_RUN_H
#define POLICYD_CTL_EVAL_RUN_H

#include "policyd/ctl/eval_corpus.h"
#include "policyd/ctl/eval_measure.h"
#include "policyd/model/learners.h"

enum feedback { FEEDBACK_IMMEDIATE, FEEDBACK_DELAY, FEEDBACK_SHARE, FEEDBACK_FIRST, FEEDBACK_NONE, FEEDBACK_FOLDS };
struct pool;
enum own_table { OWN_NONE, OWN_BOTH, OWN_ONLY };     /* --customers: the global table, both, the customer's alone */

struct run {
	enum feedback feedback;
	double amount;                       /* of the feedback: N, F, K */
	double noise;                        /* share of lessons with the wrong label */
	bool guard;                          /* hold back labels that contradict what is certain */
	int nodes, lag;                      /* 0: one, which is never behind */
	enum own_table own;
	uint64_t seed;
	struct table *table;
	struct pool *pool;                   /* while a run with `nodes` goes on */
	struct judged *judged;               /* as many as samples in the order */
	size_t count;
	unsigned trainings[LEARNERS], lessons, held;
	int64_t model_us;
};

bool feedback_parse(const char *text, struct run *run);
bool nodes_parse(const char *text, struct run *run);         /* "16" or "16:10": nodes, lag */

/* Lessons only; then the table is what `run_test` starts from. */
void run_train(struct run *run, struct sample *const *order, size_t count, struct arena *a);
void run_test(struct run *run, struct sample *const *order, size_t count, struct arena *a);

#endif
