/* recover.c - the index is what the segments say; and time takes both away. */
#include <stdio.h>

#include "policyd/base/clock.h"
#include "policyd/base/log.h"
#include "quarantine/store/store.h"

enum { DAY_S = 86400, FILES_EVERY_S = 600, TIDY_ROWS = 500, TIDY_MS = 25, CATCH_UP_MS = 2000, MISSING_ROOM = 512 };

/* A change can stand in a file that is read before the one with its mail (a recipient's own retention is the shorter
 * one): such are kept, and tried again at the end. */
struct recovery {
	struct store *store;
	struct buf early;                    /* u64 number, span meta of each */
};

bool
stored_unpack_change(struct span meta, struct stored_change *c)
{
	struct unpack u = { meta, false };

	*c = (struct stored_change){ .to = { .note = c->note, .actor = c->actor } };
	unpack_text(&u, c->id, sizeof c->id);
	c->n = unpack_u32(&u);
	c->to.state = (enum entry_state)unpack_u8(&u);
	unpack_text(&u, c->note, sizeof c->note);
	c->to.before = (enum entry_state)unpack_u8(&u);
	c->to.vote = (enum entry_vote)unpack_u8(&u);
	c->to.changed_s = (int64_t)unpack_u64(&u);
	unpack_text(&u, c->actor, sizeof c->actor);
	return !u.bad && c->to.state < STATE__COUNT && c->to.before < STATE__COUNT && c->to.vote < VOTE__COUNT;
}

/* False: its mail is not there, or not yet. */
static bool
index_change_record(struct store *s, uint64_t seq, struct span meta)
{
	struct stored_change c;

	if (!stored_unpack_change(meta, &c))
		return true;                 /* left alone */
	c.to.seq = seq;
	return index_change(s->index, c.id, c.n, &c.to);
}

static void
index_record(struct recovery *r, const struct record *record, const struct seg_place *place)
{
	struct store *s = r->store;
	struct arena_mark mark = arena_mark(s->arena);
	struct unpack u = { record->meta, false };
	struct stored_meta meta;

	if (record->seq > s->seq)
		s->seq = record->seq;
	if (record->type == SEG_MAIL && stored_unpack(&u, s->arena, &meta)) {
		index_add(s->index, meta.id, record->seq, &meta.request, meta.body, place);
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
	uint64_t at = index_segment_done(s->index, name), next, damaged = 0, newer = 0;
	struct record record;
	struct buf bytes = { 0 };
	int result;

	if (at == size)
		return;
	while ((result = segments_next(s->segments, name, at, &bytes, &record, &next)) != 0) {
		if (result > 0) {
			struct seg_place place = { .offset = at, .length = next - at };

			snprintf(place.name, sizeof place.name, "%s", name);
			index_record(r, &record, &place);
		}
		damaged += result == -1;
		newer += result == -2;
		at = next;
	}
	if (damaged)
		log_error("quarantine: %s: %llu records are damaged or their key is gone", name, (unsigned long long)damaged);
	if (newer)
		log_warning("quarantine: %s: %llu records of a later version are left alone", name, (unsigned long long)newer);
	index_segment(s->index, name, at, damaged);
	buf_free(&bytes);
}

/* A file that expired and went in the moment before a crash, or that somebody took away: the index need not know it. */
static void
forget_missing(struct store *s)
{
	char names[MISSING_ROOM][SEG_NAME_ROOM];
	size_t n = index_segments(s->index, s->segments, names, MISSING_ROOM);

	for (size_t i = 0; i < n; i++) {
		log_info("quarantine: %s is no longer there; what was in it leaves the index", names[i]);
		index_forget_segment(s->index, names[i]);
	}
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

	index_begin(s->index);
	if (anew) {
		segments_list(s->segments, oldest_day, &oldest);
		index_clear(s->index, oldest);
	}
	forget_missing(s);
	segments_list(s->segments, recover_segment, &r);
	for (struct unpack u = { buf_span(&r.early), false }; u.left.n > 0 && !u.bad;) {
		uint64_t seq = unpack_u64(&u);

		index_change_record(s, seq, unpack_span(&u));
	}
	buf_free(&r.early);
	store_settle(s);
	uint64_t last = index_last_seq(s->index);

	if (last > s->seq)
		s->seq = last;
}

void
store_settle(struct store *s)
{
	static int64_t complained;

	if (!index_trouble(s->index) && index_commit(s->index))
		return;
	index_rollback(s->index);
	index_trouble(s->index);             /* told by this */
	s->behind = true;
	s->catch_up_ms = clock_ms() + CATCH_UP_MS;
	log_seldom(&complained, 10, "quarantine: the index could not be written: lists lack what came since; it catches up out of the segments");
}

void
store_catch_up(struct store *s)
{
	if (!s->behind || clock_ms() < s->catch_up_ms)
		return;
	s->behind = false;
	store_recover(s, false);
	if (!s->behind)
		log_info("quarantine: the index has caught up");
}

/* ---- expiry: entries by their own time, files when all in them have passed theirs ---- */

static void
drop_expired(void *arg, const char *name, uint64_t size)
{
	struct store *s = arg;
	int64_t day;
	unsigned retention;

	if (!segment_day(name, &day, &retention) || (day + retention + 1) * DAY_S > wall_s())
		return;
	if (segments_drop(s->segments, name)) {
		index_forget_segment(s->index, name);
		log_info("quarantine: dropped %s (%.1f MB): all in it has expired", name, (double)size / 1e6);
	}
}

/* Files go at once. Their rows go a few at a time, while nothing waits: a day is a hundred thousand of them. */
void
store_expire(struct store *s)
{
	static int64_t files_s;
	int64_t now = wall_s(), deadline = clock_ms() + TIDY_MS;

	index_begin(s->index);
	if (now - files_s >= FILES_EVERY_S || now < files_s) {
		files_s = now;
		segments_list(s->segments, drop_expired, s);
		stats_forget(s->index, now);
	}
	for (bool more = true; more && clock_ms() < deadline;) {
		more = index_expire(s->index, now, TIDY_ROWS);
		more = index_tidy(s->index, TIDY_ROWS) || more;
	}
	store_settle(s);
}
