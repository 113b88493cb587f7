/* requests.c - questions to the store (requests.h): where they come in, and who answers. */
#include "quarantine/store/requests.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "policyd/base/caller.h"
#include "policyd/base/clock.h"
#include "policyd/base/log.h"
#include "quarantine/store/asker.h"

enum { REPLY_MS = 5000, AUDIT_MOST = 1000 };

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
	json_object_set_new(reply, "behind", json_boolean(s->behind));
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
nodes(struct asker *a, uint32_t id, json_t *request)
{
	(void)request;
	nodes_where(a, id);
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
	{ "quarantine.rebuild", rebuild }, { "quarantine.nodes", nodes }, { "store.status", stats },
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
question(void *arg, uint32_t id, struct span json)
{
	asker_serve(arg, id, json);
}

static void
gone(void *arg)
{
	asker_free(arg);
}

void
store_request_connection(struct store *s, uint32_t id, struct span json, int *fds, int fd_count)
{
	static const struct caller_kind kind = { question, gone };
	struct asker *a = asker_new(s, fd_count > 0 ? fds[0] : -1);

	if (a == NULL) {
		for (int i = 0; i < fd_count; i++)
			close(fds[i]);
		return;
	}
	caller_from(a->sock, a->from);
	if (!caller_adopt(s->base, fds, fd_count, id, json, &kind, a))
		asker_free(a);
}
