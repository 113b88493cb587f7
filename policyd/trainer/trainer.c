/* trainer.c - lessons come from the broker in any number; as many as are waiting make one batch: planned against the table,
 * written to the ledger in one round trip, applied as the ledger says (follow.h), then answered. So an acknowledged lesson
 * is in Redis, and in force. */
#include "policyd/trainer/trainer.h"

#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "policyd/base/clock.h"
#include "policyd/base/log.h"
#include "policyd/base/metrics.h"
#include "policyd/model/guard.h"
#include "policyd/trainer/rebuild.h"

enum { REDIS_MS = 2000, REPLY_MS = 2000, BATCH = OWN_BATCH };

struct waiting {                             /* one lesson of a batch */
	int sock;
	uint32_t id;
	struct lesson lesson;
	struct features features;
	struct span packed;
	bool readable, appended;
	enum lesson_result result;
	char why[160];
};

/* How much a teacher's word counts for everybody's model, by where it comes from. Below 1 it takes others to agree. */
static double
weight_of(const struct lesson *lesson)
{
	static const struct {
		const char *source;
		double weight;
	} weights[] = { { "cli", 1 }, { "trap", 1 }, { "admin", 0.5 }, { "user", 0.34 }, { "auto", 0.34 } };
	double weight = 0.34;

	for (size_t i = 0; i < sizeof weights / sizeof *weights; i++)
		weight = strcmp(lesson->source, weights[i].source) == 0 ? weights[i].weight : weight;
	return lesson->customer[0] && weight > 0.5 ? 0.5 : weight;     /* what is taught for one customer is that customer's word */
}

int
trainer_disagreement(const struct trainer *t)
{
	size_t n = t->taught < DISAGREEMENT_OF ? t->taught : DISAGREEMENT_OF, sum = 0;

	for (size_t i = 0; i < n; i++)
		sum += t->disagreed[i];
	return n >= DISAGREEMENT_OF / 4 ? (int)(100 * sum / n) : 0;
}

/* Many lessons that contradict what is all but certain: a new campaign, or somebody poisons the model. People should look. */
static void
watch(struct trainer *t, const struct lesson *lesson)
{
	double z = (double)lesson->effect.z;

	t->disagreed[t->taught++ % DISAGREEMENT_OF] = fabs(z) > DISAGREEMENT_Z && (z > 0) != lesson->spam;
	int share = trainer_disagreement(t);

	metrics_set(M_MODEL_DISAGREEMENT_NOW, share);
	if (share >= DISAGREEMENT_ALARM && !t->alarmed)
		log_warning("model: %d %% of the last %d lessons contradict what it was certain of (the latest by %s, customer \"%s\"): "
		    "policyctl model history; policyctl model rollback takes back what should not have been learnt", share, DISAGREEMENT_OF,
		    lesson->who, lesson->customer);
	t->alarmed = share >= DISAGREEMENT_ALARM / 2 && (t->alarmed || share >= DISAGREEMENT_ALARM);
}

static bool
print_digest(struct span digest, char hex[65])
{
	for (size_t i = 0; digest.n == 32 && i < 32; i++)
		snprintf(hex + 2 * i, 3, "%02x", (unsigned char)digest.p[i]);
	return digest.n == 32;
}

static void
read_lesson(struct trainer *t, struct waiting *w, int sock, const struct packet *packet)
{
	struct unpack u = { packet->body, false };

	memset(w, 0, sizeof *w);
	w->sock = sock;
	w->id = packet->id;
	w->lesson.spam = unpack_u8(&u);
	w->lesson.op = unpack_u8(&u) ? LEDGER_LEARN : LEDGER_UNLEARN;
	unpack_text(&u, w->lesson.source, sizeof w->lesson.source);
	unpack_text(&u, w->lesson.who, sizeof w->lesson.who);
	unpack_text(&u, w->lesson.customer, sizeof w->lesson.customer);
	w->lesson.mailbox = unpack_u64(&u);
	struct span digest = unpack_span(&u), alike = unpack_span(&u), packed = unpack_span(&u);

	w->packed = arena_copy(t->arena, packed);
	w->readable = !u.bad && print_digest(digest, w->lesson.digest) && print_digest(alike, w->lesson.alike) &&
	    features_unpack(w->packed, t->arena, &w->features);
	if (!w->readable)
		snprintf(w->why, sizeof w->why, "the features cannot be read");
	w->lesson.weight = weight_of(&w->lesson);
}

/* Plans all, sends all, takes all answers, applies what the ledger got. */
static void
teach_pool(struct trainer *t, struct waiting *w, size_t count)
{
	bool up = follow_step(&t->follower);

	for (size_t i = 0; i < count && up; i++) {
		struct lesson *l = &w[i].lesson;

		if (!w[i].readable)
			continue;
		learners_plan(t->table, NULL, &w[i].features, l->spam ? SPAM : HAM, &l->effect);
		if (t->table->seen[HAM] + t->table->seen[SPAM] < REBUILD_BELOW)
			l->effect.trained = (1u << LEARNERS) - 1;      /* a rebuild will tell, and needs its features */
		if (l->op == LEDGER_LEARN && l->weight < 1 && guard_holds((double)l->effect.z, l->spam ? SPAM : HAM, lesson_seed(l->digest)))
			l->weight /= 2;      /* it takes twice as many */
		w[i].appended = ledger_append(t->redis, l, w[i].packed);
	}
	for (size_t i = 0; i < count; i++) {
		redisReply *reply = w[i].appended ? redis_next(t->redis) : NULL;

		w[i].result = ledger_result(reply);
		if (w[i].result == LESSON_FAILED && w[i].readable)
			snprintf(w[i].why, sizeof w[i].why, "Redis did not take the lesson: %s", reply && reply->str ? reply->str : redis_why(t->redis));
		if (w[i].result == LESSON_LEARNT || w[i].result == LESSON_FLIPPED)
			watch(t, &w[i].lesson);
		if (reply)
			freeReplyObject(reply);
	}
	if (!follow_step(&t->follower))
		t->follower.caught_up = false;
}

/* The table that a lesson is for beside everybody's: what a mailbox' owner says stays in its own table where it has one. */
static void
owner_of(const struct lesson *lesson, char name[OWN_NAME])
{
	bool his = strcmp(lesson->source, "user") == 0;

	own_name(lesson->customer, his ? lesson->mailbox : 0, name);
}

static void
teach_owners(struct trainer *t, struct waiting *w, size_t count)
{
	bool done[BATCH] = { false };

	for (size_t i = 0; i < count; i++) {
		struct own_lesson lessons[BATCH];
		size_t at[BATCH], n = 0;
		char name[OWN_NAME], other[OWN_NAME];

		owner_of(&w[i].lesson, name);
		for (size_t k = i; k < count; k++) {
			if (done[k] || !w[k].readable || w[k].lesson.customer[0] == '\0')
				continue;
			owner_of(&w[k].lesson, other);
			if (strcmp(name, other) != 0)
				continue;
			bool twice = false;

			for (size_t m = 0; m < n; m++)
				twice |= strcmp(w[at[m]].lesson.digest, w[k].lesson.digest) == 0;
			if (twice)
				break;       /* what is known of it must be read again first: the next round */
			lessons[n] = (struct own_lesson){ &w[k].lesson, &w[k].features, LESSON_FAILED };
			at[n++] = k;
			done[k] = true;
		}
		if (n == 0)
			continue;
		own_teach(&t->own, w[i].lesson.customer, name, lessons, n);
		for (size_t m = 0; m < n; m++) {
			w[at[m]].result = lessons[m].result;
			if (lessons[m].result == LESSON_FAILED)
				snprintf(w[at[m]].why, sizeof w[at[m]].why, "Redis did not take the lesson: %s", redis_why(t->own_redis));
		}
		i -= !done[i];
	}
}

static void
answer(const struct waiting *w)
{
	/* In the order of wire.h. */
	static const uint8_t codes[] = { [LESSON_FAILED] = 0, [LESSON_LEARNT] = 1, [LESSON_KNOWN] = 2, [LESSON_FLIPPED] = 3, [LESSON_UNLEARNT] = 4,
	    [LESSON_HELD] = 5, [LESSON_LIMITED] = 6, [LESSON_UNKNOWN] = 6 };
	struct buf body = { 0 };

	pack_u8(&body, codes[w->result]);
	pack_text(&body, w->result == LESSON_LIMITED ? "too many lessons of this teacher today" : w->result == LESSON_UNKNOWN ? "it was never learnt" : w->why);
	struct packet reply = { .type = W_LEARNED, .id = w->id, .body = buf_span(&body) };

	metrics_add(M_LESSONS_HELD, w->result == LESSON_HELD);
	ipc_send_wait(w->sock, &reply, REPLY_MS);
	buf_free(&body);
}

static void
teach(struct trainer *t, struct waiting *w, size_t count)
{
	teach_pool(t, w, count);
	teach_owners(t, w, count);
	for (size_t i = 0; i < count; i++)
		answer(&w[i]);
}

/* Whose tables are wanted before his mail is scored. */
static void
answer_want(struct trainer *t, int sock, const struct packet *packet)
{
	struct unpack u = { packet->body, false };
	struct buf body = { 0 };
	uint32_t n = unpack_u32(&u);
	uint8_t all = 1;
	char customer[OWN_NAME], name[OWN_NAME];

	for (uint32_t i = 0; i < n && !u.bad; i++) {
		unpack_text(&u, customer, sizeof customer);
		own_name(customer, unpack_u64(&u), name);
		all &= customer[0] == '\0' || own_want(&t->own, name);
	}
	pack_u8(&body, all);
	struct packet reply = { .type = W_HAVE, .id = packet->id, .body = buf_span(&body) };

	ipc_send_wait(sock, &reply, REPLY_MS);
	buf_free(&body);
}

/* ---- the loop ---- */

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
		trainer_manage(t, &packet);
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

/* Takes what waits at one peer; false when nothing more does. */
static bool
from_peer(struct trainer *t, size_t i, struct waiting *w, size_t *count)
{
	struct packet packet;
	enum ipc_result result = ipc_recv(t->peers[i], &t->inbox, &packet);

	if (result == IPC_AGAIN)
		return false;
	if (result == IPC_CLOSED) {
		close(t->peers[i]);
		t->peers[i] = t->peers[--t->peer_count];
		return false;
	}
	if (packet.type == W_LESSON)
		read_lesson(t, &w[(*count)++], t->peers[i], &packet);
	if (packet.type == W_WANT)
		answer_want(t, t->peers[i], &packet);
	packet_close_fds(&packet);
	return true;
}

static void
from_peers(struct trainer *t, struct waiting *w)
{
	struct arena_mark mark = arena_mark(t->arena);
	size_t count = 0;

	for (size_t i = t->peer_count; i > 0; i--)
		while (count < BATCH && i <= t->peer_count && from_peer(t, i - 1, w, &count))
			;
	if (count > 0)
		teach(t, w, count);
	arena_rewind(t->arena, mark);
}

static bool
open_all(struct trainer *t)
{
	const char *state = t->self->config->state;
	char path[PATH_ROOM + 32], why[512] = "";

	snprintf(path, sizeof path, "%s/model/global.tbl", state);
	t->table = table_open(path, why, sizeof why);
	snprintf(path, sizeof path, "%s/model/customers.tbl", state);
	t->own.cache = t->table ? own_cache_open(path, why, sizeof why) : NULL;
	t->redis = redis_open(t->self->config, REDIS_MS);
	t->own_redis = redis_open(t->self->config, REDIS_MS);
	t->arena = arena_open(256 << 20);
	if (t->own.cache == NULL || t->redis == NULL || t->own_redis == NULL) {
		log_error("%s", t->own.cache == NULL ? why : "redis.url cannot be read");
		return false;
	}
	t->own.redis = t->own_redis;
	t->own.pool = t->redis;
	t->own.table = t->table;
	follow_open(&t->follower, t->table, t->redis);
	fcntl(t->self->listen_fd, F_SETFL, O_NONBLOCK);
	return true;
}

/* A new pool knows what the starter model knows (make model; made with portable features of an open corpus). */
static void
start_with_starter(struct trainer *t)
{
	int fd = t->table->place[0] || t->table->seen[HAM] ? -1 : open(POLICYD_SHARE "/starter.tbl", O_RDONLY | O_CLOEXEC);
	struct span bytes = fd < 0 ? (struct span){ NULL, 0 } : map_fd(fd);
	const struct table *starter = bytes.n == sizeof(struct table) ? (const void *)bytes.p : NULL;

	if (fd >= 0)
		close(fd);
	if (starter && table_is_sound(starter) && follow_is_new(&t->follower) && follow_import(&t->follower, starter, "starter"))
		log_info("model: begins with the starter model");
	unmap(bytes);
}

static void
follow(struct trainer *t)
{
	if (clock_ms() < t->follow_at_ms)
		return;
	if (follow_step(&t->follower)) {
		own_follow(&t->own);
		follow_care(&t->follower);
	}
	t->follow_at_ms = clock_ms() + FOLLOW_MS;
}

int
trainer_main(struct child *self)
{
	struct trainer *t = calloc(1, sizeof *t);
	struct waiting *w = calloc(BATCH, sizeof *w);

	if (t == NULL || w == NULL)
		return 1;
	t->self = self;
	if (!open_all(t))
		return 1;
	start_with_starter(t);
	follow(t);
	tell_ready(t);
	for (;;) {
		struct pollfd fds[TRAINER_PEERS + 2] = { { self->master, POLLIN, 0 }, { self->listen_fd, POLLIN, 0 } };
		size_t peers = t->peer_count;
		bool asked = false;

		for (size_t i = 0; i < peers; i++)
			fds[i + 2] = (struct pollfd){ t->peers[i], POLLIN, 0 };
		if (poll(fds, 2 + peers, FOLLOW_MS) < 0 && errno != EINTR)
			return 1;
		if (fds[0].revents && !from_master(t))
			break;
		for (size_t i = 0; i < peers; i++)
			asked |= fds[i + 2].revents != 0;
		if (asked)
			from_peers(t, w);
		if (fds[1].revents && t->peer_count < TRAINER_PEERS) {
			int sock = accept4(self->listen_fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);

			if (sock >= 0)
				t->peers[t->peer_count++] = sock;
		}
		follow(t);
	}
	redis_close(t->redis);
	redis_close(t->own_redis);
	table_close(t->table);
	own_cache_close(t->own.cache);
	table_private_free(t->follower.spare);
	free(t);
	free(w);
	return 0;
}
