/* eval_unlearn.h - what taking lessons back leaves behind: N learnt and M of them unlearnt, against N - M learnt alone. */
#ifndef POLICYD_CTL_EVAL_UNLEARN_H
#define POLICYD_CTL_EVAL_UNLEARN_H

#include "policyd/ctl/eval_run.h"

struct unlearnt {
	size_t lessons, taken_back, scored;
	size_t counters, counters_differ;    /* of B, neither saturated */
	size_t within, flips, flips_beyond;  /* scores within 0.5 nats; decisions that differ; those with more than 0.5 apart */
	double largest;
};

/* The first `lessons` of the order are learnt, a share of them taken back in random order; the others are scored. */
bool unlearn_measure(struct sample *const *order, size_t count, double share, uint64_t seed, struct arena *a, struct unlearnt *out);

#endif
