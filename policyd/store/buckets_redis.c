/* buckets_redis.c - the buckets in Redis: the script that takes, who else counts there, who was over, and what operators ask. */
#include <hiredis/hiredis.h>
#include <math.h>
#include <openssl/sha.h>
#include <stdio.h>
#include <stdlib.h>

#include "policyd/base/clock.h"
#include "policyd/base/log.h"
#include "policyd/base/metrics.h"
#include "policyd/store/buckets_script.h"
#include "policyd/store/buckets_table.h"
#include "policyd/store/redis_async.h"

enum { KEY_ROOM = 64, ARGS = 24, NUMBER_ROOM = 32, HEARTBEAT_MS = 2000, OVER_KEPT = 1000, OVER_EVERY_MS = 1000, LIST_MS = 1000 };
static const char letters[BUCKET__KINDS] = { [BUCKET_ACCOUNT] = 'a', [BUCKET_DOMAIN] = 'd', [BUCKET_CUSTOMER] = 'c',
    [BUCKET_MAILBOX] = 'm', [BUCKET_NETWORK] = 'n', [BUCKET_TRICKLE] = 't' };

void
buckets_key(char key[KEY_ROOM], enum bucket_kind kind, const char *id, const char *tail)
{
	uint8_t digest[SHA256_DIGEST_LENGTH];
	int n = snprintf(key, KEY_ROOM, "{l:%c", letters[kind]);

	SHA256((const unsigned char *)id, strlen(id), digest);
	for (int i = 0; i < 16; i++)
		n += snprintf(key + n, (size_t)(KEY_ROOM - n), "%02x", digest[i]);
	snprintf(key + n, (size_t)(KEY_ROOM - n), "}%s", tail);
}

void
buckets_script_hash(char sha[41])
{
	uint8_t digest[SHA_DIGEST_LENGTH];

	SHA1((const unsigned char *)script_take, sizeof script_take - 1, digest);
	for (int i = 0; i < SHA_DIGEST_LENGTH; i++)
		snprintf(sha + 2 * i, 3, "%02x", digest[i]);
}

/* ---- taking ---- */

struct question {                            /* in flight; its words are kept for a Redis that does not know the script yet */
	struct buckets *buckets;
	take_done done;
	void *arg;
	bool whole;                          /* sent with the script itself */
	char keys[2][KEY_ROOM], args[ARGS][NUMBER_ROOM], id[BUCKET_ID_ROOM];
};

static void question_send(struct question *q);

static void
question_answered(void *arg, const redisReply *reply)
{
	static int64_t complained;
	struct question *q = arg;
	struct take t = { 0 };
	bool good = false;

	if (reply && reply->type == REDIS_REPLY_ERROR && strncmp(reply->str, "NOSCRIPT", 8) == 0 && !q->whole) {
		q->whole = true;
		question_send(q);
		return;
	}
	if (reply && reply->type == REDIS_REPLY_ERROR)
		log_seldom(&complained, 30, "limits: Redis says %s; counted on this node alone", reply->str);
	if (reply && reply->type == REDIS_REPLY_ARRAY && reply->elements >= 3) {
		struct redisReply *const *at = reply->element;

		t.taken = at[0]->integer == 1;
		if (t.taken && reply->elements == 11) {
			good = true;
			t.warmth = at[1]->str ? strtod(at[1]->str, NULL) : 1;
			t.fresh = at[2]->integer == 1;
			for (int m = 0; m < MEASURE__COUNT; m++) {
				t.left[m] = at[3 + m]->str ? strtod(at[3 + m]->str, NULL) : 0;
				t.ahead[m] = (double)at[7 + m]->integer;
			}
		} else if (!t.taken && at[1]->integer >= 1 && at[1]->integer <= MEASURE__COUNT) {
			good = true;
			t.measure = (enum measure)(at[1]->integer - 1);
			t.wait_ms = at[2]->integer;
		}
	}
	if (q->done)
		q->done(q->arg, good ? &t : NULL);
	free(q);
}

static void
question_send(struct question *q)
{
	const char *argv[5 + ARGS] = { q->whole ? "EVAL" : "EVALSHA", q->whole ? script_take : q->buckets->sha, "2", q->keys[0], q->keys[1] };
	size_t lengths[5 + ARGS];

	for (int i = 0; i < ARGS; i++)
		argv[5 + i] = i == 6 ? q->id : q->args[i];
	for (int i = 0; i < 5 + ARGS; i++)
		lengths[i] = strlen(argv[i]);
	redis_async_command(q->buckets->redis, 0, question_answered, q, 5 + ARGS, argv, lengths);
}

static void
number(char to[NUMBER_ROOM], double value)
{
	snprintf(to, NUMBER_ROOM, "%.17g", value);
}

bool
buckets_ask_redis(struct buckets *b, const struct entry *e, const double cost[MEASURE__COUNT], uint64_t recipient, uint32_t ahead,
    bool forced, take_done done, void *arg)
{
	struct question *q = calloc(1, sizeof *q);

	if (q == NULL)
		return false;
	*q = (struct question){ .buckets = b, .done = done, .arg = arg };
	buckets_key(q->keys[0], e->kind, e->id, "");
	buckets_key(q->keys[1], e->kind, e->id, "r");
	snprintf(q->id, sizeof q->id, "%s", e->id);
	number(q->args[0], forced);
	number(q->args[1], e->warmup_days * 86400e3);
	number(q->args[2], e->created_day * 86400e3);
	number(q->args[3], (double)b->since_ms);
	number(q->args[4], b->nodes);
	if (recipient)
		snprintf(q->args[5], NUMBER_ROOM, "%016llx", (unsigned long long)recipient);
	for (int m = 0; m < MEASURE__COUNT; m++) {
		const struct limit *l = &e->limits[m];
		bool on = limit_on(l);

		number(q->args[7 + 4 * m], on ? l->burst : 0);
		number(q->args[8 + 4 * m], on ? bucket_per_ms(l, 1, 1) : 1);
		number(q->args[9 + 4 * m], on ? cost[m] : 0);
		/* Distinct recipients are not taken ahead: who is distinct is Redis' to say. */
		number(q->args[10 + 4 * m], m == MEASURE_DISTINCT ? 0 : ceil(ahead * fmax(1, cost[m])));
	}
	number(q->args[23], limit_on(&e->limits[MEASURE_DISTINCT]) ? e->limits[MEASURE_DISTINCT].per_s * 1000.0 : 1);
	question_send(q);
	return true;
}

/* ---- the pool ---- */

/* KEYS {l:nodes}  ARGV this node -> how many were here in the last ten seconds, and when the first ever was (ms) */
static const char script_here[] =
	"local t = redis.call('TIME')\n"
	"redis.call('ZADD', KEYS[1], t[1], ARGV[1])\n"
	"redis.call('ZADD', KEYS[1], 'NX', t[1] + 4102444800, 'since')\n"
	"redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', t[1] - 10)\n"
	"return {redis.call('ZCARD', KEYS[1]) - 1, redis.call('ZSCORE', KEYS[1], 'since')}\n";

static void
here(void *arg, const redisReply *reply)
{
	struct buckets *b = arg;

	if (reply == NULL || reply->type != REDIS_REPLY_ARRAY || reply->elements != 2 || reply->element[1]->str == NULL)
		return;
	/* After a failover the others may not have been heard yet: fewer is believed only of a pool that has settled. */
	int64_t now = clock_ms();
	int nodes = reply->element[0]->integer < 1 ? 1 : (int)reply->element[0]->integer;

	if (nodes >= b->nodes || now - b->fewer_ms > 5 * HEARTBEAT_MS) {
		b->nodes = nodes;
		b->fewer_ms = now;
	}
	b->since_ms = (int64_t)((strtod(reply->element[1]->str, NULL) - 4102444800.0) * 1000);
}

void
buckets_heartbeat(struct buckets *b)
{
	const char *argv[] = { "EVAL", script_here, "1", "{l:nodes}", b->node };
	size_t lengths[5];

	b->nodes_ms = clock_ms() + HEARTBEAT_MS;
	for (int i = 0; i < 5; i++)
		lengths[i] = strlen(argv[i]);
	redis_async_command(b->redis, 0, here, b, 5, argv, lengths);
}

/* For `policyctl limits list`: at most once a second for one bucket and measure. */
void
buckets_told_over(struct buckets *b, struct entry *e, enum measure measure)
{
	static const char script[] =
		"redis.call('ZADD', KEYS[1], ARGV[1], ARGV[2])\n"
		"redis.call('ZREMRANGEBYRANK', KEYS[1], 0, -1 - tonumber(ARGV[3]))\n"
		"redis.call('EXPIRE', KEYS[1], 604800)\n"
		"return 1\n";
	char name[BUCKET_ID_ROOM + 48], when[24], kept[12];
	const char *argv[] = { "EVAL", script, "1", "{l:over}", when, name, kept };
	size_t lengths[7];
	int64_t now = clock_ms();

	if (now - e->told_ms[measure] < OVER_EVERY_MS)
		return;
	e->told_ms[measure] = now;
	snprintf(name, sizeof name, "%s %s %s", bucket_kind_names[e->kind], measure_names[measure], e->id);
	snprintf(when, sizeof when, "%lld", (long long)wall_ms());
	snprintf(kept, sizeof kept, "%d", OVER_KEPT);
	for (int i = 0; i < 7; i++)
		lengths[i] = strlen(argv[i]);
	redis_async_command(b->redis, 0, NULL, NULL, 7, argv, lengths);
}

/* ---- what operators ask ---- */

struct looking {
	buckets_reply done;
	void *arg;
};

static void
looking_end(struct looking *l, json_t *reply)
{
	l->done(l->arg, reply ? reply : json_pack("{s:s, s:i}", "error", "Redis gave no answer: what is left of limits is in it", "exit", 1));
	free(l);
}

static void
got_over(void *arg, const redisReply *reply)
{
	json_t *list = json_array();

	for (size_t i = 0; reply && reply->type == REDIS_REPLY_ARRAY && i + 1 < reply->elements; i += 2) {
		struct span rest = span_make(reply->element[i]->str, reply->element[i]->len);
		struct span kind = span_cut(&rest, ' '), measure = span_cut(&rest, ' ');

		json_array_append_new(list, json_pack("{s:s%, s:s%, s:s%, s:f}", "kind", kind.p, kind.n, "measure", measure.p, measure.n,
		    "id", rest.p ? rest.p : "", rest.n, "time_ms", strtod(reply->element[i + 1]->str, NULL)));
	}
	if (reply && reply->type == REDIS_REPLY_ARRAY)
		looking_end(arg, json_pack("{s:o}", "over", list));
	else
		json_decref(list), looking_end(arg, NULL);
}

static void
got_bucket(void *arg, const redisReply *reply)
{
	static const char *const names[] = { "id", "t", "born", "m", "r", "d", "b" };
	static const char *const words[] = { "id", "time_ms", "born_ms", "messages", "recipients", "distinct", "bytes_kib" };
	json_t *one;

	if (reply == NULL || reply->type != REDIS_REPLY_ARRAY) {
		looking_end(arg, NULL);
		return;
	}
	one = json_pack("{s:b}", "known", reply->elements > 0);
	for (size_t i = 0; i + 1 < reply->elements; i += 2)
		for (size_t k = 0; k < sizeof names / sizeof *names; k++)
			if (strcmp(reply->element[i]->str, names[k]) == 0)
				json_object_set_new(one, words[k], k ? json_real(strtod(reply->element[i + 1]->str, NULL)) :
				    json_stringn(reply->element[i + 1]->str, reply->element[i + 1]->len));
	looking_end(arg, one);
}

static void
got_deleted(void *arg, const redisReply *reply)
{
	looking_end(arg, reply && reply->type == REDIS_REPLY_INTEGER ? json_pack("{s:b}", "known", reply->integer > 0) : NULL);
}

static void
say(struct buckets *b, redis_callback done, void *arg, int argc, const char *const *argv)
{
	size_t lengths[8];

	for (int i = 0; i < argc; i++)
		lengths[i] = strlen(argv[i]);
	redis_async_command(b->redis, LIST_MS, done, arg, argc, argv, lengths);
}

/* What this node holds ahead or owes of it goes with the bucket. */
static void
forget_here(struct buckets *b, enum bucket_kind kind, const char *id)
{
	for (struct entry *e = b->first; e; e = e->next)
		if (e->kind == kind && strcmp(e->id, id) == 0) {
			memset(e->ahead, 0, sizeof e->ahead);
			memset(e->owed, 0, sizeof e->owed);
			memset(e->known, 0, sizeof e->known);
			e->is_alone = false;
		}
	memset(b->recent, 0, RECENT * sizeof *b->recent);
}

void
buckets_request(struct buckets *b, const json_t *request, buckets_reply done, void *arg)
{
	const char *cmd = json_string_value(json_object_get(request, "cmd")), *id = json_string_value(json_object_get(request, "id"));
	const char *name = json_string_value(json_object_get(request, "kind"));
	struct looking *l = calloc(1, sizeof *l);
	char keys[2][KEY_ROOM];
	int kind = 0;

	if (l == NULL) {
		done(arg, json_pack("{s:s, s:i}", "error", "no memory", "exit", 1));
		return;
	}
	*l = (struct looking){ done, arg };
	if (strcmp(cmd, "limits.list") == 0) {
		say(b, got_over, l, 5, (const char *const[]){ "ZREVRANGE", "{l:over}", "0", "-1", "WITHSCORES" });
		return;
	}
	while (kind < BUCKET__KINDS && (name == NULL || strcmp(name, bucket_kind_names[kind]) != 0))
		kind++;
	if (kind == BUCKET__KINDS || id == NULL || id[0] == '\0' || strlen(id) >= BUCKET_ID_ROOM) {
		free(l);
		done(arg, json_pack("{s:s, s:i}", "error", "expected account, domain, customer, mailbox or network, and which one", "exit", 2));
		return;
	}
	buckets_key(keys[0], (enum bucket_kind)kind, id, "");
	buckets_key(keys[1], (enum bucket_kind)kind, id, "r");
	if (strcmp(cmd, "limits.reset") == 0) {
		forget_here(b, (enum bucket_kind)kind, id);
		say(b, got_deleted, l, 3, (const char *const[]){ "DEL", keys[0], keys[1] });
	} else {
		say(b, got_bucket, l, 2, (const char *const[]){ "HGETALL", keys[0] });
	}
}
