#include "policyd/limit/bucket.h"

#include <math.h>

double
bucket_warmth(int64_t age_ms, uint32_t warmup_days)
{
	double whole = warmup_days * 86400e3;

	if (warmup_days == 0 || (double)age_ms >= whole)
		return 1;
	return fmax(WARMUP_LEAST, (double)age_ms / whole);
}

double
bucket_capacity(const struct limit *l, double warmth, int nodes)
{
	return fmax(1, floor(l->burst * warmth)) / nodes;
}

double
bucket_per_ms(const struct limit *l, double warmth, int nodes)
{
	return l->amount * warmth / (l->per_s * 1000.0) / nodes;
}

void
bucket_refill(struct bucket *b, double capacity, double per_ms, int64_t now_ms)
{
	if (now_ms > b->at_ms) {
		b->tokens += (double)(now_ms - b->at_ms) * per_ms;
		b->at_ms = now_ms;
	}
	b->tokens = fmin(b->tokens, capacity);
}

bool
bucket_take(struct bucket *b, double capacity, double cost)
{
	if (cost > 0 && b->tokens < fmin(cost, capacity))
		return false;
	b->tokens -= cost;
	return true;
}

int64_t
bucket_wait_ms(const struct bucket *b, double capacity, double per_ms, double cost)
{
	double missing = fmin(cost, capacity) - b->tokens;

	return missing <= 0 ? 0 : (int64_t)ceil(missing / per_ms);
}
