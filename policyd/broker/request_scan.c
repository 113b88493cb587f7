/* request_scan.c - policyctl scan: the same decision as the milter's, for a mail that nobody sent. */
#include <stdlib.h>
#include <unistd.h>

#include "policyd/base/clock.h"
#include "policyd/base/metrics.h"
#include "policyd/broker/account.h"
#include "policyd/broker/reputation.h"
#include "policyd/broker/request.h"
#include "policyd/broker/transaction.h"
#include "policyd/broker/wanted.h"
#include "policyd/store/customers.h"

enum { SCAN_MS = 60 * 1000 };

static json_t *
span_json(struct span s)
{
	json_t *text = json_stringn(s.p ? s.p : "", s.n);

	return text ? text : json_string("");
}

static json_t *
threshold(double points)
{
	return isfinite(points) ? json_real(points) : json_null();
}

static json_t *
recipient_json(const struct tx *tx, uint32_t i)
{
	const struct recipient *r = &tx->recipients[i];
	const struct scanned_class *score = &tx->scanned.scores[r->score];

	return json_pack("{s:s, s:i, s:s, s:b, s:f, s:f, s:f, s:b, s:o, s:s, s:s, s:{s:o, s:o, s:o}}", "address", r->raw, "class",
	    (int)r->class_id, "customer", r->policy->customer, "filter", r->policy->filter, "points", score->points,
	    "bayes_points", score->bayes_points, "probability", score->probability, "model_known", score->model_known, "banned", span_json(score->banned),
	    "outcome", outcome_names[tx->fates[i].outcome], "wanted", outcome_names[tx->fates[i].wanted], "thresholds",
	    "tag", threshold(r->policy->tag), "quarantine", threshold(r->policy->quarantine),
	    "discard", threshold(r->policy->discard));
}

/* A symbol, what it would add were it in force, and who would get what without it. */
static json_t *
symbol_json(const struct tx *tx, const struct symbol *s)
{
	json_t *without = json_array();

	for (uint32_t i = 0; s->points != 0 && i < tx->recipient_count; i++) {
		enum outcome now = tx_outcome(tx, i, 0), then = tx_outcome(tx, i, -s->points);

		if (now != then)
			json_array_append_new(without, json_pack("{s:s, s:s, s:s}", "address", tx->recipients[i].raw, "outcome",
			    outcome_names[then], "instead_of", outcome_names[now]));
	}
	return json_pack("{s:o, s:f, s:f, s:o, s:o}", "name", span_json(s->name), "points", s->points, "held", s->held, "evidence",
	    span_json(s->evidence), "without", without);
}

static json_t *
scan_json(const struct tx *tx)
{
	static const struct { unsigned class; const char *name; } names[] = {
		{ CLASS_VIRUS, "virus" }, { CLASS_PHISH, "phish" }, { CLASS_BANNED, "banned" }, { CLASS_BULK, "bulk" },
		{ CLASS_UNSCANNABLE, "unscannable" },
	};
	const struct scanned *s = &tx->scanned;
	json_t *recipients = json_array(), *symbols = json_array(), *classes = json_array();

	for (uint32_t i = 0; i < tx->recipient_count; i++)
		json_array_append_new(recipients, recipient_json(tx, i));
	for (uint32_t i = 0; i < s->symbol_count; i++)
		json_array_append_new(symbols, symbol_json(tx, &s->symbols[i]));
	for (size_t i = 0; i < sizeof names / sizeof *names; i++)
		if (s->classes & names[i].class)
			json_array_append_new(classes, json_string(names[i].name));
	return json_pack("{s:o, s:o, s:o, s:b, s:o, s:o, s:o, s:o, s:o, s:I, s:I}", "recipients", recipients, "symbols", symbols,
	    "classes", classes, "defer", s->defer, "defer_reason", span_json(s->defer_reason),
	    "results", span_json(s->results), "message_id", span_json(s->message_id), "from", span_json(s->from), "subject", span_json(s->subject),
	    "size", (json_int_t)tx->size, "cpu_us", (json_int_t)s->cpu_us);
}

static void
scan_done(void *arg, enum job_result result, struct packet *answer)
{
	struct request *r = arg;
	struct tx *tx = r->tx;
	struct unpack u = { answer ? answer->body : SPAN(""), false };
	json_t *reply;

	tx->work = NULL;
	if (result == JOB_POISON)
		reply = request_error("the mail ended two workers: it would be handled as unscannable", 1);
	else if (result != JOB_DONE || !(tx->have_scanned = scanned_unpack(&u, &tx->scanned)))
		reply = request_error("no worker could scan it in time; see policyctl doctor", 1);
	else
		reply = reputation_credit(tx) && tx_decide(tx) ? scan_json(tx) : request_error("no memory", 1);
	if (r->account)
		json_object_set(reply, "message", r->account);
	tx->mail_fd = -1;                    /* the request closes it */
	tx_free(tx);
	request_reply(r, reply);
}

static void
scan_asked(void *arg, struct packet *question)
{
	struct request *r = arg;
	struct unpack u = { question ? question->body : SPAN(""), false };

	if (question == NULL || question->type != W_ACCOUNT)
		answers_asked(r->tx, question);
	else if (r->account == NULL)
		r->account = account_json(&u);
}

/* Recipients of the request, or postmaster of nowhere: the default policy. */
static bool
scan_recipients(struct tx *tx, const json_t *list)
{
	size_t count = json_array_size(list) ? json_array_size(list) : 1;

	tx->recipients = calloc(count, sizeof *tx->recipients);
	if (tx->recipients == NULL)
		return false;
	for (size_t i = 0; i < count && i < MAX_RECIPIENTS; i++) {
		const char *address = json_string_value(json_array_get(list, i));
		struct recipient *r = &tx->recipients[i];

		r->raw = strdup(address ? address : "default");
		if (r->raw == NULL)
			return false;
		tx->recipient_count++;
		r->index = (uint32_t)i;
		r->policy = customers_lookup(tx->broker->customers, span_of(r->raw), &r->class_id);
	}
	return true;
}

struct under_policy {                        /* scan_recipients, maybe while a change of policy stands */
	struct tx *tx;
	bool good;
};

static void
scan_look_up(void *arg)
{
	struct under_policy *u = arg;
	const struct request *r = u->tx->asker;

	u->good = scan_recipients(u->tx, json_object_get(r->json, "recipients"));
}

static void
scan_submit(struct tx *tx)
{
	struct request *r = tx->asker;
	struct buf body = { 0 };

	tx_pack_job(tx, &body);
	tx->work = dispatch_submit(tx->broker->dispatch, &body, r->fd, clock_ms() + SCAN_MS, scan_done, scan_asked, r);
	if (tx->work == NULL) {
		tx->mail_fd = -1;
		tx_free(tx);
		request_reply(r, request_error("the scan queue is full; try again later", 1));
	}
}

void
request_scan(struct request *r)
{
	struct broker *b = r->caller->broker;
	struct tx *tx = calloc(1, sizeof *tx);

	if (r->fd < 0 || tx == NULL) {
		free(tx);
		request_reply(r, request_error("scan: no mail came with the request", 2));
		return;
	}
	tx->broker = b;
	metrics_set(M_TRANSACTIONS_NOW, ++b->transactions);
	tx->settings = settings_hold(b);
	tx->held = customers_hold(b->customers);
	tx->config = tx->settings->config;
	tx->mail_fd = r->fd;
	tx->size = (uint64_t)lseek(r->fd, 0, SEEK_END);
	r->tx = tx;
	ip_parse(span_of(request_field(r, "client")), &tx->session.client);
	tx->relayed = nets_have(tx->config->trusted_relays, tx->config->trusted_relay_count, &tx->session.client);
	snprintf(tx->session.helo, sizeof tx->session.helo, "%s", request_field(r, "helo"));
	snprintf(tx->session.context, sizeof tx->session.context, "scan");
	snprintf(tx->envelope.sender, sizeof tx->envelope.sender, "%s", request_field(r, "sender"));
	struct under_policy under = { .tx = tx };
	json_t *refusal = NULL;

	tx->asker = r;
	tx->explain = json_is_true(json_object_get(r->json, "explain"));
	if (json_object_get(r->json, "values"))      /* policyctl policy simulate --mail */
		refusal = customers_with(b->customers, r->json, scan_look_up, &under);
	else
		scan_look_up(&under);
	if (under.good) {
		wanted_then(tx, scan_submit);
	} else {
		tx->mail_fd = -1;
		tx_free(tx);
		request_reply(r, refusal ? refusal : request_error("no memory", 1));
	}
}
