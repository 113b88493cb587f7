/* store.c - the sole writer of the quarantine. Requests that arrived together are written together and made durable by
 * one sync; only then is each of them answered. */
#include "quarantine/store/requests.h"

#include <event2/event.h>
#include <fcntl.h>
#include <openssl/rand.h>
#include <openssl/sha.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <unistd.h>

#include "policyd/base/clock.h"
#include "policyd/base/log.h"
#include "policyd/base/metrics.h"

enum { RETRY_WINDOW_S = 600, TICK_MS = 1000, EXPIRE_EVERY_S = 3600, SEND_MS = 5000, ARENA_BYTES = 256 << 20, DAY_S = 86400 };

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
	char (*ids)[ID_ROOM];                /* one a recipient */
	uint32_t count;
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
find_retried(struct store *s, const struct store_request *r, struct pending *p)
{
	uint32_t found = 0;

	for (uint32_t i = 0; i < r->recipient_count; i++) {
		if (!index_find_retry(s->index, r, r->recipients[i].raw, r->time_s - RETRY_WINDOW_S, p->ids[i]))
			continue;
		if (found == 0 || strcmp(p->ids[i], p->ids[i - 1]) != 0)
			index_count(s->index, p->ids[i]);
		found++;
	}
	return found == r->recipient_count;
}

/* One record: a mail for recipients of one customer. */
static bool
store_part(struct store *s, const char *id, const struct store_request *r, struct span mail, struct pending *p)
{
	struct buf meta = { 0 };
	struct seg_place place;

	pack_text(&meta, id);
	wire_pack_store(&meta, r);
	p->failed = meta.failed || !segments_append(s->segments, SEG_MAIL, ++s->seq, wall_ms(), longest_retention(r), buf_span(&meta),
	    mail, &place, p->why, sizeof p->why);
	if (!p->failed) {
		index_add(s->index, id, s->seq, r, &place);
		index_segment(s->index, place.name, place.offset + place.length, 0);
	}
	buf_free(&meta);
	return !p->failed;
}

struct owned {                               /* a recipient, to be sorted by whose he is */
	uint32_t at;
	struct span customer;
};

static int
by_customer(const void *a, const void *b)
{
	const struct owned *x = a, *y = b;
	size_t n = x->customer.n < y->customer.n ? x->customer.n : y->customer.n;
	int order = n ? memcmp(x->customer.p, y->customer.p, n) : 0;

	if (order == 0)
		order = (x->customer.n > y->customer.n) - (x->customer.n < y->customer.n);
	return order ? order : (x->at > y->at) - (x->at < y->at);
}

/* A customer's part is his alone: his key, his recipients, an id of its own. */
static void
store_mail(struct store *s, struct pending *p, const struct store_request *r, struct span mail)
{
	struct owned *order = calloc(r->recipient_count, sizeof *order);
	struct store_request part = *r;
	uint32_t count = 0, parts = 0;
	char stem[ID_ROOM];

	p->ids = calloc(r->recipient_count, sizeof *p->ids);
	part.recipients = calloc(r->recipient_count, sizeof *part.recipients);
	if (order == NULL || p->ids == NULL || part.recipients == NULL) {
		p->failed = true;
		snprintf(p->why, sizeof p->why, "no memory");
	} else if (segments_full(s->segments)) {
		p->failed = true;
		snprintf(p->why, sizeof p->why, "the quarantine's disk is nearly full; make room at %.80s", s->self->config->state);
	} else {
		p->count = r->recipient_count;
		p->again = find_retried(s, r, p);
		for (uint32_t i = 0; i < r->recipient_count; i++)
			if (p->ids[i][0] == '\0')
				order[count++] = (struct owned){ i, r->recipients[i].customer };
	}
	qsort(order, count, sizeof *order, by_customer);
	make_id(stem);
	for (uint32_t i = 0, end; i < count && !p->failed; i = end) {
		char id[ID_ROOM];

		snprintf(id, sizeof id, parts ? "%s-%u" : "%s", stem, parts + 1);
		part.recipient_count = 0;
		for (end = i; end < count && span_eq(order[end].customer, order[i].customer); end++) {
			part.recipients[part.recipient_count++] = r->recipients[order[end].at];
			memcpy(p->ids[order[end].at], id, ID_ROOM);
		}
		store_part(s, id, &part, mail, p);
		parts++;
	}
	metrics_add(M_STORED_AGAIN, p->again);
	free(part.recipients);
	free(order);
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
		pack_u8(&body, p->again);
		pack_u32(&body, p->count);
		for (uint32_t i = 0; i < p->count; i++)
			pack_text(&body, p->ids[i]);
	}
	packet.body = buf_span(&body);
	metrics_add(p->failed ? M_STORE_FAILED : M_STORED, !p->again);
	if (!p->peer->gone)
		ipc_send_wait(p->peer->sock, &packet, SEND_MS);
	if (--p->peer->open == 0 && p->peer->gone)
		peer_free(p->peer);
	buf_free(&body);
	free(p->ids);
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
		index_commit(s->index);
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
		answer(p);
		p = next;
	}
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
store_changes(struct store *s, const struct state_change *changes, size_t count)
{
	struct seg_place *places = calloc(count + 1, sizeof *places);
	struct buf meta = { 0 };
	char why[160] = "no memory";
	bool good = places != NULL;

	commit_round(s);                     /* what waits for a sync has one of its own: this one's failure is not theirs */
	for (size_t i = 0; i < count && good; i++) {
		const struct index_change *to = &changes[i].to;

		buf_clear(&meta);
		pack_text(&meta, changes[i].id);
		pack_u32(&meta, changes[i].rcpt->n);
		pack_u8(&meta, (uint8_t)to->state);
		pack_text(&meta, to->note);
		pack_u8(&meta, (uint8_t)to->before);
		pack_u8(&meta, (uint8_t)to->vote);
		pack_u64(&meta, (uint64_t)to->changed_s);
		pack_text(&meta, to->actor);
		good = !meta.failed && segments_append(s->segments, SEG_STATE, ++s->seq, wall_ms(), changes[i].rcpt->retention_days,
		    buf_span(&meta), SPAN(""), &places[i], why, sizeof why);
	}
	good = good && segments_sync(s->segments, why, sizeof why);
	buf_free(&meta);
	if (!good)
		log_error("quarantine: %s", why);
	index_begin(s->index);
	for (size_t i = 0; i < count && good; i++) {
		struct index_change to = changes[i].to;

		to.seq = s->seq - count + 1 + i;
		index_change(s->index, changes[i].id, changes[i].rcpt->n, &to);
		index_segment(s->index, places[i].name, places[i].offset + places[i].length, 0);
	}
	index_commit(s->index);
	free(places);
	return good;
}

bool
store_read(struct store *s, const struct seg_place *place, struct arena *a, struct store_request *request, struct buf *mail,
    char *why, size_t room)
{
	static const uint8_t unknown[SHA256_DIGEST_LENGTH];     /* poison: no worker lived to tell its digest */
	struct seg_record record;
	struct buf bytes = { 0 };
	uint8_t digest[SHA256_DIGEST_LENGTH];
	char id[ID_ROOM];
	bool good = segments_read(s->segments, place, &bytes, &record, why, room) && segment_unpack(&record, mail, why, room);

	if (good) {
		struct unpack u = { arena_copy(a, record.meta), false };

		unpack_text(&u, id, sizeof id);
		good = wire_unpack_store(&u, a, request);
		if (!good)
			snprintf(why, room, "damaged: its metadata cannot be read");
	}
	if (good) {
		SHA256((const unsigned char *)mail->p, mail->n, digest);
		good = memcmp(request->digest, unknown, sizeof unknown) == 0 || memcmp(digest, request->digest, sizeof digest) == 0;
		if (!good)
			snprintf(why, room, "damaged: its bytes are not those that came in");
	}
	buf_free(&bytes);
	return good;
}

/* ---- recovery: the index is what the segments say ---- */

/* A change can stand in a file that is read before the one with its mail (a recipient's own retention is the shorter
 * one): such are kept, and tried again at the end. */
struct recovery {
	struct store *store;
	struct buf early;                    /* u32 bytes, then the meta of a change; its number before it */
};

static bool
index_change_record(struct store *s, uint64_t seq, struct span meta)
{
	struct unpack u = { meta, false };
	char id[ID_ROOM], note[NOTE_ROOM], actor[ACTOR_ROOM];
	struct index_change c = { .seq = seq, .note = note, .actor = actor };

	unpack_text(&u, id, sizeof id);
	uint32_t n = unpack_u32(&u);

	c.state = (enum entry_state)unpack_u8(&u);
	unpack_text(&u, note, sizeof note);
	c.before = (enum entry_state)unpack_u8(&u);
	c.vote = (enum entry_vote)unpack_u8(&u);
	c.changed_s = (int64_t)unpack_u64(&u);
	unpack_text(&u, actor, sizeof actor);
	if (u.bad || c.state >= STATE__COUNT || c.before >= STATE__COUNT || c.vote >= VOTE__COUNT)
		return true;                 /* of a later version: left alone */
	return index_change(s->index, id, n, &c);
}

static void
index_record(struct recovery *r, const struct seg_record *record, const struct seg_place *place)
{
	struct store *s = r->store;
	struct arena_mark mark = arena_mark(s->arena);
	struct unpack u = { record->meta, false };
	struct store_request request;
	char id[ID_ROOM];

	if (record->seq > s->seq)
		s->seq = record->seq;
	if (record->type == SEG_MAIL) {
		unpack_text(&u, id, sizeof id);
		if (wire_unpack_store(&u, s->arena, &request))
			index_add(s->index, id, record->seq, &request, place);
	} else if (record->type == SEG_STATE && !index_change_record(s, record->seq, record->meta)) {
		pack_u64(&r->early, record->seq);
		pack_span(&r->early, record->meta);
	}
	arena_rewind(s->arena, mark);
}

static void
recover_segment(void *arg, const char *name, uint64_t size)
{
	struct recovery *r = arg;
	struct store *s = r->store;
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
			index_record(r, &record, &place);
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

static void
oldest_day(void *arg, const char *name, uint64_t size)
{
	int64_t *oldest = arg, day;

	(void)size;
	if (segment_day(name, &day, NULL) && day < *oldest)
		*oldest = day;
}

void
store_recover(struct store *s, bool anew)
{
	struct recovery r = { .store = s };
	int64_t oldest = INT64_MAX;

	commit_round(s);
	index_begin(s->index);
	if (anew) {
		segments_list(s->segments, oldest_day, &oldest);
		index_clear(s->index, oldest);
	}
	segments_list(s->segments, recover_segment, &r);
	for (struct unpack u = { buf_span(&r.early), false }; u.left.n > 0 && !u.bad;) {
		uint64_t seq = unpack_u64(&u);

		index_change_record(s, seq, unpack_span(&u));
	}
	buf_free(&r.early);
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
	int64_t day;
	unsigned retention;

	(void)size;
	if (!segment_day(name, &day, &retention) || (day + retention + 1) * DAY_S > wall_s())
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
		stats_forget(s->index, expired_s);
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
		commit_round(s);
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
	snprintf(path, sizeof path, "%s/control.sock", s->self->config->run);
	s->broker = s->deliver ? link_open_lazy(s->base, path) : NULL;
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
