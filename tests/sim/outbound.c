/* outbound.c - a month of a provider's accounts against the code that finds stolen ones (policyd/limit/account.h), by a simulated
 * clock: the rhythm of office hours and weekends, and people who look odd and are not: clubs that write to all members, invoice
 * runs, mail merges, travellers, phones that are in another network every hour, newcomers.
 *
 * usage: outbound [ACCOUNTS [DAYS [STOLEN [SEED]]]]; exit code 1 unless all are found in time and nobody else is contained */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "policyd/limit/account.h"

enum { DAY = 86400, START = 1767571200 };    /* Monday, 2026-01-05 */
enum sort { LIGHT, OFFICE, SALES, CLUB, INVOICES, MERGER, PHONE, TRAVELLER, NEWCOMER, SUPPORT, SORTS };
static const struct { const char *name; double share, a_day, fresh; } sorts[SORTS] = {   /* messages a working day; share of new recipients */
	[LIGHT] = { "light", 0.45, 4, 0.15 }, [OFFICE] = { "office", 0.20, 25, 0.12 }, [SALES] = { "sales", 0.05, 60, 0.35 },
	[CLUB] = { "club", 0.04, 3, 0.1 }, [INVOICES] = { "invoices", 0.03, 10, 0.1 }, [MERGER] = { "mail merge", 0.02, 6, 0.1 },
	[PHONE] = { "phone", 0.10, 12, 0.1 }, [TRAVELLER] = { "traveller", 0.05, 15, 0.2 }, [NEWCOMER] = { "newcomer", 0.04, 15, 0.5 },
	[SUPPORT] = { "support", 0.02, 120, 0.5 },
};
enum theft { BLAST, BOTNET, DRIP, MANY_RECIPIENTS, OWN_PC, SPAMMY, MONDAY, NIGHT, THEFTS };
static const struct { const char *name; double every_s; int recipients; double bounces, bad; bool own_network, many_networks; } thefts[THEFTS] = {
	[BLAST] = { "blast", 0.1, 1, 0.12, 0.1, false, false }, [BOTNET] = { "botnet", 1, 1, 0.15, 0.2, false, true },
	[DRIP] = { "drip", 45, 1, 0.1, 0, false, true }, [MANY_RECIPIENTS] = { "50 each", 2, 50, 0.1, 0.1, false, false },
	[OWN_PC] = { "own PC", 1, 1, 0.2, 0.1, true, false }, [SPAMMY] = { "spammy", 3, 1, 0.02, 0.6, true, false },
	[MONDAY] = { "Monday", 5, 1, 0.1, 0.1, false, true }, [NIGHT] = { "night", 10, 2, 0.15, 0.1, false, false },
};

static uint64_t state;
static double
chance(void)                                 /* splitmix64: the same month for the same seed, everywhere */
{
	uint64_t z = state += 0x9e3779b97f4a7c15u;

	z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
	z = (z ^ z >> 27) * 0x94d049bb133111ebu;
	return (double)((z ^ z >> 31) >> 11) / 9007199254740992.0;
}

struct account {
	enum sort sort;
	struct account_state now;
	uint64_t home, contacts, next_new, other;
	int joins_day, special_day, trip_day;
	bool stolen, found, wrong;
	enum theft theft;
	int64_t stolen_s;
};

static struct account *accounts;
static int count, days, stolen_count;
static long sent, false_count;

/* Of the hour of the week: weight of an hour against the busiest. Seeds: 22,000 mails in the busiest hour, a fifth on Sundays. */
static double
rhythm(int weekday, int hour)
{
	static const double by_hour[24] = { .04, .03, .02, .02, .02, .04, .1, .3, .7, 1, 1, .9, .6, .75, .95, .95, .85, .6, .35, .25, .2, .18, .12, .07 };

	return by_hour[hour] * (weekday < 5 ? 1 + 0.25 * (weekday == 0 && hour >= 8 && hour < 11) : weekday == 5 ? 0.3 : 0.2);
}

static uint64_t
network_of(const struct account *a, int day, int64_t now)
{
	if (a->sort == PHONE && chance() < 0.5)
		return (uint64_t)(a->home * 77 + (uint64_t)(now / 7200));
	if (a->sort == TRAVELLER && day >= a->trip_day && day < a->trip_day + 3)
		return a->home * 31 + (uint64_t)day / 2;
	return chance() < 0.15 ? a->other : a->home;
}

static void
judged(struct account *a, const struct account_finding *f, const char *what)
{
	char text[300];

	if (!f->stolen || a->stolen || a->wrong)
		return;
	account_explain(f, text, sizeof text);
	printf("FALSE: %s account contained while it sends %s: %s\n", sorts[a->sort].name, what, text);
	a->wrong = true;
	false_count++;
}

static void
send(struct account *a, int64_t now, uint64_t network, const uint64_t *rcpts, size_t n, uint64_t subject, bool bad, struct account_finding *f)
{
	const struct account_message m = { .now_s = now, .network = network, .subject = subject, .recipients = rcpts, .recipient_count = n, .bad = bad };

	account_sent(&a->now, &m, f);
	sent++;
}

static uint64_t
someone(struct account *a, double fresh)
{
	if (chance() < fresh)
		return a->home * 1000003 + 500000 + a->next_new++;
	uint64_t known = a->contacts + a->next_new / 3;

	return a->home * 1000003 + (uint64_t)(chance() * chance() * (double)known);
}

static void
usual_message(struct account *a, int day, int64_t now)
{
	uint64_t rcpts[12];
	size_t n = chance() < 0.8 ? 1 : 1 + (size_t)(chance() * 6);
	struct account_finding f;

	for (size_t i = 0; i < n; i++)
		rcpts[i] = someone(a, sorts[a->sort].fresh);
	send(a, now, network_of(a, day, now), rcpts, n, (uint64_t)(chance() * 1e9), chance() < 0.01, &f);
	judged(a, &f, "its usual mail");
	for (size_t i = 0; i < n; i++)
		if (chance() < 0.015) {
			account_bounced(&a->now, now + 20, &f);
			judged(a, &f, "its usual mail");
		}
}

/* Once a month: one mail to all members; invoices or a mail merge one by one, some of them back as bounces. */
static void
special(struct account *a, int day, int64_t now)
{
	enum { MOST = 400 };
	uint64_t rcpts[MOST];
	size_t n = a->sort == CLUB ? 150 : a->sort == INVOICES ? 300 : 180;
	struct account_finding f;

	for (size_t i = 0; i < n; i++)
		rcpts[i] = a->home * 1000003 + 900000 + i;
	if (a->sort == CLUB) {
		send(a, now, network_of(a, day, now), rcpts, n, 12345, false, &f);
		judged(a, &f, "to all members");
		for (size_t i = 0; i < n; i++)
			if (chance() < 0.04)
				account_bounced(&a->now, now + 10 + (int64_t)i, &f), judged(a, &f, "to all members");
		return;
	}
	for (size_t i = 0; i < n; i++) {
		send(a, now + (int64_t)i * 2, a->home, &rcpts[i], 1, a->sort == INVOICES ? i : 777, false, &f);
		judged(a, &f, a->sort == INVOICES ? "invoices" : "a mail merge");
		if (chance() < 0.03)
			account_bounced(&a->now, now + (int64_t)i * 2 + 1, &f), judged(a, &f, "a run");
	}
}

/* What the thief sends until he is found. False: he is not, in time. */
static bool
steal(struct account *a)
{
	double at = (double)a->stolen_s, next_bounce = 0;
	int messages = 0;
	struct account_finding f = { 0 };
	char text[300] = "";

	while (!f.stolen && (messages < 200 || at - (double)a->stolen_s < 60)) {
		uint64_t rcpts[64], network = thefts[a->theft].own_network ? a->home : a->home * 13 + 7 + (thefts[a->theft].many_networks ? (uint64_t)(chance() * 40) : 0);

		for (int i = 0; i < thefts[a->theft].recipients; i++)
			rcpts[i] = 0x5eed000000u + (uint64_t)(chance() * 1e12);
		send(a, (int64_t)at, network, rcpts, (size_t)thefts[a->theft].recipients, 4711, chance() < thefts[a->theft].bad, &f);
		messages++;
		next_bounce += thefts[a->theft].bounces * thefts[a->theft].recipients * 2 * chance();
		for (; next_bounce >= 1 && !f.stolen; next_bounce--)
			account_bounced(&a->now, (int64_t)at + 3, &f);
		at += thefts[a->theft].every_s * 2 * chance();
	}
	account_explain(&f, text, sizeof text);
	printf("%-10s account stolen (%-8s): %s after %3d messages, %5.0f s; %s\n", sorts[a->sort].name, thefts[a->theft].name, f.stolen ? "found" : "NOT FOUND",
	    messages, at - (double)a->stolen_s, text);
	return f.stolen;
}

static void
set_up(void)
{
	for (int i = 0; i < count; i++) {
		struct account *a = &accounts[i];
		double r = chance();
		int sort = 0;

		while (sort < SORTS - 1 && r >= sorts[sort].share)
			r -= sorts[sort++].share;
		*a = (struct account){ .sort = (enum sort)sort, .home = (uint64_t)(i + 1) * 7919, .other = (uint64_t)(i + 1) * 104729, .contacts = 10 + (uint64_t)(chance() * 80),
		    .joins_day = sort == NEWCOMER ? (int)(chance() * days) : 0, .special_day = 3 + (int)(chance() * (days - 4)), .trip_day = (int)(chance() * days) };
	}
	for (int i = 0; i < stolen_count; i++) {
		struct account *a;
		int day;

		do {
			a = &accounts[(int)(chance() * count)];
			day = days / 3 + (int)(chance() * (days - days / 3 - 1));
		} while (a->stolen_s || a->joins_day + 4 > day);
		a->theft = (enum theft)(i % THEFTS);
		while (a->theft == MONDAY && day % 7 != 0 && day > 0)
			day--;
		int hour = a->theft == MONDAY ? 9 : a->theft == NIGHT ? 3 : (int)(chance() * 24);

		a->stolen_s = START + (int64_t)day * DAY + hour * 3600 + (int64_t)(chance() * 3000);
	}
}

int
main(int argc, char **argv)
{
	int found = 0;

	count = argc > 1 ? atoi(argv[1]) : 1000;
	days = argc > 2 ? atoi(argv[2]) : 30;
	stolen_count = argc > 3 ? atoi(argv[3]) : 20;
	state = argc > 4 ? strtoull(argv[4], NULL, 10) : 1;
	if (count < 10 || days < 7 || stolen_count < 0 || stolen_count > count / 2 || (accounts = calloc((size_t)count, sizeof *accounts)) == NULL) {
		fprintf(stderr, "usage: outbound [ACCOUNTS [DAYS [STOLEN [SEED]]]]\n");
		return 2;
	}
	set_up();
	for (int64_t now = START; now < START + (int64_t)days * DAY; now += 60) {
		int day = (int)((now - START) / DAY), hour = (int)((now - START) / 3600 % 24);
		double weight = rhythm(day % 7, hour) / 60 / 9.5;       /* of a day's messages in this minute */

		for (int i = 0; i < count; i++) {
			struct account *a = &accounts[i];
			bool runs = a->sort == CLUB || a->sort == INVOICES || a->sort == MERGER;

			if (day < a->joins_day || a->found)
				continue;
			if (a->now.version == 0)
				account_start(&a->now, now);
			if (a->stolen_s && now >= a->stolen_s && !a->stolen) {
				a->stolen = true;
				a->found = steal(a);
				found += a->found;
				if (!a->found)
					a->found = true;     /* it has been counted; its owner's mail goes on elsewhere */
				continue;
			}
			for (double want = sorts[a->sort].a_day * weight * 2 * chance(); want > 0; want--)
				if (want >= 1 || chance() < want)
					usual_message(a, day, now + (int64_t)(chance() * 59));
			if (runs && day == a->special_day && hour == 10 && now % 3600 == 0)
				special(a, day, now);
		}
	}
	printf("%d accounts, %d days, %ld messages: %d of %d stolen ones found within 200 messages or 60 s, %ld contained wrongly\n", count, days, sent,
	    found, stolen_count, false_count);
	free(accounts);
	return found == stolen_count && false_count == 0 ? 0 : 1;
}
