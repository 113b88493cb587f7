/* backend.c - questions to the store and the broker, and what of the quarantine each viewer may see. */
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "policyd/base/log.h"
#include "policyd/wire.h"
#include "quarantine/review/pages.h"
#include "quarantine/review/peer.h"

enum { STORE_MS = 130 * 1000, BROKER_MS = 65 * 1000 };      /* a release answers when the MTA has */

struct question {
	backend_answer done;
	void *arg;
	int fd;                              /* ours until the answer */
};

static json_t *
silence(void)
{
	return json_pack("{s:s, s:i, s:b}", "error", "no answer in time; see policyctl doctor", "exit", 1, "silent", 1);
}

static void
answered(void *arg, struct packet *answer)
{
	struct question *q = arg;
	json_t *reply = NULL;
	int fd = -1;

	if (answer) {
		struct unpack u = { answer->body, false };
		struct span text = unpack_span(&u);

		reply = json_loadb(text.p ? text.p : "", text.n, 0, NULL);
		if (reply && answer->fd_count > 0) {
			fd = answer->fds[0];
			for (int i = 1; i < answer->fd_count; i++)
				close(answer->fds[i]);
			answer->fd_count = 0;
		}
	}
	if (q->fd >= 0)
		close(q->fd);
	q->done(q->arg, reply ? reply : silence(), fd);
	free(q);
}

bool
backend_ask(struct link *link, json_t *request, int fd, int timeout_ms, backend_answer done, void *arg)
{
	char *text = json_dumps(request, JSON_COMPACT);
	struct question *q = calloc(1, sizeof *q);
	struct buf body = { 0 };

	json_decref(request);
	if (q)
		*q = (struct question){ done, arg, fd };
	pack_text(&body, text ? text : "{}");
	free(text);
	if (q && link_ask(link, W_REQUEST, &body, &q->fd, fd >= 0, timeout_ms, answered, q))
		return true;
	if (fd >= 0)
		close(fd);
	free(q);
	return false;
}

struct asked {
	struct call *call;
	backend_done done;
};

static void
call_answered(void *arg, json_t *reply, int fd)
{
	struct asked a = *(struct asked *)arg;

	free(arg);
	a.done(a.call, reply, fd);
}

static void
ask(struct call *c, struct link *link, json_t *request, int fd, int timeout_ms, backend_done done)
{
	struct asked *a = calloc(1, sizeof *a);

	if (a)
		*a = (struct asked){ c, done };
	if (a == NULL) {
		json_decref(request);
		if (fd >= 0)
			close(fd);
	} else if (backend_ask(link, request, fd, timeout_ms, call_answered, a)) {
		return;
	}
	free(a);
	done(c, silence(), -1);
}

void
ask_store(struct call *c, json_t *request, backend_done done)
{
	char node[NODE_ROOM];

	snprintf(node, sizeof node, "%s", json_word(request, "node"));
	if (!peer_is_other(c->review, node)) {
		ask(c, c->review->store, request, -1, STORE_MS, done);
		return;
	}
	struct asked *a = calloc(1, sizeof *a);

	if (a)
		*a = (struct asked){ c, done };
	else
		json_decref(request);
	if (a && peer_ask(c->review, node, request, c->who.name, role_names[c->who.role], call_answered, a))
		return;
	free(a);
	done(c, silence(), -1);
}

static void
forget_answer(void *arg, json_t *reply, int fd)
{
	(void)arg;
	if (fd >= 0)
		close(fd);
	json_decref(reply);
}

void
tell_store(struct call *c, json_t *request)
{
	char node[NODE_ROOM];

	snprintf(node, sizeof node, "%s", json_word(request, "node"));
	if (peer_is_other(c->review, node))
		peer_ask(c->review, node, request, c->who.name, role_names[c->who.role], forget_answer, NULL);
	else
		backend_ask(c->review->store, request, -1, STORE_MS, forget_answer, NULL);
}

void
ask_broker(struct call *c, json_t *request, int fd, backend_done done)
{
	ask(c, c->review->broker, request, fd, BROKER_MS, done);
}

json_t *
viewer_scope(const struct viewer *who)
{
	json_t *scope = json_object(), *rcpts;

	switch (who->role) {
	case ROLE_SUPPORT:
	case ROLE_ABUSE:
		if (who->customer[0])
			json_object_set_new(scope, "customer", json_string(who->customer));
		break;
	case ROLE_ADMIN:
		json_object_set_new(scope, "customer", json_string(who->customer));
		break;
	default:
		rcpts = json_array();
		for (int i = 0; i < who->address_count; i++)
			json_array_append_new(rcpts, json_string(who->addresses[i]));
		if (json_array_size(rcpts) == 0)     /* nobody's mail, never everybody's */
			json_array_append_new(rcpts, json_string("\x01"));
		json_object_set_new(scope, "rcpts", rcpts);
		break;
	}
	return scope;
}
