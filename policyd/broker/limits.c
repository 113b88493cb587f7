#include "policyd/broker/limits.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>

#include "policyd/base/clock.h"
#include "policyd/base/metrics.h"
#include "policyd/broker/outbound.h"
#include "policyd/store/customers.h"

enum { MEETINGS = 1 << 16, MEETING_MS = 600 * 1000, MAX_ASKS = BUCKETS_A_QUESTION };

/* What one protocol has counted and the other may ask about. A slot each: who is pushed out is counted by both, which makes a
 * limit stricter and never looser. */
struct meeting {
	uint64_t key;
	int64_t ms;
	uint8_t side;                        /* who left it */
	uint8_t outcome;                     /* OUT_DELIVER, OUT_QUARANTINE */
	uint16_t count;
};

struct limits {
	struct meeting *meetings;
};

struct limits_wait {
	struct broker *broker;
	limits_done done;                    /* NULL: nobody waits any more */
	void *arg;
	enum limits_side side;
	uint64_t key, instance;              /* of the meeting; 0: none */
	char reference[REFERENCE_ROOM];
	struct bucket_ask *asks;             /* malloc'd */
	enum outcome *actions;               /* of each */
	size_t count, at;                    /* at: where the question in flight begins */
	struct limits_check worst;
	bool *gone;                          /* set when it ends while it is being started */
};

struct limits *
limits_open(void)
{
	struct limits *l = calloc(1, sizeof *l);

	if (l && (l->meetings = calloc(MEETINGS, sizeof *l->meetings)) == NULL) {
		free(l);
		return NULL;
	}
	return l;
}

void
limits_close(struct limits *l)
{
	free(l->meetings);
	free(l);
}

/* ---- who sends ---- */

void
limits_sender(const struct broker *b, const struct limits_envelope *e, struct limits_sender *to)
{
	char canonical[2 * MAX_ADDRESS + 2];
	bool submission = strcmp(e->context, "submission") == 0;
	const char *name = e->sender;
	uint32_t class_id;

	*to = (struct limits_sender){ .ours = e->login[0] || submission ||
	    nets_have(e->config->own_networks, e->config->own_network_count, e->client), .policy = &e->config->policy_default };
	if (!to->ours)
		return;
	to->has_account = e->login[0] || submission;
	/* A login is proved, the sender's address is not: where there is a login, it alone says whose limits these are. */
	if (e->login[0]) {
		snprintf(to->account, sizeof to->account, strchr(e->login, '@') || !e->config->login_domain[0] ? "%s" : "%s@%s", e->login,
		    e->config->login_domain);
		name = to->account;
	} else if (submission) {
		ip_print(e->client, to->account);
	}
	if (strchr(name, '@') == NULL || (!e->login[0] && !customers_know(b->customers, span_of(name))))
		return;
	customers_canonical(span_of(name), canonical, sizeof canonical);
	to->policy = customers_lookup(b->customers, span_of(name), &class_id);
	snprintf(to->domain, sizeof to->domain, "%.*s", MAX_ADDRESS, strrchr(canonical, '@') ? strrchr(canonical, '@') + 1 : "");
	if (e->login[0])
		snprintf(to->account, sizeof to->account, "%.*s", MAX_ADDRESS, canonical);
}

/* ---- which buckets ---- */

static bool
any_on(const struct limit limits[MEASURE__COUNT], const uint32_t cost[MEASURE__COUNT])
{
	for (int m = 0; m < MEASURE__COUNT; m++)
		if (limit_on(&limits[m]) && cost[m] > 0)
			return true;
	return false;
}

static void
add(struct limits_wait *w, enum bucket_kind kind, const char *id, const struct policy *policy, const struct limit limits[MEASURE__COUNT],
    const uint32_t cost[MEASURE__COUNT], uint64_t who)
{
	struct bucket_ask *ask = &w->asks[w->count];

	if (id[0] == '\0' || !any_on(limits, cost))
		return;
	*ask = (struct bucket_ask){ .kind = kind, .recipient = who };
	snprintf(ask->id, sizeof ask->id, "%s", id);
	memcpy(ask->limits, limits, sizeof ask->limits);
	memcpy(ask->cost, cost, sizeof ask->cost);
	if (kind == BUCKET_ACCOUNT) {
		ask->warmup_days = policy->warmup_days;
		ask->created_day = policy->created_day;
	}
	w->actions[w->count++] = (enum outcome)policy->limit_action;
}

static void
network_name(const struct ip *client, char to[INET6_ADDRSTRLEN + 4])
{
	struct ip net = *client;
	char text[INET6_ADDRSTRLEN];
	size_t kept = client->family == AF_INET ? 3 : 8;

	memset(net.bytes + kept, 0, sizeof net.bytes - kept);
	ip_print(&net, text);
	snprintf(to, INET6_ADDRSTRLEN + 4, "%s/%zu", text, kept * 8);
}

/* What the sender, or the network he comes from, may do. */
static void
add_sender(struct limits_wait *w, const struct limits_envelope *e, const struct limits_sender *sender, const uint32_t cost[MEASURE__COUNT],
    uint64_t who)
{
	const struct policy *p = sender->policy;
	char network[INET6_ADDRSTRLEN + 4];

	if (sender->has_account)
		add(w, BUCKET_ACCOUNT, sender->account, p, p->limit_account, cost, who);
	if (sender->ours) {
		add(w, BUCKET_DOMAIN, sender->domain, p, p->limit_domain, cost, who);
		add(w, BUCKET_CUSTOMER, p->customer, p, p->limit_customer, cost, who);
	} else if (e->client->family && !nets_have(e->config->trusted_relays, e->config->trusted_relay_count, e->client)) {
		network_name(e->client, network);
		p = &e->config->policy_default;
		add(w, BUCKET_NETWORK, network, p, p->limit_network, cost, who);
	}
}

static void
add_recipient(struct limits_wait *w, const struct limits_envelope *e, const struct limits_sender *sender, const char *mailbox,
    const struct policy *policy, const uint32_t cost[MEASURE__COUNT], uint64_t who)
{
	const struct policy *common = &e->config->policy_default;
	char network[INET6_ADDRSTRLEN + 4], id[BUCKET_ID_ROOM];

	add(w, BUCKET_MAILBOX, mailbox, policy, policy->limit_mailbox, cost, who);
	if (sender->ours || e->client->family == 0 || memcmp(policy->limit_network, common->limit_network, sizeof common->limit_network) == 0 ||
	    nets_have(e->config->trusted_relays, e->config->trusted_relay_count, e->client))
		return;
	network_name(e->client, network);
	snprintf(id, sizeof id, "%s %s", network, policy->customer[0] ? policy->customer : mailbox);
	add(w, BUCKET_NETWORK, id, policy, policy->limit_network, cost, who);
}

/* ---- the two protocols meet ---- */

static struct meeting *
meeting_of(struct limits *l, uint64_t key, int64_t now)
{
	struct meeting *m = &l->meetings[(key ^ key >> 32) % MEETINGS];

	if (m->key != key || now - m->ms > MEETING_MS)
		*m = (struct meeting){ .key = key, .ms = now };
	return m;
}

static uint64_t
meeting_key(const struct limits_envelope *e, struct span recipient)
{
	struct span parts[] = { span_make(e->client->bytes, sizeof e->client->bytes), span_make(&e->client->port, sizeof e->client->port),
	    span_of(e->sender), recipient };
	uint64_t key = 0x6d656574;

	for (size_t i = 0; i < sizeof parts / sizeof *parts; i++)
		key = span_hash(parts[i], key);
	return key | 1;
}

/* The other protocol has counted him. */
static bool
met(struct limits_wait *w)
{
	struct meeting *m = meeting_of(w->broker->limits, w->key, clock_ms());

	if (m->count == 0 || m->side == w->side)
		return false;
	m->count--;
	w->worst.outcome = (enum outcome)m->outcome;
	w->worst.counted = true;
	return true;
}

static void
leave_word(struct limits_wait *w)
{
	int64_t now = clock_ms();
	struct meeting *m = meeting_of(w->broker->limits, w->key, now);

	m->count = m->side == w->side && m->count < UINT16_MAX ? m->count + 1 : 1;
	m->side = (uint8_t)w->side;
	m->outcome = (uint8_t)w->worst.outcome;
	m->ms = now;
	if (w->instance && w->worst.counted)
		meeting_of(w->broker->limits, w->instance, now)->count = 1;
}

/* ---- the answer ---- */

static void
print_wait(int64_t ms, char to[24])
{
	int64_t s = (ms + 999) / 1000;

	if (s < 120)
		snprintf(to, 24, "%lld s", (long long)(s ? s : 1));
	else if (s < 7200)
		snprintf(to, 24, "%lld min", (long long)(s + 59) / 60);
	else
		snprintf(to, 24, "%lld h", (long long)(s + 3599) / 3600);
}

static void
say_over(const struct limits_wait *w, const struct bucket_ask *ask, const struct bucket_verdict *v, enum outcome action, struct rcpt_check *out)
{
	struct limit one[MEASURE__COUNT] = { { 0 } };
	char limit[LIMIT_TEXT_ROOM], wait[24], which[160];
	bool reject = action == OUT_REJECT;

	one[v->measure] = ask->limits[v->measure];
	limits_print(one, limit, sizeof limit);
	print_wait(v->wait_ms, wait);
	/* Whose mailbox an alias leads to, and what we call a customer, is nobody's business. */
	if (ask->kind == BUCKET_MAILBOX)
		snprintf(which, sizeof which, "this mailbox");
	else if (ask->kind == BUCKET_TRICKLE)
		snprintf(which, sizeof which, "account %s, which somebody else seems to use; please call your provider", ask->id);
	else if (ask->kind == BUCKET_CUSTOMER)
		snprintf(which, sizeof which, "this customer");
	else
		snprintf(which, sizeof which, "%s %.*s", bucket_kind_names[ask->kind], (int)strcspn(ask->id, " "), ask->id);
	out->action = reject ? RCPT_REJECT : RCPT_DEFER;
	snprintf(out->code, sizeof out->code, reject ? "550" : "451");
	snprintf(out->xcode, sizeof out->xcode, reject ? "5.7.1" : "4.7.1");
	snprintf(out->text, sizeof out->text, "The limit of %s is used up: %s; try again in %s (ref %s)", which, limit, wait, w->reference);
}

static void
wait_free(struct limits_wait *w)
{
	if (w->gone)
		*w->gone = true;
	free(w->asks);
	free(w->actions);
	free(w);
}

static void
finish(struct limits_wait *w)
{
	if (w->key && (w->worst.outcome == OUT_DELIVER || w->worst.outcome == OUT_QUARANTINE)) {
		w->worst.counted = w->worst.outcome == OUT_DELIVER;
		leave_word(w);
	}
	if (w->done)
		w->done(w->arg, &w->worst);
	wait_free(w);
}

static void ask_next(struct limits_wait *w);

static void
answered(void *arg, const struct bucket_verdict *v)
{
	struct limits_wait *w = arg;

	if (v->over) {
		const struct bucket_ask *ask = &w->asks[w->at + v->which];
		enum outcome action = w->actions[w->at + v->which];

		w->worst.outcome = action;
		say_over(w, ask, v, action, &w->worst.reply);
		finish(w);
		return;
	}
	w->at += MAX_ASKS;
	ask_next(w);
}

static void
ask_next(struct limits_wait *w)
{
	size_t left = w->count > w->at ? w->count - w->at : 0;

	if (left == 0 || w->done == NULL) {
		finish(w);
		return;
	}
	buckets_take(w->broker->buckets, w->asks + w->at, left < MAX_ASKS ? left : MAX_ASKS, answered, w);   /* `w` may be gone by now */
}

static struct limits_wait *
wait_new(struct broker *b, const struct limits_envelope *e, size_t most, limits_done done, void *arg)
{
	struct limits_wait *w = calloc(1, sizeof *w);

	if (w == NULL || (w->asks = malloc(most * sizeof *w->asks)) == NULL || (w->actions = malloc(most * sizeof *w->actions)) == NULL) {
		if (w)
			wait_free(w);
		return NULL;
	}
	w->broker = b;
	w->done = done;
	w->arg = arg;
	w->side = e->side;
	snprintf(w->reference, sizeof w->reference, "%s", e->reference);
	return w;
}

static void
within(limits_done done, void *arg, bool known)
{
	const struct limits_check good = { .outcome = OUT_DELIVER };

	if (!known)
		metrics_add(M_LIMITS_UNKNOWN, 1);
	done(arg, &good);
}

/* NULL when it is over already. */
static struct limits_wait *
start(struct limits_wait *w)
{
	bool gone = false;

	w->gone = &gone;
	ask_next(w);
	if (gone)
		return NULL;
	w->gone = NULL;
	return w;
}

static void
mailbox_of(const struct broker *b, const char *canonical, char to[BUCKET_ID_ROOM])
{
	customers_base(b->customers, span_of(canonical), to, BUCKET_ID_ROOM);
	if (to[0] == '\0')
		snprintf(to, BUCKET_ID_ROOM, "%.*s", MAX_ADDRESS, canonical);
}

static bool
said(const struct limit limits[MEASURE__COUNT])
{
	return limit_on(&limits[0]) || limit_on(&limits[1]) || limit_on(&limits[2]) || limit_on(&limits[3]);
}

/* Most mail meets no limit at all: that costs a look and nothing else. */
static bool
concerns(const struct limits_envelope *e, const struct limits_sender *sender, const struct policy *policy)
{
	const struct policy *p = sender->policy;

	if (said(policy->limit_mailbox))
		return true;
	return sender->ours ? said(p->limit_account) || said(p->limit_domain) || said(p->limit_customer) :
	    said(e->config->policy_default.limit_network) || said(policy->limit_network);
}

/* Written to by one of ours, and nobody of ours: the sender's limits are all there are. */
static bool
away(const struct broker *b, const struct limits_sender *sender, struct span recipient)
{
	return sender->ours && !customers_know(b->customers, recipient);
}

static uint64_t
instance_key(const struct limits_envelope *e)
{
	return e->instance.n ? span_hash(e->instance, 0x696e7374) | 1 : 0;
}

/* Somebody else seems to use the account. */
static void
answer_contained(const struct limits_envelope *e, const struct limits_sender *sender, enum outcome action, limits_done done, void *arg)
{
	struct limits_check check = { .outcome = action, .reply = { RCPT_REJECT, "550", "5.7.1", "" } };

	snprintf(check.reply.text, sizeof check.reply.text, "Account %s is blocked, for somebody else seems to use it; please call your provider (ref %s)",
	    sender->account, e->reference);
	metrics_add(M_CONTAINED_RECIPIENTS, 1);
	done(arg, &check);
}

/* Contained, and deferred: its owner gets a few mails out meanwhile. */
static void
add_trickle(struct limits_wait *w, const char *account)
{
	struct policy slow = { .limit_action = OUT_DEFER, .limit_account = { [MEASURE_RECIPIENTS] = { TRICKLE_AN_HOUR, 3600, TRICKLE_AN_HOUR } } };
	const uint32_t cost[MEASURE__COUNT] = { [MEASURE_RECIPIENTS] = 1 };

	metrics_add(M_CONTAINED_RECIPIENTS, 1);
	add(w, BUCKET_TRICKLE, account, &slow, slow.limit_account, cost, 0);
}

struct limits_wait *
limits_rcpt(struct broker *b, const struct limits_envelope *e, struct span recipient, const struct policy *policy, limits_done done, void *arg)
{
	char canonical[2 * MAX_ADDRESS + 2], mailbox[BUCKET_ID_ROOM];
	struct limits_sender sender;
	struct limits_wait *w;

	limits_sender(b, e, &sender);
	enum outcome contained = sender.has_account ? outbound_contained(b->outbound, sender.account) : OUT_DELIVER;

	if (contained == OUT_QUARANTINE || contained == OUT_REJECT) {
		answer_contained(e, &sender, contained, done, arg);
		return NULL;
	}
	if (contained == OUT_DELIVER && !concerns(e, &sender, policy)) {
		within(done, arg, true);
		return NULL;
	}
	if ((w = wait_new(b, e, MAX_ASKS, done, arg)) == NULL) {
		within(done, arg, false);
		return NULL;
	}
	customers_canonical(recipient, canonical, sizeof canonical);
	w->key = meeting_key(e, span_of(canonical));
	w->instance = instance_key(e);
	if (met(w)) {
		w->key = 0;
		finish(w);
		return NULL;
	}
	bool first = e->side == SIDE_MILTER ? e->first : w->instance == 0 || meeting_of(b->limits, w->instance, clock_ms())->count == 0;
	uint32_t cost[MEASURE__COUNT] = { first, 1, 1, first ? (uint32_t)((e->bytes + 1023) >> 10) : 0 };

	if (contained == OUT_DEFER)
		add_trickle(w, sender.account);
	add_sender(w, e, &sender, cost, span_hash(span_of(canonical), 1));
	if (!away(b, &sender, recipient)) {
		cost[MEASURE_MESSAGES] = 1;
		mailbox_of(b, canonical, mailbox);
		add_recipient(w, e, &sender, mailbox, policy, cost, span_hash(span_of(e->sender), 2));
	}
	return start(w);
}

struct limits_wait *
limits_message(struct broker *b, const struct limits_envelope *e, const struct limits_rcpt_of *rcpts, size_t count, limits_done done, void *arg)
{
	char canonical[2 * MAX_ADDRESS + 2], mailbox[BUCKET_ID_ROOM];
	const uint32_t cost[MEASURE__COUNT] = { [MEASURE_BYTES] = (uint32_t)((e->bytes + 1023) >> 10) };
	struct limits_sender sender;
	struct limits_wait *w;
	size_t most = MAX_ASKS;

	limits_sender(b, e, &sender);
	bool any = sender.ours ? limit_on(&sender.policy->limit_account[MEASURE_BYTES]) || limit_on(&sender.policy->limit_domain[MEASURE_BYTES]) ||
	    limit_on(&sender.policy->limit_customer[MEASURE_BYTES]) : limit_on(&e->config->policy_default.limit_network[MEASURE_BYTES]);

	for (size_t i = 0; i < count; i++)
		if ((limit_on(&rcpts[i].policy->limit_mailbox[MEASURE_BYTES]) || limit_on(&rcpts[i].policy->limit_network[MEASURE_BYTES])) &&
		    !away(b, &sender, rcpts[i].recipient))
			any = true, most += 2;
	if (!any) {
		within(done, arg, true);
		return NULL;
	}
	if ((w = wait_new(b, e, most, done, arg)) == NULL) {
		within(done, arg, false);
		return NULL;
	}
	add_sender(w, e, &sender, cost, 0);
	for (size_t i = 0; i < count; i++)
		if (w->count + 2 <= most && !away(b, &sender, rcpts[i].recipient)) {
			customers_canonical(rcpts[i].recipient, canonical, sizeof canonical);
			mailbox_of(b, canonical, mailbox);
			add_recipient(w, e, &sender, mailbox, rcpts[i].policy, cost, 0);
		}
	return start(w);
}

void
limits_cancel(struct limits_wait *w)
{
	w->done = NULL;
}
