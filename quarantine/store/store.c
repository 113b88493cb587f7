/* store.c - the sole writer of the quarantine. Requests that arrived together are written together and made durable by
 * one sync; only then is each of them answered. */
#include "quarantine/store/requests.h"

#include <event2/event.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <unistd.h>

#include "policyd/base/clock.h"
#include "policyd/base/log.h"
#include "policyd/base/metrics.h"

enum { TICK_MS = 1000, SEND_MS = 5000, ARENA_BYTES = 256 << 20 };

struct peer {                                /* a connection of the broker, or of who asks (requests.h) */
	struct store *store;
	int sock;
	struct event *readable;
	int open;                            /* W_STORE not answered yet */
	bool gone;
	struct asker *asker;
};

struct pending {                             /* one W_STORE */
	struct pending *next;
	struct peer *peer;
	uint32_t packet_id;
	struct stored stored;
	bool failed;
	char why[160];
};

static void
peer_free(struct peer *p)
{
	event_free(p->readable);
	close(p->sock);
	free(p);
}

static void
take_store(struct peer *peer, struct packet *packet)
{
	struct store *s = peer->store;
	struct pending *p = calloc(1, sizeof *p);
	struct arena_mark mark = arena_mark(s->arena);
	struct store_request request;
	struct unpack u = { packet->body, false };
	struct buf mail = { 0 };

	if (p == NULL)
		return;                      /* the broker asks again, or defers */
	p->peer = peer;
	p->packet_id = packet->id;
	peer->open++;
	if (s->first == NULL)
		index_begin(s->index);
	*s->last = p;
	s->last = &p->next;
	if (packet->fd_count != 1 || !wire_unpack_store(&u, s->arena, &request)) {
		p->failed = true;
		snprintf(p->why, sizeof p->why, "the request cannot be read");
	} else if (!read_fd(packet->fds[0], &mail)) {
		p->failed = true;
		snprintf(p->why, sizeof p->why, "the mail cannot be read: %s", strerror(errno));
	} else {
		p->failed = !store_mail(s, &request, buf_span(&mail), &p->stored, p->why, sizeof p->why);
	}
	buf_free(&mail);
	arena_rewind(s->arena, mark);
	event_active(s->commit, EV_TIMEOUT, 0);
}

static void
answer(struct pending *p)
{
	struct buf body = { 0 };
	struct packet packet = { .type = p->failed ? W_STORE_FAILED : W_STORED, .id = p->packet_id };

	if (p->failed) {
		pack_text(&body, p->why);
	} else {
		pack_u8(&body, p->stored.again);
		pack_u32(&body, p->stored.count);
		for (uint32_t i = 0; i < p->stored.count; i++)
			pack_text(&body, p->stored.ids[i]);
	}
	packet.body = buf_span(&body);
	metrics_add(p->failed ? M_STORE_FAILED : M_STORED, !p->stored.again);
	if (!p->peer->gone)
		ipc_send_wait(p->peer->sock, &packet, SEND_MS);
	if (--p->peer->open == 0 && p->peer->gone)
		peer_free(p->peer);
	buf_free(&body);
	free(p->stored.ids);
	free(p);
}

/* All that was written since the last time becomes durable; then it is true to say so. */
static void
commit_round(struct store *s)
{
	struct pending *p = s->first;
	char why[160];
	bool good;

	if (p == NULL)
		return;
	s->first = NULL;
	s->last = &s->first;
	good = segments_sync(s->segments, why, sizeof why);
	if (good) {
		store_settle(s);
	} else {                             /* nothing of this round counts, in the files nor in the index */
		log_error("quarantine: %s; what was to be stored is deferred", why);
		index_rollback(s->index);
		store_recover(s, false);
	}
	while (p) {
		struct pending *next = p->next;

		if (!good && !p->failed) {
			p->failed = true;
			snprintf(p->why, sizeof p->why, "%s", why);
		}
		for (uint32_t i = 0; !p->failed && !p->stored.again && i < p->stored.count; i++)
			if (i == 0 || strcmp(p->stored.ids[i], p->stored.ids[i - 1]) != 0)
				nodes_put(s, p->stored.ids[i], -1);
		answer(p);
		p = next;
	}
	store_evict(s);
}

static void
on_commit(evutil_socket_t fd, short what, void *arg)
{
	(void)fd;
	(void)what;
	commit_round(arg);
}

static void
on_peer(evutil_socket_t fd, short what, void *arg)
{
	struct peer *p = arg;
	struct packet packet;

	(void)what;
	for (int i = 0; i < 32; i++) {
		enum ipc_result result = ipc_recv(fd, &p->store->inbox, &packet);

		if (result == IPC_AGAIN)
			return;
		if (result == IPC_CLOSED) {
			p->gone = true;
			event_del(p->readable);
			asker_free(p->asker);
			if (p->open == 0)
				peer_free(p);
			return;
		}
		if (packet.type == W_STORE) {
			take_store(p, &packet);
		} else if (packet.type == W_REQUEST) {
			struct unpack u = { packet.body, false };

			asker_serve(p->asker, packet.id, unpack_span(&u));
		}
		packet_close_fds(&packet);
	}
}

static void
on_accept(evutil_socket_t fd, short what, void *arg)
{
	struct store *s = arg;
	int sock = accept4(fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
	struct peer *p = sock >= 0 ? calloc(1, sizeof *p) : NULL;

	(void)what;
	if (p == NULL || (p->asker = asker_new(s, sock)) == NULL ||
	    (p->readable = event_new(s->base, sock, EV_READ | EV_PERSIST, on_peer, p)) == NULL) {
		if (p)
			free(p->asker);
		free(p);
		if (sock >= 0)
			close(sock);
		return;
	}
	p->store = s;
	p->sock = sock;
	event_add(p->readable, NULL);
}

bool
store_changes(struct store *s, struct state_change *changes, size_t count)
{
	struct seg_place *places = calloc(count + 1, sizeof *places);
	struct buf meta = { 0 };
	char why[160] = "no memory";
	bool good = places != NULL;

	commit_round(s);                     /* what waits for a sync has one of its own: this one's failure is not theirs */
	for (size_t i = 0; i < count && good; i++) {
		struct index_change *to = &changes[i].to;

		buf_clear(&meta);
		pack_text(&meta, changes[i].id);
		pack_u32(&meta, changes[i].rcpt->n);
		pack_u8(&meta, (uint8_t)to->state);
		pack_text(&meta, to->note);
		pack_u8(&meta, (uint8_t)to->before);
		pack_u8(&meta, (uint8_t)to->vote);
		pack_u64(&meta, (uint64_t)to->changed_s);
		pack_text(&meta, to->actor);
		const struct key *key = keys_for(segments_keys(s->segments), span_of(changes[i].rcpt->customer), why, sizeof why);
		struct record record = { .type = SEG_STATE, .seq = ++s->seq, .time_ms = wall_ms(), .meta = buf_span(&meta) };

		to->seq = record.seq;
		good = key && !meta.failed && segments_append(s->segments, &record, SPAN(""), changes[i].rcpt->retention_days, key, &places[i],
		    why, sizeof why);
	}
	good = good && segments_sync(s->segments, why, sizeof why);
	buf_free(&meta);
	if (!good)
		log_error("quarantine: %s", why);
	index_begin(s->index);
	for (size_t i = 0; i < count && good; i++) {
		index_change(s->index, changes[i].id, changes[i].rcpt->n, &changes[i].to);
		index_segment(s->index, places[i].name, places[i].offset + places[i].length, 0);
	}
	store_settle(s);
	for (size_t i = 0; i < count && good; i++)
		nodes_put(s, changes[i].id, changes[i].rcpt->n);
	free(places);
	return good;
}

static void
on_tick(evutil_socket_t fd, short what, void *arg)
{
	struct store *s = arg;

	(void)fd;
	(void)what;
	release_tick(s);
	lesson_tick(s);
	nodes_tick(s);
	if (s->audit)
		audit_follow(s->audit);
	if (index_damaged(s->index)) {
		log_error("quarantine: the index is damaged; it is removed, and made anew from the segments by a new start");
		commit_round(s);
		index_discard(s->index);
		s->failed = true;
		event_base_loopbreak(s->base);
		return;
	}
	if (s->first == NULL)
		store_catch_up(s);
	if (s->first == NULL)
		store_expire(s);
}

/* ---- the process ---- */

static void
tell_ready(struct store *s)
{
	struct buf body = { 0 };

	pack_u64(&body, s->self->config->generation);
	struct packet packet = { .type = W_READY, .body = buf_span(&body) };

	ipc_send(s->self->master, &packet);
	buf_free(&body);
}

static void
on_master(evutil_socket_t fd, short what, void *arg)
{
	struct store *s = arg;
	struct packet packet;
	enum ipc_result result = ipc_recv(fd, &s->inbox, &packet);

	(void)what;
	if (result == IPC_AGAIN)
		return;
	if (result == IPC_CLOSED || packet.type == W_STOP) {
		commit_round(s);
		event_base_loopbreak(s->base);
		return;
	}
	if (packet.type == W_CONFIG && packet.fd_count == 1) {
		const struct config *config = config_map(packet.fds[0]), *old = s->self->config;

		if (config) {
			char why[256];

			s->self->config = config;
			if (!keys_reload(segments_keys(s->segments), why, sizeof why))
				log_error("quarantine: %s", why);
			config_unmap(old);
			tell_ready(s);
		}
	} else if (packet.type == W_CONTROL) {
		struct unpack u = { packet.body, false };

		store_request_connection(s, packet.id, unpack_span(&u), packet.fds, packet.fd_count);
		packet.fd_count = 0;
	}
	packet_close_fds(&packet);
}

static bool
open_all(struct store *s, char *why, size_t room)
{
	char path[PATH_ROOM + 64];
	int lock;

	snprintf(path, sizeof path, "%s/quarantine/lock", s->self->config->state);
	lock = open(path, O_CREAT | O_RDWR | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (lock < 0 || flock(lock, LOCK_EX | LOCK_NB) < 0) {
		snprintf(why, room, "%s: another store writes there", path);
		return false;
	}
	snprintf(path, sizeof path, "%s/quarantine", s->self->config->state);
	s->segments = segments_open(path, why, room);
	snprintf(path, sizeof path, "%s/quarantine/index.sqlite", s->self->config->state);
	s->index = s->segments ? index_open(path, why, room) : NULL;
	if (s->index == NULL)
		return false;
	snprintf(path, sizeof path, "%s/deliver.sock", s->self->config->run);
	s->arena = arena_open(ARENA_BYTES);
	s->base = event_base_new();
	s->deliver = s->base ? link_open(s->base, path) : NULL;
	snprintf(path, sizeof path, "%s/control.sock", s->self->config->run);
	s->broker = s->deliver ? link_open_lazy(s->base, path) : NULL;
	if (s->broker)
		nodes_open(s);
	snprintf(why, room, "no memory");
	return s->broker != NULL;
}

int
store_main(struct child *self)
{
	struct store s = { .self = self, .last = &s.first, .last_release = &s.releases };
	struct timeval tick = { TICK_MS / 1000, 0 };
	char why[512];

	if (!open_all(&s, why, sizeof why)) {
		log_error("quarantine: %s", why);
		return 1;
	}
	char path[PATH_ROOM + 64];

	snprintf(path, sizeof path, "%s/review/audit.log", self->config->state);
	s.audit = audit_open(path, why, sizeof why);
	if (s.audit == NULL)                 /* mail is kept all the same */
		log_error("quarantine: %s", why);
	store_recover(&s, false);
	fcntl(self->listen_fd, F_SETFL, O_NONBLOCK);
	fcntl(self->master, F_SETFL, O_NONBLOCK);
	struct event *listening = event_new(s.base, self->listen_fd, EV_READ | EV_PERSIST, on_accept, &s);
	struct event *master = event_new(s.base, self->master, EV_READ | EV_PERSIST, on_master, &s);

	s.commit = event_new(s.base, -1, 0, on_commit, &s);
	s.tick = event_new(s.base, -1, EV_PERSIST, on_tick, &s);
	if (!listening || !master || !s.commit || !s.tick || event_add(listening, NULL) < 0 || event_add(master, NULL) < 0 ||
	    event_add(s.tick, &tick) < 0)
		return 1;
	release_resume(&s);
	tell_ready(&s);
	event_base_dispatch(s.base);
	segments_sync(s.segments, why, sizeof why);
	index_close(s.index);
	segments_close(s.segments);
	return s.failed ? 1 : 0;
}
