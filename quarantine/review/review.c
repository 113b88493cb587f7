/* review.c - the process that people's browsers talk to: opens everything, then serves. */
#include "quarantine/review/review.h"

#include <event2/event.h>
#include <fcntl.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <stdio.h>
#include <stdlib.h>

#include "policyd/base/clock.h"
#include "policyd/base/log.h"
#include "policyd/base/metrics.h"
#include "policyd/wire.h"
#include "quarantine/review/audit.h"
#include "quarantine/review/customers.h"
#include "quarantine/review/digest.h"
#include "quarantine/review/pages.h"
#include "quarantine/review/passwords.h"
#include "quarantine/review/peer.h"
#include "quarantine/review/reasons.h"
#include "quarantine/review/seals.h"
#include "quarantine/review/sessions.h"
#include "quarantine/review/system.h"
#include "quarantine/review/voucher.h"

enum { TICK_MS = 1000, PROBE_EVERY_MS = 5000, PROBE_MS = 4000 };

/* Tests move our clock on by what <state>/review/test-clock says; in no other build. */
static int64_t clock_ahead_s;

static void
read_test_clock(const struct review *r)
{
#ifdef POLICYD_TESTING
	char path[REVIEW_PATH_ROOM];
	long long ahead;

	snprintf(path, sizeof path, "%s/review/test-clock", r->self->config->state);
	FILE *f = fopen(path, "re");

	if (f && fscanf(f, "%lld", &ahead) == 1)
		clock_ahead_s = ahead;
	if (f)
		fclose(f);
#else
	(void)r;
#endif
}

int64_t
review_time_s(const struct review *r)
{
	(void)r;
	return wall_s() + clock_ahead_s;
}

int64_t
review_store_time(int64_t time_s)
{
	return time_s - clock_ahead_s;
}

static void
tell_ready(struct review *r)
{
	struct buf body = { 0 };

	pack_u64(&body, r->self->config->generation);
	struct packet packet = { .type = W_READY, .body = buf_span(&body) };

	ipc_send(r->self->master, &packet);
	buf_free(&body);
}

/* ---- TLS ---- */

static SSL_CTX *
tls_open(const struct config *c, char *why, size_t room)
{
	SSL_CTX *tls = SSL_CTX_new(TLS_server_method());

	if (tls && SSL_CTX_set_min_proto_version(tls, TLS1_2_VERSION) == 1 &&
	    SSL_CTX_use_certificate_chain_file(tls, c->review_certificate) == 1 &&
	    SSL_CTX_use_PrivateKey_file(tls, c->review_key, SSL_FILETYPE_PEM) == 1 && SSL_CTX_check_private_key(tls) == 1)
		return tls;
	snprintf(why, room, "review.certificate %s, review.key %s: %s", c->review_certificate, c->review_key, ERR_reason_error_string(ERR_get_error()));
	SSL_CTX_free(tls);
	return NULL;
}

/* ---- is what we stand on there? ---- */

static void
store_probed(void *arg, json_t *reply, int fd)
{
	struct review *r = arg;

	(void)fd;
	json_decref(r->store_status);
	r->store_status = reply;
}

static void
broker_probed(void *arg, json_t *reply, int fd)
{
	struct review *r = arg;

	(void)fd;
	json_decref(r->broker_status);
	r->broker_status = reply;
}

static void
on_tick(evutil_socket_t fd, short what, void *arg)
{
	struct review *r = arg;

	(void)fd;
	(void)what;
	read_test_clock(r);
	sessions_tick(r->sessions, review_time_s(r));
	digests_tick(r);
	audit_follow(r->audit);
	if (clock_ms() - r->probed_ms < PROBE_EVERY_MS)
		return;
	r->probed_ms = clock_ms();
	backend_ask(r->store, json_pack("{s:s}", "cmd", "store.status"), -1, PROBE_MS, store_probed, r);
	backend_ask(r->broker, json_pack("{s:s}", "cmd", "broker.status"), -1, PROBE_MS, broker_probed, r);
}

/* ---- the process ---- */

static void
take_config(struct review *r, int fd)
{
	const struct config *config = config_map(fd), *old = r->self->config;
	char why[512];

	if (config == NULL)
		return;
	r->self->config = config;
	config_unmap(old);
	http_proxies(r->http, config->review_proxies, config->review_proxy_count);
	reasons_load(config);
	peers_reload(r);
	if (!assets_load(config->web_dir, why, sizeof why))
		log_error("review: %s", why);
	tell_ready(r);
}

static void
on_master(evutil_socket_t fd, short what, void *arg)
{
	struct review *r = arg;
	struct packet packet;
	enum ipc_result result = ipc_recv(fd, &r->inbox, &packet);

	(void)what;
	if (result == IPC_AGAIN)
		return;
	if (result == IPC_CLOSED || packet.type == W_STOP) {
		event_base_loopbreak(r->base);
		return;
	}
	if (packet.type == W_CONFIG && packet.fd_count == 1) {
		take_config(r, packet.fds[0]);
	} else if (packet.type == W_CONTROL) {
		struct unpack u = { packet.body, false };

		review_control(r, packet.id, unpack_span(&u), packet.fds, packet.fd_count);
		packet.fd_count = 0;
	}
	packet_close_fds(&packet);
}

static bool
open_files(struct review *r, char *why, size_t room)
{
	const struct config *c = r->self->config;
	char path[REVIEW_PATH_ROOM];

	snprintf(path, sizeof path, "%s/review/users.json", c->state);
	r->users = users_open(path, why, room);
	snprintf(path, sizeof path, "%s/review/audit.log", c->state);
	r->audit = r->users ? audit_open(path, why, room) : NULL;
	snprintf(path, sizeof path, "%s/review/sessions.json", c->state);
	r->sessions = r->audit ? sessions_open(path) : NULL;
	if (r->sessions == NULL || !secret_open(r, why, room) || !assets_load(c->web_dir, why, room))
		return false;
	read_test_clock(r);
	if (!vouchers_open(r, why, room) || !digests_open(r, why, room))
		return false;
	reasons_load(c);
	return customers_load(r) && seals_load(r);
}

static bool
open_all(struct review *r, char *why, size_t room)
{
	const struct config *c = r->self->config;
	char path[REVIEW_PATH_ROOM];

	snprintf(why, room, "no memory");
	if (!open_files(r, why, room) || (c->review_certificate[0] && (r->tls = tls_open(c, why, room)) == NULL))
		return false;
	r->base = event_base_new();
	if (r->base == NULL)
		return false;
	snprintf(path, sizeof path, "%s/store.sock", c->run);
	r->store = link_open(r->base, path);
	snprintf(path, sizeof path, "%s/broker.sock", c->run);
	r->broker = link_open(r->base, path);
	snprintf(path, sizeof path, "%s/deliver.sock", c->run);
	r->deliver = link_open(r->base, path);
	r->passwords = passwords_open(r->base);
	r->http = http_open(r->base, r->self->listen_fd, r->tls, router_handle, r);
	if (!peers_open(r, why, room))
		return false;
	if (r->store == NULL || r->broker == NULL || r->deliver == NULL || r->passwords == NULL || r->http == NULL)
		return false;
	http_proxies(r->http, c->review_proxies, c->review_proxy_count);
	return true;
}

int
review_main(struct child *self)
{
	static struct review r;
	struct timeval tick = { TICK_MS / 1000, 0 };
	char why[512];

	r.self = self;
	metrics_set(M_HTTP_NOW, 0);
	if (!open_all(&r, why, sizeof why)) {
		log_error("review: %s", why);
		return 1;
	}
	fcntl(self->master, F_SETFL, O_NONBLOCK);
	struct event *master = event_new(r.base, self->master, EV_READ | EV_PERSIST, on_master, &r);

	r.tick = event_new(r.base, -1, EV_PERSIST, on_tick, &r);
	if (!master || !r.tick || event_add(master, NULL) < 0 || event_add(r.tick, &tick) < 0)
		return 1;
	on_tick(-1, 0, &r);
	tell_ready(&r);
	event_base_dispatch(r.base);
	sessions_close(r.sessions);
	audit_close(r.audit);
	return 0;
}
