/* review.h - what the parts of the review process share: one call from its request to its answer.
 *
 * Flow    http.c reads a request -> router.c finds its route, who calls, and whether he may -> a handler asks the store
 *         or the broker (backend.c) -> in its callback answers with JSON (/api/v1) or a page
 * Errors  an answer that does not come in time is a 503 with what to do; nothing is ever shown as done that is not
 *
 * One event loop, one thread; only scrypt runs beside it (passwords.c). No mail is parsed here: a caged worker does that.
 */
#ifndef QUARANTINE_REVIEW_REVIEW_H
#define QUARANTINE_REVIEW_REVIEW_H

#include <jansson.h>

#include "policyd/base/link.h"
#include "policyd/child.h"
#include "quarantine/review/http.h"
#include "quarantine/review/permit.h"
#include "quarantine/review/text.h"
#include "quarantine/review/users.h"

struct event;
struct audit;
struct digests;
struct passwords;
struct sessions;
struct shared_config;

enum { TOKEN_ROOM = 1100, ARG_ROOM = TOKEN_ROOM, SECRET_BYTES = 32, REVIEW_PATH_ROOM = PATH_ROOM + 64 };

struct review {
	struct child *self;
	struct event_base *base;
	struct http_server *http;
	struct ssl_ctx_st *tls;
	struct link *store, *broker, *deliver;
	struct users *users;
	struct sessions *sessions;
	struct passwords *passwords;
	struct audit *audit;
	struct digests *digests;
	json_t *customers;                   /* customers.c: what each has set for its review */
	json_t *seals;                       /* seals.c: who of the provider asks to read what */
	json_t *store_status, *broker_status;        /* the last answers to the probe; NULL: none came */
	uint8_t secret[SECRET_BYTES];        /* of this node, <state>/review/secret: signs tokens */
	struct inbox inbox;
	struct event *tick;
	int64_t probed_ms;
};

struct call {
	struct review *review;
	struct http_request *http;
	const struct route *route;
	char args[2][ARG_ROOM];              /* the parts of the path that the route names */
	struct viewer who;                   /* who calls; role ROLE_NONE: nobody signed in */
	char session[65], csrf[65];          /* empty: none; csrf is what his forms must send back */
	bool api;                            /* /api/v1: JSON in, JSON out */
	enum language language;
	int64_t start_ms;
	json_t *body;                        /* of an API request */
	json_t *kept[4];                     /* a handler's own, between its questions */
	int number;                          /* a handler's own */
	struct buf out;                      /* the page or document that is being made */
	char title[160];
};

typedef void (*call_handler)(struct call *c);

enum { ROUTE_PUBLIC = 1, ROUTE_FORM = 2, ROUTE_NO_CSRF = 4 };

struct route {
	enum http_method method;
	const char *path;                    /* "/m/:/release": each ':' is one part, kept in args */
	unsigned roles;                      /* bit per enum role; ROUTE_PUBLIC needs none */
	unsigned flags;
	call_handler run;
};

/* router.c */
void router_handle(void *arg, struct http_request *request);
extern const struct route routes[];
extern const size_t route_count;

/* call.c: answers. Each ends the call. */
void call_json(struct call *c, int status, json_t *body);                 /* takes `body` */
void call_page(struct call *c, int status);                              /* c->out in the frame of every page */
void call_bare(struct call *c, const struct http_reply *reply);          /* c->out as it is */
void call_redirect(struct call *c, const char *path);
void call_error(struct call *c, int status, enum text why);
void call_refused(struct call *c, const char *why);
/* Not there, or not his: the same answer after the same time. */
void call_missing(struct call *c);
/* An answer of store or broker that is an error ends the call here: true. Takes `reply` then. */
bool call_failed(struct call *c, json_t *reply);
void call_free(struct call *c);
/* A value from the form or the JSON body, NUL-terminated; empty and false when it is not there. */
bool call_value(struct call *c, const char *name, char *to, size_t room);
/* The same from the query. */
bool call_query(struct call *c, const char *name, char *to, size_t room);

/* html.c: the only way text comes into a page. %s text, %S struct span, %d long long, %f double, %t enum text.
 * All but the format itself is escaped; controls and turned directions of a stranger's text are made visible. */
void put(struct call *c, const char *format, ...);
void put_time(struct call *c, int64_t time_s);
void put_escaped(struct buf *b, struct span text);

/* backend.c: `done` gets what came, never NULL: {"error": ..., "exit": 1} when there was no answer in time. It owns `reply`
 * and `fd` (-1: none). */
typedef void (*backend_done)(struct call *c, json_t *reply, int fd);
void ask_store(struct call *c, json_t *request, backend_done done);
void ask_broker(struct call *c, json_t *request, int fd, backend_done done);
/* The same for our own purposes. */
typedef void (*backend_answer)(void *arg, json_t *reply, int fd);
bool backend_ask(struct link *link, json_t *request, int fd, int timeout_ms, backend_answer done, void *arg);
/* What of the quarantine this viewer may see, as the store's "scope". */
json_t *viewer_scope(const struct viewer *who);

/* secrets.c */
void random_hex(char *to, size_t bytes);                                 /* 2 * bytes + 1 */
bool secret_open(struct review *r, char *why, size_t room);
void mac_hex(const uint8_t key[SECRET_BYTES], const char *purpose, const char *text, char to[65]);
const char *style_hash(const char *style);                               /* "sha256-...", as a policy names it */
bool same_secret(const char *a, const char *b);                          /* constant time for equal lengths */
/* A file of ours: written beside, synced, renamed. */
bool file_replace(const char *path, const char *bytes, size_t n);
json_t *file_json(const char *path);                                     /* NULL: not there or no JSON */
json_t *json_safe(const char *text);                                     /* a JSON text; what is no UTF-8 becomes '?' */

/* control.c: policyctl user ..., audit ... */
void review_control(struct review *r, uint32_t id, struct span json, int *fds, int fd_count);

int64_t review_time_s(const struct review *r);
int64_t review_store_time(int64_t time_s);                               /* the same moment by the store's clock */

#endif
