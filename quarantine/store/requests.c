/* requests.c - questions to the store (requests.h): where they come in, and who answers. */
#include "quarantine/store/requests.h"

#include <event2/event.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "policyd/base/clock.h"
#include "policyd/base/log.h"
#include "quarantine/store/asker.h"

enum { REPLY_MS = 5000, AUDIT_MOST = 1000 };

struct caller {                              /* a connection that the master handed over */
	struct store *store;
	struct event *readable;
	struct inbox inbox;
	struct asker *asker;
	int sock;
};

struct asker *
asker_new(struct store *s, int sock)
{
	struct asker *a = calloc(1, sizeof *a);

	if (a)
		*a = (struct asker){ .store = s, .sock = sock };
	return a;
}

void
asker_free(struct asker *a)
{
	a->gone = true;
	if (a->open == 0)
		free(a);
}

/* Takes `reply`; `fd` (or -1) goes with it. */
void
asker_reply_fd(struct asker *a, uint32_t id, json_t *reply, int fd)
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

void
asker_reply(struct asker *a, uint32_t id, json_t *reply)
{
	asker_reply_fd(a, id, reply, -1);
}

void
asker_error(struct asker *a, uint32_t id, const char *why, int code)
{
	asker_reply(a, id, json_pack("{s:s, s:i}", "error", why, "exit", code));
}

static const char *
field(const json_t *request, const char *name)
{
	const char *value = json_string_value(json_object_get(request, name));

	return value ? value : "";
}

static void
list(struct asker *a, uint32_t id, json_t *request)
{
	char why[256];

	if (json_is_true(json_object_get(request, "pool"))) {
		nodes_list(a, id, request);
		return;
	}
	json_t *reply = index_list(a->store->index, request, why, sizeof why);

	if (reply)
		asker_reply(a, id, reply);
	else
		asker_error(a, id, why, 2);
}

static json_t *
symbols_json(struct span text)
{
	json_t *symbols = json_loadb(text.p ? text.p : "", text.n, 0, NULL);

	return json_is_array(symbols) ? symbols : json_array();
}

static void
show(struct asker *a, uint32_t id, json_t *request)
{
	struct store *s = a->store;
	const char *mail_id = field(request, "id");
	json_t *entries = index_entries(s->index, mail_id, request);
	struct arena_mark mark = arena_mark(s->arena);
	struct store_request stored;
	struct seg_place place = { 0 };
	struct index_rcpt *rcpts = NULL;
	struct buf mail = { 0 };
	size_t count;
	char why[256] = "";
	int fd = -1;

	if (json_array_size(entries) == 0 || !index_find(s->index, mail_id, &place, &rcpts, &count)) {
		json_decref(entries);
		asker_error(a, id, "there is no such entry in the quarantine", 1);
		return;
	}
	char customer[KEYS_CUSTOMER_ROOM];
	bool wants_raw = json_is_true(json_object_get(request, "raw"));

	snprintf(customer, sizeof customer, "%s", rcpts[0].customer);
	free(rcpts);
	if (wants_raw && !asker_audit(a, request, "mail.download", mail_id, customer)) {
		json_decref(entries);
		asker_error(a, id, "not shown: the audit log cannot be written", 1);
		return;
	}
	bool good = store_read(s, &place, s->arena, &stored, &mail, why, sizeof why);

	if (good && wants_raw)
		fd = memfd_sealed("policyd-mail", buf_span(&mail));
	asker_reply_fd(a, id, json_pack("{s:o, s:o, s:b, s:s, s:s, s:I}", "entries", entries, "symbols", symbols_json(good ? stored.symbols : SPAN("")),
	    "damaged", !good, "why", good ? "" : why, "segment", place.name, "offset", (json_int_t)place.offset), fd);
	if (fd >= 0)
		close(fd);
	arena_rewind(s->arena, mark);
	buf_free(&mail);
}

static void
stats(struct asker *a, uint32_t id, json_t *request)
{
	struct store *s = a->store;
	json_t *reply = index_stats(s->index, request);

	json_object_set_new(reply, "full", json_boolean(segments_room(s->segments) == ROOM_NONE));
	json_object_set_new(reply, "low", json_boolean(segments_room(s->segments) != ROOM_ENOUGH));
	json_object_set_new(reply, "deliver_up", json_boolean(link_up(s->deliver)));
	json_object_set_new(reply, "reinject", json_string(s->self->config->reinject));
	asker_reply(a, id, reply);
}

static void
rules(struct asker *a, uint32_t id, json_t *request)
{
	asker_reply(a, id, index_rules(a->store->index, request));
}

static void
rebuild(struct asker *a, uint32_t id, json_t *request)
{
	int64_t start = clock_ms();

	asker_audit(a, request, "quarantine.rebuild", "", "");
	store_changes(a->store, NULL, 0);        /* what waits to be made durable goes first */
	store_recover(a->store, true);
	json_t *reply = index_stats(a->store->index, request);

	json_object_set_new(reply, "took_ms", json_integer(clock_ms() - start));
	asker_reply(a, id, reply);
}

static void
release(struct asker *a, uint32_t id, json_t *request)
{
	json_object_set_new(request, "op", json_string("release"));
	change_start(a, id, request);
}

static void
remove_entries(struct asker *a, uint32_t id, json_t *request)
{
	json_object_set_new(request, "op", json_string("delete"));
	change_start(a, id, request);
}

static void
audit(struct asker *a, uint32_t id, json_t *request)
{
	json_int_t limit = json_integer_value(json_object_get(request, "limit"));
	const char *customer = field(request, "customer");

	if (a->store->audit == NULL)
		asker_error(a, id, "the audit log cannot be opened; see the log", 1);
	else if (strcmp(field(request, "cmd"), "audit.verify") == 0)
		asker_reply(a, id, audit_verify(a->store->audit));
	else
		asker_reply(a, id, json_pack("{s:o}", "entries", audit_list(a->store->audit, customer[0] ? customer : NULL, 0,
		    limit > 0 && limit < AUDIT_MOST ? (size_t)limit : 100)));
}

static const struct {
	const char *name;
	void (*run)(struct asker *a, uint32_t id, json_t *request);
} commands[] = {
	{ "quarantine.list", list }, { "quarantine.show", show }, { "quarantine.change", change_start }, { "quarantine.release", release },
	{ "quarantine.delete", remove_entries }, { "quarantine.stats", stats }, { "quarantine.rules", rules },
	{ "quarantine.rebuild", rebuild }, { "store.status", stats },
	{ "audit.list", audit }, { "audit.verify", audit },
};

void
asker_serve(struct asker *a, uint32_t id, struct span text)
{
	json_t *request = json_loadb(text.p ? text.p : "", text.n, 0, NULL);
	const char *cmd = field(request, "cmd");
	size_t i = 0;

	a->open++;                           /* not freed under our hands */
	while (i < sizeof commands / sizeof *commands && strcmp(cmd, commands[i].name) != 0)
		i++;
	if (i < sizeof commands / sizeof *commands)
		commands[i].run(a, id, request);
	else
		asker_error(a, id, "unknown command", 2);
	json_decref(request);
	asker_done(a);
}

void
asker_done(struct asker *a)
{
	if (--a->open == 0 && a->gone)
		free(a);
}

/* ---- policyctl ---- */

static void
caller_free(struct caller *c)
{
	asker_free(c->asker);
	event_free(c->readable);
	close(c->sock);
	inbox_free(&c->inbox);
	free(c);
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
	asker_serve(c->asker, packet.id, unpack_span(&u));
	packet_close_fds(&packet);
}

void
store_request_connection(struct store *s, uint32_t id, struct span json, int *fds, int fd_count)
{
	struct caller *c = fd_count > 0 ? calloc(1, sizeof *c) : NULL;

	for (int i = 1; i < fd_count; i++)
		close(fds[i]);
	if (c == NULL || (c->asker = asker_new(s, fds[0])) == NULL ||
	    (c->readable = event_new(s->base, fds[0], EV_READ | EV_PERSIST, on_caller, c)) == NULL) {
		if (c)
			free(c->asker);
		free(c);
		if (fd_count > 0)
			close(fds[0]);
		return;
	}
	struct ucred who = { .uid = (uid_t)-1 };
	socklen_t length = sizeof who;

	getsockopt(fds[0], SOL_SOCKET, SO_PEERCRED, &who, &length);
	snprintf(c->asker->from, sizeof c->asker->from, "uid %lu", (unsigned long)who.uid);
	c->store = s;
	c->sock = fds[0];
	fcntl(c->sock, F_SETFL, O_NONBLOCK);
	event_add(c->readable, NULL);
	asker_serve(c->asker, id, json);
}
