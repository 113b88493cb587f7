/* release.c - mail back on its way: the store reads and checks its bytes, a worker looks at risky ones once more, deliver
 * hands them to the MTA's listener.
 *
 * A release is written down before it is tried ("releasing") and again when the MTA has taken the mail; so one that a
 * crash interrupted is tried again, and at most one more copy goes out. */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "policyd/base/clock.h"
#include "policyd/base/log.h"
#include "policyd/base/metrics.h"
#include "quarantine/store/requests.h"

enum { ANSWER_MS = 120 * 1000, SCAN_MS = 70 * 1000, RETRY_LEAST_MS = 10 * 1000, RETRY_MOST_MS = 3600 * 1000, AT_ONCE = 40,
    GIVE_UP_S = 5 * 86400, RESCAN_AFTER_S = 3600 };

struct release {
	struct release *next;
	struct store *store;
	char id[ID_ROOM];
	struct index_rcpt rcpt;
	enum entry_state back;               /* where it goes when it cannot be released */
	unsigned flags;
	int64_t since_s;
	struct buf envelope;                 /* W_RELEASE, while a worker looks at the mail */
	int fd;                              /* the mail, while it is with a worker or deliver */
	bool asking;
	int64_t retry_at_ms;
	int wait_ms;
	release_done done;
	void *arg;
};

static void deliver(struct release *r);

static void
release_end(struct release *r)
{
	struct release **at = &r->store->releases;

	while (*at != r)
		at = &(*at)->next;
	*at = r->next;
	if (r->store->last_release == &r->next)
		r->store->last_release = at;
	if (r->fd >= 0)
		close(r->fd);
	buf_free(&r->envelope);
	free(r);
}

static void
tell(struct release *r, const char *reply, const char *queue_id)
{
	struct release_result result = { r->id, &r->rcpt, reply, queue_id };

	if (r->done)
		r->done(r->arg, &result);
	r->done = NULL;
}

/* No longer with anybody. */
static void
returned(struct release *r)
{
	if (r->asking)
		r->store->releasing--;
	r->asking = false;
	if (r->fd >= 0)
		close(r->fd);
	r->fd = -1;
	buf_free(&r->envelope);
	r->envelope = (struct buf){ 0 };
}

static void
heard(void *arg, struct packet *answer)
{
	struct unpack u = { answer ? answer->body : SPAN(""), false };
	struct span reply = unpack_span(&u);
	int *fd = arg;

	if (span_find(reply, SPAN("heard")) == SPAN_NONE)    /* the mail has gone out all the same */
		log_warning("a release is no word for mails like it: " SPAN_FMT, SPAN_ARG(answer ? reply : SPAN("no answer from the broker")));
	close(*fd);
	free(fd);
}

/* A release is a word for mails like it (broker/campaign.h). */
static void
tell_released(const struct release *r)
{
	json_t *json = json_pack("{s:s, s:s, s:s, s:s?}", "cmd", "released", "class", "ham", "who", r->rcpt.actor, "for",
	    r->rcpt.customer[0] ? r->rcpt.address : "");
	char *text = json ? json_dumps(json, JSON_COMPACT) : NULL;
	int *fd = malloc(sizeof *fd);
	struct buf body = { 0 };

	pack_text(&body, text ? text : "{}");
	if (fd && (*fd = fcntl(r->fd, F_DUPFD_CLOEXEC, 0)) >= 0) {
		if (!link_ask(r->store->broker, W_REQUEST, &body, fd, 1, SCAN_MS, heard, fd))
			heard(fd, NULL);
		fd = NULL;
	}
	free(fd);
	free(text);
	json_decref(json);
	buf_free(&body);
}

static void
conclude(struct release *r, enum entry_state state, const char *note, const char *queue_id)
{
	struct seg_place place;
	struct index_rcpt *now = NULL;
	size_t count = 0;

	if (index_find(r->store->index, r->id, &place, &now, &count) && r->rcpt.n < count)
		r->rcpt.vote = now[r->rcpt.n].vote;      /* given while it was on its way */
	free(now);
	struct state_change change = { r->id, &r->rcpt, { .state = state, .before = STATE_RELEASING, .vote = r->rcpt.vote,
	    .changed_s = wall_s(), .actor = r->rcpt.actor, .note = note } };

	metrics_add(state == STATE_RELEASED ? M_RELEASED : M_RELEASE_FAILED, 1);
	store_changes(r->store, &change, 1);     /* cannot be written: after a restart it is tried once more */
	r->rcpt.state = state;
	tell(r, note, queue_id);
	release_end(r);
}

static void
try_later(struct release *r, const char *reply)
{
	char note[NOTE_ROOM];

	if (wall_s() - r->since_s > GIVE_UP_S) {
		snprintf(note, sizeof note, "given up after 5 days: %s", reply);
		log_warning("release of %s to <%s> %s", r->id, r->rcpt.address, note);
		conclude(r, r->back, note, "");
		return;
	}
	r->wait_ms = r->wait_ms ? (r->wait_ms * 2 > RETRY_MOST_MS ? RETRY_MOST_MS : r->wait_ms * 2) : RETRY_LEAST_MS;
	r->retry_at_ms = clock_ms() + r->wait_ms;
	snprintf(note, sizeof note, "waiting, tried again in %d s: %s", r->wait_ms / 1000, reply);
	index_note(r->store->index, r->id, r->rcpt.n, note);
	tell(r, note, "");
}

static void
delivered(void *arg, struct packet *answer)
{
	struct release *r = arg;
	struct store *s = r->store;
	struct unpack u = { answer ? answer->body : SPAN(""), false };
	uint8_t result = unpack_u8(&u);
	char reply[300], queue_id[64], note[NOTE_ROOM];

	unpack_u32(&u);
	unpack_text(&u, reply, sizeof reply);
	unpack_text(&u, queue_id, sizeof queue_id);
	if (result == 1 && !u.bad)
		tell_released(r);            /* while the mail is at hand */
	returned(r);
	if (answer == NULL || u.bad) {
		try_later(r, "no answer from the MTA");
	} else if (result == 1) {
		snprintf(note, sizeof note, "released; the MTA's queue id is %s", queue_id[0] ? queue_id : "not known");
		log_info("released %s to <%s>, Queue-ID: %s", r->id, r->rcpt.address, queue_id);
		conclude(r, STATE_RELEASED, note, queue_id);
	} else if (result == 0) {
		snprintf(note, sizeof note, "the MTA refused it: %s", reply);
		log_warning("release of %s to <%s> refused: %s", r->id, r->rcpt.address, reply);
		conclude(r, r->back, note, "");
	} else {
		try_later(r, reply);
	}
	release_tick(s);                     /* the next one's turn */
}

static void
deliver(struct release *r)
{
	if (!link_ask(r->store->deliver, W_RELEASE, &r->envelope, &r->fd, 1, ANSWER_MS, delivered, r)) {
		returned(r);
		try_later(r, "no memory");
	}
}

/* ---- the second look: signatures are newer than the mail ---- */

static bool
lists_class(const json_t *reply, const char *name)
{
	const json_t *classes = json_object_get(reply, "classes");

	for (size_t i = 0; i < json_array_size(classes); i++)
		if (json_is_string(json_array_get(classes, i)) && strcmp(json_string_value(json_array_get(classes, i)), name) == 0)
			return true;
	return false;
}

static void
scanned(void *arg, struct packet *answer)
{
	struct release *r = arg;
	struct unpack u = { answer ? answer->body : SPAN(""), false };
	struct span text = unpack_span(&u);
	json_t *reply = json_loadb(text.p ? text.p : "", text.n, 0, NULL);

	if (!json_is_array(json_object_get(reply, "classes"))) {
		const char *error = json_string_value(json_object_get(reply, "error"));
		char why[NOTE_ROOM];

		snprintf(why, sizeof why, "it could not be scanned before the release: %s", error ? error : "no answer");
		returned(r);
		try_later(r, why);
	} else if (lists_class(reply, "virus") && !(r->flags & RELEASE_RISKY)) {
		returned(r);
		log_warning("release of %s to <%s> refused: today's scan finds a virus in it", r->id, r->rcpt.address);
		conclude(r, r->back, "not released: scanned again, a virus was found in it", "");
	} else {
		deliver(r);
	}
	json_decref(reply);
}

/* What was held for what is in it, and anything that has lain for a while. */
static bool
wants_scan(const struct release *r)
{
	static const char *const risky[] = { "virus", "phish", "banned", "unscannable" };

	for (size_t i = 0; i < sizeof risky / sizeof *risky; i++)
		if (strcmp(r->rcpt.class_name, risky[i]) == 0)
			return true;
	return wall_s() - r->rcpt.time_s > RESCAN_AFTER_S;
}

static bool
ask_scan(struct release *r, const struct store_request *request)
{
	char client[INET6_ADDRSTRLEN];
	struct buf body = { 0 };

	ip_print(&request->session.client, client);
	json_t *json = json_pack("{s:s, s:s, s:s?, s:s?, s:[s?]}", "cmd", "scan", "client", client, "helo", request->session.helo,
	    "sender", request->envelope.sender, "recipients", r->rcpt.address);
	char *text = json ? json_dumps(json, JSON_COMPACT) : NULL;

	if (text == NULL)                    /* an envelope that is no UTF-8: the scan does not need it */
		text = strdup("{\"cmd\": \"scan\"}");
	pack_text(&body, text);
	body.failed |= text == NULL;
	free(text);
	json_decref(json);
	return link_ask(r->store->broker, W_REQUEST, &body, &r->fd, 1, SCAN_MS, scanned, r);
}

/* ---- one attempt ---- */

static void
start(struct release *r)
{
	struct store *s = r->store;
	struct arena_mark mark = arena_mark(s->arena);
	struct seg_place place;
	struct store_request request;
	struct index_rcpt *rcpts;
	struct buf mail = { 0 };
	size_t count;
	char why[256] = "it is no longer in the index", client[INET6_ADDRSTRLEN];
	bool good = index_find(s->index, r->id, &place, &rcpts, &count) && store_read(s, &place, s->arena, &request, &mail, why, sizeof why);

	free(rcpts);
	if (!good) {
		log_error("release of %s to <%s>: %s", r->id, r->rcpt.address, why);
		conclude(r, r->back, why, "");
	} else {
		ip_print(&request.session.client, client);
		char key[80];

		snprintf(key, sizeof key, "%s/%u/%llu", r->id, r->rcpt.n, (unsigned long long)r->rcpt.change_seq);
		pack_text(&r->envelope, key);
		pack_text(&r->envelope, request.envelope.sender);
		pack_text(&r->envelope, r->rcpt.raw);
		pack_text(&r->envelope, client);
		pack_text(&r->envelope, request.session.helo);
		r->fd = memfd_sealed("policyd-release", buf_span(&mail));
		r->asking = true;
		s->releasing++;
		if (r->fd < 0 || r->envelope.failed) {
			returned(r);
			try_later(r, "no memory");
		} else if (!wants_scan(r)) {
			deliver(r);
		} else if (!ask_scan(r, &request)) {
			returned(r);
			try_later(r, "no memory");
		}
	}
	arena_rewind(s->arena, mark);
	buf_free(&mail);
}

bool
release_add(struct store *s, const char *id, const struct index_rcpt *rcpt, unsigned flags, release_done done, void *arg)
{
	struct release *r = calloc(1, sizeof *r);

	if (r == NULL)
		return false;
	*r = (struct release){ .store = s, .rcpt = *rcpt, .back = rcpt->before, .flags = flags, .fd = -1, .done = done, .arg = arg,
	    .since_s = rcpt->changed_s };
	if (r->back == STATE_RELEASING)
		r->back = STATE_SEEN;
	snprintf(r->id, sizeof r->id, "%s", id);
	*s->last_release = r;
	s->last_release = &r->next;
	return true;
}

/* Starts what is due, so many at a time; the rest waits its turn. */
void
release_tick(struct store *s)
{
	for (struct release *r = s->releases, *next; r && s->releasing < AT_ONCE; r = next) {
		next = r->next;
		if (!r->asking && r->retry_at_ms <= clock_ms())
			start(r);
	}
}

static void
resume(void *arg, const char *id, uint32_t n)
{
	struct store *s = arg;
	struct seg_place place;
	struct index_rcpt *rcpts;
	size_t count;

	if (index_find(s->index, id, &place, &rcpts, &count) && n < count && !release_add(s, id, &rcpts[n], 0, NULL, NULL))
		log_error("release of %s: no memory; the next start takes it up", id);
	free(rcpts);
}

/* What an earlier process was releasing. The first tick takes them up. */
void
release_resume(struct store *s)
{
	index_releasing(s->index, resume, s);
}

void
release_forget(struct store *s, const void *arg)
{
	for (struct release *r = s->releases; r; r = r->next)
		if (r->arg == arg)
			r->done = NULL;
}
