/* manage.c - policyctl model: what was learnt and by whom, taking back, exporting, importing, rebuilding. */
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include "policyd/base/log.h"
#include "policyd/trainer/trainer.h"

enum { REPLY_MS = 10 * 1000, HISTORY_MOST = 10000, ROLLBACK_MOST = 1000000 };

static json_t *
error(const char *text)
{
	return json_pack("{s:s, s:i}", "error", text, "exit", 1);
}

static const char *
field(const json_t *request, const char *name)
{
	const char *text = json_string_value(json_object_get(request, name));

	return text ? text : "";
}

static json_t *
status(struct trainer *t)
{
	const struct table *m = t->table;
	const struct follower *f = &t->follower;

	return json_pack("{s:I, s:i, s:i, s:i, s:i, s:b, s:b, s:b, s:s, s:f, s:f, s:i}", "lessons", (json_int_t)m->lessons, "spam", (int)m->seen[SPAM], "ham",
	    (int)m->seen[HAM], "spam_in_counters", (int)m->trained[SPAM], "ham_in_counters", (int)m->trained[HAM], "caught_up", f->caught_up,
	    "in_order", follow_in_order(f), "leads", f->leads, "place", m->place, "platt_a", m->platt_a, "platt_b", m->platt_b, "disagreement_percent",
	    trainer_disagreement(t));
}

/* ---- history ---- */

static bool
add_entry(void *arg, const char *id, const struct lesson *l, const struct features *features)
{
	json_t *list = arg;
	time_t when = (time_t)(strtoull(id, NULL, 10) / 1000);
	struct tm tm;
	char text[32];

	(void)features;
	gmtime_r(&when, &tm);
	strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%SZ", &tm);
	json_array_append_new(list, json_pack("{s:s, s:s, s:s, s:s, s:s, s:s, s:s, s:s}", "id", id, "time", text, "op", ledger_op_names[l->op], "class",
	    l->op == LEDGER_REBUILD ? "" : l->spam ? "spam" : "ham", "source", l->source, "who", l->who, "customer", l->customer, "digest", l->digest));
	return true;
}

static json_t *
history(struct trainer *t, const json_t *request)
{
	int count = (int)json_integer_value(json_object_get(request, "count"));
	json_t *list = json_array();

	if (!ledger_history(t->redis, count < 1 || count > HISTORY_MOST ? 20 : count, add_entry, list)) {
		json_decref(list);
		return error("Redis gave no answer");
	}
	return json_pack("{s:o}", "lessons", list);
}

/* ---- rollback: each lesson behind a place is taken back, then the model is made anew without them ---- */

struct undone {
	struct redis *redis;
	struct lesson *at;
	struct buf *features;
	size_t count, room;
	bool failed;
};

static bool
collect(void *arg, const char *id, const struct lesson *l, const struct features *f)
{
	struct undone *u = arg;

	(void)id;
	if (l->op != LEDGER_LEARN)
		return true;
	if (u->count == u->room) {
		size_t room = u->room ? u->room * 2 : 256;
		struct lesson *at = realloc(u->at, room * sizeof *at);
		struct buf *features = at ? realloc(u->features, room * sizeof *features) : NULL;

		if (at)
			u->at = at;
		if (features)
			u->features = features;
		if (at == NULL || features == NULL) {
			u->failed = true;
			return false;
		}
		u->room = room;
	}
	u->at[u->count] = *l;
	u->features[u->count] = (struct buf){ 0 };
	if (f)
		features_pack(&u->features[u->count], f);
	u->count++;
	return u->count < ROLLBACK_MOST;
}

static json_t *
rollback(struct trainer *t, const json_t *request)
{
	struct undone u = { .redis = t->redis };
	char last[LEDGER_ID];
	size_t taken = 0;

	snprintf(last, sizeof last, "%s", field(request, "id"));
	if (strtoull(last, NULL, 10) == 0)
		return error("rollback: the id of a lesson is needed (policyctl model history)");
	bool good = ledger_read(t->redis, last, NULL, collect, &u) && !u.failed;

	for (size_t i = u.count; good && i > 0; i--) {
		struct lesson back = u.at[i - 1];

		back.op = LEDGER_UNLEARN;
		snprintf(back.source, sizeof back.source, "rollback");
		snprintf(back.who, sizeof back.who, "%s", field(request, "who"));
		/* an empty span still needs an address: the script's argument is then empty */
		struct span features = u.features[i - 1].p ? buf_span(&u.features[i - 1]) : SPAN("");
		redisReply *reply = ledger_append(t->redis, &back, features) ? redis_next(t->redis) : NULL;

		good = reply && reply->type == REDIS_REPLY_STRING;
		taken += ledger_result(reply) == LESSON_UNLEARNT;
		if (reply)
			freeReplyObject(reply);
	}
	good = good && ledger_mark_rebuild(t->redis, field(request, "who")) && follow_step(&t->follower);
	for (size_t i = 0; i < u.count; i++)
		buf_free(&u.features[i]);
	free(u.features);
	free(u.at);
	return good ? json_pack("{s:i}", "taken_back", (int)taken) : error("Redis gave no answer; what was taken back stays so");
}

/* ---- export, import ---- */

static json_t *
import(struct trainer *t, const struct packet *packet, const json_t *request)
{
	struct span bytes = packet->fd_count > 1 ? map_fd(packet->fds[1]) : (struct span){ NULL, 0 };
	json_t *reply;

	if (bytes.p == NULL || bytes.n != sizeof(struct table) || !table_is_sound((const struct table *)(const void *)bytes.p))
		reply = error("that is no model of this version (policyctl model export, or policyctl eval --write)");
	else if (!follow_import(&t->follower, (const struct table *)(const void *)bytes.p, field(request, "name")) || !follow_step(&t->follower))
		reply = error("Redis gave no answer");
	else
		reply = status(t);
	unmap(bytes);
	return reply;
}

static json_t *
serve(struct trainer *t, const struct packet *packet, const json_t *request, int *fd)
{
	const char *cmd = field(request, "cmd");
	char why[256] = "";

	if (strcmp(cmd, "model.status") == 0)
		return status(t);
	if (strcmp(cmd, "model.history") == 0)
		return history(t, request);
	if (strcmp(cmd, "model.rollback") == 0)
		return rollback(t, request);
	if (strcmp(cmd, "model.rebuild") == 0)
		return ledger_mark_rebuild(t->redis, field(request, "who")) && follow_step(&t->follower) ? status(t) : error("Redis gave no answer");
	if (strcmp(cmd, "model.verify") == 0)
		return follow_verify(&t->follower, why, sizeof why) ? json_pack("{s:b}", "same", 1) : error(why);
	if (strcmp(cmd, "model.import") == 0)
		return import(t, packet, request);
	if (strcmp(cmd, "model.export") == 0) {
		*fd = memfd_sealed("model", span_make(t->table, sizeof *t->table));
		return *fd >= 0 ? status(t) : error("no memory");
	}
	return error("no such command");
}

void
trainer_manage(struct trainer *t, const struct packet *packet)
{
	struct unpack u = { packet->body, false };
	struct span text = unpack_span(&u);
	json_error_t bad;
	json_t *request = json_loadb(text.p ? text.p : "", text.n, 0, &bad);
	int fd = -1;
	json_t *reply = request ? serve(t, packet, request, &fd) : error("no JSON");
	char *json = json_dumps(reply, JSON_COMPACT);
	struct buf body = { 0 };

	pack_text(&body, json ? json : "{}");
	struct packet out = { .type = W_REPLY, .id = packet->id, .body = buf_span(&body), .fds = { fd }, .fd_count = fd >= 0 };

	if (packet->fd_count > 0)
		ipc_send_wait(packet->fds[0], &out, REPLY_MS);
	if (fd >= 0)
		close(fd);
	free(json);
	json_decref(reply);
	json_decref(request);
	buf_free(&body);
}
