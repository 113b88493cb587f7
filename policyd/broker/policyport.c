/* policyport.c - the policy-delegation port: steps connect to RCPT of the flow, with the milter's own code.
 *
 * At RCPT only what concerns one recipient is answered: DUNNO, or a reply for him alone. Never DISCARD, HOLD or REDIRECT,
 * which would hold for all recipients of the mail; FILTER only to name the queue of bulk mail (bulk.filter). */
#include <stdio.h>
#include <stdlib.h>

#include "policyd/base/clock.h"
#include "policyd/base/log.h"
#include "policyd/base/metrics.h"
#include "policyd/broker/broker.h"
#include "policyd/broker/delegate.h"
#include "policyd/broker/lanes.h"
#include "policyd/broker/limits.h"
#include "policyd/broker/rcpt.h"
#include "policyd/broker/who.h"
#include "policyd/net/lists.h"
#include "policyd/store/customers.h"
#include "policyd/store/source.h"

enum { POLICY_ANSWER_MS = 200 };

struct question {
	struct broker *broker;
	struct delegate_call *call;
	struct policy policy;
	struct ip client;
	struct lists_wait *wait;
	struct who *who;
	struct dnsbl_result lists;
	bool have_lists;
	struct source_wait *source_wait;
	struct limits_wait *limits_wait;
	bool lists_wanted, who_wanted;
	uint64_t size;
	char helo[MAX_HELO + 1], sender[MAX_ADDRESS + 1], recipient[MAX_ADDRESS + 1], login[MAX_LOGIN + 1], context[32], instance[64], reference[REFERENCE_ROOM];
};

static void
answer(struct question *q, const struct rcpt_check *check)
{
	char action[MAX_REPLY_TEXT + 32] = "DUNNO", client[INET6_ADDRSTRLEN];
	const struct config *config = q->broker->config;

	/* The lane is the mail's, not a recipient's: so this one action that holds for all of them may be answered. */
	if (check->action == RCPT_ACCEPT && config->bulk_filter[0] && lanes_expect(q->broker->lanes, config, span_of(q->sender)) == LANE_BULK)
		snprintf(action, sizeof action, "FILTER %s", config->bulk_filter);
	if (check->action != RCPT_ACCEPT) {
		snprintf(action, sizeof action, "%s %s %s", check->code, check->xcode, check->text);
		ip_print(&q->client, client);
		metrics_add(check->action == RCPT_REJECT ? M_REFUSED_AT_RCPT : M_DEFERRED, 1);
		log_info("Blocked at RCPT (policy), [%s] <%s> -> <%s>, ref: %s, answered: %s", client, q->sender,
		    q->recipient, q->reference, action);
	}
	*delegate_data(q->call) = NULL;
	delegate_answer(q->call, action);
	who_close(q->who);
	free(q);
}

static void
limited(void *arg, const struct limits_check *check)
{
	static const struct rcpt_check good = { .action = RCPT_ACCEPT };
	struct question *q = arg;

	/* What is to be held passes here: the milter holds it, which finds our word that it is to. */
	q->limits_wait = NULL;
	answer(q, check->outcome == OUT_DEFER || check->outcome == OUT_REJECT ? &check->reply : &good);
}

static void
judge(struct question *q)
{
	const struct dnsbl_result *lists = q->have_lists ? &q->lists : NULL;
	struct rcpt_check check;
	bool late = false;

	for (size_t i = 0; lists && i < lists->count; i++)
		late |= lists->at[i].answer == DNSBL_UNKNOWN;
	if (late)
		metrics_add(M_POLICY_LATE, 1);
	broker_reference(q->broker, q->reference);
	const struct config *config = q->broker->config;
	const struct entry_facts facts = { .client = &q->client, .sender = span_of(q->sender) };
	bool relayed = nets_have(config->trusted_relays, config->trusted_relay_count, &q->client);

	rcpt_decide(config, &q->policy, lists, who_known(q->who), &q->client,
	    relayed ? LISTED_NOT : customers_listed(q->broker->customers, &q->policy, &facts, wall_s(), NULL), q->reference, &check);
	if (check.action != RCPT_ACCEPT) {
		answer(q, &check);
		return;
	}
	/* Bytes are the milter's to count, who sees them; without one the size that the client declares has to do. */
	const struct limits_envelope envelope = { .config = config, .side = SIDE_POLICY, .client = &q->client, .login = q->login,
	    .context = q->context, .sender = q->sender, .reference = q->reference, .instance = span_of(q->instance),
	    .bytes = config->milter_count ? 0 : q->size };
	struct limits_wait *wait = limits_rcpt(q->broker, &envelope, span_of(q->recipient), &q->policy, limited, q);

	if (wait)                            /* else it has been answered, and `q` is gone */
		q->limits_wait = wait;
}

/* All that his policy wants to know is known. */
static void
go_on(struct question *q)
{
	if (!q->lists_wanted || q->have_lists)
		if (q->who == NULL || who_known(q->who))
			judge(q);
}

static void
lists_done(void *arg, const struct dnsbl_result *result)
{
	struct question *q = arg;

	q->wait = NULL;
	q->lists = *result;
	q->have_lists = true;
	go_on(q);
}

static void
sender_known(void *arg, const struct auth_sender *sender)
{
	(void)sender;
	go_on(arg);
}

static void
copy(char *to, size_t room, struct span s)
{
	snprintf(to, room, SPAN_FMT, SPAN_ARG(span_head(s, room - 1)));
}

/* Lists are asked as the milter asks them: not for logins, own networks, trusted relays, the submission context. */
static bool
lists_wanted(const struct config *config, const struct question *q, const struct delegate_request *request)
{
	return q->client.family != 0 && request->sasl_username.n == 0 && config->dnsbl_count > 0 &&
	       !span_eq(request->policy_context, SPAN("submission")) &&
	       !nets_have(config->own_networks, config->own_network_count, &q->client) &&
	       !nets_have(config->trusted_relays, config->trusted_relay_count, &q->client);
}

/* His policy is known: if it refuses listed clients, the lists are asked; if it refuses what SPF rules out, the sender's domain. */
static void
sourced(void *arg, json_t *values)
{
	struct question *q = arg;
	struct broker *b = q->broker;
	uint32_t class_id;
	char why[256];

	q->source_wait = NULL;
	q->policy = *customers_sourced(b->customers, span_of(q->recipient), values, why, sizeof why, &class_id);
	metrics_add(M_POLICY_LOOKUPS, 1);
	q->lists_wanted &= rcpt_needs_lists(&q->policy);
	if (q->who_wanted && rcpt_needs_sender(&q->policy))
		q->who = who_open(b, &q->client, true, span_of(q->helo), span_of(q->sender), POLICY_ANSWER_MS);
	if (q->who && who_known(q->who) == NULL)
		who_then(q->who, sender_known, q);
	if (!q->lists_wanted) {
		go_on(q);
		return;
	}
	struct lists_wait *wait = lists_ask(b->lists, &q->client, POLICY_ANSWER_MS, lists_done, q);

	if (wait)                            /* else it has been answered, and `q` may be gone */
		q->wait = wait;
}

static void
ask(void *arg, struct delegate_call *call, const struct delegate_request *request)
{
	struct broker *b = arg;
	struct question *q;
	uint64_t port;

	metrics_add(M_POLICY_REQUESTS, 1);
	if (!span_eq(request->protocol_state, SPAN("RCPT")) || (q = calloc(1, sizeof *q)) == NULL) {
		delegate_answer(call, "DUNNO");
		return;
	}
	q->broker = b;
	q->call = call;
	ip_parse(request->client_address, &q->client);
	copy(q->helo, sizeof q->helo, request->helo_name);
	copy(q->sender, sizeof q->sender, request->sender);
	copy(q->recipient, sizeof q->recipient, request->recipient);
	copy(q->login, sizeof q->login, request->sasl_username);
	copy(q->context, sizeof q->context, request->policy_context);
	copy(q->instance, sizeof q->instance, request->instance);
	span_u64(request->size, &q->size);
	if (span_u64(request->client_port, &port))
		q->client.port = (uint16_t)port;
	if (rcpt_reserved(b->config, request->recipient)) {
		free(q);
		delegate_answer(call, "550 5.1.1 No such recipient here");
		return;
	}
	q->lists_wanted = lists_wanted(b->config, q, request);
	q->who_wanted = who_wanted(b->config, &q->client, request->sasl_username, request->policy_context);
	*delegate_data(call) = q;
	if (!source_wanted(b->source)) {
		sourced(q, NULL);
		return;
	}
	char canonical[2 * MAX_ADDRESS + 2], base[MAX_ADDRESS + 1];

	customers_canonical(request->recipient, canonical, sizeof canonical);
	customers_base(b->customers, request->recipient, base, sizeof base);
	struct source_wait *wait = source_find(b->source, canonical, base, sourced, q);

	if (wait)                            /* else it has been found, and `q` may be gone */
		q->source_wait = wait;
}

static void
gone(void *arg, struct delegate_call *call)
{
	struct question *q = *delegate_data(call);

	(void)arg;
	if (q == NULL)
		return;
	if (q->source_wait)
		source_cancel(q->source_wait);
	if (q->wait)
		lists_cancel(q->wait);
	who_close(q->who);
	if (q->limits_wait)
		limits_cancel(q->limits_wait);
	free(q);
}

bool
policyport_open(struct broker *b, int listen_fd)
{
	b->delegate = delegate_open(b->base, listen_fd, ask, gone, b);
	return b->delegate != NULL;
}
