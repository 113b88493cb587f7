/* Sets of names as rbldnsd reads them: scopes, exclusions, defaults, values; and lists of names whose answers say several things. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "policyd/config_values.h"
#include "policyd/scan/nameset.h"

#define A(n) (0x7f000000u | (n))

static const char zone[] =
	"$SOA 600 ns.uri.test h.uri.test 0 600 300 86400 300\n"
	"# a comment\n; another\n\n"
	"plain.example\n"
	"  UPPER.Example.  \n"
	"*.below.example\n"
	".both.example :4:its own $\n"
	"!good.both.example\n"
	"*.good.both.example\n"
	":127.0.0.8:phish $\n"
	"phish.example\n"
	"text.example only a text\n"
	"remark.example # not a value\n"
	"twice.example :2:\n"
	"twice.example :16:\n"
	"out.example\n"
	"!out.example\n"
	"bad..name\n"
	"value.example :999:\n"
	":$TTL 60\n"
	"last.example :127.0.1.2";

static const struct { const char *name; size_t count; uint32_t a; } cases[] = {
	{ "plain.example", 1, A(2) }, { "www.plain.example", 0, 0 }, { "PLAIN.example", 1, A(2) }, { "upper.example", 1, A(2) },
	{ "below.example", 0, 0 }, { "a.below.example", 1, A(2) }, { "a.b.c.below.example", 1, A(2) },
	{ "both.example", 1, A(4) }, { "www.both.example", 1, A(4) }, { "good.both.example", 0, 0 },
	{ "x.good.both.example", 1, A(2) },
	{ "phish.example", 1, A(8) }, { "text.example", 1, A(8) }, { "remark.example", 1, A(8) }, { "twice.example", 2, A(2) },
	{ "out.example", 0, 0 }, { "value.example", 0, 0 }, { "last.example", 1, A(0x102) }, { "example", 0, 0 }, { "", 0, 0 },
	{ "ten.example", 0, 0 }, { "xplain.example", 0, 0 },
};

static void
test_names(void **state)
{
	size_t bad;
	struct nameset *set = nameset_parse(span_of(zone), &bad);

	(void)state;
	assert_int_equal(bad, 2);
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		uint32_t a[MAX_DNS_ANSWERS];
		size_t count = nameset_find(set, span_of(cases[i].name), a);

		if (count != cases[i].count || (count > 0 && a[0] != cases[i].a))
			fail_msg("%s: %zu, %x", cases[i].name, count, count ? a[0] : 0);
	}
	nameset_free(set);
}

static void
test_many(void **state)
{
	size_t bad, room = 200000 * 24, n = 0;
	char *text = malloc(room), name[32];
	uint32_t a[MAX_DNS_ANSWERS];

	(void)state;
	for (int i = 0; i < 200000; i++)
		n += (size_t)snprintf(text + n, room - n, ".n%d.example\n", i * 7);
	struct nameset *set = nameset_parse(span_make(text, n), &bad);

	assert_int_equal(nameset_count(set), 400000);
	for (int i = 0; i < 1400000; i += 101) {
		snprintf(name, sizeof name, "w.n%d.example", i);
		assert_int_equal(nameset_find(set, span_of(name), a), i % 7 == 0);
	}
	/* one name a thousand times over is not looked at a thousand times */
	for (n = 0; n < 1000 * 24;)
		n += (size_t)snprintf(text + n, room - n, "x.example :10.1.%zu.%zu\n", n / 256 % 256, n % 256);
	nameset_free(set);
	set = nameset_parse(span_make(text, n), &bad);
	assert_int_equal(nameset_find(set, SPAN("x.example"), a), MAX_DNS_ANSWERS);
	nameset_free(set);
	free(text);
}

static void
test_codes(void **state)
{
	static const struct { const char *text; bool good; uint32_t first, last, mask; const char *suffix; double points; } codes[] = {
		{ "127.0.0.2", true, A(2), A(2), 0, "", 5 }, { "127.0.0.2-11", true, A(2), A(11), 0, "", 5 },
		{ "127.0.0.0/24&8", true, A(0), A(255), 8, "", 5 }, { "127.0.0.0/24&8=3.5", true, A(0), A(255), 8, "", 3.5 },
		{ "127.0.0.0/24&8=3.5:PHISH", true, A(0), A(255), 8, "PHISH", 3.5 }, { "127.0.1.4=:MAL_WARE2", true, A(0x104), A(0x104), 0, "MAL_WARE2", 5 },
		{ "127.0.0.2=", false, 0, 0, 0, "", 0 }, { "127.0.0.2&", false, 0, 0, 0, "", 0 }, { "127.0.0.2&0", false, 0, 0, 0, "", 0 },
		{ "127.0.0.2=1:phish", false, 0, 0, 0, "", 0 }, { "127.0.0.2=x", false, 0, 0, 0, "", 0 }, { "10.0.0.2", false, 0, 0, 0, "", 0 },
		{ "127.0.0.2=1:AVERYLONGSUFFIXINDEED", false, 0, 0, 0, "", 0 },
	};

	(void)state;
	for (size_t i = 0; i < sizeof codes / sizeof *codes; i++) {
		struct dnsbl_code code;
		bool good = value_code(span_of(codes[i].text), 5, &code);

		if (good != codes[i].good || (good && (code.first != codes[i].first || code.last != codes[i].last || code.mask != codes[i].mask ||
		    strcmp(code.suffix, codes[i].suffix) != 0 || code.points != codes[i].points)))
			fail_msg("%s", codes[i].text);
	}
}

static void
test_bits(void **state)
{
	struct dnsbl_list list = { .names = 1, .points = 5, .code_count = 3, .zone = "uri.test" };
	struct dnsbl_hit hits[DNSBL_MAX_CODES];
	size_t count;
	uint32_t both = A(12), refusal[] = { A(4), 0x7fffff01 }, parked = 0x0a000002, other = A(1);
	char name[MAX_HOST_NAME + 1], longest[MAX_HOST_NAME + 1];

	(void)state;
	assert_true(value_code(SPAN("127.0.0.0/24&4=2:GREY"), 5, &list.codes[0]) && value_code(SPAN("127.0.0.0/24&8=6:PHISH"), 5, &list.codes[1]) &&
	    value_code(SPAN("127.0.0.0/24&12=7:PHISH"), 5, &list.codes[2]));
	assert_int_equal(dnsbl_judge_all(&list, &both, 1, hits, &count), DNSBL_LISTED);
	assert_int_equal(count, 2);
	assert_string_equal(hits[0].suffix, "GREY");
	assert_string_equal(hits[1].suffix, "PHISH");
	assert_true(hits[0].points == 2 && hits[1].points == 7);
	assert_int_equal(dnsbl_judge_all(&list, refusal, 2, hits, &count), DNSBL_REFUSED);
	assert_int_equal(dnsbl_judge_all(&list, &parked, 1, hits, &count), DNSBL_CLEAR);
	assert_int_equal(dnsbl_judge_all(&list, &other, 1, hits, &count), DNSBL_CLEAR);
	assert_true(dnsbl_name_question(&list, SPAN("shop.example"), name));
	assert_string_equal(name, "shop.example.uri.test");
	assert_true(dnsbl_name_question(&list, SPAN("192.0.2.7"), name));
	assert_string_equal(name, "7.2.0.192.uri.test");
	memset(longest, 'a', sizeof longest);
	assert_false(dnsbl_name_question(&list, span_make(longest, 250), name));
	assert_false(dnsbl_name_question(&list, SPAN(""), name));
}

int
main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(test_names), cmocka_unit_test(test_many), cmocka_unit_test(test_codes),
	    cmocka_unit_test(test_bits) };

	return cmocka_run_group_tests(tests, NULL, NULL);
}
