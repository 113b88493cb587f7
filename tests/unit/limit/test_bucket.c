/* Token buckets: what is let through in how much time, alone and shared out. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

#include "policyd/limit/bucket.h"

/* How many of `tries` at every `every_ms` pass. */
static int
passes(const struct limit *l, double warmth, int nodes, int tries, int64_t every_ms, double cost)
{
	double capacity = bucket_capacity(l, warmth, nodes), per_ms = bucket_per_ms(l, warmth, nodes);
	struct bucket b = { capacity, 1000 };
	int passed = 0;

	for (int i = 0; i < tries; i++) {
		bucket_refill(&b, capacity, per_ms, 1000 + i * every_ms);
		passed += bucket_take(&b, capacity, cost);
	}
	return passed;
}

static const struct { const char *label; struct limit limit; double warmth; int nodes, tries; int64_t every_ms; double cost; int want; } rows[] = {
	{ "the burst at once", { 100, 3600, 100 }, 1, 1, 500, 0, 1, 100 },
	{ "a small burst", { 100, 3600, 10 }, 1, 1, 500, 0, 1, 10 },
	{ "slower than the refill", { 3600, 3600, 1 }, 1, 1, 50, 1000, 1, 50 },
	{ "twice as fast", { 3600, 3600, 1 }, 1, 1, 100, 500, 1, 50 },
	{ "burst and refill", { 60, 60, 30 }, 1, 1, 600, 100, 1, 30 + 59 },
	{ "a quarter of it for one of four", { 100, 3600, 100 }, 1, 4, 500, 0, 1, 25 },
	{ "half as warm", { 100, 3600, 100 }, 0.5, 1, 500, 0, 1, 50 },
	{ "never below one", { 5, 3600, 5 }, 0.1, 1, 500, 0, 1, 1 },
	{ "more than ever fits passes once", { 100, 3600, 100 }, 1, 1, 500, 0, 1000, 1 },
	{ "and leaves a debt", { 3600, 3600, 10 }, 1, 1, 100, 1000, 50, 2 },
};

static void
test_passes(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		int got = passes(&rows[i].limit, rows[i].warmth, rows[i].nodes, rows[i].tries, rows[i].every_ms, rows[i].cost);

		if (got != rows[i].want)
			fail_msg("%s: %d passed, want %d", rows[i].label, got, rows[i].want);
	}
}

static void
test_wait_is_enough(void **state)
{
	const struct limit l = { 77, 3600, 20 };
	double capacity = bucket_capacity(&l, 1, 1), per_ms = bucket_per_ms(&l, 1, 1);
	struct bucket b = { 0, 0 };

	(void)state;
	for (int cost = 1; cost <= 20; cost++) {
		struct bucket c = b;
		int64_t wait = bucket_wait_ms(&c, capacity, per_ms, cost);

		bucket_refill(&c, capacity, per_ms, wait - 2);
		assert_false(bucket_take(&c, capacity, cost));
		bucket_refill(&c, capacity, per_ms, wait + 1);
		assert_true(bucket_take(&c, capacity, cost));
	}
}

static void
test_clock_goes_back(void **state)
{
	struct bucket b = { 3, 5000 };

	(void)state;
	bucket_refill(&b, 10, 1, 1000);
	assert_true(b.tokens == 3 && b.at_ms == 5000);
}

static void
test_warmth(void **state)
{
	const int64_t day = 86400 * 1000;

	(void)state;
	assert_true(bucket_warmth(0, 0) == 1);
	assert_true(bucket_warmth(0, 10) == WARMUP_LEAST);
	assert_true(bucket_warmth(5 * day, 10) == 0.5);
	assert_true(bucket_warmth(10 * day, 10) == 1);
	assert_true(bucket_warmth(400 * day, 10) == 1);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_passes), cmocka_unit_test(test_wait_is_enough), cmocka_unit_test(test_clock_goes_back),
		cmocka_unit_test(test_warmth),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
