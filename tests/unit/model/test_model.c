/* What the learners promise: the same bits everywhere, counts that can be taken back, prose that does not wash. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <cmocka.h>

#include "policyd/mail/prepare.h"
#include "policyd/model/exact.h"
#include "policyd/model/guard.h"
#include "policyd/model/identity.h"
#include "policyd/model/learners.h"

static struct arena *a;

static struct span
mail(int n, bool spam, const char *above)
{
	static const char *const words[2][8] = { { "minutes", "budget", "review", "patch", "agenda", "lunch", "deadline", "kernel" },
	    { "casino", "pills", "winner", "rolex", "prize", "bonus", "refinance", "lottery" } };
	unsigned dice = (unsigned)n * 2654435761u + spam;
	char text[600] = "";

	for (int i = 0; i < 40; i++) {
		dice = dice * 1103515245u + 12345u;
		size_t at = strlen(text);

		snprintf(text + at, sizeof text - at, "%s%s", words[spam][dice >> 16 & 7], i % 8 == 7 ? "\n" : " ");
	}
	return arena_printf(a, "From: x%d@%s.example\r\nTo: bob@shop.example\r\nSubject: note %d\r\nDate: Mon, 2 Mar 2026 10:00:00 +0000\r\n\r\n%s%s", n,
	    spam ? "bulk" : "work", n, above, text);
}

static void
features_of(struct span raw, struct features *f)
{
	struct session nobody = { 0 };
	struct message msg;

	message_parse(a, raw, &msg);
	features_extract(a, &msg, &nobody, f);
}

static void
exact_is_exact(void **state)
{
	(void)state;
	for (double x = -50; x < 50; x += 0.37) {
		assert_true(fabs(exact_exp(x) - exp(x)) <= 1e-13 * exp(x));
		assert_true(fabs(exact_log(exp(x)) - x) < 1e-12);
	}
	assert_true(exact_log(0) == -700);
	assert_true(exact_exp(1e9) == exact_exp(700));
}

static void
features_survive_packing(void **state)
{
	struct buf one = { 0 }, two = { 0 };
	struct features f, g;

	(void)state;
	features_of(mail(1, true, ""), &f);
	features_pack(&one, &f);
	assert_true(features_unpack(buf_span(&one), a, &g));
	features_pack(&two, &g);
	assert_int_equal(one.n, two.n);
	assert_memory_equal(one.p, two.p, one.n);
	assert_int_equal(f.words.count, g.words.count);
	for (uint32_t i = 1; i < g.grams.window[0]; i++)     /* a set, in order */
		assert_true(g.grams.hash[i] > g.grams.hash[i - 1]);
	for (size_t cut = 0; cut < one.n; cut++)             /* bytes that end too soon are refused, or are another set: never a crash */
		features_unpack(span_head(buf_span(&one), cut), a, &g);
	assert_false(features_unpack(SPAN("\xff\xff\xff\xff\xff\xff"), a, &g));
	buf_free(&one);
	buf_free(&two);
}

static void
teach(struct table *t, int from, int to)
{
	struct lesson_effect effect;
	struct features f;

	for (int i = from; i < to; i++) {
		features_of(mail(i, i % 2, ""), &f);
		learners_plan(t, NULL, &f, i % 2, &effect);
		learners_train(t, &f, i % 2, &effect, (uint64_t)i);
	}
}

static void
same_lessons_same_bits(void **state)
{
	struct table *x = table_private(), *y = table_private();

	(void)state;
	teach(x, 0, 200);
	teach(y, 0, 200);
	assert_memory_equal(x, y, sizeof *x);
	table_private_free(x);
	table_private_free(y);
}

static void
counts_are_taken_back(void **state)
{
	struct table *t = table_private(), *before = table_private();
	struct lesson_effect effect;
	struct features f;

	(void)state;
	teach(t, 0, 100);
	memcpy(before, t, sizeof *t);
	features_of(mail(777, true, ""), &f);
	learners_plan(t, NULL, &f, HAM, &effect);
	learners_train(t, &f, HAM, &effect, 5);
	assert_memory_not_equal(t->b, before->b, sizeof t->b);
	learners_untrain(t, &f, HAM, &effect);
	assert_memory_equal(t->b, before->b, sizeof t->b);
	assert_memory_equal(t->calibration, before->calibration, sizeof t->calibration);
	assert_memory_equal(t->seen, before->seen, sizeof t->seen);
	table_private_free(t);
	table_private_free(before);
}

static void
prose_does_not_wash(void **state)
{
	struct table *t = table_private();
	struct learner_scores plain, washed, ham;
	char prose[4000] = "";
	struct features f;

	(void)state;
	teach(t, 0, 400);
	while (strlen(prose) < 3000)
		strcat(prose, "minutes of the review: budget and agenda, lunch before the deadline of the kernel patch\n");
	features_of(mail(9001, true, ""), &f);
	learners_score(t, NULL, &f, &plain);
	features_of(mail(9001, true, prose), &f);
	learners_score(t, NULL, &f, &washed);
	features_of(mail(9000, false, prose), &f);
	learners_score(t, NULL, &f, &ham);
	assert_true(plain.z > 3);
	assert_true(washed.z > 1);
	assert_true(ham.z < -3);
	table_private_free(t);
}

/* The way of a copy does not make another mail of it; another word does. */
static void
identities(void **state)
{
	static const char head[] = "From: a@b.example\r\nSubject: minutes\r\nMessage-ID: <1@b.example>\r\n";
	static const char text[] = "the budget review of the kernel patch, agenda and minutes, lunch before the deadline of the day after tomorrow, all of it";
	const struct span mails[] = {
		arena_printf(a, "%s\r\n%s\r\n", head, text),
		arena_printf(a, "Return-Path: <x@y.example>\r\nX-Spam-Status: No\r\n%s\r\n%s\r\n\r\n", head, text),
		arena_printf(a, "From: a@b.example\nSubject: minutes\nMessage-ID: <1@b.example>\nMIME-Version: 1.0\nContent-Transfer-Encoding: quoted-printable\n\n"
		    "%.40s=\n%s\n", text, text + 40),
		arena_printf(a, "From: c@d.example\r\nSubject: MINUTES 7\r\nMessage-ID: <2@b.example>\r\n\r\n%s 12345\r\n", text),
		arena_printf(a, "%s\r\n%s, really\r\n", head, text),
		arena_printf(a, "%s\r\nhi\r\n", head),
		arena_printf(a, "%sX-1: 1\r\n\r\nho\r\n", head),
	};
	static const int same_mail[] = { 0, 0, 0, 3, 4, 5, 6 }, alike[] = { 0, 0, 0, 0, 4, 5, 6 };
	struct identity id[7];

	(void)state;
	for (int i = 0; i < 7; i++) {
		struct message msg;

		message_parse(a, mails[i], &msg);
		identity_of(&msg, &id[i]);
	}
	for (int i = 0; i < 7; i++)
		for (int k = 0; k < 7; k++) {
			assert_int_equal(memcmp(id[i].mail, id[k].mail, 32) == 0, same_mail[i] == same_mail[k]);
			assert_int_equal(memcmp(id[i].alike, id[k].alike, 32) == 0, alike[i] == alike[k]);
		}
}

static void
a_customer_is_a_sum(void **state)
{
	struct customer *c = calloc(1, sizeof *c), *d = calloc(1, sizeof *d), *zero = calloc(1, sizeof *c);
	struct table *t = table_private();
	struct lesson_effect effects[20];
	struct learner_scores all, own;
	struct buf packed = { 0 };
	struct features f;

	(void)state;
	teach(t, 0, 100);
	for (int i = 0; i < 20; i++) {       /* he wants what others call spam */
		features_of(mail(501 + 2 * i, true, ""), &f);
		learners_plan(t, &(struct own_tables){ { c } }, &f, HAM, &effects[i]);
		learners_train_customer(c, &f, HAM, &effects[i], (uint64_t)i);
	}
	features_of(mail(901, true, ""), &f);
	learners_score(t, NULL, &f, &all);
	learners_score(t, &(struct own_tables){ { c } }, &f, &own);
	assert_true(own.z < all.z - 2);
	customer_pack(&packed, c);
	assert_true(packed.n < 20 * 1024);
	assert_true(customer_unpack(buf_span(&packed), d));
	assert_memory_equal(c, d, sizeof *c);
	assert_false(customer_unpack(SPAN("\x01junk"), d));
	for (int i = 0; i < 20; i++) {       /* taken back in the same order: nothing is left */
		features_of(mail(501 + 2 * i, true, ""), &f);
		learners_untrain_customer(c, &f, HAM, &effects[i], (uint64_t)i);
	}
	assert_memory_equal(c, zero, sizeof *c);
	buf_free(&packed);
	table_private_free(t);
	free(c);
	free(d);
	free(zero);
}

static void
guard_holds_most(void **state)
{
	int held = 0;

	(void)state;
	for (uint64_t i = 0; i < 1000; i++)
		held += guard_holds(9, HAM, i * 0x9e3779b97f4a7c15u);
	assert_in_range(held, 850, 950);
	assert_false(guard_holds(9, SPAM, 1));
	assert_false(guard_holds(3, HAM, 1));
}

int
main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(exact_is_exact), cmocka_unit_test(features_survive_packing),
	    cmocka_unit_test(same_lessons_same_bits), cmocka_unit_test(counts_are_taken_back), cmocka_unit_test(prose_does_not_wash),
	    cmocka_unit_test(identities), cmocka_unit_test(a_customer_is_a_sum), cmocka_unit_test(guard_holds_most) };

	mail_prepare();
	a = arena_open((size_t)1 << 30);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
