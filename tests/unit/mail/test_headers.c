/* Dates, and headers that nobody but us may write. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <cmocka.h>

#include "policyd/base/limits.h"
#include "policyd/mail/date.h"
#include "policyd/mail/forged.h"

enum { NONE = -1 };

static const struct { const char *text; int64_t want; } dates[] = {
	{ "Mon, 2 Nov 2026 10:11:12 +0000", 1793614272 },
	{ "2 Nov 2026 10:11:12 +0000", 1793614272 },
	{ "Mon, 2 Nov 2026 05:41:12 -0430 (a (nested) comment)", 1793614272 },
	{ "Mon , 02 November 2026 10:11:12 GMT", 1793614272 },
	{ "Mon, (x) 2 (y) Nov 2026 10:11:12 Z", 1793614272 },
	{ "Mon, 2 Nov 26 10:11 UT", 1793614260 },
	{ "1 Jan 1970 00:00:00 +0000", 0 },
	{ "31 Dec 69 23:59:59 +0000", -1 },
	{ "29 Feb 2000 00:00:00 +0000", 951782400 },
	{ "1 Mar 2100 00:00:00 +0000", 4107542400 },
	{ "", NONE }, { "tomorrow", NONE }, { "32 Nov 2026 10:11:12 +0000", NONE }, { "30 Feb 2026 10:11:12 +0000", NONE },
	{ "2 Nov 2026 25:11:12 +0000", NONE }, { "2 Nov 2026", NONE }, { "2 Xyz 2026 10:11:12 +0000", NONE }, { "(((((", NONE },
};

static void
test_dates(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof dates / sizeof *dates; i++) {
		int64_t got = 0;
		bool ok = date_parse(span_of(dates[i].text), &got);

		if (got != (ok ? dates[i].want : 0) || (!ok && dates[i].want != NONE))
			fail_msg("%s: %s %lld", dates[i].text, ok ? "is" : "none", (long long)got);
	}
}

static const struct { const char *raw, *id; } results[] = {
	{ " mx.customer.example; spf=pass", "mx.customer.example" },
	{ " mx.customer.example 1; spf=pass", "mx.customer.example" },
	{ " mx.customer.example/1; spf=pass", "mx.customer.example" },
	{ " (x) MX.(y)customer.example\r\n\t/ 1 ; dmarc=pass", "MX.customer.example" },
	{ " (a(b\\)c)d)mx.customer.example (e)", "mx.customer.example" },
	{ " \"mx.customer.example\"; none", "mx.customer.example" },
	{ " mx . customer .example; none", "mx.customer.example" },
	{ " mx.customer.example.; none", "mx.customer.example" },
	{ " other.example (mx.customer.example); none", "other.example" },
	{ " (((", "" }, { "", "" },
};

static void
test_authserv_id(void **state)
{
	struct arena *a = arena_open(MAX_SCAN_MEMORY);

	(void)state;
	for (size_t i = 0; i < sizeof results / sizeof *results; i++) {
		struct span id = authserv_id_of(a, span_of(results[i].raw));

		if (!span_eq(id, span_of(results[i].id)))
			fail_msg("%s: " SPAN_FMT, results[i].raw, SPAN_ARG(id));
	}
	arena_close(a);
}

static void
test_forged(void **state)
{
	struct arena *a = arena_open(MAX_SCAN_MEMORY);
	struct message msg;
	struct forged *list;

	(void)state;
	message_parse(a, SPAN("Authentication-Results: other.example; spf=pass\nX-Spam-Flag: NO\n"
	    "Authentication-Results: (x) MX.ours.example; spf=pass\nX-policyd-score: 1\nx-spam-flag: NO\nFrom: a@b.example\n\nhi\n"), &msg);
	assert_int_equal(message_forged(&msg, SPAN("mx.ours.example"), a, &list), 4);
	assert_true(span_eq(list[0].name, SPAN("X-Spam-Flag")) && list[0].nth == 1);
	assert_true(span_eq(list[1].name, SPAN("Authentication-Results")) && list[1].nth == 2);
	assert_true(span_eq(list[2].name, SPAN("X-policyd-score")) && list[2].nth == 1);
	assert_true(span_eq(list[3].name, SPAN("x-spam-flag")) && list[3].nth == 2);
	assert_int_equal(message_forged(&msg, SPAN(""), a, &list), 3);
	arena_close(a);
}

int
main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(test_dates), cmocka_unit_test(test_authserv_id), cmocka_unit_test(test_forged) };

	return cmocka_run_group_tests(tests, NULL, NULL);
}
