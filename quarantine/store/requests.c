/* requests.c - policyctl quarantine: list, show, release, delete, stats, rebuild. */
#include <event2/event.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "policyd/base/clock.h"
#include "policyd/base/log.h"
#include "quarantine/store/store.h"

enum { REPLY_MS = 5000 };

struct caller {
	struct store *store;
	int sock;
	struct event *readable;
	struct inbox inbox;
	int open;
	bool gone;
};

struct request {                             /* a release that waits for its results */
	struct caller *caller;
	uint32_t id;
	json_t *results;
	size_t open;
};

static void
caller_free(struct caller *c)
{
	event_free(c->readable);
	close(c->sock);
	inbox_free(&c->inbox);
	free(c);
}

/* Takes `reply`; `fd` (or -1) goes with it. */
static void
send_reply(struct caller *c, uint32_t id, json_t *reply, int fd)
{
	char *json = json_dumps(reply, JSON_COMPACT);
	struct buf body = { 0 };

	pack_text(&body, json ? json : "{\"error\": \"no memory\", \"exit\": 1}");
	struct packet packet = { .type = W_REPLY, .id = id, .body = buf_span(&body), .fds = { fd }, .fd_count = fd >= 0 };

	if (!c->gone)
		ipc_send_wait(c->sock, &packet, REPLY_MS);
	buf_free(&body);
	free(json);
	json_decref(reply);
}

static json_t *
error(const char *why, int code)
{
	return json_pack("{s:s, s:i}", "error", why, "exit", code);
}

static const char *
field(json_t *request, const char *name)
{
	const char *value = json_string_value(json_object_get(request, name));

	return value ? value : "";
}

static void
show(struct caller *c, uint32_t id, json_t *request)
{
	struct store *s = c->store;
	const char *mail_id = field(request, "id");
	struct seg_place place;
	struct seg_record record;
	struct index_rcpt *rcpts;
	struct buf bytes = { 0 }, mail = { 0 };
	size_t count;
	char why[256] = "no such entry";
	int fd = -1;

	if (!index_find(s->index, mail_id, &place, &rcpts, &count)) {
		send_reply(c, id, error("there is no such entry in the quarantine", 1), -1);
		return;
	}
	free(rcpts);
	bool good = segments_read(s->segments, &place, &bytes, &record, why, sizeof why) && segment_unpack(&record, &mail, why, sizeof why);

	if (good && json_is_true(json_object_get(request, "raw")))
		fd = memfd_sealed("policyd-mail", buf_span(&mail));
	json_t *reply = json_pack("{s:o, s:b, s:s, s:s, s:I}", "entries", index_show(s->index, mail_id), "damaged", !good, "why",
	    good ? "" : why, "segment", place.name, "offset", (json_int_t)place.offset);

	send_reply(c, id, reply, fd);
	if (fd >= 0)
		close(fd);
	buf_free(&bytes);
	buf_free(&mail);
}

static void
request_step(struct request *r)
{
	if (--r->open > 0)
		return;
	struct caller *c = r->caller;

	send_reply(c, r->id, json_pack("{s:o}", "results", r->results), -1);
	free(r);
	if (--c->open == 0 && c->gone)
		caller_free(c);
}

static void
add_result(struct request *r, const char *address, const char *state, const char *reply)
{
	json_array_append_new(r->results, json_pack("{s:s, s:s, s:s}", "recipient", address, "state", state, "reply", reply));
}

static void
released(void *arg, const char *address, enum entry_state state, const char *reply)
{
	add_result(arg, address, entry_state_names[state], reply);
	request_step(arg);
}

/* One recipient of an entry, or all: released or deleted. */
static void
change(struct caller *c, uint32_t id, json_t *request, bool release)
{
	struct store *s = c->store;
	const char *mail_id = field(request, "id"), *only = field(request, "rcpt");
	bool again = json_is_true(json_object_get(request, "again"));
	struct request *r = calloc(1, sizeof *r);
	struct seg_place place;
	struct index_rcpt *rcpts = NULL;
	size_t count = 0, matched = 0;
	char why[256];

	if (r == NULL || !index_find(s->index, mail_id, &place, &rcpts, &count)) {
		free(r);
		send_reply(c, id, error("there is no such entry in the quarantine", 1), -1);
		return;
	}
	*r = (struct request){ .caller = c, .id = id, .results = json_array(), .open = 1 };
	c->open++;
	for (size_t i = 0; i < count; i++) {
		struct index_rcpt *one = &rcpts[i];

		if (only[0] && strcmp(only, one->address) != 0 && strcmp(only, one->raw) != 0)
			continue;
		matched++;
		if (one->state == STATE_RELEASED && release && !again) {
			add_result(r, one->address, "released", "it was released before; --again does it once more");
		} else if (one->state == STATE_DELETED || one->state == STATE_EXPIRED) {
			add_result(r, one->address, entry_state_names[one->state], "it is no longer there");
		} else if (one->state == STATE_RELEASING) {
			add_result(r, one->address, "releasing", "it is on its way");
		} else if (!release) {
			bool done = store_state(s, mail_id, one, STATE_DELETED, "deleted by policyctl");

			add_result(r, one->address, done ? "deleted" : "new", done ? "deleted" : "the quarantine cannot be written");
		} else {
			r->open++;
			if (!release_start(s, mail_id, one, released, r, why, sizeof why)) {
				add_result(r, one->address, "failed", why);
				r->open--;
			}
		}
	}
	free(rcpts);
	if (matched == 0)
		add_result(r, only, "failed", "that recipient is not in this entry");
	request_step(r);
}

static void
serve(struct caller *c, uint32_t id, struct span text)
{
	struct store *s = c->store;
	json_t *request = json_loadb(text.p ? text.p : "", text.n, 0, NULL);
	const char *cmd = field(request, "cmd");

	if (strcmp(cmd, "quarantine.list") == 0) {
		send_reply(c, id, json_pack("{s:o}", "entries", index_list(s->index, request)), -1);
	} else if (strcmp(cmd, "quarantine.show") == 0) {
		show(c, id, request);
	} else if (strcmp(cmd, "quarantine.release") == 0) {
		change(c, id, request, true);
	} else if (strcmp(cmd, "quarantine.delete") == 0) {
		change(c, id, request, false);
	} else if (strcmp(cmd, "quarantine.stats") == 0 || strcmp(cmd, "store.status") == 0) {
		json_t *stats = index_stats(s->index);

		json_object_set_new(stats, "full", json_boolean(segments_full(s->segments)));
		json_object_set_new(stats, "deliver_up", json_boolean(link_up(s->deliver)));
		json_object_set_new(stats, "reinject", json_string(s->self->config->reinject));
		send_reply(c, id, stats, -1);
	} else if (strcmp(cmd, "quarantine.rebuild") == 0) {
		int64_t start = clock_ms();

		store_recover(s, true);
		json_t *stats = index_stats(s->index);

		json_object_set_new(stats, "took_ms", json_integer(clock_ms() - start));
		send_reply(c, id, stats, -1);
	} else {
		send_reply(c, id, error("unknown command", 2), -1);
	}
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
		c->gone = true;
		event_del(c->readable);
		if (c->open == 0)
			caller_free(c);
		return;
	}
	serve(c, packet.id, unpack_span(&u));
	packet_close_fds(&packet);
}

void
store_request_connection(struct store *s, uint32_t id, struct span json, int *fds, int fd_count)
{
	struct caller *c = fd_count > 0 ? calloc(1, sizeof *c) : NULL;

	for (int i = 1; i < fd_count; i++)
		close(fds[i]);
	if (c == NULL || (c->readable = event_new(s->base, fds[0], EV_READ | EV_PERSIST, on_caller, c)) == NULL) {
		free(c);
		if (fd_count > 0)
			close(fds[0]);
		return;
	}
	c->store = s;
	c->sock = fds[0];
	fcntl(c->sock, F_SETFL, O_NONBLOCK);
	event_add(c->readable, NULL);
	serve(c, id, json);
}
