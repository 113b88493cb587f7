/* questions.c - batches of questions from a worker (scan/question.h): asked side by side, answered together.
 *
 * A worker may be in the hands of a mail by now, so it is told no more than a rule may know: DNS, and of Redis what stands
 * below the prefix of the site or of a customer who gets this mail. */
#include <hiredis/hiredis.h>
#include <stdio.h>
#include <stdlib.h>

#include "policyd/base/metrics.h"
#include "policyd/broker/dispatch.h"
#include "policyd/broker/transaction.h"
#include "policyd/net/dns.h"
#include "policyd/scan/question.h"
#include "policyd/store/redis_async.h"

struct one {                                 /* question of a batch */
	struct batch *batch;
	struct dns_wait *dns_wait;
	struct who *who;                     /* waited for; the mail's own, or `own_who` */
	bool own_who;
	struct buf answer;                   /* packed; empty: unknown */
};

struct batch {
	struct batch *next;
	struct tx *tx;                       /* NULL: nobody waits for it, it goes with its last answer */
	uint32_t number, count, open;
	struct one ones[];
};

static void
batch_free(struct batch *batch)
{
	for (uint32_t i = 0; i < batch->count; i++) {
		if (batch->ones[i].own_who)
			who_close(batch->ones[i].who);
		buf_free(&batch->ones[i].answer);
	}
	free(batch);
}

static void
batch_unlink(struct batch *batch)
{
	struct batch **at = &batch->tx->batches;

	while (*at != batch)
		at = &(*at)->next;
	*at = batch->next;
}

static void
batch_answer(struct batch *batch)
{
	static const struct rr_answer unknown = { .status = RR_UNKNOWN };
	struct buf body = { 0 };

	pack_u32(&body, batch->number);
	pack_u32(&body, batch->count);
	for (uint32_t i = 0; i < batch->count; i++) {
		if (batch->ones[i].answer.n == 0 || batch->ones[i].answer.failed)
			answer_pack(&body, &unknown);
		else
			buf_add_span(&body, buf_span(&batch->ones[i].answer));
	}
	batch_unlink(batch);
	work_tell(batch->tx->work, W_TOLD, &body);
	batch_free(batch);
}

static void
one_done(struct one *one)
{
	struct batch *batch = one->batch;

	if (--batch->open > 0)
		return;
	if (batch->tx)
		batch_answer(batch);
	else
		batch_free(batch);
}

/* ---- DNS ---- */

/* Letters, digits, hyphens and underscores in labels of at most 63: what is something else is not in DNS, ask or not. */
static bool
is_host_name(struct span name)
{
	size_t label = 0;

	if (name.n == 0 || name.n > MAX_HOST_NAME - 2)
		return false;
	for (size_t i = 0; i < name.n; i++) {
		char c = ascii_lower(name.p[i]);

		if (c == '.' ? label == 0 : !((c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-' || c == '_'))
			return false;
		label = c == '.' ? 0 : label + 1;
		if (label > 63)
			return false;
	}
	return true;
}

static void
dns_known(void *arg, const struct dns_answer *answer)
{
	struct one *one = arg;
	struct rr_answer out = { .status = answer->status, .at = answer->at, .count = answer->count };

	one->dns_wait = NULL;
	answer_pack(&one->answer, &out);
	one_done(one);
}

static void
ask_dns(struct one *one, const struct question *q)
{
	static const struct rr_answer none = { .status = RR_NONE };
	struct tx *tx = one->batch->tx;
	char name[MAX_HOST_NAME + 1];

	if (!is_host_name(q->name)) {
		answer_pack(&one->answer, &none);
		one_done(one);
		return;
	}
	snprintf(name, sizeof name, SPAN_FMT, SPAN_ARG(q->name));
	if (q->kind != RR_A && q->kind != RR_AAAA && q->kind != RR_MX && q->kind != RR_TXT && q->kind != RR_PTR) {
		one_done(one);
		return;
	}
	struct dns_wait *wait = dns_ask(tx->broker->dns, (enum rr_type)q->kind, name, (int)tx->config->dns_timeout_ms, dns_known, one);

	if (wait)                            /* else it has answered already */
		one->dns_wait = wait;
}

/* ---- client and sender ---- */

static void
sender_known(void *arg, const struct auth_sender *sender)
{
	struct one *one = arg;
	struct rr rr = { .text = span_make((const char *)sender, sizeof *sender) };
	struct rr_answer out = { RR_FOUND, &rr, 1 };

	answer_pack(&one->answer, &out);
	one_done(one);
}

static void
sender_none(struct one *one)
{
	static const struct rr_answer none = { .status = RR_NONE };

	answer_pack(&one->answer, &none);
	one_done(one);
}

static bool
is_waited_for(const struct tx *tx, const struct who *who)
{
	for (const struct batch *b = tx->batches; b; b = b->next)
		for (uint32_t i = 0; i < b->count; i++)
			if (b->ones[i].who == who)
				return true;
	return false;
}

static void
ask_sender(struct one *one, const struct question *q)
{
	struct tx *tx = one->batch->tx;
	struct ip client;

	if (q->name.n == 0) {
		tx_ask_sender(tx);
		if (tx->who && is_waited_for(tx, tx->who)) {
			one_done(one);       /* twice in one mail: unknown */
			return;
		}
		one->who = tx->who;
	} else if (tx->relayed && ip_parse(q->name, &client) && who_wanted(tx->config, &client, SPAN(""), span_of(tx->session.context))) {
		one->who = who_open(tx->broker, &client, true, q->field, span_of(tx->envelope.sender), WHO_MS(tx->config));
		one->own_who = one->who != NULL;
	}
	if (one->who == NULL)
		sender_none(one);
	else if (who_known(one->who))
		sender_known(one, who_known(one->who));
	else
		who_then(one->who, sender_known, one);
}

/* ---- Redis ---- */

static void
redis_known(void *arg, const struct redisReply *reply)
{
	struct one *one = arg;
	struct rr text = { 0 };
	struct rr_answer out = { .status = RR_UNKNOWN, .at = &text, .count = 1 };

	if (reply && reply->type == REDIS_REPLY_STRING && reply->len <= MAX_REDIS_VALUE) {
		out.status = RR_FOUND;
		text.text = span_make(reply->str, reply->len);
	} else if (reply && reply->type == REDIS_REPLY_INTEGER) {
		out.status = reply->integer ? RR_FOUND : RR_NONE;
		text.text = SPAN("1");
	} else if (reply && reply->type == REDIS_REPLY_NIL) {
		out.status = RR_NONE;
	}
	answer_pack(&one->answer, &out);
	one_done(one);
}

static bool
may_read(const struct tx *tx, struct span customer)
{
	bool may = customer.n == 0;

	for (uint32_t i = 0; i < tx->recipient_count && !may; i++)
		may = span_eq(span_of(tx->recipients[i].policy->customer), customer);
	return may;
}

static void
ask_redis(struct one *one, const struct question *q)
{
	static const char *const commands[] = { "GET", "HGET", "SISMEMBER" };
	struct tx *tx = one->batch->tx;
	struct buf key = { 0 };

	buf_printf(&key, "{r:" SPAN_FMT "}", SPAN_ARG(q->customer));
	buf_add_span(&key, q->name);
	if (key.failed || !may_read(tx, q->customer) || q->name.n + q->field.n > MAX_REDIS_VALUE) {
		one_done(one);
	} else {
		const char *command = commands[q->kind - ASK_GET];
		const char *argv[] = { command, key.p, q->field.p ? q->field.p : "" };
		size_t lengths[] = { strlen(command), key.n, q->field.n };

		redis_async_command(tx->broker->redis, 0, redis_known, one, q->kind == ASK_GET ? 2 : 3, argv, lengths);
	}
	buf_free(&key);
}

/* ---- a batch ---- */

void
questions_forget(struct tx *tx)
{
	while (tx->batches) {
		struct batch *batch = tx->batches;

		tx->batches = batch->next;
		batch->tx = NULL;
		batch->open++;               /* not freed under our hands */
		for (uint32_t i = 0; i < batch->count; i++)
			if (batch->ones[i].dns_wait) {
				dns_cancel(batch->ones[i].dns_wait);
				batch->ones[i].dns_wait = NULL;
				batch->open--;
			} else if (batch->ones[i].who && who_known(batch->ones[i].who) == NULL) {
				who_then(batch->ones[i].who, NULL, NULL);
				batch->open--;
			}
		if (--batch->open == 0)
			batch_free(batch);   /* else Redis has yet to answer */
	}
}

void
questions_asked(struct tx *tx, struct unpack *u)
{
	uint32_t number = unpack_u32(u), count = unpack_u32(u);
	struct batch *batch = u->bad || count > MAX_QUESTIONS ? NULL : calloc(1, sizeof *batch + count * sizeof *batch->ones);

	if (batch == NULL)
		return;                      /* the worker goes on without, when its time is up */
	*batch = (struct batch){ .next = tx->batches, .tx = tx, .number = number, .count = count, .open = count + 1 };
	tx->batches = batch;
	metrics_add(M_QUESTIONS, (int64_t)count);
	for (uint32_t i = 0; i < count; i++) {
		struct one *one = &batch->ones[i];
		struct question q;

		one->batch = batch;
		question_unpack(u, &q);
		if (u->bad || tx->asked++ >= MAX_ASKED)
			one_done(one);       /* unknown */
		else if (q.kind >= ASK_GET && q.kind <= ASK_SISMEMBER)
			ask_redis(one, &q);
		else if (q.kind == ASK_SENDER)
			ask_sender(one, &q);
		else
			ask_dns(one, &q);
	}
	if (--batch->open == 0)
		batch_answer(batch);
}
