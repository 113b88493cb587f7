/* page_message.c - one held mail: what it claims to be, why it was held in words, and what can be done with it. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "quarantine/review/audit.h"
#include "quarantine/review/pages.h"
#include "quarantine/review/reasons.h"

enum { BAR_WIDTH = 600, BAR_LEFT = 8, SHOWN_REASONS = 60 };

static double
number_or(const json_t *object, const char *name, double otherwise)
{
	const json_t *value = json_object_get(object, name);

	return json_is_number(value) ? json_number_value(value) : otherwise;
}

/* ---- the score against the reader's own thresholds ---- */

struct mark { const char *field; enum text words; const char *css; };

static double
place(double points, double least, double most)
{
	double at = (points - least) / (most - least);

	return BAR_LEFT + (at < 0 ? 0 : at > 1 ? 1 : at) * (BAR_WIDTH - 2 * BAR_LEFT);
}

static void
put_bar(struct call *c, const json_t *e)
{
	static const struct mark marks[] = { { "tag", T_TAG_AT, "tag" }, { "quarantine", T_HOLD_AT, "hold" }, { "discard", T_DISCARD_AT, "discard" } };
	double points = number_or(e, "points", 0), most = points, least = points < 0 ? points : 0, from = BAR_LEFT;
	const char *zone = "clean";

	for (size_t i = 0; i < 3; i++)
		most = fmax(most, number_or(e, marks[i].field, 0));
	most = most * 1.15 + 1;
	put(c, "<figure class=\"score\"><figcaption><strong class=\"big\">%f</strong> %t", points, T_POINTS);
	for (size_t i = 0; i < 3; i++)
		if (json_is_number(json_object_get(e, marks[i].field)))
			put(c, " <span class=\"key key-%s\">%t %f</span>", marks[i].css, marks[i].words, number_or(e, marks[i].field, 0));
	put(c, "</figcaption><svg viewBox=\"0 0 %d 34\" role=\"img\" aria-label=\"%f %t\">", (long long)BAR_WIDTH, points, T_POINTS);
	for (size_t i = 0; i < 3; i++) {
		if (!json_is_number(json_object_get(e, marks[i].field)))
			continue;
		double to = place(number_or(e, marks[i].field, 0), least, most);

		put(c, "<rect class=\"zone-%s\" x=\"%f\" y=\"12\" width=\"%f\" height=\"10\"/>", zone, from, to - from);
		from = to;
		zone = marks[i].css;
	}
	put(c, "<rect class=\"zone-%s\" x=\"%f\" y=\"12\" width=\"%f\" height=\"10\"/>", zone, from, BAR_WIDTH - BAR_LEFT - from);
	put(c, "<circle class=\"needle\" cx=\"%f\" cy=\"17\" r=\"9\"/></svg></figure>", place(points, least, most));
}

/* ---- why ---- */

static int
by_points(const void *a, const void *b)
{
	double x = json_number_value(json_object_get(*(json_t *const *)a, "points")), y = json_number_value(json_object_get(*(json_t *const *)b, "points"));

	return (x < y) - (x > y);
}

static void
put_reason(struct call *c, const json_t *symbol)
{
	const char *name = json_word(symbol, "name"), *evidence = json_word(symbol, "evidence");
	double points = number_or(symbol, "points", 0);

	put(c, "<li><span class=\"pts %s\">%s%f</span><span class=\"why\">%s", points > 0 ? "bad" : points < 0 ? "good" : "none", points > 0 ? "+" : "",
	    points, reason_words(c->language, name));
	if (evidence[0])
		put(c, " <q class=\"evidence\"><bdi>%s</bdi></q>", evidence);
	put(c, " <code class=\"symbol\">%s</code></span></li>", name);
}

/* It weighed nothing: an answer that did not come, or one that has a place of its own on the page. */
static bool
only_noted(const json_t *symbol)
{
	struct span name = span_of(json_word(symbol, "name"));

	return number_or(symbol, "points", 0) == 0 && (span_ends(name, SPAN("_UNKNOWN")) || span_starts(name, SPAN("SPF_")) ||
	    span_starts(name, SPAN("DKIM_")) || span_starts(name, SPAN("DMARC_")) || span_starts(name, SPAN("ARC_")));
}

static void
put_reasons(struct call *c, const json_t *symbols)
{
	json_t *sorted[SHOWN_REASONS * 4], *symbol;
	size_t i, n = 0;

	json_array_foreach(symbols, i, symbol)
		if (n < sizeof sorted / sizeof *sorted && !(c->who.role == ROLE_OWNER && only_noted(symbol)))
			sorted[n++] = symbol;
	qsort(sorted, n, sizeof *sorted, by_points);
	put(c, "<section class=\"card\"><h2>%t</h2>", T_WHY);
	if (n == 0)
		put(c, "<p>%t</p>", T_NO_REASONS);
	put(c, "<ul class=\"reasons\">");
	for (i = 0; i < n && i < SHOWN_REASONS; i++)
		put_reason(c, sorted[i]);
	put(c, "</ul></section>");
}

/* ---- who says it is from whom ---- */

static void
put_row(struct call *c, enum text label, const char *value)
{
	if (value[0])
		put(c, "<div><dt>%t</dt><dd><bdi>%s</bdi></dd></div>", label, value);
}

static void
put_facts(struct call *c, const json_t *e)
{
	const char *sender = json_word(e, "sender");

	put(c, "<dl class=\"facts\">");
	const char *shown_name = json_word(c->kept[1], "from_name");

	put(c, "<div><dt>%t</dt><dd>", T_FROM);
	if (shown_name[0])
		put(c, "<strong><bdi>%s</bdi></strong> ", shown_name);
	put(c, "<bdi>%s</bdi></dd></div>", json_word(e, "from")[0] ? json_word(e, "from") : "\xe2\x80\x93");
	if (strcmp(sender, json_word(e, "from")) != 0)
		put_row(c, T_ENVELOPE, sender[0] ? sender : "<>");
	put_row(c, T_TO, json_word(e, "recipient"));
	put(c, "<div><dt>%t</dt><dd>", T_RECEIVED);
	put_time(c, json_integer_value(json_object_get(e, "time")));
	put(c, "</dd></div><div><dt>%t</dt><dd>", T_SIZE);
	put_size(c, number_or(e, "size", 0));
	put(c, "</dd></div><div><dt>%t</dt><dd>", T_KEPT_UNTIL);
	put_time(c, json_integer_value(json_object_get(e, "expires")));
	put(c, "</dd></div>");
	if (c->who.role != ROLE_OWNER) {
		put_row(c, T_CLIENT, json_word(e, "client"));
		put_row(c, T_MESSAGE_ID, json_word(e, "message_id"));
		put_row(c, T_QUEUE_ID, json_word(e, "queue_id"));
		put_row(c, T_CUSTOMER, json_word(e, "customer"));
	}
	put(c, "</dl>");
}

/* ---- what can be done ---- */

static bool
is_held(const char *state)
{
	return strcmp(state, "new") == 0 || strcmp(state, "seen") == 0 || strcmp(state, "requested") == 0;
}

/* Which entry a form is about, and where to go afterwards. */
static void
put_target(struct call *c, const json_t *e)
{
	long long n = json_integer_value(json_object_get(e, "n"));

	put(c, "<input type=\"hidden\" name=\"id\" value=\"%s:%d\"><input type=\"hidden\" name=\"back\" value=\"/m/%s?n=%d\">", json_word(e, "id"), n,
	    json_word(e, "id"), n);
}

static void
put_button(struct call *c, const char *op, enum text words, const char *css)
{
	put(c, "<button name=\"op\" value=\"%s\" class=\"%s\">%t</button>", op, css, words);
}

static void
put_sender_action(struct call *c, const json_t *e, const char *which, enum text words)
{
	put(c, "<form method=\"post\" action=\"/m/%s/sender/%s?n=%d\">", json_word(e, "id"), which, (long long)json_integer_value(json_object_get(e, "n")));
	put_csrf(c);
	put(c, "<button class=\"quiet\">%t</button></form>", words);
}

/* What holds for mail to come, apart from what becomes of this one. */
static void
put_sender_actions(struct call *c, const json_t *e, unsigned rights)
{
	put(c, "<div class=\"row\">");
	if ((rights & MAY_ALLOW) && !is_held(json_word(e, "state")) && json_word(e, "allow")[0])
		put_sender_action(c, e, "allow", T_ALLOW_SENDER);
	if (rights & MAY_BLOCK)
		put_sender_action(c, e, "block", T_BLOCK_SENDER);
	put(c, "</div>");
}

/* One step more than "Deliver": what exactly will be allowed, and for how long. */
static void
put_allow_form(struct call *c, const json_t *e)
{
	const char *entry = json_word(e, "allow");

	put(c, "<details class=\"card\"><summary>%t</summary><p>%t</p><p><strong>", T_ALLOW_MORE, T_ALLOW_WHAT);
	put_allow(c, entry);
	put(c, "</strong></p>");
	if (strncmp(entry, "from:", 5) == 0)
		put(c, "<p class=\"small\">%t</p>", T_ALLOW_UNPROVED);
	put(c, "<form class=\"row\" method=\"post\" action=\"/change\">");
	put_csrf(c);
	put_target(c, e);
	put(c, "<label class=\"reason\"><span>%t</span><select name=\"days\"><option value=\"\">%t</option><option value=\"31\">%t</option>"
	    "<option value=\"366\">%t</option></select></label><label class=\"reason grow\"><span>%t</span><input name=\"comment\" maxlength=\"200\"></label>"
	    "<button name=\"op\" value=\"allow\" class=\"primary\">%t</button></form></details>", T_ALLOW_DAYS, T_FOR_EVER, T_FOR_MONTH, T_FOR_YEAR, T_COMMENT,
	    T_RELEASE_ALLOW);
}

static void
put_actions(struct call *c, const json_t *e, unsigned rights)
{
	const char *state = json_word(e, "state");
	bool held = is_held(state), asked = strcmp(state, "requested") == 0;
	int64_t undo_until = json_integer_value(json_object_get(e, "undo_until"));

	put(c, "<form class=\"actions\" method=\"post\" action=\"/change\">");
	put_csrf(c);
	put_target(c, e);
	if (permit_needs_reason(c->who.role) && (rights & MAY_RELEASE) && held)
		put(c, "<label class=\"reason\"><span>%t</span><input name=\"note\" maxlength=\"200\" required></label>", T_TICKET);
	if (held && (rights & MAY_RELEASE))
		put_button(c, asked ? "approve" : "release", asked ? T_APPROVE : T_RELEASE, "primary");
	if (asked && (rights & MAY_RELEASE))
		put_button(c, "deny", T_DENY, "");
	if (held && !asked && (rights & (MAY_REQUEST | MAY_RELEASE)) == MAY_REQUEST)
		put_button(c, "request", T_REQUEST, "primary");
	if (held && (rights & MAY_DELETE))
		put_button(c, "delete", T_DELETE, "danger");
	if ((rights & MAY_RELEASE) && c->who.role != ROLE_SUPPORT && strcmp(json_word(e, "vote"), "ham") != 0)
		put_button(c, "ham", T_VOTE_HAM, "");
	if ((rights & MAY_RELEASE) && c->who.role != ROLE_SUPPORT && json_word(e, "vote")[0])
		put_button(c, "unvote", T_UNVOTE, "");
	if (undo_until > review_time_s(c->review) && strcmp(state, "seen") != 0 && strcmp(state, "new") != 0)
		put_button(c, "undo", T_UNDO, "");
	put(c, "</form>");
	if (held && (rights & (MAY_RELEASE | MAY_ALLOW)) == (MAY_RELEASE | MAY_ALLOW) && json_word(e, "allow")[0])
		put_allow_form(c, e);
	if (rights & (MAY_ALLOW | MAY_BLOCK))
		put_sender_actions(c, e, rights);
	if (strcmp(state, "released") == 0)
		put(c, "<p class=\"small\">%t: <bdi>%s</bdi></p>", T_RELEASED_NOTE, json_word(e, "note"));
	else if (json_word(e, "note")[0])
		put(c, "<p class=\"small\"><bdi>%s</bdi></p>", json_word(e, "note"));
}

/* The sender was put on a list a moment ago. */
static void
put_listed(struct call *c)
{
	char which[8];

	if (call_query(c, "listed", which, sizeof which))
		put(c, "<div class=\"flash\" role=\"status\"><p>%t <a href=\"/settings\">%t</a></p></div>", strcmp(which, "block") == 0 ? T_SENDER_BLOCKED : T_SENDER_ALLOWED,
		    T_SETTINGS);
}

static void
put_message(struct call *c, const json_t *reply, const json_t *e, unsigned rights)
{
	const char *class_name = json_word(e, "class"), *subject = json_word(e, "subject");

	snprintf(c->title, sizeof c->title, "%s", text_in(c->language, T_MESSAGE));
	put(c, "<p class=\"crumb\"><a href=\"/\">\xe2\x86\x90 %t</a></p>", T_TAB_HELD);
	put_flash(c);
	put_listed(c);
	put(c, "<article class=\"message\"><header><h1><bdi>");
	if (subject[0])
		put(c, "%s", subject);
	else
		put(c, "%t", T_NO_SUBJECT);
	put(c, "</bdi></h1><p>");
	put_badge(c, class_name, text_class(c->language, class_name));
	put_badge(c, "state", text_state(c->language, json_word(e, "state")));
	put(c, "</p><p class=\"lead\">%s</p></header>", text_class_long(c->language, class_name));
	if (json_is_true(json_object_get(reply, "damaged")))
		put(c, "<p class=\"alert\" role=\"alert\">%t</p>", T_DAMAGED);
	put_actions(c, e, rights);
	put(c, "<div class=\"columns\"><section class=\"card\">");
	put_facts(c, e);
	put_bar(c, e);
	put(c, "</section>");
	put_reasons(c, json_object_get(reply, "symbols"));
	put(c, "</div>");
	message_body(c, e, rights);
	put(c, "</article>");
}

static void
forget_answer(void *arg, json_t *reply, int fd)
{
	(void)arg;
	(void)fd;
	json_decref(reply);
}

/* The mailbox's owner has opened it. Nobody waits for that. */
static void
mark_seen(struct call *c, const json_t *e)
{
	if (c->who.role == ROLE_OWNER && strcmp(json_word(e, "state"), "new") == 0)
		backend_ask(c->review->store, json_pack("{s:s, s:s, s:[{s:s, s:O}], s:s, s:o}", "cmd", "quarantine.change", "op", "seen", "ids", "id",
		    json_word(e, "id"), "n", json_object_get(e, "n"), "actor", c->who.name, "scope", viewer_scope(&c->who)), -1, 5000, forget_answer, NULL);
}

static void
shown(struct call *c, json_t *reply, int fd)
{
	json_t *e = json_array_get(json_object_get(reply, "entries"), 0);
	unsigned rights;

	if (call_failed(c, reply))
		return;
	if (e == NULL || !call_rights_of(c, e, &rights)) {
		json_decref(reply);
		call_missing(c);
		return;
	}
	mark_seen(c, e);
	c->kept[0] = reply;
	c->number = (int)rights;
	message_read(c, e, rights, fd);
}

/* The worker has read it, or need not: the page. */
void
message_show(struct call *c)
{
	json_t *reply = c->kept[0], *e = json_array_get(json_object_get(reply, "entries"), 0);

	if (c->api) {
		json_object_set_new(e, "rights", rights_json((unsigned)c->number));
		if (c->kept[1])
			json_object_set(reply, "content", c->kept[1]);
		json_object_del(reply, "segment");
		json_object_del(reply, "offset");
		call_json(c, 200, json_incref(reply));
		return;
	}
	put_message(c, reply, e, (unsigned)c->number);
	call_page(c, 200);
}

/* The entry of the path, in the viewer's scope; "raw" asks for its bytes. */
void
message_ask(struct call *c, bool raw, backend_done done)
{
	char number[16];
	uint64_t n;
	json_t *request = json_pack("{s:s, s:s, s:o, s:b}", "cmd", "quarantine.show", "id", c->args[0], "scope", viewer_scope(&c->who), "raw", raw);

	if (call_query(c, "n", number, sizeof number) && span_u64(span_of(number), &n))
		json_object_set_new(request, "n", json_integer((json_int_t)n));
	ask_store(c, request, done);
}

void
get_message(struct call *c)
{
	message_ask(c, true, shown);
}
