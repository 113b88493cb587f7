/* Limits as texts: what is understood, how they meet those of other levels. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

#include "policyd/scan/limit.h"

static const struct { const char *text, *want; } rows[] = {     /* want NULL: refused */
	{ "messages=200/h", "messages=200/h" },
	{ "messages=200/h:50", "messages=200/h:50" },
	{ "messages=200/h:200", "messages=200/h" },
	{ " recipients=1000/d   distinct=5/s ", "recipients=1000/d distinct=5/s" },
	{ "bytes=2G/d", "bytes=2G/d" },
	{ "bytes=2048m/d:1g", "bytes=2G/d:1G" },
	{ "bytes=1500/m", "bytes=2K/m" },
	{ "bytes=10K/m", "bytes=10K/m" },
	{ "messages=off recipients=7/m", "messages=off recipients=7/m" },
	{ "off", "off" },
	{ "", NULL }, { "messages", NULL }, { "messages=", NULL }, { "messages=5", NULL }, { "messages=5/w", NULL }, { "messages=5/hh", NULL },
	{ "messages=0/h", NULL }, { "messages=-1/h", NULL }, { "messages=5/h:", NULL }, { "messages=5/h:0", NULL }, { "messages=5/h:x", NULL },
	{ "messages=5/h messages=6/h", NULL }, { "messages=1000000001/h", NULL }, { "mails=5/h", NULL }, { "messages=5K/h", NULL },
	{ "bytes=99999999999T/d", NULL }, { "messages=off/h", NULL }, { "off off", NULL },
};

static void
test_texts(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		struct limit limits[MEASURE__COUNT] = { { 0 } };
		char why[256] = "", text[LIMIT_TEXT_ROOM] = "";
		bool good = limits_parse(span_of(rows[i].text), limits, why, sizeof why);

		if (good)
			limits_print(limits, text, sizeof text);
		if (good != (rows[i].want != NULL) || (good && strcmp(text, rows[i].want) != 0))
			fail_msg("\"%s\": got \"%s\" (%s), want %s", rows[i].text, text, why, rows[i].want ? rows[i].want : "a refusal");
		if (!good)
			assert_true(strlen(why) > 20);
	}
}

static void
parse(const char *text, struct limit limits[MEASURE__COUNT])
{
	char why[256];

	memset(limits, 0, MEASURE__COUNT * sizeof *limits);
	assert_true(text[0] == '\0' || limits_parse(span_of(text), limits, why, sizeof why));
}

static const struct { const char *above, *nearer, *want; } merges[] = {
	{ "messages=200/h recipients=900/h", "messages=500/h", "messages=500/h recipients=900/h" },
	{ "messages=200/h", "messages=off", "messages=off" },
	{ "messages=200/h", "off", "off" },
	{ "off", "distinct=9/d", "messages=off recipients=off distinct=9/d bytes=off" },
	{ "", "bytes=1M/s", "bytes=1M/s" },
};

static void
test_levels(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof merges / sizeof *merges; i++) {
		struct limit to[MEASURE__COUNT], from[MEASURE__COUNT];
		char text[LIMIT_TEXT_ROOM];

		parse(merges[i].above, to);
		parse(merges[i].nearer, from);
		limits_merge(to, from);
		limits_print(to, text, sizeof text);
		assert_string_equal(text, merges[i].want);
	}
}

static const struct { const char *limits, *bound; bool least; const char *want; } bounds[] = {
	{ "messages=1000/h recipients=10/h", "messages=500/h", false, "messages=500/h recipients=10/h" },
	{ "messages=300/h", "messages=500/h", false, "messages=300/h" },
	{ "", "messages=500/h", false, "messages=500/h" },              /* nothing said is no limit, and that is more */
	{ "messages=off", "messages=500/h", false, "messages=500/h" },
	{ "messages=500/h:900", "messages=500/h", false, "messages=500/h" },
	{ "messages=10/m", "messages=500/h", false, "messages=500/h" },
	{ "messages=10000/d", "messages=500/h", false, "messages=10000/d" },
	{ "messages=10/h", "messages=50/h", true, "messages=50/h" },
	{ "messages=off", "messages=50/h", true, "messages=off" },
	{ "", "messages=50/h", true, "" },
};

static void
test_bounds(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof bounds / sizeof *bounds; i++) {
		struct limit limits[MEASURE__COUNT], bound[MEASURE__COUNT];
		char text[LIMIT_TEXT_ROOM];

		parse(bounds[i].limits, limits);
		parse(bounds[i].bound, bound);
		bool changed = limits_bound(limits, bound, bounds[i].least);

		limits_print(limits, text, sizeof text);
		if (strcmp(text, bounds[i].want) != 0 || changed != (strcmp(bounds[i].limits, bounds[i].want) != 0))
			fail_msg("%s %s %s: got %s", bounds[i].limits, bounds[i].least ? "at least" : "at most", bounds[i].bound, text);
	}
}

static void
test_compare(void **state)
{
	struct limit a[MEASURE__COUNT], b[MEASURE__COUNT];

	(void)state;
	parse("messages=200/h recipients=5/h", a);
	parse("messages=100/h", b);
	assert_int_equal(limits_compare(a, b), 1);
	assert_int_equal(limits_compare(b, a), -1);
	parse("recipients=5/h", b);
	assert_int_equal(limits_compare(a, b), 0);
	parse("messages=300/h recipients=1/h", b);      /* more of one is more */
	assert_int_equal(limits_compare(a, b), 1);
	assert_int_equal(limits_compare(b, a), 1);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_texts), cmocka_unit_test(test_levels), cmocka_unit_test(test_bounds), cmocka_unit_test(test_compare),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
