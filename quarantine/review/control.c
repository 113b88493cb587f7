/* control.c - policyctl's requests to this process: users, the customers' review settings, what other nodes hold. */
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "policyd/base/caller.h"
#include "policyd/base/log.h"
#include "policyd/wire.h"
#include "quarantine/review/audit.h"
#include "quarantine/review/customers.h"
#include "quarantine/review/pages.h"
#include "quarantine/review/peer.h"
#include "quarantine/review/seals.h"
#include "quarantine/review/sessions.h"

enum { REPLY_MS = 5000 };

struct asking {                              /* one connection of policyctl */
	struct review *review;
	int sock;
	char from[CALLER_FROM];              /* "uid 0" */
	int open;                            /* questions with other nodes */
	bool gone;
};

/* Once nothing is in work any more. */
static void
asking_end(void *arg)
{
	struct asking *a = arg;

	a->gone = true;
	if (a->open == 0)
		free(a);
}

/* Takes `reply`; `fd` (or -1) goes with it. */
static void
send_reply(struct asking *a, uint32_t id, json_t *reply, int fd)
{
	char *json = json_dumps(reply, JSON_COMPACT);
	struct buf body = { 0 };

	pack_text(&body, json ? json : "{\"error\": \"no memory\", \"exit\": 1}");
	struct packet packet = { .type = W_REPLY, .id = id, .body = buf_span(&body), .fds = { fd }, .fd_count = fd >= 0 };

	if (!a->gone)
		ipc_send_wait(a->sock, &packet, REPLY_MS);
	buf_free(&body);
	free(json);
	json_decref(reply);
}

/* Whoever has the machine's policyctl is a second person as well. */
static json_t *
seals_request(struct review *r, json_t *request, const char *from)
{
	struct viewer who = { .role = ROLE_ABUSE };
	const json_t *seal = NULL;
	char action[24];

	snprintf(who.name, sizeof who.name, "policyctl %s", from);
	snprintf(who.customer, sizeof who.customer, "%s", json_word(request, "customer"));
	if (strcmp(json_word(request, "cmd"), "review.seals") == 0)
		return json_pack("{s:o}", "seals", seals_list(r, &who));
	enum text why = seal_answer(r, &who, json_word(request, "key"), json_word(request, "op"), &seal);

	if (why != T_NOTHING)
		return json_pack("{s:s, s:i}", "error", text_in(LANGUAGE_EN, why), "exit", why == T_BAD_REQUEST ? 2 : 1);
	snprintf(action, sizeof action, "seal.%s", json_word(request, "op"));
	audit_add(r, who.name, "", from, action, json_word(seal, "id"), json_word(seal, "customer"), json_word(seal, "asker"));
	return json_pack("{s:s}", "state", json_word(seal, "state"));
}

/* ---- policyctl quarantine ... --node: what another node of the pool holds (peer.h) ---- */

struct passed_on {
	struct asking *asking;
	uint32_t id;
	json_t *request;
};

static void
node_answered(void *arg, json_t *reply, int fd)
{
	struct passed_on *p = arg;
	struct asking *a = p->asking;
	size_t i;
	json_t *result;

	json_array_foreach(json_object_get(reply, "results"), i, result) {
		char target[700], action[48];

		snprintf(target, sizeof target, "%s %s", json_word(result, "id"), json_word(result, "recipient"));
		snprintf(action, sizeof action, "mail.%.20s%s", json_word(p->request, "op"), json_is_true(json_object_get(result, "done")) ? "" : ".failed");
		audit_add(a->review, json_word(p->request, "actor"), "", a->from, action, target, json_word(result, "customer"),
		    json_word(p->request, "note"));
		if (json_is_true(json_object_get(json_object_get(result, "allow"), "done")))
			audit_add(a->review, json_word(p->request, "actor"), "", a->from, "settings.allow", json_word(result, "recipient"),
			    json_word(result, "customer"), json_word(json_object_get(result, "allow"), "entry"));
	}
	send_reply(a, p->id, reply, fd);
	if (fd >= 0)
		close(fd);
	json_decref(p->request);
	free(p);
	a->open--;
	if (a->gone)
		asking_end(a);
}

static void
pass_on(struct asking *a, uint32_t id, const json_t *request)
{
	json_t *inner = json_object_get(request, "request");
	const char *node = json_word(request, "node");
	struct passed_on *p = calloc(1, sizeof *p);
	bool raw = json_is_true(json_object_get(inner, "raw"));

	if (p && json_is_object(inner) && raw && !audit_add(a->review, json_word(inner, "actor"), "", a->from, "mail.download", json_word(inner, "id"), "", node)) {
		free(p);
		send_reply(a, id, json_pack("{s:s, s:i}", "error", "not shown: the audit log cannot be written", "exit", 1), -1);
		return;
	}
	if (p)
		*p = (struct passed_on){ a, id, json_incref(inner) };
	a->open++;
	if (p && json_is_object(inner) && peer_ask(a->review, node, json_incref(inner), json_word(inner, "actor"), "", node_answered, p))
		return;
	a->open--;
	if (p)
		json_decref(p->request);
	free(p);
	send_reply(a, id, json_pack("{s:s, s:i}", "error", json_is_object(inner) ? "no memory" : "\"request\": an object is needed", "exit", 1), -1);
}

static json_t *
serve(struct review *r, json_t *request, const char *from)
{
	const char *cmd = json_word(request, "cmd");

	if (strncmp(cmd, "user.", 5) == 0) {
		json_t *reply = users_request(r->users, request);

		if (strcmp(cmd, "user.list") != 0 && json_object_get(reply, "error") == NULL)
			audit_add(r, "policyctl", "", from, cmd, json_word(request, "name"), json_word(request, "customer"), "");
		return reply;
	}
	if (strcmp(cmd, "review.settings") == 0) {
		json_t *reply = customers_control(r, request);

		if (json_object_size(json_object_get(request, "values")) > 0 && json_object_get(reply, "error") == NULL)
			audit_add(r, "policyctl", "", from, "review.settings", "", json_word(request, "customer"), "");
		return reply;
	}
	if (strcmp(cmd, "review.seals") == 0 || strcmp(cmd, "review.seal") == 0)
		return seals_request(r, request, from);
	if (strcmp(cmd, "review.status") == 0)
		return json_pack("{s:I, s:I}", "users", (json_int_t)users_count(r->users), "sessions", (json_int_t)sessions_count(r->sessions));
	return json_pack("{s:s, s:i}", "error", "unknown command", "exit", 2);
}

static void
question(void *arg, uint32_t id, struct span text)
{
	struct asking *a = arg;
	json_t *request = json_loadb(text.p ? text.p : "", text.n, 0, NULL);

	if (strcmp(json_word(request, "cmd"), "review.node") == 0)
		pass_on(a, id, request);
	else
		send_reply(a, id, serve(a->review, request, a->from), -1);
	json_decref(request);
}

void
review_control(struct review *r, uint32_t id, struct span json, int *fds, int fd_count)
{
	static const struct caller_kind kind = { question, asking_end };
	struct asking *a = malloc(sizeof *a);

	if (a == NULL) {
		for (int i = 0; i < fd_count; i++)
			close(fds[i]);
		return;
	}
	*a = (struct asking){ .review = r, .sock = fd_count > 0 ? fds[0] : -1 };
	caller_from(a->sock, a->from);
	if (!caller_adopt(r->base, fds, fd_count, id, json, &kind, a))
		free(a);
}
