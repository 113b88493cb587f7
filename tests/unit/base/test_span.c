#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include "policyd/base/span.h"

static void
cuts_and_finds(void **state)
{
	struct span rest = SPAN("a,bb,,c");

	(void)state;
	assert_true(span_eq(span_cut(&rest, ','), SPAN("a")));
	assert_true(span_eq(span_cut(&rest, ','), SPAN("bb")));
	assert_true(span_eq(span_cut(&rest, ','), SPAN("")));
	assert_true(span_eq(span_cut(&rest, ','), SPAN("c")));
	assert_int_equal(rest.n, 0);
	assert_int_equal(span_find_nocase(SPAN("Content-TYPE: x"), SPAN("type")), 8);
	assert_int_equal(span_find(SPAN("abc"), SPAN("abcd")), SPAN_NONE);
	assert_true(span_ends_nocase(SPAN("x.EXE"), SPAN(".exe")));
	assert_true(span_eq(span_trim(SPAN(" \r\n x y\t")), SPAN("x y")));
}

static void
reads_numbers(void **state)
{
	static const struct { const char *text; int ok; uint64_t want; } cases[] = {
		{ "0", 1, 0 }, { "18446744073709551615", 1, UINT64_MAX }, { "18446744073709551616", 0, 0 },
		{ "", 0, 0 }, { "-1", 0, 0 }, { "1x", 0, 0 },
	};

	(void)state;
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		uint64_t v = 0;

		assert_int_equal(span_u64(span_of(cases[i].text), &v), cases[i].ok);
		if (cases[i].ok)
			assert_true(v == cases[i].want);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(cuts_and_finds), cmocka_unit_test(reads_numbers) };

	return cmocka_run_group_tests(tests, NULL, NULL);
}
