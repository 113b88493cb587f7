/* Authentication-Results: what is written can be read by everybody, whatever the mail is called. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <cmocka.h>

#include "policyd/auth/results.h"

static void
test_written(void **state)
{
	struct session session = { 0 };
	struct envelope envelope = { .sender = "ann@good.example" };
	struct auth auth = { .sender = { .asked = 1, .iprev = IPREV_PASS, .spf = SPF_PASS, .spf_helo = SPF_NONE, .client_name = "mail.good.example",
	    .helo = "mail.good.example", .spf_domain = "good.example" }, .dkim_count = 1, .dmarc = DMARC_PASS, .dmarc_policy = DMARC_P_REJECT,
	    .dkim = { { .result = DKIM_PASS, .key_bits = 2048, .domain = "good.example", .selector = "sel" } }, .from_domain = "good.example" };
	struct buf out = { 0 };

	(void)state;
	ip_parse(SPAN("192.0.2.10"), &auth.sender.client);
	results_write(&out, SPAN("mx.example"), METHOD__ALL, &session, &envelope, &auth);
	buf_add_char(&out, '\0');
	assert_string_equal(out.p, "mx.example;\n\tiprev=pass policy.iprev=192.0.2.10 (mail.good.example);\n\tspf=pass smtp.mailfrom=ann@good.example;"
	    "\n\tdkim=pass (2048-bit key) header.d=good.example header.s=sel;\n\tdmarc=pass (p=reject) header.from=good.example");
	buf_clear(&out);
	results_write(&out, SPAN("mx.example"), METHOD_SPF | METHOD_ARC, &session, &envelope, &auth);
	buf_add_char(&out, '\0');
	assert_string_equal(out.p, "mx.example;\n\tspf=pass smtp.mailfrom=ann@good.example");
	buf_clear(&out);
	results_write(&out, SPAN("mx.example"), METHOD_ARC, &session, &envelope, &auth);
	assert_int_equal(out.n, 0);          /* nothing to say */
	buf_free(&out);
}

/* Names of the sender's own choice end no comment, no quotes, no line, and begin no other result. */
static void
test_hostile(void **state)
{
	static const char *const names[] = { "a\"b@x.example; dmarc=pass", "a@x.example\r\nX: y", "a) dmarc=pass (@x", "\\\"@x.example", "a@x; spf=pass",
	    "<>", "a b@c", "\xc3\xa4@x.example", "(((", "\"" };
	struct session session = { 0 };

	(void)state;
	for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
		struct envelope envelope = { 0 };
		struct auth auth = { .sender = { .asked = 1, .iprev = IPREV_FAIL, .spf = SPF_FAIL, .spf_helo = SPF_FAIL }, .dkim_count = 1,
		    .dmarc = DMARC_FAIL, .arc = ARC_FAIL, .dkim = { { .result = DKIM_FAIL } } };
		struct buf out = { 0 };
		struct arena *a = arena_open(1 << 20);
		struct span name = span_of(names[i]);

		snprintf(envelope.sender, sizeof envelope.sender, "%s", names[i]);
		auth_name(auth.sender.helo, sizeof auth.sender.helo, name);
		auth_name(auth.sender.client_name, sizeof auth.sender.client_name, name);
		auth_name(auth.sender.spf_domain, sizeof auth.sender.spf_domain, name);
		auth_name(auth.dkim[0].domain, sizeof auth.dkim[0].domain, name);
		auth_name(auth.dkim[0].reason, sizeof auth.dkim[0].reason, name);
		auth_name(auth.from_domain, sizeof auth.from_domain, name);
		auth_name(auth.arc_sealer, sizeof auth.arc_sealer, name);
		results_write(&out, SPAN("mx.example"), METHOD__ALL, &session, &envelope, &auth);
		for (size_t k = 0; k < out.n; k++)
			assert_true(out.p[k] != '\r' && (out.p[k] != '\n' || out.p[k + 1] == '\t'));
		static const char *const methods[] = { "iprev", "spf", "dkim", "dmarc", "arc" };

		for (size_t k = 0; k < sizeof methods / sizeof *methods; k++)
			if (!span_eq(results_of(a, buf_span(&out), span_of(methods[k])), SPAN("fail")))
				fail_msg("%s of %s: " SPAN_FMT, methods[k], names[i], SPAN_ARG(buf_span(&out)));
		buf_free(&out);
		arena_close(a);
	}
}

static void
test_read(void **state)
{
	static const struct { const char *value, *method, *want; } cases[] = {
		{ " mx.example; spf=pass smtp.mailfrom=a; dmarc=fail (p=reject)", "dmarc", "fail" },
		{ " mx.example; dmarc = Pass header.from=x", "dmarc", "pass" },
		{ " mx.example; (dmarc=pass;) spf=fail", "dmarc", "" },
		{ " mx.example; spf=pass (x\\) ; dmarc=pass)", "dmarc", "" },
		{ " mx.example; spf=pass reason=\"; dmarc=pass\"", "dmarc", "" },
		{ "dmarc=pass", "dmarc", "pass" },
		{ "", "dmarc", "" },
	};
	struct arena *a = arena_open(1 << 20);

	(void)state;
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
		if (!span_eq(results_of(a, span_of(cases[i].value), span_of(cases[i].method)), span_of(cases[i].want)))
			fail_msg("%s", cases[i].value);
	arena_close(a);
}

int
main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(test_written), cmocka_unit_test(test_hostile), cmocka_unit_test(test_read) };

	return cmocka_run_group_tests(tests, NULL, NULL);
}
