/* page_support.c - "where is my mail?": one timeline of what became of it for each recipient, from the history that all nodes
 * share (broker) and, for what was held, from the quarantine (store), also where another node holds it. By sender, recipient,
 * both, queue id, Message-ID, quarantine id, or the reference in a bounce. A customer's admin sees his customer's. */
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "quarantine/review/pages.h"
#include "quarantine/review/reasons.h"

enum { ASKED_ROOM = 400, HELD_MOST = 20, POOL_MOST = 16, EVENTS_SHOWN = 100, REASONS_SHOWN = 6 };

static int
by_time(const void *a, const void *b)
{
	json_int_t x = json_integer_value(json_object_get(*(json_t *const *)a, "time_ms")), y = json_integer_value(json_object_get(*(json_t *const *)b, "time_ms"));

	return (x < y) - (x > y);
}

static void
put_fact(struct call *c, enum text label, const char *value)
{
	if (value[0])
		put(c, "<div><dt>%t</dt><dd><bdi>%s</bdi></dd></div>", label, value);
}

static const char *
outcome_words(struct call *c, const char *outcome)
{
	static const struct { const char *name; enum text words; } list[] = { { "deliver", T_OUT_DELIVER }, { "tag", T_OUT_TAG },
	    { "quarantine", T_OUT_QUARANTINE }, { "discard", T_OUT_DISCARD }, { "reject", T_OUT_REJECT }, { "defer", T_OUT_DEFER } };

	for (size_t i = 0; i < sizeof list / sizeof *list; i++)
		if (strcmp(list[i].name, outcome) == 0)
			return text_in(c->language, list[i].words);
	return outcome;
}

static void
put_limits(struct call *c, const json_t *e)
{
	static const struct { const char *name; enum text words; } limits[] = { { "tag", T_TAG_AT }, { "quarantine", T_HOLD_AT }, { "discard", T_DISCARD_AT } };

	if (json_object_get(e, "points") == NULL)
		return;
	put(c, "<div><dt>%t</dt><dd>%f", T_SCORE, json_number_value(json_object_get(e, "points")));
	for (size_t i = 0; i < 3; i++)
		if (json_is_number(json_object_get(e, limits[i].name)))
			put(c, " \xc2\xb7 %t %f", limits[i].words, json_number_value(json_object_get(e, limits[i].name)));
	put(c, "</dd></div>");
}

static void
put_symbols(struct call *c, const json_t *e)
{
	size_t i, shown = 0;
	json_t *s;

	json_array_foreach(json_object_get(e, "symbols"), i, s) {
		if (json_number_value(json_object_get(s, "points")) == 0 || shown >= REASONS_SHOWN)
			continue;
		if (shown++ == 0)
			put(c, "<div><dt>%t</dt><dd><ul class=\"plainlist\">", T_WHY_SHORT);
		put(c, "<li>%f %s <code class=\"symbol\">%s</code></li>", json_number_value(json_object_get(s, "points")),
			    reason_words(c->language, json_word(s, "name")), json_word(s, "name"));
	}
	if (shown)
		put(c, "</ul></dd></div>");
}

/* What became of the held copy. */
static const json_t *
held_of(const struct call *c, const char *id, const char *recipient)
{
	size_t i;
	json_t *e;

	json_array_foreach(c->kept[1], i, e)
		if (strcmp(json_word(e, "id"), id) == 0 && strcmp(json_word(e, "recipient"), recipient) == 0)
			return e;
	return NULL;
}

static void
put_held(struct call *c, const json_t *e)
{
	const char *id = json_word(e, "quarantine_id");
	const json_t *held = id[0] ? held_of(c, id, json_word(e, "recipient")) : NULL;

	if (id[0] == '\0')
		return;
	put(c, "<div><dt>%t</dt><dd><code>%s</code>", T_HELD_COPY, id);
	if (held) {
		put(c, " ");
		put_badge(c, "state", text_state(c->language, json_word(held, "state")));
		put(c, " ");
		put_time(c, json_integer_value(json_object_get(held, "changed")));
		const char *node = json_word(held, "node"), *url = node[0] ? json_word(json_object_get(c->kept[2], "nodes"), node) : "";

		put(c, " <bdi>%s %s</bdi>", json_word(held, "actor"), json_word(held, "note"));
		if (node[0])
			put(c, " \xc2\xb7 %t <bdi>%s</bdi>", T_AT_NODE, node);
		if (node[0] == '\0' || url[0])
			put(c, " <a href=\"%s/m/%s?n=%d\">%t</a>", url, id, (long long)json_integer_value(json_object_get(held, "n")), T_OPEN);
	}
	put(c, "</dd></div>");
}

/* Why, in one sentence: what it was taken for, and against which of the recipient's own limits. */
static void
put_verdict(struct call *c, const json_t *e)
{
	static const struct { const char *verdict, *class_name; } classes[] = { { "SPAM", "spam" }, { "VIRUS", "virus" }, { "PHISH", "phish" },
	    { "BANNED", "banned" }, { "UNSCANNABLE", "unscannable" } };

	if (strcmp(json_word(e, "event"), "rcpt") == 0)
		put(c, "<div><dt>%t</dt><dd>%t</dd></div>", T_REASON, T_AT_RCPT);
	for (size_t i = 0; i < sizeof classes / sizeof *classes; i++)
		if (strcmp(json_word(e, "verdict"), classes[i].verdict) == 0) {
			put(c, "<div><dt>%t</dt><dd>%s", T_REASON, text_class(c->language, classes[i].class_name));
			if (json_word(e, "banned")[0])
				put(c, ": <bdi>%s</bdi>", json_word(e, "banned"));
			put(c, "</dd></div>");
		}
}

static void
put_event(struct call *c, const json_t *e)
{
	const char *outcome = json_word(e, "outcome"), *wanted = json_word(e, "wanted");

	put(c, "<li class=\"event out-%s\"><h2><span class=\"when\">", outcome);
	put_time(c, json_integer_value(json_object_get(e, "time_ms")) / 1000);
	put(c, "</span> %s", outcome_words(c, outcome));
	if (wanted[0] && strcmp(wanted, outcome) != 0)
		put(c, " <span class=\"small\">(%t %s)</span>", T_WANTED, outcome_words(c, wanted));
	put(c, "</h2><p><bdi>%s</bdi> \xe2\x86\x92 <bdi>%s</bdi></p><dl class=\"facts\">", json_word(e, "sender")[0] ? json_word(e, "sender") : "<>",
	    json_word(e, "recipient"));
	put_fact(c, T_SUBJECT, json_word(e, "subject"));
	put_fact(c, T_CLIENT, json_word(e, "client"));
	put_fact(c, T_BEFORE_RELAY, json_word(e, "origin"));
	put_fact(c, T_QUEUE_ID, json_word(e, "queue_id"));
	put_fact(c, T_MESSAGE_ID, json_word(e, "message_id"));
	put_fact(c, T_REFERENCE, json_word(e, "ref"));
	put_fact(c, T_ANSWERED, json_word(e, "reply"));
	put_verdict(c, e);
	put_limits(c, e);
	put_symbols(c, e);
	put_held(c, e);
	put(c, "</dl></li>");
}

static void
support_page(struct call *c)
{
	json_t *sorted[EVENTS_SHOWN * 4], *e;
	const json_t *events = json_object_get(c->kept[0], "events");
	char asked[ASKED_ROOM];
	size_t i, n = 0;

	if (c->api) {
		call_json(c, 200, json_pack("{s:O?, s:O?}", "events", events, "held", c->kept[1]));
		return;
	}
	call_query(c, "q", asked, sizeof asked);
	snprintf(c->title, sizeof c->title, "%s", text_in(c->language, T_SUPPORT));
	put(c, "<h1>%t</h1><form class=\"search\" method=\"get\" action=\"/support\" role=\"search\"><label class=\"grow\"><span>%t</span>"
	    "<input type=\"search\" name=\"q\" value=\"%s\" required maxlength=\"390\"></label><button class=\"primary\">%t</button></form>", T_SUPPORT, T_SUPPORT_HOW,
	    asked, T_FIND);
	json_array_foreach(events, i, e)
		if (n < sizeof sorted / sizeof *sorted)
			sorted[n++] = e;
	qsort(sorted, n, sizeof *sorted, by_time);
	if (asked[0] && n == 0)
		put(c, "<p class=\"empty\">%t</p>", T_NO_TRACE);
	put(c, "<ol class=\"timeline\">");
	for (i = 0; i < n && i < EVENTS_SHOWN; i++)
		put_event(c, sorted[i]);
	put(c, "</ol>");
	call_page(c, 200);
}

/* What the nodes' common list says; without a pool it says nothing. */
static void
pool_came(struct call *c, json_t *reply, int fd)
{
	size_t i, k;
	json_t *held, *event;

	(void)fd;
	json_array_foreach(json_object_get(reply, "entries"), i, held) {
		bool asked = false;

		json_array_foreach(json_object_get(c->kept[0], "events"), k, event)
			asked |= strcmp(json_word(event, "quarantine_id"), json_word(held, "id")) == 0;
		if (asked && held_of(c, json_word(held, "id"), json_word(held, "recipient")) == NULL)
			json_array_append(c->kept[1], held);
	}
	c->kept[2] = reply;
	support_page(c);
}

/* Copies that are not here: another node holds them. */
static void
ask_pool(struct call *c)
{
	json_t *rcpts = json_array(), *seen = json_object(), *e;
	size_t i;

	json_array_foreach(json_object_get(c->kept[0], "events"), i, e) {
		const char *recipient = json_word(e, "recipient");

		if (json_word(e, "quarantine_id")[0] == '\0' || held_of(c, json_word(e, "quarantine_id"), recipient) || json_object_get(seen, recipient) ||
		    json_array_size(rcpts) == POOL_MOST)
			continue;
		json_object_set_new(seen, recipient, json_true());
		json_array_append_new(rcpts, json_string(recipient));
	}
	json_decref(seen);
	if (json_array_size(rcpts) > 0) {
		ask_store(c, json_pack("{s:s, s:b, s:o, s:i, s:o}", "cmd", "quarantine.list", "pool", 1, "rcpt", rcpts, "limit", 1000, "scope",
		    viewer_scope(&c->who)), pool_came);
	} else {
		json_decref(rcpts);
		support_page(c);
	}
}

static void
held_came(struct call *c, json_t *reply, int fd)
{
	if (fd >= 0)
		close(fd);
	json_array_extend(c->kept[1], json_object_get(reply, "entries"));
	json_decref(reply);
	if (--c->number == 0)
		ask_pool(c);
}

static void
traced(struct call *c, json_t *reply, int fd)
{
	size_t i;
	json_t *e, *ids = json_object(), *value;
	const char *id;

	(void)fd;
	c->kept[1] = json_array();
	if (json_is_true(json_object_get(reply, "silent")) || json_object_get(reply, "error")) {
		json_decref(ids);
		json_decref(reply);
		call_error(c, 503, T_TRY_LATER);
		return;
	}
	c->kept[0] = reply;
	json_array_foreach(json_object_get(reply, "events"), i, e)
		if (json_word(e, "quarantine_id")[0] && json_object_size(ids) < HELD_MOST)
			json_object_set_new(ids, json_word(e, "quarantine_id"), json_true());
	c->number = (int)json_object_size(ids) + 1;
	json_object_foreach(ids, id, value)
		ask_store(c, json_pack("{s:s, s:s, s:o}", "cmd", "quarantine.show", "id", id, "scope", viewer_scope(&c->who)), held_came);
	json_decref(ids);
	if (--c->number == 0)
		ask_pool(c);
}

void
get_support(struct call *c)
{
	char asked[ASKED_ROOM];
	struct span id;

	if (!call_query(c, "q", asked, sizeof asked) || (id = span_trim(span_of(asked))).n == 0) {
		c->kept[0] = json_object();
		c->kept[1] = json_array();
		support_page(c);
		return;
	}
	json_t *request = json_pack("{s:s}", "cmd", "trace");

	asked[id.p + id.n - asked] = '\0';
	json_object_set_new(request, "id", json_safe(id.p));
	if (c->who.customer[0])
		json_object_set_new(request, "customer", json_string(c->who.customer));
	ask_broker(c, request, -1, traced);
}
