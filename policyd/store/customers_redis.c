/* customers_redis.c - the policy records of Redis, followed from where we stood (the snapshot's place, or the last change
 * seen), and loaded where that cannot be.
 *
 * A load, by partition: where its stream stands now, then all its records, then every change after that place. A change
 * carries the partition's version; a gap in them (the stream was trimmed), or a version below ours (another Redis, or one
 * from the past), loads the partition again. */
#include <hiredis/hiredis.h>
#include <stdio.h>
#include <stdlib.h>

#include "policyd/base/log.h"
#include "policyd/store/customers_table.h"
#include "policyd/store/redis_async.h"

enum { LOAD_MS = 10 * 1000, FOLLOW_MS = 1000, PARTITION_KEY = 32 };

static void load(struct partition *p);

static void
command(struct partition *p, int timeout_ms, redis_callback done, int argc, const char *const *argv)
{
	size_t lengths[8];

	for (int i = 0; i < argc; i++)
		lengths[i] = strlen(argv[i]);
	redis_async_command(p->customers->redis, timeout_ms, done, p, argc, argv, lengths);
}

static struct span
text_of(const redisReply *reply)
{
	return reply && reply->str ? span_make(reply->str, reply->len) : SPAN("");
}

/* The record named by the reply, if its name may be one. */
static void
apply(struct partition *p, struct span key, struct span json)
{
	char text[KEY_ROOM], checked[KEY_ROOM], why[256];

	snprintf(text, sizeof text, SPAN_FMT, SPAN_ARG(span_head(key, KEY_ROOM - 1)));
	if (customers_key(span_of(text), checked, why, sizeof why) && strcmp(text, checked) == 0)
		customers_apply(p->customers, text, json);
	else
		log_warning("policies in Redis: %s", why);
}

/* ---- loading ---- */

static void
forget_unseen(struct partition *p)
{
	struct customers *c = p->customers;
	struct record_state before;

	for (uint32_t r = 1; r <= c->by_key.count; r++) {
		const struct record *record = &c->records[r];
		char key[KEY_ROOM];

		if (!record->present || record->seen || record->partition != p->number)
			continue;
		snprintf(key, sizeof key, "%s", record_name(c, r));
		customers_put(c, key, NULL, SPAN(""), &before);
		c->dirty = true;
	}
}

static void scan(struct partition *p, const char *cursor);

static void
scanned(void *arg, const redisReply *reply)
{
	struct partition *p = arg;

	if (reply == NULL || reply->type != REDIS_REPLY_ARRAY || reply->elements != 2 || reply->element[1]->type != REDIS_REPLY_ARRAY) {
		p->loading = false;          /* the next connection tries again */
		p->version = 0;
		return;
	}
	const redisReply *pairs = reply->element[1];

	for (size_t i = 0; i + 1 < pairs->elements; i += 2)
		apply(p, text_of(pairs->element[i]), text_of(pairs->element[i + 1]));
	if (!span_eq(text_of(reply->element[0]), SPAN("0"))) {
		scan(p, reply->element[0]->str);
		return;
	}
	p->loading = false;
	forget_unseen(p);
}

static void
scan(struct partition *p, const char *cursor)
{
	char policy[PARTITION_KEY];

	snprintf(policy, sizeof policy, "{p:%02d}:policy", p->number);
	command(p, LOAD_MS, scanned, 5, (const char *const[]){ "HSCAN", policy, cursor, "COUNT", "1000" });
}

static void
got_version(void *arg, const redisReply *reply)
{
	struct partition *p = arg;
	uint64_t version = 0;

	span_u64(text_of(reply), &version);
	p->version = (int64_t)version;
}

static void
got_last_id(void *arg, const redisReply *reply)
{
	struct partition *p = arg;

	if (reply && reply->type == REDIS_REPLY_ARRAY && reply->elements == 1 && reply->element[0]->elements == 2)
		snprintf(p->last_id, sizeof p->last_id, SPAN_FMT, SPAN_ARG(text_of(reply->element[0]->element[0])));
}

static void
load(struct partition *p)
{
	struct customers *c = p->customers;
	char changes[PARTITION_KEY], version[PARTITION_KEY];

	if (p->loading)
		return;
	p->loading = true;
	snprintf(p->last_id, sizeof p->last_id, "0-0");
	snprintf(changes, sizeof changes, "{p:%02d}:changes", p->number);
	snprintf(version, sizeof version, "{p:%02d}:version", p->number);
	for (uint32_t r = 1; r <= c->by_key.count; r++)
		if (c->records[r].partition == p->number)
			c->records[r].seen = false;
	command(p, LOAD_MS, got_version, 2, (const char *const[]){ "GET", version });
	command(p, LOAD_MS, got_last_id, 6, (const char *const[]){ "XREVRANGE", changes, "+", "-", "COUNT", "1" });
	scan(p, "0");
}

/* Redis is here (again): does it go on from where we stood? */
static void
compare_version(void *arg, const redisReply *reply)
{
	struct partition *p = arg;
	uint64_t version = 0;

	p->asking = false;
	if (reply == NULL || reply->type == REDIS_REPLY_ERROR)
		return;
	span_u64(text_of(reply), &version);
	if (p->version == 0 || (int64_t)version < p->version)
		load(p);
}

void
customers_reload(void *arg)
{
	struct customers *c = arg;

	for (int i = 0; i < POLICY_PARTITIONS; i++) {
		struct partition *p = &c->partitions[i];
		char version[PARTITION_KEY];

		p->loading = false;
		p->asking = true;
		snprintf(version, sizeof version, "{p:%02d}:version", i);
		command(p, LOAD_MS, compare_version, 2, (const char *const[]){ "GET", version });
	}
}

/* ---- following ---- */

/* One change: n, then as many k, v as were written together. False: versions are missing before it. */
static bool
follow_one(struct partition *p, const redisReply *entry)
{
	const redisReply *fields;
	uint64_t version = 0;

	if (entry->type != REDIS_REPLY_ARRAY || entry->elements != 2 || entry->element[1]->type != REDIS_REPLY_ARRAY)
		return true;
	fields = entry->element[1];
	if (fields->elements >= 2 && span_eq(text_of(fields->element[0]), SPAN("n")))
		span_u64(text_of(fields->element[1]), &version);
	snprintf(p->last_id, sizeof p->last_id, SPAN_FMT, SPAN_ARG(text_of(entry->element[0])));
	if ((int64_t)version <= p->version)  /* it was in the load already, or is our own */
		return true;
	if ((int64_t)version != p->version + 1)
		return false;
	p->version = (int64_t)version;
	for (size_t i = 2; i + 3 < fields->elements; i += 4)
		apply(p, text_of(fields->element[i + 1]), text_of(fields->element[i + 3]));
	return true;
}

static void
followed(void *arg, const redisReply *reply)
{
	struct partition *p = arg;

	p->asking = false;
	if (p->loading || reply == NULL || reply->type != REDIS_REPLY_ARRAY || reply->elements != 1 || reply->element[0]->elements != 2)
		return;
	const redisReply *entries = reply->element[0]->element[1];

	for (size_t i = 0; i < entries->elements; i++)
		if (!follow_one(p, entries->element[i])) {
			log_warning("policies: changes of partition %d were missed; loading it again", p->number);
			load(p);
			return;
		}
}

void
customers_follow(struct customers *c)
{
	for (int i = 0; i < POLICY_PARTITIONS && redis_async_up(c->redis); i++) {
		struct partition *p = &c->partitions[i];
		char changes[PARTITION_KEY];

		if (p->loading || p->asking)
			continue;
		p->asking = true;
		snprintf(changes, sizeof changes, "{p:%02d}:changes", p->number);
		command(p, FOLLOW_MS, followed, 6, (const char *const[]){ "XREAD", "COUNT", "1000", "STREAMS", changes, p->last_id });
	}
}
