#include "policyd/broker/transaction.h"
#include "policyd/broker/wanted.h"

#include <event2/event.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "policyd/base/clock.h"
#include "policyd/base/log.h"
#include "policyd/base/metrics.h"
#include "policyd/broker/dispatch.h"
#include "policyd/broker/lanes.h"
#include "policyd/broker/rcpt.h"
#include "policyd/broker/reputation.h"
#include "policyd/store/customers.h"
#include "policyd/store/meter.h"
#include "policyd/store/source.h"

enum { ANSWER_RESERVE_MS = 5000 };           /* of the message's time, kept for storing and telling */

static void conn_known(struct conn *conn);

void
tx_free(struct tx *tx)
{
	if (tx == NULL)
		return;
	wanted_forget(tx->own_wait);
	if (tx->source_wait)
		source_cancel(tx->source_wait);
	tx->source_wait = NULL;
	if (tx->limits_wait)
		limits_cancel(tx->limits_wait);
	tx->limits_wait = NULL;
	if (tx->work)
		work_forget(tx->work);
	answers_forget(tx);
	who_close(tx->who);
	tx->who = NULL;
	if (tx->storing || tx->telling) {    /* the store's answer comes to tx_stored, the last line to tell_more: it frees what is left */
		tx->conn = NULL;
		tx->gate = NULL;
		return;
	}
	metrics_set(M_TRANSACTIONS_NOW, --tx->broker->transactions);
	if (tx->mail_fd >= 0)
		close(tx->mail_fd);
	if (tx->have_scanned)
		scanned_free(&tx->scanned);
	free(tx->answer_body);
	reputation_free(tx);
	for (uint32_t i = 0; i < tx->recipient_count; i++)
		free(tx->recipients[i].raw);
	free(tx->recipients);
	free(tx->waiting_raw);
	json_decref(tx->sourced);
	free(tx->quarantine_ids);
	free(tx->fates);
	settings_drop(tx->settings);
	customers_let_go(tx->broker->customers, tx->held);
	free(tx);
}

static void
tx_end(struct tx *tx)
{
	map_take(&tx->gate->txs, tx->id);
	if (tx->conn)
		tx->conn->tx = NULL;
	tx_free(tx);
}

static void
conn_end(struct conn *conn)
{
	if (conn->tx)
		tx_end(conn->tx);
	if (conn->lists_wait)
		lists_cancel(conn->lists_wait);
	who_close(conn->who);
	map_take(&conn->gate->conns, conn->id);
	free(conn);
}

static void
lists_done(void *arg, const struct dnsbl_result *result)
{
	struct conn *conn = arg;

	conn->lists = *result;
	conn->lists_state = LISTS_KNOWN;
	conn->lists_wait = NULL;
	conn_known(conn);
}

/* Nobody asks a blocklist about his own users: not behind a login, on a submission listener, from own networks.
 * A trusted relay is not the client either: that one is found in its Received header (stage_relay). */
static bool
lists_wanted(const struct config *config, const struct session *s)
{
	return s->client.family != 0 && s->login[0] == '\0' && strcmp(s->context, "submission") != 0 &&
	       config->dnsbl_count > 0 && !nets_have(config->own_networks, config->own_network_count, &s->client) &&
	       !nets_have(config->trusted_relays, config->trusted_relay_count, &s->client);
}

static void
on_connect(struct gate *gate, struct unpack *u)
{
	struct conn *conn = calloc(1, sizeof *conn), *old;

	if (conn == NULL)
		return;                      /* its mails are deferred: no such connection */
	conn->gate = gate;
	conn->id = unpack_u64(u);
	wire_unpack_session(u, &conn->session);
	if ((old = map_get(&gate->conns, conn->id)) != NULL)
		conn_end(old);
	if (u->bad || !map_put(&gate->conns, conn->id, conn)) {
		free(conn);
		return;
	}
	metrics_add(M_CONNECTIONS, 1);
	const struct config *config = gate->broker->config;
	const struct session *s = &conn->session;

	if (who_wanted(config, &s->client, span_of(s->login), span_of(s->context)))
		conn->who = who_open(gate->broker, &s->client, false, SPAN(""), SPAN(""), (int)config->dns_timeout_ms);
	if (lists_wanted(config, &conn->session)) {
		conn->lists_state = LISTS_PENDING;
		struct lists_wait *wait = lists_ask(gate->broker->lists, &conn->session.client,
		    (int)config->dns_timeout_ms, lists_done, conn);

		if (conn->lists_state == LISTS_PENDING)
			conn->lists_wait = wait;
	}
}

void
tx_ask_sender(struct tx *tx)
{
	const struct session *s = &tx->session;

	if (tx->who == NULL && who_wanted(tx->config, &s->client, span_of(s->login), span_of(s->context)))
		tx->who = who_open(tx->broker, &s->client, true, span_of(s->helo), span_of(tx->envelope.sender), WHO_MS(tx->config));
}

static void
on_mail(struct gate *gate, struct unpack *u)
{
	struct conn *conn = map_get(&gate->conns, unpack_u64(u));
	struct tx *tx = conn ? calloc(1, sizeof *tx) : NULL;

	if (tx == NULL)
		return;
	if (conn->tx)
		tx_end(conn->tx);
	tx->broker = gate->broker;
	tx->gate = gate;
	tx->conn = conn;
	tx->mail_fd = -1;
	metrics_set(M_TRANSACTIONS_NOW, ++gate->broker->transactions);
	tx->settings = settings_hold(gate->broker);
	tx->held = customers_hold(gate->broker->customers);
	tx->config = tx->settings->config;
	tx->id = unpack_u64(u);
	wire_unpack_session(u, &tx->session);
	wire_unpack_envelope(u, &tx->envelope);
	broker_reference(gate->broker, tx->reference);
	tx->relayed = tx->session.login[0] == '\0' && strcmp(tx->session.context, "submission") != 0 &&
	    nets_have(tx->config->trusted_relays, tx->config->trusted_relay_count, &tx->session.client);
	if (u->bad || !map_put(&gate->txs, tx->id, tx)) {
		tx_free(tx);
		return;
	}
	conn->session = tx->session;         /* HELO and login are known by now */
	conn->tx = tx;
	tx_ask_sender(tx);
}

static void
send_rcpt_answer(struct gate *gate, uint32_t id, enum rcpt_action action, const char *code, const char *xcode,
    const char *text)
{
	struct buf body = { 0 };

	pack_u8(&body, (uint8_t)action);
	pack_text(&body, code);
	pack_text(&body, xcode);
	pack_text(&body, text);
	struct packet answer = { .type = W_RCPT_ANSWER, .id = id, .body = buf_span(&body) };

	ipc_send_wait(gate->sock, &answer, GATE_SEND_MS);
	buf_free(&body);
}

static bool
recipient_add(struct tx *tx, const char *raw, enum outcome limit)
{
	if (tx->recipient_count >= MAX_RECIPIENTS)
		return false;
	if (tx->recipient_count == tx->recipient_room) {
		uint32_t room = tx->recipient_room ? tx->recipient_room * 2 : 4;
		struct recipient *more = realloc(tx->recipients, room * sizeof *more);

		if (more == NULL)
			return false;
		tx->recipients = more;
		tx->recipient_room = room;
	}
	struct recipient *r = &tx->recipients[tx->recipient_count];

	*r = (struct recipient){ .raw = strdup(raw), .index = tx->waiting_index, .policy = tx->present.policy, .class_id = tx->present.class_id,
	    .outbound = tx->present.outbound, .limit = limit };
	if (r->raw == NULL)
		return false;
	tx->recipient_count++;
	return true;
}

/* The present RCPT is decided. */
static void
rcpt_answer(struct tx *tx, const struct rcpt_check *check)
{
	char *raw = tx->waiting_raw;

	tx->waiting = false;
	tx->waiting_raw = NULL;
	if (check->action != RCPT_ACCEPT) {
		char reply[MAX_REPLY_TEXT + 32];

		snprintf(reply, sizeof reply, "%s %s %s", check->code, check->xcode, check->text);
		metrics_add(check->action == RCPT_REJECT ? M_REFUSED_AT_RCPT : M_DEFERRED, 1);
		meter_refused(tx->broker->meter, tx->present.policy->customer);
		tell_refused(tx, raw, reply);
	}
	send_rcpt_answer(tx->gate, tx->waiting_id, check->action, check->code, check->xcode, check->text);
	free(raw);
}

static struct limits_envelope
limits_envelope(const struct tx *tx)
{
	return (struct limits_envelope){ .config = tx->config, .side = SIDE_MILTER, .client = &tx->session.client, .login = tx->session.login,
	    .context = tx->session.context, .sender = tx->envelope.sender, .reference = tx->reference, .first = !tx->counted, .bytes = tx->size };
}

static void
rcpt_limited(void *arg, const struct limits_check *limited)
{
	struct tx *tx = arg;
	struct rcpt_check check = { .action = RCPT_ACCEPT };

	tx->limits_wait = NULL;
	tx->counted |= limited->counted;
	if (limited->outcome == OUT_DEFER || limited->outcome == OUT_REJECT)
		check = limited->reply;
	else if (!recipient_add(tx, tx->waiting_raw, limited->outcome))
		check = (struct rcpt_check){ RCPT_DEFER, "452", "4.5.3", "Too many recipients; try the rest later" };
	rcpt_answer(tx, &check);
}

/* His policy and the lists are known. What he does not refuse may still be too much. */
static void
rcpt_judge(struct tx *tx)
{
	const struct conn *conn = tx->conn;
	const struct policy *policy = tx->present.policy;
	const struct entry_facts facts = { .client = &tx->session.client, .sender = span_of(tx->envelope.sender) };
	struct rcpt_check check;

	rcpt_decide(tx->config, policy, conn->lists_state == LISTS_KNOWN ? &conn->lists : NULL, who_known(tx->who), &tx->session.client,
	    tx->relayed ? LISTED_NOT : customers_listed(tx->broker->customers, policy, &facts, wall_s(), NULL), tx->reference, &check);
	if (check.action != RCPT_ACCEPT) {
		rcpt_answer(tx, &check);
		return;
	}
	const struct limits_envelope envelope = limits_envelope(tx);
	struct limits_wait *wait = limits_rcpt(tx->broker, &envelope, span_of(tx->waiting_raw), policy, rcpt_limited, tx);

	if (wait)                            /* else it has been answered */
		tx->limits_wait = wait;
}

/* Direction is each recipient's own: somebody of ours gets mail by his policy, whoever sends it. Mail of one of ours (a login, a
 * submission listener, own networks) to somebody who is not goes by the sender's policy for what leaves. */
static const struct policy *
policy_of(const struct tx *tx, struct span rcpt, uint32_t *class_id, bool *outbound)
{
	static int64_t complained;
	struct customers *customers = tx->broker->customers;
	const struct session *s = &tx->session;
	char why[256];
	bool login = s->login[0] != '\0', ours = login || strcmp(s->context, "submission") == 0 ||
	    nets_have(tx->config->own_networks, tx->config->own_network_count, &s->client);
	struct span sender = login && strchr(s->login, '@') ? span_of(s->login) : span_of(tx->envelope.sender);

	metrics_add(M_POLICY_LOOKUPS, 1);
	*outbound = ours && tx->sourced == NULL && !customers_know(customers, rcpt) && customers_know(customers, sender);
	if (*outbound)
		return customers_outbound(customers, sender, class_id);
	if (tx->sourced == NULL)
		return customers_lookup(customers, rcpt, class_id);
	const struct policy *policy = customers_sourced(customers, rcpt, tx->sourced, why, sizeof why, class_id);

	if (why[0]) {
		metrics_add(M_SOURCE_BAD, 1);
		log_seldom(&complained, 30, "policy_source: for " SPAN_FMT ": %s; taken as nothing", SPAN_ARG(rcpt), why);
	}
	return policy;
}

static void sender_known(void *arg, const struct auth_sender *sender);

/* His policy is known, or will not be better known. If it refuses listed clients, or what SPF rules out, those answers are
 * needed first. */
static void
rcpt_go_on(struct tx *tx)
{
	uint32_t class_id;
	bool outbound;
	const struct policy *policy = policy_of(tx, span_of(tx->waiting_raw), &class_id, &outbound);

	if (tx->conn->lists_state == LISTS_PENDING && rcpt_needs_lists(policy))
		return;                      /* conn_known goes on */
	if (tx->who && who_known(tx->who) == NULL && rcpt_needs_sender(policy)) {
		who_then(tx->who, sender_known, tx);
		return;
	}
	json_decref(tx->sourced);
	tx->sourced = NULL;
	tx->present.policy = policy;
	tx->present.class_id = class_id;
	tx->present.outbound = outbound;
	rcpt_judge(tx);
}

static void
sender_known(void *arg, const struct auth_sender *sender)
{
	struct tx *tx = arg;

	(void)sender;
	if (tx->waiting && tx->waiting_raw && tx->source_wait == NULL && tx->limits_wait == NULL)
		rcpt_go_on(tx);
}

static void
rcpt_sourced(void *arg, json_t *values)
{
	struct tx *tx = arg;

	tx->source_wait = NULL;
	tx->sourced = json_incref(values);
	rcpt_go_on(tx);
}

static void
on_rcpt(struct gate *gate, uint32_t id, struct unpack *u)
{
	struct tx *tx = map_get(&gate->txs, unpack_u64(u));
	uint32_t index = unpack_u32(u);
	struct span span = unpack_span(u);
	char raw[MAX_ADDRESS + 1];

	if (tx == NULL || u->bad || tx->conn == NULL || tx->waiting || span.n > MAX_ADDRESS) {
		send_rcpt_answer(gate, id, RCPT_DEFER, "451", "4.3.0", "Try again later");
		return;
	}
	memcpy(raw, span.p, span.n);
	raw[span.n] = '\0';
	if (rcpt_reserved(tx->config, span)) {
		tell_refused(tx, raw, "550 5.1.1 reserved domain");
		send_rcpt_answer(gate, id, RCPT_REJECT, "550", "5.1.1", "No such recipient here");
		return;
	}
	tx->waiting_raw = strdup(raw);
	tx->waiting = tx->waiting_raw != NULL;
	tx->waiting_id = id;
	tx->waiting_index = index;
	if (!tx->waiting) {
		send_rcpt_answer(gate, id, RCPT_DEFER, "451", "4.3.0", "Try again later");
	} else if (!source_wanted(gate->broker->source)) {
		rcpt_go_on(tx);
	} else {
		char canonical[2 * MAX_ADDRESS + 2], base[MAX_ADDRESS + 1];

		customers_canonical(span, canonical, sizeof canonical);
		customers_base(gate->broker->customers, span, base, sizeof base);
		tx->source_wait = source_find(gate->broker->source, canonical, base, rcpt_sourced, tx);
	}
}

static void
message_scanned(void *arg, enum job_result result, struct packet *answer)
{
	struct tx *tx = arg;

	tx->work = NULL;
	if (result == JOB_LATE) {
		tx_defer(tx, "451", "4.3.2", "The content filter is busy; try again later");
		return;
	}
	tx->poison = result == JOB_POISON;
	if (!tx->poison) {
		/* The packet goes away with this call; what it says is needed until the log is written. */
		tx->answer_body = malloc(answer->body.n ? answer->body.n : 1);
		if (tx->answer_body == NULL || answer->type != W_SCANNED) {
			tx_defer(tx, "451", "4.3.0", "Local error; try again later");
			return;
		}
		memcpy(tx->answer_body, answer->body.p, answer->body.n);
		struct unpack u = { span_make(tx->answer_body, answer->body.n), false };

		tx->have_scanned = scanned_unpack(&u, &tx->scanned);
		if (!tx->have_scanned || !reputation_credit(tx)) {
			tx_defer(tx, "451", "4.3.0", "Local error; try again later");
			return;
		}
	}
	tx_scanned(tx);
}

static void
message_asked(void *arg, struct packet *question)
{
	if (question == NULL || question->type != W_ACCOUNT)
		answers_asked(arg, question);
}

static void
message_submit(struct tx *tx)
{
	struct buf body = { 0 };

	tx_pack_job(tx, &body);
	tx->work = dispatch_submit_lane(tx->gate->broker->dispatch, tx->lane, &body, tx->mail_fd, tx->deadline_ms - ANSWER_RESERVE_MS,
	    message_scanned, message_asked, tx);
	if (tx->work == NULL)
		tx_defer(tx, "451", "4.3.2", "Too much mail at once; try again later");
}

/* Its bytes are counted: go on, or not. */
static void
message_limited(void *arg, const struct limits_check *limited)
{
	struct tx *tx = arg;

	tx->limits_wait = NULL;
	if (limited->outcome == OUT_DEFER) {
		tx_defer(tx, "451", "4.7.1", limited->reply.text);
		return;
	}
	if (limited->outcome != OUT_DELIVER) {
		snprintf(tx->limit_text, sizeof tx->limit_text, "%s", limited->reply.text);
		for (uint32_t i = 0; i < tx->recipient_count; i++)
			tx->recipients[i].limit = limited->outcome;
	}
	wanted_then(tx, message_submit);
}

static void
message_start(struct tx *tx)
{
	struct limits_rcpt_of *rcpts = malloc(tx->recipient_count * sizeof *rcpts);
	const struct limits_envelope envelope = limits_envelope(tx);

	if (tx->conn && tx->conn->lists_state == LISTS_KNOWN)
		tx->lists = tx->conn->lists;
	for (uint32_t i = 0; rcpts && i < tx->recipient_count; i++)
		rcpts[i] = (struct limits_rcpt_of){ span_of(tx->recipients[i].raw), tx->recipients[i].policy };
	struct limits_wait *wait = limits_message(tx->broker, &envelope, rcpts, rcpts ? tx->recipient_count : 0, message_limited, tx);

	if (wait)
		tx->limits_wait = wait;
	free(rcpts);
}

static void
on_message(struct gate *gate, struct packet *packet, struct unpack *u)
{
	struct tx *tx = map_get(&gate->txs, unpack_u64(u));

	if (tx == NULL || packet->fd_count != 1 || tx->recipient_count == 0 || tx->mail_fd >= 0 || tx->waiting) {
		struct buf body = { 0 };

		pack_u8(&body, REPLY_DEFER);
		pack_text(&body, "451");
		pack_text(&body, "4.3.0");
		pack_text(&body, "The content filter was restarted; try again later");
		for (int list = 0; list < 3; list++)
			pack_u32(&body, 0);
		struct packet answer = { .type = W_OUTCOME, .id = packet->id, .body = buf_span(&body) };

		ipc_send_wait(gate->sock, &answer, GATE_SEND_MS);
		buf_free(&body);
		return;
	}
	unpack_text(u, tx->envelope.queue_id, sizeof tx->envelope.queue_id);
	tx->size = unpack_u64(u);
	tx->truncated = unpack_u8(u);
	tx->may_replace = unpack_u8(u);
	tx->lane = lanes_choose(tx->broker->lanes, tx->config, span_of(tx->envelope.sender), unpack_u8(u), &tx->lane_why);
	tx->mail_fd = packet->fds[0];
	packet->fd_count = 0;
	tx->message_id = packet->id;
	tx->start_ms = clock_ms();
	tx->deadline_ms = tx->start_ms + tx->config->message_timeout_ms;
	metrics_add(M_MESSAGES, 1);
	metrics_add(M_RECIPIENTS, tx->recipient_count);
	if (tx->conn && tx->conn->lists_state == LISTS_PENDING)
		tx->waiting = true;
	else
		message_start(tx);
}

/* The DNS lists have answered, or their time is up: go on with what waited for them. */
static void
conn_known(struct conn *conn)
{
	struct tx *tx = conn->tx;

	if (tx == NULL || !tx->waiting)
		return;
	if (tx->waiting_raw == NULL) {
		tx->waiting = false;
		message_start(tx);
		return;
	}
	if (tx->source_wait == NULL && tx->limits_wait == NULL)      /* else their answer goes on */
		rcpt_go_on(tx);
}

static void
gate_end(struct gate *gate)
{
	struct broker *b = gate->broker;
	struct conn *conn;

	/* conn_end changes the map, so start over each time. */
	for (size_t at = 0; (conn = map_next(&gate->conns, &at)) != NULL; at = 0)
		conn_end(conn);
	map_free(&gate->conns);
	map_free(&gate->txs);
	for (struct gate **at = &b->gates; *at; at = &(*at)->next)
		if (*at == gate) {
			*at = gate->next;
			break;
		}
	event_free(gate->readable);
	close(gate->sock);
	free(gate);
}

static void
on_gate(evutil_socket_t fd, short what, void *arg)
{
	struct gate *gate = arg;
	struct packet packet;
	struct conn *conn;
	struct tx *tx;

	(void)what;
	for (int i = 0; i < 64; i++) {       /* then the others have their turn */
		enum ipc_result result = ipc_recv(fd, &gate->broker->inbox, &packet);
		struct unpack u = { packet.body, false };

		if (result == IPC_AGAIN)
			return;
		if (result == IPC_CLOSED) {
			gate_end(gate);
			return;
		}
		switch (packet.type) {
		case W_CONNECT:
			on_connect(gate, &u);
			break;
		case W_MAIL:
			on_mail(gate, &u);
			break;
		case W_RCPT:
			on_rcpt(gate, packet.id, &u);
			break;
		case W_MESSAGE:
			on_message(gate, &packet, &u);
			break;
		case W_TX_END:
			if ((tx = map_get(&gate->txs, unpack_u64(&u))) != NULL)
				tx_end(tx);
			break;
		case W_CLOSE:
			if ((conn = map_get(&gate->conns, unpack_u64(&u))) != NULL)
				conn_end(conn);
			break;
		}
		packet_close_fds(&packet);
	}
}

void
gate_add(struct broker *b, int sock, const char *context)
{
	struct gate *gate = calloc(1, sizeof *gate);

	fcntl(sock, F_SETFL, O_NONBLOCK);
	if (gate == NULL || (gate->readable = event_new(b->base, sock, EV_READ | EV_PERSIST, on_gate, gate)) == NULL ||
	    event_add(gate->readable, NULL) < 0) {
		log_error("gate %s: no memory for its connection", context);
		free(gate);
		close(sock);
		return;
	}
	gate->broker = b;
	gate->sock = sock;
	snprintf(gate->context, sizeof gate->context, "%s", context);
	gate->next = b->gates;
	b->gates = gate;
}

void
gates_close(struct broker *b)
{
	while (b->gates)
		gate_end(b->gates);
}
