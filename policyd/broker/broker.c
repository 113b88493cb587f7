/* broker.c - the broker's loop: who connects, what the master says, and where it goes. */
#include "policyd/broker/watch.h"
#include "policyd/broker/broker.h"

#include <event2/event.h>
#include <fcntl.h>
#include <openssl/rand.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "policyd/base/arena.h"
#include "policyd/base/clock.h"
#include "policyd/base/log.h"
#include "policyd/base/metrics.h"
#include "policyd/broker/alarms.h"
#include "policyd/broker/delegate.h"
#include "policyd/broker/dispatch.h"
#include "policyd/broker/lanes.h"
#include "policyd/broker/limits.h"
#include "policyd/broker/notify.h"
#include "policyd/broker/outbound.h"
#include "policyd/broker/variants.h"
#include "policyd/net/dns.h"
#include "policyd/net/lists.h"
#include "policyd/store/campaigns.h"
#include "policyd/store/customers.h"
#include "policyd/store/meter.h"
#include "policyd/store/redis_async.h"
#include "policyd/store/reputations.h"
#include "policyd/store/source.h"

enum { HELLO_MS = 5000 };

/* 65 bits: 33 of time, 12 of a counter, 20 of chance: unique on a node, and no clue to another's. */
void
broker_reference(struct broker *b, char to[REFERENCE_ROOM])
{
	static const char letters[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";
	uint32_t chance = 0;

	RAND_bytes((unsigned char *)&chance, sizeof chance);
	uint64_t head = (uint64_t)wall_s() & 0x1ffffffff, tail = (b->reference_count++ & 0xfff) << 20 | (chance & 0xfffff);

	for (int i = 6; i >= 0; i--, head >>= 5)
		to[i] = letters[head & 31];
	for (int i = 13; i >= 7; i--, tail >>= 5)
		to[i] = letters[tail & 31];
	to[14] = '\0';
}

/* ---- settings: held by the transactions that began with them ---- */

bool
settings_new(struct broker *b, const struct config *config)
{
	struct settings *fresh = calloc(1, sizeof *fresh);

	if (fresh == NULL)
		return false;
	*fresh = (struct settings){ config, 1 };
	settings_drop(b->settings);
	b->settings = fresh;
	b->config = config;
	return true;
}

struct settings *
settings_hold(struct broker *b)
{
	b->settings->users++;
	return b->settings;
}

void
settings_drop(struct settings *s)
{
	if (s == NULL || --s->users > 0)
		return;
	config_unmap(s->config);
	free(s);
}

struct stranger {                            /* connected, and has not said yet who it is */
	struct broker *broker;
	struct event *readable;
	int sock;
};

static void
on_hello(evutil_socket_t fd, short what, void *arg)
{
	struct stranger *s = arg;
	struct broker *b = s->broker;
	struct packet packet = { 0 };
	enum ipc_result result = what & EV_TIMEOUT ? IPC_CLOSED : ipc_recv(fd, &b->inbox, &packet);
	struct unpack u = { packet.body, false };
	char role[16], context[32];

	if (result == IPC_AGAIN)
		return;
	event_free(s->readable);
	free(s);
	if (result == IPC_OK && packet.type == W_REQUEST) {      /* review asks as policyctl does, without the master's door */
		int fds[1 + IPC_MAX_FDS] = { fd };

		for (int i = 0; i < packet.fd_count; i++)
			fds[1 + i] = packet.fds[i];
		request_connection(b, packet.id, unpack_span(&u), fds, 1 + packet.fd_count, false);
		return;
	}
	if (result == IPC_CLOSED || packet.type != W_HELLO) {
		packet_close_fds(&packet);
		close(fd);
		return;
	}
	unpack_text(&u, role, sizeof role);
	unpack_text(&u, context, sizeof context);
	uint64_t generation = unpack_u64(&u);

	packet_close_fds(&packet);
	if (strcmp(role, "gate") == 0) {
		gate_add(b, fd, context);
	} else if (strcmp(role, "deliver") == 0) {
		variants_peer(b, fd);
	} else if (strcmp(role, "zygote") == 0) {
		dispatch_zygote(b->dispatch, fd, generation, &u);
	} else {
		log_warning("a process that calls itself \"%s\" was sent away", role);
		close(fd);
	}
}

static void
on_accept(evutil_socket_t fd, short what, void *arg)
{
	struct broker *b = arg;
	struct timeval limit = { HELLO_MS / 1000, 0 };
	struct stranger *s;
	int sock = accept4(fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);

	(void)what;
	if (sock < 0)
		return;
	s = calloc(1, sizeof *s);
	if (s == NULL || (s->readable = event_new(b->base, sock, EV_READ, on_hello, s)) == NULL) {
		free(s);
		close(sock);
		return;
	}
	s->broker = b;
	s->sock = sock;
	event_add(s->readable, &limit);
}

static void
tell_master(struct broker *b, enum wire type)
{
	struct buf body = { 0 };

	pack_u64(&body, b->config->generation);
	struct packet packet = { .type = type, .body = buf_span(&body) };

	ipc_send(b->self->master, &packet);
	buf_free(&body);
}

/* A reload is done when workers run with it, too: whoever asked for it may count on that. */
static void
pay_ready(void *arg)
{
	struct broker *b = arg;

	if (b->owes_ready && dispatch_has(b->dispatch, b->config->generation)) {
		b->owes_ready = false;
		tell_master(b, W_READY);
	}
}

/* New transactions see the new settings; those in hand keep the old ones (settings_hold in transaction.h). */
static void
swap_config(struct broker *b, int fd)
{
	const struct config *config = config_map(fd);

	if (config == NULL) {
		tell_master(b, W_REFUSED);
		return;
	}
	if (!settings_new(b, config)) {
		config_unmap(config);
		tell_master(b, W_REFUSED);
		return;
	}
	dns_config(b->dns, config);
	lists_config(b->lists, config);
	customers_config(b->customers, config);
	source_config(b->source, config);
	dispatch_config(b->dispatch, config);
	b->owes_ready = true;
	pay_ready(b);
}

static void
on_master(evutil_socket_t fd, short what, void *arg)
{
	struct broker *b = arg;
	struct packet packet;
	enum ipc_result result = ipc_recv(fd, &b->inbox, &packet);

	(void)what;
	if (result == IPC_AGAIN)
		return;
	if (result == IPC_CLOSED || packet.type == W_STOP) {
		event_base_loopbreak(b->base);
		return;
	}
	if (packet.type == W_CONFIG && packet.fd_count == 1) {
		swap_config(b, packet.fds[0]);
	} else if (packet.type == W_CONTROL || packet.type == W_REPORT) {
		struct unpack u = { packet.body, false };

		request_connection(b, packet.id, unpack_span(&u), packet.fds, packet.fd_count, packet.type == W_REPORT);
		packet.fd_count = 0;
	}
	packet_close_fds(&packet);
}

static struct link *
link_to(struct broker *b, const char *name)
{
	char path[PATH_ROOM + 32];

	snprintf(path, sizeof path, "%s/%s.sock", b->config->run, name);
	return link_open(b->base, path);
}

/* Everything there is, once. What cannot be had at the start ends the process: the master tries again. */
static bool
open_all(struct broker *b)
{
	b->arena = arena_open(MAX_CHECK_MEMORY);
	return (b->base = event_base_new()) != NULL && (b->dns = dns_open(b->base, b->config)) != NULL &&
	       (b->lists = lists_open(b->base, b->dns, b->config)) != NULL &&
	       (b->redis = redis_async_open(b->base, b->config)) != NULL &&
	       (b->customers = customers_open(b->base, b->redis, b->config)) != NULL && (b->watch = watch_open(b)) != NULL &&
	       (b->meter = meter_open(b->base, b->redis)) != NULL && (b->campaigns = campaigns_open(b->redis)) != NULL && (b->lanes = lanes_open()) != NULL &&
	       (b->reputations = reputations_open(b->base, b->redis)) != NULL &&
	       (b->source = source_open(b->base, b->config)) != NULL &&
	       (b->buckets = buckets_open(b->base, b->redis)) != NULL && (b->limits = limits_open()) != NULL &&
	       (b->notify = notify_open(b->base)) != NULL && (b->outbound = outbound_open(b)) != NULL && (b->alarms = alarms_open(b)) != NULL &&
	       (b->dispatch = dispatch_open(b->base, b->config, pay_ready, b)) != NULL && (b->store = link_to(b, "store")) != NULL &&
	       (b->trainer = link_to(b, "trainer")) != NULL &&
	       (b->self->policy_fd < 0 || policyport_open(b, b->self->policy_fd));
}

int
broker_main(struct child *self)
{
	struct broker b = { .self = self };

	if (!settings_new(&b, self->config) || !open_all(&b)) {
		log_error("the broker cannot start: no memory, or no resolver in dns.servers");
		return 1;
	}
	b.route.has_key = secret_load(self->config->state, "variant", b.route.key);
	if (!b.route.has_key)
		log_warning("variants: %s/variant.key cannot be had; edits are folded", self->config->state);
	metrics_set(M_VARIANT_ROUTE_UP_NOW, 0);
	metrics_set(M_TRANSACTIONS_NOW, 0);  /* those of a broker before us have gone with it */
	fcntl(self->listen_fd, F_SETFL, O_NONBLOCK);
	fcntl(self->master, F_SETFL, O_NONBLOCK);
	struct event *listening = event_new(b.base, self->listen_fd, EV_READ | EV_PERSIST, on_accept, &b);
	struct event *master = event_new(b.base, self->master, EV_READ | EV_PERSIST, on_master, &b);

	if (listening == NULL || master == NULL || event_add(listening, NULL) < 0 || event_add(master, NULL) < 0)
		return 1;
	tell_master(&b, W_READY);
	event_base_dispatch(b.base);
	gates_close(&b);
	variants_close(&b);
	if (b.delegate)
		delegate_close(b.delegate);
	meter_close(b.meter);
	campaigns_close(b.campaigns);
	free(b.lanes);
	reputations_close(b.reputations);
	buckets_close(b.buckets);
	limits_close(b.limits);
	outbound_close(b.outbound);
	alarms_close(b.alarms);
	notify_close(b.notify);
	source_close(b.source);
	customers_close(b.customers);
	lists_close(b.lists);
	dns_close(b.dns);
	arena_close(b.arena);
	redis_async_close(b.redis);
	link_close(b.store);
	link_close(b.trainer);
	event_free(listening);
	event_free(master);
	event_base_free(b.base);
	inbox_free(&b.inbox);
	return 0;
}
