/* verdict: names once, evidence clean and bounded, a full verdict says so. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <cmocka.h>

#include "policyd/base/utf8.h"
#include "policyd/scan/verdict.h"

static void
adds_once(void **state)
{
	struct arena *a = arena_open(1 << 24);
	struct verdict *v = ARENA_NEW(a, struct verdict);

	(void)state;
	verdict_add(a, v, SPAN("URL_X"), 2, SPAN("one"));
	verdict_add(a, v, SPAN("URL_X"), 2, SPAN("two"));
	verdict_add(a, v, SPAN("URL_X"), 2, SPAN("one"));
	verdict_add(a, v, SPAN("dnsbl zen\r\n"), 1.5, (struct span){ 0 });
	verdict_unknown(a, v, SPAN("CLAMAV"), SPAN("no answer"));
	assert_int_equal(v->count, 3);
	assert_true(span_eq(v->at[0].evidence, SPAN("one; two")));
	assert_true(span_eq(v->at[1].name, SPAN("DNSBL_ZEN__")));
	assert_true(verdict_points(v) == 3.5);
	assert_non_null(verdict_find(v, SPAN("CLAMAV_UNKNOWN")));
	assert_null(verdict_find(v, SPAN("CLAMAV")));
	arena_close(a);
}

static void
evidence_is_short_utf8(void **state)
{
	struct arena *a = arena_open(1 << 24);
	struct verdict *v = ARENA_NEW(a, struct verdict);
	char long_text[3 * MAX_EVIDENCE + 1];

	(void)state;
	for (size_t i = 0; i < sizeof long_text; i++)        /* 3-byte characters, the cut falls inside one */
		long_text[i] = "\xe2\x82\xac"[i % 3];
	long_text[0] = '\xff';
	long_text[1] = 'x';
	long_text[2] = '\x80';
	verdict_add(a, v, SPAN("A_B"), 1, span_make(long_text, sizeof long_text));
	assert_true(v->at[0].evidence.n <= MAX_EVIDENCE && v->at[0].evidence.n > MAX_EVIDENCE - 4);
	assert_true(utf8_valid(v->at[0].evidence));
	assert_true(span_starts(v->at[0].evidence, SPAN("?x?")));
	arena_close(a);
}

static void
full_says_so(void **state)
{
	struct arena *a = arena_open(1 << 24);
	struct verdict *v = ARENA_NEW(a, struct verdict);

	(void)state;
	for (int i = 0; i < MAX_FINDINGS + 50; i++)
		verdict_add(a, v, arena_printf(a, "S%d", i), 1, (struct span){ 0 });
	assert_int_equal(v->count, MAX_FINDINGS);
	assert_non_null(verdict_find(v, SPAN("FINDINGS_LIMIT")));
	assert_true(verdict_points(v) == MAX_FINDINGS - 1);
	arena_close(a);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(adds_once), cmocka_unit_test(evidence_is_short_utf8), cmocka_unit_test(full_says_so),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
