#include "policyd/store/reputations.h"

#include <event2/event.h>
#include <hiredis/hiredis.h>
#include <openssl/hmac.h>
#include <openssl/rand.h>
#include <stdio.h>
#include <stdlib.h>

#include "policyd/base/clock.h"
#include "policyd/store/redis_async.h"

enum { MAC_KEY = 32, KEY_ROOM = 320, KEY_TICK_S = 5, REPLY_MAILBOXES = 8 };

struct reputations {
	struct redis_async *redis;
	struct event *tick;
	bool has_key;
	uint8_t key[MAC_KEY];
};

/* ---- keys ---- */

static void
key_known(void *arg, const redisReply *reply)
{
	struct reputations *r = arg;

	if (reply == NULL || reply->type != REDIS_REPLY_STRING || reply->len != MAC_KEY)
		return;
	memcpy(r->key, reply->str, MAC_KEY);
	r->has_key = true;
}

/* Whoever is first makes it; asked again now and then, for a Redis that has been emptied has another one. */
static void
on_tick(evutil_socket_t fd, short what, void *arg)
{
	struct reputations *r = arg;
	uint8_t fresh[MAC_KEY];
	const char *set[] = { "SET", "{rep:key}", (const char *)fresh, "NX" }, *get[] = { "GET", "{rep:key}" };
	const size_t set_n[] = { 3, 9, MAC_KEY, 2 }, get_n[] = { 3, 9 };
	struct timeval next = { KEY_TICK_S, 0 };

	(void)fd;
	(void)what;
	if (redis_async_up(r->redis) && RAND_bytes(fresh, sizeof fresh) == 1) {
		redis_async_command(r->redis, 0, NULL, NULL, 4, set, set_n);
		redis_async_command(r->redis, 0, key_known, r, 2, get, get_n);
	} else {
		next = (struct timeval){ 0, 100 * 1000 };
	}
	event_add(r->tick, &next);
}

/* "{rep:KIND:MAC}" over three parts, each behind its length. */
static void
mac_key(const struct reputations *r, const char *kind, const char *a, const char *b, struct span c, char to[KEY_ROOM])
{
	struct span parts[] = { span_of(a), span_of(b), c };
	uint8_t text[3 * (MAX_ADDRESS + 8)], mac[EVP_MAX_MD_SIZE] = { 0 };
	size_t n = 0, at = (size_t)snprintf(to, KEY_ROOM, "{rep:%s:", kind);

	for (int i = 0; i < 3; i++) {
		struct span part = span_head(parts[i], MAX_ADDRESS);

		text[n++] = (uint8_t)(part.n >> 8);
		text[n++] = (uint8_t)part.n;
		memcpy(text + n, part.p ? part.p : "", part.n);
		n += part.n;
	}
	HMAC(EVP_sha256(), r->key, MAC_KEY, text, n, mac, NULL);
	for (int i = 0; i < 16; i++)
		at += (size_t)snprintf(to + at, KEY_ROOM - at, "%02x", mac[i]);
	snprintf(to + at, KEY_ROOM - at, "}");
}

static void
name_key(enum reputation_kind kind, const char *name, char to[KEY_ROOM])
{
	snprintf(to, KEY_ROOM, "{rep:%s:%.255s}", reputation_kind_names[kind], name);
}

static void
command(struct reputations *r, redis_callback done, void *arg, int argc, const char *const *argv)
{
	size_t lengths[16];

	for (int i = 0; i < argc; i++)
		lengths[i] = strlen(argv[i]);
	redis_async_command(r->redis, 0, done, arg, argc, argv, lengths);
}

/* ---- finding ---- */

struct asked {                               /* one key */
	struct reputations_wait *wait;
	enum { ASKED_NAME, ASKED_PAIR, ASKED_REPLY } what;
	uint32_t at;
};

struct reputations_wait {
	struct reputations *reputations;
	struct reputations_question *q;      /* NULL: nobody waits any more */
	int64_t now_s;
	int open;
	bool failed, starting;
	reputations_callback done;
	void *arg;
	uint32_t asked_count;
	struct asked asked[];
};

static double
number(const redisReply *r)
{
	return r->type == REDIS_REPLY_STRING ? strtod(r->str, NULL) : 0;
}

static void
take(struct reputations_wait *w, const struct asked *a, const redisReply *reply)
{
	if (a->what == ASKED_REPLY) {
		w->q->mailboxes[a->at].known.reply |= reply->type == REDIS_REPLY_INTEGER && reply->integer == 1;
	} else if (reply->type != REDIS_REPLY_ARRAY || reply->elements < 2) {
		w->failed = true;
	} else if (a->what == ASKED_PAIR) {
		w->q->mailboxes[a->at].known.written = (uint32_t)number(reply->element[0]);
		w->q->mailboxes[a->at].known.heard = (uint32_t)number(reply->element[1]);
	} else if (reply->elements == 3) {
		struct reputation value = { number(reply->element[0]), number(reply->element[1]), (int64_t)number(reply->element[2]) };

		reputation_decay(&value, w->now_s);
		w->q->names[a->at].value = value;
	}
}

static void
key_answered(void *arg, const redisReply *reply)
{
	struct asked *a = arg;
	struct reputations_wait *w = a->wait;

	if (reply == NULL || reply->type == REDIS_REPLY_ERROR)
		w->failed = true;
	else if (w->q)
		take(w, a, reply);
	if (--w->open > 0 || w->starting)
		return;
	if (w->q)
		w->done(w->arg, !w->failed);
	free(w);
}

static struct asked *
next_asked(struct reputations_wait *w, int what, uint32_t at)
{
	struct asked *a = &w->asked[w->asked_count++];

	*a = (struct asked){ .wait = w, .at = at };
	a->what = what;
	w->open++;
	return a;
}

static void
ask_names(struct reputations_wait *w)
{
	char key[KEY_ROOM];

	for (uint32_t i = 0; i < w->q->name_count; i++) {
		const char *argv[] = { "HMGET", key, "good", "bad", "last" };

		name_key(w->q->names[i].kind, w->q->names[i].name, key);
		command(w->reputations, key_answered, next_asked(w, ASKED_NAME, i), 5, argv);
	}
}

static void
ask_known(struct reputations_wait *w)
{
	const struct reputations_question *q = w->q;
	char key[KEY_ROOM];

	for (uint32_t i = 0; i < q->mailbox_count; i++) {
		const char *argv[] = { "HMGET", key, "written", "heard" };

		mac_key(w->reputations, "pair", q->mailboxes[i].mailbox, q->author, SPAN(""), key);
		command(w->reputations, key_answered, next_asked(w, ASKED_PAIR, i), 4, argv);
		for (uint32_t k = 0; i < REPLY_MAILBOXES && k < q->reference_count; k++) {
			const char *exists[] = { "EXISTS", key };

			mac_key(w->reputations, "reply", q->mailboxes[i].mailbox, q->author, span_of(q->references[k]), key);
			command(w->reputations, key_answered, next_asked(w, ASKED_REPLY, i), 2, exists);
		}
	}
}

struct reputations_wait *
reputations_find(struct reputations *r, struct reputations_question *q, reputations_callback done, void *arg)
{
	size_t most = REPUTATION_NAMES + REPUTATION_MAILBOXES + REPLY_MAILBOXES * REPUTATION_REFERENCES;
	struct reputations_wait *w = redis_async_up(r->redis) ? calloc(1, sizeof *w + most * sizeof *w->asked) : NULL;

	if (w == NULL) {
		done(arg, false);
		return NULL;
	}
	*w = (struct reputations_wait){ .reputations = r, .q = q, .now_s = wall_s(), .open = 1, .starting = true, .done = done, .arg = arg };
	ask_names(w);
	if (q->author[0] && r->has_key)
		ask_known(w);
	w->starting = false;
	if (--w->open > 0)
		return w;
	done(arg, !w->failed);
	free(w);
	return NULL;
}

void
reputations_cancel(struct reputations_wait *w)
{
	w->q = NULL;                         /* it goes with its last answer */
}

/* ---- counting ---- */

static const char count_script[] =
	"local h = redis.call('HMGET', KEYS[1], 'good', 'bad', 'last')\n"
	"local now, half = tonumber(ARGV[1]), tonumber(ARGV[2])\n"
	"local f = h[3] and now > tonumber(h[3]) and 0.5 ^ ((now - tonumber(h[3])) / half) or 1\n"
	"redis.call('HSET', KEYS[1], 'good', string.format('%.6f', tonumber(h[1] or 0) * f + ARGV[3]), 'bad',\n"
	"  string.format('%.6f', tonumber(h[2] or 0) * f + ARGV[4]), 'last', ARGV[1])\n"
	"redis.call('EXPIRE', KEYS[1], ARGV[5])\n"
	"return 1\n";

void
reputations_count(struct reputations *r, enum reputation_kind kind, const char *name, bool bad)
{
	char key[KEY_ROOM], now[24], half[24], ttl[24];
	const char *argv[] = { "EVAL", count_script, "1", key, now, half, bad ? "0" : "1", bad ? "1" : "0", ttl };

	if (name[0] == '\0')
		return;
	name_key(kind, name, key);
	snprintf(now, sizeof now, "%lld", (long long)wall_s());
	snprintf(half, sizeof half, "%.0f", REPUTATION_HALF_S);
	snprintf(ttl, sizeof ttl, "%d", REPUTATION_TTL_S);
	command(r, NULL, NULL, 9, argv);
}

static void
pair_count(struct reputations *r, const char *mailbox, const char *other, const char *field)
{
	char key[KEY_ROOM], ttl[24];
	const char *count[] = { "HINCRBY", key, field, "1" }, *expire[] = { "EXPIRE", key, ttl };

	mac_key(r, "pair", mailbox, other, SPAN(""), key);
	snprintf(ttl, sizeof ttl, "%d", REPUTATION_TTL_S);
	command(r, NULL, NULL, 4, count);
	command(r, NULL, NULL, 3, expire);
}

void
reputations_heard(struct reputations *r, const char *author, const char *mailbox)
{
	if (r->has_key)
		pair_count(r, mailbox, author, "heard");
}

void
reputations_written(struct reputations *r, const char *mailbox, const char *to, struct span message_id)
{
	char key[KEY_ROOM], ttl[24];
	const char *set[] = { "SET", key, "1", "EX", ttl };

	if (!r->has_key)
		return;
	pair_count(r, mailbox, to, "written");
	if (message_id.n == 0 || message_id.n > 250)
		return;
	mac_key(r, "reply", mailbox, to, message_id, key);
	snprintf(ttl, sizeof ttl, "%d", REPLY_TTL_S);
	command(r, NULL, NULL, 5, set);
}

/* ---- policyctl ---- */

struct request {
	void (*done)(void *arg, json_t *reply);
	void *arg;
	bool reset;
	int kind_number;                     /* -1: a pair */
};

static void
shown(void *arg, const redisReply *reply)
{
	struct request *q = arg;
	json_t *out;

	if (reply == NULL || reply->type == REDIS_REPLY_ERROR) {
		out = json_pack("{s:s, s:i}", "error", "Redis gave no answer", "exit", 1);
	} else if (q->reset) {
		out = json_pack("{s:b}", "reset", reply->type == REDIS_REPLY_INTEGER && reply->integer > 0);
	} else if (q->kind_number < 0) {
		struct known known = { .written = (uint32_t)number(reply->element[0]), .heard = (uint32_t)number(reply->element[1]) };

		out = json_pack("{s:i, s:i, s:f}", "written", (int)known.written, "heard", (int)known.heard, "points", known_points(&known));
	} else {
		struct reputation value = { number(reply->element[0]), number(reply->element[1]), (int64_t)number(reply->element[2]) };

		reputation_decay(&value, wall_s());
		out = json_pack("{s:f, s:f, s:f}", "good", value.good, "bad", value.bad, "points",
		    reputation_points(&value, (enum reputation_kind)q->kind_number));
	}
	q->done(q->arg, out);
	free(q);
}

void
reputations_request(struct reputations *r, const json_t *json, void (*done)(void *arg, json_t *reply), void *arg)
{
	const char *cmd = json_string_value(json_object_get(json, "cmd")), *kind = json_string_value(json_object_get(json, "kind")),
	    *name = json_string_value(json_object_get(json, "name")), *rcpt = json_string_value(json_object_get(json, "rcpt"));
	struct request *q = calloc(1, sizeof *q);
	char key[KEY_ROOM];
	bool pair = kind && strcmp(kind, "pair") == 0;
	int i = 0;

	while (kind && i < REPUTATION__COUNT && strcmp(kind, reputation_kind_names[i]) != 0)
		i++;
	if (q == NULL || cmd == NULL || name == NULL || (pair ? rcpt == NULL || !r->has_key : kind == NULL || i == REPUTATION__COUNT)) {
		free(q);
		done(arg, json_pack("{s:s, s:i}", "error", "reputation: expected net, dkim or sender and a name, or pair, an author and a recipient", "exit", 2));
		return;
	}
	*q = (struct request){ .done = done, .arg = arg, .reset = strcmp(cmd, "reputation.reset") == 0, .kind_number = pair ? -1 : i };
	if (pair)
		mac_key(r, "pair", rcpt, name, SPAN(""), key);
	else
		name_key((enum reputation_kind)i, name, key);
	const char *del[] = { "DEL", key }, *names[] = { "HMGET", key, "good", "bad", "last" }, *known[] = { "HMGET", key, "written", "heard" };

	command(r, shown, q, q->reset ? 2 : pair ? 4 : 5, q->reset ? del : pair ? known : names);
}

struct reputations *
reputations_open(struct event_base *base, struct redis_async *redis)
{
	struct reputations *r = calloc(1, sizeof *r);
	struct timeval soon = { 0, 10 * 1000 };

	if (r == NULL)
		return NULL;
	r->redis = redis;
	r->tick = event_new(base, -1, 0, on_tick, r);
	if (r->tick == NULL || event_add(r->tick, &soon) < 0) {
		free(r);
		return NULL;
	}
	return r;
}

void
reputations_close(struct reputations *r)
{
	event_free(r->tick);
	free(r);
}
