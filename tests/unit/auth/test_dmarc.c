/* DMARC: records, where they stand, whose the mail is. SPF and DKIM are given. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <cmocka.h>

#include "policyd/auth/dmarc.h"
#include "policyd/auth/taglist.h"
#include "tests/unit/auth/zone.h"

static void
test_records(void **state)
{
	static const struct { const char *text; bool good; enum dmarc_policy p, sp, np; unsigned pct; } cases[] = {
		{ "v=DMARC1; p=reject", true, DMARC_P_REJECT, DMARC_P_REJECT, DMARC_P_REJECT, 100 },
		{ "v=DMARC1;p=Quarantine;", true, DMARC_P_QUARANTINE, DMARC_P_QUARANTINE, DMARC_P_QUARANTINE, 100 },
		{ " v = DMARC1 ; p = none ; sp = reject ", true, DMARC_P_NONE, DMARC_P_REJECT, DMARC_P_REJECT, 100 },
		{ "v=DMARC1; p=none; sp=quarantine; np=reject; pct=20", true, DMARC_P_NONE, DMARC_P_QUARANTINE, DMARC_P_REJECT, 20 },
		{ "v=DMARC1; p=reject; pct=200", true, DMARC_P_REJECT, DMARC_P_REJECT, DMARC_P_REJECT, 100 },
		{ "v=DMARC1; p=reject;; adkim=s; nonsense; x", true, DMARC_P_REJECT, DMARC_P_REJECT, DMARC_P_REJECT, 100 },
		{ "v=DMARC1; p=whatever; rua=mailto:a@b.example", true, DMARC_P_NONE, DMARC_P_NONE, DMARC_P_NONE, 100 },
		{ "v=DMARC1; p=whatever", false, 0, 0, 0, 0 },
		{ "v=DMARC1", false, 0, 0, 0, 0 },
		{ "p=reject; v=DMARC1", false, 0, 0, 0, 0 },
		{ "v=dmarc1; p=reject", false, 0, 0, 0, 0 },
		{ "", false, 0, 0, 0, 0 },
	};

	(void)state;
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		struct dmarc_record r;

		if (dmarc_record_parse(span_of(cases[i].text), &r) != cases[i].good)
			fail_msg("%s", cases[i].text);
		if (cases[i].good && (r.p != cases[i].p || r.sp != cases[i].sp || r.np != cases[i].np || r.pct != cases[i].pct))
			fail_msg("%s: p %d sp %d np %d pct %u", cases[i].text, r.p, r.sp, r.np, r.pct);
	}
}

struct want {
	const char *label, *from, *spf_domain, *dkim_domain;
	enum spf_result spf;
	enum dkim_result dkim;
	unsigned lot;
	enum dmarc_result result;
	enum dmarc_policy policy, applies;
};

static void
run_case(const struct want *w, bool late)
{
	json_error_t error;
	json_t *txt = json_loads("{ \"_dmarc.shop.example\": \"v=DMARC1; p=reject; sp=quarantine; np=reject\","
	    "\"_dmarc.strict.example\": \"v=DMARC1; p=quarantine; adkim=s; aspf=s\", \"_dmarc.half.example\": \"v=DMARC1; p=reject; pct=50\","
	    "\"_dmarc.two.example\": [\"v=DMARC1; p=reject\", \"v=DMARC1; p=none\"], \"_dmarc.other.example\": [\"google-site=1\", \"v=DMARC1; p=reject\"],"
	    "\"_dmarc.bad.example\": \"v=DMARC1; p=nonsense\", \"_dmarc.silent.example\": false, \"_dmarc.co.uk\": \"v=DMARC1; p=reject\","
	    "\"_dmarc.mail.shop.example\": \"v=DMARC1; p=none\", \"_dmarc.xn--bcher-kva.example\": \"v=DMARC1; p=reject\" }", 0, &error);
	struct arena *a = arena_open(64 << 20);
	struct zone *z = ARENA_NEW(a, struct zone);
	struct message *msg = ARENA_NEW(a, struct message);
	struct auth *auth = ARENA_NEW(a, struct auth);
	int rounds = 0;

	if (txt == NULL)
		fail_msg("%s", error.text);
	*z = (struct zone){ .answers = { zone_look }, .a = a, .txt = txt, .late = late };
	message_parse(a, arena_printf(a, "From: %s\r\nSubject: x\r\n\r\nx\r\n", w->from), msg);
	auth->sender.asked = w->spf_domain != NULL;
	auth->sender.spf = (uint8_t)w->spf;
	auth_name(auth->sender.spf_domain, sizeof auth->sender.spf_domain, span_of(w->spf_domain));
	if (w->dkim_domain) {
		auth->dkim_count = 1;
		auth->dkim[0].result = (uint8_t)w->dkim;
		auth_name(auth->dkim[0].domain, sizeof auth->dkim[0].domain, span_of(w->dkim_domain));
	}
	while (!dmarc_check(a, &z->answers, &msg->headers, w->lot, auth))
		assert_true(++rounds < 50);
	if (auth->dmarc != w->result || auth->dmarc_policy != w->policy || auth->dmarc_applies != w->applies)
		fail_msg("%s, late %d: %s p=%s applies=%s", w->label, late, dmarc_result_names[auth->dmarc], dmarc_policy_names[auth->dmarc_policy],
		    dmarc_policy_names[auth->dmarc_applies]);
	json_decref(txt);
	arena_close(a);
}

#define NO DMARC_P_NONE
#define QUAR DMARC_P_QUARANTINE
#define REJ DMARC_P_REJECT

static void
test_whose(void **state)
{
	static const struct want cases[] = {
		{ "spf", "a@shop.example", "shop.example", NULL, SPF_PASS, 0, 0, DMARC_PASS, REJ, NO },
		{ "spf below, relaxed", "a@shop.example", "bounce.shop.example", NULL, SPF_PASS, 0, 0, DMARC_PASS, REJ, NO },
		{ "spf of another", "a@shop.example", "evil.example", NULL, SPF_PASS, 0, 0, DMARC_FAIL, REJ, REJ },
		{ "a name that ends alike", "a@shop.example", "notshop.example", NULL, SPF_PASS, 0, 0, DMARC_FAIL, REJ, REJ },
		{ "softfail is no pass", "a@shop.example", "shop.example", NULL, SPF_SOFTFAIL, 0, 0, DMARC_FAIL, REJ, REJ },
		{ "dkim", "a@shop.example", "x.example", "shop.example", SPF_FAIL, DKIM_PASS, 0, DMARC_PASS, REJ, NO },
		{ "dkim fails", "a@shop.example", "x.example", "shop.example", SPF_FAIL, DKIM_FAIL, 0, DMARC_FAIL, REJ, REJ },
		{ "dkim by a weak key", "a@shop.example", "x.example", "shop.example", SPF_FAIL, DKIM_POLICY, 0, DMARC_FAIL, REJ, REJ },
		{ "key not to be had", "a@shop.example", "x.example", "shop.example", SPF_FAIL, DKIM_TEMPERROR, 0, DMARC_TEMPERROR, REJ, NO },
		{ "spf not to be had", "a@shop.example", "shop.example", NULL, SPF_TEMPERROR, 0, 0, DMARC_TEMPERROR, REJ, NO },
		{ "spf of another not to be had", "a@shop.example", "x.example", NULL, SPF_TEMPERROR, 0, 0, DMARC_FAIL, REJ, REJ },
		{ "a domain below that is nowhere: np", "a@deep.shop.example", "x.example", NULL, SPF_PASS, 0, 0, DMARC_FAIL, REJ, REJ },
		{ "a record of its own", "a@mail.shop.example", "x.example", NULL, SPF_PASS, 0, 0, DMARC_FAIL, NO, NO },
		{ "strict dkim", "a@strict.example", "x.example", "mail.strict.example", SPF_NONE, DKIM_PASS, 0, DMARC_FAIL, QUAR, QUAR },
		{ "strict dkim, same", "a@strict.example", "x.example", "strict.example", SPF_NONE, DKIM_PASS, 0, DMARC_PASS, QUAR, NO },
		{ "strict spf", "a@strict.example", "mail.strict.example", NULL, SPF_PASS, 0, 0, DMARC_FAIL, QUAR, QUAR },
		{ "in the share", "a@half.example", "x.example", NULL, SPF_PASS, 0, 49, DMARC_FAIL, REJ, REJ },
		{ "left out of it", "a@half.example", "x.example", NULL, SPF_PASS, 0, 50, DMARC_FAIL, REJ, QUAR },
		{ "two records are none", "a@two.example", "x.example", NULL, SPF_PASS, 0, 0, DMARC_NONE, NO, NO },
		{ "a record among others", "a@other.example", "x.example", NULL, SPF_PASS, 0, 0, DMARC_FAIL, REJ, REJ },
		{ "a bad record", "a@bad.example", "x.example", NULL, SPF_PASS, 0, 0, DMARC_PERMERROR, NO, NO },
		{ "no answer", "a@silent.example", "x.example", NULL, SPF_PASS, 0, 0, DMARC_TEMPERROR, NO, NO },
		{ "no record", "a@plain.example", "x.example", NULL, SPF_PASS, 0, 0, DMARC_NONE, NO, NO },
		{ "a public suffix is nobody's", "a@firm.co.uk", "other.co.uk", NULL, SPF_PASS, 0, 0, DMARC_NONE, NO, NO },
		{ "no author", "nobody at all", "x.example", NULL, SPF_PASS, 0, 0, DMARC_NONE, NO, NO },
		{ "two authors, the other one good", "a@evil.example, b@shop.example", "evil.example", NULL, SPF_PASS, 0, 0, DMARC_FAIL, REJ, REJ },
		{ "two authors of one domain", "a@shop.example, b@shop.example", "shop.example", NULL, SPF_PASS, 0, 0, DMARC_PASS, REJ, NO },
		{ "capitals", "A@SHOP.Example", "shop.example", NULL, SPF_PASS, 0, 0, DMARC_PASS, REJ, NO },
		{ "other letters", "a@b\xc3\xbc" "cher.example", "x.example", NULL, SPF_PASS, 0, 0, DMARC_FAIL, REJ, REJ },
		{ "nobody looked at the envelope", "a@shop.example", NULL, NULL, 0, 0, 0, DMARC_NONE, REJ, NO },
		{ "nobody did, but it is signed", "a@shop.example", NULL, "shop.example", 0, DKIM_PASS, 0, DMARC_PASS, REJ, NO },
	};

	(void)state;
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		run_case(&cases[i], false);
		run_case(&cases[i], true);
	}
}

static void
test_tags(void **state)
{
	static const struct { const char *text; bool good; } cases[] = {
		{ "a=b", true }, { "a=b;", true }, { " a = b ; c_1 = d e ; ", true }, { "a=", true }, { "a=b=c", true },
		{ "", false }, { ";", false }, { "a=b;;", false }, { "a=b;;c=d", false }, { "a", false }, { "a=1;a=2", false }, { "=b", false },
		{ "1a=b", false }, { "_=b", false }, { "a-b=c", false }, { "a b=c", false }, { "a=\x01", false },
	};
	struct arena *a = arena_open(1 << 20);
	struct taglist list;
	struct span out;

	(void)state;
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
		if (taglist_parse(span_of(cases[i].text), &list) != cases[i].good)
			fail_msg("\"%s\"", cases[i].text);
	assert_true(base64_read(a, SPAN("aGVs\r\n bG8="), &out) && span_eq(out, SPAN("hello")));
	assert_true(base64_read(a, SPAN("aGVsbG8"), &out) && span_eq(out, SPAN("hello")));
	assert_false(base64_read(a, SPAN("aGVsbG8=="), &out));
	assert_false(base64_read(a, SPAN("aGVsbG8=a"), &out));
	assert_false(base64_read(a, SPAN("aGVs*G8="), &out));
	assert_false(base64_read(a, SPAN("aGVsb"), &out));
	arena_close(a);
}

int
main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(test_records), cmocka_unit_test(test_whose), cmocka_unit_test(test_tags) };

	return cmocka_run_group_tests(tests, NULL, NULL);
}
