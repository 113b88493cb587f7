/* page_link.c - what the links in our mails lead to: one held mail, a sign-in without a password, the end of digests.
 *
 * A GET never acts. A POST acts only with the number that stands in the mail beside the link: scanners of mail gateways open
 * every link, run its scripts and post its forms, but they do not copy a number from the mail's text. No script of ours
 * submits anything here, no button is pressed beforehand, and the page needs no JavaScript. */
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "policyd/base/log.h"
#include "policyd/base/metrics.h"
#include "quarantine/review/audit.h"
#include "quarantine/review/customers.h"
#include "quarantine/review/digest.h"
#include "quarantine/review/mail.h"
#include "quarantine/review/pages.h"
#include "quarantine/review/reasons.h"
#include "quarantine/review/sessions.h"
#include "quarantine/review/voucher.h"

enum { SIGN_IN_S = 15 * 60, TEXT_SHOWN = 4000, REASONS_SHOWN = 8 };

/* Who the link was sent to, as one who sees his own mail. */
static void
become_owner(struct call *c, const struct voucher *t)
{
	c->who = (struct viewer){ .role = ROLE_OWNER, .address_count = 1, .linked = true };
	snprintf(c->who.name, sizeof c->who.name, "%.*s", (int)sizeof c->who.name - 1, t->mailbox);
	snprintf(c->who.customer, sizeof c->who.customer, "%s", t->customer);
	snprintf(c->who.addresses[0], sizeof c->who.addresses[0], "%s", t->mailbox);
}

/* The page is not that of a signed-in person: no menu, no sign-out. */
static void
link_page(struct call *c, int status)
{
	c->who.role = ROLE_NONE;
	call_page(c, status);
}

static void
void_link(struct call *c)
{
	metrics_add(M_LINKS_VOID, 1);
	c->who.role = ROLE_NONE;
	call_error(c, 410, T_LINK_VOID);
}

static void
put_code(struct call *c, enum text label, int digits)
{
	put(c, "<label for=\"code\">%t</label><input id=\"code\" name=\"code\" inputmode=\"numeric\" autocomplete=\"off\" required maxlength=\"%d\" "
	    "pattern=\"[0-9]{%d}\" class=\"code\">", label, (long long)digits, (long long)digits);
}

/* ---- one mail ---- */

static void
put_text(struct call *c, const json_t *content)
{
	struct span text = span_head(span_of(json_word(content, "text")), TEXT_SHOWN);

	if (text.n)
		put(c, "<details class=\"card\"><summary>%t</summary><pre class=\"body\"><bdi>%S</bdi></pre></details>", T_TEXT, text);
}

static void
put_reasons(struct call *c, const json_t *symbols)
{
	size_t i, shown = 0;
	json_t *s;

	put(c, "<details class=\"card\"><summary>%t</summary><ul>", T_WHY);
	json_array_foreach(symbols, i, s)
		if (json_number_value(json_object_get(s, "points")) > 0 && shown++ < REASONS_SHOWN)
			put(c, "<li>%s</li>", reason_words(c->language, json_word(s, "name")));
	put(c, "</ul></details>");
}

static void
put_choice(struct call *c, const json_t *e, unsigned rights)
{
	put(c, "<form class=\"card stack\" method=\"post\" action=\"/d/%s\">", c->args[0]);
	put_code(c, T_NUMBER_OF_MAIL, 4);
	put(c, "<p class=\"actions\">");
	if (rights & MAY_RELEASE)
		put(c, "<button name=\"op\" value=\"release\">%t</button>", T_RELEASE);
	if ((rights & (MAY_RELEASE | MAY_ALLOW)) == (MAY_RELEASE | MAY_ALLOW) && json_word(e, "allow")[0])
		put(c, "<button name=\"op\" value=\"allow\">%t</button>", T_RELEASE_ALLOW);
	if ((rights & (MAY_RELEASE | MAY_REQUEST)) == MAY_REQUEST && strcmp(json_word(e, "state"), "requested") != 0)
		put(c, "<button name=\"op\" value=\"request\">%t</button>", T_REQUEST);
	if (rights & MAY_DELETE)
		put(c, "<button name=\"op\" value=\"delete\">%t</button>", T_DELETE);
	put(c, "</p>");
	if ((rights & (MAY_RELEASE | MAY_ALLOW)) == (MAY_RELEASE | MAY_ALLOW) && json_word(e, "allow")[0]) {
		put(c, "<p class=\"small\">%t ", T_ALLOW_ALSO);
		put_allow(c, json_word(e, "allow"));
		put(c, "</p>");
	}
	put(c, "</form>");
}

static void
put_mail(struct call *c, enum text alert)
{
	const json_t *reply = c->kept[0], *e = json_array_get(json_object_get(reply, "entries"), 0);
	const char *subject = json_word(e, "subject"), *state = json_word(e, "state");
	bool held = strcmp(state, "new") == 0 || strcmp(state, "seen") == 0 || strcmp(state, "requested") == 0;
	unsigned rights;

	call_rights_of(c, e, &rights);
	snprintf(c->title, sizeof c->title, "%s", text_in(c->language, T_MESSAGE));
	put(c, "<article class=\"narrow\"><h1><bdi>%s</bdi></h1>", subject[0] ? subject : text_in(c->language, T_NO_SUBJECT));
	if (alert != T_NOTHING)
		put(c, "<p class=\"alert\" role=\"alert\">%t</p>", alert);
	put(c, "<section class=\"card\"><dl class=\"facts\"><div><dt>%t</dt><dd><bdi>%s</bdi></dd></div>", T_FROM, json_word(e, "from"));
	if (strcmp(json_word(e, "from"), json_word(e, "sender")) != 0)
		put(c, "<div><dt>%t</dt><dd><bdi>%s</bdi></dd></div>", T_ENVELOPE, json_word(e, "sender")[0] ? json_word(e, "sender") : "<>");
	put(c, "<div><dt>%t</dt><dd>", T_RECEIVED);
	put_time(c, json_integer_value(json_object_get(e, "time")));
	put(c, "</dd></div></dl><p>");
	put_badge(c, json_word(e, "class"), text_class(c->language, json_word(e, "class")));
	put_badge(c, "state", text_state(c->language, state));
	put(c, "</p><p class=\"lead\">%s</p></section>", text_class_long(c->language, json_word(e, "class")));
	if (held)
		put_choice(c, e, rights);
	put_reasons(c, json_object_get(reply, "symbols"));
	if ((rights & MAY_PREVIEW) && c->kept[1] && json_object_get(c->kept[1], "error") == NULL)
		put_text(c, c->kept[1]);
	put(c, "</article>");
	link_page(c, alert == T_NOTHING ? 200 : 403);
}

static void
mail_rendered(struct call *c, json_t *reply, int fd)
{
	(void)fd;
	c->kept[1] = reply;
	put_mail(c, (enum text)c->number);
}

static void
mail_found(struct call *c, json_t *reply, int fd)
{
	unsigned rights;
	json_t *e = json_array_get(json_object_get(reply, "entries"), 0);

	if (json_is_true(json_object_get(reply, "silent"))) {
		json_decref(reply);
		call_error(c, 503, T_TRY_LATER);
		return;
	}
	if (e == NULL || !call_rights_of(c, e, &rights)) {
		if (fd >= 0)
			close(fd);
		json_decref(reply);
		void_link(c);
		return;
	}
	c->kept[0] = reply;
	if (fd >= 0)
		ask_broker(c, json_pack("{s:s}", "cmd", "render"), fd, mail_rendered);
	else
		put_mail(c, (enum text)c->number);
}

static void
show_mail(struct call *c, const struct voucher *t, enum text alert)
{
	c->number = (int)alert;
	ask_store(c, json_pack("{s:s, s:s, s:I, s:o, s:b}", "cmd", "quarantine.show", "id", t->id, "n", (json_int_t)t->n, "scope", viewer_scope(&c->who),
	    "raw", 1), mail_found);
}

void
get_link(struct call *c)
{
	struct voucher t;

	if (!voucher_read(c->review, c->args[0], TOKEN_MESSAGE, &t)) {
		void_link(c);
		return;
	}
	become_owner(c, &t);
	show_mail(c, &t, T_NOTHING);
}

static void
link_changed(struct call *c, json_t *reply, int fd)
{
	const json_t *result = json_array_get(json_object_get(reply, "results"), 0);
	bool done = json_is_true(json_object_get(result, "done"));
	char target[600], action[40];

	(void)fd;
	if (call_failed(c, reply))
		return;
	snprintf(target, sizeof target, "%s %s", json_word(result, "id"), json_word(result, "recipient"));
	snprintf(action, sizeof action, "mail.%s%s", json_word(c->kept[0], "op"), done ? "" : ".failed");
	audit_call(c, action, target, c->who.customer, "by a digest's link");
	snprintf(c->title, sizeof c->title, "%s", text_in(c->language, T_MESSAGE));
	audit_allow(c, result, c->who.customer);
	put(c, "<section class=\"notice\"><h1>%t</h1><p>%s</p>", done ? change_words(json_word(c->kept[0], "op")) : T_NOT_DONE, json_word(result, "reply"));
	put_allow_result(c, result);
	put(c, "<p class=\"small\">%t</p></section>", T_MAY_CLOSE);
	json_decref(reply);
	link_page(c, 200);
}

/* The entry is here and the number was right: may he, and then it is done. */
static void
link_allowed(struct call *c, json_t *reply, int fd)
{
	json_t *e = json_array_get(json_object_get(reply, "entries"), 0);
	const char *op = json_word(c->kept[0], "op");
	struct voucher t;
	unsigned rights = 0, right = change_right(op);

	(void)fd;
	if (call_failed(c, reply))
		return;
	if (e == NULL || !call_rights_of(c, e, &rights) || right == 0 || (rights & right) != right || !voucher_read(c->review, c->args[0], TOKEN_MESSAGE, &t)) {
		json_decref(reply);
		call_error(c, 403, T_NOT_ALLOWED);
		return;
	}
	json_decref(reply);
	if (!voucher_use(c->review, &t)) {
		call_error(c, 503, T_TRY_LATER);
		return;
	}
	bool allow = strcmp(op, "allow") == 0;

	ask_store(c, json_pack("{s:s, s:s, s:[{s:s, s:I}], s:s, s:s, s:o, s:b}", "cmd", "quarantine.change", "op", allow ? "release" : op, "ids", "id", t.id,
	    "n", (json_int_t)t.n, "actor", t.mailbox, "note", "", "scope", viewer_scope(&c->who), "allow", allow), link_changed);
}

void
post_link(struct call *c)
{
	struct voucher t;
	char op[16], code[16];

	if (!voucher_read(c->review, c->args[0], TOKEN_MESSAGE, &t)) {
		void_link(c);
		return;
	}
	become_owner(c, &t);
	call_value(c, "op", op, sizeof op);
	call_value(c, "code", code, sizeof code);
	if (strcmp(op, "release") != 0 && strcmp(op, "allow") != 0 && strcmp(op, "delete") != 0 && strcmp(op, "request") != 0) {
		show_mail(c, &t, T_CHOOSE);
		return;
	}
	if (!voucher_code_good(c->review, &t, code)) {
		metrics_add(M_LINKS_UNPROVEN, 1);
		show_mail(c, &t, T_NUMBER_WRONG);
		return;
	}
	c->kept[0] = json_pack("{s:s}", "op", op);
	ask_store(c, json_pack("{s:s, s:s, s:I, s:o}", "cmd", "quarantine.show", "id", t.id, "n", (json_int_t)t.n, "scope", viewer_scope(&c->who)), link_allowed);
}

/* ---- signing in by mail ---- */

void
get_signin_mail(struct call *c)
{
	snprintf(c->title, sizeof c->title, "%s", text_in(c->language, T_SIGN_IN));
	put(c, "<section class=\"signin card\"><h1>%t</h1><p>%t</p><form method=\"post\" action=\"/signin/mail\"><label for=\"address\">%t</label>"
	    "<input id=\"address\" name=\"address\" type=\"email\" autocomplete=\"email\" required maxlength=\"320\">"
	    "<button class=\"primary\">%t</button></form></section>", T_SIGN_IN_BY_MAIL, T_SIGN_IN_BY_MAIL_HOW, T_ADDRESS, T_SEND_CODE);
	link_page(c, 200);
}

static void
code_page(struct call *c, const char *token, int status, enum text alert)
{
	snprintf(c->title, sizeof c->title, "%s", text_in(c->language, T_SIGN_IN));
	put(c, "<section class=\"signin card\"><h1>%t</h1><p>%t</p>", T_SIGN_IN, T_CODE_SENT);
	if (alert != T_NOTHING)
		put(c, "<p class=\"alert\" role=\"alert\">%t</p>", alert);
	put(c, "<form method=\"post\" action=\"/in/%s\">", token);
	put_code(c, T_CODE_OF_MAIL, 6);
	put(c, "<button class=\"primary\">%t</button></form></section>", T_SIGN_IN);
	link_page(c, status);
}

static void
code_sent(void *arg, int result, const char *reply)
{
	(void)arg;
	if (result != 1)
		log_warning("review: a sign-in mail was not taken: %s", reply);
}

/* Whose mailbox is it? Only for one that we look after a mail is sent; the page is the same for all. */
static void
mailbox_known(struct call *c, json_t *reply, int fd)
{
	struct review *r = c->review;
	const char *mailbox = json_word(reply, "address"), *customer = json_word(reply, "customer");
	struct voucher t = { .purpose = TOKEN_SIGN_IN, .made_s = review_time_s(r), .expires_s = review_time_s(r) + SIGN_IN_S };
	char token[TOKEN_ROOM], code[CODE_ROOM], id[48];
	struct own_mail m = { .id = id, .to = mailbox, .language = c->language, .from_name = customer_brand(r, customer),
	    .subject = text_in(c->language, T_SIGN_IN_SUBJECT) };

	(void)fd;
	if (json_is_true(json_object_get(reply, "silent"))) {
		json_decref(reply);
		call_error(c, 503, T_TRY_LATER);
		return;
	}
	snprintf(t.mailbox, sizeof t.mailbox, "%s", mailbox);
	snprintf(t.customer, sizeof t.customer, "%s", customer);
	voucher_make(r, &t, token, code);
	snprintf(id, sizeof id, "signin-%s", t.chance);
	if (customer[0] && strchr(mailbox, '@')) {
		buf_printf(&m.text, "%s\r\n\r\n    %s\r\n\r\n%s\r\n%s/in/%s\r\n", text_in(c->language, T_SIGN_IN_CODE), code, text_in(c->language, T_SIGN_IN_ELSEWHERE),
		    r->self->config->review_url, token);
		buf_printf(&m.html, "<div style=\"font-family:system-ui,sans-serif;font-size:15px\"><p>%s</p><p style=\"font-size:28px;letter-spacing:4px\"><b>%s</b></p>"
		    "<p style=\"color:#56615d\">%s <a href=\"%s/in/%s\">%s</a></p></div>", text_in(c->language, T_SIGN_IN_CODE), code,
		    text_in(c->language, T_SIGN_IN_ELSEWHERE), r->self->config->review_url, token, text_in(c->language, T_SIGN_IN));
		if (!mail_send(r, &m, code_sent, NULL))
			log_error("review: no memory for a sign-in mail");
	}
	json_decref(reply);
	code_page(c, token, 200, T_NOTHING);
}

void
post_signin_mail(struct call *c)
{
	char address[MAX_ADDRESS + 1], key[MAX_ADDRESS + 16], ip_key[INET6_ADDRSTRLEN + 16], ip[INET6_ADDRSTRLEN];
	int64_t now = review_time_s(c->review);

	if (!call_value(c, "address", address, sizeof address) || strchr(address, '@') == NULL) {
		call_error(c, 400, T_BAD_REQUEST);
		return;
	}
	ip_print(&c->http->client, ip);
	snprintf(key, sizeof key, "mail %s", address);
	snprintf(ip_key, sizeof ip_key, "mail from %s", ip);
	if (attempts_wait_s(key, FREE_BY_NAME, now) > 0 || attempts_wait_s(ip_key, FREE_BY_ADDRESS, now) > 0) {
		call_error(c, 429, T_TOO_MANY);
		return;
	}
	attempts_failed(key, now);           /* each mail asked for counts: nobody's mailbox is flooded from here */
	attempts_failed(ip_key, now);
	ask_broker(c, json_pack("{s:s, s:o}", "cmd", "policy.explain", "address", json_safe(address)), -1, mailbox_known);
}

void
get_in(struct call *c)
{
	struct voucher t;

	if (voucher_read(c->review, c->args[0], TOKEN_SIGN_IN, &t))
		code_page(c, c->args[0], 200, T_NOTHING);
	else
		void_link(c);
}

void
post_in(struct call *c)
{
	struct review *r = c->review;
	struct voucher t;
	char code[16], value[65], cookie[200];

	if (!voucher_read(r, c->args[0], TOKEN_SIGN_IN, &t)) {
		void_link(c);
		return;
	}
	call_value(c, "code", code, sizeof code);
	if (!voucher_code_good(r, &t, code)) {
		metrics_add(M_LINKS_UNPROVEN, 1);
		code_page(c, c->args[0], 403, T_NUMBER_WRONG);
		return;
	}
	become_owner(c, &t);
	if (t.customer[0] == '\0' || !voucher_use(r, &t) || !session_start(r->sessions, &c->who, 0, review_time_s(r), value)) {
		c->who.role = ROLE_NONE;
		call_error(c, 503, T_TRY_LATER);
		return;
	}
	audit_call(c, "signin.mail", t.mailbox, t.customer, "");
	session_cookie(c, value, SESSION_MOST_S, cookie, sizeof cookie);
	buf_clear(&c->out);
	call_bare(c, &(struct http_reply){ .status = 303, .location = "/", .cookies = { cookie } });
}

/* ---- no more digests: RFC 8058, the mail program's own button ---- */

void
get_unsubscribe(struct call *c)
{
	struct voucher t;

	if (!voucher_read(c->review, c->args[0], TOKEN_DIGESTS_OFF, &t)) {
		void_link(c);
		return;
	}
	snprintf(c->title, sizeof c->title, "%s", text_in(c->language, T_DIGESTS));
	put(c, "<section class=\"notice\"><h1>%t</h1><p>%t</p><p><a class=\"button\" href=\"/signin/mail\">%t</a></p></section>", T_DIGESTS, T_DIGESTS_OFF_HOW,
	    T_SIGN_IN);
	link_page(c, 200);
}

void
post_unsubscribe(struct call *c)
{
	struct voucher t;
	char one_click[16];

	if (!voucher_read(c->review, c->args[0], TOKEN_DIGESTS_OFF, &t)) {
		void_link(c);
		return;
	}
	/* Exactly what RFC 8058 has a mail program send; the page behind a GET has no such form. */
	if (!call_value(c, "List-Unsubscribe", one_click, sizeof one_click) || strcmp(one_click, "One-Click") != 0) {
		call_error(c, 400, T_BAD_REQUEST);
		return;
	}
	become_owner(c, &t);
	if (!mailbox_set_digest(c->review, t.mailbox, "off") || !voucher_use(c->review, &t)) {
		call_error(c, 503, T_TRY_LATER);
		return;
	}
	audit_call(c, "digest.off", t.mailbox, t.customer, "one-click");
	snprintf(c->title, sizeof c->title, "%s", text_in(c->language, T_DIGESTS));
	put(c, "<section class=\"notice\"><h1>%t</h1></section>", T_DIGESTS_ARE_OFF);
	link_page(c, 200);
}
