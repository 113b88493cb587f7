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

/* All short strings over a few letters, against a look at each place. */
static void
finds_in_either_case(void **state)
{
	static const char letters[] = "aAbB-";
	enum { HAY = 5, NEEDLE = 2, LETTERS = sizeof letters - 1 };

	(void)state;
	for (int hay = 0; hay < 3125; hay++)
		for (int needle = 0; needle < 25; needle++) {
			char h[HAY], n[NEEDLE];
			size_t want = SPAN_NONE;

			for (int i = 0, rest = hay; i < HAY; i++, rest /= LETTERS)
				h[i] = letters[rest % LETTERS];
			n[0] = letters[needle % LETTERS];
			n[1] = letters[needle / LETTERS];
			for (size_t i = HAY - NEEDLE + 1; i-- > 0;)
				if (ascii_lower(h[i]) == ascii_lower(n[0]) && ascii_lower(h[i + 1]) == ascii_lower(n[1]))
					want = i;
			assert_int_equal(span_find_nocase(span_make(h, HAY), span_make(n, NEEDLE)), want);
		}
	assert_int_equal(span_find_nocase(SPAN("a"), SPAN("aa")), SPAN_NONE);
	assert_int_equal(span_find_nocase(SPAN(""), SPAN("")), 0);
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
	const struct CMUnitTest tests[] = { cmocka_unit_test(cuts_and_finds), cmocka_unit_test(finds_in_either_case), cmocka_unit_test(reads_numbers) };

	return cmocka_run_group_tests(tests, NULL, NULL);
}
