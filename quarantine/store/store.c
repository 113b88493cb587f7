/* store.c - the sole writer of the quarantine. Requests that arrived together are written together and made durable by
 * one sync; only then is each of them answered. */
#include "quarantine/store/store.h"

#include <event2/event.h>
#include <fcntl.h>
#include <openssl/rand.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "policyd/base/clock.h"
#include "policyd/base/log.h"
#include "policyd/base/metrics.h"

enum { RETRY_WINDOW_S = 600, TICK_MS = 1000, EXPIRE_EVERY_S = 3600, SEND_MS = 5000, ARENA_BYTES = 256 << 20, DAY_S = 86400 };

struct peer {                                /* a connection of the broker */
	struct store *store;
	int sock;
	struct event *readable;
	int open;                            /* requests not answered yet */
	bool gone;
};

struct pending {                             /* one W_STORE */
	struct pending *next;
	struct peer *peer;
	uint32_t packet_id;
	char id[ID_ROOM];
	bool again, failed;
	char why[160];
};

/* "q" and 14 letters: time, then chance. Nothing of the mail is in it. */
static void
make_id(char id[ID_ROOM])
{
	static const char letters[] = "abcdefghijklmnopqrstuvwxyz234567";
	uint64_t chance = 0, t = (uint64_t)wall_s();

	RAND_bytes((unsigned char *)&chance, sizeof chance);
	id[0] = 'q';
	for (int i = 7; i >= 1; i--, t >>= 5)
		id[i] = letters[t & 31];
	for (int i = 8; i <= 15; i++, chance >>= 5)
		id[i] = letters[chance & 31];
	id[16] = '\0';
}

static void
peer_free(struct peer *p)
{
	event_free(p->readable);
	close(p->sock);
	free(p);
}

static unsigned
longest_retention(const struct store_request *r)
{
	unsigned days = 1;

	for (uint32_t i = 0; i < r->recipient_count; i++)
		days = r->recipients[i].retention_days > days ? r->recipients[i].retention_days : days;
	return days;
}

/* A retry of the same transaction finds its entry and only counts; recipients it did not have get an entry of their own. */
static bool
drop_retried(struct store *s, struct store_request *r, char id[ID_ROOM])
{
	uint32_t kept = 0;
	char found[ID_ROOM] = "";

	for (uint32_t i = 0; i < r->recipient_count; i++) {
		if (index_find_retry(s->index, r, r->recipients[i].raw, r->time_s - RETRY_WINDOW_S, found))
			memcpy(id, found, ID_ROOM);
		else
			r->recipients[kept++] = r->recipients[i];
	}
	r->recipient_count = kept;
	return kept == 0;
}

static void
store_mail(struct store *s, struct pending *p, struct store_request *r, struct span mail)
{
	struct buf meta = { 0 };
	struct seg_place place;

	if (segments_full(s->segments)) {
		p->failed = true;
		snprintf(p->why, sizeof p->why, "the quarantine's disk is nearly full; make room at %.80s", s->self->config->state);
		return;
	}
	if (drop_retried(s, r, p->id)) {
		p->again = true;
		index_count(s->index, p->id);
		metrics_add(M_STORED_AGAIN, 1);
		return;
	}
	make_id(p->id);
	pack_text(&meta, p->id);
	wire_pack_store(&meta, r);
	p->failed = meta.failed || !segments_append(s->segments, SEG_MAIL, ++s->seq, wall_ms(), longest_retention(r), buf_span(&meta),
	    mail, &place, p->why, sizeof p->why);
	if (!p->failed) {
		index_add(s->index, p->id, s->seq, r, &place);
		index_segment(s->index, place.name, place.offset + place.length, 0);
	}
	buf_free(&meta);
}

static void
take_store(struct peer *peer, struct packet *packet)
{
	struct store *s = peer->store;
	struct pending *p = calloc(1, sizeof *p);
	struct arena_mark mark = arena_mark(s->arena);
	struct store_request request;
	struct unpack u = { packet->body, false };
	struct span mail = packet->fd_count == 1 ? map_fd(packet->fds[0]) : (struct span){ NULL, 0 };

	if (p == NULL) {
		unmap(mail);
		return;                      /* the broker asks again, or defers */
	}
	p->peer = peer;
	p->packet_id = packet->id;
	peer->open++;
	if (s->first == NULL)
		index_begin(s->index);
	*s->last = p;
	s->last = &p->next;
	if (mail.p == NULL || !wire_unpack_store(&u, s->arena, &request)) {
		p->failed = true;
		snprintf(p->why, sizeof p->why, "the request cannot be read");
	} else {
		store_mail(s, p, &request, mail);
	}
	unmap(mail);
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
		pack_text(&body, p->id);
		pack_u8(&body, p->again);
	}
	packet.body = buf_span(&body);
	metrics_add(p->failed ? M_STORE_FAILED : M_STORED, !p->again);
	if (!p->peer->gone)
		ipc_send_wait(p->peer->sock, &packet, SEND_MS);
	if (--p->peer->open == 0 && p->peer->gone)
		peer_free(p->peer);
	buf_free(&body);
	free(p);
}

/* All that was written since the last time becomes durable; then it is true to say so. */
static void
on_commit(evutil_socket_t fd, short what, void *arg)
{
	struct store *s = arg;
	struct pending *p = s->first;
	char why[160];
	bool good;

	(void)fd;
	(void)what;
	if (p == NULL)
		return;
	s->first = NULL;
	s->last = &s->first;
	good = segments_sync(s->segments, why, sizeof why);
	index_commit(s->index);
	if (!good)
		log_error("quarantine: %s; what was to be stored is deferred", why);
	while (p) {
		struct pending *next = p->next;

		if (!good && !p->failed) {
			p->failed = true;
			snprintf(p->why, sizeof p->why, "%s", why);
		}
		answer(p);
		p = next;
	}
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
			if (p->open == 0)
				peer_free(p);
			return;
		}
		if (packet.type == W_STORE)
			take_store(p, &packet);
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
	if (p == NULL || (p->readable = event_new(s->base, sock, EV_READ | EV_PERSIST, on_peer, p)) == NULL) {
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
store_state(struct store *s, const char *id, const struct index_rcpt *rcpt, enum entry_state state, const char *note)
{
	struct buf meta = { 0 };
	struct seg_place place;
	char why[160];
	bool good;

	pack_text(&meta, id);
	pack_u32(&meta, rcpt->n);
	pack_u8(&meta, (uint8_t)state);
	pack_text(&meta, note);
	good = !meta.failed && segments_append(s->segments, SEG_STATE, ++s->seq, wall_ms(), rcpt->retention_days, buf_span(&meta),
	    SPAN(""), &place, why, sizeof why) && segments_sync(s->segments, why, sizeof why);
	buf_free(&meta);
	if (!good) {
		log_error("quarantine: %s", why);
		return false;
	}
	index_state(s->index, id, rcpt->n, state, note);
	index_segment(s->index, place.name, place.offset + place.length, 0);
	return true;
}

/* ---- recovery: the index is what the segments say ---- */

static void
index_record(struct store *s, const struct seg_record *record, const struct seg_place *place)
{
	struct arena_mark mark = arena_mark(s->arena);
	struct unpack u = { record->meta, false };
	struct store_request request;
	char id[ID_ROOM], note[256];

	unpack_text(&u, id, sizeof id);
	if (record->seq > s->seq)
		s->seq = record->seq;
	if (record->type == SEG_MAIL && wire_unpack_store(&u, s->arena, &request)) {
		index_add(s->index, id, record->seq, &request, place);
	} else if (record->type == SEG_STATE) {
		uint32_t n = unpack_u32(&u);
		uint8_t state = unpack_u8(&u);

		unpack_text(&u, note, sizeof note);
		if (!u.bad && state < STATE__COUNT)
			index_state(s->index, id, n, state, note);
	}
	arena_rewind(s->arena, mark);
}

static void
recover_segment(void *arg, const char *name, uint64_t size)
{
	struct store *s = arg;
	uint64_t at = index_segment_done(s->index, name), next, damaged = 0;
	struct seg_record record;
	struct buf bytes = { 0 };
	int result;

	if (at == size)
		return;
	while ((result = segments_next(s->segments, name, at, &bytes, &record, &next)) != 0) {
		if (result > 0) {
			struct seg_place place = { .offset = at, .length = next - at };

			snprintf(place.name, sizeof place.name, "%s", name);
			index_record(s, &record, &place);
		} else {
			damaged++;
		}
		at = next;
	}
	if (damaged)
		log_error("quarantine: %s: %llu damaged records", name, (unsigned long long)damaged);
	index_segment(s->index, name, at, damaged);
	buf_free(&bytes);
}

void
store_recover(struct store *s, bool anew)
{
	index_begin(s->index);
	if (anew)
		index_clear(s->index);
	segments_list(s->segments, recover_segment, s);
	index_commit(s->index);
	uint64_t last = index_last_seq(s->index);

	if (last > s->seq)
		s->seq = last;
}

/* ---- expiry: entries by their own time, files when all in them have passed theirs ---- */

static void
drop_expired(void *arg, const char *name, uint64_t size)
{
	struct store *s = arg;
	struct tm tm = { 0 };
	unsigned year, month, day, retention;

	(void)size;
	if (sscanf(name, "%4u%2u%2u-%4u-", &year, &month, &day, &retention) != 4)
		return;
	tm.tm_year = (int)year - 1900;
	tm.tm_mon = (int)month - 1;
	tm.tm_mday = (int)day;
	if ((int64_t)timegm(&tm) + (int64_t)(retention + 1) * DAY_S > wall_s())
		return;
	if (segments_drop(s->segments, name)) {
		index_forget_segment(s->index, name);
		log_info("quarantine: dropped %s: all in it has expired", name);
	}
}

static void
on_tick(evutil_socket_t fd, short what, void *arg)
{
	static int64_t expired_s;
	struct store *s = arg;

	(void)fd;
	(void)what;
	release_tick(s);
	if (wall_s() - expired_s > EXPIRE_EVERY_S && s->first == NULL) {
		expired_s = wall_s();
		index_begin(s->index);
		index_expire(s->index, expired_s);
		segments_list(s->segments, drop_expired, s);
		index_commit(s->index);
	}
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
		on_commit(-1, 0, s);
		event_base_loopbreak(s->base);
		return;
	}
	if (packet.type == W_CONFIG && packet.fd_count == 1) {
		const struct config *config = config_map(packet.fds[0]), *old = s->self->config;

		if (config) {
			s->self->config = config;
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
	snprintf(why, room, "no memory");
	return s->deliver != NULL;
}

int
store_main(struct child *self)
{
	struct store s = { .self = self, .last = &s.first };
	struct timeval tick = { TICK_MS / 1000, 0 };
	char why[512];

	if (!open_all(&s, why, sizeof why)) {
		log_error("quarantine: %s", why);
		return 1;
	}
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
	return 0;
}
