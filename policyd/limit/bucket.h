/* bucket.h - the arithmetic of token buckets: pure, given the time.
 *
 * Shape   a bucket holds up to `burst` tokens and refills at amount/per_s; whoever takes what is there goes on, or waits
 * Units   milliseconds; tokens (KiB of MEASURE_BYTES) as doubles, for a refill is a fraction
 * Share   a node that cannot ask Redis counts alone, with 1/nodes of the burst and of the refill: all nodes together then
 *         let through one burst at most beside what Redis had left
 * Lease   of a hot bucket a node takes tokens ahead, and only from the upper half: while it has them it need not ask, and
 *         near the end every token is asked for. So nothing is ever let through twice, and a limit is exact when it matters
 *         (who may have what ahead is Redis' to say: store/buckets_script.h)
 */
#ifndef POLICYD_LIMIT_BUCKET_H
#define POLICYD_LIMIT_BUCKET_H

#include "policyd/scan/limit.h"

struct bucket {
	double tokens;
	int64_t at_ms;                       /* of `tokens` */
};

/* Warm-up: the share of its limits that an account has at an age of so many ms; from WARMUP_LEAST to 1. */
#define WARMUP_LEAST 0.1
double bucket_warmth(int64_t age_ms, uint32_t warmup_days);

double bucket_capacity(const struct limit *l, double warmth, int nodes);
double bucket_per_ms(const struct limit *l, double warmth, int nodes);

/* Tokens at `now_ms`; a clock that went back refills nothing. */
void bucket_refill(struct bucket *b, double capacity, double per_ms, int64_t now_ms);
/* True and taken, or false and nothing changed. Who wants more than ever fits needs a full bucket, and leaves a debt. */
bool bucket_take(struct bucket *b, double capacity, double cost);
/* Until `cost` can be taken. */
int64_t bucket_wait_ms(const struct bucket *b, double capacity, double per_ms, double cost);
#endif
