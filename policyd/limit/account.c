#include "policyd/limit/account.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

enum { HOUR = 3600, DAY = 86400, HISTORY_MESSAGES = 20, HISTORY_S = 3 * DAY, PLACE_KNOWN_HOURS = 24 };
/* Units an hour and a day that anybody may have, and the multiple of his own record that he may. */
#define FREE_HOUR 25.0
#define FREE_DAY 60.0
#define TIMES 3.0
#define MOST_HOUR 60.0                       /* but from here on anybody is loud, and the other kinds are looked at */
#define MOST_DAY 150.0

void
account_start(struct account_state *a, int64_t now_s)
{
	memset(a, 0, sizeof *a);
	a->version = ACCOUNT_VERSION;
	a->first_s = a->last_s = now_s;
	a->day = (uint32_t)(now_s / DAY);
}

static void
fade(struct account_state *a, int64_t now_s)
{
	double gone = now_s > a->last_s ? (double)(now_s - a->last_s) : 0;
	float hour = (float)exp(-gone / HOUR), day = (float)exp(-gone / DAY);
	uint32_t today = (uint32_t)(now_s / DAY);

	a->hour_units *= hour;
	a->hour_messages *= hour;
	a->hour_recipients *= hour;
	a->hour_strange *= hour;
	a->hour_places *= hour;
	a->hour_bad *= hour;
	a->hour_bounced *= hour;
	a->hour_same *= hour;
	a->day_units *= day;
	if (now_s > a->last_s)
		a->last_s = now_s;
	a->day_recipients *= day;
	a->day_bounced *= day;
	for (; a->day < today; a->day++) {   /* records fade by half in a month or so */
		a->usual_hour = fmaxf(a->usual_hour * 0.98f, a->peak_hour[1]);
		a->usual_day = fmaxf(a->usual_day * 0.98f, a->peak_day[1]);
		a->peak_hour[1] = a->peak_hour[0];
		a->peak_day[1] = a->peak_day[0];
		a->peak_hour[0] = a->peak_day[0] = 0;
		if (a->today_messages > 0)
			a->usual_strange += (a->today_strange / a->today_messages - a->usual_strange) * 0.1f;
		a->today_messages = a->today_strange = 0;
		if (today - a->day > 400)
			a->day = today - 400;
	}
}

/* ---- to whom ---- */

static bool
bloom_has(const uint8_t *bloom, uint64_t hash)
{
	for (int i = 0; i < 3; i++, hash = hash >> 20 | hash << 44)
		if (!(bloom[hash % (8 * ACCOUNT_BLOOM) / 8] >> hash % 8 & 1))
			return false;
	return true;
}

/* True: he has never been written to. He has been, from now on. */
static bool
is_new(struct account_state *a, uint64_t recipient)
{
	uint64_t hash = recipient * 0x9e3779b97f4a7c15u, bits = hash;
	uint8_t *now = a->bloom[a->bloom_now & 1];
	bool here = bloom_has(now, hash), before = here || bloom_has(a->bloom[~a->bloom_now & 1], hash);

	if (here)
		return false;
	for (int i = 0; i < 3; i++, bits = bits >> 20 | bits << 44)
		now[bits % (8 * ACCOUNT_BLOOM) / 8] |= (uint8_t)(1u << bits % 8);
	if (++a->bloom_count >= ACCOUNT_BLOOM_FULL) {        /* the older half is forgotten; whoever is written to again comes along */
		a->bloom_now ^= 1;
		a->bloom_count = 0;
		memset(a->bloom[a->bloom_now & 1], 0, ACCOUNT_BLOOM);
	}
	return !before;
}

/* ---- from where ---- */

static struct account_place *
place_of(struct account_state *a, uint64_t which, uint32_t hour, bool *added)
{
	uint32_t hash = (uint32_t)(which ^ which >> 32) | 1;
	struct account_place *oldest = &a->places[0];

	*added = false;
	for (int i = 0; i < ACCOUNT_PLACES; i++) {
		if (a->places[i].hash == hash) {
			a->places[i].last_hour = hour;
			return &a->places[i];
		}
		if (a->places[i].last_hour < oldest->last_hour)
			oldest = &a->places[i];
	}
	*oldest = (struct account_place){ hash, hour, hour };
	*added = true;
	return oldest;
}

/* Places first used in the last day are strange: a thief's network does not become the owner's by his second mail. */
static bool
is_strange(struct account_state *a, uint64_t which, uint32_t hour)
{
	bool added;
	const struct account_place *p = place_of(a, which, hour, &added);

	if (added)
		a->hour_places += 1;
	return hour - p->first_hour < PLACE_KNOWN_HOURS;
}

/* ---- judging ---- */

/* How many times what is allowed. */
static double
times(double now, double free, double most, double usual)
{
	return now / fmax(free, fmin(most, TIMES * usual));
}

static void
judge(const struct account_state *a, struct account_finding *f)
{
	double loudness = fmax(times(a->hour_units, FREE_HOUR, MOST_HOUR, a->usual_hour), times(a->day_units, FREE_DAY, MOST_DAY, a->usual_day));
	bool loud = loudness > 1;
	bool history = a->messages >= HISTORY_MESSAGES && a->last_s - a->first_s >= HISTORY_S;
	double messages = fmax(1, a->hour_messages);

	*f = (struct account_finding){ .units = a->hour_units, .usual = a->usual_hour, .volume = loud ? 0.5 + fmin(3.5, 2 * log2(loudness)) : 0 };
	/* Who is always on the move is nowhere strange. */
	if (history)
		f->where = (2 * fmin(1, a->hour_strange / messages) + fmin(2, fmax(0, a->hour_places - 1))) * (1 - fmin(1, 2 * a->usual_strange));
	/* A few bounces are everybody's, three in a hundred come back to an old list; of addresses that somebody bought many more do. */
	double bounces = fmax(a->hour_bounced - (5 + 0.055 * a->hour_recipients), a->day_bounced - (5.5 + 0.055 * a->day_recipients));

	if (bounces >= 0)
		f->bounces = fmin(3, 1.5 + 0.25 * bounces);
	if (a->hour_bad >= 5)
		f->content = fmin(3, 4 * a->hour_bad / messages);
	if (a->hour_same > 0.8 * a->hour_units && a->hour_units > FREE_HOUR)
		f->same = 1;
	f->points = f->volume + f->where + f->bounces + f->content + f->same;
	f->stolen = loud && f->where + f->bounces + f->content >= 2 && f->points >= ACCOUNT_STOLEN;
}

void
account_sent(struct account_state *a, const struct account_message *m, struct account_finding *found)
{
	uint32_t hour = (uint32_t)(m->now_s / HOUR), subject = (uint32_t)(m->subject ^ m->subject >> 32);
	size_t fresh = 0;
	bool strange = false;

	fade(a, m->now_s);
	for (size_t i = 0; i < m->recipient_count; i++)
		fresh += is_new(a, m->recipients[i]);
	if (m->network)
		strange |= is_strange(a, m->network, hour);
	if (m->country)                      /* a country is a place of its own kind, and weighs as another network does */
		strange |= is_strange(a, ~m->country, hour);
	float units = fresh ? 1 + log2f((float)fresh) : 0;

	a->messages += a->messages < UINT32_MAX;
	a->hour_messages += 1;
	a->hour_recipients += (float)m->recipient_count;
	a->day_recipients += (float)m->recipient_count;
	a->hour_units += units;
	a->day_units += units;
	a->hour_strange += strange;
	a->hour_bad += m->bad;
	if (subject != a->subject && a->hour_same < 0.5f * a->hour_units) {
		a->subject = subject;
		a->hour_same = 0;
	}
	if (subject == a->subject)
		a->hour_same += units;
	a->today_messages += 1;
	a->today_strange += strange && m->now_s - a->first_s >= HISTORY_S;   /* in the first days everywhere is */
	a->peak_hour[0] = fmaxf(a->peak_hour[0], a->hour_units);
	a->peak_day[0] = fmaxf(a->peak_day[0], a->day_units);
	judge(a, found);
}

void
account_bounced(struct account_state *a, int64_t now_s, struct account_finding *found)
{
	fade(a, now_s);
	a->hour_bounced += 1;
	a->day_bounced += 1;
	judge(a, found);
}

void
account_released(struct account_state *a, bool rightful)
{
	if (rightful) {
		a->usual_hour = fmaxf(a->usual_hour, a->peak_hour[0]);
		a->usual_day = fmaxf(a->usual_day, a->peak_day[0]);
		for (int i = 0; i < ACCOUNT_PLACES; i++)
			a->places[i].first_hour = 0;
	} else {
		for (int i = 0; i < ACCOUNT_PLACES; i++)
			if (a->places[i].hash && a->places[i].last_hour - a->places[i].first_hour < PLACE_KNOWN_HOURS)
				a->places[i] = (struct account_place){ 0 };
	}
	memset(a->peak_hour, 0, sizeof a->peak_hour);
	memset(a->peak_day, 0, sizeof a->peak_day);
	a->today_messages = a->today_strange = a->day_recipients = a->day_bounced = 0;
	a->hour_units = a->hour_messages = a->hour_recipients = a->hour_strange = a->hour_places = a->hour_bad = a->hour_bounced = 0;
	a->hour_same = a->day_units = 0;
}

void
account_explain(const struct account_finding *f, char *to, size_t room)
{
	snprintf(to, room, "%.1f points: volume %.1f (%.0f new recipients lately, at most %.0f usually), places %.1f, bounces %.1f, "
	    "content %.1f, one subject %.1f", f->points, f->volume, f->units, f->usual, f->where, f->bounces, f->content, f->same);
}
