/* buckets.c - the buckets this node knows: tokens held ahead, counting alone, questions that concern several. */
#include "policyd/store/buckets_table.h"

#include <event2/event.h>
#include <math.h>
#include <openssl/rand.h>
#include <stdio.h>
#include <stdlib.h>

#include "policyd/base/clock.h"
#include "policyd/base/log.h"
#include "policyd/base/metrics.h"
#include "policyd/store/redis_async.h"

enum { TICK_MS = 250, IDLE_MS = 120 * 1000, HOT = 8 };

const char *const bucket_kind_names[BUCKET__KINDS] = {
	[BUCKET_ACCOUNT] = "account", [BUCKET_DOMAIN] = "domain", [BUCKET_CUSTOMER] = "customer", [BUCKET_MAILBOX] = "mailbox",
	[BUCKET_NETWORK] = "network", [BUCKET_TRICKLE] = "trickle",
};

/* ---- the table ---- */

static uint64_t
entry_hash(enum bucket_kind kind, const char *id)
{
	return span_hash(span_of(id), 0x6c696d + kind);
}

static struct entry *
entry_of(struct buckets *b, const struct bucket_ask *ask)
{
	uint64_t hash = entry_hash(ask->kind, ask->id);
	struct entry *e = map_get(&b->entries, hash);

	if (e && (e->kind != ask->kind || strcmp(e->id, ask->id) != 0))
		return NULL;                 /* two of one hash: the second is asked for each time */
	if (e == NULL) {
		if (b->count >= MAX_BUCKETS || (e = calloc(1, sizeof *e)) == NULL)
			return NULL;
		*e = (struct entry){ .hash = hash, .kind = ask->kind, .id = strdup(ask->id), .warmth = 1 };
		if (e->id == NULL || !map_put(&b->entries, hash, e)) {
			free(e->id);
			free(e);
			return NULL;
		}
		e->next = b->first;
		b->first = e;
		b->count++;
	}
	memcpy(e->limits, ask->limits, sizeof e->limits);
	e->warmup_days = ask->warmup_days;
	e->created_day = ask->created_day;
	if (e->created_day)                  /* else Redis knows when it was first seen, and has said so */
		e->warmth = bucket_warmth(wall_ms() - e->created_day * (int64_t)86400000, e->warmup_days);
	return e;
}

/* How hot: uses in the last second, for that is what it may hold ahead. */
static uint32_t
entry_used(struct entry *e, int64_t now)
{
	if (now - e->second_ms >= 1000) {
		e->uses_before = now - e->second_ms < 2000 ? e->uses : 0;
		e->uses = 0;
		e->second_ms = now;
	}
	e->uses++;
	e->used_ms = now;
	return e->uses > e->uses_before ? e->uses : e->uses_before;
}

static struct recent *
recent_of(struct buckets *b, const struct entry *e, uint64_t recipient, uint64_t *key)
{
	*key = (e->hash ^ recipient * 0x9e3779b97f4a7c15u) | 1;
	return &b->recent[(*key >> 20) % RECENT];
}

static bool
recently_counted(struct buckets *b, const struct entry *e, uint64_t recipient, int64_t now)
{
	uint64_t key;
	const struct recent *r = recent_of(b, e, recipient, &key);

	return r->key == key && r->until_ms > now;
}

static void
count_recently(struct buckets *b, const struct entry *e, uint64_t recipient, int64_t now)
{
	uint64_t key;
	struct recent *r = recent_of(b, e, recipient, &key);

	*r = (struct recent){ key, now + (int64_t)e->limits[MEASURE_DISTINCT].per_s * 1000 };
}

/* ---- alone ---- */

/* Our share of what Redis last had, and what we hold ahead. */
static void
go_alone(struct buckets *b, struct entry *e, int64_t now)
{
	for (int m = 0; m < MEASURE__COUNT; m++) {
		double capacity = bucket_capacity(&e->limits[m], e->warmth, 1), per_ms = bucket_per_ms(&e->limits[m], e->warmth, 1);

		if (!limit_on(&e->limits[m]))
			continue;
		struct bucket left = e->known[m].at_ms ? e->known[m] : (struct bucket){ capacity, now };

		bucket_refill(&left, capacity, per_ms, now);
		e->alone[m] = (struct bucket){ left.tokens / b->nodes, now };
	}
	e->is_alone = true;
}

static bool
take_alone(struct buckets *b, struct entry *e, const double cost[MEASURE__COUNT], uint64_t recipient, struct bucket_verdict *v)
{
	int64_t now = clock_ms();
	double price[MEASURE__COUNT];

	if (!e->is_alone)
		go_alone(b, e, now);
	memcpy(price, cost, sizeof price);
	if (recipient && recently_counted(b, e, recipient, now))
		price[MEASURE_DISTINCT] = 0;
	for (int m = 0; m < MEASURE__COUNT; m++) {
		double capacity = bucket_capacity(&e->limits[m], e->warmth, b->nodes), per_ms = bucket_per_ms(&e->limits[m], e->warmth, b->nodes);

		if (!limit_on(&e->limits[m]))
			continue;
		/* What stands above its share came from Redis and is used up; the refill stops at the share. */
		bucket_refill(&e->alone[m], fmax(capacity, e->alone[m].tokens), per_ms, now);
		/* A share below one token is saved up to one: a limit of 2 for 4 nodes is not 0 for each. */
		double room = fmax(1, capacity);

		if (price[m] > 0 && e->alone[m].tokens + e->ahead[m] < fmin(price[m], room)) {
			v->over = true;
			v->measure = (enum measure)m;
			v->wait_ms = bucket_wait_ms(&e->alone[m], room, per_ms, price[m]);
			return false;
		}
	}
	for (int m = 0; m < MEASURE__COUNT; m++) {
		double ahead = limit_on(&e->limits[m]) ? fmin(e->ahead[m], price[m]) : 0;

		if (!limit_on(&e->limits[m]))
			continue;
		e->ahead[m] -= ahead;
		e->alone[m].tokens -= price[m] - ahead;
		e->owed[m] += price[m] - ahead;
	}
	if (recipient && price[MEASURE_DISTINCT] > 0)
		count_recently(b, e, recipient, now);
	metrics_add(M_LIMITS_ALONE, 1);
	v->alone = true;
	return true;
}

struct payment {
	struct entry *entry;
	double paid[MEASURE__COUNT];
};

/* Until Redis has said yes, what is owed stays owed, and our share stays as small as it is. */
static void
paid(void *arg, const struct take *t)
{
	struct payment *p = arg;
	struct entry *e = p->entry;
	bool left = false;

	e->paying = false;
	e->asking--;
	for (int m = 0; t && m < MEASURE__COUNT; m++) {
		e->owed[m] -= p->paid[m];
		left |= e->owed[m] > 0;
		e->known[m] = (struct bucket){ t->left[m], clock_ms() };
	}
	if (t && !left)
		e->is_alone = false;
	free(p);
}

/* What was let through without Redis goes into its books before anything else is asked of that bucket. */
static void
pay_owed(struct buckets *b, struct entry *e)
{
	struct payment *p;
	bool any = false;

	for (int m = 0; m < MEASURE__COUNT; m++)
		any |= e->owed[m] > 0;
	if (!any)
		e->is_alone = false;
	if (!any || e->paying || (p = malloc(sizeof *p)) == NULL)
		return;
	*p = (struct payment){ .entry = e };
	memcpy(p->paid, e->owed, sizeof p->paid);
	e->paying = true;
	e->asking++;
	if (!buckets_ask_redis(b, e, e->owed, 0, 0, true, paid, p))
		paid(p, NULL);
}

/* ---- one question ---- */

struct part {                                /* of a wait: one bucket */
	struct bucket_wait *wait;
	struct entry *entry;                 /* NULL: not in the table */
	double cost[MEASURE__COUNT];
	uint64_t recipient;
	bool taken;
};

struct bucket_wait {
	struct buckets *buckets;
	buckets_done done;
	void *arg;
	struct bucket_verdict verdict;
	size_t count, open;
	struct part parts[BUCKETS_A_QUESTION];
	struct entry strays[BUCKETS_A_QUESTION];     /* for asks that have no room in the table */
};

static void
wait_end(struct bucket_wait *w)
{
	/* One is over: the others get theirs back. A recipient who was counted as new stays counted: he is known now. */
	for (size_t i = 0; w->verdict.over && i < w->count; i++) {
		struct part *p = &w->parts[i];

		if (!p->taken || p->entry == NULL)
			continue;
		for (int m = 0; m < MEASURE__COUNT; m++)
			if (m != MEASURE_DISTINCT && limit_on(&p->entry->limits[m]))
				p->entry->ahead[m] += p->cost[m];
		p->entry->ahead_ms = clock_ms();
	}
	for (size_t i = 0; i < w->count; i++)
		if (w->parts[i].entry)
			w->parts[i].entry->asking--;
	if (w->verdict.over)
		metrics_add(M_LIMITS_OVER, 1);
	w->done(w->arg, &w->verdict);
	for (size_t i = 0; i < w->count; i++)
		free(w->strays[i].id);
	free(w);
}

static void
part_over(struct part *p, enum measure measure, int64_t wait_ms)
{
	struct bucket_wait *w = p->wait;

	if (!w->verdict.over)
		w->verdict = (struct bucket_verdict){ .over = true, .which = (size_t)(p - w->parts), .measure = measure, .wait_ms = wait_ms };
	if (p->entry)
		buckets_told_over(w->buckets, p->entry, measure);
}

static void
part_answered(void *arg, const struct take *t)
{
	struct part *p = arg;
	struct bucket_wait *w = p->wait;
	struct entry *e = p->entry;
	int64_t now = clock_ms();

	if (t == NULL && e) {
		struct bucket_verdict v = { 0 };

		p->taken = take_alone(w->buckets, e, p->cost, p->recipient, &v);
		w->verdict.alone |= v.alone;
		if (v.over)
			part_over(p, v.measure, v.wait_ms);
	} else if (t == NULL) {
		metrics_add(M_LIMITS_UNKNOWN, 1);
	} else if (!t->taken) {
		part_over(p, t->measure, t->wait_ms);
	} else {
		p->taken = true;
		if (e) {
			e->warmth = t->warmth;
			for (int m = 0; m < MEASURE__COUNT; m++) {
				e->known[m] = (struct bucket){ t->left[m], now };
				e->ahead[m] += t->ahead[m];
			}
			e->ahead_ms = now;
			if (p->recipient && t->fresh)        /* else he was counted some time ago, and Redis knows when that ends */
				count_recently(w->buckets, e, p->recipient, now);
		}
	}
	if (--w->open == 0)
		wait_end(w);
}

static void
refilled(void *arg, const struct take *t)
{
	struct entry *e = arg;

	e->asking--;
	e->refilling = false;
	for (int m = 0; t && t->taken && m < MEASURE__COUNT; m++) {
		e->known[m] = (struct bucket){ t->left[m], clock_ms() };
		e->ahead[m] += t->ahead[m];
	}
	if (t && t->taken)
		e->ahead_ms = clock_ms();
}

/* Half of what a hot bucket needs in a second is gone: more is fetched before anybody has to wait for it. */
static void
refill_ahead(struct buckets *b, struct entry *e, uint32_t hot)
{
	static const double nothing[MEASURE__COUNT];
	bool low = false;

	for (int m = 0; m < MEASURE__COUNT; m++)
		low |= limit_on(&e->limits[m]) && m != MEASURE_DISTINCT && m != MEASURE_BYTES && e->ahead[m] < hot / 2.0;
	if (!low || hot < HOT || e->refilling)
		return;
	e->refilling = true;
	e->asking++;
	metrics_add(M_LIMITS_ASKED, 1);
	if (!buckets_ask_redis(b, e, nothing, 0, hot, false, refilled, e))
		refilled(e, NULL);
}

/* From what is held ahead, without a question. */
static bool
take_ahead(struct buckets *b, struct entry *e, struct part *p, int64_t now)
{
	double price[MEASURE__COUNT];

	memcpy(price, p->cost, sizeof price);
	if (p->recipient && recently_counted(b, e, p->recipient, now))
		price[MEASURE_DISTINCT] = 0;
	if (price[MEASURE_DISTINCT] > 0 && limit_on(&e->limits[MEASURE_DISTINCT]))
		return false;                /* another node may have counted him: Redis knows */
	for (int m = 0; m < MEASURE__COUNT; m++)
		if (limit_on(&e->limits[m]) && price[m] > e->ahead[m])
			return false;
	for (int m = 0; m < MEASURE__COUNT; m++)
		if (limit_on(&e->limits[m]))
			e->ahead[m] -= price[m];
	p->taken = true;
	metrics_add(M_LIMITS_AHEAD, 1);
	return true;
}

static void
part_start(struct bucket_wait *w, struct part *p, const struct bucket_ask *ask)
{
	struct buckets *b = w->buckets;
	struct entry *e = entry_of(b, ask), *stray = &w->strays[p - w->parts];
	int64_t now = clock_ms();
	uint32_t hot = 0;

	p->wait = w;
	p->entry = e;
	p->recipient = limit_on(&ask->limits[MEASURE_DISTINCT]) ? ask->recipient : 0;
	for (int m = 0; m < MEASURE__COUNT; m++)
		p->cost[m] = limit_on(&ask->limits[m]) ? ask->cost[m] : 0;
	w->open++;
	if (e) {
		e->asking++;
		hot = entry_used(e, now);
		if (redis_async_up(b->redis) && e->is_alone)
			pay_owed(b, e);
		if (!e->is_alone && take_ahead(b, e, p, now)) {
			refill_ahead(b, e, hot);
			w->open--;
			return;
		}
	} else {
		*stray = (struct entry){ .kind = ask->kind, .id = strdup(ask->id), .warmup_days = ask->warmup_days, .created_day = ask->created_day };
		memcpy(stray->limits, ask->limits, sizeof stray->limits);
	}
	metrics_add(M_LIMITS_ASKED, 1);
	if (!buckets_ask_redis(b, e ? e : stray, p->cost, p->recipient, hot >= HOT ? hot : 0, false, part_answered, p))
		part_answered(p, NULL);
}

void
buckets_take(struct buckets *b, const struct bucket_ask *asks, size_t count, buckets_done done, void *arg)
{
	struct bucket_wait *w = calloc(1, sizeof *w);

	if (w == NULL) {
		const struct bucket_verdict unknown = { 0 };

		metrics_add(M_LIMITS_UNKNOWN, 1);
		done(arg, &unknown);
		return;
	}
	*w = (struct bucket_wait){ .buckets = b, .done = done, .arg = arg, .count = count, .open = 1 };      /* 1: not ended while it starts */
	for (size_t i = 0; i < count; i++)
		part_start(w, &w->parts[i], &asks[i]);
	if (--w->open == 0)
		wait_end(w);
}

/* ---- the tick: give back, pay, forget ---- */

static void
give_back(struct buckets *b, struct entry *e)
{
	double back[MEASURE__COUNT];
	bool any = false;

	for (int m = 0; m < MEASURE__COUNT; m++) {
		back[m] = -e->ahead[m];
		any |= e->ahead[m] > 0;
	}
	if (any && buckets_ask_redis(b, e, back, 0, 0, true, NULL, NULL))
		memset(e->ahead, 0, sizeof e->ahead);
}

static bool
idle(const struct entry *e, int64_t now)
{
	if (now - e->used_ms < IDLE_MS || e->asking > 0)
		return false;
	for (int m = 0; m < MEASURE__COUNT; m++)
		if (e->ahead[m] > 0 || e->owed[m] > 0)
			return false;
	return true;
}

static void
on_tick(evutil_socket_t fd, short what, void *arg)
{
	struct buckets *b = arg;
	bool up = redis_async_up(b->redis);
	int64_t now = clock_ms();

	(void)fd;
	(void)what;
	if (up && now >= b->nodes_ms)
		buckets_heartbeat(b);
	for (struct entry **at = &b->first; *at;) {
		struct entry *e = *at;

		if (up && e->is_alone)
			pay_owed(b, e);
		if (up && now - e->ahead_ms > BUCKETS_AHEAD_MS)
			give_back(b, e);
		if (idle(e, now)) {
			*at = e->next;
			map_take(&b->entries, e->hash);
			free(e->id);
			free(e);
			b->count--;
		} else {
			at = &e->next;
		}
	}
	metrics_set(M_LIMITS_NOW, (int64_t)b->count);
	if (b->was_up && !up && b->count > 0)
		log_warning("limits: Redis is away; counted on this node alone, with 1/%d of each", b->nodes);
	b->was_up = up;
}

struct buckets *
buckets_open(struct event_base *base, struct redis_async *redis)
{
	struct timeval tick = { 0, TICK_MS * 1000 };
	struct buckets *b = calloc(1, sizeof *b);
	uint8_t chance[8];

	if (b == NULL || (b->recent = calloc(RECENT, sizeof *b->recent)) == NULL ||
	    (b->tick = event_new(base, -1, EV_PERSIST, on_tick, b)) == NULL || event_add(b->tick, &tick) < 0) {
		if (b)
			free(b->recent);
		free(b);
		return NULL;
	}
	b->base = base;
	b->redis = redis;
	b->nodes = 1;
	RAND_bytes(chance, sizeof chance);
	for (size_t i = 0; i < sizeof chance; i++)
		snprintf(b->node + 2 * i, 3, "%02x", chance[i]);
	buckets_script_hash(b->sha);
	return b;
}

void
buckets_close(struct buckets *b)
{
	while (b->first) {
		struct entry *next = b->first->next;

		if (redis_async_up(b->redis)) {
			pay_owed(b, b->first);
			give_back(b, b->first);
		}
		free(b->first->id);
		free(b->first);
		b->first = next;
	}
	map_free(&b->entries);
	event_free(b->tick);
	free(b->recent);
	free(b);
}

json_t *
buckets_status(const struct buckets *b)
{
	return json_pack("{s:i, s:i, s:b}", "buckets", (int)b->count, "nodes", b->nodes, "alone", !redis_async_up(b->redis));
}
