/* page_list.c - what is held: search, filters, one page; as a page or as JSON. The store does the looking. */
#include <stdio.h>
#include <stdlib.h>

#include "quarantine/review/pages.h"

enum { PAGE_ENTRIES = 50, API_MOST = 500, VALUE_ROOM = 300 };

/* Filters that go to the store as they are. */
static const char *const plain_filters[] = { "search", "class", "sender", "from_domain", "symbol", "message_id", "queue_id", "digest" };
/* Those that make no sense for a mailbox owner, whose scope is his addresses. */
static const char *const wide_filters[] = { "rcpt", "domain", "customer" };

static const struct choice { const char *value; enum text words; } sorts[] = {
	{ "newest", T_SORT_NEWEST }, { "closest", T_SORT_CLOSEST }, { "points", T_SORT_POINTS }, { "oldest", T_SORT_OLDEST },
}, states[] = {
	{ "held", T_STATE_HELD }, { "requested", T_STATE_REQUESTED }, { "released", T_STATE_RELEASED }, { "deleted", T_STATE_DELETED },
	{ "expired", T_STATE_EXPIRED }, { "all", T_STATE_ALL },
}, classes[] = {
	{ "", T_CLASS_ALL }, { "spam", T_CLASS_SPAM }, { "bulk", T_CLASS_BULK }, { "phish", T_CLASS_PHISH }, { "virus", T_CLASS_VIRUS },
	{ "banned", T_CLASS_BANNED }, { "unscannable", T_CLASS_UNSCANNABLE },
};

#define COUNT(a) (sizeof(a) / sizeof *(a))

static bool
is_choice(const struct choice *list, size_t count, const char *value)
{
	for (size_t i = 0; i < count; i++)
		if (strcmp(list[i].value, value) == 0)
			return true;
	return false;
}

static void
take_filters(struct call *c, json_t *request, const char *const *names, size_t count)
{
	char value[VALUE_ROOM];

	for (size_t i = 0; i < count; i++)
		if (call_query(c, names[i], value, sizeof value) && value[0])
			json_object_set_new(request, names[i], json_safe(value));
}

/* The list that all nodes share is by mailbox, newest first. */
static bool
pool_can(const json_t *request)
{
	static const char *const only_here[] = { "sender", "from_domain", "symbol", "message_id", "queue_id", "digest", "domain", "customer", "since", "until" };

	if (!json_object_get(request, "rcpt") && !json_object_get(json_object_get(request, "scope"), "rcpts"))
		return false;
	for (size_t i = 0; i < COUNT(only_here); i++)
		if (json_object_get(request, only_here[i]))
			return false;
	return strcmp(json_word(request, "sort"), "newest") == 0;
}

static json_t *
list_request(struct call *c)
{
	json_t *request = json_pack("{s:s, s:o}", "cmd", "quarantine.list", "scope", viewer_scope(&c->who));
	char value[VALUE_ROOM];
	uint64_t number;

	take_filters(c, request, plain_filters, COUNT(plain_filters));
	if (c->who.role != ROLE_OWNER)
		take_filters(c, request, wide_filters, COUNT(wide_filters));
	if (!call_query(c, "state", value, sizeof value) || !is_choice(states, COUNT(states), value))
		snprintf(value, sizeof value, "held");
	if (strcmp(value, "held") == 0)
		json_object_set_new(request, "state", json_pack("[s,s,s,s]", "new", "seen", "requested", "releasing"));
	else if (strcmp(value, "all") != 0)
		json_object_set_new(request, "state", json_string(value));
	json_object_set_new(request, "sort", json_string(call_query(c, "sort", value, sizeof value) && is_choice(sorts, COUNT(sorts), value) ?
	    value : "newest"));
	if (call_query(c, "cursor", value, sizeof value) && value[0])
		json_object_set_new(request, "cursor", json_safe(value));
	if (call_query(c, "since", value, sizeof value) && span_u64(span_of(value), &number))
		json_object_set_new(request, "since", json_integer((json_int_t)number));
	if (call_query(c, "until", value, sizeof value) && span_u64(span_of(value), &number))
		json_object_set_new(request, "until", json_integer((json_int_t)number));
	number = c->api ? 100 : PAGE_ENTRIES;
	if (c->api && call_query(c, "limit", value, sizeof value) && (!span_u64(span_of(value), &number) || number == 0 || number > API_MOST))
		number = API_MOST;
	json_object_set_new(request, "limit", json_integer((json_int_t)number));
	if (c->review->peers && pool_can(request))
		json_object_set_new(request, "pool", json_true());
	return request;
}

/* What this role may not see is not in the page, whatever the store found. */
static void
drop_unseen(struct call *c, json_t *entries)
{
	for (size_t i = json_array_size(entries); i-- > 0;) {
		unsigned rights;

		if (!call_rights_of(c, json_array_get(entries, i), &rights))
			json_array_remove(entries, i);
	}
}

static void
put_select(struct call *c, const char *name, enum text label, const struct choice *list, size_t count, const char *chosen)
{
	put(c, "<label><span>%t</span><select name=\"%s\">", label, name);
	for (size_t i = 0; i < count; i++)
		put(c, "<option value=\"%s\"%s>%t</option>", list[i].value, strcmp(list[i].value, chosen) == 0 ? " selected" : "", list[i].words);
	put(c, "</select></label>");
}

static void
put_search(struct call *c)
{
	char search[VALUE_ROOM], class[40], state[40], sort[40], rcpt[VALUE_ROOM];

	call_query(c, "search", search, sizeof search);
	call_query(c, "class", class, sizeof class);
	call_query(c, "state", state, sizeof state);
	call_query(c, "sort", sort, sizeof sort);
	call_query(c, "rcpt", rcpt, sizeof rcpt);
	put(c, "<form class=\"search\" method=\"get\" action=\"/\" role=\"search\">"
	    "<label class=\"grow\"><span>%t</span><input type=\"search\" name=\"search\" value=\"%s\" placeholder=\"%t\" maxlength=\"200\"></label>",
	    T_SEARCH, search, T_SEARCH_HINT);
	if (c->who.role != ROLE_OWNER)
		put(c, "<label><span>%t</span><input name=\"rcpt\" value=\"%s\" maxlength=\"200\" placeholder=\"bob@shop.example\"></label>", T_RECIPIENT, rcpt);
	put_select(c, "class", T_CLASS, classes, COUNT(classes), class);
	put_select(c, "state", T_STATE, states, COUNT(states), state);
	put_select(c, "sort", T_SORT, sorts, COUNT(sorts), sort);
	put(c, "<button>%t</button></form>", T_SHOW);
}

static void
put_hidden_id(struct call *c, const json_t *result)
{
	put(c, "<input type=\"hidden\" name=\"id\" value=\"");
	put_entry_id(c, result);
	put(c, "\">");
}

/* The store's results of the last change, with its way back. */
void
put_flash(struct call *c)
{
	char id[80];
	size_t i, done = 0, failed = 0, undo = 0;
	json_t *result, *flash;

	if (!call_query(c, "flash", id, sizeof id) || (flash = flash_take(c, id)) == NULL)
		return;
	const char *op = json_word(flash, "op");

	json_array_foreach(json_object_get(flash, "results"), i, result) {
		bool good = json_is_true(json_object_get(result, "done"));

		done += good;
		failed += !good;
	}
	if (strcmp(op, "delete") == 0 || strcmp(op, "request") == 0 || strcmp(op, "deny") == 0 || strcmp(op, "ham") == 0 || strcmp(op, "spam") == 0)
		undo = done;
	put(c, "<div class=\"flash%s\" role=\"status\"><p><strong>%d</strong> %t", failed ? " flash-warn" : "", (long long)done, change_words(op));
	if (failed)
		put(c, " \xc2\xb7 <strong>%d</strong> %t", (long long)failed, T_NOT_DONE);
	put(c, "</p>");
	json_array_foreach(json_object_get(flash, "results"), i, result)
		if (!json_is_true(json_object_get(result, "done")) && i < 5)
			put(c, "<p class=\"small\">%s: %s</p>", json_word(result, "recipient"), json_word(result, "reply"));
	json_array_foreach(json_object_get(flash, "results"), i, result)
		if (i < 5)
			put_allow_result(c, result);
	if (undo) {
		put(c, "<form method=\"post\" action=\"/change\">");
		put_csrf(c);
		json_array_foreach(json_object_get(flash, "results"), i, result)
			if (json_is_true(json_object_get(result, "done")))
				put_hidden_id(c, result);
		put(c, "<button name=\"op\" value=\"undo\">%t</button></form>", T_UNDO);
	}
	put(c, "</div>");
}

static void
put_entry(struct call *c, const json_t *e)
{
	const char *class_name = json_word(e, "class"), *from = json_word(e, "from"), *subject = json_word(e, "subject"), *state = json_word(e, "state");
	long long alike = json_integer_value(json_object_get(e, "alike"));
	bool fresh = strcmp(state, "new") == 0;

	put(c, "<li class=\"entry%s\"><label class=\"pick\"><input type=\"checkbox\" name=\"id\" value=\"", fresh ? " fresh" : "");
	put_entry_id(c, e);
	put(c, "\"><span class=\"sr\">%t: %s</span></label><a class=\"what\" href=\"", T_PICK, subject);
	put_entry_path(c, e, "");
	put(c, "\"><span class=\"line\"><span class=\"from\"><bdi>%s</bdi></span>", from[0] ? from : json_word(e, "sender"));
	put(c, "<span class=\"when\">");
	put_time(c, json_integer_value(json_object_get(e, "time")));
	put(c, "</span></span><span class=\"line\"><span class=\"subject\"><bdi>");
	if (subject[0])
		put(c, "%s", subject);
	else
		put(c, "%t", T_NO_SUBJECT);
	put(c, "</bdi></span><span class=\"marks\">");
	put_badge(c, class_name, text_class(c->language, class_name));
	if (!fresh && strcmp(state, "seen") != 0)
		put_badge(c, "state", text_state(c->language, state));
	if (alike > 1)
		put(c, "<span class=\"badge badge-alike\">%d %t</span>", alike, T_ALIKE);
	put(c, "<span class=\"points\">%f</span></span></span>", json_number_value(json_object_get(e, "points")));
	if (c->who.role != ROLE_OWNER || c->who.address_count > 1)
		put(c, "<span class=\"line small\">%t <bdi>%s</bdi></span>", T_TO, json_word(e, "recipient"));
	put(c, "</a></li>");
}

static void
put_more(struct call *c, const json_t *reply)
{
	static const char *const kept[] = { "search", "class", "state", "sort", "sender", "from_domain", "symbol", "rcpt", "domain", "customer", "since", "until" };
	char value[VALUE_ROOM];

	if (!json_is_true(json_object_get(reply, "more")))
		return;
	put(c, "<p class=\"more\"><a class=\"button\" rel=\"next\" href=\"/?page=next");
	for (size_t i = 0; i < COUNT(kept); i++)
		if (call_query(c, kept[i], value, sizeof value))
			put_query(c, kept[i], value);
	put_query(c, "cursor", json_word(reply, "cursor"));
	put(c, "\">%t</a></p>", T_MORE);
}

static void
put_bulk(struct call *c)
{
	put(c, "<div class=\"bulk\" id=\"bulk\"><label class=\"all\"><input type=\"checkbox\" id=\"all\"> <span>%t</span></label>"
	    "<span id=\"picked\" aria-live=\"polite\" data-one=\"%t\"></span><span class=\"acts\">", T_PICK_ALL, T_PICKED);
	if (permit_needs_reason(c->who.role))
		put(c, "<label class=\"reason\"><span class=\"sr\">%t</span><input name=\"note\" maxlength=\"200\" placeholder=\"%t\"></label>", T_TICKET, T_TICKET);
	put(c, "<button name=\"op\" value=\"release\" class=\"primary\">%t</button>", T_RELEASE);
	if (c->who.role != ROLE_SUPPORT)
		put(c, "<button name=\"op\" value=\"allow\">%t</button>", T_RELEASE_ALLOW);
	if (c->who.role == ROLE_OWNER)
		put(c, "<button name=\"op\" value=\"request\">%t</button>", T_REQUEST);
	if (c->who.role != ROLE_SUPPORT)
		put(c, "<button name=\"op\" value=\"delete\" class=\"danger\">%t</button>", T_DELETE);
	put(c, "</span></div>");
}

/* In a pool: who is away, and what this list is of. */
static void
put_nodes(struct call *c, const json_t *reply)
{
	const json_t *away = json_object_get(reply, "away");
	size_t i;
	json_t *node;

	if (json_array_size(away) > 0) {
		put(c, "<div class=\"flash flash-warn\" role=\"status\"><p>%t:", T_NODES_AWAY);
		json_array_foreach(away, i, node)
			put(c, " <bdi>%s</bdi>", json_string_value(node));
		put(c, "</p></div>");
	}
	if (c->review->peers && json_object_get(reply, "nodes") == NULL)
		put(c, "<p class=\"small\">%t (<bdi>%s</bdi>)</p>", T_ONE_NODE, c->review->self->config->host_name);
}

static void
listed(struct call *c, json_t *reply, int fd)
{
	size_t i;
	json_t *entry, *entries = json_object_get(reply, "entries");

	(void)fd;
	if (call_failed(c, reply))
		return;
	drop_unseen(c, entries);
	if (c->api) {
		call_json(c, 200, reply);
		return;
	}
	snprintf(c->title, sizeof c->title, "%s", text_in(c->language, T_TAB_HELD));
	put(c, "<h1>%t</h1>", T_TAB_HELD);
	put_flash(c);
	put_nodes(c, reply);
	put_search(c);
	if (json_array_size(entries) == 0 && !json_is_true(json_object_get(reply, "more"))) {
		put(c, "<p class=\"empty\">%t</p>", T_NOTHING_HELD);
	} else {
		put(c, "<form method=\"post\" action=\"/change\" id=\"list\">");
		put_csrf(c);
		put_bulk(c);
		put(c, "<ul class=\"entries\">");
		json_array_foreach(entries, i, entry)
			put_entry(c, entry);
		put(c, "</ul></form>");
		put_more(c, reply);
	}
	put(c, "<p class=\"keys small\">%t</p>", T_KEYS);
	json_decref(reply);
	call_page(c, 200);
}

void
get_list(struct call *c)
{
	ask_store(c, list_request(c), listed);
}
