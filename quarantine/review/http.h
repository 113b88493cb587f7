/* http.h - a small HTTP server on libevent's bufferevents, plain or TLS.
 *
 * Why     libevent's own evhttp bounds the pause between two reads, not the time of a whole request, so one byte every
 *         few seconds holds a connection for ever; and it cannot say that a connection began before its request is whole
 * Shape   one request of a connection at a time; the handler answers now or later, once, by http_reply
 * Bounds  http_parse.h; HTTP_REQUEST_MS from the first byte (TLS included) to the last, HTTP_IDLE_MS between requests,
 *         HTTP_WRITE_MS for the whole answer; MAX_HTTP_CLIENTS at once, MAX_HTTP_PER_ADDRESS of one address
 * Errors  what cannot be read is answered with its status and the connection closed; counted in M_HTTP_BAD
 *
 * Every answer carries the headers that keep a browser safe (http_reply says which); a page may only tighten or, for the
 * frame with a stranger's HTML, replace its policy.
 */
#ifndef QUARANTINE_REVIEW_HTTP_H
#define QUARANTINE_REVIEW_HTTP_H

#include "policyd/base/buf.h"
#include "policyd/scan/session.h"
#include "quarantine/review/http_parse.h"

struct event_base;
struct ssl_ctx_st;
struct http_server;

struct http_request {
	struct http_head head;
	struct span body;                    /* until http_reply */
	struct ip client;                    /* behind a trusted proxy: who is before it */
	bool tls;                            /* to us, or to the proxy by its word */
};

struct http_reply {
	int status;
	const char *type;                    /* "text/html; charset=utf-8" */
	const char *policy;                  /* Content-Security-Policy; NULL: the strict one of our own pages */
	const char *frame;                   /* X-Frame-Options; NULL: DENY */
	const char *cache;                   /* Cache-Control; NULL: no-store */
	const char *location;                /* of a redirect: a path of ours */
	const char *cookies[2];              /* Set-Cookie, whole */
	const char *etag;
	const char *disposition;             /* Content-Disposition, whole */
	int retry_after_s;                   /* 0: none */
};

typedef void (*http_handler)(void *arg, struct http_request *request);

/* `tls` NULL: plain. The listening socket stays the caller's. */
struct http_server *http_open(struct event_base *base, int listen_fd, struct ssl_ctx_st *tls, http_handler handler, void *arg);
void http_close(struct http_server *s);
/* Peers whose X-Forwarded-For and X-Forwarded-Proto are believed. */
void http_proxies(struct http_server *s, const struct net *nets, size_t count);

/* Ends the request; `body` is emptied (a HEAD request gets its length only). */
void http_reply(struct http_request *r, const struct http_reply *reply, struct buf *body);

#endif
