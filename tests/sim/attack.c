/* attack.c - five weeks of a provider's incoming mail against the code that notices attacks (policyd/limit/departure.h), by a
 * simulated clock: office hours, weekends, Monday mornings, newsletters of every week, a holiday; then attacks, each of which must
 * be noticed within a minute.
 *
 * usage: attack [SEED]; exit code 1 if one is missed or late, or anything else is called one */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "policyd/limit/departure.h"

enum { DAY = 86400, START = 1767571200, CUSTOMERS = 200, DAYS = 35, LEAST = 100, PEAK_MINUTE = 367 };    /* 22,000 mails in the busiest hour */

static uint64_t state = 1;
static double
chance(void)
{
	uint64_t z = state += 0x9e3779b97f4a7c15u;

	z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
	z = (z ^ z >> 27) * 0x94d049bb133111ebu;
	return (double)((z ^ z >> 31) >> 11) / 9007199254740992.0;
}

static double
rhythm(int day, int hour)
{
	static const double by_hour[24] = { .04, .03, .02, .02, .02, .04, .1, .3, .7, 1, 1, .9, .6, .75, .95, .95, .85, .6, .35, .25, .2, .18, .12, .07 };
	int weekday = day % 7;

	if (day == 28)                       /* a Monday that is a holiday: the next day has the mail of two */
		return by_hour[hour] * 0.2;
	return by_hour[hour] * (weekday < 5 ? 1 + (weekday == 0 && hour >= 8 && hour < 11) * 0.5 + (day == 29) * 0.6 : weekday == 5 ? 0.3 : 0.2);
}

static const struct attack {
	const char *name;
	enum departure_kind kind;
	uint64_t key;
	int day, hour;
	double a_second;
} attacks[] = {
	{ "a customer bombed at noon", DEPARTURE_CUSTOMER, 7, 16, 12, 20 },
	{ "a small customer bombed at night", DEPARTURE_CUSTOMER, 190, 17, 3, 4 },
	{ "a botnet's subject on a Monday morning", DEPARTURE_SUBJECT, 0xdeadbeef, 21, 9, 15 },
	{ "one body from everywhere", DEPARTURE_BODY, 0xfeedface, 22, 15, 15 },
	{ "a network never seen", DEPARTURE_NETWORK, 0xabad1dea, 23, 4, 6 },
	{ "a sender domain of today", DEPARTURE_DOMAIN, 0xfacade, 25, 20, 10 },
};
enum { ATTACKS = sizeof attacks / sizeof *attacks };
static struct departures now_known;
static int64_t noticed[ATTACKS];
static long wrong, counted;

static void
count(enum departure_kind kind, uint64_t key, int64_t now, const char *what)
{
	struct departure d;

	counted++;
	if (!departures_count(&now_known, kind, key, 1, now, 3600, LEAST, 3600, &d))
		return;
	for (int i = 0; i < ATTACKS; i++) {
		int64_t began = START + (int64_t)attacks[i].day * DAY + attacks[i].hour * 3600;

		if (attacks[i].kind == kind && (attacks[i].key | 1) == (key | 1) && now >= began && now < began + 600) {
			if (noticed[i] == 0)
				noticed[i] = now - began + 1;
			return;
		}
	}
	printf("FALSE: %s %llx on day %d at %d: %.0f in a minute, usually %.0f (%s)\n", departure_kind_names[kind], (unsigned long long)key,
	    (int)((now - START) / DAY), (int)((now - START) / 3600 % 24), d.minute, d.usual, what);
	wrong++;
}

static void
mail(int64_t now, uint64_t customer, uint64_t network, uint64_t domain, uint64_t subject, const char *what)
{
	count(DEPARTURE_CUSTOMER, customer, now, what);
	count(DEPARTURE_NETWORK, network, now, what);
	count(DEPARTURE_DOMAIN, domain, now, what);
	count(DEPARTURE_SUBJECT, subject, now, what);
	count(DEPARTURE_BODY, subject * 31 + 7, now, what);
}

int
main(int argc, char **argv)
{
	int missed = 0;

	if (argc > 1)
		state = strtoull(argv[1], NULL, 10);
	departures_start(&now_known);
	for (int64_t now = START; now < START + (int64_t)DAYS * DAY; now++) {
		int day = (int)((now - START) / DAY), hour = (int)((now - START) / 3600 % 24), minute = (int)((now - START) / 60 % 60);
		double want = PEAK_MINUTE / 60.0 * rhythm(day, hour) * 0.9;

		for (; want > 0; want--)
			if (want >= 1 || chance() < want) {
				uint64_t c = (uint64_t)(pow(chance(), 2) * CUSTOMERS), sender = (uint64_t)(pow(chance(), 4) * 20000);

				mail(now, c, 0x100000 + sender / 3, 0x200000 + sender, 0x300000 + (uint64_t)(chance() * 1e9), "usual mail");
			}
		/* Newsletters: every working day at ten, a bigger one on Tuesdays, each a subject of its own, to whoever has ordered it. */
		if (hour == 10 && minute < 8 && day % 7 < 5)
			for (int i = 0; i < (day % 7 == 1 ? 3 : 2); i++)
				mail(now, (uint64_t)(chance() * CUSTOMERS), 0x100, 0x200, 0x400000 + (uint64_t)day, "a newsletter");
		for (int i = 0; i < ATTACKS; i++) {
			int64_t began = START + (int64_t)attacks[i].day * DAY + attacks[i].hour * 3600;

			if (now < began || now >= began + 300)
				continue;
			for (double more = attacks[i].a_second; more > 0; more--)
				count(attacks[i].kind, attacks[i].key, now, attacks[i].name);
		}
	}
	for (int i = 0; i < ATTACKS; i++) {
		bool late = noticed[i] == 0 || noticed[i] > 60;

		if (noticed[i])
			printf("%-40s noticed after %lld s%s\n", attacks[i].name, (long long)noticed[i], late ? ": LATE" : "");
		else
			printf("%-40s MISSED\n", attacks[i].name);
		missed += late;
	}
	printf("%d days, %ld counts, five Mondays and one after a holiday: %d of %d attacks noticed within a minute, %ld alarms without one\n", DAYS, counted,
	    ATTACKS - missed, (int)ATTACKS, wrong);
	return missed || wrong ? 1 : 0;
}
