/* change.c - release, release and allow, delete, ask, undo: one way for one mail and for many, for pages and for the API.
 *
 * First the entries are looked up in the viewer's scope, then his rights over each by its class, then the store is asked to
 * change those that are left; what was refused is said one by one. The audit log has each. */
#include <stdio.h>
#include <stdlib.h>

#include "policyd/base/clock.h"
#include "quarantine/review/audit.h"
#include "quarantine/review/pages.h"
#include "quarantine/review/peer.h"

enum { MAX_BULK = 200, MAX_FLASHES = 500, FLASH_S = 600, NOTE_MOST = 200, ALLOW_DAYS_MOST = 3650 };

static const struct op {
	const char *name;
	unsigned right;                      /* all of them */
	enum text words;
} ops[] = {
	{ "allow", MAY_RELEASE | MAY_ALLOW, T_DONE_ALLOW },  /* the store's release, and its sender onto the list */
	{ "release", MAY_RELEASE, T_DONE_RELEASE }, { "approve", MAY_RELEASE, T_DONE_RELEASE }, { "delete", MAY_DELETE, T_DONE_DELETE },
	{ "request", MAY_REQUEST, T_DONE_REQUEST }, { "deny", MAY_RELEASE, T_DONE_DENY }, { "undo", MAY_SEE, T_DONE_UNDO },
	{ "ham", MAY_RELEASE, T_DONE_HAM }, { "spam", MAY_SEE, T_DONE_SPAM }, { "unvote", MAY_SEE, T_DONE_UNVOTE },
	{ "seen", MAY_SEE, T_DONE_SEEN }, { "unseen", MAY_SEE, T_DONE_SEEN },
};

static const struct op *
op_find(const char *name)
{
	for (size_t i = 0; i < sizeof ops / sizeof *ops; i++)
		if (strcmp(ops[i].name, name) == 0)
			return &ops[i];
	return NULL;
}

enum text
change_words(const char *op)
{
	const struct op *o = op_find(op);

	return o ? o->words : T_NOT_DONE;
}

unsigned
change_right(const char *op)
{
	const struct op *o = op_find(op);

	return o ? o->right : 0;
}

/* ---- what was done, for the page that comes next ---- */

static struct flash {
	char id[33], viewer[USER_ROOM];
	int64_t time_s;
	json_t *what;
} flashes[MAX_FLASHES];
static size_t next_flash;

static const char *
flash_keep(struct call *c, json_t *what)
{
	struct flash *f = &flashes[next_flash++ % MAX_FLASHES];

	json_decref(f->what);
	random_hex(f->id, 16);
	snprintf(f->viewer, sizeof f->viewer, "%s", c->who.name);
	f->time_s = review_time_s(c->review);
	f->what = what;
	return f->id;
}

json_t *
flash_take(struct call *c, const char *id)
{
	for (size_t i = 0; i < MAX_FLASHES; i++)
		if (flashes[i].what && strcmp(flashes[i].id, id) == 0 && strcmp(flashes[i].viewer, c->who.name) == 0 &&
		    review_time_s(c->review) - flashes[i].time_s <= FLASH_S)
			return flashes[i].what;
	return NULL;
}

/* c->kept[0]: {"op", "note", "allow"}; [1]: entries that may be changed; [2]: results, the refused ones first; c->number: questions open */

static void
add_refused(struct call *c, const char *id, long long n, const char *recipient, enum text why)
{
	json_array_append_new(c->kept[2], json_pack("{s:s, s:I, s:s, s:s, s:b, s:s}", "id", id, "n", (json_int_t)n, "recipient", recipient, "state",
	    "", "done", 0, "reply", text_in(c->language, why)));
}

static void
finish(struct call *c)
{
	json_t *what = json_pack("{s:s, s:O}", "op", json_word(c->kept[0], "op"), "results", c->kept[2]);
	char to[300], back[160];
	struct span from = span_of(json_word(c->kept[0], "back"));

	if (c->api) {
		call_json(c, 200, what);
		return;
	}
	snprintf(back, sizeof back, "%.*s", (int)(from.n < sizeof back ? from.n : 0), from.p);
	snprintf(to, sizeof to, "%s%cflash=%s", back[0] == '/' && back[1] != '/' ? back : "/", strchr(back, '?') ? '&' : '?', flash_keep(c, what));
	call_redirect(c, to);
}

void
audit_allow(struct call *c, const json_t *result, const char *customer)
{
	const json_t *allow = json_object_get(result, "allow");

	if (json_is_true(json_object_get(allow, "done")))
		audit_call(c, "settings.allow", json_word(result, "recipient"), customer, json_word(allow, "entry"));
}

static void
conclude(struct call *c)
{
	if (json_is_true(json_object_get(c->kept[0], "silent")) && json_array_size(c->kept[2]) == 0)
		call_error(c, 503, T_TRY_LATER);
	else
		finish(c);
}

static void
changed(struct call *c, json_t *reply, int fd)
{
	const char *op = json_word(c->kept[0], "op"), *note = json_word(c->kept[0], "note");
	size_t i;
	json_t *result;

	(void)fd;
	if (json_word(reply, "away")[0]) {
		add_refused(c, "", -1, json_word(reply, "away"), T_NODE_AWAY);
	} else if (json_object_get(reply, "error")) {
		json_object_set_new(c->kept[0], "silent", json_true());
	}
	json_array_foreach(json_object_get(reply, "results"), i, result) {
		char target[300], action[40];
		const char *customer = "";
		size_t k;
		json_t *entry;

		json_array_foreach(c->kept[1], k, entry)
			if (strcmp(json_word(entry, "id"), json_word(result, "id")) == 0)
				customer = json_word(entry, "customer");
		snprintf(target, sizeof target, "%s %s", json_word(result, "id"), json_word(result, "recipient"));
		snprintf(action, sizeof action, "mail.%s%s", op, json_is_true(json_object_get(result, "done")) ? "" : ".failed");
		audit_call(c, action, target, customer, note);
		audit_allow(c, result, customer);
		json_array_append(c->kept[2], result);
	}
	json_decref(reply);
	if (--c->number == 0)
		conclude(c);
}

/* What one node holds of it: asked of that one. */
static void
change_at(struct call *c, const char *node)
{
	json_t *ids = json_array(), *entry;
	const char *op = json_word(c->kept[0], "op");
	size_t i;

	json_array_foreach(c->kept[1], i, entry)
		if (strcmp(json_word(entry, "node"), node) == 0)
			json_array_append_new(ids, json_pack("{s:s, s:O}", "id", json_word(entry, "id"), "n", json_object_get(entry, "n")));
	ask_store(c, json_pack("{s:s, s:o, s:s, s:o, s:s, s:s, s:b, s:O?, s:s}", "cmd", "quarantine.change", "scope", viewer_scope(&c->who), "op",
	    strcmp(op, "allow") == 0 ? "release" : op, "ids", ids, "actor", c->who.name, "note", json_word(c->kept[0], "note"), "again",
	    json_is_true(json_object_get(c->kept[0], "again")), "allow", json_object_get(c->kept[0], "allow"), "node", node), changed);
}

static void
change_now(struct call *c)
{
	json_t *nodes, *entry, *none;
	const char *node;
	size_t i;
	void *next;

	if (json_is_true(json_object_get(c->kept[0], "silent"))) {
		call_error(c, 503, T_TRY_LATER);     /* nothing was changed */
		return;
	}
	if (json_array_size(c->kept[1]) == 0 && json_array_size(c->kept[2]) == 0) {
		call_missing(c);
		return;
	}
	nodes = json_object();
	json_array_foreach(c->kept[1], i, entry)
		json_object_set_new(nodes, json_word(entry, "node"), json_true());
	c->number = (int)json_object_size(nodes) + 1;    /* one more: an answer may come from inside the asking */
	json_object_foreach_safe(nodes, next, node, none)
		change_at(c, node);
	json_decref(nodes);
	if (--c->number == 0)
		conclude(c);
}

/* One look-up came back: may he? */
static void
looked_up(struct call *c, json_t *reply, int fd)
{
	const struct op *op = op_find(json_word(c->kept[0], "op"));
	json_t *entry;
	size_t i;

	(void)fd;
	if (json_is_true(json_object_get(reply, "silent")))
		json_object_set_new(c->kept[0], "silent", json_true());
	if (json_word(reply, "away")[0])
		add_refused(c, "", -1, json_word(reply, "away"), T_NODE_AWAY);
	json_array_foreach(json_object_get(reply, "entries"), i, entry) {
		unsigned rights;

		call_rights_of(c, entry, &rights);
		if ((rights & op->right) == op->right)
			json_array_append(c->kept[1], entry);
		else
			add_refused(c, json_word(entry, "id"), json_integer_value(json_object_get(entry, "n")), json_word(entry, "recipient"), T_NOT_ALLOWED);
	}
	json_decref(reply);
	if (--c->number == 0)
		change_now(c);
}

static void
look_up(struct call *c, const char *text)
{
	char id[64], node[NODE_ROOM];
	struct span rest = span_of(text), name = span_cut(&rest, ':'), number = span_cut(&rest, ':');
	uint64_t n = 0;
	json_t *request;

	snprintf(id, sizeof id, SPAN_FMT, SPAN_ARG(span_head(name, sizeof id - 1)));
	request = json_pack("{s:s, s:o, s:o}", "cmd", "quarantine.show", "id", json_safe(id), "scope", viewer_scope(&c->who));
	snprintf(node, sizeof node, SPAN_FMT, SPAN_ARG(span_head(rest, sizeof node - 1)));
	json_object_set_new(request, "node", json_safe(node));
	if (span_u64(number, &n))
		json_object_set_new(request, "n", json_integer((json_int_t)n));
	ask_store(c, request, looked_up);
}

/* The ids of a form (id=q1:0&id=q2:0:two.example) or of {"ids": ["q1:0", ...]}. */
static json_t *
wanted_ids(struct call *c)
{
	json_t *ids = json_array(), *value;
	char text[80 + NODE_ROOM];
	size_t i;

	if (c->api) {
		json_array_foreach(json_object_get(c->body, "ids"), i, value)
			if (json_is_string(value))
				json_array_append(ids, value);
	} else {
		for (i = 0; i <= MAX_BULK && form_nth(c->http->body, "id", i, text, sizeof text); i++)
			json_array_append_new(ids, json_safe(text));
	}
	return ids;
}

/* For how long: days from now, "" for ever. The comment is for whoever reads the list later. */
json_t *
allow_wish(struct call *c)
{
	char days[8], comment[NOTE_MOST + 1];
	uint64_t n;
	json_t *wish = json_object();

	if (call_value(c, "days", days, sizeof days) && span_u64(span_of(days), &n) && n > 0 && n <= ALLOW_DAYS_MOST)
		json_object_set_new(wish, "until", json_integer(review_store_time(review_time_s(c->review)) + (json_int_t)n * 86400));
	if (call_value(c, "comment", comment, sizeof comment) && comment[0])
		json_object_set_new(wish, "comment", json_safe(comment));
	return wish;
}

void
post_change(struct call *c)
{
	char op[16], note[NOTE_MOST + 1], back[160], again[4], allow[4];
	json_t *ids, *id;
	size_t i;

	call_value(c, "op", op, sizeof op);
	call_value(c, "note", note, sizeof note);
	call_value(c, "back", back, sizeof back);
	call_value(c, "again", again, sizeof again);
	if (strcmp(op, "release") == 0 && call_value(c, "allow", allow, sizeof allow) && allow[0] == '1')
		snprintf(op, sizeof op, "allow");
	ids = wanted_ids(c);
	if (op_find(op) == NULL || json_array_size(ids) == 0 || json_array_size(ids) > MAX_BULK) {
		enum text why = op_find(op) == NULL ? T_BAD_REQUEST : json_array_size(ids) == 0 ? T_NONE_PICKED : T_TOO_MANY_PICKED;

		json_decref(ids);
		call_error(c, 400, why);
		return;
	}
	if (permit_needs_reason(c->who.role) && (op_find(op)->right & MAY_RELEASE) && note[0] == '\0') {
		json_decref(ids);
		call_error(c, 400, T_TICKET_NEEDED);
		return;
	}
	c->kept[0] = json_pack("{s:s, s:o, s:o, s:b}", "op", op, "note", json_safe(note), "back", json_safe(back), "again", again[0] == '1');
	if (strcmp(op, "allow") == 0)
		json_object_set_new(c->kept[0], "allow", allow_wish(c));
	c->kept[1] = json_array();
	c->kept[2] = json_array();
	c->kept[3] = ids;
	c->number = (int)json_array_size(ids) + 1;       /* one more: an answer may come from inside the asking */
	json_array_foreach(ids, i, id)
		look_up(c, json_string_value(id));
	if (--c->number == 0)
		change_now(c);
}
