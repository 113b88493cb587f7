/* control.c - policyctl's requests to this process: users, the customers' review settings. */
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "policyd/base/caller.h"
#include "policyd/base/log.h"
#include "policyd/wire.h"
#include "quarantine/review/audit.h"
#include "quarantine/review/customers.h"
#include "quarantine/review/pages.h"
#include "quarantine/review/seals.h"
#include "quarantine/review/sessions.h"

enum { REPLY_MS = 5000 };

struct asking {                              /* one connection of policyctl */
	struct review *review;
	int sock;
	char from[CALLER_FROM];              /* "uid 0" */
};

static void
send_reply(struct asking *a, uint32_t id, json_t *reply)
{
	char *json = json_dumps(reply, JSON_COMPACT);
	struct buf body = { 0 };

	pack_text(&body, json ? json : "{\"error\": \"no memory\", \"exit\": 1}");
	struct packet packet = { .type = W_REPLY, .id = id, .body = buf_span(&body) };

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

	send_reply(a, id, serve(a->review, request, a->from));
	json_decref(request);
}

void
review_control(struct review *r, uint32_t id, struct span json, int *fds, int fd_count)
{
	static const struct caller_kind kind = { question, free };
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
