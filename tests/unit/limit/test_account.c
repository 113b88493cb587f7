/* Stolen accounts and attacks, case by case; months of them are in tests/sim. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "policyd/limit/account.h"
#include "policyd/limit/departure.h"

enum { HOUR = 3600, DAY = 86400, START = 1767571200 };       /* Monday, 2026-01-05 */

static struct account_state account;

/* Ten days of somebody who writes to the same six people from one network. */
static void
settle_in(void)
{
	struct account_finding f;

	account_start(&account, START);
	for (int day = 0; day < 10; day++)
		for (int n = 0; n < 6; n++) {
			const uint64_t rcpt = 100 + (uint64_t)n;
			const struct account_message m = { .now_s = START + day * DAY + (9 + n) * HOUR, .network = 1, .subject = (uint64_t)(day * 7 + n),
			    .recipients = &rcpt, .recipient_count = 1 };

			account_sent(&account, &m, &f);
			assert_false(f.stolen);
		}
}

static const struct { const char *label; int mails; uint64_t network, networks; bool strangers, bad; int bounce_every; bool stolen; } rows[] = {
	{ "much to people it knows", 200, 1, 1, false, false, 0, false },
	{ "volume alone", 200, 1, 1, true, false, 0, false },
	{ "a few mails from elsewhere", 10, 2, 1, true, false, 0, false },
	{ "volume from another network, nothing else", 150, 2, 1, true, false, 0, true },
	{ "volume from many networks", 60, 2, 40, true, false, 0, true },
	{ "volume and bounces", 100, 1, 1, true, false, 5, true },
	{ "volume and a few bounces", 100, 1, 1, true, false, 40, false },
	{ "volume and spam", 80, 1, 1, true, true, 0, true },
	{ "spam to people it knows, whatever the filter says", 200, 1, 1, false, true, 0, false },
	{ "bounces alone", 10, 1, 1, true, false, 1, false },
};

static void
test_cases(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		struct account_finding f = { 0 };
		bool stolen = false;
		char why[320];

		settle_in();
		for (int n = 0; n < rows[i].mails; n++) {
			const int64_t now = START + 10 * DAY + 10 * HOUR + n * 4;
			const uint64_t rcpt = rows[i].strangers ? 5000 + (uint64_t)n : 100 + (uint64_t)n % 6;
			const struct account_message m = { .now_s = now, .network = rows[i].network + (uint64_t)n % rows[i].networks, .subject = 9,
			    .recipients = &rcpt, .recipient_count = 1, .bad = rows[i].bad };

			account_sent(&account, &m, &f);
			stolen |= f.stolen;
			if (rows[i].bounce_every && n % rows[i].bounce_every == 0) {
				account_bounced(&account, now, &f);
				stolen |= f.stolen;
			}
		}
		account_explain(&f, why, sizeof why);
		if (stolen != rows[i].stolen)
			fail_msg("%s: %s; %s", rows[i].label, stolen ? "called stolen" : "not found", why);
	}
}

/* A club's one mail to all its members is one mail. */
static void
test_one_mail_to_many(void **state)
{
	uint64_t rcpts[150];
	struct account_finding f;

	(void)state;
	settle_in();
	for (size_t i = 0; i < 150; i++)
		rcpts[i] = 9000 + i;
	const struct account_message m = { .now_s = START + 10 * DAY, .network = 77, .recipients = rcpts, .recipient_count = 150 };

	account_sent(&account, &m, &f);
	assert_false(f.stolen);
	assert_true(f.units < 10);
}

static void
test_released(void **state)
{
	struct account_finding f = { 0 };

	(void)state;
	for (int rightful = 0; rightful < 2; rightful++) {
		settle_in();
		for (int n = 0; n < 100; n++) {
			const uint64_t rcpt = 5000 + (uint64_t)n;
			const struct account_message m = { .now_s = START + 10 * DAY + n, .network = 2 + (uint64_t)n % 9, .recipients = &rcpt, .recipient_count = 1 };

			account_sent(&account, &m, &f);
		}
		assert_true(f.stolen);
		account_released(&account, rightful);
		const uint64_t rcpt = 8000;
		const struct account_message again = { .now_s = START + 10 * DAY + 200, .network = 3, .recipients = &rcpt, .recipient_count = 1 };

		account_sent(&account, &again, &f);
		assert_false(f.stolen);
		assert_true(rightful ? f.where == 0 && f.usual > 50 : f.usual < 10);     /* whose doing it was is what it learns from */
	}
}

static void
test_departures(void **state)
{
	struct departures *d = malloc(sizeof *d);
	struct departure what;

	(void)state;
	assert_non_null(d);
	departures_start(d);
	/* Two weeks: thirty in the minute from nine on, on every working day. */
	for (int day = 0; day < 14; day++)
		for (int n = 0; n < 30 && day % 7 < 5; n++)
			assert_false(departures_count(d, DEPARTURE_CUSTOMER, 5, 1, START + day * DAY + 9 * HOUR + n, 0, 20, 3600, &what));
	const int64_t monday = START + 14 * DAY + 9 * HOUR;
	int alarms = 0, first = 0;

	for (int n = 0; n < 30; n++)
		assert_false(departures_count(d, DEPARTURE_CUSTOMER, 5, 1, monday + n, 0, 20, 3600, &what));
	for (int n = 0; n < 40; n++)         /* ten a second */
		if (departures_count(d, DEPARTURE_CUSTOMER, 5, 10, monday + 60 + n, 0, 20, 3600, &what) && alarms++ == 0)
			first = n;
	assert_int_equal(alarms, 1);         /* and not again within the hour */
	assert_true(first < 10);
	assert_true(what.usual > 20 && what.usual < 31);
	free(d);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_cases), cmocka_unit_test(test_one_mail_to_many), cmocka_unit_test(test_released), cmocka_unit_test(test_departures),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
