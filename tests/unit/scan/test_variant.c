/* variant, rewrite: token addresses that only we can make, and the bytes of a copy. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <cmocka.h>

#include "policyd/scan/rewrite.h"

static const uint8_t key[SECRET_BYTES] = { 1, 2, 3 }, other_key[SECRET_BYTES] = { 9 };
enum { NOW = 1780000000, DAY = 86400 };

static struct variant
tagged(void)
{
	return (struct variant){ .filtered = true, .flag = true, .model_known = true, .has_required = true, .points = 5.13,
	    .bayes_points = -2.5, .required = 4, .subject_tag = "[SPAM] ", .reference = "ABCDEFGH234567" };
}

static void
tokens_come_back(void **state)
{
	static const char *const recipients[] = { "bob@shop.example", "\"odd one\"@shop.example", "j\xc3\xb6rg@b\xc3\xbc" "cher.example", "a@b" };
	struct variant v = tagged(), got;
	char token[TOKEN_ROOM], recipient[MAX_ADDRESS + 1];
	uint64_t nonce = 0;

	(void)state;
	for (size_t i = 0; i < sizeof recipients / sizeof *recipients; i++)
		for (int undo = 0; undo < 256; undo += 51) {
			v.undo = (uint8_t)undo;
			v.points = undo * 40.37 - 5000;
			assert_true(token_make(key, &v, span_of(recipients[i]), "variant.internal", NOW, token));
			struct span local = span_head(span_of(token), strlen(token) - strlen("@variant.internal"));

			assert_int_equal(token_read(key, local, NOW + DAY, &got, recipient, &nonce), TOKEN_GOOD);
			assert_string_equal(recipient, recipients[i]);
			assert_true(got.filtered && got.flag && !got.strip && got.model_known && got.has_required);
			assert_true(fabs(got.points - v.points) < 0.0051 && got.bayes_points == -2.5 && got.required == 4);
			assert_string_equal(got.subject_tag, "[SPAM] ");
			assert_string_equal(got.reference, "ABCDEFGH234567");
			assert_int_equal(got.undo, undo);
			assert_int_equal(token_read(key, local, NOW + (TOKEN_DAYS + 2) * (int64_t)DAY, &got, recipient, &nonce), TOKEN_EXPIRED);
			assert_int_equal(token_read(other_key, local, NOW, &got, recipient, &nonce), TOKEN_BAD);
		}
}

/* Every letter changed to every other, cut, longer: never read. Case does not matter: some MTA may fold it. */
static void
tokens_are_not_forged(void **state)
{
	struct variant v = tagged(), got;
	char token[TOKEN_ROOM], bent[TOKEN_ROOM + 8], recipient[MAX_ADDRESS + 1];
	uint64_t nonce;
	size_t n;

	(void)state;
	assert_true(token_make(key, &v, SPAN("bob@shop.example"), "d", NOW, token));
	n = strlen(token) - 2;
	for (size_t i = 0; i < n; i++)
		for (int c = 1; c < 256; c++) {
			memcpy(bent, token, n);
			bent[i] = (char)c;
			if (ascii_lower((char)c) == token[i])
				continue;
			if (token_read(key, span_make(bent, n), NOW, &got, recipient, &nonce) != TOKEN_BAD)
				fail_msg("letter %zu as %d is taken", i, c);
		}
	for (size_t i = 0; i < n; i++)
		assert_int_equal(token_read(key, span_make(token, i), NOW, &got, recipient, &nonce), TOKEN_BAD);
	snprintf(bent, sizeof bent, "%.*saaaa", (int)n, token);
	assert_int_equal(token_read(key, span_of(bent), NOW, &got, recipient, &nonce), TOKEN_BAD);
	for (size_t i = 0; i < n; i++)
		bent[i] = token[i] >= 'a' && token[i] <= 'z' ? (char)(token[i] - 32) : token[i];
	assert_int_equal(token_read(key, span_make(bent, n), NOW, &got, recipient, &nonce), TOKEN_GOOD);
	bent[0] = 'p';                       /* a variant is no probe */
	assert_int_equal(token_read(key, span_make(bent, n), NOW, &got, recipient, &nonce), TOKEN_BAD);
	assert_true(token_probe(key, 0x1234567890abcdef, "d", token));
	assert_int_equal(token_read(key, span_make(token, strlen(token) - 2), NOW, &got, recipient, &nonce), TOKEN_PROBE);
	assert_true(nonce == 0x1234567890abcdef);
}

static void
tokens_fit_as_said(void **state)
{
	struct variant v = tagged();
	char recipient[MAX_ADDRESS + 1], token[TOKEN_ROOM];
	size_t fit = 0;

	(void)state;
	v.points = -10000;
	v.bayes_points = v.required = 10000;
	memset(recipient, 'a', sizeof recipient);
	for (size_t n = 1; n <= MAX_ADDRESS; n++)
		if (token_fits(strlen(v.subject_tag), n, strlen("variant.internal"))) {
			assert_true(token_make(key, &v, span_make(recipient, n), "variant.internal", NOW, token));
			assert_true(strlen(token) <= TOKEN_MOST);
			fit = n;
		}
	assert_true(fit >= 80);
}

static void
rewrites_what_differs(void **state)
{
	static const char ours[] = "X-Spam-Flag: YES\r\nX-Spam-Score: 5.00\r\nX-Spam-Status: Yes, score=5.00 required=3.0 ref=ABCDEFGH234567\r\n"
	    "\ttests=[FIRST_ONE=2.00,SECOND_ONE=3.00,\r\n\tBAYES=0.10]\r\n";
	static const struct { const char *label, *subject; uint8_t undo; const char *tag; bool filtered, flag; const char *want_subject; } cases[] = {
		{ "clean again", "Subject: [JUNK] hello\r\n", 7, "", true, false, "Subject: hello\r\n" },
		{ "another tag", "Subject: [JUNK] hello\r\n", 7, "[SPAM] ", true, true, "Subject: [SPAM] hello\r\n" },
		{ "its fold stays", "Subject: [JUNK] hello\r\n you\r\n", 7, "[SPAM] ", true, true, "Subject: [SPAM] hello\r\n you\r\n" },
		{ "untouched", "Subject:  hello \r\n\tyou\r\n", 0, "", true, false, "Subject:  hello \r\n\tyou\r\n" },
		{ "tagged before it came", "Subject: [SPAM] hello\r\n", 0, "[SPAM] ", true, true, "Subject: [SPAM] hello\r\n" },
		{ "made by the others", "Subject: [JUNK] \r\n", UNDO_HEADER, "", true, false, "" },
		{ "made by the others, own tag", "Subject: [JUNK] \r\n", UNDO_HEADER, "[SPAM] ", true, true, "Subject: [SPAM] \r\n" },
		{ "beyond ASCII", "Subject: hello\r\n", 0, "[W\xc3\x9cST] ", true, true, "Subject: =?UTF-8?B?W1fDnFNUXSA=?= hello\r\n" },
		{ "unfiltered", "Subject: [JUNK] hello\r\n", 7, "", false, false, "Subject: hello\r\n" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		struct variant v = tagged();
		struct buf out = { 0 }, mail = { 0 }, want = { 0 };

		v.filtered = cases[i].filtered;
		v.flag = cases[i].flag;
		v.undo = cases[i].undo;
		snprintf(v.subject_tag, sizeof v.subject_tag, "%s", cases[i].tag);
		buf_printf(&mail, "Received: by mx\r\nFrom: a@b.example\r\n%sTo: c@d.example\r\n%s\r\nX-Spam-Flag: in the body\r\n.\r\n", cases[i].subject, ours);
		rewrite_mail(&out, buf_span(&mail), &v, SPAN("Received: by us\r\n"));
		buf_printf(&want, "Received: by us\r\nReceived: by mx\r\nFrom: a@b.example\r\n%sTo: c@d.example\r\n", cases[i].want_subject);
		if (v.flag)
			buf_printf(&want, "X-Spam-Flag: YES\r\n");
		if (v.filtered)
			buf_printf(&want, "X-Spam-Score: 5.13\r\nX-Spam-Status: %s, score=5.13 required=4.0 ref=ABCDEFGH234567\r\n"
			    "\ttests=[FIRST_ONE=2.00,SECOND_ONE=3.00,BAYES=-2.50]\r\n", v.flag ? "Yes" : "No");
		buf_printf(&want, "\r\nX-Spam-Flag: in the body\r\n.\r\n");
		if (!span_eq(buf_span(&out), buf_span(&want)))
			fail_msg("%s:\n" SPAN_FMT "\nwant:\n" SPAN_FMT, cases[i].label, SPAN_ARG(buf_span(&out)), SPAN_ARG(buf_span(&want)));
		buf_free(&out);
		buf_free(&mail);
		buf_free(&want);
	}
}

static void
any_bytes_come_through(void **state)
{
	static const char *const mails[] = { "", "\r\n", "no header at all", "A: b", "A: b\r\n", "\n\nbody", ": x\r\n\r\n", "Subject\r\n\r\nb", "A: b\r\n \r\n\r\nz" };
	struct variant v = { .filtered = false, .reference = "ABCDEFGH234567" };

	(void)state;
	for (size_t i = 0; i < sizeof mails / sizeof *mails; i++) {
		struct buf out = { 0 };

		rewrite_mail(&out, span_of(mails[i]), &v, SPAN(""));
		assert_true(span_eq(buf_span(&out), span_of(mails[i])));
		buf_free(&out);
	}
}

static void
knows_its_own_traces(void **state)
{
	char trace[TRACE_ROOM];
	struct buf mail = { 0 }, traces = { 0 };

	(void)state;
	trace_make(key, "ABCDEFGH234567", trace);
	assert_int_equal(strlen(trace), TRACE_LETTERS);
	assert_true(trace_good(key, span_of(trace)) && !trace_good(other_key, span_of(trace)));
	buf_printf(&mail, "Received: by a.example " REWRITE_BY_STAGE "%s;\r\n\tnow\r\nReceived: by b " REWRITE_BY_STAGE "short\r\n"
	    "X-Other: by c " REWRITE_BY_STAGE "%s\r\nReceived: by d " REWRITE_BY_STAGE "ZZZZZZZZZZZZZZ%s\r\n\r\nReceived: x " REWRITE_BY_STAGE "%s\r\n",
	    trace, trace, trace + 14, trace);
	rewrite_traces(&traces, buf_span(&mail));
	assert_int_equal(traces.n, 2 * TRACE_LETTERS);
	assert_true(trace_good(key, span_head(buf_span(&traces), TRACE_LETTERS)));
	assert_false(trace_good(key, span_from(buf_span(&traces), TRACE_LETTERS)));
	buf_free(&mail);
	buf_free(&traces);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(tokens_come_back),
		cmocka_unit_test(tokens_are_not_forged),
		cmocka_unit_test(tokens_fit_as_said),
		cmocka_unit_test(rewrites_what_differs),
		cmocka_unit_test(any_bytes_come_through),
		cmocka_unit_test(knows_its_own_traces),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
