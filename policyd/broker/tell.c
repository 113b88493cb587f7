/* tell.c - one line in the log and one event in the history for each recipient.
 *
 * The line, greppable in the way amavis' lines are:
 *   Passed SPAM, [192.0.2.1]:4711 <a@b.example> -> <u@test.example>, Queue-ID: 4Xq, ref: K7..., Message-ID: <..>,
 *   Hits: 5.10, tag=4 quarantine=7 discard=15, quarantine-id: q..., auth=[iprev=pass spf=pass dkim=pass:b.example dmarc=pass],
 *   tests=[BAYES=2.1,GTUBE=1000], size: 512, 41 ms
 * Behind a trusted relay the client before it stands after the relay: [192.0.2.1]:4711 [203.0.113.9] <a@b.example>
 */
#include <event2/event.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>

#include "policyd/base/clock.h"
#include "policyd/base/log.h"
#include "policyd/base/utf8.h"
#include "policyd/broker/headers.h"
#include "policyd/broker/transaction.h"
#include "policyd/store/customers.h"
#include "policyd/store/history.h"
#include "policyd/store/recent.h"
#include "policyd/store/redis_async.h"

enum { TELL_AT_ONCE = 200, TELL_EVERY_US = 1000, TELL_WAITING = 2000 };

static const char *const verbs[OUT__COUNT] = {
	[OUT_DELIVER] = "Passed", [OUT_TAG] = "Passed", [OUT_QUARANTINE] = "Quarantined", [OUT_DISCARD] = "Discarded",
	[OUT_REJECT] = "Rejected", [OUT_DEFER] = "Deferred",
};

/* What the mail was called for this recipient. */
static const char *
noun(const struct tx *tx, const struct recipient *r, const struct fate *fate)
{
	unsigned classes = tx->poison ? CLASS_UNSCANNABLE : tx_classes(tx, r);

	if (fate->outcome == OUT_DEFER)
		return tx->scanned.defer ? "UNCHECKED" : "TEMPFAIL";
	if (classes & CLASS_VIRUS)
		return "VIRUS";
	if (classes & CLASS_PHISH)
		return "PHISH";
	if (classes & CLASS_BANNED)
		return "BANNED";
	if (classes & CLASS_UNSCANNABLE)
		return "UNSCANNABLE";
	if (r->limit != OUT_DELIVER && fate->wanted == r->limit)
		return "LIMITED";
	if (!r->policy->filter)
		return "UNFILTERED";
	return fate->outcome == OUT_DELIVER ? "CLEAN" : "SPAM";
}

static json_t *
text(struct span s)
{
	return json_stringn(s.n && utf8_valid(s) ? s.p : "", s.n && utf8_valid(s) ? s.n : 0);
}

static void
set_points(json_t *to, const char *name, double points)
{
	json_object_set_new(to, name, isfinite(points) ? json_real(points) : json_null());
}

static json_t *
symbols_json(const struct tx *tx, const struct scanned_class *score)
{
	json_t *list = json_array();

	for (uint32_t i = 0; i < tx->scanned.symbol_count; i++) {
		const struct symbol *s = &tx->scanned.symbols[i];

		json_array_append_new(list, json_pack("{s:o, s:f, s:o}", "name", text(s->name), "points", s->points,
		    "evidence", text(s->evidence)));
	}
	if (score && score->model_known)
		json_array_append_new(list, json_pack("{s:s, s:f, s:f}", "name", "BAYES", "points", score->bayes_points,
		    "probability", score->probability));
	if (score && score->known_symbol)
		json_array_append_new(list, json_pack("{s:s, s:f}", "name", score->known_symbol, "points", score->known_points));
	return list;
}

char *
tell_symbols(const struct tx *tx, const struct scanned_class *score)
{
	json_t *list = symbols_json(tx, score);
	char *json;

	if (tx->poison)
		json_array_append_new(list, json_pack("{s:s, s:f, s:s}", "name", "POISON", "points", 0.0, "evidence", "it ended two workers"));
	json = json_dumps(list, JSON_COMPACT);
	json_decref(list);
	return json;
}

static json_t *
event_start(const struct tx *tx, const char *what, const char *recipient, const char *reply)
{
	char client[INET6_ADDRSTRLEN];

	ip_print(&tx->session.client, client);
	return json_pack("{s:I, s:s, s:s, s:s, s:s, s:o, s:o, s:o, s:s, s:o}", "time_ms", (json_int_t)wall_ms(), "event", what,
	    "ref", tx->reference, "client", client, "context", tx->session.context,
	    "helo", text(span_of(tx->session.helo)), "sender", text(span_of(tx->envelope.sender)),
	    "recipient", text(span_of(recipient)), "queue_id", tx->envelope.queue_id, "reply", text(span_of(reply)));
}

/* The event goes to the history, and to the log when JSON is asked for there. */
static void
record(const struct tx *tx, bool first, const char *quarantine_id, json_t *event)
{
	const struct span none = { 0 };      /* what is the same for all recipients is noted once */
	const struct span ids[] = { span_of(quarantine_id), first ? span_of(tx->envelope.queue_id) : none, first ? tx->scanned.message_id : none };
	const char *recipient = json_string_value(json_object_get(event, "recipient"));
	char *json = json_dumps(event, JSON_COMPACT);

	if (json) {
		history_add(tx->broker->redis, span_of(tx->reference), ids, sizeof ids / sizeof *ids, first ? span_of(tx->envelope.sender) : none,
		    span_of(recipient ? recipient : ""), json);
		if (tx->config->log_json)
			log_info("%s", json);
	}
	free(json);
	json_decref(event);
}

/* Who sent it, in the words of Authentication-Results. */
static json_t *
auth_json(const struct auth *auth)
{
	json_t *dkim = json_array(), *out = json_object();

	for (size_t i = 0; i < auth->dkim_count; i++)
		json_array_append_new(dkim, json_pack("{s:s, s:s, s:s}", "result", dkim_result_names[auth->dkim[i].result], "domain",
		    auth->dkim[i].domain, "reason", auth->dkim[i].reason));
	if (auth->sender.asked) {
		json_object_set_new(out, "iprev", json_string(iprev_result_names[auth->sender.iprev]));
		json_object_set_new(out, "spf", json_string(spf_result_names[auth->sender.spf]));
		json_object_set_new(out, "spf_domain", json_string(auth->sender.spf_domain));
		json_object_set_new(out, "spf_helo", json_string(spf_result_names[auth->sender.spf_helo]));
	}
	json_object_set_new(out, "dkim", dkim);
	json_object_set_new(out, "dmarc", json_string(dmarc_result_names[auth->dmarc]));
	json_object_set_new(out, "arc", json_string(arc_result_names[auth->arc]));
	return out;
}

/* "spf=pass dkim=pass:good.example dmarc=pass": what was looked at. */
static void
print_auth(struct buf *out, const struct auth *auth)
{
	if (auth->sender.asked)
		buf_printf(out, "iprev=%s spf=%s ", iprev_result_names[auth->sender.iprev], spf_result_names[auth->sender.spf]);
	for (size_t i = 0; i < auth->dkim_count; i++)
		buf_printf(out, "dkim=%s:%s ", dkim_result_names[auth->dkim[i].result], auth->dkim[i].domain);
	if (auth->dmarc != DMARC_NONE)
		buf_printf(out, "dmarc=%s ", dmarc_result_names[auth->dmarc]);
	if (auth->arc != ARC_NONE)
		buf_printf(out, "arc=%s ", arc_result_names[auth->arc]);
	if (out->n > 0)
		out->n--;
}

static void
print_threshold(char to[24], double points)
{
	if (isfinite(points))
		snprintf(to, 24, "%g", points);
	else
		snprintf(to, 24, "off");
}

/* A threshold as it is in force: who wants no filtering has none. */
static double
in_force(const struct recipient *r, double threshold)
{
	return r->policy->filter ? threshold : THRESHOLD_OFF;
}

static void
log_recipient(const struct tx *tx, uint32_t i, const char *address, const char *reply)
{
	const struct recipient *r = &tx->recipients[i];
	const struct fate *fate = &tx->fates[i];
	const struct scanned_class *score = tx->have_scanned ? &tx->scanned.scores[r->score] : NULL;
	char client[INET6_ADDRSTRLEN], origin[INET6_ADDRSTRLEN], tag[24], quarantine[24], discard[24];
	bool relayed = tx->origin.family != 0;
	struct span banned = score ? score->banned : SPAN("");
	struct buf symbols = { 0 }, auth = { 0 };

	ip_print(&tx->session.client, client);
	ip_print(&tx->origin, origin);
	print_threshold(tag, in_force(r, r->policy->tag));
	print_threshold(quarantine, in_force(r, r->policy->quarantine));
	print_threshold(discard, in_force(r, r->policy->discard));
	headers_symbols(&symbols, tx, score, ",");
	print_auth(&auth, &tx->scanned.auth);
	log_info("%s %s, [%s]:%u %s%s%s<%s> -> <%s>, Queue-ID: %s, ref: %s, Message-ID: " SPAN_FMT ", Hits: %.2f, "
	    "tag=%s quarantine=%s discard=%s, %s%s%s%s" SPAN_FMT "%sauth=[" SPAN_FMT "], tests=[" SPAN_FMT "], size: %llu, %lld ms%s%s",
	    verbs[fate->outcome], noun(tx, r, fate), client, tx->session.client.port, relayed ? "[" : "",
	    relayed ? origin : "", relayed ? "] " : "", tx->envelope.sender, address,
	    tx->envelope.queue_id[0] ? tx->envelope.queue_id : "-", tx->reference, SPAN_ARG(tx->scanned.message_id),
	    score ? score->points : 0, tag, quarantine, discard, fate->store ? "quarantine-id: " : "",
	    tx_quarantine_id(tx, i), fate->store ? ", " : "", banned.n > 0 ? "banned: " : "", SPAN_ARG(banned), banned.n > 0 ? ", " : "",
	    SPAN_ARG(buf_span(&auth)), SPAN_ARG(buf_span(&symbols)),
	    (unsigned long long)tx->size, (long long)(clock_ms() - tx->start_ms),
	    r->outbound ? ", outbound" : fate->route && fate->strip ? ", by variant, files taken out" : fate->route ? ", by variant" :
	    tx->settlement.fallback && !fate->remove ? ", variants folded" : "",
	    fate->wanted != fate->outcome ? ", not as wanted" : "");
	if (fate->outcome == OUT_DEFER || fate->outcome == OUT_REJECT)
		log_info("ref: %s answered: %s", tx->reference, reply);
	buf_free(&symbols);
	buf_free(&auth);
}

/* For trying other policies on it. What his users send out, and what was not looked at, says nothing of that. */
static void
remember(const struct tx *tx, const struct recipient *r, const struct fate *fate, const char *address)
{
	struct span signers[AUTH_DKIM_MOST];
	const struct recent mail = { .time_s = wall_s(), .reference = tx->reference, .recipient = address, .outcome = fate->outcome,
	    .found = tx_judgement(tx, r, r->policy), .facts = tx_facts(tx, signers) };

	if (!r->outbound)
		recent_add(tx->broker->redis, r->policy->customer, &mail);
}

static void
tell_some(struct tx *tx, uint32_t count)
{
	const char *reply = tx->told_reply;

	for (; tx->told < tx->recipient_count && count > 0; tx->told++, count--) {
		const uint32_t i = tx->told;
		const struct recipient *r = &tx->recipients[i];
		const struct fate *fate = &tx->fates[i];
		const struct scanned_class *score = tx->have_scanned ? &tx->scanned.scores[r->score] : NULL;
		char address[MAX_ADDRESS + 1];

		customers_canonical(span_of(r->raw), address, sizeof address);
		if (!tx->config->log_json)
			log_recipient(tx, i, address, reply);
		json_t *event = event_start(tx, "message", address, reply);

		if (tx->origin.family != 0) {
			char origin[INET6_ADDRSTRLEN];

			ip_print(&tx->origin, origin);
			json_object_set_new(event, "origin", json_string(origin));
		}
		json_object_set_new(event, "outcome", json_string(outcome_names[fate->outcome]));
		json_object_set_new(event, "customer", json_string(fate->policy->customer));
		json_object_set_new(event, "direction", json_string(r->outbound ? "out" : "in"));
		json_object_set_new(event, "lane", json_string(lane_names[tx->lane]));
		json_object_set_new(event, "by_variant", json_boolean(fate->route));
		json_object_set_new(event, "files_taken_out", json_boolean(fate->route && fate->strip));
		json_object_set_new(event, "wanted", json_string(outcome_names[fate->wanted]));
		json_object_set_new(event, "verdict", json_string(noun(tx, r, fate)));
		json_object_set_new(event, "message_id", text(tx->scanned.message_id));
		json_object_set_new(event, "from", text(tx->scanned.from));
		json_object_set_new(event, "subject", text(tx->scanned.subject));
		json_object_set_new(event, "points", json_real(score ? score->points : 0));
		if (score && score->banned.n > 0)
			json_object_set_new(event, "banned", text(score->banned));
		json_object_set_new(event, "auth", auth_json(&tx->scanned.auth));
		set_points(event, "tag", in_force(r, r->policy->tag));
		set_points(event, "quarantine", in_force(r, r->policy->quarantine));
		set_points(event, "discard", in_force(r, r->policy->discard));
		json_object_set_new(event, "symbols", symbols_json(tx, score));
		json_object_set_new(event, "quarantine_id", json_string(tx_quarantine_id(tx, i)));
		json_object_set_new(event, "size", json_integer((json_int_t)tx->size));
		json_object_set_new(event, "took_ms", json_integer(clock_ms() - tx->start_ms));
		json_object_set_new(event, "config", json_integer((json_int_t)tx->config->generation));
		record(tx, i == 0, tx_quarantine_id(tx, i), event);
		if (tx->have_scanned)
			remember(tx, r, fate, address);
	}
}

/* The rest of a mail to very many, some at a time: others are served between, and Redis is never owed more than it can take in. */
static void
tell_more(evutil_socket_t fd, short what, void *arg)
{
	struct timeval soon = { 0, TELL_EVERY_US };
	struct tx *tx = arg;

	(void)fd;
	(void)what;
	if (redis_async_waiting(tx->broker->redis) < TELL_WAITING)
		tell_some(tx, TELL_AT_ONCE);
	if (tx->told < tx->recipient_count) {
		event_add(tx->telling, &soon);
		return;
	}
	event_free(tx->telling);
	tx->telling = NULL;
	if (tx->gate == NULL)                /* it has ended meanwhile */
		tx_free(tx);
}

void
tell_outcome(struct tx *tx, const char *reply)
{
	struct timeval soon = { 0, TELL_EVERY_US };

	snprintf(tx->told_reply, sizeof tx->told_reply, "%s", reply);
	tell_some(tx, TELL_AT_ONCE);
	if (tx->told == tx->recipient_count)
		return;
	tx->telling = evtimer_new(tx->broker->base, tell_more, tx);
	if (tx->telling && event_add(tx->telling, &soon) == 0)
		return;
	if (tx->telling)
		event_free(tx->telling);
	tx->telling = NULL;
	tell_some(tx, UINT32_MAX);
}

void
tell_refused(const struct tx *tx, const char *recipient, const char *reply)
{
	char client[INET6_ADDRSTRLEN], address[MAX_ADDRESS + 1];

	ip_print(&tx->session.client, client);
	customers_canonical(span_of(recipient), address, sizeof address);
	if (!tx->config->log_json)
		log_info("Blocked at RCPT, [%s]:%u <%s> -> <%s>, ref: %s, answered: %s", client, tx->session.client.port,
		    tx->envelope.sender, address, tx->reference, reply);
	json_t *event = event_start(tx, "rcpt", address, reply);

	uint32_t class_id;

	json_object_set_new(event, "customer", json_string(customers_lookup(tx->broker->customers, span_of(address), &class_id)->customer));
	json_object_set_new(event, "outcome", json_string(reply[0] == '5' ? "reject" : "defer"));
	record(tx, true, "", event);
}
