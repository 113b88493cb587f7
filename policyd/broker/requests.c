/* requests.c - what policyctl asks of the broker: policies, one mail's decision, lessons, traces, our state.
 *
 * A connection comes from the master with its first request and stays here. Requests on it are answered in the
 * order they are done, each with the id of its question. */
#include <event2/event.h>
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#include "policyd/base/clock.h"
#include "policyd/base/log.h"
#include "policyd/base/metrics.h"
#include "policyd/broker/account.h"
#include "policyd/broker/alarms.h"
#include "policyd/broker/campaign.h"
#include "policyd/broker/deprovision.h"
#include "policyd/broker/dispatch.h"
#include "policyd/broker/outbound.h"
#include "policyd/broker/render.h"
#include "policyd/broker/reputation.h"
#include "policyd/broker/transaction.h"
#include "policyd/broker/variants.h"
#include "policyd/broker/wanted.h"
#include "policyd/broker/watch.h"
#include "policyd/net/dns.h"
#include "policyd/store/buckets.h"
#include "policyd/store/customers.h"
#include "policyd/store/meter.h"
#include "policyd/store/history.h"
#include "policyd/store/redis_async.h"
#include "policyd/store/reputations.h"
#include "policyd/store/source.h"

enum { SCAN_MS = 60 * 1000, LESSON_MS = 30 * 1000, REPLY_MS = 2000 };

struct caller {                              /* one connection of policyctl */
	struct broker *broker;
	int sock;
	struct event *readable;
	struct inbox inbox;
	int open;                            /* requests in work */
	bool gone;
	bool reports;                        /* it came by report.sock: it may report mail, as the user it names, and nothing else */
};

struct request {
	struct caller *caller;
	uint32_t id;
	json_t *json;
	int fd;                              /* the mail, or -1 */
	struct tx *tx;                       /* of a scan: a transaction that nobody sent */
	json_t *account;                     /* of a scan that is to be explained */

	/* of a lesson */
	char customer[64];                   /* whose model learns; empty: all customers' */
	uint64_t mailbox;                    /* with a model of its own; or 0 */
	unsigned mails, lessons;             /* all; those still at the trainer's */
	unsigned results[7];                 /* by lesson_results */
	char why[256];
};

static void
caller_free(struct caller *c)
{
	if (c->readable)
		event_free(c->readable);
	close(c->sock);
	inbox_free(&c->inbox);
	free(c);
}

/* Takes `reply`. Ends the request. */
static void
request_reply(struct request *r, json_t *reply)
{
	struct caller *c = r->caller;
	char *json = json_dumps(reply, JSON_COMPACT);
	struct buf body = { 0 };

	pack_text(&body, json ? json : "{\"error\": \"no memory\", \"exit\": 1}");
	struct packet packet = { .type = W_REPLY, .id = r->id, .body = buf_span(&body) };

	if (!c->gone && !body.failed)
		ipc_send_wait(c->sock, &packet, REPLY_MS);
	buf_free(&body);
	free(json);
	json_decref(reply);
	json_decref(r->json);
	json_decref(r->account);
	if (r->fd >= 0)
		close(r->fd);
	free(r);
	if (--c->open == 0 && c->gone)
		caller_free(c);
}

static json_t *
error(const char *why, int code)
{
	return json_pack("{s:s, s:i}", "error", why, "exit", code);
}

static const char *
field(const struct request *r, const char *name)
{
	const char *value = json_string_value(json_object_get(r->json, name));

	return value ? value : "";
}

/* ---- scan: the same decision as the milter's, for a mail that nobody sent ---- */

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
		reply = error("the mail ended two workers: it would be handled as unscannable", 1);
	else if (result != JOB_DONE || !(tx->have_scanned = scanned_unpack(&u, &tx->scanned)))
		reply = error("no worker could scan it in time; see policyctl doctor", 1);
	else
		reply = reputation_credit(tx) && tx_decide(tx) ? scan_json(tx) : error("no memory", 1);
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
		request_reply(r, error("the scan queue is full; try again later", 1));
	}
}

static void
scan(struct request *r)
{
	struct broker *b = r->caller->broker;
	struct tx *tx = calloc(1, sizeof *tx);

	if (r->fd < 0 || tx == NULL) {
		free(tx);
		request_reply(r, error("scan: no mail came with the request", 2));
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
	ip_parse(span_of(field(r, "client")), &tx->session.client);
	tx->relayed = nets_have(tx->config->trusted_relays, tx->config->trusted_relay_count, &tx->session.client);
	snprintf(tx->session.helo, sizeof tx->session.helo, "%s", field(r, "helo"));
	snprintf(tx->session.context, sizeof tx->session.context, "scan");
	snprintf(tx->envelope.sender, sizeof tx->envelope.sender, "%s", field(r, "sender"));
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
		request_reply(r, refusal ? refusal : error("no memory", 1));
	}
}

/* ---- learn: a worker makes features of the mail (or of those attached to it), the trainer learns them ---- */

static const char *const lesson_results[] = { "failed", "learnt", "known", "flipped", "unlearnt", "held", "refused" };
enum { LESSON_FAILED_CODE = 0, LESSON_REFUSED_CODE = 6, LESSON_CODES = sizeof lesson_results / sizeof *lesson_results };

/* All lessons of the request are answered: one result, or of several mails how many of each. What failed comes first, so that
 * it is tried again (what was learnt is then known); then what was refused. */
static void
lessons_end(struct request *r)
{
	unsigned kinds = 0, last = 0;

	for (unsigned i = 0; i < LESSON_CODES; i++) {
		kinds += r->results[i] > 0;
		last = r->results[i] > 0 ? i : last;
	}
	metrics_add(M_LESSONS_FAILED, r->results[LESSON_FAILED_CODE]);
	if (r->results[LESSON_FAILED_CODE] > 0 || (kinds == 1 && last == LESSON_REFUSED_CODE)) {
		request_reply(r, error(r->why[0] ? r->why : "the trainer gave no answer; see policyctl doctor", r->results[LESSON_FAILED_CODE] ? 1 : 2));
		return;
	}
	json_t *reply = json_pack("{s:s, s:i}", "result", kinds == 1 ? lesson_results[last] : "several", "mails", (int)r->mails);

	for (unsigned i = 1; i < LESSON_CODES; i++)
		if (kinds > 1 && r->results[i] > 0)
			json_object_set_new(reply, lesson_results[i], json_integer(r->results[i]));
	request_reply(r, reply);
}

static void
lesson_done(void *arg, struct packet *answer)
{
	struct request *r = arg;
	struct unpack u = { answer ? answer->body : SPAN(""), false };
	uint8_t result = unpack_u8(&u);
	char why[sizeof r->why];

	unpack_text(&u, why, sizeof why);
	if (answer == NULL || u.bad || result >= LESSON_CODES)
		result = LESSON_FAILED_CODE;
	else if (why[0])
		memcpy(r->why, why, sizeof why);
	r->results[result]++;
	if (--r->lessons == 0)
		lessons_end(r);
}

/* It speaks of mails like it as well: with the voice of the customer, else of whoever teaches. */
static void
report_alike(struct request *r, struct unpack *alike, bool spam, bool learn)
{
	char voice[80];

	snprintf(voice, sizeof voice, "%s:%.70s", r->customer[0] ? "customer" : "who", r->customer[0] ? r->customer : field(r, "who"));
	campaign_report(r->caller->broker, alike, spam, !learn, voice);
}

static void
skip_symbols(struct unpack *u)
{
	for (uint32_t n = unpack_u32(u); n > 0 && !u->bad; n--)
		unpack_span(u);
}

/* One mail's part of W_FEATURES to the trainer. */
static bool
ask_lesson(struct request *r, struct unpack *u)
{
	struct span identity = unpack_span(u), alike = unpack_span(u), features = unpack_span(u);
	bool learn = strcmp(field(r, "cmd"), "learn") == 0, spam = strcmp(field(r, "class"), "spam") == 0;
	struct unpack symbols = *u;
	struct buf body = { 0 };

	skip_symbols(u);
	struct unpack like = *u;

	unpack_span(u);
	if (u->bad)
		return false;
	report_alike(r, &like, spam, learn);
	if (learn && !spam)
		watch_ham(r->caller->broker->watch, &symbols);
	pack_u8(&body, spam);
	pack_u8(&body, learn);
	pack_text(&body, r->caller->reports ? "user" : field(r, "source")[0] ? field(r, "source") : "cli");
	pack_text(&body, r->caller->reports ? field(r, "for") : field(r, "who"));
	pack_text(&body, r->customer);
	pack_u64(&body, r->mailbox);
	pack_span(&body, identity);
	pack_span(&body, alike);
	pack_span(&body, features);
	return link_ask(r->caller->broker->trainer, W_LESSON, &body, NULL, 0, LESSON_MS, lesson_done, r);
}

static void
features_done(void *arg, enum job_result result, struct packet *answer)
{
	struct request *r = arg;
	struct unpack u = { answer ? answer->body : SPAN(""), false };
	uint32_t count = unpack_u32(&u);

	if (result != JOB_DONE || u.bad || answer->type != W_FEATURES || count > MAX_REPORTED) {
		metrics_add(M_LESSONS_FAILED, 1);
		request_reply(r, error(result == JOB_POISON ? "the mail ended two workers; it cannot be learnt" :
		    "no worker could read the mail in time", result == JOB_POISON ? 2 : 1));
		return;
	}
	if (count == 0) {
		request_reply(r, error("no mail is attached: forward what you report as an attachment", 2));
		return;
	}
	r->mails = count;
	r->lessons = 1;                      /* not ended by an answer that comes at once */
	for (uint32_t i = 0; i < count; i++) {
		if (ask_lesson(r, &u))
			r->lessons++;
		else
			r->results[LESSON_FAILED_CODE]++;
	}
	if (--r->lessons == 0)
		lessons_end(r);
}

/* Whose model learns: the customer that the address belongs to, and the mailbox where it has one of its own; without an
 * address, all customers'. */
static bool
lesson_customer(struct request *r)
{
	const char *address = field(r, "for");
	uint32_t class_id;

	if (address[0] == '\0')
		return true;
	const struct policy *policy = customers_lookup(r->caller->broker->customers, span_of(address), &class_id);

	snprintf(r->customer, sizeof r->customer, "%s", policy->customer);
	r->mailbox = wanted_mailbox(r->caller->broker, policy, span_of(address));
	return policy->customer[0] != '\0';
}

/* A mail without session, envelope or policies of its own to a worker. */
static void
submit_plain(struct request *r, enum job kind, job_callback done)
{
	struct buf body = { 0 };

	job_pack_plain(r->caller->broker, kind, &body);
	if (dispatch_submit(r->caller->broker->dispatch, &body, r->fd, clock_ms() + LESSON_MS, done, NULL, r) == NULL)
		request_reply(r, error("the scan queue is full; try again later", 1));
}

static void
learn(struct request *r)
{
	const char *class = field(r, "class");

	metrics_add(M_LESSONS, 1);
	if (r->fd < 0 || (strcmp(class, "spam") != 0 && strcmp(class, "ham") != 0)) {
		request_reply(r, error("learn: a class (spam or ham) and a mail are needed", 2));
		return;
	}
	if (!lesson_customer(r)) {
		request_reply(r, error("--for: that address belongs to no customer (policyctl policy explain ADDRESS)", 2));
		return;
	}
	submit_plain(r, json_is_true(json_object_get(r->json, "attached")) ? JOB_ATTACHED : JOB_FEATURES, features_done);
}

/* ---- released: no lesson, but a word for mails like it ---- */

static void
released_read(void *arg, enum job_result result, struct packet *answer)
{
	struct request *r = arg;
	struct unpack u = { answer ? answer->body : SPAN(""), false };

	if (result == JOB_DONE && answer->type == W_FEATURES && unpack_u32(&u) == 1) {
		for (int i = 0; i < 3; i++)
			unpack_span(&u);             /* identity, alike, features */
		skip_symbols(&u);
		report_alike(r, &u, false, true);
	}
	request_reply(r, json_pack("{s:s}", "result", "heard"));
}

static void
released(struct request *r)
{
	if (r->fd < 0 || !lesson_customer(r))
		request_reply(r, error("released: a mail is needed, and a customer's address or none", 2));
	else
		submit_plain(r, JOB_FEATURES, released_read);
}

/* ---- render: a mail for people to look at ---- */

static void
rendered(void *arg, enum job_result result, struct packet *answer)
{
	struct request *r = arg;
	struct unpack u = { answer ? answer->body : SPAN(""), false };
	json_t *reply = result == JOB_DONE && answer->type == W_RENDERED ? render_json(&u) : NULL;

	request_reply(r, reply ? reply : error(result == JOB_POISON ? "the mail ended two workers; it cannot be shown" :
	    "no worker could read the mail in time", 1));
}

static void
render(struct request *r)
{
	if (r->fd < 0)
		request_reply(r, error("render: no mail came with the request", 2));
	else
		submit_plain(r, JOB_RENDER, rendered);
}

/* ---- trace: what became of a mail; "id" may be several words, each an address or an id of the mail ---- */

/* Is this the word for that event: one of its addresses or ids? */
static bool
event_has(const json_t *event, struct span word)
{
	static const char *const names[] = { "sender", "recipient", "queue_id", "message_id", "ref", "quarantine_id" };
	struct span bare = word.n > 2 && word.p[0] == '<' && word.p[word.n - 1] == '>' ? span_make(word.p + 1, word.n - 2) : word;

	for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
		const char *value = json_string_value(json_object_get(event, names[i]));

		if (value && (span_eq_nocase(span_of(value), word) || span_eq_nocase(span_of(value), bare)))
			return true;
	}
	return false;
}

/* All words must fit, and whoever asks for one customer sees that one's. */
static bool
event_asked(const struct request *r, const json_t *event)
{
	struct span left = span_of(field(r, "id"));
	const char *scope = field(r, "customer"), *customer = json_string_value(json_object_get(event, "customer"));
	size_t words = 0;

	if (scope[0] && (customer == NULL || strcmp(customer, scope) != 0))
		return false;
	for (struct span all = left; all.n > 0;)
		words += span_cut(&all, ' ').n > 0;
	while (words > 1 && left.n > 0) {    /* one alone is what it was found by, in whatever spelling */
		struct span word = span_cut(&left, ' ');

		if (word.n > 0 && !event_has(event, word))
			return false;
	}
	return true;
}

static void traced(void *arg, json_t *events);

/* By its next word: "at" says how far we are. False: there is none. */
static bool
trace_next(struct request *r)
{
	struct span left = span_from(span_of(field(r, "id")), (size_t)json_integer_value(json_object_get(r->json, "at"))), word = SPAN("");

	while (left.n > 0 && word.n == 0)
		word = span_cut(&left, ' ');
	if (word.n == 0)
		return false;
	json_object_set_new(r->json, "at", json_integer((json_int_t)(strlen(field(r, "id")) - left.n)));
	history_find(r->caller->broker->redis, word, traced, r);
	return true;
}

static void
traced(void *arg, json_t *events)
{
	struct request *r = arg;

	if (events == NULL) {
		request_reply(r, error("Redis gave no answer: the history is in it; the log has the same lines", 1));
		return;
	}
	for (size_t i = json_array_size(events); i-- > 0;)
		if (!event_asked(r, json_array_get(events, i)))
			json_array_remove(events, i);
	if (json_array_size(events) == 0 && trace_next(r))
		json_decref(events);         /* a busy sender's list goes not so far back; the recipient's may */
	else
		request_reply(r, json_pack("{s:o}", "events", events));
}

static void
trace(struct request *r)
{
	if (!trace_next(r))
		request_reply(r, error("trace: an id is needed: queue id, Message-ID, reference or quarantine id, or an address", 2));
}

/* ---- policies, status ---- */

static void
policy_done(void *arg, json_t *reply)
{
	request_reply(arg, reply);
}

static void
policy(struct request *r)
{
	if (strcmp(field(r, "cmd"), "policy.remove_customer") == 0)
		deprovision(r->caller->broker, r->json, policy_done, r);
	else if (strcmp(field(r, "cmd"), "policy.meter") == 0)
		meter_request(r->caller->broker->meter, r->json, policy_done, r);
	else
		customers_request(r->caller->broker->customers, r->json, policy_done, r);
}

static void
reputation(struct request *r)
{
	reputations_request(r->caller->broker->reputations, r->json, policy_done, r);
}

static void
rules(struct request *r)
{
	request_reply(r, watch_request(r->caller->broker->watch, r->json));
}

static void
limits(struct request *r)
{
	buckets_request(r->caller->broker->buckets, r->json, policy_done, r);
}

static void
outbound(struct request *r)
{
	request_reply(r, outbound_request(r->caller->broker->outbound, r->json));
}

static void
status(struct request *r)
{
	struct broker *b = r->caller->broker;
	json_t *reply = dispatch_status(b->dispatch);

	json_object_set_new(reply, "lists", lists_status(b->lists));
	json_object_set_new(reply, "dns", dns_status(b->dns));
	json_object_set_new(reply, "redis_up", json_boolean(redis_async_up(b->redis)));
	json_object_set_new(reply, "store_up", json_boolean(link_up(b->store)));
	json_object_set_new(reply, "trainer_up", json_boolean(link_up(b->trainer)));
	json_object_set_new(reply, "policies", customers_status(b->customers));
	json_object_set_new(reply, "variants", variants_status(b));
	json_object_set_new(reply, "policy_source", source_status(b->source));
	json_object_set_new(reply, "limits", buckets_status(b->buckets));
	json_object_set_new(reply, "alarms", alarms_status(b->alarms));
	json_object_set_new(reply, "generation", json_integer((json_int_t)b->config->generation));
	request_reply(r, reply);
}

static const struct command {
	const char *name;
	bool prefix;
	void (*run)(struct request *r);
} commands[] = {
	{ "scan", false, scan }, { "learn", false, learn }, { "unlearn", false, learn }, { "trace", false, trace },
	{ "render", false, render }, { "released", false, released },
	{ "policy.", true, policy }, { "rules.", true, rules }, { "reputation.", true, reputation }, { "limits.", true, limits },
	{ "outbound.", true, outbound }, { "broker.status", false, status },
};

static void
request_start(struct caller *c, uint32_t id, struct span text, const int *fds, int fd_count)
{
	struct request *r = calloc(1, sizeof *r);
	json_error_t bad;

	if (r == NULL) {
		for (int i = 0; i < fd_count; i++)
			close(fds[i]);
		return;
	}
	r->caller = c;
	r->id = id;
	r->fd = fd_count > 0 ? fds[0] : -1;
	for (int i = 1; i < fd_count; i++)
		close(fds[i]);
	c->open++;
	r->json = json_loadb(text.p, text.n, 0, &bad);
	if (!json_is_object(r->json)) {
		request_reply(r, error("the request is no JSON object", 2));
		return;
	}
	const char *name = field(r, "cmd");

	if (c->reports && (strcmp(name, "learn") != 0 || field(r, "for")[0] == '\0')) {
		request_reply(r, error("report.sock takes reports of mail for an address, and nothing else", 2));
		return;
	}
	for (size_t i = 0; i < sizeof commands / sizeof *commands; i++) {
		bool same = commands[i].prefix ? strncmp(name, commands[i].name, strlen(commands[i].name)) == 0 :
		    strcmp(name, commands[i].name) == 0;

		if (same) {
			commands[i].run(r);
			return;
		}
	}
	request_reply(r, error("unknown command", 2));
}

static void
on_caller(evutil_socket_t fd, short what, void *arg)
{
	struct caller *c = arg;
	struct packet packet;
	enum ipc_result result = ipc_recv(fd, &c->inbox, &packet);
	struct unpack u = { packet.body, false };

	(void)what;
	if (result == IPC_AGAIN)
		return;
	if (result == IPC_CLOSED || packet.type != W_REQUEST) {
		if (result == IPC_OK)
			packet_close_fds(&packet);
		c->gone = true;
		event_del(c->readable);
		if (c->open == 0)
			caller_free(c);
		return;
	}
	request_start(c, packet.id, unpack_span(&u), packet.fds, packet.fd_count);
}

void
request_connection(struct broker *b, uint32_t id, struct span json, int *fds, int fd_count, bool reports)
{
	struct caller *c = fd_count > 0 ? calloc(1, sizeof *c) : NULL;

	if (c == NULL || (c->readable = event_new(b->base, fds[0], EV_READ | EV_PERSIST, on_caller, c)) == NULL) {
		for (int i = 0; i < fd_count; i++)
			close(fds[i]);
		free(c);
		return;
	}
	c->broker = b;
	c->reports = reports;
	c->sock = fds[0];
	fcntl(c->sock, F_SETFL, O_NONBLOCK);
	event_add(c->readable, NULL);
	c->open++;                           /* not freed under our hands by a request that is answered at once */
	request_start(c, id, json, fds + 1, fd_count - 1);
	c->open--;
}
