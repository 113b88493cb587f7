/* page_signin.c - in and out. A wrong name, a wrong password and a wrong code look the same and take as long. */
#include <stdio.h>
#include <stdlib.h>

#include "policyd/base/log.h"
#include "quarantine/review/audit.h"
#include "quarantine/review/pages.h"
#include "quarantine/review/passwords.h"
#include "quarantine/review/sessions.h"

void
session_cookie(const struct call *c, const char *value, int age_s, char *to, size_t room)
{
	snprintf(to, room, "%s=%s; Path=/; Max-Age=%d; HttpOnly; SameSite=Lax%s", session_cookie_name(c), value, age_s,
	    c->http->tls ? "; Secure" : "");
}

static void
signin_page(struct call *c, int status, enum text why, int wait_s)
{
	char name[USER_ROOM] = "";

	if (c->http->head.method == HTTP_POST)
		call_value(c, "name", name, sizeof name);
	snprintf(c->title, sizeof c->title, "%s", text_in(c->language, T_SIGN_IN));
	put(c, "<section class=\"signin card\"><h1>%t</h1>", T_SIGN_IN);
	if (why != T_NOTHING) {
		put(c, "<p class=\"alert\" role=\"alert\">%t", why);
		if (wait_s > 0)
			put(c, " %t %d s.", T_WAIT, (long long)wait_s);
		put(c, "</p>");
	}
	put(c, "<form method=\"post\" action=\"/signin\">"
	    "<label for=\"name\">%t</label><input id=\"name\" name=\"name\" value=\"%s\" autocomplete=\"username\" required maxlength=\"120\" autocapitalize=\"none\">"
	    "<label for=\"password\">%t</label><input id=\"password\" name=\"password\" type=\"password\" autocomplete=\"current-password\" required maxlength=\"255\">"
	    "<label for=\"code\">%t</label><input id=\"code\" name=\"code\" inputmode=\"numeric\" autocomplete=\"one-time-code\" maxlength=\"6\" pattern=\"[0-9]{6}\">"
	    "<button class=\"primary\">%t</button></form><p class=\"or\"><a href=\"/signin/mail\">%t</a></p></section>",
	    T_NAME, name, T_PASSWORD, T_CODE, T_SIGN_IN, T_SIGN_IN_BY_MAIL);
	call_page(c, status);
}

void
get_signin(struct call *c)
{
	if (c->who.role != ROLE_NONE)
		call_redirect(c, "/");
	else
		signin_page(c, 200, T_NOTHING, 0);
}

static void
address_key(const struct call *c, char key[INET6_ADDRSTRLEN + 4])
{
	struct ip ip = c->http->client;
	char text[INET6_ADDRSTRLEN];

	if (ip.family == AF_INET6)           /* one network is one attacker */
		memset(ip.bytes + 8, 0, 8);
	ip_print(&ip, text);
	snprintf(key, INET6_ADDRSTRLEN + 4, "ip %s", text);
}

static void
refused(struct call *c, const char *name)
{
	char key[INET6_ADDRSTRLEN + 4];
	int64_t now = review_time_s(c->review);

	address_key(c, key);
	attempts_failed(name, now);
	attempts_failed(key, now);
	audit_call(c, "signin.refused", name, "", "");
	log_warning("review: sign-in of \"%s\" from %s refused", name, key + 3);
	signin_page(c, 403, T_SIGN_IN_WRONG, 0);
}

static void
signed_in(struct call *c)
{
	struct review *r = c->review;
	const json_t *user = users_find(r->users, c->who.name);
	char value[65], cookie[200];

	if (user == NULL || !session_start(r->sessions, &c->who, json_integer_value(json_object_get(user, "epoch")), review_time_s(r), value)) {
		c->who.role = ROLE_NONE;
		call_error(c, 503, T_TRY_LATER);
		return;
	}
	audit_call(c, "signin", c->who.name, "", "");
	session_cookie(c, value, SESSION_MOST_S, cookie, sizeof cookie);
	buf_clear(&c->out);
	call_bare(c, &(struct http_reply){ .status = 303, .location = "/", .cookies = { cookie } });
}

/* Whose mailbox an owner has, for the name and the settings that his pages go by; without an answer he goes without them. */
static void
customer_found(struct call *c, json_t *reply, int fd)
{
	(void)fd;
	snprintf(c->who.customer, sizeof c->who.customer, "%s", json_word(reply, "customer"));
	json_decref(reply);
	signed_in(c);
}

static void
checked(void *arg, bool good)
{
	struct call *c = arg;
	struct review *r = c->review;
	char name[USER_ROOM], code[16];

	call_value(c, "name", name, sizeof name);
	call_value(c, "code", code, sizeof code);
	json_t *user = users_find(r->users, name);

	if (!good || user == NULL || (json_word(user, "totp")[0] && !users_totp(r->users, user, code, review_time_s(r)))) {
		refused(c, name);
		return;
	}
	attempts_forget(name);
	user_viewer(user, &c->who);
	if (c->who.role == ROLE_OWNER && c->who.customer[0] == '\0')
		ask_broker(c, json_pack("{s:s, s:s}", "cmd", "policy.explain", "address", c->who.addresses[0]), -1, customer_found);
	else
		signed_in(c);
}

void
post_signin(struct call *c)
{
	char name[USER_ROOM], password[MAX_PASSWORD], key[INET6_ADDRSTRLEN + 4];
	int64_t now = review_time_s(c->review);

	if (!call_value(c, "name", name, sizeof name) || !call_value(c, "password", password, sizeof password)) {
		signin_page(c, 400, T_SIGN_IN_WRONG, 0);
		return;
	}
	address_key(c, key);
	int by_name = attempts_wait_s(name, FREE_BY_NAME, now), by_address = attempts_wait_s(key, FREE_BY_ADDRESS, now);

	if (by_name > 0 || by_address > 0) {
		signin_page(c, 429, T_TOO_MANY, by_name > by_address ? by_name : by_address);
		return;
	}
	const json_t *user = users_find(c->review->users, name);

	if (!passwords_check(c->review->passwords, password, user ? json_word(user, "password") : NULL, checked, c))
		call_error(c, 503, T_TRY_LATER);
}

void
post_signout(struct call *c)
{
	char cookie[200];

	audit_call(c, "signout", c->who.name, "", "");
	session_end(c->review->sessions, c->session);
	session_cookie(c, "", 0, cookie, sizeof cookie);
	call_bare(c, &(struct http_reply){ .status = 303, .location = "/signin", .cookies = { cookie } });
}

/* Back to where he was, if that is a page of ours. */
static void
back(struct call *c, char *to, size_t room)
{
	struct span from = http_field(&c->http->head, "referer"), host = http_field(&c->http->head, "host");
	size_t scheme = span_find(from, SPAN("://"));

	snprintf(to, room, "/");
	if (scheme == SPAN_NONE || host.n == 0)
		return;
	from = span_from(from, scheme + 3);
	if (!span_starts(from, host) || from.n <= host.n || from.p[host.n] != '/' || from.n - host.n >= room)
		return;
	snprintf(to, room, SPAN_FMT, SPAN_ARG(span_from(from, host.n)));
}

void
post_language(struct call *c)
{
	char chosen[8], cookie[120], to[512];

	call_value(c, "language", chosen, sizeof chosen);
	snprintf(cookie, sizeof cookie, "language=%s; Path=/; Max-Age=31536000; HttpOnly; SameSite=Lax%s",
	    language_names[language_of(chosen)], c->http->tls ? "; Secure" : "");
	back(c, to, sizeof to);
	call_bare(c, &(struct http_reply){ .status = 303, .location = to, .cookies = { cookie } });
}

void
get_me(struct call *c)
{
	json_t *addresses = json_array();

	for (int i = 0; i < c->who.address_count; i++)
		json_array_append_new(addresses, json_string(c->who.addresses[i]));
	call_json(c, 200, json_pack("{s:s, s:s, s:s, s:o, s:s}", "name", c->who.name, "role", role_names[c->who.role], "customer",
	    c->who.customer, "addresses", addresses, "csrf", c->csrf));
}
