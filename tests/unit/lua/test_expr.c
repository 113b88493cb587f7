/* Expressions over symbols: values, binding of operators, what is said of mistakes and of results. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <cmocka.h>

#include "lua/expr.h"

/* A and B were found, B three times; C was not. */
static double
value(const void *arg, int id)
{
	(void)arg;
	return id == 'A' ? 1 : id == 'B' ? 3 : 0;
}

static struct expr *
parse(const char *text, size_t *at, char *why, size_t room)
{
	struct expr *e = expr_parse(span_of(text), at, why, room);

	for (size_t i = 0; e && i < expr_symbol_count(e); i++)
		expr_bind(e, i, expr_symbol(e, i).p[0]);
	return e;
}

static void
values(void **state)
{
	static const struct { const char *text; double want; const char *shown; } good[] = {
		{ "A", 1, "A=1" },
		{ "!A", 0, "!A=1" },
		{ "A && !C", 1, "A=1 && !C=0" },
		{ "C && A", 0, "C=0 && A" },
		{ "A || C", 1, "A=1 || C" },
		{ "C || A && B", 1, "C=0 || A=1 && B=3" },
		{ "(C || A) && B", 1, "(C=0 || A=1) && B=3" },
		{ "A + B + C", 4, "A=1 + B=3 + C=0" },
		{ "(A + B + C) >= 4", 1, "A=1 + B=3 + C=0 >= 4" },
		{ "A + B * 2 > 6", 1, "A=1 + B=3 * 2 > 6" },
		{ "B - A - A == 1", 1, "B=3 - A=1 - A=1 == 1" },
		{ "B - (A - A) == 3", 1, "B=3 - (A=1 - A=1) == 3" },
		{ "B / C", 0, "B=3 / C=0" },
		{ "-A < 0", 1, "-A=1 < 0" },
		{ "A and not C or C", 1, "A=1 && !C=0 || C" },
		{ "A & B | C", 1, "A=1 && B=3 || C" },
		{ "!(A && B) != 1", 1, "!(A=1 && B=3) != 1" },
		{ "0.5 * B > 1.4", 1, "0.5 * B=3 > 1.4" },
		{ "((((A))))", 1, "A=1" },
	};
	size_t at;
	char why[120];

	(void)state;
	for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
		struct expr *e = parse(good[i].text, &at, why, sizeof why);
		struct buf shown = { 0 };

		if (e == NULL)
			fail_msg("%s: %s at %zu", good[i].text, why, at);
		if (expr_eval(e, value, NULL) != good[i].want)
			fail_msg("%s: %g", good[i].text, expr_eval(e, value, NULL));
		expr_explain(e, value, NULL, &shown);
		if (!span_eq(buf_span(&shown), span_of(good[i].shown)))
			fail_msg("%s: shown as " SPAN_FMT, good[i].text, SPAN_ARG(buf_span(&shown)));
		buf_free(&shown);
		expr_free(e);
	}
}

static void
mistakes(void **state)
{
	static const struct { const char *text; size_t at; const char *why; } bad[] = {
		{ "", 0, "missing at the end" }, { "A &&", 4, "missing at the end" }, { "A B", 2, "operator is expected" },
		{ "(A", 2, "a ) is missing" }, { "A)", 1, "operator is expected" }, { "&& A", 0, "is expected" },
		{ "A && %", 5, "is expected" }, { "1.2.3", 5, "not a number" }, { "A == = B", 5, "is expected" },
	};
	char why[120], deep[400];
	size_t at;

	(void)state;
	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
		struct expr *e = parse(bad[i].text, &at, why, sizeof why);

		if (e != NULL || at != bad[i].at || strstr(why, bad[i].why) == NULL)
			fail_msg("\"%s\": %s at %zu", bad[i].text, why, at);
	}
	memset(deep, '(', sizeof deep);
	deep[sizeof deep - 1] = '\0';
	assert_null(parse(deep, &at, why, sizeof why));
	assert_non_null(strstr(why, "too deep"));
	memset(deep, '!', sizeof deep - 1);
	assert_null(parse(deep, &at, why, sizeof why));
}

/* A long sum is no deep one. */
static void
long_ones(void **state)
{
	struct buf text = { 0 };
	size_t at;
	char why[120];

	(void)state;
	for (int i = 0; i < 1500; i++)
		buf_printf(&text, "%sA", i ? " + " : "");
	struct expr *e = expr_parse(buf_span(&text), &at, why, sizeof why);

	assert_non_null(e);
	for (size_t i = 0; i < expr_symbol_count(e); i++)
		expr_bind(e, i, 'A');
	assert_true(expr_eval(e, value, NULL) == 1500);
	expr_free(e);
	for (int i = 0; i < 1500; i++)
		buf_printf(&text, " + A");
	assert_null(expr_parse(buf_span(&text), &at, why, sizeof why));
	assert_non_null(strstr(why, "too long"));
	buf_free(&text);
}

int
main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(values), cmocka_unit_test(mistakes), cmocka_unit_test(long_ones) };

	return cmocka_run_group_tests(tests, NULL, NULL);
}
