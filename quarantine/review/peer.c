/* peer.c - questions to other nodes: where a node is (by the pool's list in Redis, which the store reads), then HTTP to it. */
#include "quarantine/review/peer.h"

#include <event2/buffer.h>
#include <event2/bufferevent_ssl.h>
#include <event2/dns.h>
#include <event2/event.h>
#include <event2/http.h>
#include <openssl/ssl.h>
#include <stdio.h>
#include <stdlib.h>

#include "policyd/base/clock.h"
#include "policyd/base/log.h"
#include "policyd/base/metrics.h"
#include "policyd/wire.h"
#include "quarantine/review/pages.h"
#include "quarantine/review/peer_seal.h"
#include "quarantine/review/peers.h"

enum { NODES_MS = 2000, HEAD_MOST = 16 * 1024, JSON_MOST = 8 << 20, WHY_ROOM = 400 };

struct asking {
	struct review *review;
	char node[NODE_ROOM], url[URL_ROOM];
	json_t *wrapped;                     /* until it is sealed */
	uint8_t nonce[CRYPT_NONCE];
	struct evhttp_connection *connection;
	struct event *deadline;
	bool sending, refused;               /* inside evhttp_make_request; it called back there */
	backend_answer done;
	void *arg;
};

bool
peer_is_other(const struct review *r, const char *node)
{
	return node[0] && strcmp(node, r->self->config->host_name) != 0;
}

bool
peers_open(struct review *r, char *why, size_t room)
{
	const struct config *c = r->self->config;
	struct peers *p = c->redis_url[0] ? calloc(1, sizeof *p) : NULL;

	if (p == NULL)
		return true;                 /* one node alone */
	r->peers = p;
	if (!secret_load(c->state, "pool", p->key)) {
		snprintf(why, room, "%s/pool.key cannot be read or made; it is the key that the nodes of the pool share", c->state);
		return false;
	}
	p->dns = evdns_base_new(r->base, EVDNS_BASE_INITIALIZE_NAMESERVERS | EVDNS_BASE_DISABLE_WHEN_INACTIVE);
	p->tls = SSL_CTX_new(TLS_client_method());
	snprintf(why, room, "no memory");
	return p->tls != NULL;               /* without resolv.conf names cannot be looked up; addresses can be used */
}

void
peers_reload(struct review *r)
{
	uint8_t key[CRYPT_KEY];

	if (r->peers && secret_load(r->self->config->state, "pool", key))
		memcpy(r->peers->key, key, sizeof key);
	else if (r->peers)
		log_error("review: %s/pool.key cannot be read: the one of before is used", r->self->config->state);
	crypt_forget(key, sizeof key);
}

static void
forget_connection(evutil_socket_t fd, short what, void *connection)
{
	(void)fd;
	(void)what;
	evhttp_connection_free(connection);
}

/* evhttp goes on with its connection after our callback: it is freed in the next round. */
static void
asking_end(struct asking *a, json_t *reply, int fd)
{
	static const struct timeval now = { 0, 0 };

	if (a->deadline)
		event_free(a->deadline);
	if (a->connection)
		event_base_once(a->review->base, -1, EV_TIMEOUT, forget_connection, a->connection, &now);
	a->done(a->arg, reply, fd);
	json_decref(a->wrapped);
	free(a);
}

static void
fail(struct asking *a, const char *why)
{
	static int64_t complained;

	log_seldom(&complained, 10, "review: node %s: %s", a->node, why);
	metrics_add(M_PEER_FAILED, 1);
	asking_end(a, json_pack("{s:o, s:i, s:s}", "error", json_sprintf("%s: %s", a->node, why), "exit", 1, "away", a->node), -1);
}

/* Entries say where they are held: forms and links name it again. */
static void
name_node(json_t *reply, const char *node)
{
	const char *const lists[] = { "entries", "results" };
	size_t i;
	json_t *entry;

	for (size_t k = 0; k < 2; k++)
		json_array_foreach(json_object_get(reply, lists[k]), i, entry)
			json_object_set_new(entry, "node", json_string(node));
}

static void
take_reply(struct asking *a, struct evbuffer *body)
{
	size_t n = evbuffer_get_length(body);
	struct span sealed = span_make((const char *)evbuffer_pullup(body, -1), n), mail;
	struct buf plain = { 0 };
	json_t *reply;
	int fd = -1;

	if (n == 0 || !peer_open_reply(a->review->peers->key, a->nonce, sealed, &plain, &reply, &mail)) {
		fail(a, "its answer is not sealed with our pool.key: the file must be the same on all nodes");
	} else {
		if (mail.n > 0)
			fd = memfd_sealed("policyd-peer-mail", mail);
		name_node(reply, a->node);
		metrics_add(M_PEER_ASKED, 1);
		asking_end(a, reply, fd);
	}
	buf_free(&plain);
}

static void
on_answer(struct evhttp_request *answer, void *arg)
{
	struct asking *a = arg;
	char why[WHY_ROOM];
	int status = answer ? evhttp_request_get_response_code(answer) : 0;

	if (a->sending) {
		a->refused = true;
		return;
	}
	if (status == 200) {
		take_reply(a, evhttp_request_get_input_buffer(answer));
		return;
	}
	if (status == 0)
		snprintf(why, sizeof why, "no answer from %s", a->url);
	else if (status == 404)
		snprintf(why, sizeof why, "%s does not know our pool.key: the file must be the same on all nodes", a->url);
	else
		snprintf(why, sizeof why, "%s answers with HTTP status %d", a->url, status);
	fail(a, why);
}

static void
on_deadline(evutil_socket_t fd, short what, void *arg)
{
	struct asking *a = arg;
	char why[WHY_ROOM];

	(void)fd;
	(void)what;
	evhttp_connection_free(a->connection);       /* and the request with it: on_answer is not called any more */
	a->connection = NULL;
	snprintf(why, sizeof why, "no answer from %s in %d s", a->url, PEER_MS / 1000);
	fail(a, why);
}

static struct evhttp_connection *
connect_to(struct review *r, const struct evhttp_uri *uri, bool tls)
{
	SSL *ssl = tls ? SSL_new(r->peers->tls) : NULL;
	char host[MAX_HOST_NAME + 1];
	int port = evhttp_uri_get_port(uri);
	struct bufferevent *bev;

	if (tls && ssl == NULL)
		return NULL;
	struct span name = span_of(evhttp_uri_get_host(uri));

	if (name.n > 2 && name.p[0] == '[')          /* [::1] */
		name = span_make(name.p + 1, name.n - 2);
	snprintf(host, sizeof host, SPAN_FMT, SPAN_ARG(name));
	if (ssl)
		SSL_set_tlsext_host_name(ssl, host);
	bev = ssl ? bufferevent_openssl_socket_new(r->base, -1, ssl, BUFFEREVENT_SSL_CONNECTING, BEV_OPT_CLOSE_ON_FREE) :
	    bufferevent_socket_new(r->base, -1, BEV_OPT_CLOSE_ON_FREE);
	struct evhttp_connection *connection = bev ? evhttp_connection_base_bufferevent_new(r->base, r->peers->dns, bev, host,
	    (unsigned short)(port > 0 ? port : tls ? 443 : 80)) : NULL;

	if (connection == NULL && bev)
		bufferevent_free(bev);
	return connection;
}

static bool
send_request(struct asking *a, const struct evhttp_uri *uri, struct buf *sealed)
{
	const char *scheme = evhttp_uri_get_scheme(uri), *path = evhttp_uri_get_path(uri);
	struct evhttp_request *request = evhttp_request_new(on_answer, a);
	struct timeval end = { PEER_MS / 1000, 0 };
	char target[URL_ROOM + 8];

	a->connection = request ? connect_to(a->review, uri, strcmp(scheme, "https") == 0) : NULL;
	a->deadline = a->connection ? evtimer_new(a->review->base, on_deadline, a) : NULL;
	if (a->deadline == NULL || event_add(a->deadline, &end) < 0) {
		if (request)
			evhttp_request_free(request);
		return false;
	}
	evhttp_connection_set_timeout(a->connection, PEER_MS / 1000);
	evhttp_connection_set_max_headers_size(a->connection, HEAD_MOST);
	evhttp_connection_set_max_body_size(a->connection, (ev_ssize_t)a->review->self->config->message_limit_bytes + JSON_MOST);
	evhttp_add_header(evhttp_request_get_output_headers(request), "Host", evhttp_uri_get_host(uri));
	evhttp_add_header(evhttp_request_get_output_headers(request), "Content-Type", "application/octet-stream");
	evhttp_add_header(evhttp_request_get_output_headers(request), "Connection", "close");
	evbuffer_add(evhttp_request_get_output_buffer(request), sealed->p, sealed->n);
	snprintf(target, sizeof target, "%s/peer", path ? path : "");
	a->sending = true;
	bool good = evhttp_make_request(a->connection, request, EVHTTP_REQ_POST, target) == 0;

	a->sending = false;
	return good && !a->refused;
}

static void
ask_there(struct asking *a)
{
	struct evhttp_uri *uri = evhttp_uri_parse(a->url);
	const char *scheme = uri ? evhttp_uri_get_scheme(uri) : NULL;
	struct buf sealed = { 0 };

	if (scheme == NULL || evhttp_uri_get_host(uri) == NULL || (strcmp(scheme, "http") != 0 && strcmp(scheme, "https") != 0))
		fail(a, a->url[0] ? "its review.node_url is no address" : "it serves no review pages (listen.review)");
	else if (!peer_seal_request(a->review->peers->key, a->wrapped, a->nonce, &sealed) || !send_request(a, uri, &sealed))
		fail(a, "no memory, or no connection");
	if (uri)
		evhttp_uri_free(uri);
	buf_free(&sealed);
}

static void
got_nodes(void *arg, json_t *reply, int fd)
{
	struct asking *a = arg;
	const json_t *node = json_object_get(json_object_get(reply, "nodes"), a->node);

	(void)fd;
	if (node)
		snprintf(a->url, sizeof a->url, "%s", json_word(node, "node_url"));
	if (json_object_get(reply, "error"))
		fail(a, "where it is cannot be told: Redis gives no answer");
	else if (node == NULL)
		fail(a, "there is no such node in this pool");
	else
		ask_there(a);
	json_decref(reply);
}

bool
peer_ask(struct review *r, const char *node, json_t *request, const char *actor, const char *role, backend_answer done, void *arg)
{
	struct asking *a = calloc(1, sizeof *a);

	json_object_del(request, "node");
	if (a) {
		*a = (struct asking){ .review = r, .done = done, .arg = arg };
		snprintf(a->node, sizeof a->node, "%s", node);
		a->wrapped = json_pack("{s:s, s:s, s:I, s:o, s:s, s:O}", "from", r->self->config->host_name, "to", node, "time",
		    (json_int_t)wall_s(), "actor", json_safe(actor), "role", role, "request", request);
	}
	json_decref(request);
	if (a == NULL || a->wrapped == NULL) {
		free(a);
		return false;
	}
	if (r->peers == NULL)
		fail(a, "this node is in no pool (redis.url)");
	else if (!backend_ask(r->store, json_pack("{s:s}", "cmd", "quarantine.nodes"), -1, NODES_MS, got_nodes, a))
		fail(a, "no memory");
	return true;
}
