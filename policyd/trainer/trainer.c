/* trainer.c - the one writer of the model: lessons come from the broker, go into the ledger, then into the table.
 *
 * Order: look the digest up, write the ledger, train, answer. A lesson that was written but not trained when this
 * process ended is trained at the next start (ledger_replay); <state>/model/applied says up to where the table is. */
#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "policyd/base/clock.h"
#include "policyd/base/log.h"
#include "policyd/base/metrics.h"
#include "policyd/child.h"
#include "policyd/model/learners.h"
#include "policyd/trainer/ledger.h"
#include "policyd/trainer/rebuild.h"
#include "policyd/wire.h"

enum { MAX_PEERS = 16, REDIS_MS = 2000, REPLY_MS = 2000, CATCH_UP_MS = 1000, PAUSE_MS = 1000 };

struct trainer {
	struct child *self;
	struct table *table;
	struct redis *redis;
	int applied_fd;                      /* the place in the ledger that the table has */
	char last[48];
	bool caught_up;
	int64_t catch_up_at_ms, taught_ms;   /* taught_ms: the last lesson */
	struct table *spare;                 /* where a young model is made anew */
	bool in_order;                       /* the table is what the lessons give in the order of their digests */
	int peers[MAX_PEERS];
	size_t peer_count;
	struct inbox inbox, master_inbox;
	struct arena *arena;
};

static void
load_applied(struct trainer *t)
{
	ssize_t n = pread(t->applied_fd, t->last, sizeof t->last - 1, 0);

	t->last[n > 0 ? n : 0] = '\0';
	if (t->last[0] == '\0' || t->table->lessons == 0)
		snprintf(t->last, sizeof t->last, "0-0");
}

/* Both the table and this file are pages that the kernel writes: they outlive this process. After a crash of the
 * machine the two may disagree by what the kernel had not written; then policyctl learn again, or a rebuild. */
static void
save_applied(struct trainer *t)
{
	char text[48] = "";

	snprintf(text, sizeof text, "%s", t->last);
	if (pwrite(t->applied_fd, text, sizeof text, 0) < 0)
		log_warning("model: applied: %s", strerror(errno));
}

static void
apply(void *arg, const struct lesson *lesson, const struct features *f)
{
	struct lesson_effect effect = lesson->effect;
	struct trainer *t = arg;
	int label = lesson->spam ? SPAM : HAM;

	if (lesson->learn)
		learners_train(t->table, f, label, &effect, lesson_seed(lesson->digest));
	else
		learners_untrain(t->table, f, label, &effect, lesson_seed(lesson->digest));
	metrics_add(M_TRAINED, 1);
}

/* What is in the ledger and not in the table: after a start, or when Redis was away. */
static void
catch_up(struct trainer *t)
{
	if (t->caught_up || clock_ms() < t->catch_up_at_ms)
		return;
	t->caught_up = ledger_replay(t->redis, t->last, apply, t);
	t->in_order = false;
	t->catch_up_at_ms = clock_ms() + CATCH_UP_MS;
	save_applied(t);
}

/* Teaching has paused: see rebuild.h. Readers may see the copy half way; what they score then is neither worse nor
 * better founded than a moment before. */
static void
put_in_order(struct trainer *t)
{
	char last[48];

	if (t->in_order || !t->caught_up || clock_ms() - t->taught_ms < PAUSE_MS || t->table->seen[HAM] + t->table->seen[SPAM] >= REBUILD_BELOW)
		return;                      /* (a grown model stays as it is, and "in order" is no question there) */
	if (t->spare == NULL && (t->spare = table_private()) == NULL)
		return;
	if (!rebuild_table(t->redis, t->spare, last))
		return;                      /* again at the next pause */
	memcpy(t->table, t->spare, sizeof *t->table);
	snprintf(t->last, sizeof t->last, "%s", last);
	save_applied(t);
	t->in_order = true;
}

static uint8_t
add_lesson(struct trainer *t, struct lesson *lesson, const struct features *f, struct span packed, char *why, size_t room)
{
	char id[48];

	if (!ledger_add(t->redis, lesson, packed, id)) {
		snprintf(why, room, "Redis did not take the lesson: %s", redis_why(t->redis));
		t->caught_up = false;        /* it may be in the ledger all the same: look */
		return 0;
	}
	apply(t, lesson, f);
	t->in_order = false;
	t->taught_ms = clock_ms();
	snprintf(t->last, sizeof t->last, "%s", id);
	save_applied(t);
	return 1;
}

/* 0 failed, 1 learnt, 2 known already, 3 flipped, 4 unlearnt. */
static uint8_t
lesson_step(struct trainer *t, struct lesson *lesson, struct span packed, char *why, size_t room)
{
	struct features f;
	struct lesson_effect effect = { 0 };
	bool spam = false;
	int known;

	if (!features_unpack(packed, t->arena, &f)) {
		snprintf(why, room, "the features cannot be read");
		return 0;
	}
	catch_up(t);
	known = t->caught_up ? ledger_known(t->redis, lesson->digest, &spam, &effect) : -1;
	if (known < 0) {
		snprintf(why, room, "Redis is not reachable, so nothing can be learnt now: %s", redis_why(t->redis));
		return 0;
	}
	if (!lesson->learn) {
		if (known == 0) {
			snprintf(why, room, "it was never learnt");
			return 0;
		}
		lesson->spam = spam;
		lesson->effect = effect;
		return add_lesson(t, lesson, &f, packed, why, room) ? 4 : 0;
	}
	if (known == 1 && spam == lesson->spam)
		return 2;
	if (known == 1) {                    /* it was the other class: take that back first */
		struct lesson back = *lesson;

		back.learn = false;
		back.spam = spam;
		back.effect = effect;
		if (!add_lesson(t, &back, &f, packed, why, room))
			return 0;
	}
	/* Which learners it will train is known before, and stands in the ledger for the day it is taken back. */
	learners_plan(t->table, NULL, &f, lesson->spam ? SPAM : HAM, &lesson->effect);
	return add_lesson(t, lesson, &f, packed, why, room) ? (known == 1 ? 3 : 1) : 0;
}

static void
answer_lesson(struct trainer *t, int sock, const struct packet *packet)
{
	struct unpack u = { packet->body, false };
	struct lesson lesson = { 0 };
	struct buf body = { 0 };
	struct arena_mark mark = arena_mark(t->arena);
	char why[256] = "";
	uint8_t result = 0;

	lesson.spam = unpack_u8(&u);
	lesson.learn = unpack_u8(&u);
	unpack_text(&u, lesson.source, sizeof lesson.source);
	unpack_text(&u, lesson.who, sizeof lesson.who);
	unpack_text(&u, lesson.customer, sizeof lesson.customer);
	struct span digest = unpack_span(&u), packed = unpack_span(&u);

	if (u.bad || digest.n != 32) {
		snprintf(why, sizeof why, "no lesson");
	} else {
		for (size_t i = 0; i < 32; i++)
			snprintf(lesson.digest + 2 * i, 3, "%02x", (unsigned char)digest.p[i]);
		result = lesson_step(t, &lesson, packed, why, sizeof why);
	}
	pack_u8(&body, result);
	pack_text(&body, why);
	struct packet reply = { .type = W_LEARNED, .id = packet->id, .body = buf_span(&body) };

	ipc_send_wait(sock, &reply, REPLY_MS);
	buf_free(&body);
	arena_rewind(t->arena, mark);
}

static void
answer_control(struct trainer *t, const struct packet *packet)
{
	struct buf body = { 0 };
	json_t *reply = json_pack("{s:I, s:i, s:i, s:i, s:i, s:b, s:b, s:f, s:f}", "lessons", (json_int_t)t->table->lessons, "spam",
	    (int)t->table->seen[SPAM], "ham", (int)t->table->seen[HAM], "spam_in_counters", (int)t->table->trained[SPAM],
	    "ham_in_counters", (int)t->table->trained[HAM], "caught_up", t->caught_up, "in_order", t->in_order, "platt_a", t->table->platt_a, "platt_b",
	    t->table->platt_b);
	char *json = json_dumps(reply, JSON_COMPACT);

	pack_text(&body, json ? json : "{}");
	struct packet out = { .type = W_REPLY, .id = packet->id, .body = buf_span(&body) };

	if (packet->fd_count > 0)
		ipc_send_wait(packet->fds[0], &out, REPLY_MS);
	free(json);
	json_decref(reply);
	buf_free(&body);
}

static void
tell_ready(struct trainer *t)
{
	struct buf body = { 0 };

	pack_u64(&body, t->self->config->generation);
	struct packet packet = { .type = W_READY, .body = buf_span(&body) };

	ipc_send(t->self->master, &packet);
	buf_free(&body);
}

/* False: end. */
static bool
from_master(struct trainer *t)
{
	struct packet packet;
	enum ipc_result result = ipc_recv(t->self->master, &t->master_inbox, &packet);

	if (result == IPC_AGAIN)
		return true;
	if (result == IPC_CLOSED || packet.type == W_STOP)
		return false;
	if (packet.type == W_CONTROL)
		answer_control(t, &packet);
	if (packet.type == W_CONFIG && packet.fd_count == 1) {
		const struct config *config = config_map(packet.fds[0]), *old = t->self->config;

		if (config) {
			t->self->config = config;
			config_unmap(old);
			tell_ready(t);
		}
	}
	packet_close_fds(&packet);
	return true;
}

static void
from_peer(struct trainer *t, size_t i)
{
	struct packet packet;
	enum ipc_result result = ipc_recv(t->peers[i], &t->inbox, &packet);

	if (result == IPC_AGAIN)
		return;
	if (result == IPC_CLOSED) {
		close(t->peers[i]);
		t->peers[i] = t->peers[--t->peer_count];
		return;
	}
	if (packet.type == W_LESSON)
		answer_lesson(t, t->peers[i], &packet);
	packet_close_fds(&packet);
}

static bool
open_all(struct trainer *t)
{
	const char *state = t->self->config->state;
	char path[PATH_ROOM + 32], why[512] = "";

	snprintf(path, sizeof path, "%s/model/global.tbl", state);
	t->table = table_open(path, why, sizeof why);
	snprintf(path, sizeof path, "%s/model/applied", state);
	t->applied_fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
	t->redis = redis_open(t->self->config, REDIS_MS);
	t->arena = arena_open(256 << 20);
	if (t->table == NULL || t->applied_fd < 0 || t->redis == NULL) {
		log_error("%s", t->table == NULL ? why : t->applied_fd < 0 ? path : "redis.url cannot be read");
		return false;
	}
	load_applied(t);
	fcntl(t->self->listen_fd, F_SETFL, O_NONBLOCK);
	return true;
}

int
trainer_main(struct child *self)
{
	struct trainer t = { .self = self };

	if (!open_all(&t))
		return 1;
	tell_ready(&t);
	for (;;) {
		struct pollfd fds[MAX_PEERS + 2] = { { self->master, POLLIN, 0 }, { self->listen_fd, POLLIN, 0 } };
		size_t peers = t.peer_count;

		for (size_t i = 0; i < peers; i++)
			fds[i + 2] = (struct pollfd){ t.peers[i], POLLIN, 0 };
		if (poll(fds, 2 + peers, t.caught_up && t.in_order ? -1 : CATCH_UP_MS) < 0 && errno != EINTR)
			return 1;
		if (fds[0].revents && !from_master(&t))
			break;
		for (size_t i = peers; i > 0; i--)
			if (fds[i + 1].revents)
				from_peer(&t, i - 1);
		if (fds[1].revents && t.peer_count < MAX_PEERS) {
			int sock = accept4(self->listen_fd, NULL, NULL, SOCK_CLOEXEC);

			if (sock >= 0)
				t.peers[t.peer_count++] = sock;
		}
		catch_up(&t);
		put_in_order(&t);
	}
	redis_close(t.redis);
	table_close(t.table);
	table_private_free(t.spare);
	return 0;
}
