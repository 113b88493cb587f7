/* router.c - from a request to its handler: which route, who calls, may he. Nothing else decides that. */
#include <stdio.h>
#include <stdlib.h>

#include "policyd/base/clock.h"
#include "policyd/base/log.h"
#include "policyd/base/metrics.h"
#include "quarantine/review/pages.h"
#include "quarantine/review/sessions.h"

enum { SUPPORT = 1 << ROLE_SUPPORT, ABUSE = 1 << ROLE_ABUSE, ADMIN = 1 << ROLE_ADMIN, OWNER = 1 << ROLE_OWNER,
    PROVIDER = SUPPORT | ABUSE, EVERYBODY = PROVIDER | ADMIN | OWNER };

const struct route routes[] = {
	/* method     path                              roles       flags          handler */
	{ HTTP_GET,   "/health",                        0,          ROUTE_PUBLIC,  get_health },
	{ HTTP_GET,   "/metrics",                       0,          ROUTE_PUBLIC,  get_metrics },
	{ HTTP_GET,   "/static/:",                      0,          ROUTE_PUBLIC,  get_static },
	{ HTTP_GET,   "/api/v1/openapi.json",           0,          ROUTE_PUBLIC,  get_openapi },
	{ HTTP_GET,   "/signin",                        0,          ROUTE_PUBLIC,  get_signin },
	{ HTTP_POST,  "/signin",                        0,          ROUTE_PUBLIC | ROUTE_NO_CSRF, post_signin },
	{ HTTP_GET,   "/signin/mail",                   0,          ROUTE_PUBLIC,  get_signin_mail },
	{ HTTP_POST,  "/signin/mail",                   0,          ROUTE_PUBLIC | ROUTE_NO_CSRF, post_signin_mail },
	{ HTTP_GET,   "/in/:",                          0,          ROUTE_PUBLIC,  get_in },
	{ HTTP_POST,  "/in/:",                          0,          ROUTE_PUBLIC | ROUTE_NO_CSRF, post_in },
	{ HTTP_GET,   "/d/:",                           0,          ROUTE_PUBLIC,  get_link },
	{ HTTP_POST,  "/d/:",                           0,          ROUTE_PUBLIC | ROUTE_NO_CSRF, post_link },
	{ HTTP_GET,   "/ask/:",                         0,          ROUTE_PUBLIC,  get_ask },
	{ HTTP_POST,  "/ask/:",                         0,          ROUTE_PUBLIC | ROUTE_NO_CSRF, post_ask },
	{ HTTP_GET,   "/unsubscribe/:",                 0,          ROUTE_PUBLIC,  get_unsubscribe },
	{ HTTP_POST,  "/unsubscribe/:",                 0,          ROUTE_PUBLIC | ROUTE_NO_CSRF, post_unsubscribe },
	{ HTTP_POST,  "/signout",                       EVERYBODY,  0,             post_signout },
	{ HTTP_POST,  "/language",                      0,          ROUTE_PUBLIC | ROUTE_NO_CSRF, post_language },
	{ HTTP_GET,   "/",                              EVERYBODY,  0,             get_list },
	{ HTTP_POST,  "/change",                        EVERYBODY,  0,             post_change },
	{ HTTP_GET,   "/m/:",                           EVERYBODY,  0,             get_message },
	{ HTTP_GET,   "/m/:/html",                      EVERYBODY,  0,             get_message_html },
	{ HTTP_GET,   "/m/:/mail.eml",                  EVERYBODY,  0,             get_message_mail },
	{ HTTP_POST,  "/m/:/sender/:",                  ABUSE | ADMIN | OWNER, 0,  post_sender },
	{ HTTP_POST,  "/m/:/unseal",                    SUPPORT,    0,             post_unseal },
	{ HTTP_GET,   "/seals",                         PROVIDER | ADMIN, 0,       get_seals },
	{ HTTP_POST,  "/seals/:",                       PROVIDER | ADMIN, 0,       post_seal },
	{ HTTP_GET,   "/support",                       PROVIDER | ADMIN, 0,       get_support },
	{ HTTP_GET,   "/stats",                         PROVIDER | ADMIN, 0,       get_stats },
	{ HTTP_GET,   "/audit",                         PROVIDER | ADMIN, 0,       get_audit },
	{ HTTP_GET,   "/settings",                      ADMIN | OWNER, 0,          get_settings },
	{ HTTP_POST,  "/settings",                      ADMIN | OWNER, 0,          post_settings },
	{ HTTP_POST,  "/settings/list",                 ADMIN | OWNER, 0,          post_settings_list },
	{ HTTP_POST,  "/settings/review",               ADMIN | OWNER, 0,          post_settings_review },
	{ HTTP_GET,   "/api/v1/trace",                  PROVIDER | ADMIN, 0,       get_support },
	{ HTTP_GET,   "/api/v1/stats",                  PROVIDER | ADMIN, 0,       get_stats },
	{ HTTP_GET,   "/api/v1/audit",                  PROVIDER | ADMIN, 0,       get_audit },
	{ HTTP_GET,   "/api/v1/settings",               ADMIN | OWNER, 0,          get_settings },
	{ HTTP_POST,  "/api/v1/settings",               ADMIN | OWNER, 0,          post_settings },
	{ HTTP_GET,   "/api/v1/policies",               PROVIDER | ADMIN, 0,       get_policies },
	{ HTTP_GET,   "/api/v1/policies/:",             PROVIDER | ADMIN, 0,       get_policy },
	{ HTTP_PUT,   "/api/v1/policies/:",             ABUSE | ADMIN, 0,          put_policy },
	{ HTTP_DELETE, "/api/v1/policies/:",            ABUSE | ADMIN, 0,          delete_policy },
	{ HTTP_GET,   "/api/v1/policies/:/explain",     PROVIDER | ADMIN, 0,       get_policy_explain },
	{ HTTP_GET,   "/api/v1/policies/:/history",     PROVIDER | ADMIN, 0,       get_policy_history },
	{ HTTP_GET,   "/api/v1/policy-schema",          PROVIDER | ADMIN, 0,       get_policy_schema },
	{ HTTP_POST,  "/api/v1/policy-import",          ABUSE | ADMIN, 0,          post_policy_import },
	{ HTTP_GET,   "/api/v1/customers/:/use",        PROVIDER | ADMIN, 0,       get_customer_use },
	{ HTTP_POST,  "/api/v1/customers/:/rollback",   ABUSE | ADMIN, 0,          post_customer_rollback },
	{ HTTP_DELETE, "/api/v1/customers/:",           ABUSE,      0,             delete_customer },
	{ HTTP_POST,  "/api/v1/settings/list",          ADMIN | OWNER, 0,          post_settings_list },
	{ HTTP_GET,   "/api/v1/me",                     EVERYBODY,  0,             get_me },
	{ HTTP_GET,   "/api/v1/messages",               EVERYBODY,  0,             get_list },
	{ HTTP_GET,   "/api/v1/messages/:",             EVERYBODY,  0,             get_message },
	{ HTTP_GET,   "/api/v1/messages/:/mail.eml",    EVERYBODY,  0,             get_message_mail },
	{ HTTP_POST,  "/api/v1/messages/:/sender/:",    ABUSE | ADMIN | OWNER, 0,  post_sender },
	{ HTTP_POST,  "/api/v1/messages/:/unseal",      SUPPORT,    0,             post_unseal },
	{ HTTP_GET,   "/api/v1/seals",                  PROVIDER | ADMIN, 0,       get_seals },
	{ HTTP_POST,  "/api/v1/seals/:",                PROVIDER | ADMIN, 0,       post_seal },
	{ HTTP_POST,  "/api/v1/messages/change",        EVERYBODY,  0,             post_change },
};
const size_t route_count = sizeof routes / sizeof *routes;

/* "/m/:/text" against "/m/q123/text"; parts of letters, digits and "._-@+~%" only. */
static bool
path_matches(const char *pattern, struct span path, char args[2][ARG_ROOM])
{
	int arg = 0;

	args[0][0] = args[1][0] = '\0';
	while (*pattern && path.n > 0) {
		if (*pattern != ':') {
			if (*pattern++ != path.p[0])
				return false;
			path = span_from(path, 1);
			continue;
		}
		size_t n = span_find_char(path, '/');
		struct span part = span_head(path, n == SPAN_NONE ? path.n : n);

		if (part.n == 0 || part.n >= ARG_ROOM || arg == 2)
			return false;
		for (size_t i = 0; i < part.n; i++)
			if (!ascii_alnum(part.p[i]) && (part.p[i] == '\0' || strchr("._-@+~%", part.p[i]) == NULL))
				return false;
		memcpy(args[arg], part.p, part.n);
		args[arg++][part.n] = '\0';
		path = span_from(path, part.n);
		pattern++;
	}
	return *pattern == '\0' && path.n == 0;
}

/* The route of that path; NULL: none. `*other`: it is there with another method. */
static const struct route *
find_route(struct http_request *http, char args[2][ARG_ROOM], bool *other)
{
	enum http_method method = http->head.method == HTTP_HEAD ? HTTP_GET : http->head.method;

	*other = false;
	for (size_t i = 0; i < route_count; i++) {
		if (!path_matches(routes[i].path, http->head.path, args))
			continue;
		if (routes[i].method == method)
			return &routes[i];
		*other = true;
	}
	return NULL;
}

/* By the visitor's own choice (cookie), else by what his browser asks for. */
static enum language
find_language(const struct http_request *http)
{
	char chosen[8];

	if (cookie_value(http_field(&http->head, "cookie"), "language", chosen, sizeof chosen))
		return language_of(chosen);
	return span_starts_nocase(http_field(&http->head, "accept-language"), SPAN("de")) ? LANGUAGE_DE : LANGUAGE_EN;
}

const char *
session_cookie_name(const struct call *c)
{
	return c->http->tls ? "__Host-policyd" : "policyd";
}

/* Who calls: by an API key, or by the session's cookie. */
static void
find_viewer(struct call *c)
{
	struct review *r = c->review;
	struct span bearer = http_field(&c->http->head, "authorization");
	char cookie[80], key[128];

	if (span_starts_nocase(bearer, SPAN("bearer ")) && bearer.n < sizeof key) {
		snprintf(key, sizeof key, SPAN_FMT, SPAN_ARG(span_trim(span_from(bearer, 7))));
		const json_t *user = users_by_key(r->users, key);

		if (user)
			user_viewer(user, &c->who);
		return;
	}
	if (!cookie_value(http_field(&c->http->head, "cookie"), session_cookie_name(c), cookie, sizeof cookie) ||
	    !session_find(r->sessions, r->users, cookie, review_time_s(r), &c->who))
		return;
	snprintf(c->session, sizeof c->session, "%s", cookie);
	mac_hex(r->secret, "csrf", c->session, c->csrf);
}

/* Does a request that changes something come from a page of ours? The token says it; for sign-in, where there is none yet,
 * the browser's own word. */
static bool
csrf_good(struct call *c)
{
	struct span site = http_field(&c->http->head, "sec-fetch-site");
	char token[80] = "";

	if (c->http->head.method == HTTP_GET || c->http->head.method == HTTP_HEAD)
		return true;
	if (site.n > 0 && !span_eq_nocase(site, SPAN("same-origin")) && !span_eq_nocase(site, SPAN("none")))
		return false;
	if (c->route->flags & ROUTE_NO_CSRF)
		return true;
	if (c->session[0] == '\0')           /* an API key is no cookie: nobody else can make a browser send it */
		return c->who.role != ROLE_NONE;
	struct span header = http_field(&c->http->head, "x-csrf-token");

	if (header.n > 0 && header.n < sizeof token)
		snprintf(token, sizeof token, SPAN_FMT, SPAN_ARG(header));
	else
		form_value(c->http->body, "csrf", token, sizeof token);
	return same_secret(token, c->csrf);
}

static bool
body_good(struct call *c)
{
	struct span type = http_field(&c->http->head, "content-type"), body = c->http->body;

	if (c->http->head.method == HTTP_GET || c->http->head.method == HTTP_HEAD || body.n == 0)
		return true;
	if (!c->api)
		return span_starts_nocase(type, SPAN("application/x-www-form-urlencoded"));
	if (!span_starts_nocase(type, SPAN("application/json")))
		return false;
	c->body = json_loadb(body.p, body.n, JSON_REJECT_DUPLICATES, NULL);
	return json_is_object(c->body);
}

void
router_handle(void *arg, struct http_request *http)
{
	static const struct route no_route = { HTTP_GET, "?", 0, ROUTE_PUBLIC, NULL };
	struct call *c = calloc(1, sizeof *c);
	bool other;

	if (c == NULL) {
		struct buf none = { 0 };

		http_reply(http, &(struct http_reply){ .status = 503 }, &none);
		return;
	}
	c->review = arg;
	c->http = http;
	c->start_ms = clock_ms();
	c->api = span_starts(http->head.path, SPAN("/api/"));
	c->language = find_language(http);
	find_viewer(c);
	c->route = find_route(http, c->args, &other);
	if (c->route == NULL) {
		c->route = &no_route;
		call_error(c, other ? 405 : 404, other ? T_BAD_REQUEST : T_NOT_THERE);
	} else if (!body_good(c)) {
		call_error(c, 415, T_BAD_REQUEST);
	} else if (!(c->route->flags & ROUTE_PUBLIC) && c->who.role == ROLE_NONE) {
		if (c->api || http->head.method != HTTP_GET)
			call_error(c, 401, T_SIGN_IN_FIRST);
		else
			call_redirect(c, "/signin");
	} else if (!(c->route->flags & ROUTE_PUBLIC) && !(c->route->roles >> c->who.role & 1)) {
		call_error(c, 403, T_NOT_ALLOWED);
	} else if (!csrf_good(c)) {
		metrics_add(M_HTTP_FORGED, 1);
		call_error(c, 403, T_FORM_OLD);
	} else {
		c->route->run(c);
	}
}
