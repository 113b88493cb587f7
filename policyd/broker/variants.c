#include "policyd/broker/variants.h"

#include <event2/event.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "policyd/base/clock.h"
#include "policyd/base/log.h"
#include "policyd/base/metrics.h"
#include "policyd/broker/dispatch.h"
#include "policyd/broker/headers.h"
#include "policyd/store/customers.h"

enum { VARIANT_MS = 60 * 1000, ANSWER_MS = 2000 };

struct peer {                                /* one connection of deliver */
	struct broker *broker;
	struct peer *next;
	struct event *readable;
	int sock;
	bool prober;                         /* the one that tells of the route */
	struct order *order;                 /* it asks one thing at a time */
	struct inbox inbox;
};

struct order {                               /* a variant that a worker makes */
	struct peer *peer;                   /* NULL: gone */
	struct work *work;
	uint32_t id;
	int fd;
};

/* ---- who goes which way ---- */

bool
variants_up(const struct tx *tx)
{
	const struct route *route = &tx->broker->route;

	return route->has_key && tx->config->deliver_lmtp[0] && route->up_until_ms > clock_ms() && tx->may_replace;
}

static struct span
bare(const char *raw)
{
	struct span address = span_trim(span_of(raw));

	return address.n >= 2 && address.p[0] == '<' ? span_make(address.p + 1, address.n - 2) : address;
}

/* Where this copy is to go: the recipient, or his folder if it is tagged and he wants one. */
static void
final_address(const struct tx *tx, uint32_t i, char to[MAX_ADDRESS + 64])
{
	const struct recipient *r = &tx->recipients[i];
	struct span address = bare(r->raw);

	snprintf(to, MAX_ADDRESS + 64, SPAN_FMT, SPAN_ARG(address));
	if (tx->fates[i].outcome == OUT_TAG && r->policy->folder[0])
		customers_folder(tx->broker->customers, address, r->policy->folder, to, MAX_ADDRESS + 64);
}

static void
variant_of(const struct tx *tx, uint32_t i, struct variant *v)
{
	const struct recipient *r = &tx->recipients[i];
	const struct scanned_class *score = tx->have_scanned ? &tx->scanned.scores[r->score] : NULL;
	bool tagged = tx->fates[i].outcome == OUT_TAG;

	*v = (struct variant){ .filtered = r->policy->filter, .flag = tagged, .strip = tx->fates[i].strip, .points = score ? score->points : 0,
	    .model_known = score && score->model_known, .bayes_points = score ? score->bayes_points : 0,
	    .has_required = isfinite(r->policy->tag), .required = r->policy->tag, .undo = headers_undo(tx) };
	snprintf(v->reference, sizeof v->reference, "%s", tx->reference);
	if (tagged)
		memcpy(v->subject_tag, r->policy->subject_tag, sizeof v->subject_tag);
}

bool
variants_fit(const struct tx *tx, uint32_t i)
{
	const struct policy *p = tx->recipients[i].policy;
	char domain[sizeof tx->config->deliver_domain];

	snprintf(domain, sizeof domain, "%s", tx->config->deliver_domain);
	return token_fits(strlen(p->subject_tag), strlen(tx->recipients[i].raw) + strlen(p->folder) + 1, strlen(domain));
}

/* The client may name a recipient twice; one replacement is one copy. */
static bool
is_first(struct map *seen, struct span address)
{
	uint64_t hash = span_hash(address, 23);

	return map_get(seen, hash) == NULL && map_put(seen, hash, seen);
}

uint32_t
variants_pack(struct buf *out, const struct tx *tx)
{
	struct map seen = { 0 };
	uint32_t count = 0;

	for (uint32_t i = 0; i < tx->recipient_count; i++) {
		const struct fate *fate = &tx->fates[i];
		char address[MAX_ADDRESS + 64], token[TOKEN_ROOM];
		const char *to = address;
		struct variant v;

		if (!fate->route && (!tx->may_replace || fate->remove || fate->outcome != OUT_TAG || !fate->policy->folder[0]))
			continue;
		final_address(tx, i, address);
		if (fate->route) {
			variant_of(tx, i, &v);
			if (!token_make(tx->broker->route.key, &v, span_of(address), tx->config->deliver_domain, wall_s(), token)) {
				out->failed = true;  /* it was said to fit: deferred rather than lost */
				break;
			}
			to = token;
		} else if (span_eq(span_of(address), bare(tx->recipients[i].raw))) {
			continue;            /* it goes to the folder already */
		}
		if (!is_first(&seen, span_of(address)))
			to = "";             /* only deleted */
		pack_u32(out, tx->recipients[i].index);
		pack_text(out, to);
		count++;
	}
	map_free(&seen);
	return count;
}

/* ---- deliver ---- */

static void
route_down(struct broker *b, const char *why)
{
	if (b->route.up_until_ms > 0)
		log_warning("variants: the way through the MTA's queue is down (%s); edits are folded until it is proved again", why);
	b->route.up_until_ms = 0;
	snprintf(b->route.why, sizeof b->route.why, "%s", why);
	metrics_set(M_VARIANT_ROUTE_UP_NOW, 0);
}

static void
peer_end(struct peer *peer)
{
	struct broker *b = peer->broker;

	for (struct peer **at = &b->peers; *at; at = &(*at)->next)
		if (*at == peer) {
			*at = peer->next;
			break;
		}
	if (peer->order)
		peer->order->peer = NULL;    /* the worker finishes for nothing */
	if (peer->prober)
		route_down(b, "deliver has ended");
	event_free(peer->readable);
	close(peer->sock);
	inbox_free(&peer->inbox);
	free(peer);
}

static void
on_route(struct peer *peer, struct unpack *u)
{
	struct broker *b = peer->broker;
	bool up = unpack_u8(u);
	char why[sizeof b->route.why];

	unpack_text(u, why, sizeof why);
	peer->prober = true;
	if (!up) {
		route_down(b, why);
		return;
	}
	if (b->route.up_until_ms == 0)
		log_info("variants: a probe has come back through the MTA's queue; recipients with other wishes get their own copies");
	b->route.up_until_ms = clock_ms() + ROUTE_STALE_MS;
	b->route.why[0] = '\0';
	metrics_set(M_VARIANT_ROUTE_UP_NOW, 1);
}

static void
refuse(struct peer *peer, uint32_t id, const char *why)
{
	struct buf body = { 0 };

	pack_text(&body, why);
	struct packet packet = { .type = W_VARIANT_FAILED, .id = id, .body = buf_span(&body) };

	ipc_send_wait(peer->sock, &packet, ANSWER_MS);
	buf_free(&body);
}

static void
made(void *arg, enum job_result result, struct packet *packet)
{
	struct order *o = arg;
	bool good = result == JOB_DONE && packet->type == W_VARIANT_MADE && packet->fd_count == 1;

	if (o->peer && good) {
		struct packet over = { .type = W_VARIANT_MADE, .id = o->id, .body = packet->body, .fds = { packet->fds[0] }, .fd_count = 1 };

		ipc_send_wait(o->peer->sock, &over, ANSWER_MS);
	} else if (o->peer) {
		refuse(o->peer, o->id, result == JOB_POISON ? "the mail ended two workers" : "no worker made it in time");
	}
	if (o->peer)
		o->peer->order = NULL;
	close(o->fd);
	free(o);
}

static void
on_variant(struct peer *peer, struct packet *packet, struct unpack *u)
{
	struct broker *b = peer->broker;
	struct span variant = unpack_span(u), received = unpack_span(u), recipient = unpack_span(u);
	uint32_t class_id;
	struct order *o = packet->fd_count == 1 && !u->bad && !peer->order ? calloc(1, sizeof *o) : NULL;
	struct buf body = { 0 };

	if (o == NULL) {
		refuse(peer, packet->id, "it cannot be made now");
		return;
	}
	*o = (struct order){ .peer = peer, .id = packet->id, .fd = packet->fds[0] };
	packet->fd_count = 0;
	job_pack_plain(b, JOB_VARIANT, &body);
	pack_span(&body, variant);
	pack_span(&body, received);
	pack_text(&body, customers_lookup(b->customers, recipient, &class_id)->banned_types);
	o->work = dispatch_submit(b->dispatch, &body, o->fd, clock_ms() + VARIANT_MS, made, NULL, o);
	if (o->work == NULL) {
		refuse(peer, packet->id, "all workers are busy");
		close(o->fd);
		free(o);
		return;
	}
	peer->order = o;
}

static void
on_peer(evutil_socket_t fd, short what, void *arg)
{
	struct peer *peer = arg;
	struct packet packet;
	enum ipc_result result = ipc_recv(fd, &peer->inbox, &packet);
	struct unpack u = { packet.body, false };

	(void)what;
	if (result == IPC_AGAIN)
		return;
	if (result == IPC_CLOSED) {
		peer_end(peer);
		return;
	}
	if (packet.type == W_ROUTE)
		on_route(peer, &u);
	else if (packet.type == W_VARIANT)
		on_variant(peer, &packet, &u);
	packet_close_fds(&packet);
}

void
variants_peer(struct broker *b, int sock)
{
	struct peer *peer = calloc(1, sizeof *peer);

	fcntl(sock, F_SETFL, O_NONBLOCK);
	if (peer == NULL || (peer->readable = event_new(b->base, sock, EV_READ | EV_PERSIST, on_peer, peer)) == NULL ||
	    event_add(peer->readable, NULL) < 0) {
		free(peer);
		close(sock);
		return;
	}
	peer->broker = b;
	peer->sock = sock;
	peer->next = b->peers;
	b->peers = peer;
}

void
variants_close(struct broker *b)
{
	while (b->peers)
		peer_end(b->peers);
}

json_t *
variants_status(const struct broker *b)
{
	bool set = b->config->deliver_lmtp[0] != '\0', up = set && b->route.up_until_ms > clock_ms();

	return json_pack("{s:b, s:b, s:s}", "configured", set, "up", up, "why",
	    up || !set ? "" : b->route.why[0] ? b->route.why : "no probe has come back yet");
}
