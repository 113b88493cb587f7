/* keep.c - a mail into the quarantine and out again: whose it is, which body it shares, what gives way when room is short. */
#include <openssl/sha.h>
#include <stdio.h>
#include <stdlib.h>

#include "policyd/base/clock.h"
#include "policyd/base/log.h"
#include "policyd/base/metrics.h"
#include "quarantine/store/store.h"

enum { RETRY_WINDOW_S = 600, SHARED_LEAST = 1024, EVICT_PERCENT = 5, EVICT_MOST = 1000, FAR_POINTS = 8 };

/* "q" and 15 letters: time, then chance. Nothing of the mail is in it. */
static void
make_id(char id[ID_ROOM])
{
	static const char letters[] = "abcdefghijklmnopqrstuvwxyz234567";
	uint64_t chance = 0, t = (uint64_t)wall_s();

	crypt_random(&chance, sizeof chance);
	id[0] = 'q';
	for (int i = 7; i >= 1; i--, t >>= 5)
		id[i] = letters[t & 31];
	for (int i = 8; i <= 15; i++, chance >>= 5)
		id[i] = letters[chance & 31];
	id[16] = '\0';
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
find_retried(struct store *s, const struct store_request *r, struct stored *out)
{
	uint32_t found = 0;

	for (uint32_t i = 0; i < r->recipient_count; i++) {
		if (!index_find_retry(s->index, r, &r->recipients[i], r->time_s - RETRY_WINDOW_S, out->ids[i]))
			continue;
		if (found == 0 || i == 0 || strcmp(out->ids[i], out->ids[i - 1]) != 0)
			index_count(s->index, out->ids[i]);
		found++;
	}
	return found == r->recipient_count;
}

/* ---- room: what is worth least goes first ---- */

/* Nobody gets a virus back, and hardly anybody what is far beyond his threshold: they are asked to come again while the
 * last of the room is kept for what may be wanted. */
static bool
worth_little(const struct store_request *r)
{
	bool far = true;

	for (uint32_t i = 0; i < r->recipient_count; i++)
		far &= r->recipients[i].points >= r->recipients[i].quarantine + FAR_POINTS;
	return span_eq(r->class_name, SPAN("virus")) || (far && span_eq(r->class_name, SPAN("spam")));
}

static bool
has_room(struct store *s, const struct store_request *r, char *why, size_t room)
{
	enum seg_room left = segments_room(s->segments);

	if (left == ROOM_ENOUGH || (left == ROOM_LOW && !worth_little(r)))
		return true;
	metrics_add(M_STORE_SHORT, 1);
	snprintf(why, room, "the quarantine's disk is %s; make room at %.80s", left == ROOM_LOW ?
	    "short of room: what is worth least is deferred" : "nearly full", s->self->config->state);
	return false;
}

struct eviction {
	struct eviction *next;
	char customer[KEYS_CUSTOMER_ROOM];
	bool campaign;
	uint8_t body[32];
	uint32_t count;
};

/* The oldest of them have had their time. Their octets stay until their file goes; the record says why. */
static void
evict(struct store *s, const struct eviction *e)
{
	const char *note = e->campaign ? "over the quota of one campaign" : "over the customer's quota";
	struct state_change *list = calloc(e->count, sizeof *list);
	struct index_old *old = calloc(e->count, sizeof *old);
	struct span body = span_make(e->body, e->campaign ? sizeof e->body : 0);
	size_t n = list && old ? index_oldest(s->index, e->customer, body, old, e->count) : 0;

	for (size_t i = 0; i < n; i++)
		list[i] = (struct state_change){ old[i].id, &old[i].rcpt, { .state = STATE_EXPIRED, .before = old[i].rcpt.state,
		    .vote = old[i].rcpt.vote, .changed_s = wall_s(), .actor = "quota", .note = note } };
	if (n > 0 && store_changes(s, list, n)) {
		log_info("quarantine: %zu entries of customer \"%s\" expired early: %s", n, e->customer, note);
		metrics_add(M_EVICTED, (int64_t)n);
	}
	free(old);
	free(list);
}

void
store_evict(struct store *s)
{
	struct eviction *all = s->evictions;

	s->evictions = NULL;
	for (struct eviction *e; (e = all) != NULL; free(e)) {
		all = e->next;
		evict(s, e);
	}
}

/* When this round is on the disk: `over` and a share of the quota, so that it is not one by one. */
static void
evict_later(struct store *s, const char *customer, const struct seg_body *body, uint32_t quota, uint32_t over)
{
	uint32_t share = quota / 100 * EVICT_PERCENT;
	struct eviction *e = s->evictions;

	while (e && (strcmp(e->customer, customer) != 0 || e->campaign != (body != NULL) || (body && memcmp(e->body, body->digest, sizeof e->body) != 0)))
		e = e->next;
	if (e || (e = calloc(1, sizeof *e)) == NULL)     /* asked for already, or the next mail asks again */
		return;
	snprintf(e->customer, sizeof e->customer, "%s", customer);
	e->campaign = body != NULL;
	if (body)
		memcpy(e->body, body->digest, sizeof e->body);
	e->count = over + (share > EVICT_MOST ? EVICT_MOST : share);
	e->next = s->evictions;
	s->evictions = e;
}

/* A campaign past its quota loses its own oldest first, so that it pushes out nobody else's. */
static void
hold_quotas(struct store *s, const char *customer, struct seg_body *body, uint32_t added)
{
	const struct config *c = s->self->config;
	int64_t open;

	if (c->campaign_entries && body && body->alike + added > c->campaign_entries) {
		body->alike = (uint32_t)index_alike(s->index, customer, span_make(body->digest, sizeof body->digest), c->campaign_entries + 1);
		if (body->alike + added > c->campaign_entries)
			evict_later(s, customer, body, c->campaign_entries, body->alike + added - c->campaign_entries);
	}
	if (c->customer_entries && (open = index_open_entries(s->index, customer) + added) > c->customer_entries)
		evict_later(s, customer, NULL, c->customer_entries, (uint32_t)(open - c->customer_entries));
}

/* ---- one record ---- */

/* Where the header ends: behind the empty line. 0: there is none. */
static size_t
header_bytes(struct span mail)
{
	for (size_t at = 0; at < mail.n;) {
		size_t lf = span_find_char(span_from(mail, at), '\n');

		if (lf == SPAN_NONE)
			return 0;
		if (lf == 0 || (lf == 1 && mail.p[at] == '\r'))
			return at + lf + 1;
		at += lf + 1;
	}
	return 0;
}

/* A mail for recipients of one customer: under his key, with his recipients, by an id of its own. */
static bool
store_part(struct store *s, const char *id, const struct store_request *r, struct span mail, char *why, size_t room)
{
	struct span customer = r->recipients[0].customer;
	const struct key *key = keys_for(segments_keys(s->segments), customer, why, room);
	unsigned retention = longest_retention(r);
	struct record record = { .type = SEG_MAIL, .time_ms = r->time_s * 1000 };
	struct seg_body body = { .alike = r->recipient_count }, *found = NULL;
	struct seg_place place;
	size_t head = header_bytes(mail);
	bool shared = mail.n - head >= SHARED_LEAST;
	struct buf meta = { 0 };

	if (key == NULL)
		return false;
	if (s->self->config->customer_bytes && index_bytes(s->index, key->customer) + mail.n / 4 > s->self->config->customer_bytes) {
		snprintf(why, room, "the quarantine of customer \"%.60s\" is full (quarantine.customer_bytes)", key->customer);
		metrics_add(M_STORE_SHORT, 1);
		return false;
	}
	body.key = key->id;
	if (shared) {
		SHA256((const unsigned char *)mail.p + head, mail.n - head, body.digest);
		found = segments_body(s->segments, record.time_ms, retention, &body);
	}
	hold_quotas(s, key->customer, found, r->recipient_count);
	pack_text(&meta, id);
	wire_pack_store(&meta, r);
	pack_span(&meta, shared ? span_make(body.digest, sizeof body.digest) : SPAN(""));
	pack_u64(&meta, head);
	pack_u64(&meta, found ? found->offset : 0);
	pack_u64(&meta, found ? found->length : 0);
	record.seq = ++s->seq;
	record.meta = buf_span(&meta);
	bool good = !meta.failed && segments_append(s->segments, &record, found ? span_head(mail, head) : mail, retention, key, &place, why, room);

	if (good) {
		index_add(s->index, id, record.seq, r, shared ? span_make(body.digest, sizeof body.digest) : SPAN(""), &place);
		index_segment(s->index, place.name, place.offset + place.length, 0);
		if (found)
			found->alike += r->recipient_count;
		else if (shared)
			segments_keep_body(s->segments, &place, &body);
	}
	buf_free(&meta);
	return good;
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

static bool
store_parts(struct store *s, const struct store_request *r, struct span mail, struct owned *order, uint32_t count,
    struct store_recipient *own, struct stored *out, char *why, size_t room)
{
	struct store_request part = *r;
	uint32_t parts = 0;
	char stem[ID_ROOM];

	qsort(order, count, sizeof *order, by_customer);
	make_id(stem);
	part.recipients = own;
	for (uint32_t i = 0, end; i < count; i = end) {
		char id[ID_ROOM];

		if (parts++)
			snprintf(id, sizeof id, "%s-%u", stem, parts);
		else
			memcpy(id, stem, sizeof id);
		part.recipient_count = 0;
		for (end = i; end < count && span_eq(order[end].customer, order[i].customer); end++) {
			part.recipients[part.recipient_count++] = r->recipients[order[end].at];
			memcpy(out->ids[order[end].at], id, ID_ROOM);
		}
		if (!store_part(s, id, &part, mail, why, room))
			return false;
	}
	return true;
}

bool
store_mail(struct store *s, const struct store_request *r, struct span mail, struct stored *out, char *why, size_t room)
{
	struct owned *order = calloc(r->recipient_count, sizeof *order);
	struct store_recipient *own = calloc(r->recipient_count, sizeof *own);
	uint32_t count = 0;
	bool good = false;

	out->ids = calloc(r->recipient_count, sizeof *out->ids);
	if (order == NULL || own == NULL || out->ids == NULL) {
		snprintf(why, room, "no memory");
	} else if (has_room(s, r, why, room)) {
		out->count = r->recipient_count;
		out->again = find_retried(s, r, out);
		for (uint32_t i = 0; i < r->recipient_count; i++)
			if (out->ids[i][0] == '\0')
				order[count++] = (struct owned){ i, r->recipients[i].customer };
		good = store_parts(s, r, mail, order, count, own, out, why, room);
	}
	metrics_add(M_STORED_AGAIN, out->again);
	free(own);
	free(order);
	return good;
}

/* ---- and out again ---- */

bool
stored_unpack(struct unpack *u, struct arena *a, struct stored_meta *meta)
{
	unpack_text(u, meta->id, sizeof meta->id);
	if (!wire_unpack_store(u, a, &meta->request))
		return false;
	meta->body = unpack_span(u);
	meta->header_bytes = unpack_u64(u);
	meta->offset = unpack_u64(u);
	meta->length = unpack_u64(u);
	return !u->bad;
}

/* What follows the header of another mail in that file. */
static bool
append_body(struct store *s, const struct seg_place *place, struct buf *mail, char *why, size_t room)
{
	struct arena_mark mark = arena_mark(s->arena);
	struct buf bytes = { 0 }, other = { 0 };
	struct record record;
	struct stored_meta meta;
	bool good = segments_read(s->segments, place, &bytes, &record, why, room) && record_unpack(&record, &other, why, room);

	if (good) {
		struct unpack u = { record.meta, false };

		good = stored_unpack(&u, s->arena, &meta) && meta.header_bytes <= other.n;
		if (good)
			buf_add_span(mail, span_from(buf_span(&other), meta.header_bytes));
		else
			snprintf(why, room, "damaged: the body it shares cannot be read");
	}
	arena_rewind(s->arena, mark);
	buf_free(&bytes);
	buf_free(&other);
	return good;
}

bool
store_read(struct store *s, const struct seg_place *place, struct arena *a, struct store_request *request, struct buf *mail,
    char *why, size_t room)
{
	static const uint8_t unknown[SHA256_DIGEST_LENGTH];     /* poison: no worker lived to tell its digest */
	struct record record;
	struct stored_meta meta = { 0 };
	struct buf bytes = { 0 };
	uint8_t digest[SHA256_DIGEST_LENGTH];
	bool good = segments_read(s->segments, place, &bytes, &record, why, room) && record_unpack(&record, mail, why, room);

	if (good) {
		struct unpack u = { arena_copy(a, record.meta), false };

		good = record.type == SEG_MAIL && stored_unpack(&u, a, &meta);
		if (!good)
			snprintf(why, room, "damaged: its metadata cannot be read");
	}
	buf_free(&bytes);
	if (good && meta.length > 0) {
		struct seg_place shared = { .offset = meta.offset, .length = meta.length };

		memcpy(shared.name, place->name, sizeof shared.name);
		good = append_body(s, &shared, mail, why, room);
	}
	if (good) {
		*request = meta.request;
		SHA256((const unsigned char *)mail->p, mail->n, digest);
		good = !mail->failed && (memcmp(request->digest, unknown, sizeof unknown) == 0 || memcmp(digest, request->digest, sizeof digest) == 0);
		if (!good)
			snprintf(why, room, "damaged: its bytes are not those that came in");
	}
	return good;
}
