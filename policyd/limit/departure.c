#include "policyd/limit/departure.h"

#include <math.h>
#include <string.h>

enum { HOUR = 3600, DAY = 86400, NEW_S = 2 * DAY };
#define FADE_A_DAY 0.985f                    /* a record is half after a month and a half */

const char *const departure_kind_names[DEPARTURE__KINDS] = {
	[DEPARTURE_CUSTOMER] = "customer", [DEPARTURE_NETWORK] = "network", [DEPARTURE_DOMAIN] = "sender domain", [DEPARTURE_SUBJECT] = "subject",
	[DEPARTURE_BODY] = "body",
};

void
departures_start(struct departures *d)
{
	memset(d, 0, sizeof *d);
	d->version = DEPARTURE_VERSION;
	d->size = sizeof *d;
}

static int
weekend(uint32_t day)
{
	uint32_t weekday = (day + 3) % 7;    /* 0: Monday; 1970-01-01 was a Thursday */

	return weekday >= 5;
}

/* Yesterday is usual from now on. */
static void
new_day(struct departures *d, uint32_t day)
{
	int part = weekend(d->day) * 24;
	float keep = powf(FADE_A_DAY, (float)(day - d->day));

	for (int kind = 0; kind < DEPARTURE__KINDS; kind++) {
		d->newcomer[kind] = fmaxf(d->newcomer[kind] * keep, d->newcomer_today[kind]);
		d->newcomer_today[kind] = 0;
		for (int i = 0; i < DEPARTURE_KEYS; i++) {
			struct departure_key *k = &d->keys[kind][i];

			if (k->key == 0)
				continue;
			for (int slot = 0; slot < DEPARTURE_SLOTS; slot++)
				k->usual[slot] *= keep;
			k->ever *= keep;
			for (int hour = 0; hour < 24; hour++)
				k->usual[part + hour] = fmaxf(k->usual[part + hour], k->learnt[hour]);
			memset(k->learnt, 0, sizeof k->learnt);
		}
	}
	d->day = day;
}

/* Who has never brought much and was not seen for long makes room: a newsletter of last week is worth more than a hundred
 * subjects that came once. */
static double
worth(const struct departure_key *k, int64_t now_s)
{
	return k->key == 0 ? 0 : k->ever * exp(-(double)(now_s - k->last_s) / (7 * DAY));
}

static struct departure_key *
key_of(struct departures *d, enum departure_kind kind, uint64_t key, int64_t now_s)
{
	size_t from = (key ^ key >> 29) % (DEPARTURE_KEYS / DEPARTURE_WAYS) * DEPARTURE_WAYS;
	struct departure_key *least = NULL;

	for (size_t i = from; i < from + DEPARTURE_WAYS; i++)
		if (d->keys[kind][i].key == key)
			return &d->keys[kind][i];
	for (size_t i = from; i < from + DEPARTURE_WAYS; i++)
		if (least == NULL || worth(&d->keys[kind][i], now_s) < worth(least, now_s))
			least = &d->keys[kind][i];
	*least = (struct departure_key){ .key = key, .first_s = now_s, .last_s = now_s };
	return least;
}

/* The most of this hour and its neighbours, of this sort of day; and a third of whatever was most ever, for a run that comes at
 * another hour is none of an attacker's. */
static double
usual_of(const struct departure_key *k, uint32_t day, int hour)
{
	int part = weekend(day) * 24;
	double most = 0, ever = 0;

	for (int i = -1; i <= 1; i++)
		most = fmax(most, k->usual[part + (hour + i + 24) % 24]);
	for (int slot = 0; slot < DEPARTURE_SLOTS; slot++)
		ever = fmax(ever, k->usual[slot]);
	return fmax(most, ever / 3);
}

bool
departures_count(struct departures *d, enum departure_kind kind, uint64_t key, double count, int64_t now_s, int zone_s, double least,
    int again_s, struct departure *what)
{
	int64_t local = now_s + zone_s;
	uint32_t day = (uint32_t)(local / DAY);
	int hour = (int)(local / HOUR % 24);
	struct departure_key *k;

	if (d->since_s == 0) {
		d->since_s = now_s;
		d->day = day;
	}
	if (day > d->day)
		new_day(d, day);
	k = key_of(d, kind, key | 1, now_s);
	k->minute = k->minute * (float)exp(-(double)(now_s - k->last_s) / 60) + (float)count;
	k->last_s = now_s;
	k->ever = fmaxf(k->ever, k->minute);
	k->learnt[hour] = fmaxf(k->learnt[hour], k->minute);
	what->newcomer = now_s - k->first_s < NEW_S;
	if (what->newcomer && now_s - d->since_s > NEW_S)    /* in the first days everybody is new */
		d->newcomer_today[kind] = fmaxf(d->newcomer_today[kind], k->minute);
	what->minute = k->minute;
	if (now_s - d->since_s < DEPARTURE_LEARN_S || k->minute < least)
		return false;
	what->usual = fmax(usual_of(k, day, hour), what->newcomer ? d->newcomer[kind] : 0);
	if (k->minute < DEPARTURE_TIMES * what->usual)
		return false;
	if (k->alarm_s && now_s - k->alarm_s < again_s)
		return false;
	k->alarm_s = now_s;
	return true;
}
