/* Fingerprints of texts, and what a mail suffers for those that were like it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "policyd/scan/alike.h"
#include "policyd/scan/campaign.h"

static const char offer[] =
	"Dear customer, your parcel is waiting at our depot since last week and could not be delivered because the address on the label "
	"was not complete. Please confirm the street and the number of your house within two days, otherwise the parcel goes back to the "
	"shop that sent it and the fee for storage will be charged to your account. Our team thanks you for your help and wishes you a "
	"pleasant day. This message was sent to you by the service of your post office in the name of the sender.";

static double
share_of(const char *a, const char *b)
{
	struct alike x, y;

	alike_text(span_of(a), &x);
	alike_text(span_of(b), &y);
	return alike_share(x.minima, y.minima);
}

static int
bands_shared(const struct alike *x, const struct alike *y)
{
	int n = 0;

	for (int i = 0; i < ALIKE_BANDS; i++)
		n += x->bands[i] == y->bands[i];
	return n;
}

/* The text with every nth word another. */
static void
changed(char *to, size_t room, int nth, int with)
{
	char copy[sizeof offer], *save = NULL;
	size_t n = 0;
	int at = 0;

	memcpy(copy, offer, sizeof offer);
	for (char *word = strtok_r(copy, " ", &save); word; word = strtok_r(NULL, " ", &save))
		n += (size_t)(++at % nth == 0 ? snprintf(to + n, room - n, "w%c%cx ", 'a' + at % 26, 'a' + with) : snprintf(to + n, room - n, "%s ", word));
}

static void
test_texts(void **state)
{
	struct alike a, b;
	char other[2 * sizeof offer];

	(void)state;
	assert_true(share_of(offer, offer) == 1);
	alike_text(span_of(offer), &a);
	assert_true(a.text);
	alike_text(SPAN("See you at noon, dear."), &b);
	assert_false(b.text);
	snprintf(other, sizeof other, "%s Order 4711-0815 of 12.11.2026, 17 pieces", offer);
	assert_true(share_of(offer, other) > 0.8);
	changed(other, sizeof other, 40, 1);
	assert_true(share_of(offer, other) > 0.75);
	alike_text(span_of(other), &b);
	assert_true(bands_shared(&a, &b) > 0);
	changed(other, sizeof other, 3, 1);
	assert_true(share_of(offer, other) < 0.2);
	alike_text(SPAN("A wholly different letter about the summer holidays we spent at the lake with children, dogs, boats and a broken tent, "
	    "which we would not have missed for anything in the world, as you may well imagine, dear aunt."), &b);
	assert_true(alike_share(a.minima, b.minima) < 0.1);
	assert_int_equal(bands_shared(&a, &b), 0);
	/* case, line ends and numbers are nothing */
	snprintf(other, sizeof other, "%s", offer);
	for (char *p = other; *p; p++)
		*p = *p == ' ' ? '\n' : *p >= 'a' && *p <= 'z' ? (char)(*p - 32) : *p;
	assert_true(share_of(offer, other) == 1);
	assert_true(share_of("code 1111 for you my dear friend, come to our shop and take it to the till today",
	    "code 2222 3333 for you my dear friend, come to our shop and take it to the till today") == 1);
}

/* How good the estimate is: a share of 3-word shingles that is known, against the share of minima. */
static void
test_estimate(void **state)
{
	double error = 0;

	(void)state;
	for (int round = 0; round < 40; round++) {
		char x[8192], y[8192];
		size_t n = 0, m = 0;
		int same = 100 + round * 7, own = 500 - same;

		for (int i = 0; i < 500; i++)
			n += (size_t)snprintf(x + n, sizeof x - n, "%c%c%c ", 'a' + i % 26, 'a' + i / 26, 'a' + round % 26);
		for (int i = 0; i < same; i++)
			m += (size_t)snprintf(y + m, sizeof y - m, "%c%c%c ", 'a' + i % 26, 'a' + i / 26, 'a' + round % 26);
		for (int i = 0; i < own; i++)
			m += (size_t)snprintf(y + m, sizeof y - m, "z%c%cq%c ", 'a' + i % 26, 'a' + i / 26, 'a' + round % 26);
		double want = (same - 2.0) / (1000 - 4 - (same - 2.0)), got = share_of(x, y);

		error += (got - want) * (got - want);
		assert_true(got > want - 0.25 && got < want + 0.25);
	}
	assert_true(error / 40 < 0.07 * 0.07);
}

static void
test_hostile_text(void **state)
{
	struct alike a;
	char *big = malloc(1 << 20);

	(void)state;
	memset(big, 'x', 1 << 20);
	alike_text(span_make(big, 1 << 20), &a);
	assert_false(a.text);
	for (size_t i = 0; i < 1 << 20; i++)
		big[i] = (char)(i * 7919 % 256);
	alike_text(span_make(big, 1 << 20), &a);
	alike_text(SPAN("\xff\xfe\x80\xc3"), &a);
	assert_false(a.text);
	alike_text(SPAN("請在兩天內確認您的地址否則包裹將被退回"), &a);
	assert_true(a.text);
	free(big);
}

static void
test_points(void **state)
{
	static const struct { const char *label; struct campaign c; double reported, caught, part; } cases[] = {
		{ "nothing", { 0 }, 0, 0, 0 },
		{ "bulk that nobody minds", { .mails = 10000, .recipients = 9000, .customers = 500 }, 0, 0, 0 },
		{ "one voice", { .mails = 10, .spam = 1 }, 3, 0, 0 },
		{ "two voices", { .mails = 10, .spam = 2 }, 4.5, 0, 0 },
		{ "never enough to hold alone", { .mails = 10, .spam = 1000 }, 6, 0, 0 },
		{ "one says no", { .mails = 10, .spam = 2, .ham = 1 }, 0, 0, 0 },
		{ "three to one", { .mails = 10, .spam = 3, .ham = 1 }, 3, 0, 0 },
		{ "caught", { .mails = 5, .caught = 4 }, 0, 1, 0 },
		{ "caught, and released once", { .mails = 5, .caught = 4, .ham = 1 }, 0, 0, 0 },
		{ "most passed", { .mails = 100, .caught = 40 }, 0, 0, 0 },
		{ "a file, two voices, caught", { .mails = 10, .caught = 6, .spam = 2 }, 4.5, 2 * (1 - 0.35355339), 2 },
		{ "a logo that honest mails have", { .mails = 1000, .caught = 6, .spam = 5 }, 6 * (1 - 1 / 32.0), 0, 0 },
	};

	(void)state;
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		double reported, caught, part = campaign_part(&cases[i].c);

		campaign_judge(&cases[i].c, &reported, &caught);
		if (reported < cases[i].reported - 0.001 || reported > cases[i].reported + 0.001 || caught < cases[i].caught - 0.001 ||
		    caught > cases[i].caught + 0.001 || part < cases[i].part - 0.001 || part > cases[i].part + 0.001)
			fail_msg("%s: %f %f %f", cases[i].label, reported, caught, part);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(test_texts), cmocka_unit_test(test_estimate), cmocka_unit_test(test_hostile_text),
	    cmocka_unit_test(test_points) };

	return cmocka_run_group_tests(tests, NULL, NULL);
}
