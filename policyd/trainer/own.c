#include "policyd/trainer/own.h"

#include <stdio.h>
#include <stdlib.h>

#include "policyd/base/clock.h"
#include "policyd/base/metrics.h"

enum { DIGEST = 16, MAILBOX = 16, FIELD = MAILBOX + DIGEST, TRIES = 5, CHANGES_KEPT = 10000, KEY_ROOM = 128 };

/* In Redis: one per lesson. Host byte order; nodes of one pool are of one kind. */
struct known_lesson {
	uint8_t spam, trained;
	uint16_t bin[LEARNERS];
	float g_a;
};

/* KEYS table, known; ARGV expected version, new version, table, n, fields of version and table, n x field of a lesson, n x known
 * ("" takes it out). */
static const char put_script[] =
	"if (redis.call('HGET', KEYS[1], ARGV[5]) or '0') ~= ARGV[1] then return 0 end\n"
	"redis.call('HSET', KEYS[1], ARGV[5], ARGV[2], ARGV[6], ARGV[3])\n"
	"local n = tonumber(ARGV[4])\n"
	"for i = 1, n do\n"
	"  if ARGV[6 + n + i] == '' then redis.call('HDEL', KEYS[2], ARGV[6 + i])\n"
	"  else redis.call('HSET', KEYS[2], ARGV[6 + i], ARGV[6 + n + i]) end\n"
	"end\n"
	"return 1\n";

/* Where the table of a name lies in Redis: "acme" or "acme/0123456789abcdef". */
struct place {
	char table[KEY_ROOM], known[KEY_ROOM];       /* keys */
	char version[MAILBOX + 4], bytes[MAILBOX + 4];       /* fields of the first */
	const char *mailbox;                 /* in hex, or empty */
};

static void
place_of(const char *name, struct place *p)
{
	size_t n = strcspn(name, "/");

	snprintf(p->table, sizeof p->table, "{model:c:%.*s}:table", (int)n, name);
	snprintf(p->known, sizeof p->known, "{model:c:%.*s}:known", (int)n, name);
	snprintf(p->version, sizeof p->version, "v%.17s", name + n);
	snprintf(p->bytes, sizeof p->bytes, "t%.17s", name + n);
	p->mailbox = name[n] ? name + n + 1 : "";
}

static struct own_nothing *
nothing_of(struct own *o, const char *name)
{
	return &o->nothing[span_hash(span_of(name), 13) % OWN_NOTHING];
}

/* 1 the table is in the cache, 0 there is none, -1 no answer. */
static int
fetch(struct own *o, const char *name)
{
	struct customer *table = malloc(sizeof *table);
	struct place at;
	uint64_t version = 0;

	place_of(name, &at);
	redisReply *reply = table ? redis_say(o->redis, 4, (const char *const[]){ "HMGET", at.table, at.version, at.bytes }) : NULL;
	int result = reply && reply->type == REDIS_REPLY_ARRAY && reply->elements == 2 ? 0 : -1;

	metrics_add(M_CUSTOMERS_FETCHED, 1);
	if (result == 0 && reply->element[0]->type == REDIS_REPLY_STRING && reply->element[1]->type == REDIS_REPLY_STRING) {
		span_u64(span_make(reply->element[0]->str, reply->element[0]->len), &version);
		if (customer_unpack(span_make(reply->element[1]->str, reply->element[1]->len), table)) {
			struct own_slot *slot = own_take(o->cache, name, clock_ms());

			own_write_begin(slot);
			memcpy(&slot->table, table, sizeof *table);
			slot->version = version;
			own_write_end(slot);
			result = 1;
		}
	}
	uint32_t sequence;

	if (result == 0 && own_find(o->cache, name, &sequence)) {    /* there was one, and he has left (broker/deprovision.c) */
		struct own_slot *slot = own_take(o->cache, name, clock_ms());

		own_write_begin(slot);
		memset(&slot->table, 0, sizeof slot->table);
		slot->version = 0;
		own_write_end(slot);
	}
	if (result == 0)
		*nothing_of(o, name) = (struct own_nothing){ span_hash(span_of(name), 17), clock_ms() + OWN_NOTHING_MS };
	if (reply)
		freeReplyObject(reply);
	free(table);
	return result;
}

bool
own_want(struct own *o, const char *name)
{
	const struct own_nothing *n = nothing_of(o, name);
	uint32_t sequence;

	if (own_find(o->cache, name, &sequence)) {
		own_take(o->cache, name, clock_ms());  /* wanted now */
		return true;
	}
	if (n->name == span_hash(span_of(name), 17) && n->until_ms > clock_ms())
		return true;
	return fetch(o, name) >= 0;
}

/* The lesson's field in "known": the mailbox, if any, and half the digest; its length. */
static size_t
field_of(const struct place *at, const char *hex, char out[FIELD])
{
	size_t n = strlen(at->mailbox);

	memcpy(out, at->mailbox, n);
	for (int i = 0; i < DIGEST; i++) {
		unsigned byte = 0;

		sscanf(hex + 2 * i, "%2x", &byte);
		out[n + (size_t)i] = (char)byte;
	}
	return n + DIGEST;
}

/* What is known of each digest. */
static bool
known_of(struct own *o, const struct place *at, struct own_lesson *l, size_t count, struct known_lesson *known, bool *is_known)
{
	const char *argv[2 + OWN_BATCH] = { "HMGET", at->known };
	size_t lengths[2 + OWN_BATCH] = { 5, strlen(at->known) };
	char fields[OWN_BATCH][FIELD];

	for (size_t i = 0; i < count; i++) {
		argv[2 + i] = fields[i];
		lengths[2 + i] = field_of(at, l[i].lesson->digest, fields[i]);
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

/* Applies one lesson to table `c`, which may stand on his customer's (`below`); `k` becomes what is to be known of it, is_known
 * whether anything is. */
static enum lesson_result
teach_one(struct own *o, const struct customer *below, struct customer *c, const struct own_lesson *l, struct known_lesson *k, bool *is_known)
{
	struct own_tables own = { { [OWN_CUSTOMER] = below, [OWN_MAILBOX] = c } };
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
	learners_plan(o->table, &own, l->features, label, &effect);
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
put(struct own *o, const struct place *at, uint64_t version, const struct customer *table, struct own_lesson *l, size_t count,
    const struct known_lesson *known, const bool *is_known)
{
	enum { HEAD = 11, TABLE_AT = 7 };
	const char *argv[HEAD + 2 * OWN_BATCH];
	size_t lengths[HEAD + 2 * OWN_BATCH];
	char was[24], now[24], n[8], fields[OWN_BATCH][FIELD];
	struct buf packed = { 0 };
	int argc = 0, result = -1;

	snprintf(was, sizeof was, "%llu", (unsigned long long)version);
	snprintf(now, sizeof now, "%llu", (unsigned long long)version + 1);
	snprintf(n, sizeof n, "%zu", count);
	customer_pack(&packed, table);
	const char *const head[HEAD] = { "EVAL", put_script, "2", at->table, at->known, was, now, packed.p, n, at->version, at->bytes };

	for (; argc < HEAD && !packed.failed; argc++) {
		argv[argc] = head[argc];
		lengths[argc] = argc == TABLE_AT ? packed.n : strlen(head[argc]);
	}
	for (size_t i = 0; i < count; i++, argc++) {
		argv[argc] = fields[i];
		lengths[argc] = field_of(at, l[i].lesson->digest, fields[i]);
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
announce(struct own *o, const char *name, uint64_t version)
{
	char v[24], kept[16];

	snprintf(v, sizeof v, "%llu", (unsigned long long)version);
	snprintf(kept, sizeof kept, "%d", CHANGES_KEPT);
	redisReply *reply = redis_say(o->pool, 10, (const char *const[]){ "XADD", "{model:global}:own", "MAXLEN", "~", kept, "*", "c", name, "v", v });

	if (reply)
		freeReplyObject(reply);
}

/* His customer's table, below a mailbox': what the lesson is planned upon. NULL: it is not at hand. */
static const struct customer *
table_below(struct own *o, const char *customer, const char *name)
{
	uint32_t sequence;
	const struct own_slot *slot = strcmp(customer, name) != 0 && own_want(o, customer) ? own_find(o->cache, customer, &sequence) : NULL;

	return slot ? &slot->table : NULL;
}

void
own_teach(struct own *o, const char *customer, const char *name, struct own_lesson *l, size_t count)
{
	struct customer *table = malloc(sizeof *table);
	struct own_slot *slot = table && own_want(o, name) ? own_take(o->cache, name, clock_ms()) : NULL;
	struct place at;
	int taken = 0;

	place_of(name, &at);
	for (int try = 0; slot && taken == 0 && try < TRIES; try++) {
		struct known_lesson known[OWN_BATCH];
		bool is_known[OWN_BATCH];

		if ((try > 0 && fetch(o, name) < 0) || !known_of(o, &at, l, count, known, is_known))
			break;
		const struct customer *below = table_below(o, customer, name);

		slot = own_take(o->cache, name, clock_ms());
		memcpy(table, &slot->table, sizeof *table);
		for (size_t i = 0; i < count; i++)
			l[i].result = teach_one(o, below, table, &l[i], &known[i], &is_known[i]);
		taken = put(o, &at, slot->version, table, l, count, known, is_known);
	}
	if (taken == 1) {
		own_write_begin(slot);
		memcpy(&slot->table, table, sizeof *table);
		slot->version++;
		own_write_end(slot);
		announce(o, name, slot->version);
	} else {
		for (size_t i = 0; i < count; i++)
			l[i].result = LESSON_FAILED;
		if (slot)
			own_drop(slot);      /* whether it was taken is not known: he is fetched before he speaks again */
	}
	free(table);
}

/* A table is announced: if an older one is here, it is fetched again; with a customer who has left (version past all) go the
 * tables of his mailboxes. */
static void
heard_of(struct own *o, const char *name, uint64_t version)
{
	size_t n = strlen(name);
	uint32_t sequence;
	const struct own_slot *here = own_find(o->cache, name, &sequence);

	nothing_of(o, name)->until_ms = 0;
	if (here && here->version < version)
		fetch(o, name);
	for (int i = 0; version == INT64_MAX && i < OWN_SLOTS; i++) {
		struct own_slot *s = &o->cache->slot[i];

		if (strncmp(s->name, name, n) == 0 && s->name[n] == '/')
			own_drop(s);
	}
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
		uint64_t version = 0;

		snprintf(o->seen, sizeof o->seen, "%s", entry->element[0]->str);
		if (f->elements < 4)
			continue;
		span_u64(span_make(f->element[3]->str, f->element[3]->len), &version);
		heard_of(o, f->element[1]->str, version);
	}
	if (reply)
		freeReplyObject(reply);
}
