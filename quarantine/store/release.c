/* release.c - mail back on its way: the store reads and checks its bytes, deliver hands them to the MTA's listener.
 *
 * A release is written down before it is tried ("releasing") and again when the MTA has taken the mail; so one that a
 * crash interrupted is tried again, and at most one more copy goes out. */
#include <openssl/sha.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "policyd/base/clock.h"
#include "policyd/base/log.h"
#include "policyd/base/metrics.h"
#include "quarantine/store/store.h"

enum { ANSWER_MS = 120 * 1000, RETRY_LEAST_MS = 10 * 1000, RETRY_MOST_MS = 3600 * 1000 };

struct release {
	struct release *next;
	struct store *store;
	char id[ID_ROOM];
	struct index_rcpt rcpt;
	int fd;                              /* the mail, while it is with deliver */
	bool asking;
	int64_t retry_at_ms;
	int wait_ms;
	release_done done;
	void *arg;
};

static void
release_end(struct release *r)
{
	struct release **at = &r->store->releases;

	while (*at != r)
		at = &(*at)->next;
	*at = r->next;
	if (r->fd >= 0)
		close(r->fd);
	free(r);
}

static void
tell(struct release *r, enum entry_state state, const char *reply)
{
	if (r->done)
		r->done(r->arg, r->rcpt.address, state, reply);
	r->done = NULL;
}

static void
answered(void *arg, struct packet *answer)
{
	struct release *r = arg;
	struct unpack u = { answer ? answer->body : SPAN(""), false };
	uint8_t result = unpack_u8(&u);
	char reply[300], queue_id[64], note[400];

	unpack_u32(&u);
	unpack_text(&u, reply, sizeof reply);
	unpack_text(&u, queue_id, sizeof queue_id);
	r->asking = false;
	close(r->fd);
	r->fd = -1;
	if (answer == NULL || u.bad) {
		result = 2;
		snprintf(reply, sizeof reply, "no answer from the MTA");
	}
	if (result == 1) {
		snprintf(note, sizeof note, "released; the MTA's queue id is %s", queue_id[0] ? queue_id : "not known");
		store_state(r->store, r->id, &r->rcpt, STATE_RELEASED, note);
		metrics_add(M_RELEASED, 1);
		log_info("released %s to <%s>, Queue-ID: %s", r->id, r->rcpt.address, queue_id);
		tell(r, STATE_RELEASED, note);
		release_end(r);
	} else if (result == 0) {
		snprintf(note, sizeof note, "the MTA refused it: %s", reply);
		store_state(r->store, r->id, &r->rcpt, STATE_NEW, note);
		metrics_add(M_RELEASE_FAILED, 1);
		log_warning("release of %s to <%s> refused: %s", r->id, r->rcpt.address, reply);
		tell(r, STATE_NEW, note);
		release_end(r);
	} else {
		r->wait_ms = r->wait_ms ? (r->wait_ms * 2 > RETRY_MOST_MS ? RETRY_MOST_MS : r->wait_ms * 2) : RETRY_LEAST_MS;
		r->retry_at_ms = clock_ms() + r->wait_ms;
		snprintf(note, sizeof note, "waiting, tried again in %d s: %s", r->wait_ms / 1000, reply);
		index_state(r->store->index, r->id, r->rcpt.n, STATE_RELEASING, note);
		tell(r, STATE_RELEASING, note);
	}
}

/* The exact bytes, checked against what the record says of them. */
static bool
ask(struct release *r, char *why, size_t room)
{
	struct store *s = r->store;
	struct seg_place place;
	struct seg_record record;
	struct index_rcpt *rcpts;
	size_t count;
	struct buf bytes = { 0 }, mail = { 0 }, body = { 0 };
	struct arena_mark mark = arena_mark(s->arena);
	struct store_request request;
	uint8_t digest[SHA256_DIGEST_LENGTH];
	char skipped[ID_ROOM], client[INET6_ADDRSTRLEN];
	bool good = index_find(s->index, r->id, &place, &rcpts, &count) &&
	    segments_read(s->segments, &place, &bytes, &record, why, room) && segment_unpack(&record, &mail, why, room);

	free(rcpts);
	if (good) {
		struct unpack u = { record.meta, false };

		unpack_text(&u, skipped, sizeof skipped);
		SHA256((const unsigned char *)mail.p, mail.n, digest);
		good = wire_unpack_store(&u, s->arena, &request);
		static const uint8_t unknown[SHA256_DIGEST_LENGTH];     /* poison: no worker lived to tell its digest */

		if (good && memcmp(request.digest, unknown, sizeof unknown) != 0 && memcmp(digest, request.digest, sizeof digest) != 0) {
			snprintf(why, room, "damaged: its bytes are not those that came in");
			good = false;
		}
	}
	if (good) {
		ip_print(&request.session.client, client);
		pack_text(&body, r->id);
		pack_text(&body, request.envelope.sender);
		pack_text(&body, r->rcpt.raw);
		pack_text(&body, client);
		pack_text(&body, request.session.helo);
		r->fd = memfd_sealed("policyd-release", buf_span(&mail));
		good = r->fd >= 0 && link_ask(s->deliver, W_RELEASE, &body, &r->fd, 1, ANSWER_MS, answered, r);
		r->asking = good;
		if (!good)
			snprintf(why, room, "no memory");
	}
	arena_rewind(s->arena, mark);
	buf_free(&bytes);
	buf_free(&mail);
	buf_free(&body);
	return good;
}

bool
release_start(struct store *s, const char *id, const struct index_rcpt *rcpt, release_done done, void *arg, char *why, size_t room)
{
	struct release *r = calloc(1, sizeof *r);

	if (r == NULL) {
		snprintf(why, room, "no memory");
		return false;
	}
	*r = (struct release){ .store = s, .rcpt = *rcpt, .fd = -1, .done = done, .arg = arg, .next = s->releases };
	snprintf(r->id, sizeof r->id, "%s", id);
	s->releases = r;
	if (s->self->config->reinject[0] == '\0')
		snprintf(why, room, "nothing can be released: set deliver = { reinject = \"127.0.0.1:10026\"; } to a listener of the MTA without this milter");
	else if (rcpt->state != STATE_RELEASING && !store_state(s, id, rcpt, STATE_RELEASING, "on its way"))
		snprintf(why, room, "the quarantine cannot be written");
	else if (ask(r, why, room))
		return true;
	else
		store_state(s, id, rcpt, STATE_NEW, why);
	release_end(r);
	return false;
}

void
release_tick(struct store *s)
{
	char why[256];

	for (struct release *r = s->releases, *next; r; r = next) {
		next = r->next;
		if (r->asking || r->retry_at_ms > clock_ms())
			continue;
		if (!ask(r, why, sizeof why)) {
			store_state(s, r->id, &r->rcpt, STATE_NEW, why);
			release_end(r);
		}
	}
}

static void
resume(void *arg, const char *id, uint32_t n)
{
	struct store *s = arg;
	struct release *r = calloc(1, sizeof *r);

	if (r == NULL)
		return;
	*r = (struct release){ .store = s, .rcpt = { .n = n }, .fd = -1, .next = s->releases };
	snprintf(r->id, sizeof r->id, "%s", id);
	s->releases = r;
}

/* What an earlier process was releasing. The first tick takes them up. */
void
release_resume(struct store *s)
{
	struct seg_place place;

	index_releasing(s->index, resume, s);
	for (struct release *r = s->releases, *next; r; r = next) {
		struct index_rcpt *rcpts;
		size_t count;
		bool found = index_find(s->index, r->id, &place, &rcpts, &count) && r->rcpt.n < count;

		next = r->next;
		if (found)
			r->rcpt = rcpts[r->rcpt.n];
		free(rcpts);
		if (!found)
			release_end(r);
	}
}

void
release_forget(struct store *s, void *arg)
{
	for (struct release *r = s->releases; r; r = r->next)
		if (r->arg == arg)
			r->done = NULL;
}
