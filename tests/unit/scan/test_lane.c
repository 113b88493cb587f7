/* Bulk and trickle: what the header says, whose mail it is, how much of it there is. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "policyd/scan/lane.h"

static void
test_hints(void **state)
{
	static const struct { const char *name, *value; unsigned hint; } cases[] = {
		{ "Precedence", " bulk", LANE_HINT_PRECEDENCE }, { "precedence", "LIST", LANE_HINT_PRECEDENCE }, { "Precedence", "first-class", 0 },
		{ "List-Unsubscribe", "<https://x.example>", LANE_HINT_LIST }, { "LIST-ID", "<a.b>", LANE_HINT_LIST }, { "List", "x", 0 },
		{ "Feedback-ID", "1:2:3", LANE_HINT_FEEDBACK }, { "Subject", "bulk", 0 }, { "", "", 0 },
	};

	(void)state;
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
		assert_int_equal(lane_hint(span_of(cases[i].name), span_of(cases[i].value)), cases[i].hint);
}

static void
test_keys(void **state)
{
	static const char *const cases[][2] = {
		{ "News@Shop.example", "news@shop.example" }, { "news+4711@shop.example", "news@shop.example" },
		{ "bounce-9f3a-ann=test.example@shop.example", "bounce-#-ann@shop.example" }, { "b0unce1@x.example", "#@x.example" },
		{ "", "" }, { "ann", "ann" }, { "@x", "@x" }, { "a.b@c@d.example", "a.b@c@d.example" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		char key[MAX_ADDRESS + 1];

		lane_key(span_of(cases[i][0]), key);
		assert_string_equal(key, cases[i][1]);
	}
	char longest[2000], key[MAX_ADDRESS + 1];

	memset(longest, 'a', sizeof longest);
	lane_key(span_make(longest, sizeof longest), key);
	assert_int_equal(strlen(key), MAX_ADDRESS);
	memset(longest, '7', sizeof longest);
	longest[1000] = '.';
	lane_key(span_make(longest, sizeof longest), key);
	assert_string_equal(key, "#.#");
}

static void
test_decisions(void **state)
{
	static const struct { struct lane_facts facts; enum lane lane; const char *why; } cases[] = {
		{ { .rate = 1 }, LANE_TRICKLE, "" }, { { .rate = 599 }, LANE_TRICKLE, "" }, { { .rate = 600 }, LANE_BULK, "volume" },
		{ { .rate = 119, .alike = true }, LANE_TRICKLE, "" }, { { .rate = 120, .alike = true }, LANE_BULK, "many alike" },
		{ { LANE_HINT_LIST, .rate = 1 }, LANE_BULK, "List-*" }, { { LANE_HINT_LIST | LANE_HINT_PRECEDENCE, .rate = 1 }, LANE_BULK, "Precedence" },
		{ { .declared = true }, LANE_BULK, "a declared sender" }, { { .hints = LANE_HINT_FEEDBACK }, LANE_BULK, "a campaign's mark" },
		{ { .declared = true, .exempt = true, .hints = LANE_HINT_LIST, .rate = 5000 }, LANE_TRICKLE, "" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		const char *why;

		assert_int_equal(lane_decide(&cases[i].facts, &why), cases[i].lane);
		assert_string_equal(why, cases[i].why);
	}
}

static void
test_counts(void **state)
{
	struct lane_count c = { 0 };

	(void)state;
	for (int i = 0; i < 100; i++)
		lane_count_add(&c, 1, 1000 + i);
	assert_true(c.mails > 99 && c.mails <= 100);
	assert_true(lane_count_add(&c, 0, 1100 + LANE_HALF_MS) < 51);
	assert_true(lane_count_add(&c, 0, 0) < 51);          /* a clock never goes back, and if it does */
	static const uint32_t shares[][3] = { { 1, 50, 1 }, { 2, 50, 1 }, { 2, 100, 1 }, { 8, 50, 4 }, { 8, 100, 7 }, { 8, 1, 1 }, { 64, 25, 16 } };

	for (size_t i = 0; i < sizeof shares / sizeof *shares; i++)
		assert_int_equal(lane_share(shares[i][0], shares[i][1]), shares[i][2]);
}

int
main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(test_hints), cmocka_unit_test(test_keys), cmocka_unit_test(test_decisions),
	    cmocka_unit_test(test_counts) };

	return cmocka_run_group_tests(tests, NULL, NULL);
}
