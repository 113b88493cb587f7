#include "quarantine/review/http.h"

#include <event2/buffer.h>
#include <event2/bufferevent.h>
#include <event2/bufferevent_ssl.h>
#include <event2/event.h>
#include <arpa/inet.h>
#include <netinet/tcp.h>
#include <openssl/ssl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "policyd/base/clock.h"
#include "policyd/base/log.h"
#include "policyd/base/metrics.h"

enum {
	HTTP_REQUEST_MS = 15 * 1000, HTTP_IDLE_MS = 30 * 1000, HTTP_WRITE_MS = 60 * 1000, HTTP_ANSWER_MS = 180 * 1000, ACCEPT_AT_ONCE = 64,
};

struct conn {
	struct http_request request;         /* first: http_reply finds the connection by it */
	struct http_server *server;
	struct conn *next, **at;
	struct bufferevent *bev;
	struct event *deadline;
	struct ip peer;
	char *bytes;                         /* of the request at hand: head and body */
	enum { CONN_READS, CONN_WAITS, CONN_WRITES, CONN_CLOSES } state;
	bool begun, continued;               /* begun: its first byte is here, HTTP_REQUEST_MS runs */
};

struct http_server {
	struct event_base *base;
	struct event *readable;
	SSL_CTX *tls;
	http_handler handler;
	void *arg;
	struct conn *conns;
	size_t count;
	const struct net *proxies;
	size_t proxy_count;
};

static const char strict_policy[] =
	"default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self'; font-src 'self'; connect-src 'self'; "
	"manifest-src 'self'; form-action 'self'; frame-src 'self'; frame-ancestors 'none'; base-uri 'none'";

static void
conn_free(struct conn *c)
{
	if (c->next)
		c->next->at = c->at;
	*c->at = c->next;
	c->server->count--;
	metrics_add(M_HTTP_NOW, -1);
	event_free(c->deadline);
	bufferevent_free(c->bev);
	free(c->bytes);
	free(c);
}

static void
set_deadline(struct conn *c, int ms)
{
	struct timeval tv = { ms / 1000, (ms % 1000) * 1000 };

	event_add(c->deadline, &tv);
}

static const char *
reason_of(int status)
{
	static const struct { int status; const char *reason; } reasons[] = {
		{ 200, "OK" }, { 201, "Created" }, { 204, "No Content" }, { 303, "See Other" }, { 304, "Not Modified" }, { 400, "Bad Request" },
		{ 401, "Unauthorized" }, { 403, "Forbidden" }, { 404, "Not Found" }, { 405, "Method Not Allowed" }, { 408, "Request Timeout" },
		{ 409, "Conflict" }, { 410, "Gone" }, { 412, "Precondition Failed" }, { 413, "Content Too Large" }, { 414, "URI Too Long" }, { 415, "Unsupported Media Type" },
		{ 417, "Expectation Failed" }, { 422, "Unprocessable Content" }, { 429, "Too Many Requests" }, { 431, "Request Header Fields Too Large" },
		{ 500, "Internal Server Error" }, { 501, "Not Implemented" }, { 502, "Bad Gateway" }, { 503, "Service Unavailable" }, { 504, "Gateway Timeout" },
		{ 505, "HTTP Version Not Supported" },
	};

	for (size_t i = 0; i < sizeof reasons / sizeof *reasons; i++)
		if (reasons[i].status == status)
			return reasons[i].reason;
	return "Unknown";
}

/* A header value of ours: a line end in it would be another header. */
static void
add_field(struct buf *b, const char *name, const char *value)
{
	if (value && strpbrk(value, "\r\n") == NULL)
		buf_printf(b, "%s: %s\r\n", name, value);
}

void
http_reply(struct http_request *r, const struct http_reply *reply, struct buf *body)
{
	struct conn *c = (struct conn *)r;
	struct evbuffer *out = bufferevent_get_output(c->bev);
	struct buf head = { 0 };
	bool keep = r->head.keep && reply->status != 400 && reply->status < 500;

	buf_printf(&head, "HTTP/1.1 %d %s\r\nContent-Length: %zu\r\n", reply->status, reason_of(reply->status), body->n);
	add_field(&head, "Content-Type", reply->type ? reply->type : "text/plain; charset=utf-8");
	add_field(&head, "Content-Security-Policy", reply->policy ? reply->policy : strict_policy);
	add_field(&head, "X-Frame-Options", reply->frame ? reply->frame : "DENY");
	add_field(&head, "Cache-Control", reply->cache ? reply->cache : "no-store");
	add_field(&head, "X-Content-Type-Options", "nosniff");
	add_field(&head, "Referrer-Policy", "no-referrer");
	add_field(&head, "Cross-Origin-Opener-Policy", "same-origin");
	add_field(&head, "Cross-Origin-Resource-Policy", "same-origin");
	add_field(&head, "Permissions-Policy", "camera=(), geolocation=(), microphone=()");
	add_field(&head, "X-Robots-Tag", "noindex, nofollow");
	if (r->tls)
		add_field(&head, "Strict-Transport-Security", "max-age=31536000");
	add_field(&head, "Location", reply->location);
	add_field(&head, "Set-Cookie", reply->cookies[0]);
	add_field(&head, "Set-Cookie", reply->cookies[1]);
	add_field(&head, "ETag", reply->etag);
	add_field(&head, "Content-Disposition", reply->disposition);
	if (reply->retry_after_s > 0)
		buf_printf(&head, "Retry-After: %d\r\n", reply->retry_after_s);
	buf_printf(&head, "Connection: %s\r\n\r\n", keep ? "keep-alive" : "close");
	metrics_add(reply->status >= 500 ? M_HTTP_FAILED : M_HTTP_ANSWERED, 1);
	if (head.failed || body->failed) {   /* nothing honest can be said any more */
		buf_free(&head);
		buf_free(body);
		conn_free(c);
		return;
	}
	evbuffer_add(out, head.p, head.n);
	if (r->head.method != HTTP_HEAD && body->n > 0)
		evbuffer_add(out, body->p, body->n);
	buf_free(&head);
	buf_free(body);
	c->state = keep ? CONN_WRITES : CONN_CLOSES;
	set_deadline(c, HTTP_WRITE_MS);
	bufferevent_enable(c->bev, EV_WRITE);
}

static void
refuse(struct conn *c, int status)
{
	struct buf body = { 0 };

	metrics_add(M_HTTP_BAD, 1);
	c->request.head.keep = false;
	buf_printf(&body, "%d %s\n", status, reason_of(status));
	http_reply(&c->request, &(struct http_reply){ .status = status }, &body);
}

/* "client, proxy1, proxy2": from the right, the first that is no proxy of ours. */
static void
find_client(struct conn *c)
{
	struct http_request *r = &c->request;
	const struct http_server *s = c->server;
	struct span list = http_field(&r->head, "x-forwarded-for");

	r->client = c->peer;
	r->tls = s->tls != NULL;
	if (!nets_have(s->proxies, s->proxy_count, &c->peer))
		return;
	r->tls |= span_eq_nocase(http_field(&r->head, "x-forwarded-proto"), SPAN("https"));
	while (list.n > 0) {
		size_t comma = span_find_last(list, ',');
		struct ip ip;

		if (!ip_parse(span_trim(comma == SPAN_NONE ? list : span_from(list, comma + 1)), &ip))
			return;
		r->client = ip;
		if (comma == SPAN_NONE || !nets_have(s->proxies, s->proxy_count, &ip))
			return;
		list = span_head(list, comma);
	}
}

static void
conn_read(struct conn *c)
{
	struct evbuffer *in = bufferevent_get_input(c->bev);
	size_t have = evbuffer_get_length(in), head_bytes;
	struct http_request *r = &c->request;
	int status = 400;

	if (c->state != CONN_READS || have == 0)
		return;
	if (!c->begun)
		set_deadline(c, HTTP_REQUEST_MS);
	c->begun = true;
	size_t look = have < MAX_HTTP_HEAD ? have : MAX_HTTP_HEAD;
	struct span seen = span_make(evbuffer_pullup(in, (ev_ssize_t)look), look);

	switch (http_parse(seen, &r->head, &head_bytes, &status)) {
	case HTTP_MORE:
		return;
	case HTTP_BAD:
		refuse(c, status);
		return;
	case HTTP_WHOLE:
		break;
	}
	if (have < head_bytes + r->head.body_bytes) {
		if (r->head.wants_continue && !c->continued) {
			c->continued = true;
			bufferevent_write(c->bev, "HTTP/1.1 100 Continue\r\n\r\n", 25);
		}
		return;
	}
	size_t whole = head_bytes + r->head.body_bytes;

	free(c->bytes);
	c->bytes = malloc(whole);
	if (c->bytes == NULL) {
		refuse(c, 503);
		return;
	}
	evbuffer_remove(in, c->bytes, whole);
	http_parse(span_make(c->bytes, whole), &r->head, &head_bytes, &status);   /* the same, in memory that stays */
	r->body = span_make(c->bytes + head_bytes, r->head.body_bytes);
	find_client(c);
	c->state = CONN_WAITS;
	c->continued = false;
	bufferevent_disable(c->bev, EV_READ);
	set_deadline(c, HTTP_ANSWER_MS);
	metrics_add(M_HTTP_REQUESTS, 1);
	c->server->handler(c->server->arg, r);
}

static void
on_read(struct bufferevent *bev, void *arg)
{
	struct conn *c = arg;

	(void)bev;
	conn_read(c);
}

/* The answer has gone out: the next request, or the end. */
static void
on_written(struct bufferevent *bev, void *arg)
{
	struct conn *c = arg;

	(void)bev;
	if (c->state == CONN_CLOSES) {
		conn_free(c);
	} else if (c->state == CONN_WRITES) {
		c->state = CONN_READS;
		c->begun = false;
		set_deadline(c, HTTP_IDLE_MS);
		bufferevent_enable(c->bev, EV_READ);
		conn_read(c);
	}
}

static void
on_event(struct bufferevent *bev, short what, void *arg)
{
	struct conn *c = arg;

	(void)bev;
	if (what & BEV_EVENT_CONNECTED)      /* TLS is up */
		return;
	if (c->state == CONN_WAITS)          /* the handler will answer into nothing; then it ends */
		c->request.head.keep = false;
	else
		conn_free(c);
}

static void
on_deadline(evutil_socket_t fd, short what, void *arg)
{
	struct conn *c = arg;

	(void)fd;
	(void)what;
	if (c->state == CONN_WAITS) {        /* every question behind it has a deadline of its own: an answer comes */
		set_deadline(c, HTTP_ANSWER_MS);
		return;
	}
	metrics_add(M_HTTP_LATE, evbuffer_get_length(bufferevent_get_input(c->bev)) > 0);
	conn_free(c);
}

static bool
too_many(const struct http_server *s, const struct ip *peer)
{
	size_t same = 0;

	if (s->count >= MAX_HTTP_CLIENTS)
		return true;
	if (nets_have(s->proxies, s->proxy_count, peer))
		return false;
	for (const struct conn *c = s->conns; c; c = c->next)
		same += c->peer.family == peer->family && memcmp(c->peer.bytes, peer->bytes, sizeof peer->bytes) == 0;
	return same >= MAX_HTTP_PER_ADDRESS;
}

static void
peer_ip(const struct sockaddr_storage *from, struct ip *ip)
{
	char text[INET6_ADDRSTRLEN] = "";

	if (from->ss_family == AF_INET)
		inet_ntop(AF_INET, &((const struct sockaddr_in *)from)->sin_addr, text, sizeof text);
	else if (from->ss_family == AF_INET6)
		inet_ntop(AF_INET6, &((const struct sockaddr_in6 *)from)->sin6_addr, text, sizeof text);
	*ip = (struct ip){ 0 };
	ip_parse(span_of(text), ip);
}

static void
conn_new(struct http_server *s, int sock, const struct ip *peer)
{
	struct conn *c = calloc(1, sizeof *c);
	SSL *ssl = s->tls ? SSL_new(s->tls) : NULL;

	if (c == NULL || (s->tls && ssl == NULL)) {
		free(c);
		close(sock);
		return;
	}
	c->bev = ssl ? bufferevent_openssl_socket_new(s->base, sock, ssl, BUFFEREVENT_SSL_ACCEPTING, BEV_OPT_CLOSE_ON_FREE) :
	    bufferevent_socket_new(s->base, sock, BEV_OPT_CLOSE_ON_FREE);
	c->deadline = c->bev ? event_new(s->base, -1, 0, on_deadline, c) : NULL;
	if (c->deadline == NULL) {
		if (c->bev)
			bufferevent_free(c->bev);
		else
			close(sock);
		free(c);
		return;
	}
	c->server = s;
	c->begun = true;
	c->peer = *peer;
	c->next = s->conns;
	c->at = &s->conns;
	if (c->next)
		c->next->at = &c->next;
	s->conns = c;
	s->count++;
	metrics_add(M_HTTP_NOW, 1);
	bufferevent_setcb(c->bev, on_read, on_written, on_event, c);
	bufferevent_setwatermark(c->bev, EV_READ, 0, MAX_HTTP_HEAD + MAX_HTTP_BODY);
	bufferevent_enable(c->bev, EV_READ | EV_WRITE);
	set_deadline(c, HTTP_REQUEST_MS);
}

static void
on_accept(evutil_socket_t fd, short what, void *arg)
{
	struct http_server *s = arg;

	(void)what;
	for (int i = 0; i < ACCEPT_AT_ONCE; i++) {
		struct sockaddr_storage from = { 0 };
		socklen_t length = sizeof from;
		int sock = accept4(fd, (struct sockaddr *)&from, &length, SOCK_CLOEXEC | SOCK_NONBLOCK);
		struct ip peer;

		if (sock < 0)
			return;
		peer_ip(&from, &peer);
		if (too_many(s, &peer)) {
			metrics_add(M_HTTP_REFUSED, 1);
			close(sock);
		} else {
			conn_new(s, sock, &peer);
		}
	}
}

struct http_server *
http_open(struct event_base *base, int listen_fd, SSL_CTX *tls, http_handler handler, void *arg)
{
	struct http_server *s = calloc(1, sizeof *s);

	if (s == NULL)
		return NULL;
	*s = (struct http_server){ .base = base, .tls = tls, .handler = handler, .arg = arg };
	evutil_make_socket_nonblocking(listen_fd);
	s->readable = event_new(base, listen_fd, EV_READ | EV_PERSIST, on_accept, s);
	if (s->readable == NULL || event_add(s->readable, NULL) < 0) {
		http_close(s);
		return NULL;
	}
	return s;
}

void
http_close(struct http_server *s)
{
	while (s->conns)
		conn_free(s->conns);
	if (s->readable)
		event_free(s->readable);
	free(s);
}

void
http_proxies(struct http_server *s, const struct net *nets, size_t count)
{
	s->proxies = nets;
	s->proxy_count = count;
}
