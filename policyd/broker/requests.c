/* requests.c - what policyctl asks of the broker: policies, one mail's decision, lessons, traces, our state.
 *
 * A connection comes from the master with its first request and stays here. Requests on it are answered in the
 * order they are done, each with the id of its question. */
#include <event2/event.h>
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#include "policyd/base/clock.h"
#include "policyd/base/metrics.h"
#include "policyd/broker/alarms.h"
#include "policyd/broker/deprovision.h"
#include "policyd/broker/outbound.h"
#include "policyd/broker/render.h"
#include "policyd/broker/request.h"
#include "policyd/broker/variants.h"
#include "policyd/broker/watch.h"
#include "policyd/net/dns.h"
#include "policyd/store/buckets.h"
#include "policyd/store/customers.h"
#include "policyd/store/meter.h"
#include "policyd/store/history.h"
#include "policyd/store/redis_async.h"
#include "policyd/store/reputations.h"
#include "policyd/store/source.h"

enum { WORKER_MS = 30 * 1000, REPLY_MS = 2000 };

static void
caller_free(struct caller *c)
{
	if (c->readable)
		event_free(c->readable);
	close(c->sock);
	inbox_free(&c->inbox);
	free(c);
}

void
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

json_t *
request_error(const char *why, int code)
{
	return json_pack("{s:s, s:i}", "error", why, "exit", code);
}

const char *
request_field(const struct request *r, const char *name)
{
	const char *value = json_string_value(json_object_get(r->json, name));

	return value ? value : "";
}

void
request_submit(struct request *r, enum job kind, job_callback done)
{
	struct buf body = { 0 };

	job_pack_plain(r->caller->broker, kind, &body);
	if (dispatch_submit(r->caller->broker->dispatch, &body, r->fd, clock_ms() + WORKER_MS, done, NULL, r) == NULL)
		request_reply(r, request_error("the scan queue is full; try again later", 1));
}

/* ---- render: a mail for people to look at ---- */

static void
rendered(void *arg, enum job_result result, struct packet *answer)
{
	struct request *r = arg;
	struct unpack u = { answer ? answer->body : SPAN(""), false };
	json_t *reply = result == JOB_DONE && answer->type == W_RENDERED ? render_json(&u) : NULL;

	request_reply(r, reply ? reply : request_error(result == JOB_POISON ? "the mail ended two workers; it cannot be shown" :
	    "no worker could read the mail in time", 1));
}

static void
render(struct request *r)
{
	if (r->fd < 0)
		request_reply(r, request_error("render: no mail came with the request", 2));
	else
		request_submit(r, JOB_RENDER, rendered);
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
	struct span left = span_of(request_field(r, "id"));
	const char *scope = request_field(r, "customer"), *customer = json_string_value(json_object_get(event, "customer"));
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
	struct span left = span_from(span_of(request_field(r, "id")), (size_t)json_integer_value(json_object_get(r->json, "at"))), word = SPAN("");

	while (left.n > 0 && word.n == 0)
		word = span_cut(&left, ' ');
	if (word.n == 0)
		return false;
	json_object_set_new(r->json, "at", json_integer((json_int_t)(strlen(request_field(r, "id")) - left.n)));
	history_find(r->caller->broker->redis, word, traced, r);
	return true;
}

static void
traced(void *arg, json_t *events)
{
	struct request *r = arg;

	if (events == NULL) {
		request_reply(r, request_error("Redis gave no answer: the history is in it; the log has the same lines", 1));
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
		request_reply(r, request_error("trace: an id is needed: queue id, Message-ID, reference or quarantine id, or an address", 2));
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
	if (strcmp(request_field(r, "cmd"), "policy.remove_customer") == 0)
		deprovision(r->caller->broker, r->json, policy_done, r);
	else if (strcmp(request_field(r, "cmd"), "policy.meter") == 0)
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
	{ "scan", false, request_scan }, { "learn", false, request_learn }, { "unlearn", false, request_learn }, { "trace", false, trace },
	{ "render", false, render }, { "released", false, request_released },
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
		request_reply(r, request_error("the request is no JSON object", 2));
		return;
	}
	const char *name = request_field(r, "cmd");

	if (c->reports && (strcmp(name, "learn") != 0 || request_field(r, "for")[0] == '\0')) {
		request_reply(r, request_error("report.sock takes reports of mail for an address, and nothing else", 2));
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
	request_reply(r, request_error("unknown command", 2));
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
