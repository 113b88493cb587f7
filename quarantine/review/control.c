/* control.c - policyctl's requests to this process: users, the customers' review settings. */
#include <event2/event.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "policyd/base/log.h"
#include "policyd/wire.h"
#include "quarantine/review/audit.h"
#include "quarantine/review/customers.h"
#include "quarantine/review/pages.h"
#include "quarantine/review/sessions.h"

enum { REPLY_MS = 5000 };

struct caller {
	struct review *review;
	int sock;
	char from[24];                       /* "uid 0", by the kernel's word */
	struct event *readable;
	struct inbox inbox;
};

static void
caller_free(struct caller *c)
{
	event_free(c->readable);
	close(c->sock);
	inbox_free(&c->inbox);
	free(c);
}

static void
send_reply(struct caller *c, uint32_t id, json_t *reply)
{
	char *json = json_dumps(reply, JSON_COMPACT);
	struct buf body = { 0 };

	pack_text(&body, json ? json : "{\"error\": \"no memory\", \"exit\": 1}");
	struct packet packet = { .type = W_REPLY, .id = id, .body = buf_span(&body) };

	ipc_send_wait(c->sock, &packet, REPLY_MS);
	buf_free(&body);
	free(json);
	json_decref(reply);
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
	if (strcmp(cmd, "review.status") == 0)
		return json_pack("{s:I, s:I}", "users", (json_int_t)users_count(r->users), "sessions", (json_int_t)sessions_count(r->sessions));
	return json_pack("{s:s, s:i}", "error", "unknown command", "exit", 2);
}

static void
serve_text(struct caller *c, uint32_t id, struct span text)
{
	json_t *request = json_loadb(text.p ? text.p : "", text.n, 0, NULL);

	send_reply(c, id, serve(c->review, request, c->from));
	json_decref(request);
}

static void
on_caller(evutil_socket_t fd, short what, void *arg)
{
	struct caller *c = arg;
	struct packet packet;
	enum ipc_result result = ipc_recv(fd, &c->inbox, &packet);
	struct unpack u = { packet.body, false };

	(void)what;
	if (result == IPC_AGAIN)
		return;
	if (result == IPC_CLOSED || packet.type != W_REQUEST) {
		if (result == IPC_OK)
			packet_close_fds(&packet);
		caller_free(c);
		return;
	}
	serve_text(c, packet.id, unpack_span(&u));
	packet_close_fds(&packet);
}

void
review_control(struct review *r, uint32_t id, struct span json, int *fds, int fd_count)
{
	struct caller *c = fd_count > 0 ? calloc(1, sizeof *c) : NULL;

	for (int i = 1; i < fd_count; i++)
		close(fds[i]);
	if (c == NULL || (c->readable = event_new(r->base, fds[0], EV_READ | EV_PERSIST, on_caller, c)) == NULL) {
		free(c);
		if (fd_count > 0)
			close(fds[0]);
		return;
	}
	struct ucred who = { .uid = (uid_t)-1 };
	socklen_t length = sizeof who;

	getsockopt(fds[0], SOL_SOCKET, SO_PEERCRED, &who, &length);
	snprintf(c->from, sizeof c->from, "uid %lu", (unsigned long)who.uid);
	c->review = r;
	c->sock = fds[0];
	fcntl(c->sock, F_SETFL, O_NONBLOCK);
	event_add(c->readable, NULL);
	serve_text(c, id, json);
}
