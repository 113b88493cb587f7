#include "policyd/broker/outbound.h"

#include <event2/event.h>
#include <hiredis/hiredis.h>
#include <openssl/sha.h>
#include <stdio.h>
#include <stdlib.h>

#include "policyd/base/audit.h"
#include "policyd/base/clock.h"
#include "policyd/base/log.h"
#include "policyd/base/metrics.h"
#include "policyd/broker/notify.h"
#include "policyd/broker/transaction.h"
#include "policyd/limit/account.h"
#include "policyd/store/customers.h"
#include "policyd/store/redis_async.h"

enum { TICK_MS = 500, KEEP_S = 100 * 86400, MAX_WATCHED = 8192, IDLE_MS = 600 * 1000, MAX_WAITING = 512, TRIES = 4, REDIS_MS = 1000, KEY_ROOM = 64 };

struct happening {                           /* what is to be told to an account's state */
	struct happening *next;
	enum { SENT, BOUNCED, RELEASED, RIGHTFUL } kind;
	int64_t now_s;
	uint64_t network, subject;
	bool bad;
	enum outcome action;                 /* by its policy */
	uint32_t hours;
	char customer[64];
	size_t recipient_count;
	uint64_t recipients[];
};

struct watched {                             /* an account with something to be told */
	struct watched *next;
	struct outbound *outbound;
	char account[SENDER_ROOM];
	struct account_state state;
	bool known, busy;
	struct happening *first, **last;     /* to be told to it */
	struct happening *now;               /* being told: again, if another node was faster */
	size_t waiting;
	int tries;
	int64_t used_ms;
};

struct contained {
	struct contained *next;
	char account[SENDER_ROOM];
	enum outcome action;
	int64_t since_s, until_s;            /* until_s 0: until somebody releases it */
	char customer[64], why[320];
	bool written;                        /* Redis has it */
};

struct outbound {
	struct broker *broker;
	struct event *tick;
	struct audit *audit;                 /* NULL: the log has it alone */
	struct watched *watched;
	struct map by_account;
	struct contained *contained;
	char version[24];                    /* of the hash in Redis as last read */
	bool reading;
};

static void pump(struct watched *w);
static void forget_idle(struct outbound *o, int64_t now_ms);

/* ---- containment ---- */

static struct contained *
find(const struct outbound *o, const char *account)
{
	struct contained *c = o->contained;

	while (c && strcmp(c->account, account) != 0)
		c = c->next;
	return c;
}

enum outcome
outbound_contained(const struct outbound *o, const char *account)
{
	const struct contained *c = o->contained ? find(o, account) : NULL;

	return c && (c->until_s == 0 || c->until_s > wall_s()) ? c->action : OUT_DELIVER;
}

static void
write_down(struct outbound *o, const char *actor, const char *action, const char *account, const char *customer, const char *note)
{
	const struct audit_entry entry = { .time_s = wall_s(), .actor = actor, .role = "system", .from = "", .action = action, .target = account,
	    .customer = customer, .note = note };

	log_warning("outbound: %s of account %s (customer %s) by %s: %s", action, account, customer[0] ? customer : "-", actor, note);
	if (o->audit && !audit_write(o->audit, &entry, 1))
		log_error("outbound: the audit log could not be written");
}

static void
say(struct outbound *o, redis_callback done, void *arg, int argc, const char *const *argv)
{
	size_t lengths[10];

	for (int i = 0; i < argc; i++)
		lengths[i] = strlen(argv[i]);
	redis_async_command(o->broker->redis, REDIS_MS, done, arg, argc, argv, lengths);
}

static json_t *
contained_json(const struct contained *c)
{
	return json_pack("{s:s, s:s, s:I, s:I, s:s, s:s}", "account", c->account, "action", outcome_names[c->action], "since", (json_int_t)c->since_s,
	    "until", (json_int_t)c->until_s, "customer", c->customer, "why", c->why);
}

/* KEYS {o:contained} {o:contained}v  ARGV account, JSON ("": none any more) */
static const char script_put[] =
	"if ARGV[2] == '' then redis.call('HDEL', KEYS[1], ARGV[1]) else redis.call('HSET', KEYS[1], ARGV[1], ARGV[2]) end\n"
	"return redis.call('INCR', KEYS[2])\n";

struct putting {
	struct outbound *outbound;
	char account[SENDER_ROOM];
};

/* A command may be lost with its connection: a containment is then written again; what was lifted, as it runs out or is released. */
static void
have_put(void *arg, const redisReply *reply)
{
	struct putting *p = arg;

	if (reply == NULL || reply->type == REDIS_REPLY_ERROR) {
		struct contained *c = find(p->outbound, p->account);

		log_error("outbound: account %s: Redis has not taken that it is %s", p->account, c ? "contained; it is told again" :
		    "released; if it is in policyctl outbound list again, release it again");
		if (c)
			c->written = false;
	}
	free(p);
}

static void
put(struct outbound *o, const char *account, const struct contained *c)
{
	json_t *json = c ? contained_json(c) : NULL;
	char *text = json ? json_dumps(json, JSON_COMPACT) : NULL;
	struct putting *p = calloc(1, sizeof *p);

	if (p) {
		p->outbound = o;
		snprintf(p->account, sizeof p->account, "%s", account);
	}
	say(o, p ? have_put : NULL, p, 7, (const char *const[]){ "EVAL", script_put, "2", "{o:contained}", "{o:contained}v", account, text ? text : "" });
	free(text);
	json_decref(json);
}

static struct contained *
add(struct outbound *o, const char *account)
{
	struct contained *c = find(o, account);

	if (c == NULL && (c = calloc(1, sizeof *c)) != NULL) {
		snprintf(c->account, sizeof c->account, "%s", account);
		c->next = o->contained;
		o->contained = c;
	}
	return c;
}

static void
drop(struct outbound *o, const char *account)
{
	for (struct contained **at = &o->contained; *at; at = &(*at)->next)
		if (strcmp((*at)->account, account) == 0) {
			struct contained *gone = *at;

			*at = gone->next;
			free(gone);
			return;
		}
}

static void
contain(struct outbound *o, const char *account, enum outcome action, uint32_t hours, const char *customer, const char *actor, const char *why)
{
	struct contained *c = add(o, account);
	int64_t now = wall_s();
	char subject[SENDER_ROOM + 80], note[400];

	if (c == NULL)
		return;
	c->action = action;
	c->since_s = now;
	c->until_s = hours ? now + (int64_t)hours * 3600 : 0;
	snprintf(c->customer, sizeof c->customer, "%s", customer);
	snprintf(c->why, sizeof c->why, "%s", why);
	c->written = redis_async_up(o->broker->redis);
	if (c->written)
		put(o, account, c);
	metrics_add(M_CONTAINED, 1);
	snprintf(note, sizeof note, "%s: %s", outcome_names[action], why);
	write_down(o, actor, "contain", account, customer, note);
	snprintf(subject, sizeof subject, "account %s is contained (%s)", account, outcome_names[action]);
	notify_people(o->broker->notify, o->broker->config, subject, contained_json(c));
}

/* ---- what all nodes know ---- */

/* KEYS as above  ARGV the version that is known -> nothing, or the version and all of it */
static const char script_read[] =
	"local v = redis.call('GET', KEYS[2]) or '0'\n"
	"if v == ARGV[1] then return {v} end\n"
	"return {v, redis.call('HGETALL', KEYS[1])}\n";

static void
take_over(struct outbound *o, const char *account, const char *text)
{
	json_t *json = json_loads(text, 0, NULL);
	const char *action = json_string_value(json_object_get(json, "action")), *why = json_string_value(json_object_get(json, "why"));
	const char *customer = json_string_value(json_object_get(json, "customer"));
	struct contained *c = json && strlen(account) < SENDER_ROOM ? add(o, account) : NULL;

	if (c) {
		c->action = OUT_QUARANTINE;
		for (int i = 0; action && i < OUT__COUNT; i++)
			if (strcmp(action, outcome_names[i]) == 0)
				c->action = (enum outcome)i;
		c->since_s = json_integer_value(json_object_get(json, "since"));
		c->until_s = json_integer_value(json_object_get(json, "until"));
		snprintf(c->why, sizeof c->why, "%s", why ? why : "");
		snprintf(c->customer, sizeof c->customer, "%s", customer ? customer : "");
		c->written = true;
	}
	json_decref(json);
}

static void
have_read(void *arg, const redisReply *reply)
{
	struct outbound *o = arg;

	o->reading = false;
	if (reply == NULL || reply->type != REDIS_REPLY_ARRAY || reply->elements < 1 || reply->element[0]->str == NULL)
		return;
	snprintf(o->version, sizeof o->version, "%s", reply->element[0]->str);
	if (reply->elements < 2)
		return;
	struct contained *mine = NULL;       /* what Redis has not heard of stays, and is written */

	while (o->contained) {
		struct contained *c = o->contained;

		o->contained = c->next;
		if (c->written) {
			free(c);
		} else {
			c->next = mine;
			mine = c;
		}
	}
	o->contained = mine;
	const redisReply *all = reply->element[1];

	for (size_t i = 0; all->type == REDIS_REPLY_ARRAY && i + 1 < all->elements; i += 2)
		take_over(o, all->element[i]->str, all->element[i + 1]->str);
}

static void
on_tick(evutil_socket_t fd, short what, void *arg)
{
	struct outbound *o = arg;
	int64_t now = wall_s(), left = 0;

	(void)fd;
	(void)what;
	for (struct contained *c = o->contained, *next; c; c = next) {
		next = c->next;
		if (!c->written && redis_async_up(o->broker->redis)) {
			c->written = true;
			put(o, c->account, c);
		}
		if (c->until_s && c->until_s <= now) {
			char account[SENDER_ROOM], customer[64];

			memcpy(account, c->account, sizeof account);
			memcpy(customer, c->customer, sizeof customer);
			drop(o, account);
			put(o, account, NULL);
			write_down(o, "policyd", "release", account, customer, "its time is over (contain_hours)");
		} else {
			left++;
		}
	}
	metrics_set(M_CONTAINED_NOW, left);
	forget_idle(o, clock_ms());
	if (!o->reading && redis_async_up(o->broker->redis)) {
		o->reading = true;
		say(o, have_read, o, 6, (const char *const[]){ "EVAL", script_read, "2", "{o:contained}", "{o:contained}v", o->version });
	}
}

/* ---- an account's state ---- */

static void
make_key(const char *account, char key[KEY_ROOM])
{
	uint8_t digest[SHA256_DIGEST_LENGTH];
	int n = snprintf(key, KEY_ROOM, "{o:");

	SHA256((const unsigned char *)account, strlen(account), digest);
	for (int i = 0; i < 16; i++)
		n += snprintf(key + n, (size_t)(KEY_ROOM - n), "%02x", digest[i]);
	snprintf(key + n, (size_t)(KEY_ROOM - n), "}");
}

static void
list_free(struct happening **list)
{
	while (*list) {
		struct happening *next = (*list)->next;

		free(*list);
		*list = next;
	}
}

static uint64_t
account_hash(const char *account)
{
	return span_hash(span_of(account), 0x6f757462);
}

static void
apply(struct watched *w)
{
	struct account_finding found;
	char why[320];

	for (const struct happening *h = w->now; h; h = h->next) {
		const struct account_message m = { .now_s = h->now_s, .network = h->network, .subject = h->subject, .recipients = h->recipients,
		    .recipient_count = h->recipient_count, .bad = h->bad };

		found = (struct account_finding){ 0 };
		if (h->kind == SENT)
			account_sent(&w->state, &m, &found);
		else if (h->kind == BOUNCED)
			account_bounced(&w->state, h->now_s, &found);
		else
			account_released(&w->state, h->kind == RIGHTFUL);
		if (!found.stolen || find(w->outbound, w->account))
			continue;
		account_explain(&found, why, sizeof why);
		contain(w->outbound, w->account, h->action, h->hours, h->customer, "policyd", why);
	}
}

/* KEYS state  ARGV writes that are known (4 bytes, "": none), the new state, seconds -> 1, or the state that is there */
static const char script_write[] =
	"local s = redis.call('GET', KEYS[1])\n"
	"if s and string.sub(s, 5, 8) ~= ARGV[1] then return s end\n"
	"redis.call('SET', KEYS[1], ARGV[2], 'EX', ARGV[3])\n"
	"return 1\n";

static bool
read_state(struct watched *w, const redisReply *reply)
{
	uint32_t version = 0;

	if (reply && reply->type == REDIS_REPLY_STRING && reply->len == sizeof w->state) {
		memcpy(&version, reply->str, sizeof version);
		if (version == ACCOUNT_VERSION) {
			memcpy(&w->state, reply->str, sizeof w->state);
			w->known = true;
			return true;
		}
	}
	return false;
}

static void write_state(struct watched *w);

static void
written(void *arg, const redisReply *reply)
{
	struct watched *w = arg;

	w->busy = false;
	if (read_state(w, reply)) {          /* another node was faster: once more, on top of what it has written */
		if (++w->tries < TRIES) {
			write_state(w);
			return;
		}
		metrics_add(M_OUTBOUND_UNSEEN, 1);
	}
	w->tries = 0;
	list_free(&w->now);
	pump(w);
}

/* What is to be told is told, judged, and written if nobody else has written since. */
static void
write_state(struct watched *w)
{
	char key[KEY_ROOM], expires[16];

	while (!w->known && w->now && w->now->kind != SENT) {        /* a bounce to somebody who never sent: he is no account */
		struct happening *next = w->now->next;

		free(w->now);
		w->now = next;
	}
	if (w->now == NULL) {
		pump(w);
		return;
	}
	bool had = w->known;
	uint32_t writes = w->state.writes;

	if (!w->known)
		account_start(&w->state, w->now->now_s);
	w->known = true;                     /* with Redis away, it is here that it goes on */
	apply(w);
	w->state.writes = writes + 1;
	make_key(w->account, key);
	snprintf(expires, sizeof expires, "%d", KEEP_S);
	const char *argv[] = { "EVAL", script_write, "1", key, (const char *)&writes, (const char *)&w->state, expires };
	const size_t lengths[] = { 4, sizeof script_write - 1, 1, strlen(key), had ? sizeof writes : 0, sizeof w->state, strlen(expires) };

	w->busy = true;
	redis_async_command(w->outbound->broker->redis, REDIS_MS, written, w, 7, argv, lengths);
}

static void
have_state(void *arg, const redisReply *reply)
{
	struct watched *w = arg;

	w->busy = false;
	if (reply && reply->type == REDIS_REPLY_NIL)
		w->known = false;
	read_state(w, reply);
	write_state(w);
}

static void
pump(struct watched *w)
{
	char key[KEY_ROOM];

	if (w->busy || w->first == NULL)
		return;
	w->now = w->first;
	w->first = NULL;
	w->last = &w->first;
	w->waiting = 0;
	w->busy = true;
	make_key(w->account, key);
	say(w->outbound, have_state, w, 2, (const char *const[]){ "GET", key });
}

static struct watched *
watched_of(struct outbound *o, const char *account)
{
	struct watched *w = map_get(&o->by_account, account_hash(account));

	if (w)
		return strcmp(w->account, account) == 0 ? w : NULL;
	if (o->by_account.count >= MAX_WATCHED || (w = calloc(1, sizeof *w)) == NULL)
		return NULL;
	w->outbound = o;
	w->last = &w->first;
	snprintf(w->account, sizeof w->account, "%s", account);
	if (!map_put(&o->by_account, account_hash(account), w)) {
		free(w);
		return NULL;
	}
	w->next = o->watched;
	o->watched = w;
	return w;
}

/* Takes `h`. */
static void
happens(struct outbound *o, const char *account, struct happening *h)
{
	struct watched *w = h ? watched_of(o, account) : NULL;

	if (w == NULL || w->waiting >= MAX_WAITING) {
		metrics_add(M_OUTBOUND_UNSEEN, 1);
		free(h);
		return;
	}
	*w->last = h;
	w->last = &h->next;
	w->waiting++;
	w->used_ms = clock_ms();
	pump(w);
}

static void
forget_idle(struct outbound *o, int64_t now_ms)
{
	for (struct watched **at = &o->watched; *at;) {
		struct watched *w = *at;

		if (w->busy || w->first || now_ms - w->used_ms < (o->by_account.count > MAX_WATCHED / 2 ? IDLE_MS / 20 : IDLE_MS)) {
			at = &w->next;
			continue;
		}
		*at = w->next;
		map_take(&o->by_account, account_hash(w->account));
		free(w);
	}
}

/* ---- what mails tell ---- */

/* "Re: Invoice 4711" and "Invoice 4712" are one subject: letters count, in lower case. */
static uint64_t
subject_hash(struct span subject)
{
	char letters[256];
	size_t n = 0;

	for (size_t i = 0; i < subject.n && n < sizeof letters; i++) {
		char c = ascii_lower(subject.p[i]);

		if ((c >= 'a' && c <= 'z') || (unsigned char)c >= 0x80)
			letters[n++] = c;
	}
	return n ? span_hash(span_make(letters, n), 3) : 0;
}

static uint64_t
network_hash(const struct ip *client)
{
	return client->family ? span_hash(span_make(client->bytes, client->family == AF_INET ? 3 : 8), client->family) : 0;
}

static void
sent(struct outbound *o, const struct tx *tx, const struct limits_sender *sender)
{
	size_t n = tx->recipient_count < OUTBOUND_MOST_RECIPIENTS ? tx->recipient_count : OUTBOUND_MOST_RECIPIENTS;
	struct happening *h = calloc(1, sizeof *h + n * sizeof h->recipients[0]);
	char canonical[2 * MAX_ADDRESS + 2];

	if (h) {
		const struct policy *p = sender->policy;
		double limit = isfinite(p->tag) ? p->tag : p->quarantine;

		h->kind = SENT;
		h->now_s = wall_s();
		h->network = network_hash(&tx->session.client);
		h->subject = subject_hash(tx->scanned.subject);
		h->action = (enum outcome)p->contain;
		h->hours = p->contain_hours;
		snprintf(h->customer, sizeof h->customer, "%s", p->customer);
		h->bad = tx->have_scanned && (tx->scanned.scores[tx->recipients[0].score].points >= limit || (tx->scanned.classes & (CLASS_VIRUS | CLASS_PHISH)));
		for (size_t i = 0; i < n; i++) {
			customers_canonical(span_of(tx->recipients[i].raw), canonical, sizeof canonical);
			h->recipients[h->recipient_count++] = span_hash(span_of(canonical), 5);
		}
	}
	happens(o, sender->account, h);
}

static void
bounced(struct outbound *o, const char *account)
{
	struct happening *h = calloc(1, sizeof *h);
	uint32_t class_id;
	const struct policy *p = customers_lookup(o->broker->customers, span_of(account), &class_id);

	if (h) {
		h->kind = BOUNCED;
		h->now_s = wall_s();
		h->action = (enum outcome)p->contain;
		h->hours = p->contain_hours;
		snprintf(h->customer, sizeof h->customer, "%s", p->customer);
	}
	happens(o, account, h);
}

void
outbound_answered(struct outbound *o, const struct tx *tx)
{
	if (tx->gate == NULL)                /* policyctl scan: nobody has sent it */
		return;
	const struct limits_envelope e = { .config = tx->config, .client = &tx->session.client, .login = tx->session.login,
	    .context = tx->session.context, .sender = tx->envelope.sender };
	struct limits_sender sender;

	if (tx->recipient_count == 0 || tx->settlement.reply == REPLY_DEFER)
		return;                      /* it comes again */
	limits_sender(o->broker, &e, &sender);
	if (sender.has_account) {
		if (!sender.policy->bulk_sender && outbound_contained(o, sender.account) == OUT_DELIVER)
			sent(o, tx, &sender);
	} else if (tx->envelope.sender[0] == '\0' && tx->recipient_count == 1) {
		char canonical[2 * MAX_ADDRESS + 2], base[SENDER_ROOM];

		customers_canonical(span_of(tx->recipients[0].raw), canonical, sizeof canonical);
		customers_base(o->broker->customers, span_of(canonical), base, sizeof base);
		if (strlen(canonical) < SENDER_ROOM)
			bounced(o, base[0] ? base : canonical);
	}
}

/* ---- what operators ask ---- */

static json_t *
refuse(const char *why)
{
	return json_pack("{s:s, s:i}", "error", why, "exit", 2);
}

json_t *
outbound_request(struct outbound *o, const json_t *request)
{
	const char *cmd = json_string_value(json_object_get(request, "cmd")), *account = json_string_value(json_object_get(request, "account"));
	const char *who = json_string_value(json_object_get(request, "who")), *note = json_string_value(json_object_get(request, "note"));
	const char *action = json_string_value(json_object_get(request, "action"));
	json_int_t hours = json_integer_value(json_object_get(request, "hours"));

	if (strcmp(cmd, "outbound.list") == 0) {
		json_t *list = json_array();

		for (const struct contained *c = o->contained; c; c = c->next)
			json_array_append_new(list, contained_json(c));
		return json_pack("{s:o}", "contained", list);
	}
	if (account == NULL || account[0] == '\0' || strlen(account) >= SENDER_ROOM)
		return refuse("an account is needed: a login, as policyctl outbound list has it");
	if (strcmp(cmd, "outbound.contain") == 0) {
		uint32_t class_id;
		int outcome = 0;

		while (outcome < OUT__COUNT && (action == NULL || strcmp(action, outcome_names[outcome]) != 0))
			outcome++;
		if ((outcome != OUT_QUARANTINE && outcome != OUT_DEFER && outcome != OUT_REJECT) || hours < 0 || hours > 8760)
			return refuse("expected quarantine, defer or reject, and 0 to 8760 hours");
		contain(o, account, (enum outcome)outcome, (uint32_t)hours, customers_lookup(o->broker->customers, span_of(account), &class_id)->customer,
		    who ? who : "-", note ? note : "");
		return json_pack("{s:b}", "done", 1);
	}
	if (strcmp(cmd, "outbound.release") != 0)
		return refuse("unknown command");
	if (!redis_async_up(o->broker->redis))
		return json_pack("{s:s, s:i}", "error", "Redis is away, from which all nodes have it: released here alone it would be back; try again", "exit", 1);
	const struct contained *c = find(o, account);
	struct happening *h = calloc(1, sizeof *h);
	char customer[64];

	if (c == NULL || h == NULL) {
		free(h);
		return refuse(c ? "no memory" : "that account is not contained");
	}
	snprintf(customer, sizeof customer, "%s", c->customer);
	h->kind = json_is_true(json_object_get(request, "rightful")) ? RIGHTFUL : RELEASED;
	h->now_s = wall_s();
	drop(o, account);
	put(o, account, NULL);
	happens(o, account, h);
	write_down(o, who ? who : "-", "release", account, customer, note ? note : "");
	return json_pack("{s:b}", "done", 1);
}

/* ---- life ---- */

struct outbound *
outbound_open(struct broker *b)
{
	struct timeval tick = { 0, TICK_MS * 1000 };
	struct outbound *o = calloc(1, sizeof *o);
	char path[PATH_ROOM + 64], why[512];

	if (o == NULL || (o->tick = event_new(b->base, -1, EV_PERSIST, on_tick, o)) == NULL || event_add(o->tick, &tick) < 0) {
		free(o);
		return NULL;
	}
	o->broker = b;
	snprintf(path, sizeof path, "%s/review/audit.log", b->config->state);
	o->audit = audit_open(path, why, sizeof why);
	if (o->audit == NULL)
		log_error("outbound: %s; containments are in this log only", why);
	return o;
}

void
outbound_close(struct outbound *o)
{
	while (o->watched) {
		struct watched *next = o->watched->next;

		list_free(&o->watched->first);
		list_free(&o->watched->now);
		free(o->watched);
		o->watched = next;
	}
	while (o->contained) {
		struct contained *next = o->contained->next;

		free(o->contained);
		o->contained = next;
	}
	map_free(&o->by_account);
	event_free(o->tick);
	if (o->audit)
		audit_close(o->audit);
	free(o);
}
