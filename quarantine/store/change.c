/* change.c - entries go from one state to another: one table says from where to where, one sync makes all changes of a
 * request durable, and releases answer when the MTA has. */
#include <event2/event.h>
#include <stdio.h>
#include <stdlib.h>

#include "policyd/base/clock.h"
#include "quarantine/store/allow.h"
#include "quarantine/store/asker.h"
#include "quarantine/store/requests.h"

enum { RELEASE_WAIT_S = 20 };                /* then the answer says "releasing" */

enum kind { MOVE, UNDO, VOTE, RELEASE };
#define IN(state) (1u << (state))
#define OPEN (IN(STATE_NEW) | IN(STATE_SEEN) | IN(STATE_REQUESTED))

static const struct op {
	const char *name;
	enum kind kind;
	unsigned from;                       /* states it starts in */
	enum entry_state to;
	enum entry_vote vote;
	const char *done;                    /* what is said */
} ops[] = {
	{ "seen", MOVE, IN(STATE_NEW), STATE_SEEN, 0, "seen" },
	{ "unseen", MOVE, IN(STATE_SEEN), STATE_NEW, 0, "not seen" },
	{ "request", MOVE, IN(STATE_NEW) | IN(STATE_SEEN), STATE_REQUESTED, 0, "release requested" },
	{ "deny", MOVE, IN(STATE_REQUESTED), STATE_SEEN, 0, "request denied" },
	{ "delete", MOVE, OPEN | IN(STATE_RELEASED), STATE_DELETED, 0, "deleted" },
	{ "undo", UNDO, OPEN | IN(STATE_DELETED), STATE_NEW, 0, "undone" },
	{ "release", RELEASE, OPEN, STATE_RELEASING, 0, "on its way" },
	{ "approve", RELEASE, IN(STATE_REQUESTED), STATE_RELEASING, 0, "approved, on its way" },
	{ "ham", VOTE, ~0u, STATE_NEW, VOTE_HAM, "noted: this is no spam" },
	{ "spam", VOTE, ~0u, STATE_NEW, VOTE_SPAM, "noted: this is spam" },
	{ "unvote", VOTE, ~0u, STATE_NEW, VOTE_NONE, "vote taken back" },
};

struct target {                              /* one recipient of one mail that is to be changed */
	char id[ID_ROOM];
	struct index_rcpt rcpt;
	struct index_change to;
};

struct change {
	struct asker *asker;
	uint32_t id;
	const struct op *op;
	json_t *request;
	json_t *results;
	struct target *targets;
	size_t count, room;
	size_t waiting;                      /* releases without a result */
	size_t allowing;                     /* questions to the broker without an answer */
	struct event *patience;
};

struct allowing {                            /* one of them */
	struct change *change;
	json_t *result;                      /* of its release; held */
};

static const char *
field(const json_t *request, const char *name)
{
	const char *value = json_string_value(json_object_get(request, name));

	return value ? value : "";
}

/* Borrowed. */
static json_t *
add_result(struct change *c, const char *id, const struct index_rcpt *r, enum entry_state state, bool done, const char *reply, const char *queue_id)
{
	json_t *result = json_pack("{s:s, s:i, s:s?, s:s, s:s, s:b, s:s?, s:s}", "id", id, "n", r ? (int)r->n : -1, "recipient", r ? r->address : "",
	    "customer", r ? r->customer : "", "state", r ? entry_state_names[state] : "", "done", done, "reply", reply, "queue_id", queue_id);

	json_array_append_new(c->results, result);
	return result;
}

static void
finish(struct change *c)
{
	release_forget(c->asker->store, c);
	asker_audit_change(c->asker, c->request, c->op->name, c->results);
	asker_reply(c->asker, c->id, json_pack("{s:o}", "results", c->results));
	asker_done(c->asker);
	if (c->patience)
		event_free(c->patience);
	json_decref(c->request);
	free(c->targets);
	free(c);
}

static void
finish_if_done(struct change *c)
{
	if (c->waiting == 0 && c->allowing == 0)
		finish(c);
}

static void
allowed_by_list(void *arg, const char *entry, const char *why)
{
	struct allowing *a = arg;
	struct change *c = a->change;

	json_object_set_new(a->result, "allow", json_pack("{s:s, s:b, s:s}", "entry", entry, "done", why == NULL, "reply", why ? why : ""));
	if (why == NULL) {
		json_t *said = json_pack("{s:s, s:s}", "actor", field(c->request, "actor"), "note", entry);

		asker_audit(c->asker, said, "settings.allow", field(a->result, "recipient"), field(a->result, "customer"));
		json_decref(said);
	}
	json_decref(a->result);
	free(a);
	c->allowing--;
	finish_if_done(c);
}

/* It has gone, or is on its way: its sender onto the list. What was refused does not allow its sender. */
static void
allow_next(struct change *c, const char *id, const struct index_rcpt *r, json_t *result)
{
	struct allowing *a = allow_wanted(c->request) ? malloc(sizeof *a) : NULL;

	if (a == NULL)
		return;
	*a = (struct allowing){ c, json_incref(result) };
	c->allowing++;
	c->waiting++;                        /* ours: an answer may come at once */
	if (!allow_start(c->asker->store, c->request, id, r, allowed_by_list, a))
		allowed_by_list(a, "", "no memory");
	c->waiting--;
}

static void
released(void *arg, const struct release_result *r)
{
	struct change *c = arg;
	json_t *result = add_result(c, r->id, r->rcpt, r->rcpt->state, r->rcpt->state == STATE_RELEASED, r->reply, r->queue_id);

	if (r->rcpt->state == STATE_RELEASED || r->rcpt->state == STATE_RELEASING)
		allow_next(c, r->id, r->rcpt, result);
	for (size_t i = 0; i < c->count; i++)
		if (c->targets[i].rcpt.n == r->rcpt->n && strcmp(c->targets[i].id, r->id) == 0)
			c->targets[i].to.state = STATE__COUNT;      /* told */
	c->waiting--;
	finish_if_done(c);
}

static void
on_patience(evutil_socket_t fd, short what, void *arg)
{
	struct change *c = arg;

	(void)fd;
	(void)what;
	release_forget(c->asker->store, c);
	for (size_t i = 0; i < c->count; i++)
		if (c->targets[i].to.state == STATE_RELEASING) {
			json_t *result = add_result(c, c->targets[i].id, &c->targets[i].rcpt, STATE_RELEASING, false, "it is on its way", "");

			allow_next(c, c->targets[i].id, &c->targets[i].rcpt, result);
		}
	c->waiting = 0;
	finish_if_done(c);
}

static const char *
why_not(const struct op *op, const struct index_rcpt *r)
{
	static const char *const because[STATE__COUNT] = {
		[STATE_RELEASING] = "it is on its way", [STATE_RELEASED] = "it was released before; --again does it once more",
		[STATE_DELETED] = "it was deleted; undo brings it back for ten minutes", [STATE_EXPIRED] = "its time is over",
	};

	if (op->kind == UNDO)
		return "there is nothing to undo, or it is too late";
	if (op->kind == RELEASE && op->from == IN(STATE_REQUESTED))
		return "nobody has asked for its release";
	return because[r->state] ? because[r->state] : "it is so already";
}

static bool
allowed(const struct change *c, const struct index_rcpt *r)
{
	if (c->op->kind == UNDO)
		return r->before != r->state && wall_s() - r->changed_s <= UNDO_S && (c->op->from & IN(r->state));
	if (c->op->kind == RELEASE && r->state == STATE_RELEASED && json_is_true(json_object_get(c->request, "again")))
		return true;
	return c->op->from & IN(r->state);
}

static void
take(struct change *c, const char *id, const struct index_rcpt *r)
{
	if (!allowed(c, r)) {
		bool so_already = c->op->kind == RELEASE ? r->state == STATE_RELEASED : c->op->kind == MOVE && r->state == c->op->to;

		add_result(c, id, r, r->state, so_already, why_not(c->op, r), "");
		return;
	}
	for (size_t i = 0; i < c->count; i++)        /* named twice */
		if (c->targets[i].rcpt.n == r->n && strcmp(c->targets[i].id, id) == 0)
			return;
	if (c->count == c->room) {
		size_t room = c->room ? c->room * 2 : 16;
		struct target *grown = realloc(c->targets, room * sizeof *grown);

		if (grown == NULL) {
			add_result(c, id, r, r->state, false, "no memory", "");
			return;
		}
		c->targets = grown;
		c->room = room;
	}
	struct target *t = &c->targets[c->count++];
	const char *note = field(c->request, "note");

	*t = (struct target){ .rcpt = *r, .to = { .state = r->state, .before = r->before, .vote = r->vote,
	    .changed_s = wall_s(), .actor = field(c->request, "actor"), .note = note } };
	snprintf(t->id, sizeof t->id, "%s", id);
	switch (c->op->kind) {
	case MOVE:
	case RELEASE:
		t->to.before = r->state;
		t->to.state = c->op->to;
		break;
	case UNDO:
		t->to.state = t->to.before = r->before;
		break;
	case VOTE:
		t->to.vote = c->op->vote;
		t->to.changed_s = r->changed_s;
		break;
	}
}

/* One of "ids": all recipients of that mail in scope, or the one named. */
static void
choose(struct change *c, const json_t *one)
{
	const char *id = json_is_string(one) ? json_string_value(one) : field(one, "id");
	const json_t *number = json_is_object(one) ? json_object_get(one, "n") : NULL;
	const char *rcpt = json_is_object(one) ? field(one, "rcpt") : "";
	struct seg_place place;
	struct index_rcpt *rcpts = NULL;
	size_t count = 0, matched = 0;

	if (index_find(c->asker->store->index, id, &place, &rcpts, &count))
		for (size_t i = 0; i < count; i++) {
			const struct index_rcpt *r = &rcpts[i];

			if ((number && json_integer_value(number) != r->n) || (rcpt[0] && strcmp(rcpt, r->address) != 0 && strcmp(rcpt, r->raw) != 0) ||
			    !entry_in_scope(c->request, span_of(r->address), span_of(r->customer)))
				continue;
			matched++;
			if (c->count < CHANGE_MOST)
				take(c, id, r);
			else
				add_result(c, id, r, r->state, false, "too many at once", "");
		}
	if (matched == 0)
		add_result(c, id, NULL, STATE_NEW, false, "there is no such entry in the quarantine", "");
	free(rcpts);
}

static bool
write_down(struct change *c)
{
	struct state_change *list = calloc(c->count + 1, sizeof *list);
	bool good = list != NULL;

	for (size_t i = 0; good && i < c->count; i++)
		list[i] = (struct state_change){ c->targets[i].id, &c->targets[i].rcpt, c->targets[i].to };
	good = good && store_changes(c->asker->store, list, c->count);
	for (size_t i = 0; good && i < c->count; i++)
		c->targets[i].rcpt.change_seq = list[i].to.seq;
	free(list);
	return good;
}

static void
start_releases(struct change *c)
{
	struct timeval patience = { RELEASE_WAIT_S, 0 };
	struct store *s = c->asker->store;
	unsigned flags = json_is_true(json_object_get(c->request, "risky")) ? RELEASE_RISKY : 0;

	for (size_t i = 0; i < c->count; i++) {
		struct target *t = &c->targets[i];

		t->rcpt.before = t->rcpt.state;
		t->rcpt.state = STATE_RELEASING;
		t->rcpt.changed_s = t->to.changed_s;
		snprintf(t->rcpt.actor, sizeof t->rcpt.actor, "%s", t->to.actor);
		if (release_add(s, t->id, &t->rcpt, flags, released, c))
			c->waiting++;
		else
			add_result(c, t->id, &t->rcpt, STATE_RELEASING, false, "no memory; it is tried after the next start", "");
	}
	c->patience = evtimer_new(s->base, on_patience, c);
	if (c->patience)
		evtimer_add(c->patience, &patience);
	c->waiting++;                        /* ours: results may come at once */
	release_tick(s);
	c->waiting--;
	finish_if_done(c);
}

void
change_start(struct asker *a, uint32_t id, json_t *request)
{
	const json_t *ids = json_object_get(request, "ids"), *one = json_object_get(request, "id");
	const char *name = field(request, "op");
	size_t k = 0, count = sizeof ops / sizeof *ops;

	while (k < count && strcmp(name, ops[k].name) != 0)
		k++;
	if (k == count || !(json_is_array(ids) || json_is_string(one))) {
		asker_error(a, id, k == count ? "op: expected seen, unseen, request, deny, release, approve, delete, undo, ham, spam or unvote" :
		    "\"ids\": a list is needed, or \"id\"", 2);
		return;
	}
	struct change *c = calloc(1, sizeof *c);

	if (c == NULL) {
		asker_error(a, id, "no memory", 1);
		return;
	}
	*c = (struct change){ .asker = a, .id = id, .op = &ops[k], .request = json_incref(request), .results = json_array() };
	a->open++;
	if (c->op->kind == RELEASE && a->store->self->config->reinject[0] == '\0') {
		asker_error(a, id, "nothing can be released: set deliver = { reinject = \"127.0.0.1:10026\"; } to a listener of the MTA without this milter", 1);
		json_decref(c->request);
		json_decref(c->results);
		asker_done(a);
		free(c);
		return;
	}
	if (json_is_array(ids))
		for (size_t i = 0; i < json_array_size(ids); i++)
			choose(c, json_array_get(ids, i));
	else
		choose(c, request);
	bool good = c->count == 0 || write_down(c);

	if (!good || c->op->kind != RELEASE)
		for (size_t i = 0; i < c->count; i++) {
			const struct target *t = &c->targets[i];

			add_result(c, t->id, &t->rcpt, good ? t->to.state : t->rcpt.state, good, good ? c->op->done : "the quarantine cannot be written", "");
		}
	if (good && c->op->kind == RELEASE)
		start_releases(c);
	else
		finish(c);
}
