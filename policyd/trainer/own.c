#include "policyd/trainer/own.h"

#include <stdio.h>
#include <stdlib.h>

#include "policyd/base/clock.h"
#include "policyd/base/metrics.h"

enum { DIGEST = 16, TRIES = 5, CHANGES_KEPT = 10000, KEY_ROOM = 128 };

/* In Redis: one per lesson of a customer. Host byte order; nodes of one pool are of one kind. */
struct known_lesson {
	uint8_t spam, trained;
	uint16_t bin[LEARNERS];
	float g_a;
};

/* KEYS table, known; ARGV expected version, new version, table, n, n x digest, n x known ("" takes it out). */
static const char put_script[] =
	"if (redis.call('HGET', KEYS[1], 'v') or '0') ~= ARGV[1] then return 0 end\n"
	"redis.call('HSET', KEYS[1], 'v', ARGV[2], 't', ARGV[3])\n"
	"local n = tonumber(ARGV[4])\n"
	"for i = 1, n do\n"
	"  if ARGV[4 + n + i] == '' then redis.call('HDEL', KEYS[2], ARGV[4 + i])\n"
	"  else redis.call('HSET', KEYS[2], ARGV[4 + i], ARGV[4 + n + i]) end\n"
	"end\n"
	"return 1\n";

static void
key_of(const char *customer, const char *what, char key[KEY_ROOM])
{
	snprintf(key, KEY_ROOM, "{model:c:%s}:%s", customer, what);
}

static struct own_nothing *
nothing_of(struct own *o, const char *customer)
{
	return &o->nothing[span_hash(span_of(customer), 13) % OWN_NOTHING];
}

/* 1 his table is in the cache, 0 he has none, -1 no answer. */
static int
fetch(struct own *o, const char *customer)
{
	struct customer *table = malloc(sizeof *table);
	char key[KEY_ROOM];
	uint64_t version = 0;

	key_of(customer, "table", key);
	redisReply *reply = table ? redis_say(o->redis, 4, (const char *const[]){ "HMGET", key, "v", "t" }) : NULL;
	int result = reply && reply->type == REDIS_REPLY_ARRAY && reply->elements == 2 ? 0 : -1;

	metrics_add(M_CUSTOMERS_FETCHED, 1);
	if (result == 0 && reply->element[0]->type == REDIS_REPLY_STRING && reply->element[1]->type == REDIS_REPLY_STRING) {
		span_u64(span_make(reply->element[0]->str, reply->element[0]->len), &version);
		if (customer_unpack(span_make(reply->element[1]->str, reply->element[1]->len), table)) {
			struct own_slot *slot = own_take(o->cache, customer, clock_ms());

			own_write_begin(slot);
			memcpy(&slot->table, table, sizeof *table);
			slot->version = version;
			own_write_end(slot);
			result = 1;
		}
	}
	uint32_t sequence;

	if (result == 0 && own_find(o->cache, customer, &sequence)) {        /* he had one, and has left (broker/deprovision.c) */
		struct own_slot *slot = own_take(o->cache, customer, clock_ms());

		own_write_begin(slot);
		memset(&slot->table, 0, sizeof slot->table);
		slot->version = 0;
		own_write_end(slot);
	}
	if (result == 0)
		*nothing_of(o, customer) = (struct own_nothing){ span_hash(span_of(customer), 17), clock_ms() + OWN_NOTHING_MS };
	if (reply)
		freeReplyObject(reply);
	free(table);
	return result;
}

bool
own_want(struct own *o, const char *customer)
{
	const struct own_nothing *n = nothing_of(o, customer);
	uint32_t sequence;

	if (own_find(o->cache, customer, &sequence)) {
		own_take(o->cache, customer, clock_ms());      /* wanted now */
		return true;
	}
	if (n->name == span_hash(span_of(customer), 17) && n->until_ms > clock_ms())
		return true;
	return fetch(o, customer) >= 0;
}

static void
digest_bytes(const char *hex, char out[DIGEST])
{
	for (int i = 0; i < DIGEST; i++) {
		unsigned byte = 0;

		sscanf(hex + 2 * i, "%2x", &byte);
		out[i] = (char)byte;
	}
}

/* What is known of each digest. */
static bool
known_of(struct own *o, const char *key, struct own_lesson *l, size_t count, struct known_lesson *known, bool *is_known)
{
	const char *argv[2 + OWN_BATCH] = { "HMGET", key };
	size_t lengths[2 + OWN_BATCH] = { 5, strlen(key) };
	char digests[OWN_BATCH][DIGEST];

	for (size_t i = 0; i < count; i++) {
		digest_bytes(l[i].lesson->digest, digests[i]);
		argv[2 + i] = digests[i];
		lengths[2 + i] = DIGEST;
	}
	redisReply *reply = redis_command(o->redis, (int)(2 + count), argv, lengths);
	bool good = reply && reply->type == REDIS_REPLY_ARRAY && reply->elements == count;

	for (size_t i = 0; good && i < count; i++) {
		const redisReply *r = reply->element[i];

		is_known[i] = r->type == REDIS_REPLY_STRING && r->len == sizeof *known;
		if (is_known[i])
			memcpy(&known[i], r->str, sizeof *known);
	}
	if (reply)
		freeReplyObject(reply);
	return good;
}

static void
take_back(struct customer *c, const struct own_lesson *l, const struct known_lesson *k)
{
	struct lesson_effect effect = { .trained = k->trained, .g = { [LEARNER_A] = k->g_a } };

	memcpy(effect.bin, k->bin, sizeof effect.bin);
	learners_untrain_customer(c, l->features, k->spam ? SPAM : HAM, &effect, lesson_seed(l->lesson->digest));
}

/* Applies one lesson to his table; `k` becomes what is to be known of it, is_known whether anything is. */
static enum lesson_result
teach_one(struct own *o, struct customer *c, const struct own_lesson *l, struct known_lesson *k, bool *is_known)
{
	struct lesson_effect effect;
	int label = l->lesson->spam ? SPAM : HAM;
	bool was_known = *is_known;

	if (l->lesson->op == LEDGER_UNLEARN) {
		if (!was_known)
			return LESSON_UNKNOWN;
		take_back(c, l, k);
		*is_known = false;
		return LESSON_UNLEARNT;
	}
	if (was_known && k->spam == l->lesson->spam)
		return LESSON_KNOWN;
	if (was_known)
		take_back(c, l, k);
	learners_plan(o->table, c, l->features, label, &effect);
	learners_train_customer(c, l->features, label, &effect, lesson_seed(l->lesson->digest));
	memset(k, 0, sizeof *k);
	k->spam = l->lesson->spam;
	k->trained = effect.trained;
	k->g_a = effect.g[LEARNER_A];
	memcpy(k->bin, effect.bin, sizeof k->bin);
	*is_known = true;
	return was_known ? LESSON_FLIPPED : LESSON_LEARNT;
}

/* 1 taken, 0 another node was first, -1 no answer. */
static int
put(struct own *o, const char *customer, uint64_t version, const struct customer *table, struct own_lesson *l, size_t count,
    const struct known_lesson *known, const bool *is_known)
{
	const char *argv[9 + 2 * OWN_BATCH];
	size_t lengths[9 + 2 * OWN_BATCH];
	char table_key[KEY_ROOM], known_key[KEY_ROOM], was[24], now[24], n[8], digests[OWN_BATCH][DIGEST];
	struct buf packed = { 0 };
	int argc = 0, result = -1;

	key_of(customer, "table", table_key);
	key_of(customer, "known", known_key);
	snprintf(was, sizeof was, "%llu", (unsigned long long)version);
	snprintf(now, sizeof now, "%llu", (unsigned long long)version + 1);
	snprintf(n, sizeof n, "%zu", count);
	customer_pack(&packed, table);
	const char *const head[] = { "EVAL", put_script, "2", table_key, known_key, was, now, packed.p, n };

	for (; argc < 9; argc++) {
		argv[argc] = head[argc];
		lengths[argc] = argc == 7 ? packed.n : strlen(head[argc]);
	}
	for (size_t i = 0; i < count; i++, argc++) {
		digest_bytes(l[i].lesson->digest, digests[i]);
		argv[argc] = digests[i];
		lengths[argc] = DIGEST;
	}
	for (size_t i = 0; i < count; i++, argc++) {
		argv[argc] = is_known[i] ? (const char *)&known[i] : "";
		lengths[argc] = is_known[i] ? sizeof known[i] : 0;
	}
	redisReply *reply = packed.failed ? NULL : redis_command(o->redis, argc, argv, lengths);

	if (reply && reply->type == REDIS_REPLY_INTEGER)
		result = (int)reply->integer;
	if (reply)
		freeReplyObject(reply);
	buf_free(&packed);
	return result;
}

static void
announce(struct own *o, const char *customer, uint64_t version)
{
	char v[24], kept[16];

	snprintf(v, sizeof v, "%llu", (unsigned long long)version);
	snprintf(kept, sizeof kept, "%d", CHANGES_KEPT);
	redisReply *reply = redis_say(o->pool, 10, (const char *const[]){ "XADD", "{model:global}:own", "MAXLEN", "~", kept, "*", "c", customer, "v", v });

	if (reply)
		freeReplyObject(reply);
}

void
own_teach(struct own *o, const char *customer, struct own_lesson *l, size_t count)
{
	struct customer *table = malloc(sizeof *table);
	struct own_slot *slot = table && own_want(o, customer) ? own_take(o->cache, customer, clock_ms()) : NULL;
	char key[KEY_ROOM];
	int taken = 0;

	key_of(customer, "known", key);
	for (int try = 0; slot && taken == 0 && try < TRIES; try++) {
		struct known_lesson known[OWN_BATCH];
		bool is_known[OWN_BATCH];

		if ((try > 0 && fetch(o, customer) < 0) || !known_of(o, key, l, count, known, is_known))
			break;
		memcpy(table, &slot->table, sizeof *table);
		for (size_t i = 0; i < count; i++)
			l[i].result = teach_one(o, table, &l[i], &known[i], &is_known[i]);
		taken = put(o, customer, slot->version, table, l, count, known, is_known);
	}
	if (taken == 1) {
		own_write_begin(slot);
		memcpy(&slot->table, table, sizeof *table);
		slot->version++;
		own_write_end(slot);
		announce(o, customer, slot->version);
	} else {
		for (size_t i = 0; i < count; i++)
			l[i].result = LESSON_FAILED;
		if (slot)
			own_drop(slot);      /* whether it was taken is not known: he is fetched before he speaks again */
	}
	free(table);
}

void
own_follow(struct own *o)
{
	char from[LEDGER_ID + 1];

	if (o->seen[0] == '\0') {            /* the cache is empty at a start: only what comes now matters */
		snprintf(o->seen, sizeof o->seen, "%lld-0", (long long)wall_ms() - 5000);
	}
	snprintf(from, sizeof from, "(%s", o->seen);
	redisReply *reply = redis_say(o->pool, 6, (const char *const[]){ "XRANGE", "{model:global}:own", from, "+", "COUNT", "500" });

	for (size_t i = 0; reply && reply->type == REDIS_REPLY_ARRAY && i < reply->elements; i++) {
		const redisReply *entry = reply->element[i], *f = entry->element[1];
		uint32_t sequence;
		uint64_t version = 0;

		snprintf(o->seen, sizeof o->seen, "%s", entry->element[0]->str);
		if (f->elements < 4)
			continue;
		const struct own_slot *here = own_find(o->cache, f->element[1]->str, &sequence);

		span_u64(span_make(f->element[3]->str, f->element[3]->len), &version);
		nothing_of(o, f->element[1]->str)->until_ms = 0;
		if (here && here->version < version)
			fetch(o, f->element[1]->str);
	}
	if (reply)
		freeReplyObject(reply);
}
